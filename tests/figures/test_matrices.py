import numpy as np
import pandas as pd

from influence_lib import figures
from influence_lib.estimate import Estimate
from tests.figures.conftest import draws_without_warnings


def test_agreement_matrix_holds_values_intervals_and_reliabilities():
    pairs = {
        ("a", "b"): Estimate(0.5, 0.4, 0.6, 50),
        ("a", "c"): Estimate(-0.25, -0.3, -0.1, 50),
        ("b", "c"): Estimate(0.0, -0.1, 0.1, 50),
    }
    figure = figures.agreement_matrix(["a", "b", "c"], pairs, {"a": 0.9, "b": None, "c": 0.7})
    axis = figure.axes[0]
    shown = axis.get_images()[0].get_array()
    np.testing.assert_array_equal(np.ma.filled(shown, np.nan)[np.tril_indices(3)], [0.9, 0.5, np.nan, -0.25, 0, 0.7])
    assert np.isnan(np.ma.filled(shown, np.nan)[np.triu_indices(3, 1)]).all()
    texts = {text.get_position(): text.get_text() for text in axis.texts}
    assert texts[0, 1] == "0.500"
    assert texts[1, 0] == "0.400\nto\n0.600"
    assert texts[2, 0] == "-0.300\nto\n-0.100"
    assert (texts[0, 0], texts[1, 1], texts[2, 2]) == ("0.900", "–", "0.700")
    inks = {text.get_position(): text.get_color() for text in axis.texts}
    assert inks[0, 2] == "white" != inks[0, 1]
    draws_without_warnings(figure)


def test_agreement_matrix_takes_pairs_in_either_order():
    pairs = {
        ("a", "b"): Estimate(0.5, 0.4, 0.6, 50),
        ("c", "a"): Estimate(-0.2, -0.3, -0.1, 50),
        ("b", "c"): Estimate(0.0, -0.1, 0.1, 50),
    }
    axis = figures.agreement_matrix(["a", "b", "c"], pairs, dict.fromkeys("abc", 0.9)).axes[0]
    shown = np.ma.filled(axis.get_images()[0].get_array(), np.nan)
    np.testing.assert_array_equal(shown[np.tril_indices(3)], [0.9, 0.5, 0.9, -0.2, 0, 0.9])
    assert axis.get_xlabel() == "diagonal: reliability. Above it: 95 % intervals over 50 images"


def test_many_scores_have_fewer_digits_and_one_has_no_pair():
    names = [f"score {i}" for i in range(9)]
    pairs = {(a, b): Estimate(0.123, 0.1, 0.2, 50) for i, b in enumerate(names) for a in names[:i]}
    axis = figures.agreement_matrix(names, pairs, dict.fromkeys(names, 0.9)).axes[0]
    assert {text.get_text() for text in axis.texts} == {"0.90", "0.12", "0.10\nto\n0.20"}
    assert figures.agreement_matrix(["a"], pairs, {"a": 0.5}).axes[0].get_xlabel() == "diagonal: reliability"


def test_a_table_has_its_texts():
    values = pd.DataFrame({"x": [0.9, -0.2], "y": [0.0, -0.8]}, index=["one", "two"])
    figure = figures.correlation_table(values, values.map(lambda v: f"{v:.1f}"))
    assert [t.get_text() for t in figure.axes[0].texts] == ["0.9", "0.0", "-0.2", "-0.8"]
    assert [t.get_color() for t in figure.axes[0].texts] == ["white", "black", "black", "white"]
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


def test_a_fifth_matrix_has_a_panel_in_the_next_row():
    square = np.eye(2)
    figure = figures.curvature_matrices({str(i): (i + 1) * square for i in range(5)})
    titles = [axis.get_title() for axis in figure.axes if axis.images]
    assert titles == [str(i) for i in range(5)]
    figure = figures.cross_influence_matrices({str(i): np.ones((2, 2)) for i in range(4)}, [0, 1], ["a", "b"])
    shown = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in shown] == [str(i) for i in range(4)]
    assert [len(axis.get_yticks()) for axis in shown] == [2, 0, 0, 2]
    draws_without_warnings(figure)
