import numpy as np
import pytest

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from influence_lib.studies import Scorer
from influence_lib.studies.scoring import (
    SAMPLED,
    TRUNCATED,
    DampingCurves,
    LossesAndViews,
    damping_curves,
    draws_needed,
    losses_and_views,
    other_matrices,
    reliability_by_draws,
    spearman_brown,
)
from tests.studies.scoring.conftest import scores_of


def test_a_large_damping_leaves_the_gradient_norm(scorer, images):
    found = damping_curves(scorer, images, multiples=(1e-3, 1e5))
    assert found.curves["gradient norm"][1] > 0.999 > found.curves["gradient norm"][0]
    assert {name: len(values) for name, values in found.curves.items()} == dict.fromkeys(found.curves, 2)
    assert len(found.curves) == 4
    assert found.decades == pytest.approx(8)
    with pytest.raises(InputError, match=r"damping is -?0.0"):
        damping_curves(scorer, images, multiples=(0.0,))


def test_the_lowest_is_with_the_default():
    curves = {"default (0.1 × each layer's mean)": np.array([0.9, 0.7]), "raw loss": np.array([0.1, 0.2])}
    assert DampingCurves(np.array([10.0, 1.0]), curves).lowest == 0.7
    assert DampingCurves(np.array([10.0, 1.0]), curves).decades == pytest.approx(1)


def test_other_matrices_are_held_against_ekfac(scorer, images):
    found = other_matrices(scorer, images)
    assert list(found.table.index[found.table["ratio"].notna()]) == [SAMPLED, TRUNCATED]
    assert abs(found.table.loc[TRUNCATED, "ratio"] - 1) <= found.measured < 0.1
    assert found.table["agreement"][TRUNCATED].value > 0.95
    assert found.table["agreement"].map(lambda agreement: agreement.n).tolist() == [24] * 5
    assert found.deviation.rank == 64


def test_reliability_of_a_signal_in_noise_follows_spearman_and_brown():
    rng = np.random.default_rng(0)
    score = scores_of(rng.normal(size=4000) + rng.normal(size=(9, 4000)))
    found = reliability_by_draws(score)
    assert found.index.tolist() == [1, 2, 4]
    expected = spearman_brown(0.5, found.index.to_numpy())
    np.testing.assert_allclose(found, expected, atol=0.03)  # of ranks, and not of values
    assert reliability_by_draws(scores_of(np.tile(np.arange(5.0), (2, 1)))).to_dict() == {1: pytest.approx(1)}


def test_every_pair_of_draws_counts_once():
    """Of four draws 1 and 2 agree, 3 and 4 are opposite: the mean is 0."""
    x = np.arange(6.0)
    assert reliability_by_draws(scores_of(np.stack([x, x, x, -x]))).loc[1] == pytest.approx(0)


def test_one_draw_has_no_reliability():
    with pytest.raises(InputError, match="the number of draws is 1, but it must be 2 or more"):
        reliability_by_draws(scores_of([1.0, 2.0]))


@pytest.mark.parametrize("r", [0.1, 0.5, 0.93])
def test_means_of_means_are_means(r):
    assert spearman_brown(r, 1) == pytest.approx(r)
    assert spearman_brown(float(spearman_brown(r, 2)), 3) == pytest.approx(float(spearman_brown(r, 6)))
    needed = draws_needed(r)
    assert spearman_brown(r, needed) >= 0.95 - 1e-9
    assert needed == 1 or spearman_brown(r, needed - 1) < 0.95


def test_draws_that_are_needed():
    assert draws_needed(0.5, 0.75) == 3
    assert draws_needed(0.5) == 19
    assert draws_needed(0.99) == draws_needed(1) == 1
    assert draws_needed(0) is draws_needed(-0.2) is draws_needed(float("nan")) is None
    for target in (0, 1, 1.5, "x"):
        with pytest.raises(InputError, match="target is"):
            draws_needed(0.5, target)


def constructed():
    scores = {
        "a1": scores_of([[1.0, 2, 3], [1, 2, 3]], views="one"),
        "a2": scores_of([[1.0, 2, 3], [3, 2, 1]], views="two"),
        "b1": scores_of([[1.0, 2, 3], [1, 3, 2]], views="one"),
        "b2": scores_of([[1.0, 2, 3], [1, 2, 3]], views="two"),
    }
    values = {("a1", "a2"): 0.3, ("a1", "b1"): 0.9, ("a1", "b2"): 0.4}
    values |= {("a2", "b1"): 0.1, ("a2", "b2"): 0.8, ("b1", "b2"): 0.2}
    return LossesAndViews(scores, {pair: Estimate(v, v - 0.1, v + 0.1, 3) for pair, v in values.items()})


def test_what_is_said_of_known_agreements():
    found = constructed()
    assert found.default == "a1"
    assert {name: v.value for name, v in found.with_default.items()} == {"a2": 0.3, "b2": 0.4, "b1": 0.9}
    assert list(found.with_default) == ["a2", "b2", "b1"]
    assert found.farthest == ("a2", "b1")
    assert found.least_reliable == "a2"
    assert found.median(same_views=True) == pytest.approx(0.85)
    assert found.median(same_views=False) == pytest.approx(0.25)


def test_six_settings_of_any_encoder(scorer, images):
    found = losses_and_views(scorer, images)
    assert found.default == "cosine, one view"
    assert len(found.scores) == 6
    assert len(found.agreements) == 15
    described = {name: (score.settings["loss"], score.settings["views"]) for name, score in found.scores.items()}
    assert described["SimCLR's loss, two views"] == ("ntxent", "two")
    assert all(isinstance(score, Scores) and score.reliability is not None for score in found.scores.values())
    with pytest.raises(InputError, match="draws is 1"):
        losses_and_views(Scorer(scorer.encoder, scorer.perturbation, draws=1), images)
