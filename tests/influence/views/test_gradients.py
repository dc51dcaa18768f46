"""The two-view gradient against autograd, one image at a time."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.errors import InputError
from influence_lib.influence.views.gradients import Factors, layer_factors, per_sample_gradients, tracked_layers
from influence_lib.influence.views.losses import two_view_loss
from influence_lib.pretrain import build_encoder
from tests.influence.conftest import autograd_gradients, small_net, twice_net

CONVOLUTIONS = {
    "no bias": {"kernel_size": 3, "bias": False},
    "one pixel": {"kernel_size": 1},
    "rectangular kernel": {"kernel_size": (2, 3)},
    "column kernel": {"kernel_size": (3, 1), "padding": (1, 0)},
    "stride": {"kernel_size": 3, "stride": (2, 1)},
    "stride over the kernel": {"kernel_size": 2, "stride": 3},
    "padding": {"kernel_size": 3, "padding": (2, 1)},
    "padding beyond the kernel": {"kernel_size": 1, "padding": 2},
    "same": {"kernel_size": 3, "padding": "same"},
    "same, even kernel": {"kernel_size": (2, 4), "padding": "same"},
    "same, dilated even kernel": {"kernel_size": (2, 3), "padding": "same", "dilation": (3, 2)},
    "valid": {"kernel_size": 3, "padding": "valid"},
    "dilation": {"kernel_size": 3, "dilation": (2, 1)},
    "kernel of the image's size": {"kernel_size": 6},
    "depthwise": {"kernel_size": 3, "groups": 3},
    "depthwise, no bias": {"kernel_size": 3, "groups": 3, "bias": False},
    "everything": {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 1), "dilation": (2, 1), "groups": 3},
    "circular": {"kernel_size": 3, "padding": (1, 2), "padding_mode": "circular"},
    "reflect": {"kernel_size": 3, "padding": (1, 2), "padding_mode": "reflect"},
    "replicate": {"kernel_size": 3, "padding": (1, 2), "padding_mode": "replicate"},
    "circular, same, even kernel": {"kernel_size": (2, 4), "padding": "same", "padding_mode": "circular"},
    "reflect, depthwise": {"kernel_size": 3, "padding": 2, "padding_mode": "reflect", "groups": 3, "stride": 2},
    "replicate, nothing to pad": {"kernel_size": 3, "padding_mode": "replicate"},
}


class Tokens(nn.Module):
    """Linear layers on B×T×D and on B×H×W×D inputs."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 5, 2, stride=2)
        self.mix = nn.Linear(5, 4, bias=False)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.mix(self.patches(x).movedim(1, -1)))
        return torch.tanh(self.head(x.flatten(1, 2))).mean(dim=1)


class InPlace(nn.Module):
    """Activations and residual additions in place, straight on the outputs of layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv3 = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.elu(self.conv1(x), inplace=True)
        x = F.leaky_relu(self.conv2(x) + x, 0.1, inplace=True)
        y = self.conv3(x)
        y += x
        y[:, :2] *= 2
        return self.head(y.relu_().mean(dim=(2, 3))).mul_(3)


class Unused(nn.Module):
    """A layer that is not called, and one whose output nobody reads."""

    def __init__(self):
        super().__init__()
        self.never = nn.Linear(3, 3)
        self.ignored = nn.Conv2d(3, 2, 3)
        self.head = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.ignored(x)
        return self.head(x).flatten(1)


class Tied(nn.Module):
    """Two layers, one weight."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Linear(4, 4)
        self.third = nn.Linear(4, 4, bias=False)
        self.third.weight = self.second.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.third(torch.tanh(self.second(torch.tanh(self.first(x)).mean(dim=(2, 3)))))


class Views(nn.Module):
    """Convolutions of slices, flips, transposes and copies without memory of their own."""

    def __init__(self):
        super().__init__()
        self.sliced = nn.Conv2d(2, 2, 3)
        self.flipped = nn.Conv2d(3, 2, 3)
        self.expanded = nn.Conv2d(3, 2, 3, groups=1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            self.sliced(x[:, 1:, :, 1:]),
            self.flipped(x.mT.flip(1)),
            self.expanded(x[:, 1:2].expand(-1, 3, -1, -1)),
        ]
        return torch.cat([torch.tanh(part).flatten(1) for part in parts], dim=1)


class FrozenTrunk(nn.Module):
    """A trunk that runs without autograd, and a head that is scored."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.trunk(x)
        return self.head(torch.tanh(x).mean(dim=(2, 3)))


class Named(nn.Module):
    """A layer whose input is passed by name."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(input=x).flatten(1)


