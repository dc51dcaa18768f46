"""Which layers count, on architectures of many kinds: the squared norm is autograd's, or one sentence says why not."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm
from torch.utils.checkpoint import checkpoint

from influence_lib.data import ImageSet
from influence_lib.errors import InputError
from influence_lib.influence import GaussianNoise, cross_influence, raw_loss, self_influence
from influence_lib.influence.curvature.approximations import APPROXIMATIONS as CURVATURES
from influence_lib.influence.views.losses import two_view_loss
from influence_lib.influence.views.perturbations import view_pair
from influence_lib.pretrain import build_encoder, embed
from tests.images import noise_images

every_curvature = pytest.mark.parametrize("curvature", CURVATURES)
Forward = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """Some modules and a forward."""

    def __init__(self, forward: Forward, **modules: nn.Module):
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def trunk() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(36, 6))


def tokens() -> nn.Conv2d:
    return nn.Conv2d(3, 8, 2, stride=2)


class Attention(nn.Module):
    """Self-attention of plain layers."""

    def __init__(self, width: int):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=2)
        return self.out(F.scaled_dot_product_attention(q, k, v))


class Transformer(nn.Module):
    """A small vision transformer with a class token."""

    def __init__(self):
        super().__init__()
        self.patches, self.token = tokens(), nn.Parameter(torch.randn(1, 1, 8))
        self.norm, self.attention = nn.LayerNorm(8), Attention(8)
        self.mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        x = x + self.attention(self.norm(x))
        return (x + self.mlp(x))[:, 0]


class PlainSubclass(nn.Linear):
    """Another name."""


class LowRank(nn.Linear):
    """A Linear with a bypass of low rank in its own forward."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.down, self.up = nn.Parameter(torch.randn(2, inputs)), nn.Parameter(torch.randn(outputs, 2))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x @ self.down.T @ self.up.T


def without_classifier(network: Any) -> nn.Module:
    network.fc = nn.Identity()
    return network


def swapped(x: Tensor) -> Tensor:
    return x.flip(3)


def no_grad(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x)


