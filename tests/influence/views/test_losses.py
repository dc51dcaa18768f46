"""The losses against torch's own, and their sampled targets against exact Gauss–Newton matrices."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from influence_lib.influence.views.losses import COSINE, MSE, TEMPERATURE, CrossEntropy, NTXent, two_view_loss
from influence_lib.pretrain.solo import simclr_loss_func
from tests.influence.conftest import gauss_newton, logits

IDS = [3, 5, 8, 13]
CLASSIFIER = CrossEntropy(torch.tensor([13, 5, 8, 3]), torch.tensor([2, 6, 0, 1]))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generators(n: int) -> list[np.random.Generator]:
    return [np.random.default_rng([0, i]) for i in range(n)]


@pytest.fixture
def ntxent() -> NTXent:
    """Six negatives, two of which show the image 5."""
    return NTXent(normal(6, 7, seed=9), torch.tensor([5, 21, 34, 5, 55, 89]))


def test_cosine_loss_is_one_minus_the_similarity():
    left, right = normal(2, 50, 7)
    expected = 1 - F.cosine_similarity(left, right)
    torch.testing.assert_close(two_view_loss(left, right), expected)
    torch.testing.assert_close(COSINE.values(left, right, []), expected)


def test_cosine_loss_is_exact_for_close_views():
    left, right = normal(2, 50, 7)
    assert two_view_loss(left.float(), (left * 3).float()).max() < 1e-12
    left, close = left.float(), (left + 1e-4 * right).float()
    expected = 1 - F.cosine_similarity(left.double(), close.double())
    assert expected.max() < 1e-7
    torch.testing.assert_close(two_view_loss(left, close).double(), expected, rtol=1e-2, atol=0)


def test_mse_loss_is_torchs_averaged_over_the_dimensions():
    left, right = normal(2, 9, 7)
    expected = torch.stack([F.mse_loss(a, b) for a, b in zip(left, right, strict=True)])
    torch.testing.assert_close(MSE.values(left, right, []), expected)


def test_ntxent_is_the_mean_cross_entropy_of_both_views(ntxent):
    left, right = normal(2, 4, 7)
    partner = torch.zeros(1, dtype=torch.int64)
    expected = [
        sum(F.cross_entropy(logits(ntxent, v, w, own)[None], partner) for v, w in ((x, y), (y, x))) / 2
        for x, y, own in zip(left, right, IDS, strict=True)
    ]
    torch.testing.assert_close(ntxent.values(left, right, IDS), torch.stack(expected))
    assert ntxent.temperature == TEMPERATURE == 0.2


def test_ntxent_among_the_views_of_a_batch_is_simclrs_loss():
    left, right = normal(2, 4, 7)
    whole_batch = NTXent(torch.cat([left, right]), torch.tensor(IDS * 2), temperature=0.5)
    loss = whole_batch.values(left, right, IDS).mean()
    torch.testing.assert_close(loss, simclr_loss_func(left, right, temperature=0.5))


def test_an_image_is_not_its_own_negative(ntxent):
    left, right = normal(2, 4, 7)
    other = NTXent(ntxent.negatives.clone(), ntxent.negative_ids)
    other.negatives[ntxent.negative_ids == 5] = normal(2, 7, seed=4)
    changed = ntxent.values(left, right, IDS) != other.values(left, right, IDS)
    assert changed.tolist() == [True, False, True, True]


@pytest.mark.parametrize("name", ["cosine", "mse", "ntxent", "cross_entropy"])
def test_an_images_value_and_target_are_its_own(name, ntxent):
    """Neither the other images of the batch nor their order matter."""
    loss = {"cosine": COSINE, "mse": MSE, "ntxent": ntxent, "cross_entropy": CLASSIFIER}[name]
    left, right = normal(2, 4, 7)
    order = [2, 0, 3]
    ids = [IDS[i] for i in order]
    torch.testing.assert_close(loss.values(left[order], right[order], ids), loss.values(left, right, IDS)[order])
    alone = [loss.values(left[i : i + 1], right[i : i + 1], [own]) for i, own in enumerate(IDS)]
    torch.testing.assert_close(torch.cat(alone), loss.values(left, right, IDS))
    targets = loss.sampled(left, right, IDS, generators(4))
    some = loss.sampled(left[order], right[order], ids, [generators(4)[i] for i in order])
    torch.testing.assert_close(some, targets[order])


@pytest.mark.parametrize("name", ["cosine", "mse", "ntxent", "cross_entropy"])
def test_losses_are_symmetric_in_their_views(name, ntxent):
    loss = {"cosine": COSINE, "mse": MSE, "ntxent": ntxent, "cross_entropy": CLASSIFIER}[name]
    left, right = normal(2, 4, 7)
    torch.testing.assert_close(loss.values(left, right, IDS), loss.values(right, left, IDS))


@pytest.mark.parametrize("name", ["cosine", "mse", "ntxent", "cross_entropy"])
def test_sampled_targets_have_the_exact_gauss_newton_matrix(name, ntxent):
    """One image 20,000 times, with a target of its own each time: moments of the score against their closed forms."""
    loss, n = {"cosine": COSINE, "mse": MSE, "ntxent": ntxent, "cross_entropy": CLASSIFIER}[name], 20_000
    x, y = normal(2, 7, seed=2)
    left, right = (z.repeat(n, 1).requires_grad_() for z in (x, y))
    loss.sampled(left, right, [5] * n, generators(n)).sum().backward()
    assert left.grad is not None
    assert right.grad is not None
    scores = torch.cat([left.grad, right.grad], dim=1)
    exact = gauss_newton(loss, x, y, own=5)
    assert (scores.T @ scores / n - exact).norm() < 0.05 * exact.norm()
    # a score has mean zero, with a variance of tr(H)/n
    assert scores.mean(0).square().sum() < 4 * exact.trace() / n


def test_a_classifiers_loss_is_the_mean_cross_entropy_of_both_views_with_the_images_own_labels():
    left, right = normal(2, 4, 7)
    labels = torch.tensor([1, 6, 0, 2])  # of the images 3, 5, 8 and 13
    expected = sum(F.cross_entropy(view, labels, reduction="none") for view in (left, right)) / 2
    torch.testing.assert_close(CLASSIFIER.values(left, right, IDS), expected)


@pytest.mark.parametrize("name", ["cosine", "mse"])
def test_the_gauss_newton_matrix_is_the_hessian_of_equal_views(name):
    """At residual zero the second derivatives of the residual have no weight."""
    loss = {"cosine": COSINE, "mse": MSE}[name]
    z = normal(7, seed=2)

    def value(both: Tensor) -> Tensor:
        left, right = both.view(2, 1, 7)
        return loss.values(left, right, [])[0]

    hessian = torch.autograd.functional.hessian(value, torch.cat([z, z]))
    torch.testing.assert_close(hessian, gauss_newton(loss, z, z, own=0), atol=1e-12, rtol=0)


def test_drawn_partners_have_the_probabilities_of_the_model(ntxent):
    """The value of a target is −√½ of two log-probabilities: their mean is the entropy of the model's answer."""
    n = 20_000
    x, y = normal(2, 7, seed=2)
    values = ntxent.sampled(x.expand(n, -1), y.expand(n, -1), [5] * n, generators(n))
    entropies = [torch.distributions.Categorical(logits=logits(ntxent, v, w, 5)).entropy() for v, w in ((x, y), (y, x))]
    expected = 0.5**0.5 * sum(entropies)
    assert abs(values.mean() - expected) < 4 * values.std() / n**0.5


def test_an_image_without_negatives_has_no_loss():
    left, right = normal(2, 1, 7)
    alone = NTXent(normal(2, 7, seed=9), torch.tensor([3, 3]))
    assert alone.values(left, right, [3]).abs().item() == 0
    assert alone.sampled(left, right, [3], generators(1)).abs().item() == 0
