"""Intervals over trainings and power, against simulations and other libraries."""

import numpy as np
import pytest
from scipy.stats import bootstrap, ttest_1samp

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from influence_lib.influence.agreement import spearman
from influence_lib.replication import combined, over_pairs, over_trainings, power, standard_error
from tests.studies.scores import scores_of

RNG = np.random.default_rng(0)


def agreement(a: Scores, b: Scores) -> float:
    return float(spearman(a.values.numpy(), b.values.numpy()))


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_interval_over_trainings_is_students(n):
    values = RNG.normal(0.8, 0.05, n)
    found = over_trainings(list(values))
    interval = ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.value, found.n, found.unit) == (pytest.approx(values.mean()), n, "training")
    assert standard_error(found) == pytest.approx(values.std(ddof=1) / n**0.5)


def test_an_interval_ends_where_the_number_does_and_its_error_stays():
    free, ended = over_trainings([0.8, 0.9, 1.0]), over_trainings([0.8, 0.9, 1.0], -1, 1)
    assert free.high > 1 == ended.high
    assert ended.low == free.low
    assert standard_error(ended) == pytest.approx(standard_error(free))


def test_pairs_of_a_statistic_that_is_a_sum_have_the_interval_of_a_mean():
    """For h(a, b) = (t_a + t_b) / 2 the mean over pairs is the mean of t, and the jackknife's error is exact."""
    values = RNG.normal(0, 1, 6)
    scores = [scores_of([value, value]) for value in values.astype(np.float32)]
    found = over_pairs(lambda a, b: float(a.values[0] + b.values[0]) / 2, scores)
    expected = over_trainings(list(values))
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=1e-6
    )


def test_pairs_of_three_trainings_know_that_they_share_trainings():
    """The interval of three pairs taken for independent would be half as long."""
    scores = [scores_of(values) for values in RNG.random((3, 40)) + np.linspace(0, 2, 40)]
    pairs = [agreement(scores[i], scores[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    found = over_pairs(agreement, scores)
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.margin == pytest.approx(2 * over_trainings(pairs).margin)


def test_an_interval_over_many_trainings_is_that_of_a_bootstrap_over_them():
    """Another way to the same interval: trainings are drawn with replacement, pairs with themselves left out."""
    truth = RNG.normal(size=300)
    values = truth + RNG.normal(size=(40, 300))
    found = over_pairs(agreement, [scores_of(each) for each in values])
    table = np.corrcoef(np.argsort(np.argsort(values)))

    def mean(drawn):
        i = drawn.astype(int)
        part, other = table[np.ix_(i, i)], i[:, None] != i[None]
        return part[other].mean()

    drawn = bootstrap((np.arange(40),), mean, vectorized=False, n_resamples=999, rng=RNG).confidence_interval
    assert found.margin == pytest.approx((drawn.high - drawn.low) / 2, rel=0.25)


def test_a_single_training_keeps_its_interval():
    single = Estimate(0.5, 0.4, 0.6, 1000)
    assert combined([single]) == single
    assert combined([single, Estimate.stated(0.7)]) == over_trainings([0.5, 0.7])
    with pytest.raises(InputError, match="the number of trainings is 0, but it must be 1 or more"):
        combined([])


def test_power_is_the_share_of_simulated_experiments_that_see_the_effect():
    effect, deviation, n = 2.3, 1.1 * 2**0.5, 5
    drawn = RNG.normal(effect, deviation, (20_000, n))
    seen = (ttest_1samp(drawn, 0, axis=1).pvalue < 0.05).mean()
    assert power(effect, deviation / n**0.5, n) == pytest.approx(seen, abs=0.015)
    assert power(-effect, deviation / n**0.5, n) == pytest.approx(power(effect, deviation / n**0.5, n))
    assert power(0, 1, n) == pytest.approx(0.05)
    assert power(2.3, 0.5 / 3**0.5, 3) == pytest.approx(0.957, abs=0.001)  # where SciPy's lower tail is not a number


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: over_trainings([0.5]), "the number of trainings is 1, but it must be 2 or more"),
        (lambda: over_trainings([0.5, float("nan")]), "a value is nan"),
        (
            lambda: over_pairs(agreement, [scores_of([1, 2])] * 2),
            "the number of trainings is 2, but it must be 3 or more",
        ),
        (lambda: over_pairs(agreement, [scores_of([1, 1])] * 3), "a value is nan"),
        (lambda: power(1, 0, 3), "error is 0"),
        (lambda: power(float("inf"), 1, 3), "effect is inf"),
        (lambda: power(1, 1, 1), "trainings is 1, but it must be 2 or more"),
        (lambda: standard_error(Estimate(0, -1, 1, 100)), "the unit of the interval is '100 image'"),
        (lambda: standard_error(Estimate.stated(1)), "the unit of the interval"),
    ],
)
def test_what_has_no_interval_over_trainings_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
