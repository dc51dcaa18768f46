import numpy as np
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.influence import TABLE_4, Scores, rank_agreement
from influence_lib.studies import PAPER_LOG_SCORES, PAPER_TABLE_4, explained_variance, log_scores


def scores_of(values, ids=None):
    values = torch.as_tensor(np.asarray(values), dtype=torch.float32)[None]
    return Scores(values, torch.arange(values.shape[1]) if ids is None else ids, {})


def test_normal_logarithms_have_the_mean_that_the_formula_says():
    logs = np.random.default_rng(0).normal(2, 0.7, size=200_000)
    found = log_scores(scores_of(np.exp(logs)))
    assert (found.mean, found.deviation) == (pytest.approx(2, abs=0.01), pytest.approx(0.7, abs=0.01))
    assert found.log_of_mean == pytest.approx(2 + 0.7**2 / 2, abs=0.01)


def test_a_score_of_0_has_no_logarithm():
    with pytest.raises(InputError, match=r"the least score is 0\.0, but all must be positive"):
        log_scores(scores_of([1.0, 0.0]))


def test_the_papers_means_differ_less_than_their_logarithms():
    """What the chapter says: μ + σ²/2 is nearly the same for all methods on CIFAR-10, while μ is not."""
    of_cifar10 = PAPER_LOG_SCORES["cifar10"].values()
    assert np.ptp([s.log_of_mean for s in of_cifar10]) < 0.15 < 0.5 < np.ptp([s.mean for s in of_cifar10])


def test_table_4_has_the_same_rows_here():
    assert list(PAPER_TABLE_4) == list(TABLE_4)


def test_one_explaining_score_explains_the_squared_rank_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    a, b = scores_of(x), scores_of(x + rng.normal(size=300))
    assert explained_variance(a, [b]) == pytest.approx(rank_agreement(a, b).value ** 2)
    assert explained_variance(a, [b, scores_of(np.exp(x))]) == pytest.approx(1)
    assert explained_variance(a, []) == pytest.approx(0)


def test_scores_of_other_images_are_refused():
    with pytest.raises(InputError, match="different images"):
        explained_variance(scores_of([1, 2]), [scores_of([1, 2], torch.tensor([1, 0]))])


def test_scores_that_do_not_belong_together_are_refused():
    def of(**data):
        return Scores(torch.tensor([[1.0, 2.0, 4.0]]), torch.arange(3), {"data": data})

    with pytest.raises(InputError, match="with other pixels or labels"):
        explained_variance(of(name="a", split="b", fingerprint="c"), [of(name="a", split="b", fingerprint="d")])
    with pytest.raises(InputError, match="not finite"):
        explained_variance(scores_of([1, 2, np.nan]), [])
    with pytest.raises(InputError, match="by is 'Scores', but it must be a list of Scores"):
        explained_variance(scores_of([1, 2]), scores_of([1, 2]))


def test_a_constant_has_no_variance():
    with pytest.raises(InputError, match="the same for all images: there is no variance to explain"):
        explained_variance(scores_of([1, 1]), [scores_of([1, 2])])


@pytest.mark.parametrize("values", [[], [1, np.nan], [1, np.inf], [1, -1]])
def test_logarithms_need_positive_finite_scores(values):
    with pytest.raises(InputError, match=r"not finite|must be positive"):
        log_scores(scores_of(values))
