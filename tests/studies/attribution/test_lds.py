"""LDS on constructed outcomes whose correlations are known, and the intervals of independent worlds."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from influence_lib.errors import InputError
from influence_lib.studies.attribution import by_target, ceiling, lds


def world(seed: int, m: int = 60, n: int = 30, targets: int = 12, noise: float = 1.0, times: int = 1):
    """Margins that are sums of weights of the images that are there, and noise of each training."""
    rng = np.random.default_rng(seed)
    kept = torch.from_numpy(rng.random((m, n)) < 0.5)
    weights = torch.from_numpy(rng.standard_normal((targets, n)))
    clean = kept.double() @ weights.T
    outputs = clean[:, None] + noise * torch.from_numpy(rng.standard_normal((m, times, targets)))
    return weights, kept, outputs


def test_it_is_scipys_spearman_of_sums_and_margins():
    weights, kept, outputs = world(0)
    found = by_target(weights, kept, outputs[:, 0])
    for target in range(12):
        sums = [float(weights[target][row].sum()) for row in kept]
        assert found[target] == pytest.approx(spearmanr(sums, outputs[:, 0, target])[0])


def test_the_weights_themselves_reach_one_without_noise_and_ties_count_as_nothing():
    weights, kept, outputs = world(0, noise=0)
    assert by_target(weights, kept, outputs[:, 0]).min() == pytest.approx(1)
    assert by_target(-weights, kept, outputs[:, 0]).max() == pytest.approx(-1)
    assert not by_target(torch.zeros_like(weights), kept, outputs[:, 0]).any()
    constant = lds(torch.zeros_like(weights), kept, outputs[:, 0])
    assert (constant.value, constant.low, constant.high) == (0, 0, 0)


def test_the_interval_is_over_targets_and_subsets():
    """Of scores that mean nothing: targets with one margin share all chance, so that more of them tell no more."""
    covered = 0
    for seed in range(60):
        _, kept, outputs = world(seed, m=40, targets=1)
        rng = np.random.default_rng(1000 + seed)
        weights = torch.from_numpy(np.tile(rng.standard_normal((1, 30)), (10, 1)))
        found = lds(weights, kept, outputs[:, 0].expand(-1, 10).clone(), seed)
        covered += found.low <= 0 <= found.high
    assert covered >= 50  # by chance 57 of 60; intervals over targets alone have no width here


def test_a_difference_is_of_the_same_resamples():
    weights, kept, outputs = world(0)
    other = weights + torch.randn(weights.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, two = (lds(each, kept, outputs[:, 0]) for each in (weights, other))
    less = lds(weights, kept, outputs[:, 0], against=other)
    assert less.value == pytest.approx(one.value - two.value)
    assert less.above(0)
    assert less.margin < (one.margin**2 + two.margin**2) ** 0.5  # the chance that both share is gone
    same = lds(weights, kept, outputs[:, 0], against=weights)
    assert (same.value, same.low, same.high) == (0, 0, 0)


@pytest.mark.parametrize("noise", [0.0, 3.0, 8.0])
def test_the_ceiling_is_what_the_true_weights_reach(noise):
    weights, kept, outputs = world(3, m=400, targets=8, noise=noise, times=4)
    reached = by_target(weights, kept, outputs[:, 0]).mean()
    assert ceiling(outputs).value == pytest.approx(float(reached), abs=0.05)


def test_the_ceiling_of_pure_noise_is_low():
    _, _, outputs = world(3, m=300, targets=8, noise=1.0, times=4)
    noise = torch.randn(300, 4, 8, generator=torch.Generator().manual_seed(0))
    assert ceiling(noise).value < 0.25 < ceiling(outputs).value


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": torch.zeros(3, 29)}, "the shapes of scores, kept and outputs"),
        ({"outputs": torch.full((60, 12), torch.nan)}, "a number that is not finite"),
        ({"kept": torch.ones(2, 30) > 0, "outputs": torch.zeros(2, 12)}, "the number of subsets is 2"),
    ],
)
def test_wrong_numbers_are_refused(changed, message):
    weights, kept, outputs = world(0)
    given = {"scores": weights, "kept": kept, "outputs": outputs[:, 0]} | changed
    with pytest.raises(InputError, match=message):
        lds(**given)


@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 1, 4)])
def test_a_ceiling_needs_repetitions(shape):
    with pytest.raises(InputError, match="the number of"):
        ceiling(torch.zeros(shape))
