import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from influence_lib.errors import InputError
from influence_lib.influence import (
    Scores,
    corrected_agreement,
    partial_agreement,
    percentile_difference,
    rank_agreement,
    top_overlap,
)


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


def noisy(own: np.ndarray, common: np.ndarray, size: float, seed: int = 0, draws: int = 4) -> Scores:
    """Return scores whose noise is half their own and half of the draws, which other scores share."""
    noise = np.random.default_rng([7, seed]).normal(size=(draws, len(own)))
    return Scores(torch.from_numpy(own + size * (noise + common) / 2**0.5).float(), torch.arange(len(own)), {})


@pytest.mark.parametrize("draws", [2, 4, 5])
def test_corrected_agreement_is_that_without_noise(draws):
    a, b = correlated(0.8, n=800)
    common = np.random.default_rng(9).normal(size=(draws, len(a)))
    scores = [noisy(s.values.double().numpy(), common, 0.7, i, draws) for i, s in enumerate((a, b))]
    truth = spearmanr(a.values, b.values).statistic
    corrected = corrected_agreement(*scores)
    assert corrected.low < truth < corrected.high
    assert corrected.high - corrected.low < 0.12
    assert rank_agreement(*scores).low < corrected.low  # attenuated, and not repaired by what the draws share


def test_shared_noise_alone_is_no_agreement():
    a, b = correlated(0.0, n=600)
    common = 2 * np.random.default_rng(9).normal(size=(4, 600))
    scores = [noisy(s.values.double().numpy(), common, 1.0, i) for i, s in enumerate((a, b))]
    assert rank_agreement(*scores).low > 0.2
    corrected = corrected_agreement(*scores)
    assert corrected.low < 0 < corrected.high


def test_a_score_agrees_fully_with_itself_without_noise():
    a, _ = correlated(0.0, n=500)
    itself = noisy(a.values.double().numpy(), np.zeros((4, 500)), 0.5)
    assert corrected_agreement(itself, itself).value == pytest.approx(1)
    opposite = Scores(-itself.by_draw, itself.ids, {})
    assert corrected_agreement(itself, opposite).value == pytest.approx(-1)


def test_noise_of_different_size_does_not_tell_scores_apart():
    a, _ = correlated(0.0, n=1500)
    little, much = (noisy(a.values.double().numpy(), np.zeros((4, 1500)), size, i) for i, size in enumerate((0.3, 1.2)))
    skewed = Scores(much.by_draw.exp(), much.ids, {})
    assert rank_agreement(little, skewed).high < 0.95
    assert corrected_agreement(little, skewed).value == pytest.approx(1, abs=0.015)


def test_correction_needs_draws_and_more_than_noise():
    a, b = correlated(0.5)
    with pytest.raises(InputError, match="1 draw, but"):
        corrected_agreement(a, b)
    four = Scores(a.by_draw.repeat(4, 1), a.ids, {})
    with pytest.raises(InputError, match="4 and 1 draws"):
        corrected_agreement(four, b)
    alternating = Scores(torch.stack([a.values, -a.values]), a.ids, {})
    with pytest.raises(InputError, match="nothing but noise"):
        corrected_agreement(alternating, Scores(a.by_draw.repeat(2, 1), a.ids, {}))
    with pytest.raises(InputError, match="different images"):
        corrected_agreement(four, Scores(four.by_draw, four.ids.flip(0), {}))


def test_percentile_difference_is_of_each_draw():
    a = Scores(torch.tensor([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]]), torch.arange(4), {"score": "a"})
    b = Scores(torch.tensor([[1.0, 2.0, 9.0, 5.0], [8.0, 8.0, 1.0, 0.0]]), torch.arange(4), {"score": "b"})
    difference = percentile_difference(a, b)
    np.testing.assert_allclose(difference.by_draw, [[0, 0, -25, 25], [12.5, -12.5, 0, 0]])
    assert difference.highest(1).tolist() == [3]
    assert difference.settings["of"] == [{"score": "a"}, {"score": "b"}]
    with pytest.raises(InputError, match="2 and 1 draws"):
        percentile_difference(a, scores_of([1, 2, 3, 4]))


def common_cause(n: int = 400, seed: int = 0):
    rng = np.random.default_rng(seed)
    cause, a, b = rng.normal(size=(3, n))
    return scores_of(cause + 0.5 * a), scores_of(cause + 0.5 * b), scores_of(cause)


def test_what_a_common_cause_explains_is_taken_out():
    a, b, cause = common_cause()
    assert rank_agreement(a, b).low > 0.6
    rest = partial_agreement(a, b, [cause])
    assert rest.low < 0 < rest.high


def test_a_partial_correlation_is_the_textbooks():
    a, b, c = common_cause()
    ab, ac, bc = (rank_agreement(*pair).value for pair in ((a, b), (a, c), (b, c)))
    expected = (ab - ac * bc) / np.sqrt((1 - ac**2) * (1 - bc**2))
    assert partial_agreement(a, b, [c]).value == pytest.approx(expected)
    # knowing the same twice, or a constant, is knowing it once
    constant = scores_of(np.ones(len(a)))
    assert partial_agreement(a, b, [c, c, constant]).value == pytest.approx(expected)


def test_several_known_scores_are_a_regression_on_all_of_them():
    rng = np.random.default_rng(1)
    known = rng.normal(size=(3, 200))
    a, b = (scores_of(rng.normal(size=200) + known.T @ rng.normal(size=3)) for _ in range(2))
    ranks = [spearman_ranks(s) for s in (a, b, *map(scores_of, known))]
    design = np.stack(ranks[2:], axis=1)
    x, y = (r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in ranks[:2])
    expected = np.corrcoef(x, y)[0, 1]
    assert partial_agreement(a, b, [scores_of(k) for k in known]).value == pytest.approx(expected)


