import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from influence_lib.errors import InputError
from influence_lib.influence.perturbations import GaussianNoise, perturb, view_pair

PIXELS = torch.full((6, 3, 8, 8), 0.5)


def test_noise_has_the_stated_distribution():
    noise = perturb(torch.zeros(40, 3, 16, 16), range(40), GaussianNoise(0.05, 0.2), seed=0, draw=0)
    assert kstest(noise.flatten().numpy(), "norm", args=(0.05, 0.2)).pvalue > 0.01


@given(order=st.permutations(range(6)))
def test_noise_of_an_image_does_not_depend_on_batch_or_order(order):
    together = perturb(PIXELS, range(6), GaussianNoise(), seed=3, draw=1)
    shuffled = perturb(PIXELS, order, GaussianNoise(), seed=3, draw=1)
    alone = perturb(PIXELS[:1], [order[0]], GaussianNoise(), seed=3, draw=1)
    assert torch.equal(shuffled, together[list(order)])
    assert torch.equal(alone[0], together[order[0]])


@pytest.mark.parametrize("change", [{"seed": 1}, {"draw": 1}, {"view": 1}])
def test_every_key_draws_independent_noise(change):
    base = {"seed": 0, "draw": 0, "view": 0}
    one = perturb(PIXELS, range(6), GaussianNoise(), **base)
    other = perturb(PIXELS, range(6), GaussianNoise(), **{**base, **change})
    assert abs(np.corrcoef(one.flatten(), other.flatten())[0, 1]) < 0.1


def test_images_get_independent_noise():
    noise = perturb(PIXELS[:2], [0, 1], GaussianNoise(), seed=0, draw=0).flatten(1)
    assert abs(torch.corrcoef(noise)[0, 1]) < 0.2


def test_clamping_is_a_choice():
    white = torch.ones(1, 3, 8, 8)
    assert perturb(white, [0], GaussianNoise(), seed=0, draw=0).max() > 1
    clamped = perturb(white, [0], GaussianNoise(clamp=True), seed=0, draw=0)
    assert clamped.max() == 1
    assert clamped.min() < 1


def test_one_view_keeps_the_image_and_two_views_perturb_both():
    left, right = view_pair(PIXELS, range(6), GaussianNoise(), "one", seed=0, draw=0)
    assert left is PIXELS
    both_left, both_right = view_pair(PIXELS, range(6), GaussianNoise(), "two", seed=0, draw=0)
    assert torch.equal(both_right, right)
    assert not torch.equal(both_left, PIXELS)
    assert not torch.equal(both_left, both_right)


def test_perturbing_leaves_the_pixels_alone():
    before = PIXELS.clone()
    perturb(PIXELS, range(6), GaussianNoise(clamp=True), seed=0, draw=0)
    assert torch.equal(PIXELS, before)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="std is -1"):
        GaussianNoise(std=-1)
    with pytest.raises(InputError, match="views is 'three'"):
        view_pair(PIXELS, range(6), GaussianNoise(), "three", seed=0, draw=0)
