"""LARS against its formula and against solo-learn's."""

import copy

import pytest
import torch
from torch import nn

from influence_lib.pretrain.lars import LARS
from influence_lib.pretrain.solo import _import_bare


def test_weights_are_scaled_by_the_trust_ratio_and_vectors_left_alone():
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    bias = nn.Parameter(torch.tensor([3.0, 4.0]))
    lars = LARS([weight, bias], lr=0.5, weight_decay=0.1)
    for p in (weight, bias):
        p.grad = torch.tensor([6.0, 8.0]).view(p.shape)
    lars.step()
    ratio = min(0.02 * 5 / (10 + 5 * 0.1) / 0.5, 1)
    expected = torch.tensor([3.0, 4.0]) - 0.5 * ratio * torch.tensor([6.3, 8.4])
    torch.testing.assert_close(weight.detach()[0], expected)
    torch.testing.assert_close(bias.detach(), torch.tensor([0.0, 0.0]))
    assert lars.param_groups[0]["weight_decay"] == 0.1


def test_a_step_asks_for_no_value():
    """A meta tensor has none, and refuses to say one; on a GPU the question would wait for every layer."""
    weight = nn.Parameter(torch.ones(2, 2, device="meta"))
    weight.grad = torch.ones_like(weight)
    LARS([weight], lr=0.5, weight_decay=0.1).step()


@pytest.mark.parametrize("lr", [1.0, 1e-4])  # below the trust ratio the step is clipped to SGD's
def test_the_steps_are_solo_learns_bit_for_bit(lr):
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 5), nn.Linear(5, 5))
    nn.init.zeros_(ours[4].weight)  # a weight without a norm
    theirs = copy.deepcopy(ours)
    options = {"lr": lr, "momentum": 0.9, "weight_decay": 1e-2}
    lars = LARS(ours.parameters(), **options)
    wrapper = _import_bare("solo.utils.lars").LARSWrapper
    reference = wrapper(torch.optim.SGD(theirs.parameters(), **options), eta=0.02, clip=True, exclude_bias_n_norm=True)
    start, x = copy.deepcopy(ours.state_dict()), torch.randn(8, 3, 5, 5)
    for _ in range(4):
        for network, optimizer in ((ours, lars), (theirs, reference)):
            network.zero_grad()
            (network[:4](x).square().sum() + network(x).sum()).backward()
            optimizer.step()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]), name
    assert not torch.equal(ours[0].weight, start["0.weight"])
