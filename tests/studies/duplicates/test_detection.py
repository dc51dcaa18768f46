import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from influence_lib.errors import InputError
from influence_lib.studies.duplicates import DETECTION, beyond_matched, detection, precision_and_recall
from influence_lib.studies.duplicates.detecting import _weighted
from tests.studies.scores import scores_of

N = 300
RNG = np.random.default_rng(0)
TRUTH = RNG.random(N) < 0.2
NOISY = RNG.normal(size=N) - TRUTH  # low where it is true
TIED = np.round(NOISY)


@pytest.mark.parametrize("values", [NOISY, TIED], ids=["apart", "tied"])
@pytest.mark.parametrize("end", ["lowest", "highest"])
def test_the_numbers_are_those_of_sklearn(values, end):
    values = np.float32(values)
    row = detection({"s": [scores_of(values)]}, TRUTH, end).loc["s"]
    towards = values if end == "highest" else -values
    assert row["average precision"].value == average_precision_score(TRUTH, towards)
    assert row["AUROC"].value == roc_auc_score(TRUTH, towards)
    for name in DETECTION:
        assert row[name].low < row[name].value < row[name].high
        assert (row[name].n, row[name].unit) == (N, "image")


def test_weights_count_as_repeated_images():
    weights = np.random.default_rng(2).integers(3, size=(4, N))
    for values in (NOISY, TIED):
        found = _weighted(values, TRUTH, weights.astype(float), k=10)
        for i, row in enumerate(weights):
            truth, repeated = np.repeat(TRUTH, row), np.repeat(values, row)
            assert found[0, i] == pytest.approx(average_precision_score(truth, repeated))
            assert found[1, i] == pytest.approx(roc_auc_score(truth, repeated))


def test_precision_at_k_counts_the_end_and_shares_ties():
    truth = np.array([True, False, True, False, False, False])
    assert _precision([1, 2, 3, 4, 5, 6], truth, k=2) == 0.5
    assert _precision([1, 2, 3, 4, 5, 6], truth, k=3) == pytest.approx(2 / 3)
    assert _precision([0, 0, 0, 0, 5, 6], truth, k=2) == pytest.approx(0.5)  # two of four, in any order
    assert _precision([0, 1, 1, 1, 5, 6], truth, k=2) == pytest.approx((1 + 1 / 3) / 2)
    assert _precision([1, 2, 3, 4, 5, 6], truth, k=None) == 0.5  # as many as there are


def _precision(values, truth, k):
    return detection({"s": [scores_of(values)]}, truth, k=k).loc["s", "precision at k"].value


def test_what_is_found_without_fail_has_no_width():
    row = detection({"s": [scores_of(-1.0 * TRUTH)]}, TRUTH).loc["s"]
    assert [(each.low, each.value, each.high) for each in row] == [(1, 1, 1)] * 3


def test_chance_is_the_base_rate_and_a_half():
    rng = np.random.default_rng(1)
    several = [scores_of(rng.random(N)) for _ in range(20)]
    row = detection({"random": several}, TRUTH).loc["random"]
    assert (row["AUROC"].n, row["AUROC"].unit) == (20, "training")
    assert abs(row["AUROC"].value - 0.5) < 0.05
    assert abs(row["average precision"].value - TRUTH.mean()) < 0.05


def test_a_curve_ends_at_the_base_rate_and_holds_the_average_precision():
    curve = precision_and_recall(scores_of(np.float32(NOISY)), TRUTH)
    assert curve["recall"].is_monotonic_increasing
    assert curve["recall"].iloc[-1] == 1
    assert curve["precision"].iloc[-1] == pytest.approx(TRUTH.mean())
    area = (curve["recall"].diff() * curve["precision"]).sum()
    assert area == pytest.approx(average_precision_score(TRUTH, -np.float32(NOISY)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scores": {}}, "the number of scores is 0"),
        ({"scores": {"s": []}}, "the number of trainings in scores.'s'. is 0"),
        ({"scores": {"s": scores_of(NOISY)}}, "scores.'s'. is 'Scores', but it must be a list of Scores"),
        (
            {"scores": {"s": [scores_of(NOISY)], "t": [scores_of(NOISY, ids=torch.arange(N) + 1)]}},
            "different images",
        ),
        ({"scores": {"s": [scores_of([np.nan] * N)]}}, "not finite"),
        ({"end": "top"}, "end is 'top', but it must be one of 'highest', 'lowest'"),
        ({"k": N + 1}, f"k is {N + 1}, but it must be a whole number from 1 to {N}"),
        ({"truth": TRUTH[1:]}, f"the number of truths is {N - 1}, but it must be {N}, one for each image"),
        ({"truth": TRUTH & False}, "truth is 'bool with 0 of 300', but it must be bool, true for some"),
        ({"truth": TRUTH | True}, "truth is 'bool with 300 of 300'"),
        ({"truth": TRUTH.astype(int)}, "truth is 'int64 with"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_input_is_one_sentence(changed, said):
    given = {"scores": {"s": [scores_of(NOISY)]}, "truth": TRUTH}
    with pytest.raises(InputError, match=said):
        detection(**(given | changed))


def test_easy_images_are_told_from_duplicates():
    rng = np.random.default_rng(3)
    truth, labels = np.arange(N) < 40, rng.integers(2, size=N)
    easy = rng.random(N) ** (1 + truth)  # duplicates are easier by the loss
    loss = scores_of(easy)
    own = scores_of(easy + 0.3 * rng.normal(size=N))  # knows nothing but the loss
    knows = scores_of(easy - 0.4 * truth)
    assert detection({"s": [own]}, truth).loc["s", "AUROC"].above(0.5)
    found = beyond_matched([(own, loss)], truth, labels)
    assert not found.above(0.5)
    assert not found.below(0.5)
    assert 30 < found.n <= 40
    assert beyond_matched([(knows, loss)], truth, labels).above(0.5)
    assert beyond_matched([(knows, loss)], truth, labels, "highest").below(0.5)
    both = beyond_matched([(knows, loss), (own, loss)], truth, labels)
    assert (both.n, both.unit) == (2, "training")
    assert beyond_matched([(scores_of(np.zeros(N)), loss)], truth, labels).value == 0.5
    with pytest.raises(InputError, match="the number of trainings is 0"):
        beyond_matched([], truth, labels)
    with pytest.raises(InputError, match="truth is 'all that are alike'"):
        beyond_matched([(own, loss)], truth, 1 * truth)
