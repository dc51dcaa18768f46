from dataclasses import replace

import numpy as np
import torch

from influence_lib import figures
from tests.figures.conftest import draws_without_warnings
from tests.images import noise_images


def test_image_rows_show_the_images_asked_for():
    images = noise_images(12)
    figure = figures.image_rows(images, {"first": torch.tensor([3, 0]), "second": torch.tensor([7])})
    shown = [axis.get_images() for axis in figure.axes]
    assert [len(s) for s in shown] == [1, 1, 1, 0]
    assert [axis.axison for axis in figure.axes] == [False] * 4
    for artists, position in zip(shown[:3], [3, 0, 7], strict=True):
        np.testing.assert_array_equal(artists[0].get_array(), images.images[position].permute(1, 2, 0))
    assert [axis.get_title() for axis in figure.axes[:3]] == ["odd", "even", "odd"]
    assert [axis.texts[0].get_text() for axis in figure.axes if axis.texts] == ["first", "second"]


def test_every_image_has_a_row_with_its_views():
    views = torch.rand(3, 5, 3, 8, 8)
    figure = figures.augmented_views(views[:, 0], views)
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert len(shown) == 3 * 6
    np.testing.assert_allclose(shown[7], views[1, 0].permute(1, 2, 0))
    np.testing.assert_allclose(shown[6], views[1, 0].permute(1, 2, 0))
    np.testing.assert_allclose(shown[11], views[1, 4].permute(1, 2, 0))
    draws_without_warnings(figure)


def test_class_names_are_no_wider_than_their_image():
    images = noise_images(20)
    images = replace(images, class_names=("a" * 30, "even"))
    figure = figures.image_rows(images, {"row": torch.arange(10)})
    figure.canvas.draw()
    for axis in figure.axes:
        assert axis.title.get_window_extent().width <= 1.1 * axis.get_window_extent().width


def test_small_images_are_kept_pixel_by_pixel_and_large_ones_are_not():
    small, large = (
        figures.augmented_views(torch.zeros(1, 3, size, size), torch.zeros(1, 9, 3, size, size)) for size in (32, 512)
    )
    assert {axis.images[0].get_interpolation() for axis in small.axes} == {"none"}
    assert {axis.images[0].get_interpolation() for axis in large.axes} == {"auto"}


def test_mosaics_pack_the_images_asked_for():
    images = noise_images(12)
    figure = figures.image_mosaics(images, {"high": torch.tensor([3, 0, 7]), "low": torch.arange(6)})
    assert [axis.get_title() for axis in figure.axes] == ["high", "low"]
    shown = [axis.images[0].get_array() for axis in figure.axes]
    np.testing.assert_array_equal(shown[0][1:9, 1:9], images.images[3].permute(1, 2, 0))
    np.testing.assert_array_equal(shown[0][1:9, 10:18], images.images[0].permute(1, 2, 0))
    assert shown[1].shape == (2 * 9 + 1, 3 * 9 + 1, 3)
    draws_without_warnings(figure)
