import pandas as pd
import pytest

from influence_lib import figures
from influence_lib.estimate import Estimate
from tests.figures.conftest import draws_without_warnings, labelled


def test_dots_are_values_with_intervals_by_item():
    series = {
        "first": {"x": Estimate(0.5, 0.4, 0.7, 9), "y": Estimate(0.1, 0.0, 0.2, 9)},
        "second": {"y": Estimate(0.3, 0.3, 0.3, 9), "x": Estimate(-0.5, -0.6, -0.4, 9)},
    }
    axis = figures.interval_dots(series, "correlation", ("none", 0)).axes[0]
    dots = labelled(axis)
    first, second = (dots[name].get_xdata().tolist() for name in series)
    assert (first, second) == ([0.5, 0.1], [-0.5, 0.3])
    bars = [line.get_xdata().tolist() for line in axis.lines if line.get_marker() == "|"]
    assert bars == [[0.4, 0.7], [0.0, 0.2], [-0.6, -0.4], [0.3, 0.3]]
    rows = [dots[name].get_ydata().round().tolist() for name in series]
    assert rows == [[0, 1], [0, 1]]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["x", "y"]
    assert dots["none"].get_xdata()[0] == 0
    assert dots["first"].get_marker() != dots["second"].get_marker()
    assert axis.get_xlabel() == "correlation\n95 % intervals over 9 images"
    draws_without_warnings(axis.figure)


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


def test_an_interval_that_does_not_hold_its_value_is_drawn_as_it_is():
    axis = figures.interval_dots({"s": {"x": Estimate(1.1, 0.8, 1.0, 9, "query")}}, "ρ*").axes[0]
    bar, dot = axis.lines
    assert (bar.get_xdata().tolist(), dot.get_xdata().tolist()) == ([0.8, 1.0], [1.1])
    draws_without_warnings(axis.figure)


def test_twelve_series_are_drawn_and_numbers_without_intervals_say_nothing_of_them():
    series = {f"series {i}": {"x": Estimate.stated(i / 12)} for i in range(12)}
    axis = figures.interval_dots(series, "accuracy").axes[0]
    dots = labelled(axis)
    assert [dots[name].get_xdata().tolist() for name in series] == [[i / 12] for i in range(12)]
    assert len({(dots[name].get_color(), dots[name].get_marker()) for name in series}) == 12
    assert axis.get_xlabel() == "accuracy"
    (legend,) = axis.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(series)
    draws_without_warnings(axis.figure)


def test_an_eighth_approximation_has_its_bars():
    distances = pd.DataFrame({f"approximation {i}": [i + 1.0] for i in range(8)}, index=["head"])
    axis = figures.matrix_distances(distances).axes[0]
    assert [bars[0].get_height() for bars in axis.containers] == [*range(1, 9)]
    looks = {(bars[0].get_facecolor(), bars[0].get_hatch()) for bars in axis.containers}
    assert len(looks) == 8
