import json

import numpy as np
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import rank_agreement
from influence_lib.studies.bend import agreement_at_the_top
from influence_lib.studies.trend import agreement_over_scales, over_scales, score_and_loss_over_scales
from tests.studies.scores import scores_of


def near(value, margin=0.05):
    return Estimate(value, value - margin, value + margin, 100)


FALLING = over_scales("epochs", {"shared": {60: near(0.1), 6: near(0.5), 24: near(0.3)}})


def test_scales_are_put_in_order():
    assert FALLING.at == (6, 24, 60)
    assert [each.value for each in FALLING.series["shared"]] == [0.5, 0.3, 0.1]
    assert FALLING.numbers() == {"over": "epochs", "at": [6, 24, 60], "values": {"shared": [0.5, 0.3, 0.1]}}
    json.dumps(FALLING.numbers())


def test_the_slope_is_that_of_least_squares_for_each_doubling():
    found = over_scales(
        "images",
        {"a": {1000: near(0.1), 2000: near(0.3), 4000: near(0.5)}, "b": dict.fromkeys((1000, 2000, 4000), near(0.2))},
    )
    assert found.slope("a") == pytest.approx(0.2)
    assert found.slope("b") == 0
    assert FALLING.slope("shared") == pytest.approx(np.polyfit(np.log2([6, 24, 60]), [0.5, 0.3, 0.1], 1)[0])


def test_a_direction_is_clear_of_the_intervals():
    assert FALLING.direction("shared") == "falls"
    assert over_scales("width", {"": {8: near(0.5), 16: near(0.55)}}).direction("") == "not clear"
    assert over_scales("width", {"": {8: near(0.5), 16: near(0.65)}}).direction("") == "rises"


@pytest.mark.parametrize(("stated", "towards"), [(0.0, True), (0.2, True), (0.96, False), (0.31, False)])
def test_a_trend_moves_towards_what_lies_nearer_to_its_end(stated, towards):
    assert FALLING.towards("shared", stated) is towards


def test_a_trend_that_is_not_clear_moves_nowhere():
    assert not over_scales("width", {"": {8: near(0.5), 16: near(0.55)}}).towards("", 0.96)


def test_a_single_scale_has_no_slope_and_no_direction():
    one = over_scales("epochs", {"": {60: near(0.9)}})
    assert np.isnan(one.slope(""))
    assert one.direction("") == "not clear"
    assert not one.towards("", 0.96)


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


def test_a_stated_value_is_a_number():
    with pytest.raises(InputError, match="stated is nan"):
        FALLING.towards("shared", float("nan"))


RNG = np.random.default_rng(0)
LOSS, OTHER, NOISE = (scores_of(values) for values in RNG.random((3, 60)))


def test_the_agreement_of_two_trainings_is_a_rank_correlation_at_each_scale():
    found = agreement_over_scales("epochs", {"EK-FAC": {6: (LOSS, OTHER), 24: (LOSS, LOSS)}}, seed=1)
    assert found.series["EK-FAC"][0] == rank_agreement(LOSS, OTHER, 1)
    assert found.series["EK-FAC"][1].value == pytest.approx(1)
    with pytest.raises(InputError, match="different images"):
        agreement_over_scales("epochs", {"EK-FAC": {6: (LOSS, scores_of(np.ones(60), ids=torch.arange(60) + 1))}})


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
    assert found.direction("overall") == "falls"
