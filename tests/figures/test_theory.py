import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.quiver import Quiver

from influence_lib import figures
from influence_lib.theory import curves
from tests.figures.conftest import draws_without_warnings, labelled


def test_leverage_plane_shows_directions_leverage_and_ellipse():
    plane = curves.leverage_plane(8)
    figure = figures.leverage_plane(plane)
    left = figure.axes[0]
    (arrows,) = (c for c in left.collections if isinstance(c, Quiver))
    (points,) = (c for c in left.collections if isinstance(c, PathCollection))
    np.testing.assert_array_equal(np.stack([arrows.U, arrows.V], 1), plane.directions)
    np.testing.assert_array_equal(points.get_offsets(), plane.directions)
    for artist in (arrows, points):
        np.testing.assert_array_equal(artist.get_array(), plane.leverage)
    np.testing.assert_array_equal(labelled(left)["mean leverage"].get_xydata(), plane.ellipse)
    draws_without_warnings(figure)


def test_slope_chart_joins_the_ranks_and_tells_the_change():
    plane = curves.minimal_flip()
    right = figures.leverage_plane(plane).axes[1]
    falls, rises = (line for line in right.lines if len(line.get_xdata()))
    np.testing.assert_array_equal(falls.get_ydata(), [1.5, 2.5])
    np.testing.assert_array_equal(rises.get_ydata(), [3, 1])
    key = labelled(right)
    assert falls.get_color() == key["falls"].get_color() != rises.get_color() == key["rises"].get_color()
    assert falls.get_linestyle() != rises.get_linestyle()
    assert [text.get_text() for text in right.texts] == ["32", "48  (no. 1, 2)", "18", "54  (no. 3)"]
    assert "2 of 3 pairs" in right.get_title()


def test_cosine_panels_show_each_approximation_and_its_correlation():
    cosine = curves.cosine_and_euclidean(n=30)
    figure = figures.cosine_and_euclidean(cosine)
    expected = [cosine.raw, cosine.printed, cosine.corrected]
    for axis, approximation in zip(figure.axes, expected, strict=True):
        points = axis.collections[0].get_offsets()
        np.testing.assert_array_equal(points, np.stack([approximation.values, cosine.loss], 1))
        assert axis.get_title().endswith(f"Spearman {approximation.spearman:.3f}")
        assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    draws_without_warnings(figure)


def test_orders_are_drawn_as_magnitudes_with_their_slopes():
    data = curves.orders()
    figure = figures.orders(data)
    left, right = figure.axes
    for axis, part, order in [
        (left, "Theorem 1, $\\lambda\\to0$", data.theorem),
        (left, "Theorem 1, $\\lambda=0.01$", data.theorem_damped),
        (right, "Gauss–Newton, $\\lambda\\to0$", data.gauss_newton),
        (right, "Gauss–Newton, $\\lambda=0.01$", data.gauss_newton_damped),
    ]:
        line = labelled(axis)[f"{part}: slope {order.slope:.2f}"]
        np.testing.assert_array_equal(line.get_xydata(), np.stack([data.eps, -order.influence], 1))
    draws_without_warnings(figure)


def test_positive_influence_is_marked_apart():
    data = curves.orders()
    influence = data.cosine_damped.influence
    right = labelled(figures.orders(data).axes[1])
    line = right[f"exact Hessian, $\\lambda=0.01$: slope {data.cosine_damped.slope:.2f}"]
    crosses = right["the same, where positive"]
    np.testing.assert_array_equal(np.isfinite(line.get_ydata()), influence <= 0)
    np.testing.assert_array_equal(np.isfinite(crosses.get_ydata()), influence > 0)
    np.testing.assert_array_equal(crosses.get_ydata()[influence > 0], influence[influence > 0])
    assert line.get_color() != crosses.get_color()


def test_remainders_are_drawn_as_magnitudes_under_their_bounds():
    groups = curves.group_remainder(n=9)
    figure = figures.group_remainder(groups)
    for axis, remainder in zip(figure.axes, (groups.copies, groups.random), strict=True):
        lines = labelled(axis)
        for name, values in {
            "paper (Claim 6)": remainder.printed,
            "paper's bound (Claim 7)": remainder.printed_bound,
            "data-set Hessian": remainder.dataset,
            "bound, data-set Hessian": remainder.dataset_bound,
            "own Hessians": remainder.own,
        }.items():
            np.testing.assert_array_equal(lines[name].get_xydata(), np.stack([groups.sizes, np.abs(values)], 1))
    draws_without_warnings(figure)
