"""Numbers with their uncertainty: intervals against closed forms, and the words for them."""

import math

import numpy as np
import pytest
from scipy.stats import t

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate, bootstrapped, compared, mean, over_trainings, share

HALF = Estimate(0.5, 0.4, 0.6, 50)


def test_interval_of_a_share_is_wilsons():
    found = share(np.array([True] * 8 + [False] * 2))
    z, p, n = 1.959964, 0.8, 10
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-5)
    assert (found.value, found.n, found.unit) == (0.8, 10, "image")


def test_interval_of_a_mean_is_about_students():
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = mean(values, "query")
    half = t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)
    assert (found.n, found.unit) == (400, "query")


def test_a_mean_of_equal_values_has_no_width():
    assert mean(np.array([2.0, 2.0]), "query") == Estimate(2.0, 2.0, 2.0, 2, "query")


def test_what_belongs_to_one_unit_stays_together():
    x = np.arange(30.0)
    difference = bootstrapped(lambda a, b, axis=-1: (b - a).mean(axis), (x, x + 1))
    assert (difference.value, difference.low, difference.high) == pytest.approx((1, 1, 1))


def test_the_seed_alone_decides_the_interval():
    values = np.random.default_rng(0).random(20)
    assert mean(values, "image", 1) == mean(values, "image", 1) != mean(values, "image", 2)


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (0.39, "above"),
        (0.61, "below"),
        (0.4, "not clearly different from"),
        (0.6, "not clearly different from"),
        (Estimate(0.3, 0.2, 0.39, 9), "above"),
        (Estimate(0.3, 0.2, 0.41, 9), "not clearly different from"),
        (Estimate(0.7, 0.61, 0.8, 9), "below"),
        (math.nan, "not clearly different from"),
    ],
)
def test_an_interval_is_above_below_or_neither(other, word):
    assert HALF.compared(other) == word
    assert (HALF.above(other), HALF.below(other)) == (word == "above", word == "below")


def test_several_are_compared_together():
    above, below = Estimate(0.9, 0.8, 1.0, 9), Estimate(0.1, 0.0, 0.2, 9)
    assert (compared([HALF, above], 0.3), compared(iter([HALF, below]), 0.7)) == ("above", "below")
    assert compared([HALF, above], 0.5) == compared([above, below], 0.5) == "about"
    assert compared([HALF, above], below) == "above"
    with pytest.raises(InputError, match="number of estimates is 0"):
        compared([], 0.5)


def test_the_margin_is_half_the_interval():
    assert HALF.margin == pytest.approx(0.1)


def test_an_interval_that_is_not_known_is_neither_above_nor_below():
    unknown = Estimate(0.5, math.nan, math.nan, 3)
    assert unknown.compared(0) == HALF.compared(unknown) == "not clearly different from"


def test_it_is_written_in_any_format():
    assert (str(HALF), f"{HALF:.1%}") == ("0.500 [0.400, 0.600]", "50.0% [40.0%, 60.0%]")
    assert f"{Estimate.stated(0.96):.2f}" == "0.96"
    assert Estimate(**HALF.describe()) == HALF


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: share(np.array([], dtype=bool)), "number of hits is 0"),
        (lambda: mean(np.array([]), "query"), "number of values is 0"),
        (lambda: mean(np.array([1.0, 2.0]), "query", seed=-1), "seed is -1"),
    ],
)
def test_nothing_has_no_estimate(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()


def test_several_trainings_have_students_interval():
    values = [0.3, 0.5, 0.4]
    found = over_trainings(Estimate(value, 0, 1, 1000) for value in values)
    low, high = t.interval(0.95, 2, np.mean(values), np.std(values, ddof=1) / np.sqrt(3))
    assert (found.value, found.low, found.high) == pytest.approx((0.4, low, high))
    assert (found.n, found.unit) == (3, "training")


def test_a_single_training_keeps_its_interval():
    assert over_trainings([HALF]) == HALF
    with pytest.raises(InputError, match="the number of trainings is 0"):
        over_trainings([])
