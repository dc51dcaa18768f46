import numpy as np
import pandas as pd
import pytest

from influence_lib import figures
from influence_lib.estimate import Estimate
from tests.figures.conftest import draws_without_warnings, labelled


def test_upweighting_marks_each_minimum_and_its_tangent():
    θ = np.linspace(-1, 1, 5)
    weights, exact, predicted = np.array([-0.5, 0, 0.5]), np.array([0.3, 0.2, 0.15]), np.array([0.4, 0.2, 0.0])
    figure = figures.upweighting(θ, {"all": θ**2, "one less": (θ - 0.5) ** 2}, weights, exact, predicted)
    left, right = figure.axes
    np.testing.assert_array_equal(labelled(left)["one less"].get_xydata(), np.stack([θ, (θ - 0.5) ** 2], 1))
    minima = [line.get_xydata()[0].tolist() for line in left.lines if len(line.get_xdata()) == 1]
    assert minima == [[0, 0], [0.5, 0]]
    curve, tangent = right.lines[:2]
    np.testing.assert_array_equal(curve.get_xydata(), np.stack([weights, exact], 1))
    np.testing.assert_array_equal(tangent.get_xydata(), np.stack([weights, predicted], 1))
    assert curve.get_linestyle() != tangent.get_linestyle()
    draws_without_warnings(figure)


def test_spectra_are_sorted_magnitudes_with_negative_ones_marked():
    figure = figures.eigenvalue_spectra({"H": np.array([1.0, -5.0, 1e-9, 2.0]), "F": np.array([0.5, 3.0])})
    lines = labelled(figure.axes[0])
    np.testing.assert_array_equal(lines["H"].get_xydata(), [[2, 2.0], [3, 1.0]])
    np.testing.assert_array_equal(lines["H, negative"].get_xydata(), [[1, 5.0]])
    np.testing.assert_array_equal(lines["F"].get_xydata(), [[1, 3.0], [2, 0.5]])
    assert lines["H"].get_marker() not in (lines["H, negative"].get_marker(), lines["F"].get_marker())
    assert set(lines) == {"H", "H, negative", "F"}
    draws_without_warnings(figure)


def test_matrices_share_a_logarithmic_scale_of_magnitudes():
    matrices = {"exact": np.array([[-8.0, 0.0], [0.0, 1.0]]), "diagonal": np.array([[2.0, 1e-9], [0.0, 1.0]])}
    figure = figures.curvature_matrices(matrices, edges=[1])
    pictures = [axis.get_images()[0] for axis in figure.axes[:2]]
    for picture, matrix in zip(pictures, matrices.values(), strict=True):
        np.testing.assert_array_equal(picture.get_array(), np.abs(matrix))
        assert (picture.norm.vmin, picture.norm.vmax) == (8e-4, 8)
        assert not np.isnan(picture.norm(picture.get_array())).any()
    assert [axis.get_title() for axis in figure.axes[:2]] == ["exact", "diagonal"]
    assert {tuple(line.get_xdata()) for line in figure.axes[0].lines} == {(0, 1), (0.5, 0.5)}
    draws_without_warnings(figure)


def test_distances_are_bars_side_by_side():
    distances = pd.DataFrame({"EK-FAC": [0.2, 0.3], "K-FAC": [4.0, 9.0]}, index=["conv1", "head"])
    axis = figures.matrix_distances(distances).axes[0]
    bars = {bars.get_label(): bars for bars in axis.containers}
    for name, heights in distances.items():
        assert [bar.get_height() for bar in bars[name]] == heights.tolist()
    left, right = bars["EK-FAC"][1], bars["K-FAC"][1]
    assert left.get_x() + left.get_width() == pytest.approx(right.get_x()) == pytest.approx(1)
    assert labelled(axis)["zeros"].get_ydata()[0] == 1
    assert [text.get_text() for text in axis.texts] == ["0.20", "0.30", "4.00", "9.00"]
    draws_without_warnings(axis.figure)


