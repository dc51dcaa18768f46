import numpy as np
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import rank_agreement
from influence_lib.studies import all_agreements, correlates, extremes, mean_distance, shared_top, top_size
from tests.studies.scores import scores_of

UP, DOWN = scores_of([1, 2, 3, 4]), scores_of([4, 3, 2, 1])
OTHER = scores_of([1, 2, 3, 4], ids=torch.arange(4) + 1)


def test_every_two_scores_are_compared_once():
    found = all_agreements({"a": UP, "b": DOWN, "c": UP})
    assert {pair: each.value for pair, each in found.items()} == {
        ("a", "b"): pytest.approx(-1),
        ("a", "c"): pytest.approx(1),
        ("b", "c"): pytest.approx(-1),
    }
    assert all_agreements({"a": UP}) == {}
    with pytest.raises(InputError, match="different images"):
        all_agreements({"a": UP, "b": OTHER})


def test_correlates_are_rank_agreements_with_the_same_seed():
    rng = np.random.default_rng(0)
    a, b, c = (scores_of(rng.normal(size=50)) for _ in range(3))
    assert correlates(a, {"b": b, "c": c}, seed=3) == {"b": rank_agreement(a, b, 3), "c": rank_agreement(a, c, 3)}


def test_the_top_is_shared_in_part():
    table = shared_top(UP, {"up": UP, "half": scores_of([9, 2, 3, 5]), "down": DOWN}, k=2)
    assert table["shared"].to_dict() == {"up": 1, "half": 0.5, "down": 0}
    assert table["reliability"].isna().all()
    two_draws = scores_of([1, 2, 3, 4], [4, 1, 2, 3])
    assert shared_top(UP, {"two": two_draws}, k=2).loc["two", "reliability"] == 0.5
    with pytest.raises(InputError, match="k is 5"):
        shared_top(UP, {"up": UP}, k=5)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (12, 6), (100, 10), (500, 10), (5000, 100)])
def test_the_top_is_a_fiftieth_within_bounds(n, k):
    assert top_size(n) == k


def test_extremes_pass_over_what_is_not_estimated():
    found = {"a": Estimate.stated(0.3), "b": Estimate.stated(float("nan")), "c": Estimate.stated(-0.2)}
    assert extremes(found) == ("c", "a")
    for nothing in ({}, {"b": found["b"]}):
        with pytest.raises(InputError, match="the number of estimates is 0"):
            extremes(nothing)


def test_the_mean_distance_is_over_what_is_stated():
    found = {"a": Estimate.stated(0.5), "b": Estimate.stated(0.9), "c": Estimate.stated(0)}
    assert mean_distance(found, {"a": 0.6, "b": 0.6}) == pytest.approx(0.2)
    with pytest.raises(InputError, match="'d' has a stated value, but no estimate"):
        mean_distance(found, {"d": 0.1})
    with pytest.raises(InputError, match="the number of stated values is 0"):
        mean_distance(found, {})
