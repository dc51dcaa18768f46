import math

import pytest
import torch
from torch.nn import functional as F

from influence_lib.pretrain.methods import METHODS, SimCLR, Supervised
from influence_lib.pretrain.solo import LARSWrapper


def ntxent(z1, z2, temperature):
    """NT-Xent written as the papers do, one anchor at a time."""
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    n = len(z)
    total = 0.0
    for i in range(n):
        partner = (i + n // 2) % n
        similarities = [float(z[i] @ z[j]) / temperature for j in range(n)]
        denominator = sum(math.exp(s) for j, s in enumerate(similarities) if j != i)
        total -= similarities[partner] - math.log(denominator)
    return total / n


def test_simclr_loss_is_ntxent_of_the_projections():
    torch.manual_seed(0)
    method = SimCLR(6, 2, {**SimCLR.DEFAULTS, "projector_hidden": 9, "projector_out": 4, "temperature": 0.3})
    features = [torch.randn(5, 6) for _ in range(2)]
    with torch.no_grad():
        expected = ntxent(*(method.projector(f) for f in features), 0.3)
    assert method.loss(features, torch.zeros(5)).item() == pytest.approx(expected, rel=1e-5)


def test_supervised_loss_averages_the_views():
    torch.manual_seed(0)
    method = Supervised(6, 3, Supervised.DEFAULTS)
    features, labels = [torch.randn(5, 6) for _ in range(2)], torch.tensor([0, 1, 2, 1, 0])
    both = F.cross_entropy(method.classifier(torch.cat(features)), labels.repeat(2))
    torch.testing.assert_close(method.loss(features, labels), both)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_states_the_optimiser(name):
    assert {"lr", "weight_decay"} <= METHODS[name].DEFAULTS.keys()


def test_lars_scales_weights_by_the_trust_ratio_and_leaves_vectors_alone():
    weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0]]))
    bias = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    sgd = torch.optim.SGD([weight, bias], lr=0.5, weight_decay=0.1)
    for p in (weight, bias):
        p.grad = torch.tensor([6.0, 8.0]).view(p.shape)
    LARSWrapper(sgd, eta=0.02, clip=True, exclude_bias_n_norm=True).step()
    ratio = min(0.02 * 5 / (10 + 5 * 0.1) / 0.5, 1)
    expected = torch.tensor([3.0, 4.0]) - 0.5 * ratio * torch.tensor([6.3, 8.4])
    torch.testing.assert_close(weight.detach()[0], expected)
    torch.testing.assert_close(bias.detach(), torch.tensor([0.0, 0.0]))