def spearman_ranks(score):
    ranks = np.argsort(np.argsort(score.values.numpy())).astype(float)
    return ranks - ranks.mean()


def test_with_nothing_known_it_is_the_rank_agreement():
    a, b, _ = common_cause()
    assert partial_agreement(a, b, []) == rank_agreement(a, b)


def test_a_score_that_follows_from_what_is_known_is_refused():
    a, b, _ = common_cause()
    with pytest.raises(InputError, match="nothing is left to correlate"):
        partial_agreement(a, b, [scores_of(b.values.double().exp())])
    with pytest.raises(InputError, match="different images"):
        partial_agreement(a, b, [scores_of([1, 2])])


def of_data(values, **data) -> Scores:
    return Scores(torch.tensor([values]).float(), torch.arange(len(values)), {"data": data} if data else {})


TAKES_TWO = [
    rank_agreement,
    percentile_difference,
    corrected_agreement,
    lambda a, b: partial_agreement(a, b, []),
    lambda a, b: partial_agreement(a, a, [b]),
    lambda a, b: top_overlap(a, b, 1),
]
CIFAR = {"name": "cifar10", "split": "train", "n": 3, "fingerprint": "ab"}


@pytest.mark.parametrize("compare", TAKES_TWO)
@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (CIFAR | {"fingerprint": "cd"}, "cifar10 train twice, with other pixels or labels"),
        (CIFAR | {"split": "test", "fingerprint": "cd"}, "cifar10 train and cifar10 test"),
        ({"name": "cifar10", "split": "test"}, "cifar10 train and cifar10 test"),
        ({"name": "cifar100", "split": "train"}, "cifar10 train and cifar100 train"),
    ],
)
def test_scores_of_other_pixels_are_refused(compare, other, difference):
    with pytest.raises(InputError, match=f"of different images \\({difference}\\)"):
        compare(of_data([1, 2, 3], **CIFAR), of_data([1, 2, 3], **other))


@pytest.mark.parametrize("other", [CIFAR, CIFAR | {"name": "parquet"}, {"name": "cifar10", "split": "train"}, {}])
def test_scores_of_the_same_pixels_are_compared(other):
    assert rank_agreement(of_data([1, 2, 3], **CIFAR), of_data([1, 2, 3], **other)).value == pytest.approx(1)


@pytest.mark.parametrize("compare", TAKES_TWO)
@pytest.mark.parametrize(
    ("ids", "difference"),
    [([0, 2, 1], "the same ids in another order"), ([0, 1, 5], "ids 2 and 5 in the same place"), ([0, 1], "3 and 2")],
)
def test_scores_of_other_ids_are_refused(compare, ids, difference):
    a, b = scores_of([1, 2, 3]), scores_of(np.arange(len(ids)), torch.tensor(ids))
    with pytest.raises(InputError, match=f"of different images \\({difference}\\)"):
        compare(a, b)


@pytest.mark.parametrize("compare", TAKES_TWO)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(compare, value):
    with pytest.raises(InputError, match="scores of 1 images are not finite, the first of them id 1"):
        compare(scores_of([1, 2, 3]), scores_of([1, value, 3]))


@pytest.mark.parametrize("compare", TAKES_TWO)
def test_what_is_no_scores_is_named(compare):
    with pytest.raises(InputError, match="scores is 'Tensor', but it must be Scores"):
        compare(scores_of([1, 2, 3]), torch.ones(3))


def test_a_difference_knows_its_images():
    difference = percentile_difference(of_data([1, 2, 3], **CIFAR), of_data([3, 2, 1], **CIFAR))
    assert difference.settings["data"] == CIFAR
    with pytest.raises(InputError, match="different images"):
        rank_agreement(difference, of_data([1, 2, 3], **CIFAR | {"fingerprint": "cd"}))


@pytest.mark.parametrize("n", [0, 1])
def test_a_correlation_needs_two_images(n):
    with pytest.raises(InputError, match=f"scores are of {n} images, but a rank correlation needs 2 or more"):
        rank_agreement(scores_of(np.ones(n)), scores_of(np.ones(n)))


def test_what_is_not_determined_is_nan():
    two = rank_agreement(scores_of([1, 2]), scores_of([2, 1]))
    assert two.value == pytest.approx(-1)
    assert np.isnan([two.low, two.high]).all()
    assert np.isnan(rank_agreement(scores_of([1, 2, 3]), scores_of([1, 1, 1])).value)


def test_a_constant_has_no_ranks_to_correct():
    constant = Scores(torch.ones(2, 4), torch.arange(4), {})
    with pytest.raises(InputError, match="one of the scores is the same for all images"):
        corrected_agreement(constant, Scores(torch.rand(2, 4), torch.arange(4), {}))


@pytest.mark.parametrize("k", [1.0, "2", True, None])
def test_k_is_an_integer(k):
    a = scores_of([1, 2, 3])
    with pytest.raises(
        InputError, match=r"k is .*, but it must be a whole number between 1 and the number of images, 3"
    ):
        top_overlap(a, a, k)
    assert top_overlap(a, a, np.int64(2)) == top_overlap(a, a, torch.tensor(2)) == 1


def test_other_arguments_are_named():
    a, b = correlated(0.5, n=20)
    with pytest.raises(InputError, match="seed is -1"):
        rank_agreement(a, b, seed=-1)
    with pytest.raises(InputError, match="given is 'Scores', but it must be a list of Scores"):
        partial_agreement(a, b, a)
