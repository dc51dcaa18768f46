"""Perturbations of the training images, drawn for each image on its own.

What is drawn for an image depends on the seed, the image's id, the draw and the view alone: not on the batch,
the order or the pass.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from influence_lib.errors import reject

__all__ = [
    "TABLE_4",
    "Augmentations",
    "ContrastNoise",
    "GaussianNoise",
    "Perturbation",
    "RandomCrop",
    "SharedDraws",
    "perturb",
    "view_pair",
]

VIEWS = ("one", "two")


class Perturbation(Protocol):
    """What perturbs one image."""

    def __call__(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the perturbed copy of one image, 3×H×W, float32, pixels in [0, 1]."""

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""


def check_perturbation(name: str, value: Any) -> Perturbation:
    """Return what perturbs an image and can be described.

    Raises
    ------
    InputError
        If it is something else.
    """
    if isinstance(value, type) or not callable(value) or not hasattr(value, "describe"):
        reject(name, value, "a perturbation, such as influence.GaussianNoise()")
    return value


@dataclass(frozen=True)
class GaussianNoise:
    """Independent Gaussian noise on every pixel and channel (paper, section 4: mean 0.05, deviation 0.2).

    The noise is added in pixel space, on the scale on which black is 0 and white is 1, before the encoder
    normalises. The papers do not say where it is added; after normalisation the same numbers are a noise four
    times weaker, and two draws of it agree far less.

    Parameters
    ----------
    mean, std : float
        Of the noise, in pixels of [0, 1].
    clamp : bool
        Whether the sum is cut to [0, 1]. False, the default, is x̂ = x + ε as the paper writes it. Clamping
        perturbs dark and bright images less than others.

    Raises
    ------
    InputError
        If `std` is negative.
    """

    mean: float = 0.05
    std: float = 0.2
    clamp: bool = False

    def __post_init__(self) -> None:
        if not self.std >= 0:
            reject("std", self.std, "zero or positive")

    def __call__(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the noisy copy of one image, 3×H×W."""
        noise = torch.from_numpy(rng.standard_normal(tuple(pixels.shape), dtype=np.float32))
        noisy = pixels + noise.mul_(self.std).add_(self.mean)
        return noisy.clamp_(0, 1) if self.clamp else noisy

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        return {"kind": "gaussian noise", **asdict(self)}


@dataclass(frozen=True)
class ContrastNoise:
    """Gaussian noise in proportion to the contrast of each image, so that signal to noise is the same for all.

    Mean and deviation of `GaussianNoise` are multiplied by the standard deviation of the image's luma over `reference`.
    An image of one colour is left as it is.

    Parameters
    ----------
    mean, std : float
        Of the noise of an image whose contrast is `reference`, in pixels of [0, 1].
    reference : float
        A contrast, in pixels of [0, 1]; about that of an image of CIFAR-10.

    Raises
    ------
    InputError
        If `std` is negative, or `reference` is not above 0.
    """

    mean: float = 0.05
    std: float = 0.2
    reference: float = 0.2

    def __post_init__(self) -> None:
        if not self.std >= 0:
            reject("std", self.std, "zero or positive")
        if not self.reference > 0:
            reject("reference", self.reference, "above 0")

    def __call__(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the noisy copy of one image, 3×H×W."""
        # of one colour, whatever the rounding of its luma: vector instructions do not round all pixels alike
        plain = torch.equal(pixels, pixels[:, :1, :1].expand_as(pixels))
        factor = 0.0 if plain else float(F.rgb_to_grayscale(pixels).std(correction=0)) / self.reference
        noise = torch.from_numpy(rng.standard_normal(tuple(pixels.shape), dtype=np.float32))
        return pixels + noise.mul_(self.std).add_(self.mean).mul_(factor)

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        return {"kind": "contrast noise", **asdict(self)}


@dataclass(frozen=True)
class RandomCrop:
    """A random part of the image, resized to the image's size (paper, Table 4, which states no parameters).

    The area is uniform in `scale`, the logarithm of the aspect ratio uniform over those of `ratio` with which such
    an area fits, the place uniform. The sides are rounded down to whole pixels, so that a part smaller than the
    image never becomes the image itself, whose loss would be 0. Resizing is bicubic, as in training, and its
    overshoot is cut to [0, 1].

    Parameters
    ----------
    scale : tuple of float
        Range of the area as a part of the image's. Training crops down to 0.08, which is 9×9 of 32×32 pixels:
        there the loss says more about where the crop fell than about the image. From half the area on, the default,
        most of what the image shows stays in view.
    ratio : tuple of float
        Range of width over height, relative to the image's own, around 1.

    Raises
    ------
    InputError
        If a range is none, or not within what is allowed.
    """

    scale: tuple[float, float] = (0.5, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not (_is_positive_range(self.scale) and self.scale[1] <= 1):
            reject("scale", self.scale, "a tuple (low, high) with 0 < low ≤ high ≤ 1")
        if not (_is_positive_range(self.ratio) and self.ratio[0] <= 1 <= self.ratio[1]):
            reject("ratio", self.ratio, "a tuple (low, high) with 0 < low ≤ 1 ≤ high")

    def __call__(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the resized crop of one image, 3×H×W, in [0, 1]."""
        full = pixels.shape[1:]
        area = rng.uniform(*self.scale)
        # wider than 1/area or narrower than area, the crop would leave the image
        low, high = max(self.ratio[0], area), min(self.ratio[1], 1 / area)
        ratio = math.exp(rng.uniform(math.log(low), math.log(high)))
        parts = (math.sqrt(area / ratio), math.sqrt(area * ratio))
        height, width = (max(1, math.floor(part * side)) for part, side in zip(parts, full, strict=True))
        top, left = (int(rng.integers(side - cut + 1)) for side, cut in zip(full, (height, width), strict=True))
        return F.resized_crop(pixels, top, left, height, width, list(full), InterpolationMode.BICUBIC).clamp(0, 1)

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        return {"kind": "random crop", "scale": list(self.scale), "ratio": list(self.ratio)}


@dataclass(frozen=True)
class Augmentations:
    """Colour jitter, grayscale, Gaussian blur and horizontal flip, in this order (paper, Table 4).

    The paper names the operations and states no strengths. Those of the paper's training augmentations (Table 1) are
    the defaults, but not their probabilities: an operation that is switched on is applied to every image in every
    draw. Otherwise a draw would compare images that were changed with images that were not, and one that no
    operation touches is paired with itself, at a loss and a gradient of 0. What varies between draws is how strong
    the jitter and the blur are. The flip alone has a probability, because a coin of one half is how training flips;
    `TABLE_4` flips always. Two perturbed copies of an image (``views="two"``) share what does not vary, so there
    a certain flip and the grayscale are no difference between them.

    The order is that of training; the paper's table does not give one. What comes out is cut to [0, 1].

    Parameters
    ----------
    flip_probability : float
        Of the horizontal flip: 0 is never, 1 is always.
    jitter : bool
        Whether brightness, contrast, saturation and hue are changed, in a random order.
    grayscale : bool
        Whether the three channels become the luma.
    blur : bool
        Whether the image is blurred, with reflection at its border.
    brightness, contrast, saturation : float
        Largest relative change of the jitter: the factors are uniform in [max(0, 1 − s), 1 + s].
    hue : float
        Largest change of the hue, uniform in [−hue, hue], in turns of the colour circle.
    blur_sigma : tuple of float
        Range of the blur's standard deviation in pixels, uniform. The kernel is cut at three deviations, rounded up,
        or where the reflection ends, one pixel short of the image's side.

    Raises
    ------
    InputError
        If no operation is switched on, or a value is not allowed.
    """

    flip_probability: float = 0.0
    jitter: bool = False
    grayscale: bool = False
    blur: bool = False
    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.8
    hue: float = 0.2
    blur_sigma: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        if not 0 <= self.flip_probability <= 1:
            reject("flip_probability", self.flip_probability, "between 0 and 1")
        for name in ("jitter", "grayscale", "blur"):
            if not isinstance(getattr(self, name), bool):
                reject(name, getattr(self, name), (True, False))
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < math.inf:
                reject(name, getattr(self, name), "zero or positive, and finite")
        if not 0 <= self.hue <= 0.5:
            reject("hue", self.hue, "between 0 and 0.5")
        if not _is_positive_range(self.blur_sigma):
            reject("blur_sigma", self.blur_sigma, "a tuple (low, high) with 0 < low ≤ high")
        if not (self.flip_probability or self.jitter or self.grayscale or self.blur):
            reject("every operation", "off", "on for at least one: flip_probability, jitter, grayscale or blur")

    def __call__(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the augmented copy of one image, 3×H×W, in [0, 1]."""
        if self.jitter:
            pixels = self._jittered(pixels, rng)
        if self.grayscale:
            pixels = F.rgb_to_grayscale(pixels, num_output_channels=3)
        if self.blur:
            pixels = _blurred(pixels, rng.uniform(*self.blur_sigma))
        if rng.random() < self.flip_probability:
            pixels = F.horizontal_flip(pixels)
        return pixels.clamp(0, 1)

    def _jittered(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        changes = [
            (F.adjust_brightness, rng.uniform(max(0, 1 - self.brightness), 1 + self.brightness)),
            (F.adjust_contrast, rng.uniform(max(0, 1 - self.contrast), 1 + self.contrast)),
            (F.adjust_saturation, rng.uniform(max(0, 1 - self.saturation), 1 + self.saturation)),
            (F.adjust_hue, rng.uniform(-self.hue, self.hue)),
        ]
        for i in rng.permutation(len(changes)):
            adjust, factor = changes[i]
            pixels = adjust(pixels, factor)
        return pixels

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        return {"kind": "augmentations", **asdict(self), "blur_sigma": list(self.blur_sigma)}


def _blurred(pixels: Tensor, sigma: float) -> Tensor:
    # torchvision takes the width's kernel first
    radii = (min(math.ceil(3 * sigma), side - 1) for side in (pixels.shape[2], pixels.shape[1]))
    return F.gaussian_blur(pixels, [2 * radius + 1 for radius in radii], sigma)


def _is_positive_range(value: object) -> bool:
    if not (isinstance(value, tuple) and len(value) == 2 and all(isinstance(end, int | float) for end in value)):
        return False
    return 0 < value[0] <= value[1] < math.inf


# the rows of the paper's Table 4, in its order
TABLE_4: dict[str, Perturbation] = {
    "flip + grayscale + blur": Augmentations(flip_probability=1.0, grayscale=True, blur=True),
    "flip + colour jitter + grayscale": Augmentations(flip_probability=1.0, jitter=True, grayscale=True),
    "flip + colour jitter + blur": Augmentations(flip_probability=1.0, jitter=True, blur=True),
    "flip + blur": Augmentations(flip_probability=1.0, blur=True),
    "random crop": RandomCrop(),
    "Gaussian noise": GaussianNoise(0.05, 0.2),
}


@dataclass(frozen=True)
class SharedDraws:
    """A perturbation of which some images have the draws of others, such as copies those of their originals.

    Parameters
    ----------
    perturbation : Perturbation
        What perturbs an image.
    drawn_as : mapping of int to int
        Id → the id whose draws the image has. Others have their own.

    Raises
    ------
    InputError
        If `perturbation` is none.

    Examples
    --------
    >>> shared = SharedDraws(GaussianNoise(), {60: 12})  # image 60 has the noise of image 12
    """

    perturbation: Perturbation
    drawn_as: Mapping[int, int] = field(hash=False)

    def __post_init__(self) -> None:
        check_perturbation("perturbation", self.perturbation)

    def __call__(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the perturbed copy of one image, 3×H×W; `perturb` gives the generator of the image it is drawn as."""
        return self.perturbation(pixels, rng)

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        pairs = sorted([int(image), int(other)] for image, other in self.drawn_as.items())
        return {"kind": "shared draws", "perturbation": self.perturbation.describe(), "drawn_as": pairs}


def perturb(
    pixels: Tensor, ids: Iterable[int], perturbation: Perturbation, seed: int, draw: int, view: int = 0
) -> Tensor:
    """Return the perturbed copies of a batch of images.

    Parameters
    ----------
    pixels : Tensor
        B×3×H×W, float32, in [0, 1], on the CPU.
    ids : iterable of int
        The images' ids; with `seed`, `draw` and `view` they fix what is drawn.
    perturbation : Perturbation
        What is applied.
    seed, draw, view : int
        Which of the independent draws.
    """
    drawn_as = perturbation.drawn_as if isinstance(perturbation, SharedDraws) else {}
    keys = (drawn_as.get(i, i) for i in map(int, ids))
    copies = [
        # Philox counts from where it is told: every (draw, view) is a stream of its own under the key
        perturbation(image, np.random.Generator(np.random.Philox(key=[seed, key], counter=[0, 0, draw, view])))
        for image, key in zip(pixels, keys, strict=True)
    ]
    return torch.stack(copies)


def view_pair(
    pixels: Tensor, ids: Iterable[int], perturbation: Perturbation, views: str, seed: int, draw: int
) -> tuple[Tensor, Tensor]:
    """Return the two views that are compared: (x, x̂) for ``views="one"``, (x̂, x̂') for ``"two"``.

    Raises
    ------
    InputError
        If `views` is neither ``"one"`` nor ``"two"``.
    """
    if views not in VIEWS:
        reject("views", views, VIEWS)
    ids = list(ids)
    right = perturb(pixels, ids, perturbation, seed, draw, view=0)
    left = pixels if views == "one" else perturb(pixels, ids, perturbation, seed, draw, view=1)
    return left, right
