"""Encoders of many kinds: those whose gradients are seen, and those that are refused."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm
from torch.utils.checkpoint import checkpoint

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
