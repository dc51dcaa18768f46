from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from influence_lib import figures
from influence_lib.errors import InputError
from tests.figures.conftest import draws_without_warnings, labelled


def history(epochs=4, start=1.0):
    return [
        {"epoch": e + 1, "loss": start / (e + 1), "spread": 0.1 * (e + 1), "effective_rank": 2.0 * (e + 1)}
        for e in range(epochs)
    ]


def test_training_curve_is_the_history():
    (line,) = figures.training_curve(history(3)).axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 1], [2, 1 / 2], [3, 1 / 3]])


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


def test_no_curve_is_dropped_and_neighbours_differ_without_colour():
    names = [f"method {i}" for i in range(12)]
    monitors = figures.collapse_monitors({name: history() for name in names})
    damping = figures.damping_curves(np.ones(2), {name: np.ones(2) for name in names})
    measured = {name: (np.ones(1), np.ones(1)) for name in names}
    draws = figures.draws_curves(measured, measured)
    spectra = figures.eigenvalue_spectra({name: np.ones(2) for name in names})
    upweighting = figures.upweighting(np.ones(1), {n: np.ones(1) for n in names}, *np.ones((3, 1)))
    for figure in (monitors, damping, draws, spectra, upweighting):
        lines = labelled(figure.axes[0])
        looks = [(lines[n].get_color(), lines[n].get_marker(), lines[n].get_linestyle()) for n in names]
        assert len(set(looks)) == 12
        assert all(a[1:] != b[1:] for a, b in pairwise(looks))
        draws_without_warnings(figure)


def test_thousands_of_eigenvalues_are_drawn_as_a_picture():
    axis = figures.eigenvalue_spectra({"many": np.linspace(1, 2, 3000), "few": np.ones(3)}).axes[0]
    assert [line.get_rasterized() for line in axis.lines] == [True, False]


def test_precision_is_drawn_against_recall_with_the_base_rate():
    curve = pd.DataFrame({"recall": [0.0, 0.5, 1.0], "precision": [1.0, 1.0, 0.4]})
    figure = figures.precision_recall_curves({"low": ({"a": curve, "b": curve}, 0.2), "high": ({"c": curve}, 0.1)})
    left, right = figure.axes
    np.testing.assert_array_equal(labelled(left)["a"].get_xydata(), curve)
    assert [line.get_ydata()[0] for line in (labelled(left)["base rate"], labelled(right)["base rate"])] == [0.2, 0.1]
    assert [axis.get_title() for axis in figure.axes] == ["low", "high"]
    assert {text.get_text() for text in figure.legends[0].texts} == {"a", "b", "c", "base rate"}
    draws_without_warnings(figure)


def test_a_group_is_drawn_in_its_panel_within_the_band_of_chance():
    ratios = pd.DataFrame({"cats": [1.5, 1.2], "dogs": [0.5, 0.8]}, index=[10, 50])
    figure = figures.representation_curves(ratios, 0 * ratios + 0.6, 0 * ratios + 1.4)
    assert [axis.get_title() for axis in figure.axes[:2]] == ["cats", "dogs"]
    (line,) = [line for line in figure.axes[1].lines if line.get_label() == "representation ratio"]
    np.testing.assert_allclose(line.get_xydata(), [[10, 0.5], [50, 0.8]])
    draws_without_warnings(figure)
    with pytest.raises(InputError, match="the rows and columns of high"):
        figures.representation_curves(ratios, 0 * ratios, (0 * ratios).iloc[:1])


def test_turned_predictions_are_steps_that_hold_until_the_next_size():
    rows = pd.DataFrame({"size": [1, 8, 50], "share": [0.1, 0.5, 0.6], "low": [0, 0.2, 0.3], "high": [0.3, 0.8, 0.9]})
    figure = figures.turned_curves({"removal": {"one": rows, "two": rows}, "mislabelling": {"one": rows}})
    assert [axis.get_title() for axis in figure.axes] == ["removal", "mislabelling"]
    line = labelled(figure.axes[0])["one"]
    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(line.get_xydata(), rows[["size", "share"]])
    draws_without_warnings(figure)
    with pytest.raises(InputError, match="the number of entries of panels is 0"):
        figures.turned_curves({})