COUNTED: dict[str, Callable[[], nn.Module]] = {
    "ResNet-18": lambda: without_classifier(tv.ResNet(tv.resnet.BasicBlock, [1, 1, 1, 1], width_per_group=64)),
    "ConvNeXt": lambda: tv.ConvNeXt(
        [tv.convnext.CNBlockConfig(4, 8, 1), tv.convnext.CNBlockConfig(8, None, 1)], num_classes=5
    ),
    "DenseNet": lambda: tv.DenseNet(4, (1, 1), 8, num_classes=5),
    "DenseNet that recomputes": lambda: tv.DenseNet(4, (1, 1), 8, num_classes=5, memory_efficient=True),
    "inverted residuals": lambda: nn.Sequential(
        tv.mobilenetv2.InvertedResidual(3, 4, 2, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    ),
    "squeeze and excitation": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), tv.efficientnet.SqueezeExcitation(8, 2), nn.SiLU(inplace=True), nn.Flatten()
    ),
    "transformer": Transformer,
    "Siamese": lambda: Net(lambda s, x: s.net(x) - 0.5 * s.net(swapped(x)), net=trunk()),
    "Siamese without one gradient": lambda: Net(lambda s, x: s.net(x) * s.net(swapped(x)).detach(), net=trunk()),
    "momentum twin": lambda: Net(lambda s, x: s.net(x) + no_grad(s.net, swapped(x)), net=trunk()),
    "Conv1d": lambda: Net(
        lambda s, x: s.conv(s.patches(x).flatten(2)).mean(2), patches=tokens(), conv=nn.Conv1d(8, 6, 3)
    ),
    "Conv3d": lambda: Net(
        lambda s, x: s.head(s.conv(x[:, None]).flatten(1)), conv=nn.Conv3d(1, 2, 3), head=nn.Linear(72, 5)
    ),
    "ConvTranspose": lambda: Net(
        lambda s, x: s.up(s.patches(x)).mean((2, 3)), patches=tokens(), up=nn.ConvTranspose2d(8, 6, 2)
    ),
    "Embedding": lambda: Net(
        lambda s, x: torch.tanh(s.patches(x).flatten(2).mT + s.places(torch.arange(16))).mean(1),
        patches=tokens(),
        places=nn.Embedding(16, 8),
    ),
    "subclass": lambda: nn.Sequential(trunk(), PlainSubclass(6, 5)),
    "bypass of low rank": lambda: nn.Sequential(trunk(), LowRank(6, 5)),
    "auxiliary head": lambda: Net(lambda s, x: s.net(x), net=trunk(), head=nn.Linear(6, 3)),
    "head that is called in vain": lambda: Net(
        lambda s, x: (s.net(x), s.head(s.net(x)))[0], net=trunk(), head=nn.Linear(6, 3)
    ),
    "in-place normalisation": lambda: Net(lambda s, x: s.net(x.sub_(0.5).div_(0.25)), net=trunk()),
    "in-place activation first": lambda: nn.Sequential(nn.ReLU(inplace=True), trunk()),
    "trunk without autograd, head in place": lambda: Net(
        lambda s, x: s.head(no_grad(s.net, x)),
        net=trunk(),
        head=nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True), nn.Linear(6, 4)),
    ),
    "detached trunk": lambda: Net(lambda s, x: s.head(s.net(x).detach()), net=trunk(), head=nn.Linear(6, 4)),
    "checkpoints": lambda: Net(lambda s, x: checkpoint(s.net, x, use_reentrant=False), net=trunk()),
    "data-parallel part": lambda: nn.Sequential(nn.DataParallel(trunk()), nn.Linear(6, 4)),
    "float64": lambda: trunk().double(),
    "training mode": lambda: nn.Sequential(nn.BatchNorm2d(3), trunk(), nn.Dropout(0.5)).train(),
    "frozen bias": lambda: frozen(trunk(), "0.bias"),
    "frozen weight": lambda: frozen(trunk(), "3.weight"),
    "frozen layer": lambda: frozen(trunk(), "0.weight", "0.bias"),
}


def frozen(module: nn.Module, *names: str) -> nn.Module:
    for name in names:
        module.get_parameter(name).requires_grad_(False)
    return module


def built(build: Callable[[], nn.Module]) -> nn.Module:
    """Return a network with drawn weights and statistics, in the mode that it was built in."""
    torch.manual_seed(0)
    network = build()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network