def views(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    left = torch.rand(3, 3, size, size, generator=generator, dtype=torch.float64)
    return left, left + 0.2 * torch.randn(left.shape, generator=generator, dtype=torch.float64)


def assert_equal_to_autograd(encoder: nn.Module, size: int, left_out: tuple[str, ...] = ()) -> None:
    encoder = encoder.double().eval()
    left, right = views(size)
    expected = autograd_gradients(encoder, two_view_loss, left, right)
    got = dict(per_sample_gradients(encoder, left, right))
    assert list(got) == [name for name in expected if name not in left_out]
    for name, gradients in got.items():
        torch.testing.assert_close(gradients, expected[name])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_gradients_of_every_convolution_equal_autograd(options):
    torch.manual_seed(3)
    assert_equal_to_autograd(nn.Sequential(nn.Conv2d(3, 6, **options), nn.Tanh(), nn.Flatten()), 6)


@pytest.mark.parametrize(
    "build",
    [lambda: small_net(1), lambda: small_net(2), twice_net, Tokens, InPlace, Views, lambda: build_encoder(1)],
    ids=["plain", "groups", "called twice", "tokens", "in place", "views of memory", "ResNet"],
)
def test_gradients_of_every_network_equal_autograd(build):
    torch.manual_seed(2)
    assert_equal_to_autograd(build(), 8)


def test_layers_without_a_gradient_are_left_out():
    torch.manual_seed(2)
    assert_equal_to_autograd(Unused(), 6, left_out=("never", "ignored"))


def test_the_calls_of_a_layer_under_two_names_are_added():
    torch.manual_seed(2)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(27, 27), nn.Tanh())
    encoder.append(encoder[1])
    assert list(tracked_layers(encoder)) == ["1"]
    assert_equal_to_autograd(encoder, 3)


def test_layers_that_share_a_weight_are_scored_apart():
    """Each has the gradient through its own calls; autograd's, for the one weight, is their sum."""
    torch.manual_seed(2)
    encoder = Tied().double()
    left, right = views(6)
    got = dict(per_sample_gradients(encoder, left, right))
    assert list(got) == ["first", "second", "third"]
    expected = autograd_gradients(encoder, two_view_loss, left, right)
    torch.testing.assert_close(got["second"][:, :, :4] + got["third"], expected["third"])
    assert (got["third"] - expected["third"]).norm() > 0.1 * expected["third"].norm()


@pytest.mark.parametrize("encoder", [FrozenTrunk, Named])
def test_gradients_do_not_depend_on_how_a_layer_gets_its_input(encoder):
    """A trunk without autograd has no gradient to give; what stands after it has."""
    torch.manual_seed(2)
    assert_equal_to_autograd(encoder(), 6, left_out=("trunk",))


def test_an_input_that_is_changed_after_it_was_read_is_refused(net):
    class Spoiled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 3, 1)
            self.conv2 = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv1(x)
            y = self.conv2(x)
            return (y + x.view(x.shape).tanh_()).flatten(1)

    with pytest.raises(InputError, match="changes the input of its layer 'conv2' in place"):
        list(per_sample_gradients(Spoiled().double(), *views(3)))


def test_a_layer_whose_input_does_not_begin_with_the_images_is_refused():
    """As in a transformer on time × batch × features: its rows would be taken for those of other images."""

    class TimeFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 4, 4, stride=4)
            self.mix = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.mix(self.patches(x).flatten(2).permute(2, 0, 1)).mean(dim=0)

    with pytest.raises(InputError, match="'mix'"):
        list(per_sample_gradients(TimeFirst().double(), *views(8)))


def test_a_normalisation_over_the_batch_is_refused():
    """Without stored statistics an image's loss depends on the other images of its batch."""
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Flatten()).double().eval()
    with pytest.raises(InputError, match="'1'"):
        list(per_sample_gradients(encoder, *views(4)))


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


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_factors_hold_every_position_of_both_views(grouped_net, memory_format):
    grouped_net = grouped_net.double().to(memory_format=memory_format)
    left, right = (v.to(memory_format=memory_format) for v in views(8))
    factors = dict(layer_factors(grouped_net, tracked_layers(grouped_net), left, right))
    shapes = {name: (tuple(f.activations.shape), tuple(f.gradients.shape)) for name, f in factors.items()}
    assert shapes == {
        "conv1": ((1, 3, 2 * 64, 28), (1, 3, 2 * 64, 4)),
        "conv2": ((2, 3, 2 * 16, 18), (2, 3, 2 * 16, 3)),
        "head": ((1, 3, 2, 7), (1, 3, 2, 5)),
    }
    expected = dict(per_sample_gradients(small_net(2).double(), *views(8)))
    norms = {name: f.product().square().sum(dim=(0, 2, 3)) for name, f in factors.items()}
    torch.testing.assert_close(norms, {name: g.square().sum(dim=(1, 2)) for name, g in expected.items()})
    torch.testing.assert_close(factors["head"].product()[0], expected["head"])


def test_the_product_of_factors_is_the_sum_over_positions():
    generator = torch.Generator().manual_seed(0)
    a, g = (torch.randn(2, 3, 5, n, generator=generator) for n in (4, 6))
    expected = sum(torch.einsum("gbo,gbi->gboi", g[:, :, t], a[:, :, t]) for t in range(5))
    torch.testing.assert_close(Factors(a, g).product(), expected)


