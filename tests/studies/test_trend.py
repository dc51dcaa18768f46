import numpy as np
import pytest

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.studies.bend import agreement_at_the_top
from influence_lib.studies.trend import over_scales, score_and_loss_over_scales
from tests.studies.scores import scores_of


def near(value, margin=0.05):
    return Estimate(value, value - margin, value + margin, 100)


FALLING = over_scales("epochs", {"shared": {60: near(0.1), 6: near(0.5), 24: near(0.3)}})


def test_scales_are_put_in_order():
    assert FALLING.at == (6, 24, 60)
    assert [each.value for each in FALLING.series["shared"]] == [0.5, 0.3, 0.1]


@pytest.mark.parametrize(
    ("series", "sentence"),
    [
        ({}, "the number of values is 0"),
        ({"a": {}}, "the number of values is 0"),
        ({"a": {0: near(1)}}, "a scale is 0, but it must be a number above 0"),
        ({"a": {"6": near(1)}}, "a scale is '6'"),
        ({"a": {6: near(1)}, "b": {6: near(1), 24: near(1)}}, r"the scales of 'b' is \[6, 24\]"),
    ],
)
def test_what_makes_no_trend_is_refused(series, sentence):
    with pytest.raises(InputError, match=sentence):
        over_scales("epochs", series)


RNG = np.random.default_rng(0)
LOSS, OTHER, NOISE = (scores_of(values) for values in RNG.random((3, 60)))


def test_score_and_loss_are_compared_overall_and_at_the_top():
    found = score_and_loss_over_scales("epochs", {6: (LOSS, LOSS), 24: (NOISE, LOSS)}, k=20, seed=1)
    expected = agreement_at_the_top(NOISE, LOSS, 20, 1)
    last = {name: values[-1] for name, values in found.series.items()}
    assert last == {
        "overall": expected.overall,
        "within the highest losses": expected.within,
        "top shared": expected.top,
        "bottom shared": expected.bottom,
    }
