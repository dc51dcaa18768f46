"""Representation over sizes and trainings, and odds with and without what was measured of the pictures."""

import numpy as np
import pandas as pd
import pytest

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.studies.fairness import adjusted_odds, e_value, representation
from tests.studies.scores import scores_of

RNG = np.random.default_rng(0)
N = 400
GROUPS = RNG.choice(["a", "b", "c"], N)
FAIR = RNG.normal(size=(3, N))
HIGHER = FAIR + 1.5 * (GROUPS == "a")


def test_ratios_are_the_mean_over_trainings():
    found = representation([scores_of(each) for each in HIGHER], GROUPS, [20, 50, N])
    own = [np.mean(GROUPS[np.argsort(each)[-50:]] == "a") / np.mean(GROUPS == "a") for each in HIGHER]
    assert found.ratios.loc[50, "a"] == pytest.approx(np.mean(own))
    assert (found.ratios.loc[N] == 1).all()
    assert (found.low.loc[N] == 1).all()
    lowest = representation([scores_of(-each) for each in HIGHER], GROUPS, [50], end="lowest")
    assert lowest.ratios.loc[50, "a"] == pytest.approx(found.ratios.loc[50, "a"])


def test_a_group_that_scores_higher_leaves_the_band():
    found = representation([scores_of(each) for each in HIGHER], GROUPS, [20, 50, 100])
    assert (found.ratios["a"] > found.high["a"]).all()
    assert found.p["a"] < 0.01


def test_the_same_top_in_every_training_is_no_more_evidence():
    """Trainings that agree are one: the band of three equal trainings is that of one."""
    once, thrice = (representation([scores_of(FAIR[0])] * n, GROUPS, [20, 50]) for n in (1, 3))
    pd.testing.assert_frame_equal(once.high, thrice.high)
    different = representation([scores_of(each) for each in FAIR], GROUPS, [20, 50])
    assert (different.high < once.high).all().all()


def test_fair_scores_stay_in_the_band_as_often_as_it_says():
    rng = np.random.default_rng(2)
    left = sum(
        representation([scores_of(rng.normal(size=N))], GROUPS, [20, 50, 100], seed=i).p.min() < 0.05 for i in range(40)
    )
    assert left <= 6  # of a true rate of 5 % as many or fewer come out with 99 %


def test_a_group_that_differs_in_brightness_alone_loses_its_odds():
    rng = np.random.default_rng(3)
    group = rng.choice(["dark", "light"], 4000)
    brightness = rng.normal(size=4000) + 1.0 * (group == "light")
    score = brightness + 0.5 * rng.normal(size=4000)
    found = adjusted_odds(score > np.quantile(score, 0.8), group, {"brightness": brightness})
    assert found.loc["light", "alone"].above(2)
    assert not found.loc["light", "adjusted"].above(1)
    assert found.loc["light", "e_value"] == 1


def test_the_odds_alone_are_those_of_the_table():
    """A logistic regression on one indicator has the odds ratio of the 2×2 table, and Woolf's interval."""
    rng = np.random.default_rng(4)
    group, top = rng.choice(["x", "y"], 1000), rng.random(1000) < 0.3
    a, b, c, d = (np.sum((group == g) & (top == t)) for g in ("x", "y") for t in (True, False))
    found = adjusted_odds(top, group, {"noise": rng.normal(size=1000)}).loc["x", "alone"]
    assert found.value == pytest.approx(a * d / (b * c), rel=1e-6)
    reach = 1.959964 * (1 / a + 1 / b + 1 / c + 1 / d) ** 0.5
    assert found.low == pytest.approx(found.value * np.exp(-reach), rel=1e-4)


def test_the_e_value_is_the_published_one():
    """VanderWeele and Ding's first example: a risk ratio of 3.9 needs 7.26, its limit of 1.8 needs 3.0."""
    assert e_value(Estimate(5.0, 3.9, 6.0, 100), 0.01) == pytest.approx(7.26, abs=0.01)
    assert e_value(Estimate(3.9, 1.8, 8.7, 100), 0.01) == pytest.approx(3.0, abs=0.01)
    assert e_value(Estimate(1 / 3.9, 1 / 8.7, 1 / 1.8, 100), 0.01) == pytest.approx(3.0, abs=0.01)
    assert e_value(Estimate(1.2, 0.9, 1.6, 100), 0.01) == 1
    assert e_value(Estimate(5.0, 4.0, 6.0, 100), 0.5) == pytest.approx(2 + 2**0.5)


SCORES = [scores_of(FAIR[0])]
TOP = FAIR[0] > np.quantile(FAIR[0], 0.7)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: representation([], GROUPS, [5]), "the number of trainings is 0"),
        (lambda: representation(SCORES, GROUPS[:-1], [5]), "the number of groups' labels is 399"),
        (lambda: representation(SCORES, ["a"] * N, [5]), "the number of groups is 1"),
        (lambda: representation(SCORES, GROUPS, []), "the number of sizes is 0"),
        (lambda: representation(SCORES, GROUPS, [0]), "k is 0"),
        (lambda: representation(SCORES, GROUPS, [5], end="top"), "end is 'top'"),
        (lambda: adjusted_odds(TOP, GROUPS, {}), "the number of measures is 0"),
        (lambda: adjusted_odds(TOP, GROUPS, {"m": [1.0] * N}), "'m' is 1.0, but it must be a number that differs"),
        (lambda: adjusted_odds(TOP, GROUPS, {"m": [1.0]}), "the number of values of 'm' is 1"),
        (lambda: adjusted_odds(TOP, GROUPS, {"m": [float("nan")] * N}), "that are not finite is 400"),
        (lambda: adjusted_odds(TOP, GROUPS[:-1], {"m": FAIR[1]}), "the number of groups' labels is 399"),
        (lambda: adjusted_odds(TOP, ["a"] * N, {"m": FAIR[1]}), "the number of groups is 1"),
        (lambda: adjusted_odds(np.arange(N) < 5, GROUPS, {"m": FAIR[1]}), "the number of images at the end is 5"),
        (lambda: adjusted_odds(TOP, np.where(TOP, "in", "out"), {"m": FAIR[1]}), "of the group 'in' all images"),
        (lambda: e_value(Estimate(2.0, 1.5, 2.5, 10), 0), "share is 0"),
    ],
)
def test_wrong_input_is_one_sentence(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
