import math

import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib import data
from influence_lib.data import ImageSet
from influence_lib.errors import InputError
from tests.images import noise_images


def image_set(*pictures):
    """Return an image set of pictures with values in [0, 1], each 3×H×W."""
    stacked = torch.stack([(255 * picture).round().to(torch.uint8) for picture in pictures])
    n = len(stacked)
    return ImageSet(
        stacked,
        -torch.ones(n, dtype=torch.long),
        torch.arange(10, 10 + n),
        pd.DataFrame(index=range(n)),
        "drawn",
        "train",
    )


def plain(*colour, size=16):
    return torch.tensor(colour)[:, None, None].expand(3, size, size).clone()


def statistics(*pictures):
    return data.image_statistics(image_set(*pictures))


def test_a_plain_image_has_nothing_but_brightness():
    table = statistics(plain(1.0, 1.0, 1.0), plain(0.0, 0.0, 0.0), plain(0.2, 0.2, 0.2))
    assert table.index.tolist() == [10, 11, 12]
    np.testing.assert_allclose(table["brightness"], [1, 0, 0.2], atol=1e-3)
    for name in ("contrast", "edge_energy", "colourfulness"):
        np.testing.assert_allclose(table[name], 0, atol=1e-3)
    np.testing.assert_allclose(table["background_uniformity"], 1, atol=1e-6)


def test_brightness_weighs_the_channels_as_the_eye_does():
    table = statistics(plain(1.0, 0.0, 0.0), plain(0.0, 1.0, 0.0), plain(0.0, 0.0, 1.0))
    np.testing.assert_allclose(table["brightness"], [0.299, 0.587, 0.114], atol=1e-3)


def test_contrast_and_edges_of_a_step_and_a_ramp():
    step = plain(0.0, 0.0, 0.0)
    step[:, :, 8:] = 1
    ramp = (torch.arange(16) * 16 / 255).expand(3, 16, 16)
    table = statistics(step, ramp)
    assert table["contrast"].iloc[0] == pytest.approx(0.5, abs=1e-3)
    # the slope is 1/2 in the two columns at the step, and s in the ramp's inner columns, s/2 in its outer ones
    assert table["edge_energy"].iloc[0] == pytest.approx(2 / 16 * 0.25, rel=1e-3)
    s = 16 / 255
    assert table["edge_energy"].iloc[1] == pytest.approx((14 * s**2 + 2 * s**2 / 4) / 16, rel=1e-3)


def test_colourfulness_is_hasler_and_suesstrunks():
    half = plain(1.0, 0.0, 0.0)
    half[:, :, 8:] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    table = statistics(half, plain(1.0, 0.0, 0.0))
    # red: (1, 1/2), blue: (0, −1): deviations 1/2 and 3/4, means 1/2 and −1/4
    expected = math.hypot(0.5, 0.75) + 0.3 * math.hypot(0.5, 0.25)
    assert table["colourfulness"].iloc[0] == pytest.approx(expected, rel=1e-3)
    assert table["colourfulness"].iloc[1] == pytest.approx(0.3 * math.hypot(1, 0.5), rel=1e-3)


def test_the_background_is_the_frame_alone():
    framed = plain(0.5, 0.5, 0.5)
    framed[:, 2:-2, 2:-2] = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    marked = plain(0.5, 0.5, 0.5)
    marked[:, 0, 0] = 1
    table = statistics(framed, marked)
    assert table["background_uniformity"].iloc[0] == pytest.approx(1, abs=1e-6)
    frame_pixels = 16 * 16 - 12 * 12
    assert table["background_uniformity"].iloc[1] == pytest.approx(1 - 0.5 / frame_pixels, abs=1e-4)


def test_detail_takes_more_bytes():
    noisy = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    table = statistics(noisy, plain(0.3, 0.6, 0.1))
    assert table["jpeg_bytes"].iloc[0] > 1.2 * table["jpeg_bytes"].iloc[1]


def test_the_controlled_sets_plain_backgrounds_are_the_most_uniform():
    images = data.load("controlled", n=200)
    table = data.image_statistics(images)
    by_background = table["background_uniformity"].groupby(images.attributes["background"].to_numpy()).median()
    textured = [name for name in by_background.index if "textur" in name]
    plain_ones = [name for name in by_background.index if name in ("white", "black", "colour")]
    assert textured
    assert plain_ones
    assert by_background[plain_ones].min() > by_background[textured].max()


def test_images_do_not_influence_each_other():
    images = noise_images(7)
    whole = data.image_statistics(images)
    alone = data.image_statistics(images.subset([4]))
    np.testing.assert_allclose(whole.iloc[[4]], alone, rtol=1e-5)


def test_an_empty_set_has_no_statistics():
    with pytest.raises(InputError, match="images is empty"):
        data.image_statistics(noise_images(3).subset([]))