def test_agreement_matrix_holds_values_intervals_and_reliabilities():
    pairs = {
        ("a", "b"): Estimate(0.5, 0.4, 0.6, 50),
        ("a", "c"): Estimate(-0.25, -0.3, -0.1, 50),
        ("b", "c"): Estimate(0.0, -0.1, 0.1, 50),
    }
    figure = figures.agreement_and_reliability(["a", "b", "c"], pairs, {"a": 0.9, "b": None, "c": 0.7})
    axis = figure.axes[0]
    shown = axis.get_images()[0].get_array()
    np.testing.assert_array_equal(np.ma.filled(shown, np.nan)[np.tril_indices(3)], [0.9, 0.5, np.nan, -0.25, 0, 0.7])
    assert np.isnan(np.ma.filled(shown, np.nan)[np.triu_indices(3, 1)]).all()
    texts = {text.get_position(): text.get_text() for text in axis.texts}
    assert texts[0, 1] == "0.50"
    assert texts[1, 0] == "0.40\nto\n0.60"
    assert texts[2, 0] == "-0.30\nto\n-0.10"
    assert (texts[0, 0], texts[1, 1], texts[2, 2]) == ("0.90", "–", "0.70")
    inks = {text.get_position(): text.get_color() for text in axis.texts}
    assert inks[0, 2] == "white" != inks[0, 1]
    draws_without_warnings(figure)


def test_dots_are_values_with_intervals_by_item():
    series = {
        "first": {"x": Estimate(0.5, 0.4, 0.7, 9), "y": Estimate(0.1, 0.0, 0.2, 9)},
        "second": {"y": Estimate(0.3, 0.3, 0.3, 9), "x": Estimate(-0.5, -0.6, -0.4, 9)},
    }
    axis = figures.interval_dots(series, "correlation", ("none", 0)).axes[0]
    dots = {container.get_label(): container for container in axis.containers}
    first, second = (dots[name].lines[0].get_xdata().tolist() for name in series)
    assert (first, second) == ([0.5, 0.1], [-0.5, 0.3])
    bars = [segment[:, 0].tolist() for segment in dots["first"].lines[2][0].get_segments()]
    np.testing.assert_allclose(bars, [[0.4, 0.7], [0.0, 0.2]])
    rows = [dots[name].lines[0].get_ydata().round().tolist() for name in series]
    assert rows == [[0, 1], [0, 1]]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["x", "y"]
    assert labelled(axis)["none"].get_xdata()[0] == 0
    assert dots["first"].lines[0].get_marker() != dots["second"].lines[0].get_marker()
    draws_without_warnings(axis.figure)


def test_damping_curves_are_drawn_on_a_logarithmic_axis():
    multiples, values = np.array([0.01, 1.0, 100.0]), np.array([0.5, 0.9, 1.0])
    axis = figures.damping_curves(multiples, {"default": values, "loss": 1 - values}).axes[0]
    np.testing.assert_array_equal(labelled(axis)["default"].get_xydata(), np.stack([multiples, values], 1))
    np.testing.assert_array_equal(labelled(axis)["loss"].get_ydata(), 1 - values)
    assert axis.get_xscale() == "log"
    draws_without_warnings(axis.figure)


def test_draws_have_points_and_a_line_of_one_colour():
    measured = {"a": (np.array([1, 2]), np.array([0.5, 0.6])), "b": (np.array([1, 4]), np.array([0.7, 0.9]))}
    predicted = {"a": (np.array([1, 8]), np.array([0.5, 0.8])), "b": (np.array([1, 8]), np.array([0.7, 0.95]))}
    axis = figures.draws_curves(measured, predicted).axes[0]
    points = labelled(axis)["b"]
    np.testing.assert_array_equal(points.get_xydata(), [[1, 0.7], [4, 0.9]])
    assert points.get_linestyle() == "None"
    line = axis.lines[axis.lines.index(points) + 1]
    np.testing.assert_array_equal(line.get_xydata(), [[1, 0.7], [8, 0.95]])
    assert line.get_color() == points.get_color() != labelled(axis)["a"].get_color()
    draws_without_warnings(axis.figure)


def test_cross_influence_is_without_the_diagonal_on_a_scale_around_zero():
    matrix = np.array([[1.0, 0.2, -0.3], [0.2, 1.0, 0.0], [-0.3, 0.0, 1.0]])
    figure = figures.cross_influence_matrices({"one": matrix, "two": 2 * matrix}, [1, 1, 3], ["a", "b", "c", "d"])
    first, second = figure.axes[:2]
    for axis, expected in ((first, matrix), (second, 2 * matrix)):
        shown = np.ma.filled(axis.get_images()[0].get_array(), np.nan)
        np.testing.assert_array_equal(np.isnan(shown), np.eye(3, dtype=bool))
        np.testing.assert_array_equal(shown[~np.isnan(shown)], expected[~np.eye(3, dtype=bool)])
    assert [axis.get_images()[0].get_clim() for axis in (first, second)] == [(-0.3, 0.3), (-0.6, 0.6)]
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["b", "d"]
    assert first.get_xticks().tolist() == [0.5, 2]
    assert {tuple(line.get_xdata()) for line in first.lines} == {(0, 1), (1.5, 1.5)}
    draws_without_warnings(figure)
