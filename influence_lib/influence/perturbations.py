"""Perturbations of the training images, drawn for each image on its own.

What is drawn for an image depends on the seed, the image's id, the draw and the view alone: not on the batch,
the order or the pass.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from influence_lib.errors import reject

__all__ = ["GaussianNoise", "Perturbation", "perturb", "view_pair"]

VIEWS = ("one", "two")


class Perturbation(Protocol):
    """What perturbs one image."""

    def __call__(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the perturbed copy of one image, 3×H×W, float32, pixels in [0, 1]."""

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""


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
    copies = [
        # Philox counts from where it is told: every (draw, view) is a stream of its own under the key
        perturbation(image, np.random.Generator(np.random.Philox(key=[seed, i], counter=[0, 0, draw, view])))
        for image, i in zip(pixels, (int(i) for i in ids), strict=True)
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