def score(encoder: nn.Module, images: ImageSet, curvature: str = "identity", **more: Any) -> Any:
    """Return scores without what is said of the share, which has tests of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the layers that count")
        return self_influence(encoder, images, curvature=curvature, progress=False, **more)


def squared_norms(encoder: nn.Module, images: ImageSet) -> tuple[Tensor, Tensor]:
    """Return ‖g‖² of every image by autograd in float64, over Linear and Conv2d layers and over all parameters."""
    encoder = encoder.double().eval()
    named = {p: m for m in encoder.modules() for p in m._parameters.values() if p is not None and p.requires_grad}
    ours = [isinstance(m, nn.Linear | nn.Conv2d) and (p is m.weight or p is m.bias) for p, m in named.items()]
    rows = []
    for i in range(len(images)):
        views = view_pair(
            images.images[i : i + 1].float() / 255, images.ids[i : i + 1].tolist(), GaussianNoise(), "one", 0, 0
        )
        left, right = encoder(torch.cat(views).double()).chunk(2)
        gradients = torch.autograd.grad(two_view_loss(left, right).sum(), list(named), materialize_grads=True)
        rows.append(torch.stack([g.square().sum() for g in gradients]))
    squares = torch.stack(rows)
    return squares[:, torch.tensor(ours)].sum(1), squares.sum(1)


@pytest.mark.parametrize("build", COUNTED.values(), ids=COUNTED)
def test_the_squared_norm_is_autograds(build):
    images = noise_images(4)
    encoder = built(build)
    scores = score(encoder, images)
    expected, _ = squared_norms(encoder, images)
    torch.testing.assert_close(scores.values.double(), expected, rtol=2e-3, atol=0)
    assert all((part > 0).any() for part in scores.by_layer.values())


@pytest.mark.parametrize("build", [COUNTED[name] for name in ("ResNet-18", "transformer", "Conv1d", "Embedding")])
def test_the_share_is_autograds(build):
    images = noise_images(4)  # as many as are looked at
    encoder = built(build)
    share = score(encoder, images).share
    counted, whole = squared_norms(encoder, images)
    assert share == pytest.approx(float(counted.sum() / whole.sum()), rel=1e-3)
    assert 0.01 < share < 0.999


def test_what_lies_outside_is_said():
    with pytest.warns(UserWarning, match=r"^the layers that count, .* hold [0-9.]+% of .* outside are Conv1d\.weight"):
        self_influence(built(COUNTED["Conv1d"]), noise_images(4), progress=False)


@pytest.mark.parametrize(
    ("build", "layers"),
    [(lambda: build_encoder(2), None), (trunk, ["3"]), (trunk, None)],
    ids=["norms", "chosen", "all"],
)
def test_normalisations_and_layers_that_are_left_out_are_not_said(build, layers):
    """Warnings are errors here; the share says it."""
    share = self_influence(built(build), noise_images(4), layers=layers, progress=False).share
    assert (share == pytest.approx(1)) == (build is trunk and layers is None)


class Standardised(nn.Conv2d):
    """A convolution with a standardised weight."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride)


