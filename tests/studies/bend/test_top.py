import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from influence_lib.errors import InputError
from influence_lib.studies.bend import agreement_at_the_top, agreements_at_the_top, top_images
from tests.studies.scores import scores_of

N = 200
LOSS = np.linspace(0.01, 1, N)
RISING = scores_of(LOSS**2)
TENT = scores_of(np.minimum(LOSS, 1.5 - LOSS))  # rises to .75, then falls
OTHER_IDS = scores_of(LOSS, ids=torch.arange(N) + 1)


def test_a_score_in_the_order_of_the_loss_agrees_everywhere():
    found = agreement_at_the_top(RISING, scores_of(LOSS))
    assert (found.k, found.size) == (20, 10)
    for each in (found.overall, found.within, found.top, found.bottom):
        assert each.value == pytest.approx(1)
        assert each.low == pytest.approx(1)
        assert each.n == N


def test_a_score_that_bends_over_agrees_overall_and_not_at_the_top():
    found = agreement_at_the_top(TENT, scores_of(LOSS), k=50)
    assert found.overall.above(0.5)
    assert found.within.value == pytest.approx(-1)
    assert (found.top.value, found.bottom.value) == (0, 1)


def test_the_correlation_within_the_top_is_that_of_scipy():
    rng = np.random.default_rng(0)
    score, loss = rng.normal(size=N), rng.normal(size=N)
    found = agreement_at_the_top(scores_of(score), scores_of(loss), k=60)
    highest = np.argsort(loss)[-60:]
    assert found.within.value == pytest.approx(spearmanr(score[highest], loss[highest]).statistic, abs=1e-6)
    assert found.within.low < 0 < found.within.high
    shared = len({*np.argsort(score)[-10:]} & {*np.argsort(loss)[-10:]}) / 10
    assert found.top.value == shared


def test_the_score_agrees_with_itself_between_draws():
    rng = np.random.default_rng(1)
    assert np.isnan(agreement_at_the_top(RISING, scores_of(LOSS)).itself)
    same, noise = scores_of(LOSS, LOSS), scores_of(*rng.normal(size=(2, N)))
    assert agreement_at_the_top(same, scores_of(LOSS)).itself == pytest.approx(1)
    assert abs(agreement_at_the_top(noise, scores_of(LOSS), k=N).itself) < 0.3


def test_agreements_of_several_encoders_are_rows():
    loss = scores_of(LOSS)
    table = agreements_at_the_top({"rises": (RISING, loss), "bends": (TENT, loss)}, k=50, seed=1)
    assert table.loc["bends", "within"] == agreement_at_the_top(TENT, loss, 50, 1).within
    assert table["itself"].dtype == float


@pytest.mark.parametrize("k", [1, N + 1, 2.5, True])
def test_k_is_a_number_of_images(k):
    with pytest.raises(InputError, match=f"k is {k}, but it must be a whole number from 2 to 200"):
        agreement_at_the_top(RISING, scores_of(LOSS), k)


def test_scores_that_do_not_belong_together_are_refused():
    with pytest.raises(InputError, match="different images"):
        agreement_at_the_top(RISING, OTHER_IDS)
    with pytest.raises(InputError, match="not finite"):
        agreement_at_the_top(scores_of([1, np.nan]), scores_of([1, 2]))
    with pytest.raises(InputError, match="of 1 images"):
        agreement_at_the_top(scores_of([1]), scores_of([1]))


LABELS = torch.arange(N) // 50


def test_the_highest_images_have_percentiles_and_classes():
    statistics = {"up": scores_of(LOSS), "down": scores_of(-LOSS)}
    found = top_images({"raw loss": scores_of(LOSS), "TENT": TENT}, statistics, LABELS, ("a", "b", "c", "d"), k=11)
    assert found.percentiles["raw loss"].to_dict() == {"up": pytest.approx(97.25), "down": pytest.approx(2.75)}
    assert found.percentiles["TENT"]["up"] == pytest.approx(75, abs=1)
    assert found.classes["raw loss"].to_dict() == {"d": 11, "c": 0}
    assert found.classes["TENT"].sum() == 11


def test_what_top_images_cannot_take_is_refused():
    statistics, names = {"up": scores_of(LOSS)}, ("a", "b", "c", "d")
    with pytest.raises(InputError, match="the number of scores is 0"):
        top_images({}, statistics, LABELS, names)
    with pytest.raises(InputError, match="different images"):
        top_images({"raw loss": scores_of(LOSS)}, {"up": OTHER_IDS}, LABELS, names)
    with pytest.raises(InputError, match="the number of labels is 3"):
        top_images({"raw loss": scores_of(LOSS)}, statistics, LABELS[:3], names)
    with pytest.raises(InputError, match="labels is 'from -1 to 2', but it must be from 0 to 3"):
        top_images({"raw loss": scores_of(LOSS)}, statistics, LABELS - 1, names)
    with pytest.raises(InputError, match="k is 0"):
        top_images({"raw loss": scores_of(LOSS)}, statistics, LABELS, names, k=0)
