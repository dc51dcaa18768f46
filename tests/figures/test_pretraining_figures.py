import numpy as np
import torch

from influence_lib import figures
from tests.figures.conftest import draws_without_warnings, labelled


def history(epochs=4, start=1.0):
    return [
        {"epoch": e + 1, "loss": start / (e + 1), "spread": 0.1 * (e + 1), "effective_rank": 2.0 * (e + 1)}
        for e in range(epochs)
    ]


def test_every_image_has_a_row_with_its_views():
    views = torch.rand(3, 5, 3, 8, 8)
    figure = figures.augmented_views(views[:, 0], views)
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert len(shown) == 3 * 6
    np.testing.assert_allclose(shown[7], views[1, 0].permute(1, 2, 0))
    np.testing.assert_allclose(shown[6], views[1, 0].permute(1, 2, 0))
    np.testing.assert_allclose(shown[11], views[1, 4].permute(1, 2, 0))
    draws_without_warnings(figure)


def test_arrows_start_at_the_points_and_the_longest_sets_the_scale():
    points, directions = np.zeros((2, 3, 2)), np.zeros((2, 3, 2))
    points[0, 1], directions[0, 1], directions[1, 2] = (1.0, 2.0), (0.0, 10.0), (5.0, 0.0)
    figure = figures.loss_directions({"one": (points, directions), "two": (points, 100 * directions)})
    for axis in figure.axes[:2]:
        arrows = {tuple(np.round(a.xyann, 3)): np.round(np.subtract(a.xy, a.xyann), 3) for a in axis.texts}
        np.testing.assert_allclose(np.abs(arrows[1.0, 2.0]), (0, 0.7))
    assert [axis.get_title() for axis in figure.axes[:2]] == ["one", "two"]
    draws_without_warnings(figure)


def test_losses_have_a_panel_each():
    figure = figures.loss_curves({f"method {i}": history(start=10.0**i) for i in range(5)})
    panels = [axis for axis in figure.axes if axis.lines]
    assert [axis.get_title() for axis in panels] == [f"method {i}" for i in range(5)]
    np.testing.assert_allclose(panels[2].lines[0].get_ydata(), [100, 50, 100 / 3, 25])
    draws_without_warnings(figure)


def test_collapse_is_shown_beside_its_limits():
    figure = figures.collapse_monitors({"a": history(), "b": history(1)})
    spread, rank = figure.axes
    np.testing.assert_allclose(labelled(spread)["a"].get_ydata(), [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(labelled(rank)["b"].get_ydata(), [2.0])
    assert labelled(spread)["collapsed below"].get_ydata()[0] == 0.05
    draws_without_warnings(figure)