class Padded(nn.Conv2d):
    """A convolution that pads its input itself."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1)), self.weight, self.bias, self.stride)


class Doubled(nn.Linear):
    """A Linear whose output is scaled."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Detached(nn.Linear):
    """A Linear whose weight has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.detach(), self.bias)


class Scaling(nn.Linear):
    """A Linear with a second input."""

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return scale * super().forward(x)


def tied(module: nn.Module, kept: str, other: str) -> nn.Module:
    module.get_submodule(other).weight = module.get_submodule(kept).weight
    return module


def pruned(module: nn.Linear) -> nn.Linear:
    return prune.l1_unstructured(module, "weight", 0.5)


def old_weight_norm(module: nn.Linear) -> nn.Linear:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(module)


def hooked(module: nn.Linear) -> nn.Linear:
    module.register_forward_hook(lambda _, inputs, output: 3 * output)
    return module


def transformer_layer(batch_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=batch_first)
    if batch_first:
        return Net(lambda s, x: s.layer(s.patches(x).flatten(2).mT).mean(1), patches=tokens(), layer=layer)
    return Net(lambda s, x: s.layer(s.patches(x).flatten(2).movedim(2, 0)).mean(0), patches=tokens(), layer=layer)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "MultiheadAttention": (
        lambda: tv.VisionTransformer(8, 4, 1, 2, 8, 12, num_classes=5),
        "encoder.layers.encoder_layer_0.self_attention.out_proj",
    ),
    "TransformerEncoderLayer": (lambda: transformer_layer(True), "layer.self_attn.out_proj"),
    "time first": (lambda: transformer_layer(False), "layer.linear1"),
    "Swin": (lambda: tv.SwinTransformer([2, 2], 8, [1, 1], [2, 2], [2, 2], num_classes=5), "features.1.0.attn.qkv"),
    "functional use": (
        lambda: Net(lambda s, x: F.linear(s.net(x), s.head.weight), net=trunk(), head=nn.Linear(6, 6)),
        "head",
    ),
    "functional use beside a call": (
        lambda: Net(lambda s, x: s.head(s.net(x)) @ s.head.weight, net=trunk(), head=nn.Linear(6, 6)),
        "head",
    ),
    "tied Linear": (lambda: tied(nn.Sequential(trunk(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6)), "1", "3"), "1"),
    "tied Conv2d": (
        lambda: tied(nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.Flatten(), nn.Linear(48, 5)), "0", "1"),
        "0",
    ),
    "tied Embedding": (
        lambda: tied(
            Net(
                lambda s, x: s.head(s.patches(x).flatten(2).mT + s.places(torch.arange(16))).mean(1),
                patches=tokens(),
                head=nn.Linear(8, 16),
                places=nn.Embedding(16, 8),
            ),
            "head",
            "places",
        ),
        "head",
    ),
    "standardised": (lambda: nn.Sequential(Standardised(3, 4, 3, 2), *trunk()[1:]), "0"),
    "padded": (lambda: nn.Sequential(Padded(3, 4, 3), nn.AdaptiveAvgPool2d(3), *trunk()[1:]), "0"),
    "scaled": (lambda: nn.Sequential(trunk(), Doubled(6, 5)), "1"),
    "detached": (lambda: nn.Sequential(trunk(), Detached(6, 5)), "1"),
    "two inputs": (lambda: Net(lambda s, x: s.head(s.net(x), 2.0), net=trunk(), head=Scaling(6, 5)), "head"),
    "hook on the output": (lambda: nn.Sequential(trunk(), hooked(nn.Linear(6, 5))), "1"),
    "pruned": (lambda: nn.Sequential(trunk(), pruned(nn.Linear(6, 5))), "1"),
    "weight norm of old": (lambda: nn.Sequential(trunk(), old_weight_norm(nn.Linear(6, 5))), "1"),
    "weight norm": (lambda: nn.Sequential(trunk(), parametrizations.weight_norm(nn.Linear(6, 5))), "1"),
    "spectral norm of old": (lambda: nn.Sequential(trunk(), spectral_norm(nn.Linear(6, 5))), "1"),
    "orthogonal": (lambda: nn.Sequential(trunk(), parametrizations.orthogonal(nn.Linear(6, 5))), "1"),
    "patches in the batch": (
        lambda: Net(
            lambda s, x: s.head(s.patches(x).flatten(2).mT.reshape(-1, 8)).view(len(x), 16, -1).mean(1),
            patches=tokens(),
            head=nn.Linear(8, 5),
        ),
        "head",
    ),
}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize(("build", "layer"), REFUSED.values(), ids=REFUSED)
def test_a_gradient_that_is_not_seen_is_refused(build, layer):
    """And what the sentence says is a way out."""
    encoder, images = built(build), noise_images(4)
    if isinstance(encoder, tv.VisionTransformer):
        nn.init.normal_(encoder.heads.head.weight)  # without it nothing has a gradient
    with pytest.raises(InputError, match=rf"^encoder .*layer '{layer}'.* so its gradient is not seen") as caught:
        score(encoder, images)
    assert torch.isfinite(embed(encoder, images)).all()
    *_, way_out = str(caught.value).partition("layers=")
    if way_out:
        left = way_out.removesuffix(".").strip("[]").replace("'", "").split(", ")
        scores = score(encoder, images, layers=left)
        assert layer not in scores.by_layer
        assert scores.share < 1


@every_curvature
@pytest.mark.parametrize("kind", ["functional use", "tied Linear", "scaled", "pruned"])
def test_every_curvature_refuses_the_same(curvature, kind):
    build, layer = REFUSED[kind]
    with pytest.raises(InputError, match=rf"layer '{layer}'.* so its gradient is not seen"):
        self_influence(built(build), noise_images(4), curvature=curvature, progress=False)
    if curvature == "ekfac":
        with pytest.raises(InputError, match=rf"layer '{layer}'.* so its gradient is not seen"):
            cross_influence(built(build), noise_images(2), noise_images(4), progress=False)


@every_curvature
def test_layers_that_are_not_called_change_nothing(curvature):
    images, network = noise_images(6), built(trunk)
    expected = self_influence(network, images, curvature=curvature, progress=False)
    aside = Net(lambda s, x: s.net(x), net=network, aside=nn.Linear(6, 3))
    scores = self_influence(aside, images, curvature=curvature, progress=False)
    assert list(scores.by_layer) == [f"net.{name}" for name in expected.by_layer]
    torch.testing.assert_close(scores.by_draw, expected.by_draw)
    with pytest.raises(
        InputError, match=r"^'aside' of layers has no layer on whose weights the representations depend"
    ):
        self_influence(aside, images, layers=["net", "aside"], curvature=curvature, progress=False)


def test_a_layer_that_is_called_for_some_images_only_is_refused():
    """The first images do not call it."""
    encoder = Net(
        lambda s, x: s.net(x) + (s.aside(s.net(x)) if len(x) > 8 else 0), net=built(trunk), aside=nn.Linear(6, 6)
    )
    with pytest.raises(InputError, match="calls its layer 'aside' for some images and not for others"):
        self_influence(encoder, noise_images(9), progress=False)


@every_curvature
def test_frozen_layers_are_left_out(curvature):
    images = noise_images(6)
    head = self_influence(built(trunk), images, layers=["3"], curvature=curvature, progress=False)
    encoder = frozen(built(trunk), "0.weight", "0.bias")
    scores = self_influence(encoder, images, curvature=curvature, progress=False)
    torch.testing.assert_close(scores.by_draw, head.by_draw)
    assert scores.share == pytest.approx(1)
    assert set(scores.by_layer) <= {"3"}


@pytest.mark.parametrize("curvature", ["identity", "ekfac"])
def test_frozen_layers_count_where_they_are_asked_for(curvature):
    images, encoder = noise_images(6), frozen(built(trunk), "0.weight", "0.bias", "3.bias")
    whole = self_influence(built(trunk), images, curvature=curvature, progress=False)
    everything = self_influence(encoder, images, frozen=True, curvature=curvature, progress=False)
    assert torch.equal(everything.by_draw, whole.by_draw)
    assert everything.settings == {**whole.settings, "frozen": True}
    assert [p.requires_grad for p in encoder.parameters()] == [False, False, True, False]


def test_an_encoder_that_is_all_frozen_says_so():
    encoder, images = built(trunk).requires_grad_(False), noise_images(4)
    with pytest.raises(InputError, match=r"^encoder has only frozen parameters .* frozen=True counts them\.$"):
        self_influence(encoder, images, progress=False)
    with pytest.raises(InputError, match=r"^encoder has only frozen parameters"):
        cross_influence(encoder, images, images, progress=False)
    with pytest.raises(InputError, match=r"^'0' of layers has only frozen parameters"):
        self_influence(frozen(built(trunk), "0.weight", "0.bias"), images, layers=["0", "3"], progress=False)
    whole = cross_influence(built(trunk), images, images, progress=False)
    assert torch.equal(cross_influence(encoder, images, images, frozen=True, progress=False).values, whole.values)
    with pytest.raises(InputError, match=r"^frozen is 'yes'"):
        self_influence(encoder, images, frozen="yes", progress=False)


def test_what_runs_without_autograd_cannot_be_counted():
    encoder = built(COUNTED["trunk without autograd, head in place"])
    with pytest.raises(InputError, match=r"calls its layer 'net\.0' under torch\.no_grad\(\)"):
        self_influence(encoder, noise_images(4), frozen=True, progress=False)
    whole = Net(lambda s, x: no_grad(s.net, x), net=built(trunk))
    with pytest.raises(InputError, match=r"^encoder returns representations without a gradient"):
        self_influence(whole, noise_images(4), progress=False)
    inference = Net(lambda s, x: s.head(torch.inference_mode()(s.net)(x)), net=built(trunk), head=nn.Linear(6, 3))
    with pytest.raises(InputError, match=r"^encoder cannot be differentiated"):
        self_influence(inference, noise_images(4), progress=False)


def test_the_callers_inference_mode_does_not_matter():
    encoder, images = built(trunk), noise_images(4)
    expected = self_influence(encoder, images, progress=False)
    with torch.inference_mode():
        assert torch.equal(self_influence(encoder, images, progress=False).by_draw, expected.by_draw)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")  # of representations alone
def test_reentrant_checkpoints_are_seen():
    encoder, images = built(trunk), noise_images(4)
    recomputing = Net(lambda s, x: checkpoint(s.net, x, use_reentrant=True), net=encoder)
    scores = self_influence(recomputing, images, progress=False)
    torch.testing.assert_close(scores.by_draw, self_influence(encoder, images, progress=False).by_draw)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_of_its_own_is_rounding_alone(dtype):
    def forward(net: Any, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype):
            return net.net(x)

    images = noise_images(6)
    exact = self_influence(built(trunk), images, curvature="identity", progress=False)
    scores = self_influence(Net(forward, net=built(trunk)), images, curvature="identity", progress=False)
    torch.testing.assert_close(scores.values, exact.values, rtol=0.5, atol=0)


@pytest.mark.parametrize("wrap", [torch.jit.script, lambda m: torch.jit.trace(m, torch.rand(2, 3, 8, 8))])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_script_modules_are_refused(wrap, inside):
    module = wrap(built(trunk).eval())
    encoder = nn.Sequential(module, nn.Linear(6, 3)) if inside else module
    with pytest.raises(InputError, match=r"^encoder has .* ScriptModule"):
        self_influence(encoder, noise_images(4), progress=False)


def test_quantised_layers_are_refused():
    class Quantised(nn.Linear):
        __module__ = "torch.ao.nn.quantized.dynamic.modules.linear"

    with pytest.raises(InputError, match=r"^encoder has a quantised layer '1'"):
        self_influence(nn.Sequential(trunk(), Quantised(6, 3)), noise_images(4), progress=False)


@every_curvature
def test_a_representation_without_a_direction_is_said(curvature):
    """The raw loss has a value there, and the gradient none."""
    images = noise_images(6)
    half = Net(
        lambda s, x: s.net(x) * (x.mean((1, 2, 3)) > images.images[2].float().mean() / 255)[:, None], net=trunk()
    )
    with pytest.raises(FloatingPointError, match=r"ids .*11.* have length 0, and so no direction"):
        self_influence(half, images, curvature=curvature, progress=False)
    assert torch.isfinite(raw_loss(half, images, progress=False).values).all()
    if curvature != "kronfluence":
        assert torch.isfinite(
            self_influence(half, images, loss="mse", curvature=curvature, progress=False).values
        ).all()


@every_curvature
def test_a_constant_representation_has_no_influence(curvature):
    encoder = Net(lambda s, x: 0 * s.net(x) + 1, net=built(trunk))
    scores = self_influence(encoder, noise_images(4), curvature=curvature, progress=False)
    assert scores.by_draw.abs().max() == 0
    assert scores.share is None


@every_curvature
def test_weights_that_are_not_finite_are_said(curvature):
    encoder = built(trunk)
    with torch.no_grad():
        encoder.get_parameter("3.weight")[0] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        self_influence(encoder, noise_images(4), curvature=curvature, progress=False)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (COUNTED["subclass"], "of the class PlainSubclass, which kronfluence does not know"),
        (COUNTED["momentum twin"], "2 times, and 1 of them with a gradient, which kronfluence gets wrong"),
        (COUNTED["Siamese without one gradient"], "2 times, and 1 of them with a gradient"),
        (COUNTED["frozen bias"], "layer '0' of which only the weight or the bias is frozen"),
    ],
)
def test_kronfluence_refuses_what_it_gets_wrong(build, sentence):
    with pytest.raises(InputError, match=sentence):
        score(built(build), noise_images(4), curvature="kronfluence")


def test_logra_counts_no_biases():
    with pytest.raises(InputError, match="layer '3' with a frozen weight, and biases do not count in LoGra"):
        self_influence(built(COUNTED["frozen weight"]), noise_images(4), curvature="logra", progress=False)
