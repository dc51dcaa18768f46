"""Classifiers that are trained with labels in a short run, as in work on data attribution.

Many of them are trained without some of the images, so that one training has to be cheap: one view of an image, plain
SGD, a handful of epochs. What learns without labels, or is compared with that, is trained by `pretrain`.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from tqdm import tqdm

from influence_lib.data import ImageSet
from influence_lib.device import PRECISIONS, autocast_dtype, cudnn_settings, keep_freed_memory, resolve_device
from influence_lib.errors import InputError, check_choice, check_integer, check_number, reject
from influence_lib.pretrain.encoders import CIFAR_MEAN, CIFAR_STD
from influence_lib.pretrain.evaluate import check_images
from influence_lib.pretrain.views import memory_layout

__all__ = ["ARCHITECTURES", "Classifier", "Schedule", "build_classifier", "train_classifier"]

MOMENTUM, WEIGHT_DECAY, LABEL_SMOOTHING = 0.9, 5e-4, 0.1
WARM_UP = 5 / 24  # of the steps
TRANSLATION = 1 / 16  # of the side
CUTOUT = 1 / 4
LEAST_SIDE = 11  # of which ResNet-9's last convolution, three pixels wide, finds something


def _convolution(channels: int, out: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions whose output is added to their input."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(_convolution(channels, channels), _convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Scaled(nn.Module):
    """A linear layer whose logits are made small, so that a large learning rate does not saturate the softmax."""

    def __init__(self, features: int, n_classes: int):
        super().__init__()
        self.linear = nn.Linear(features, n_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return 0.2 * self.linear(x)


def _resnet9(width: int, n_classes: int) -> tuple[nn.Module, nn.Module]:
    """Return body and head of the ResNet-9 of the papers on data attribution (torchskeleton's, by way of FFCV)."""
    body = nn.Sequential(
        _convolution(3, width),
        _convolution(width, 2 * width, 5, 2, 2),
        Residual(2 * width),
        _convolution(2 * width, 4 * width),
        nn.MaxPool2d(2),
        Residual(4 * width),
        _convolution(4 * width, 2 * width, 3, 1, 0),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    )
    return body, Scaled(2 * width, n_classes)


def _mobilenet(width: int, n_classes: int) -> tuple[nn.Module, nn.Module]:
    """Return body and head of torchvision's MobileNetV2 with a first convolution that keeps small images' size."""
    network = mobilenet_v2(num_classes=n_classes, width_mult=width / 64)
    network.features[0][0].stride = (1, 1)
    return nn.Sequential(network.features, nn.AdaptiveAvgPool2d(1), nn.Flatten()), network.classifier


ARCHITECTURES = {"resnet9": _resnet9, "mobilenetv2": _mobilenet}
"""Name → what builds body and head from a width, 64 in the papers, and a number of classes."""


class Classifier(nn.Module):
    """A classifier: pixels in [0, 1] to one logit a class.

    Parameters
    ----------
    body, head : nn.Module
        From normalised images to features, and from these to logits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, head: nn.Module):
        super().__init__()
        self.body, self.head = body, head
        for name, channels in (("mean", CIFAR_MEAN), ("std", CIFAR_STD)):
            self.register_buffer(name, torch.tensor(channels).view(1, 3, 1, 1), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads, N×D, of images N×3×H×W with pixels in [0, 1]."""
        return self.body((x - self.mean) / self.std)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, N×C, of images N×3×H×W with pixels in [0, 1]."""
        return self.head(self.features(x))


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a classifier is trained; the defaults are those of the papers on data attribution.

    Attributes
    ----------
    epochs, batch_size : int
        Passes over the images, and images a step.
    lr : float
        The largest learning rate. It grows in a straight line over 5/24 of the steps, and falls to 0.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Autocast of the passes.
    """

    epochs: int = 24
    batch_size: int = 512
    lr: float = 0.5
    precision: str = "auto"

    def __post_init__(self) -> None:
        check_integer("epochs", self.epochs)
        check_integer("batch_size", self.batch_size, 2)
        check_number("lr", self.lr, above=0)
        check_choice("precision", self.precision, ("auto", *PRECISIONS))

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, counted from 0, of this many."""
        done, peak = (step + 1) / steps, WARM_UP
        return self.lr * min(done / peak, (1 - done) / (1 - peak) + 1 / steps)


def build_classifier(architecture: str = "resnet9", width: int = 64, n_classes: int = 10) -> Classifier:
    """Return an untrained classifier.

    Parameters
    ----------
    architecture : {"resnet9", "mobilenetv2"}
        What it is built of.
    width : int
        Channels of ResNet-9's first layer; MobileNetV2 is multiplied by width / 64.
    n_classes : int
        Logits.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> build_classifier(width=4)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    check_choice("architecture", architecture, list(ARCHITECTURES))
    return Classifier(
        *ARCHITECTURES[architecture](check_integer("width", width), check_integer("n_classes", n_classes, 2))
    )


def train_classifier(
    images: ImageSet,
    architecture: str = "resnet9",
    width: int = 64,
    schedule: Schedule = Schedule(),
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: bool = False,
) -> Classifier:
    """Train a classifier.

    SGD with momentum 0.9, weight decay 0.0005 and label smoothing 0.1; each image is mirrored or not, moved by up to a
    sixteenth of its side, and a square of a quarter of its side is put to the mean. Weights and order are drawn from
    the seed.

    Parameters
    ----------
    images : ImageSet
        With labels; the last batch of an epoch is dropped when it is not full.
    architecture, width
        As in `build_classifier`; there is a logit for each of the set's classes, whether an image has it or not.
    schedule : Schedule
        Epochs, batches and rate.
    seed : int
        Of everything random.
    device : str or torch.device
        ``"auto"`` or a torch device.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Classifier
        In eval mode, on the CPU.

    Raises
    ------
    InputError
        If a value is not allowed, an image has no label or is too small, or there are fewer images than in a batch.
    FloatingPointError
        If the loss stops being finite.

    Examples
    --------
    >>> train_classifier(images, width=2, schedule=Schedule(epochs=1, batch_size=20))(torch.rand(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """
    check_images("images", images, least=2)
    if int(images.labels.min()) < 0:
        raise InputError("images has an image without a label, from which a classifier cannot learn.")
    if min(images.images.shape[2:]) < LEAST_SIDE:
        reject("the size of images", tuple(images.images.shape[2:]), f"at least {LEAST_SIDE} by {LEAST_SIDE}")
    if len(images) < schedule.batch_size:
        reject("batch_size", schedule.batch_size, f"at most the number of images, {len(images)}")
    target = resolve_device(device)
    if target.type == "cpu":
        keep_freed_memory()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_integer("seed", seed, least=0))
        model = build_classifier(architecture, width, max(2, len(images.class_names)))
    model = model.to(target).to(memory_format=memory_layout(width)).train()
    with cudnn_settings(deterministic=True, benchmark=False):
        _train(model, images, schedule, seed, target, progress)
    return model.eval().cpu().to(memory_format=torch.contiguous_format)


