import math

import numpy as np
import pytest
import torch
from torch import nn

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import GaussianNoise, self_influence
from influence_lib.studies import Scorer, all_agreements
from influence_lib.studies.scoring import (
    Comparison,
    beside,
    clearest,
    compare,
    nine_scores,
)
from tests.studies.scoring.conftest import scores_of


def comparison(value, low, high):
    return Comparison(Estimate(0.5, 0.4, 0.6, 9), Estimate(value, low, high, 9), scores_of([3.0, -1.0, -2.0]))


@pytest.mark.parametrize(
    ("corrected", "explained", "differs"),
    [
        ((0.9, 0.8, 0.95), (0.81, 0.64, 0.9025), True),
        ((0.99, 0.9, 1.02), (0.9801, 0.81, 1), False),
        ((1.1, 1.05, 1.2), (1, 1, 1), False),
        ((-0.5, -0.6, -0.4), (0.25, 0.16, 0.36), True),
        ((0.1, -0.3, 0.2), (0.01, 0, 0.09), True),
        ((0.9, math.nan, math.nan), (0.81, math.nan, math.nan), False),
    ],
)
def test_what_is_explained_is_the_square(corrected, explained, differs):
    found = comparison(*corrected)
    assert found.differs == differs
    part, rest = found.explained, found.unexplained
    assert (part.value, part.low, part.high) == pytest.approx(explained, nan_ok=True)
    value, low, high = explained
    assert (rest.value, rest.low, rest.high) == pytest.approx((1 - value, 1 - high, 1 - low), nan_ok=True)
    assert (part.n, rest.unit) == (9, "image")


def test_the_median_difference_is_of_magnitudes():
    assert comparison(1, 1, 1).median_difference == 2


def test_the_same_ranking_in_other_noise_is_not_told_apart():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(2, 400))
    a, b, other = (signal[i] + 0.5 * rng.normal(size=(4, 400)) for i in (0, 0, 1))
    scores = {"a": scores_of(a), "b": scores_of(np.exp(b)), "other": scores_of(other)}
    found = compare(scores, [("a", "b"), ("a", "other")])
    assert found["a", "b"].corrected.value == pytest.approx(1, abs=0.05)
    assert found["a", "b"].same_draws.value < 0.95  # which is noise
    assert not found["a", "b"].differs
    assert found["a", "other"].differs
    assert found["a", "other"].unexplained.value > 0.95


def test_scores_of_other_draws_are_not_compared():
    scores = {"a": scores_of(np.eye(3)[:2]), "b": scores_of(np.eye(3))}
    with pytest.raises(InputError, match="2 and 3 draws"):
        compare(scores, [("a", "b")])


def test_nine_scores_of_any_encoder(scorer, images):
    found = nine_scores(scorer, images)
    assert len(found) == 9
    direct = self_influence(scorer.encoder, images, scorer.perturbation, curvature="kfac", draws=2, progress=False)
    assert torch.equal(found["K-FAC"].by_draw, direct.by_draw)
    assert {name: len(score.by_draw) for name, score in found.items() if len(score.by_draw) != 2} == {
        "embedding norm": 1,
        "kNN distance": 1,
    }
    assert all(torch.equal(score.ids, images.ids) for score in found.values())
    agreements = all_agreements(found)
    assert len(agreements) == 36
    assert next(iter(agreements)) == ("EK-FAC", "K-FAC")


def test_stored_scores_are_computed_once(images, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    kept = Scorer(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), GaussianNoise(0.05, 0.3), place="artifacts")
    computed = (
        kept.scores(self_influence, images, curvature="identity", draws=3),
        kept.cross(images, images, "identity"),
    )
    monkeypatch.setattr("influence_lib.influence.scoring.gradient_source", None)
    monkeypatch.setattr("influence_lib.influence.cross.gradient_source", None)
    again = kept.scores(self_influence, images, curvature="identity", draws=3), kept.cross(images, images, "identity")
    assert len(again[0].by_draw) == 3
    assert torch.equal(again[0].by_draw, computed[0].by_draw)
    assert torch.equal(again[1], computed[1])


def test_a_multiple_ranks_alike_and_has_its_factor():
    rng = np.random.default_rng(0)
    values = rng.random((2, 30)) + 1
    reference, reverse = scores_of(values), scores_of(-values)
    found = beside(reference, {"twice": scores_of(2 * values), "reverse": reverse}, same_units=["twice"])
    assert found.loc["twice", "ratio"] == 2
    assert np.isnan(found.loc["reverse", "ratio"])
    assert [found["agreement"][name].value for name in ("twice", "reverse")] == pytest.approx([1, -1])
    assert found.loc["twice", "reliability"] == pytest.approx(reference.reliability)


def test_the_clearest_is_the_largest_whose_interval_is_off_0():
    values = {
        "weak": Estimate(0.2, 0.1, 0.3, 9),
        "wide": Estimate(0.8, -0.1, 0.9, 9),
        "negative": Estimate(-0.5, -0.6, -0.4, 9),
        "unknown": Estimate(math.nan, math.nan, math.nan, 9),
    }
    assert clearest(values) == "negative"
    assert clearest({name: values[name] for name in ("wide", "unknown")}) is None
    assert clearest({}) is None
