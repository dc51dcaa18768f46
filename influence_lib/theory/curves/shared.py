"""What the pictures' numbers share: random draws, and checks of the arguments."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from influence_lib.errors import reject

__all__ = ["ROUNDING", "Array", "at_least", "normal", "positive"]

Array = NDArray[np.float64]
ROUNDING = 1e-10  # differences below this part of the largest number are taken for rounding errors


def normal(seed: int, *shape: int) -> Tensor:
    """Return standard normal numbers, which depend on the seed alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def at_least(name: str, value: int, least: int) -> None:
    """Refuse a size that is too small."""
    if value < least:
        reject(name, value, f"at least {least}")


def positive(name: str, value: float) -> None:
    """Refuse a number that is not finite and above 0."""
    if not (math.isfinite(value) and value > 0):
        reject(name, value, "a finite number above 0")
