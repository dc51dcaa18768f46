from dataclasses import replace

import numpy as np
import pytest
import torch

from influence_lib.data import image_statistics
from influence_lib.errors import InputError
from influence_lib.studies.patterns import PICTURE, picture_statistics
from tests.images import noise_images


def test_white_and_black_grounds_are_told_by_the_frame_alone():
    pixels = torch.full((4, 3, 16, 16), 255, dtype=torch.uint8)
    pixels[0, :, 4:12, 4:12] = 0  # a black object on white
    pixels[1] = 0
    pixels[2, 0] = 0  # cyan is neither
    pixels[3, :, :8] = 0  # black above, white below
    table = picture_statistics(replace(noise_images(4, 16), images=pixels))
    np.testing.assert_allclose(table["white border"], [1, 0, 0, 0.5])
    np.testing.assert_allclose(table["black border"], [0, 1, 0, 0.5])
    np.testing.assert_allclose(table["border uniformity"], [1, 1, 1, 0.5], atol=1e-6)


def test_the_limits_are_a_tenth():
    pixels = torch.tensor([25, 26, 229, 230], dtype=torch.uint8)[:, None, None, None].expand(4, 3, 8, 8)
    table = picture_statistics(replace(noise_images(4), images=pixels))
    assert table["black border"].tolist() == [1, 0, 0, 0]
    assert table["white border"].tolist() == [0, 0, 0, 1]


def test_the_others_are_those_of_the_image():
    images = noise_images(5)
    table, known = picture_statistics(images), image_statistics(images)
    assert list(table) == list(PICTURE)
    assert table.index.tolist() == images.ids.tolist()
    for name, same in (("border uniformity", "background_uniformity"), ("colourfulness", "colourfulness")):
        np.testing.assert_array_equal(table[name], known[same])


def test_no_images_have_no_statistics():
    with pytest.raises(InputError, match="images is empty"):
        picture_statistics(noise_images(2).subset([]))
