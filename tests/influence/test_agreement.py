import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from influence_lib.errors import InputError
from influence_lib.influence import Scores, rank_agreement, top_overlap


def scores_of(values, ids=None) -> Scores:
    values = torch.as_tensor(np.asarray(values), dtype=torch.float32)[None]
    return Scores(values, torch.arange(values.shape[1]) if ids is None else ids, {})


def correlated(rho: float, n: int = 300, seed: int = 0):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    return scores_of(a), scores_of(rho * a + np.sqrt(1 - rho**2) * b)


def test_agreement_is_spearmans_and_its_interval_holds_it():
    a, b = correlated(0.6)
    agreement = rank_agreement(a, b)
    assert agreement.value == pytest.approx(spearmanr(a.values, b.values).statistic)
    assert agreement.low < agreement.value < agreement.high
    assert str(agreement) == f"{agreement.value:.3f} [{agreement.low:.3f}, {agreement.high:.3f}]"


def test_interval_covers_the_truth_and_narrows_with_more_images():
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # Spearman's correlation of a bivariate normal
    intervals = [rank_agreement(*correlated(0.6, n=100, seed=s)) for s in range(20)]
    covered = sum(i.low <= truth <= i.high for i in intervals)
    assert covered >= 16
    wide, narrow = (rank_agreement(*correlated(0.6, n=n)) for n in (100, 1600))
    assert narrow.high - narrow.low == pytest.approx((wide.high - wide.low) / 4, rel=0.5)


def test_monotone_scores_agree_fully():
    a, _ = correlated(0.0)
    same = scores_of(a.values.double().exp())
    assert rank_agreement(a, same).low == pytest.approx(1)
    assert top_overlap(a, same, 20) == 1


def test_overlap_counts_the_shared_top():
    a, b = scores_of([5, 4, 3, 2, 1]), scores_of([5, 1, 4, 3, 2])
    assert top_overlap(a, b, 2) == 0.5
    assert top_overlap(a, b, 5) == 1


@pytest.mark.parametrize("k", [0, 6])
def test_bad_k_is_named(k):
    a = scores_of([5, 4, 3, 2, 1])
    with pytest.raises(InputError, match=f"k is {k}"):
        top_overlap(a, a, k)


def test_scores_of_different_images_are_refused():
    a, b = scores_of([1, 2]), scores_of([1, 2], ids=torch.tensor([1, 0]))
    with pytest.raises(InputError, match="different images"):
        rank_agreement(a, b)
