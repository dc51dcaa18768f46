"""The remainder of the influence of groups of growing size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from influence_lib.theory.curves.shared import ROUNDING, Array, at_least, normal

__all__ = ["GroupRemainder", "Remainder", "group_remainder"]


@dataclass(frozen=True)
class Remainder:
    """The remainder R(S) = I(S) − Σ_{i∈S} I(i) of group influences (Claims 6 and 7), divided by ε².

    Attributes
    ----------
    printed : ndarray of shape (m,)
        The paper's −4 Σ_{i<j} (Wδ_i)ᵀ(Wδ_j).
    printed_bound : ndarray of shape (m,)
        The paper's bound of its magnitude, 2m(m − 1)σ² for a subset of m examples, with σ the largest
        singular value of W.
    own : ndarray of shape (m,)
        From the definition, undamped: subset and single examples each under the Hessian of their own loss.
    dataset : ndarray of shape (m,)
        From the definition, undamped: all under the Hessian of the sum of the n losses.
    dataset_bound : ndarray of shape (m,)
        Bound of the magnitude of `dataset`, 2(m − 1)σ².
    """

    printed: Array
    printed_bound: Array
    own: Array
    dataset: Array
    dataset_bound: Array


@dataclass(frozen=True)
class GroupRemainder:
    """The remainder of group influences for subsets of growing size.

    Attributes
    ----------
    sizes : int64 ndarray of shape (m,)
        Sizes 2, …, n of the subset S.
    copies : Remainder
        S holds all copies of one example, the one that the encoder stretches most; the other examples are random.
    random : Remainder
        S holds the first of n random examples.
    """

    sizes: NDArray[np.int64]
    copies: Remainder
    random: Remainder


def group_remainder(k: int = 3, d: int = 8, n: int = 24, seed: int = 0) -> GroupRemainder:
    """Return the remainder of group influences for copies of one example and for random examples.

    The entries of W are standard normal; random examples have uniform unit directions δ_i.

    Parameters
    ----------
    k, d : int
        Size of the encoder.
    n : int
        Number of examples in the data set, at least 2.
    seed : int
        Of encoder and examples.

    Raises
    ------
    InputError
        If `k`, `d` or `n` is not allowed.

    Examples
    --------
    >>> group_remainder(n=4).sizes.tolist()
    [2, 3, 4]
    """
    at_least("k", k, 1)
    at_least("d", d, 1)
    at_least("n", n, 2)
    draws = normal(seed, k + n, d)
    W, directions = draws[:k], torch.nn.functional.normalize(draws[k:], dim=1)
    stretched = torch.linalg.svd(W).Vh[0]
    sizes = range(2, n + 1)
    copied = [torch.cat([stretched.expand(size, d), directions[size:]]) for size in sizes]
    return GroupRemainder(
        sizes=np.array(sizes),
        copies=_remainder(W, copied, sizes),
        random=_remainder(W, [directions] * len(sizes), sizes),
    )


def _remainder(W: Tensor, data_sets: Sequence[Tensor], sizes: Sequence[int]) -> Remainder:
    """Return the remainders of the subsets that hold the first examples of each data set (n×d)."""
    rows = []
    for data, size in zip(data_sets, sizes, strict=True):
        subset = data[:size]
        singles = subset[:, None, :]
        moved = subset @ W.T
        products = moved @ moved.T
        own = _group_influence(W, subset, subset) - sum(_group_influence(W, one, one) for one in singles)
        dataset = _group_influence(W, subset, data) - sum(_group_influence(W, one, data) for one in singles)
        rows.append([-4 * products.triu(diagonal=1).sum(), own, dataset])
    values = torch.tensor(rows, dtype=torch.float64).numpy()
    square = float(torch.linalg.matrix_norm(W, 2)) ** 2
    members = np.array(sizes, dtype=np.float64)
    return Remainder(
        printed=values[:, 0],
        printed_bound=2 * members * (members - 1) * square,
        own=values[:, 1],
        dataset=values[:, 2],
        dataset_bound=2 * (members - 1) * square,
    )


def _group_influence(W: Tensor, subset: Tensor, data: Tensor) -> Tensor:
    """Return −gᵀH⁺g/ε², with g the gradient of the subset's summed loss and H the Hessian of the data's.

    Both have W's shape on the left: g = 2ε²W Σδδᵀ over the subset, and H takes V to 2ε²V Σδδᵀ over the data.
    """
    gradient = 2 * W @ (subset.T @ subset)
    inverse = torch.linalg.pinv(2 * data.T @ data, hermitian=True, rtol=ROUNDING)
    return -((gradient @ inverse) * gradient).sum()