def _train(
    model: Classifier, images: ImageSet, schedule: Schedule, seed: int, device: torch.device, progress: bool
) -> None:
    optimizer = torch.optim.SGD(model.parameters(), schedule.lr, MOMENTUM, weight_decay=WEIGHT_DECAY)
    dtype = autocast_dtype(schedule.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
    pixels, labels = images.images.to(device), images.labels.to(device)
    generator = torch.Generator().manual_seed(seed)
    steps = len(images) // schedule.batch_size * schedule.epochs
    for step in tqdm(range(steps), unit="batch", disable=not progress, desc="classifier"):
        place = step % (steps // schedule.epochs)
        if place == 0:
            order = torch.randperm(len(images), generator=generator)
        batch = order[place * schedule.batch_size :][: schedule.batch_size].to(device)
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step, steps)
        seen = _augmented(pixels[batch].float().div_(255), model.mean, generator)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits = model(seen.contiguous(memory_format=memory_layout(len(next(model.parameters())))))
        loss = F.cross_entropy(logits.float(), labels[batch], label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    if not math.isfinite(loss.item()):
        raise FloatingPointError(f"the loss became {loss.item()}: lower lr, or use precision='fp32'.")


def _augmented(pixels: Tensor, mean: Tensor, generator: torch.Generator) -> Tensor:
    """Return B×3×H×W images mirrored, moved and with a square cut out, each by its own draw."""
    count, _, *sides = pixels.shape
    mirrored = torch.rand(count, generator=generator).to(pixels.device) < 0.5
    pixels = torch.where(mirrored[:, None, None, None], pixels.flip(3), pixels)
    most = [round(side * TRANSLATION) for side in sides]
    moved = [_drawn(count, 2 * by + 1, generator, pixels) for by in most]
    padded = mean.expand(count, -1, *(side + 2 * by for side, by in zip(sides, most, strict=True))).clone()
    padded[:, :, most[0] : most[0] + sides[0], most[1] : most[1] + sides[1]] = pixels
    rows, columns = (_span(start, side) for start, side in zip(moved, sides, strict=True))
    each = torch.arange(count, device=pixels.device)[:, None, None]
    pixels = padded[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    cut = []
    for side in sides:
        start = _drawn(count, side - round(side * CUTOUT) + 1, generator, pixels)
        at = torch.arange(side, device=pixels.device)
        cut.append((at >= start[:, None]) & (at < start[:, None] + round(side * CUTOUT)))
    return torch.where((cut[0][:, :, None] & cut[1][:, None, :])[:, None], mean, pixels)


def _drawn(count: int, below: int, generator: torch.Generator, like: Tensor) -> Tensor:
    return torch.randint(below, (count,), generator=generator).to(like.device)


def _span(start: Tensor, side: int) -> Tensor:
    return start[:, None] + torch.arange(side, device=start.device)
