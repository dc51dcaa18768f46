"""What several trainings say, on scores whose answers are known."""

import numpy as np
import pytest

from influence_lib.errors import InputError
from influence_lib.replication import over_trainings, standard_error
from influence_lib.studies.bend import agreement_at_the_top
from influence_lib.studies.stability import (
    agreement_of_trainings,
    along_trainings,
    correlation_with,
    high_scores,
    score_and_loss,
    shift,
    skewness,
)
from tests.studies.scores import scores_of

RNG = np.random.default_rng(0)
VALUES = RNG.random((3, 60)) + 1
SCORES, LOSSES = ([scores_of(each) for each in part] for part in (VALUES, VALUES + RNG.random((3, 60))))


def test_trainings_that_rank_alike_agree_wholly():
    alike = [scores_of(VALUES[0] ** power) for power in (1, 2, 3)]
    found = agreement_of_trainings(alike)
    assert (found.value, found.low, found.high, found.n) == (pytest.approx(1), pytest.approx(1), pytest.approx(1), 3)


def test_the_correlation_is_taken_within_each_training():
    turned = [scores_of(-values) for values in VALUES]
    assert correlation_with(SCORES, turned).value == pytest.approx(-1)
    assert abs(agreement_of_trainings(SCORES).value) < 0.4


def test_score_and_loss_are_compared_as_in_a_single_training():
    found = score_and_loss(SCORES, LOSSES)
    single = [agreement_at_the_top(score, loss) for score, loss in zip(SCORES, LOSSES, strict=True)]
    names = {
        "overall": "overall",
        "within the highest losses": "within",
        "top shared": "top",
        "bottom shared": "bottom",
    }
    for name, field in names.items():
        expected = over_trainings([getattr(each, field).value for each in single])
        assert found[name].value == pytest.approx(expected.value)
        assert standard_error(found[name]) == pytest.approx(standard_error(expected))


def test_the_share_of_high_scores_is_counted_against_the_earlier_ones():
    before = [scores_of(np.arange(1.0, 101)), scores_of(np.arange(2.0, 202, 2))]
    after = [scores_of(np.arange(11.0, 111)), scores_of(np.arange(1.0, 101))]
    found = high_scores(before, after)
    assert found.value == pytest.approx((0.10 - 0.10) / 2)
    assert (found.low, found.high) == pytest.approx((over_trainings([0.1, -0.1]).low, over_trainings([0.1, -0.1]).high))


def test_the_shift_is_that_of_the_logarithms():
    louder = [scores_of(values * factor) for values, factor in zip(VALUES, (2, 4, 8), strict=True)]
    found = shift(SCORES, louder)
    assert found.value == pytest.approx(2 * np.log(2), rel=1e-6)
    assert found.margin == pytest.approx(over_trainings(list(np.log([2, 4, 8]))).margin, rel=1e-5)


def test_along_trainings_has_a_trend_for_each_claim():
    later = [{"EK-FAC": score, "raw loss": loss} for score, loss in zip(SCORES, LOSSES, strict=True)]
    early = [{"EK-FAC": loss, "raw loss": score} for score, loss in zip(SCORES, LOSSES, strict=True)]
    found = along_trainings({20: later, 5: early})
    assert found.between.at == found.with_loss.at == found.high.at == (5, 20)
    assert found.between.series["EK-FAC"] == (agreement_of_trainings(LOSSES), agreement_of_trainings(SCORES))
    assert found.with_loss.series["overall"][1] == score_and_loss(SCORES, LOSSES)["overall"]
    assert found.high.series[""] == (high_scores(LOSSES, LOSSES), high_scores(LOSSES, SCORES))
    assert found.high.series[""][0].value == 0
    assert found.tail.series[""][1] == over_trainings([skewness(each) for each in SCORES])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: agreement_of_trainings(SCORES[:2]), "the number of trainings is 2, but it must be 3 or more"),
        (lambda: along_trainings({}), "the number of trainings is 0"),
        (lambda: along_trainings({5: []}), "the number of trainings is 0"),
        (lambda: along_trainings({5: [{"EK-FAC": SCORES[0]}]}), "loss is 'raw loss'"),
        (lambda: correlation_with(SCORES, LOSSES[:2]), "the number of trainings is '3 and 2'"),
        (lambda: correlation_with(SCORES[:1], LOSSES[:1]), "the number of trainings is 1, but it must be 2 or more"),
        (lambda: shift(SCORES, [scores_of(values - 2) for values in VALUES]), "the least score is -"),
        (lambda: high_scores(SCORES, [scores_of(values[:30]) for values in VALUES]), "30"),
        (lambda: score_and_loss(SCORES, [scores_of(np.ones(60))] * 3), "a value is nan"),
    ],
)
def test_what_does_not_belong_together_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
