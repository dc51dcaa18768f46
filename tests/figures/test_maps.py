from io import StringIO

import numpy as np

from influence_lib import figures
from tests.figures.conftest import draws_without_warnings, scores_of


def test_scatter_shows_percentiles():
    figure = figures.score_against(("a", scores_of([1.0, 3.0, 2.0, 9.0])), {"b": scores_of([4.0, 3.0, 2.0, 1.0])})
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, [[87.5, 12.5], [62.5, 62.5], [37.5, 37.5], [12.5, 87.5]])


def test_two_trainings_are_compared_by_percentile():
    figure = figures.two_trainings({"a": (scores_of([3.0, 1.0]), scores_of([10.0, 20.0]))})
    np.testing.assert_allclose(figure.axes[0].collections[0].get_offsets(), [[75, 25], [25, 75]])
    draws_without_warnings(figure)


def test_many_pairs_of_trainings_take_rows_of_three():
    pair = scores_of([3.0, 1.0]), scores_of([10.0, 20.0])
    figure = figures.two_trainings({str(i): pair for i in range(4)})
    assert [bool(axis.collections) for axis in figure.axes] == [True] * 4 + [False] * 2
    with_numbers = [axis.xaxis.get_tick_params()["labelbottom"] for axis in figure.axes[:4]]
    assert with_numbers == [False, True, True, True]
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


def test_a_loss_that_does_not_push_has_no_arrows():
    figure = figures.loss_directions({"collapsed": (np.ones((2, 3, 2)), np.zeros((2, 3, 2)))})
    assert all(arrow.xy == arrow.xyann for arrow in figure.axes[0].texts)
    draws_without_warnings(figure)


def test_many_points_are_drawn_as_a_picture_within_the_outlines():
    few, many = (scores_of(np.arange(1.0, n)) for n in (100, 3000))
    figure = figures.two_trainings({"few": (few, few), "many": (many, many)})
    assert [axis.collections[0].get_rasterized() for axis in figure.axes[:2]] == [False, True]
    file = StringIO()
    figure.savefig(file, format="svg")
    assert file.getvalue().count("<image ") == 1
