import numpy as np
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.studies.bend import by_decile, find_bend, find_bends
from tests.studies.scores import scores_of

N = 1000
RNG = np.random.default_rng(0)
LOSS = np.exp(RNG.uniform(np.log(0.02), np.log(0.8), N))
NOISE = np.exp(0.1 * RNG.normal(size=N))


def scored(law, noise=NOISE):
    return scores_of(law(LOSS) * noise)


def test_deciles_hold_the_medians_of_a_tenth_each():
    table = by_decile(scores_of(np.arange(100) ** 2), scores_of(np.arange(100)))
    assert list(table.index) == list(range(1, 11))
    assert table["loss"].to_list() == [10 * i + 4.5 for i in range(10)]
    assert table["score"][1].value == (4**2 + 5**2) / 2
    assert all(each.low <= each.value <= each.high and each.n == 100 for each in table["score"])


def test_the_order_of_the_images_does_not_matter():
    order = RNG.permutation(N)
    a, b = (by_decile(scores_of(NOISE[rows]), scores_of(LOSS[rows])) for rows in (np.arange(N), order))
    assert a["loss"].to_list() == b["loss"].to_list()
    assert [each.value for each in a["score"]] == [each.value for each in b["score"]]


@pytest.mark.parametrize("power", [0.6, 1.0, 2.0])
def test_a_power_law_rises(power):
    found = find_bend(scored(lambda loss: loss**power), scores_of(LOSS))
    assert found.shape == "rises"
    assert found.above.value == pytest.approx(power, abs=0.2)
    assert found.below.value == pytest.approx(power, abs=0.1)


def test_a_plateau_is_found_where_it_begins():
    found = find_bend(scored(lambda loss: np.minimum(loss, 0.3)), scores_of(LOSS))
    assert found.shape == "flattens"
    assert found.at.low <= found.at.value <= found.at.high
    assert found.at.value == pytest.approx(0.3, rel=0.1)
    assert found.below.above(0.7)
    assert found.above.below(0.25)


def test_a_fall_is_told_from_a_plateau():
    found = find_bend(scored(lambda loss: np.where(loss < 0.2, loss, 0.04 / loss)), scores_of(LOSS))
    assert found.shape == "falls"
    assert found.peak.low <= 0.2 <= found.peak.high * 1.1
    assert found.at.value == pytest.approx(0.2, rel=0.1)
    assert found.above.value == pytest.approx(-1, abs=0.2)


def test_noise_alone_does_not_bend():
    shapes = [
        find_bend(scores_of(np.exp(rng.normal(size=200))), scores_of(np.exp(rng.normal(size=200)))).shape
        for rng in map(np.random.default_rng, range(10))
    ]
    assert not {"rises", "flattens", "falls"} & set(shapes)


def test_a_narrow_top_gives_no_verdict():
    rng = np.random.default_rng(2)
    loss = np.concatenate([np.exp(rng.uniform(-4, -1, 80)), 0.4 + 0.001 * rng.random(20)])
    assert find_bend(scores_of(loss * np.exp(rng.normal(size=100))), scores_of(loss)).shape == "not clear"


def test_a_constant_loss_has_no_slope():
    found = find_bend(scores_of(np.arange(1, 101)), scores_of(np.full(100, 0.5)))
    assert found.below.value == pytest.approx(0, abs=1e-9)
    assert found.shape == "not clear"


def test_twenty_images_are_enough_and_fewer_are_not():
    rising = scores_of(np.arange(1, 21))
    assert find_bend(rising, rising).below.value == pytest.approx(1)
    for study in (find_bend, by_decile):
        with pytest.raises(InputError, match="the number of images is 19, but it must be 20 or more"):
            study(scores_of(np.arange(1, 20)), scores_of(np.arange(1, 20)))


def test_the_seed_is_that_of_the_bootstrap_alone():
    score, loss = scored(lambda loss: loss), scores_of(LOSS)
    assert find_bend(score, loss, seed=1) == find_bend(score, loss, seed=1)
    assert find_bend(score, loss, seed=1).peak.value == find_bend(score, loss, seed=2).peak.value
    with pytest.raises(InputError, match="seed is -1"):
        find_bend(score, loss, seed=-1)


def test_what_has_no_logarithm_is_refused():
    for score, loss, name in (([0.0] * 20, [1.0] * 20, "score"), ([1.0] * 20, [-1.0] * 20, "loss")):
        with pytest.raises(InputError, match=f"{name} has the value -?[01], but a logarithm needs values above 0"):
            find_bend(scores_of(score), scores_of(loss))
    with pytest.raises(InputError, match="different images"):
        find_bend(scores_of([1.0] * 20), scores_of([1.0] * 20, ids=torch.arange(20) + 1))


def test_bends_of_several_encoders_are_rows():
    loss = scores_of(LOSS)
    pairs = {"flat": (scored(lambda x: np.minimum(x, 0.3)), loss), "law": (scored(lambda x: x), loss)}
    table = find_bends(pairs)
    assert table["shape"].to_dict() == {"flat": "flattens", "law": "rises"}
    assert table.loc["law", "top loss"] == pytest.approx(np.median(np.sort(LOSS)[-100:]), abs=1e-3)
