"""The damping λ of H + λI, by default a share of the mean eigenvalue."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["describe_damping", "inverse", "resolved_damping"]

MEAN_SHARE = 0.1  # of the mean eigenvalue, as kronfluence has it


def resolved_damping(damping: float | None, mean: Tensor | float) -> Tensor | float:
    """Return λ: the one that is given, or a share of the mean eigenvalue."""
    return MEAN_SHARE * mean if damping is None else damping


def describe_damping(damping: float | None) -> Any:
    """Return the rule as a JSON-able value, so that a default that changes makes other settings."""
    return {"share_of_mean": MEAN_SHARE} if damping is None else float(damping)


def inverse(values: Tensor) -> Tensor:
    """Return 1/x of values that are at least 0, and 0 for 0: a direction without curvature counts for nothing."""
    return torch.where(values > 0, 1 / values, 0)
