"""Leverage in the plane, and the rankings that it changes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from influence_lib.errors import reject
from influence_lib.theory.curves.shared import ROUNDING, Array, at_least, normal

__all__ = ["LeveragePlane", "leverage_plane", "minimal_flip"]

FAR = 6  # one direction in so many lies near the rare axis
SPREAD = 0.2  # standard deviation, in radians, of the directions about their axis


@dataclass(frozen=True)
class LeveragePlane:
    """Influence of examples in the plane under their own Hessians and under the data set's (Theorem 1).

    Influences are magnitudes, undamped and divided by ε².

    Attributes
    ----------
    directions : ndarray of shape (n, 2)
        Unit directions δ_i of the perturbations.
    encoder : ndarray of shape (2,)
        The one row of W.
    movement : ndarray of shape (n,)
        ‖Wδ_i‖², what the ranking of the paper rests on.
    leverage : ndarray of shape (n,)
        ℓ_i = δ_iᵀΣ̂⁺δ_i with Σ̂ the mean of δ_iδ_iᵀ; the mean over the examples is the rank of Σ̂.
    own, dataset : ndarray of shape (n,)
        2‖Wδ_i‖² under each example's own Hessian, and 2‖Wδ_i‖²ℓ_i under the mean Hessian.
    own_rank, dataset_rank : ndarray of shape (n,)
        Ranks of the two, 1 the largest; tied examples share their mean rank.
    flips : int64 ndarray of shape (p, 2)
        The pairs i, j with own_i > own_j and dataset_i < dataset_j.
    ellipse : ndarray of shape (m, 2)
        The closed curve of the points whose leverage is the mean.
    """

    directions: Array
    encoder: Array
    movement: Array
    leverage: Array
    own: Array
    dataset: Array
    own_rank: Array
    dataset_rank: Array
    flips: NDArray[np.int64]
    ellipse: Array


def minimal_flip() -> LeveragePlane:
    """Return the smallest change of order: δ = (e₁, e₁, e₂) and W = (4, 3).

    Examples
    --------
    >>> len(minimal_flip().flips)  # pairs that change order
    2
    """
    return _plane(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64), (4.0, 3.0))


def leverage_plane(n: int = 12, encoder: Sequence[float] = (4.0, 3.0), seed: int = 0) -> LeveragePlane:
    """Return n directions of which most lie near the first axis and one in six near the second.

    Parameters
    ----------
    n : int
        Number of examples, at least 3.
    encoder : sequence of two floats
        The one row of W, not zero.
    seed : int
        Of the directions.

    Raises
    ------
    InputError
        If `n` or `encoder` is not allowed.

    Examples
    --------
    >>> leverage_plane(8).directions.shape
    (8, 2)
    """
    at_least("n", n, 3)
    if len(encoder) != 2 or not all(math.isfinite(w) for w in encoder) or not any(encoder):
        reject("encoder", encoder, "two finite numbers that are not both zero")
    far = torch.arange(n) >= n - math.ceil(n / FAR)
    angles = SPREAD * normal(seed, n) + far * (torch.pi / 2)
    return _plane(torch.stack([angles.cos(), angles.sin()], 1), encoder)


def _plane(directions: Tensor, encoder: Sequence[float]) -> LeveragePlane:
    W = torch.tensor([encoder], dtype=torch.float64)
    second_moment = directions.T @ directions / len(directions)
    leverage = ((directions @ torch.linalg.pinv(second_moment, hermitian=True)) * directions).sum(1)
    movement = (directions @ W.T).square().sum(1)
    own, dataset = 2 * movement, 2 * movement * leverage

    # the points √ℓ Σ̂^½ (cos t, sin t) have leverage ℓ
    turn = torch.linspace(0, 2 * torch.pi, 201, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(second_moment)
    circle = torch.stack([turn.cos(), turn.sin()], 1)
    ellipse = leverage.mean().sqrt() * circle @ (vectors * values.clamp(min=0).sqrt()).T

    own_rank, dataset_rank = _ranks(-own.numpy()), _ranks(-dataset.numpy())
    ahead = own_rank[:, None] < own_rank
    behind = dataset_rank[:, None] > dataset_rank
    return LeveragePlane(
        directions=directions.numpy(),
        encoder=W[0].numpy(),
        movement=movement.numpy(),
        leverage=leverage.numpy(),
        own=own.numpy(),
        dataset=dataset.numpy(),
        own_rank=own_rank,
        dataset_rank=dataset_rank,
        flips=np.argwhere(ahead & behind),
        ellipse=ellipse.numpy(),
    )


def _ranks(values: Array) -> Array:
    """Return ranks from 1, the smallest; values that differ by rounding alone share their mean rank."""
    return rankdata(np.round(values / (ROUNDING * np.abs(values).max())))
