"""Collapse: whether an encoder has stopped telling images apart.

Self-supervised losses have trivial solutions, in which all representations agree or lie on a line. Two numbers of a
batch's representations show it: `spread` falls to 0 where all of them point the same way (Chen & He 2021, figure 2),
and `effective_rank` to 1 where they differ in one direction only (Roy & Vetterli 2007).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from influence_lib.device import float64_device

__all__ = ["MIN_RANK", "MIN_SPREAD", "effective_rank", "has_collapsed", "spread"]

MIN_SPREAD = 0.05
"""Below it the mean cosine of two representations is above .997."""
MIN_RANK = 1.5
"""Below it nearly all differences between representations lie on a line."""


def spread(features: Tensor) -> Tensor:
    """Return the standard deviation of normalised representations, relative to that of evenly spread ones.

    Parameters
    ----------
    features : Tensor
        N×D.

    Returns
    -------
    Tensor
        The square root of the sum of the D variances of the directions, in [0, 1]: 0 where all of them agree, 1
        where their mean is 0. Its square is 1 minus the mean cosine of two representations.

    Examples
    --------
    >>> float(spread(torch.ones(4, 3)))
    0.0
    """
    return F.normalize(features, dim=1).var(dim=0, correction=0).sum().sqrt()


def effective_rank(features: Tensor) -> Tensor:
    """Return the exponential of the entropy of the singular values' shares, of centred representations N×D.

    Returns
    -------
    Tensor
        From 1, where all differences lie on a line, to min(N − 1, D); 1 where there are no differences at all.

    Examples
    --------
    >>> round(float(effective_rank(torch.eye(4) - 0.25)), 3)
    3.0
    """
    values = torch.linalg.svdvals((features - features.mean(dim=0)).to(float64_device(features.device)))
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return torch.special.entr(shares).sum().exp()


def has_collapsed(entry: dict[str, float]) -> bool:
    """Return whether an epoch of a training's history shows a collapsed encoder.

    Examples
    --------
    >>> has_collapsed({"spread": 0.5, "effective_rank": 20.0})
    False
    """
    return entry["spread"] < MIN_SPREAD or entry["effective_rank"] < MIN_RANK