def test_some_layers_have_the_same_factors_as_all(net):
    left, right = views(8)
    net = net.double()
    everything = dict(layer_factors(net, tracked_layers(net), left, right))
    some = dict(layer_factors(net, tracked_layers(net, ["conv2"]), left, right))
    assert list(some) == ["conv2"]
    torch.testing.assert_close(some["conv2"], everything["conv2"])


def test_autocast_changes_the_rounding_alone(net):
    left, right = (v.float() for v in views(8))
    layers = tracked_layers(net)
    full = dict(layer_factors(net, layers, left, right))
    half = dict(layer_factors(net, layers, left, right, autocast=torch.bfloat16))
    for name in layers:
        assert half[name].activations.dtype == half[name].gradients.dtype == torch.float32
        for a, b in zip(half[name], full[name], strict=True):
            assert not torch.equal(a, b) or name == "conv1"
            assert (a - b).norm() < 0.3 * b.norm()


def test_the_encoder_is_left_as_it_was(net):
    left, right = (v.float() for v in views(8))
    net.head.bias.requires_grad_(False)
    list(per_sample_gradients(net, left, right))
    assert all(p.grad is None for p in net.parameters())
    assert [p.requires_grad for p in net.head.parameters()] == [True, False]
    assert not any(module._forward_hooks for module in net.modules())
    assert not left.requires_grad


def test_the_encoder_is_left_as_it_was_after_an_error(net):
    def fail(left: Tensor, right: Tensor) -> Tensor:
        raise KeyboardInterrupt

    left, right = (v.float() for v in views(8))
    with pytest.raises(KeyboardInterrupt):
        list(per_sample_gradients(net, left, right, fail))
    assert all(p.requires_grad for p in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_frozen_parameters_are_scored_all_the_same(net):
    left, right = (v.float() for v in views(8))
    before = dict(per_sample_gradients(net, left, right))
    net.requires_grad_(False)
    with torch.no_grad():
        after = dict(per_sample_gradients(net, left, right))
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("chosen", [True, False])
def test_cudnns_settings_stay_but_for_its_coarse_products(monkeypatch, chosen):
    """A caller who asks for deterministic convolutions, or has the fastest one searched, gets them here too."""
    cudnn = torch.backends.cudnn
    for name in ("deterministic", "benchmark", "enabled"):
        monkeypatch.setattr(cudnn, name, chosen)
    monkeypatch.setattr(cudnn, "allow_tf32", True)
    seen = []

    class Looking(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((cudnn.deterministic, cudnn.benchmark, cudnn.enabled, cudnn.allow_tf32))
            return super().forward(x)

    list(per_sample_gradients(Looking(nn.Flatten(), nn.Linear(12, 2)), *(v.float() for v in views(2))))
    assert seen == [(chosen, chosen, chosen, False)]
    assert (cudnn.deterministic, cudnn.benchmark, cudnn.enabled, cudnn.allow_tf32) == (chosen, chosen, chosen, True)


def test_layers_are_picked_by_their_name_or_by_that_of_a_module():
    encoder = build_encoder(1)
    everything = list(tracked_layers(encoder))
    assert len(everything) == 20
    assert list(tracked_layers(encoder, ["backbone"])) == everything
    assert list(tracked_layers(encoder, ["backbone.conv1"])) == ["backbone.conv1"]
    block = ["backbone.layer2.0.conv1", "backbone.layer2.0.conv2", "backbone.layer2.0.downsample.0"]
    assert list(tracked_layers(encoder, ["backbone.layer2.0"])) == block
    # in the order of the network, each once
    assert list(tracked_layers(encoder, ["backbone.layer2.0", "backbone.conv1", *block])) == ["backbone.conv1", *block]
    assert all(tracked_layers(encoder)[name] is encoder.get_submodule(name) for name in everything)


def test_a_name_is_not_the_beginning_of_another():
    encoder = nn.ModuleDict({"conv1": nn.Conv2d(3, 3, 1), "conv10": nn.Conv2d(3, 3, 1)})
    assert list(tracked_layers(encoder, ["conv1"])) == ["conv1"]


@pytest.mark.parametrize("layers", ["conv1", [], ()])
def test_layers_have_to_be_a_list_of_names(net, layers):
    with pytest.raises(InputError, match=r"layers is .*, but it must be a list of names of modules, or None"):
        tracked_layers(net, layers)


@pytest.mark.parametrize("unknown", ["conv3", "norm", "conv", "conv1.weight"])
def test_a_name_that_stands_for_no_layer_is_refused(net, unknown):
    with pytest.raises(InputError, match=rf"layers is '{unknown}', but it must be .* conv1, conv2, head"):
        tracked_layers(net, ["conv1", unknown])


def test_an_encoder_without_layers_is_refused():
    with pytest.raises(InputError, match="no Linear and no Conv2d"):
        tracked_layers(nn.Sequential(nn.Flatten(), nn.ReLU()))
