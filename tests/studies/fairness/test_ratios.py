"""Counts in a finite pool, against sums over all counts, other libraries and simulation."""

from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest, fisher_exact, nchypergeom_fisher
from scipy.stats.contingency import odds_ratio

from influence_lib.errors import InputError
from influence_lib.studies.fairness import (
    expected_ratio,
    null_counts,
    p_value,
    ratio,
    smallest_ratio_seen,
    unevenness,
)

POOL = (40, 10, 12)  # images, members, top


def law(total, members, k, odds=1.0):
    """Return the probabilities of all counts, by their definition."""
    weights = np.array([comb(members, c) * comb(total - members, k - c) * odds**c for c in range(min(k, members) + 1)])
    return weights / weights.sum()


def test_the_p_value_is_a_sum_over_counts():
    probabilities = law(*POOL)
    for count in range(11):
        tails = probabilities[: count + 1].sum(), probabilities[count:].sum()
        assert p_value(count, *POOL) == pytest.approx(min(1, 2 * min(tails)))


def test_the_p_value_is_near_that_of_fishers_test():
    table = [[24, 1476], [76, 8924]]
    assert p_value(24, 10_500, 1_500, 100) == pytest.approx(fisher_exact(table).pvalue, rel=0.5)


def test_few_of_a_large_pool_are_as_good_as_drawn_with_replacement():
    assert p_value(24, 10_000_000, 1_428_571, 100) == pytest.approx(
        2 * binomtest(24, 100, 1 / 7, alternative="greater").pvalue, rel=1e-3
    )


def test_null_counts_leave_out_at_most_the_tails():
    low, high = null_counts(*POOL)
    probabilities = law(*POOL)
    assert probabilities[:low].sum() <= 0.025 < probabilities[: low + 1].sum()
    assert probabilities[high + 1 :].sum() <= 0.025 < probabilities[high:].sum()


@pytest.mark.parametrize("count", [1, 3, 6, 9])
def test_the_interval_is_that_of_the_conditional_odds_ratio(count):
    """SciPy's exact interval of the odds ratio, read as the ratio that it gives in expectation."""
    total, members, k = POOL
    table = [[count, k - count], [members - count, total - members - k + count]]
    limits = odds_ratio(table).confidence_interval()
    found = ratio(count, *POOL)
    expected = [law(*POOL, odds) @ np.arange(11) / (k * members / total) for odds in limits]
    assert [found.low, found.high] == pytest.approx(expected, rel=1e-6)
    assert found.value == count / (k * members / total)
    assert found.low < found.value < found.high


def test_the_interval_ends_where_counts_end():
    assert ratio(0, *POOL).low == 0
    assert ratio(10, *POOL).high == pytest.approx(10 / 3)
    assert ratio(2, 12, 10, 2).high == pytest.approx(1.2)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    odds = 2.5
    truth = expected_ratio(odds, *POOL)
    held = [ratio(count, *POOL).low <= truth <= ratio(count, *POOL).high for count in range(11)]
    assert law(*POOL, odds) @ np.array(held) >= 0.95


def test_what_would_have_been_seen_is_seen_with_the_chance():
    below, above = smallest_ratio_seen(400, 100, 60, chance=0.8)
    refused = np.array([p_value(count, 400, 100, 60) < 0.05 for count in range(61)])
    for limit, upper in ((below, False), (above, True)):
        odds = np.exp(np.linspace(-3, 3, 2001))
        at = odds[np.argmin([abs(expected_ratio(each, 400, 100, 60) - limit) for each in odds])]
        counts = np.arange(61)
        side = refused & ((counts > 15) == upper)
        assert law(400, 100, 60, at) @ side == pytest.approx(0.8, abs=0.02)


def test_what_can_never_be_seen_is_said():
    assert smallest_ratio_seen(100, 2, 5) == (0.0, pytest.approx(19.6, rel=0.2))
    assert smallest_ratio_seen(10, 1, 5) == (0.0, float("inf"))


@pytest.mark.parametrize("odds", [0.01, 0.5, 1.0, 20.0])
def test_the_expected_ratio_is_scipys_mean(odds):
    for total, members, k in (POOL, (10_500, 1_500, 100), (12, 10, 6)):
        mean = nchypergeom_fisher(total, members, k, odds).mean()
        assert expected_ratio(odds, total, members, k) == pytest.approx(mean / (k * members / total), rel=1e-8)


def test_unevenness_is_the_share_of_tops_that_are_drawn():
    rng = np.random.default_rng(1)
    members = [30, 50, 20]
    tops = rng.multivariate_hypergeometric(members, 20, 5000)
    expected = 20 * np.array(members) / 100
    chi = ((tops - expected) ** 2 / expected).sum(axis=1)
    counts = [12, 6, 2]
    own = ((np.array(counts) - expected) ** 2 / expected).sum()
    assert unevenness(counts, members) == pytest.approx((chi >= own - 1e-9).mean(), abs=0.01)
    assert unevenness([6, 10, 4], members) == 1
    assert unevenness([20, 0, 0], members) < 1e-3


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: p_value(13, *POOL), "count is 13"),
        (lambda: p_value(1, 40, 41, 12), "members is 41"),
        (lambda: ratio(1, 40, 10, 0), "k is 0"),
        (lambda: null_counts(40, 10, 12, level=0), "level is 0"),
        (lambda: expected_ratio(0, *POOL), "odds is 0"),
        (lambda: smallest_ratio_seen(*POOL, chance=0), "chance is 0"),
        (lambda: unevenness([1], [2]), "the number of groups is '1 and 1'"),
        (lambda: unevenness([3, 1], [2, 2]), r"counts is \[3, 1\]"),
        (lambda: unevenness([0, 0], [2, 2]), r"counts is \[0, 0\]"),
    ],
)
def test_what_is_no_count_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
