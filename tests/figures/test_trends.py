import numpy as np
import pytest

from influence_lib import figures
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.studies.bend import by_decile
from tests.figures.conftest import draws_without_warnings
from tests.studies.scores import scores_of


def near(*values):
    return tuple(Estimate(value, value - 0.1, value + 0.1, 100) for value in values)


def test_each_series_is_drawn_against_each_scale_with_the_papers_value():
    panels = {
        "epochs": ((6, 24, 60), {"SimCLR": near(0.5, 0.6, 0.7), "BYOL": near(0.1, 0.2, 0.3)}),
        "images": ((5000, 50000), {"BYOL": near(0.3, 0.8)}),
        "width": ((16,), {"BYOL": near(0.3)}),
    }
    figure = figures.claim_against_scale(panels, "rank correlation", stated=0.96)
    draws_without_warnings(figure)
    epochs, images, _, nothing = figure.axes
    assert [text.get_text() for text in figure.legends[0].texts] == ["the papers", "SimCLR", "BYOL"]
    assert [text.get_text() for text in images.get_xticklabels()] == ["5,000", "50,000"]
    lines = [container.lines[0] for container in epochs.containers]
    assert lines[0].get_xdata().tolist() == [6, 24, 60]
    assert lines[0].get_ydata().tolist() == [0.5, 0.6, 0.7]
    assert images.containers[0].lines[0].get_color() == lines[1].get_color()  # one name, one colour
    assert not nothing.axison


def test_decile_curves_begin_at_one():
    loss = np.linspace(0.1, 1, 60)
    curves = {"score": by_decile(scores_of(3 * loss), scores_of(loss))}
    figure = figures.decile_curves({"whole": curves, "factors": curves | {"again": curves["score"]}})
    draws_without_warnings(figure)
    (container,) = figure.axes[0].containers
    y = container.lines[0].get_ydata()
    assert y[0] == 1
    assert y[-1] == pytest.approx(np.median(loss[-6:]) / np.median(loss[:6]), rel=1e-5)
    assert len(figure.axes[1].containers) == 2


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: figures.claim_against_scale({}, "ρ"), "the number of entries of panels is 0"),
        (lambda: figures.claim_against_scale({"epochs": ((6,), {})}, "ρ"), "series over 'epochs' is 0"),
        (lambda: figures.claim_against_scale({"epochs": ((), {"a": ()})}, "ρ"), "scales over 'epochs' is 0"),
        (lambda: figures.claim_against_scale({"epochs": ((6, 24), {"a": near(1)})}, "ρ"), "values of 'a' is 1"),
        (
            lambda: figures.claim_against_scale({"epochs": ((6,), {str(i): near(1) for i in range(31)})}, "ρ"),
            "entries of the series is 31",
        ),
        (lambda: figures.decile_curves({}), "panels is 0"),
        (lambda: figures.decile_curves({"a": {}}), "the curves of 'a' is 0"),
        (
            lambda: figures.decile_curves({"a": {"b": by_decile(scores_of(np.zeros(20)), scores_of(np.arange(20)))}}),
            "curve 'b' begins at 0",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, sentence):
    with pytest.raises(InputError, match=sentence):
        draw()
