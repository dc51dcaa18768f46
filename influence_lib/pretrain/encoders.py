"""Encoders: a ResNet-18 with a CIFAR stem, and the wrapper that takes pixels to features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, conv1x1

from influence_lib.errors import check_choice, check_integer, check_number, reject

__all__ = ["CIFAR_MEAN", "CIFAR_STD", "NORMALISATIONS", "Encoder", "build_encoder", "check_normalisation"]

CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
"""Channel means of CIFAR-10 in [0, 1], as solo-learn normalises it."""
CIFAR_STD = (0.247, 0.243, 0.261)
"""Channel standard deviations of CIFAR-10 in [0, 1], as solo-learn normalises it."""
NORMALISATIONS = {
    "cifar10": (CIFAR_MEAN, CIFAR_STD),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Image set → channel means and standard deviations in [0, 1], solo-learn's."""


class ResNet18(nn.Module):
    """ResNet-18 without a classifier, with torchvision's blocks and parameter names, and a free width."""

    def __init__(self, width: int, stem_padding: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, kernel_size=3, stride=1, padding=stem_padding, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        self.features_dim = 8 * width
        for module in self.modules():  # torchvision's initialisation
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))


def _stage(channels: int, planes: int, stride: int) -> nn.Sequential:
    downsample = None
    if stride != 1:
        downsample = nn.Sequential(conv1x1(channels, planes, stride), nn.BatchNorm2d(planes))
    return nn.Sequential(BasicBlock(channels, planes, stride, downsample), BasicBlock(planes, planes))


def check_normalisation(value: object) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the channel means and standard deviations that a name or a pair stands for.

    Raises
    ------
    InputError
        If it is no name in `NORMALISATIONS` and no pair (mean, std) of three numbers each, in [0, 1] and (0, 1].
    """
    if isinstance(value, str):
        return NORMALISATIONS[check_choice("normalisation", value, list(NORMALISATIONS))]
    if not isinstance(value, Sequence) or len(value) != 2:
        reject("normalisation", value, f"a pair (mean, std) or one of {', '.join(map(repr, NORMALISATIONS))}")
    mean, std = (_channels(name, values) for name, values in zip(("mean", "std"), value, strict=True))
    means = tuple(check_number("mean", number, least=0, most=1) for number in mean)
    return means, tuple(check_number("std", number, above=0, most=1) for number in std)


def _channels(name: str, values: object) -> Sequence[object]:
    """Return the numbers of the three channels."""
    numbers = values.tolist() if isinstance(values, Tensor | np.ndarray) else values
    if not isinstance(numbers, Sequence) or isinstance(numbers, str) or len(numbers) != 3:
        reject(name, values, "three numbers, one a channel, for pixels in [0, 1]")
    return numbers


class Encoder(nn.Module):
    """An encoder f that maps images to representations.

    Perturbations act on pixels in [0, 1]; the normalisation that training used is part of the encoder.

    Parameters
    ----------
    backbone : ResNet18
        Maps normalised images to features.
    mean, std : sequence of float
        Mean and standard deviation of the three channels, in [0, 1] and (0, 1].
    settings : mapping, optional
        How the encoder was made: method, width, data, seed and so on.
    history : sequence of dict, optional
        One entry an epoch; see `pretrain`.

    Attributes
    ----------
    projector : nn.Module or None
        Maps the representation on; None, as in every encoder but one that `load_checkpoint` gave a projector.
    """

    mean: Tensor
    std: Tensor
    projector: nn.Module | None

    def __init__(
        self,
        backbone: ResNet18,
        mean: Sequence[float] = CIFAR_MEAN,
        std: Sequence[float] = CIFAR_STD,
        settings: Mapping[str, Any] | None = None,
        history: Sequence[dict[str, float]] = (),
    ):
        super().__init__()
        self.backbone = backbone
        self.projector = None
        for name, channels in zip(("mean", "std"), check_normalisation((mean, std)), strict=True):
            self.register_buffer(name, torch.tensor(channels).view(1, 3, 1, 1), persistent=False)
        self.settings = dict(settings or {})
        self.history = list(history)

    def forward(self, x: Tensor) -> Tensor:
        """Return the representations, N×D, of images N×3×H×W with pixels in [0, 1]."""
        features = self.backbone((x - self.mean) / self.std)
        return features if self.projector is None else self.projector(features)

    @property
    def features_dim(self) -> int:
        """Dimensions D of the representation."""
        return int(self.backbone.features_dim)


def build_encoder(width: int = 64, stem_padding: int = 1) -> Encoder:
    """Return an untrained ResNet-18 with a CIFAR stem: a 3×3 first convolution and no pooling after it.

    Parameters
    ----------
    width : int
        Channels of the first stage. 64 is the papers' network (11 million parameters), 16 has a sixteenth of
        its parameters. The representation has ``8 * width`` dimensions.
    stem_padding : {1, 2}
        Padding of the first convolution. 1 keeps 32×32 images at 32×32 (SimCLR, appendix B.9). solo-learn's
        networks, and so the papers', have 2: their feature maps are 34, 17, 9 and 5 pixels wide.

    Raises
    ------
    InputError
        If `width` is no whole number above 0 or `stem_padding` is neither 1 nor 2.

    Examples
    --------
    >>> build_encoder(16)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 128])
    """
    width, stem_padding = check_integer("width", width), check_integer("stem_padding", stem_padding, 1, 2)
    return Encoder(ResNet18(width, stem_padding), settings={"width": width, "stem_padding": stem_padding})
