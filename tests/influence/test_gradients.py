"""The two-view gradient against autograd, one image at a time."""

import pytest
import torch
from torch import Tensor, nn

from influence_lib.errors import InputError
from influence_lib.influence.gradients import per_sample_gradients, tracked_layers
from influence_lib.influence.losses import two_view_loss


class Twice(nn.Module):
    """One layer that is called twice in a forward pass."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(12, 7)
        self.shared = nn.Linear(7, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(x.flatten(1)))
        return self.shared(torch.tanh(self.shared(x)))


def autograd_gradient(encoder: nn.Module, layer: nn.Module, left: Tensor, right: Tensor) -> Tensor:
    """Return one image's gradient by two plain forward passes: out×(in, then bias)."""
    loss = two_view_loss(encoder(left[None]), encoder(right[None])).sum()
    parameters = list(layer.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    return torch.cat([g.flatten(1) if g.ndim > 1 else g[:, None] for g in gradients], dim=1)


def views(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    left = torch.rand(5, 3, size, size, generator=generator, dtype=torch.float64)
    return left, left + 0.2 * torch.randn(left.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("encoder", "size"), [("net", 8), ("grouped_net", 8), (Twice, 2)])
def test_gradients_equal_autograd(encoder, size, request):
    torch.manual_seed(2)
    encoder = request.getfixturevalue(encoder) if isinstance(encoder, str) else encoder()
    encoder = encoder.double().eval()
    left, right = views(size)
    layers = tracked_layers(encoder)
    got = dict(per_sample_gradients(encoder, left, right))
    assert got.keys() == layers.keys()
    for name, gradient in got.items():
        for i in range(len(left)):
            expected = autograd_gradient(encoder, layers[name], left[i], right[i])
            torch.testing.assert_close(gradient[i], expected)


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
def test_gradients_equal_autograd_for_every_padding_mode(mode):
    torch.manual_seed(3)
    layer = nn.Conv2d(3, 4, 3, padding=(1, 2), padding_mode=mode)
    encoder = nn.Sequential(layer, nn.Tanh(), nn.Flatten()).double()
    left, right = views(6)
    gradient = dict(per_sample_gradients(encoder, left, right))["0"]
    expected = autograd_gradient(encoder, layer, left[0], right[0])
    torch.testing.assert_close(gradient[0], expected)


def test_both_branches_count(net):
    """Each branch alone is far larger than their sum and points elsewhere."""
    net = net.double()
    left, right = views(8)
    whole = dict(per_sample_gradients(net, left, right))["conv1"]
    fixed_right = net(right).detach()
    for i in range(len(left)):
        loss = two_view_loss(net(left[i : i + 1]), fixed_right[i : i + 1]).sum()
        weight, bias = torch.autograd.grad(loss, list(net.conv1.parameters()))
        branch = torch.cat([weight.flatten(1), bias[:, None]], dim=1)
        assert (whole[i] - branch).norm() > 0.5 * whole[i].norm()
    torch.testing.assert_close(dict(per_sample_gradients(net, right, left))["conv1"], whole)


def test_the_encoder_is_left_as_it_was(net):
    left, right = (v.float() for v in views(8))
    net.head.bias.requires_grad_(False)
    list(per_sample_gradients(net, left, right))
    assert all(p.grad is None for p in net.parameters())
    assert [p.requires_grad for p in net.head.parameters()] == [True, False]
    assert not any(module._forward_hooks for module in net.modules())


def test_frozen_parameters_are_scored_all_the_same(net):
    left, right = (v.float() for v in views(8))
    before = dict(per_sample_gradients(net, left, right))
    net.requires_grad_(False)
    after = dict(per_sample_gradients(net, left, right))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_encoder_without_layers_is_refused():
    with pytest.raises(InputError, match="no Linear and no Conv2d"):
        tracked_layers(nn.Sequential(nn.Flatten(), nn.ReLU()))


def test_loss_equals_one_minus_cosine_and_is_exact_for_close_views():
    generator = torch.Generator().manual_seed(4)
    left, right = torch.randn(2, 50, 7, generator=generator, dtype=torch.float64)
    expected = 1 - torch.nn.functional.cosine_similarity(left, right)
    torch.testing.assert_close(two_view_loss(left, right), expected)
    close = two_view_loss(left.float(), (left * 3).float())
    assert close.max() < 1e-12
