"""The losses whose gradients the scores are made of.

A loss says what an image's own value is, and what the score of a sampled target is. The second moment of the latter's
gradient is the Gauss–Newton matrix of the loss: the Hessian with the second derivatives of the encoder left out.

Views that agree have no influence. Where two views, their representations or a layer's two gradients agree but for
rounding, what is left of their difference is rounding, which is summed in another order on another processor; and a
damping relative to the mean eigenvalue would make a large score of it where no image has more. `agree` decides it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from influence_lib.device import doubled

__all__ = [
    "LOSSES",
    "TEMPERATURE",
    "CrossEntropy",
    "Loss",
    "NTXent",
    "SquaredResidual",
    "agree",
    "one_for_equal_views",
    "two_view_loss",
]

LOSSES = ("cosine", "mse", "ntxent", "cross_entropy")
TEMPERATURE = 0.2  # of SimCLR's loss, in the paper's Table 2
# in units of the machine precision: equal rows of a batch come out up to 1.3 apart, one grey level in a pixel 8 or more
ROUNDING = 4.0
# views are drawn in float32: blurring an image of one colour changes it by 7 units; one grey level is 33,000 of white's
PIXEL_ROUNDING = 32.0


class Loss(Protocol):
    """A loss of the two representations of each image."""

    def residual(self, left: Tensor, right: Tensor, ids: Sequence[int]) -> Tensor:
        """Return r, B×K, with which the mean of ∂rᵀ∂r is the Gauss–Newton matrix of the loss."""

    def values(self, left: Tensor, right: Tensor, ids: Sequence[int]) -> Tensor:
        """Return B values from representations B×D; `ids` says which images they are of."""

    def sampled(self, left: Tensor, right: Tensor, ids: Sequence[int], rngs: Sequence[np.random.Generator]) -> Tensor:
        """Return B values whose gradient is the score of a target that `rngs`, one an image, draw."""


@torch.no_grad()
def agree(left: Tensor, right: Tensor, rounding: float = ROUNDING) -> Tensor:
    """Return which rows of two tensors are the same but for rounding.

    Parameters
    ----------
    left, right : Tensor
        B×…; a row is what belongs to one image.
    rounding : float
        Units of the machine precision that the largest difference in a row may have, relative to the largest entry. The
        precision is float32's, also where the entries come from a lower one: there the two views of many images would
        be within its rounding.

    Returns
    -------
    Tensor
        Boolean, B. False where an entry is NaN.

    Examples
    --------
    >>> agree(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 1e-9], [1.0, 1e-3]]))
    tensor([ True, False])
    """
    entries = tuple(range(1, left.ndim))
    # rows that agree have the same largest entry
    difference, size = (rows.abs().amax(entries) for rows in (left - right, left))
    precision = torch.finfo(left.dtype if left.dtype is torch.float64 else torch.float32).eps
    return difference <= rounding * precision * size


def one_for_equal_views(left: Tensor, right: Tensor, z_left: Tensor, z_right: Tensor) -> tuple[Tensor, Tensor]:
    """Return the representations of both views, of which two that are one picture have one, and not two roundings.

    Parameters
    ----------
    left, right : Tensor
        The views, B×3×H×W each.
    z_left, z_right : Tensor
        Their representations, B×D each.
    """
    equal = agree(left.float(), right.float(), PIXEL_ROUNDING)
    return z_left, torch.where(equal[:, None], z_left, z_right)


def two_view_loss(left: Tensor, right: Tensor) -> Tensor:
    """Return the cosine distance of each pair of representations (paper, Eq. 6).

    Parameters
    ----------
    left, right : Tensor
        Representations of the two views, B×D each.

    Returns
    -------
    Tensor
        1 − cos(left, right), in [0, 2], one value an image. It equals half the squared distance of the two
        normalised representations, which is how it is computed: 1 − cos itself cancels where they agree.
    """
    return 0.5 * _cosine_residual(left, right).square().sum(dim=1)


def _direction(z: Tensor) -> Tensor:
    """Return representations, along the last dimension, over their lengths; 0 for one of length 0.

    It has no direction and so no gradient, which is not a number: the passes then say so.
    """
    length = z.norm(dim=-1, keepdim=True)
    return torch.where(length == 0, 0, z / length)


def _cosine_residual(left: Tensor, right: Tensor) -> Tensor:
    return _direction(left) - _direction(right)


def _cosine_stationary(left: Tensor, right: Tensor) -> Tensor:
    """Return where the two directions are the same or opposite: one dimension has no others."""
    left, right = F.normalize(left, dim=1), F.normalize(right, dim=1)
    return agree(left, right) | agree(left, -right)


def _mse_residual(left: Tensor, right: Tensor) -> Tensor:
    """Return the residual of the mean squared difference over the D dimensions."""
    return (2 / left.shape[1]) ** 0.5 * (left - right)


@dataclass(frozen=True)
class SquaredResidual:
    """Half the squared length of a residual r: the negative log-likelihood of a unit Gaussian around r, observed at 0.

    Under a sampled target r + ε its score is −ε·∂r, with second moment ∂rᵀ∂r.

    Attributes
    ----------
    of : callable
        From the two representations, B×D each, to r, B×D.
    stationary : callable
        From the two representations to B booleans: where the gradient of ½‖r‖² is zero but for rounding.
    """

    of: Callable[[Tensor, Tensor], Tensor]
    stationary: Callable[[Tensor, Tensor], Tensor]

    def residual(self, left: Tensor, right: Tensor, ids: Sequence[int]) -> Tensor:
        """Return r."""
        return self.of(left, right)

    def values(self, left: Tensor, right: Tensor, ids: Sequence[int]) -> Tensor:
        """Return half the squared length of the residual."""
        return 0.5 * self.of(left, right).square().sum(dim=1)

    def sampled(self, left: Tensor, right: Tensor, ids: Sequence[int], rngs: Sequence[np.random.Generator]) -> Tensor:
        """Return ε·r with a standard normal ε."""
        residual = self.of(left, right)
        noise = np.stack([rng.standard_normal(residual.shape[1], dtype=np.float32) for rng in rngs])
        return (torch.from_numpy(noise).to(residual) * residual).sum(dim=1)


COSINE = SquaredResidual(_cosine_residual, _cosine_stationary)
MSE = SquaredResidual(_mse_residual, agree)


class CrossEntropies:
    """The mean of the cross-entropies of an image's two views, over the same classes.

    A subclass says which classes there are, and which was observed.
    """

    def log_probabilities(self, left: Tensor, right: Tensor, ids: Sequence[int]) -> Tensor:
        """Return B×2×C: for either view, of each class."""
        raise NotImplementedError

    def observed(self, ids: Sequence[int], device: torch.device) -> Tensor:
        """Return the class that was observed of each image, int64, B."""
        raise NotImplementedError

    def residual(self, left: Tensor, right: Tensor, ids: Sequence[int]) -> Tensor:
        """Return √(2p), p the probabilities of both views: B×2C.

        For one cross-entropy it would be 2√p, because Fisher's matrix Σ p ∂log p ∂log pᵀ is 4 Σ ∂√p ∂√pᵀ; this
        loss is the mean of two.
        """
        return 2**0.5 * (0.5 * self.log_probabilities(left, right, ids)).exp().flatten(1)

    def values(self, left: Tensor, right: Tensor, ids: Sequence[int]) -> Tensor:
        """Return the mean cross-entropy of the two views."""
        log_probabilities = self.log_probabilities(left, right, ids)
        observed = self.observed(ids, left.device)[:, None, None].expand(-1, 2, 1)
        return -0.5 * log_probabilities.gather(2, observed).sum(dim=(1, 2))

    def sampled(self, left: Tensor, right: Tensor, ids: Sequence[int], rngs: Sequence[np.random.Generator]) -> Tensor:
        """Return the cross-entropy of both views with classes drawn from the probabilities that the model gives.

        Each view's cross-entropy enters the loss by a half, so its score enters by √½: the mean of two Hessians.
        """
        log_probabilities = self.log_probabilities(left, right, ids)
        cumulative = doubled(log_probabilities.detach()).exp().cumsum(dim=2)
        uniform = torch.tensor(np.stack([rng.random((2, 1)) for rng in rngs]), device=cumulative.device)
        drawn = torch.searchsorted(cumulative, uniform * cumulative[:, :, -1:]).clamp_(max=cumulative.shape[2] - 1)
        return -(0.5**0.5) * log_probabilities.gather(2, drawn.to(left.device)).sum(dim=(1, 2))


@dataclass(frozen=True)
class CrossEntropy(CrossEntropies):
    """The loss of a classifier: what it returns are logits, one a class.

    Attributes
    ----------
    ids, labels : Tensor
        int64, N: of the images that have a loss.
    """

    ids: Tensor
    labels: Tensor

    def log_probabilities(self, left: Tensor, right: Tensor, ids: Sequence[int]) -> Tensor:
        """Return B×2×C: for either view, of each class."""
        return F.log_softmax(torch.stack([left, right], dim=1), dim=2)

    def observed(self, ids: Sequence[int], device: torch.device) -> Tensor:
        """Return the labels, B."""
        places = torch.searchsorted(self.ids, torch.tensor(ids), sorter=self.ids.argsort())
        return self.labels[self.ids.argsort()[places]].to(device)


@dataclass(frozen=True)
class NTXent(CrossEntropies):
    """SimCLR's loss of one image among fixed negatives.

    The loss of SimCLR belongs to a batch: each image is told from the others in it, so its gradient depends on them.
    Here the others are one fixed set of images for all, whose representations are constants: the loss of an image is
    the mean cross-entropy of its two views, each recognising the other among the other and the negatives,
    and its gradient is the one that flows through its own two views, as with MoCo's memory bank.

    Attributes
    ----------
    negatives : Tensor
        M×D, representations of the negatives.
    negative_ids : Tensor
        int64, M: an image is not its own negative.
    temperature : float
        By which the cosine similarities are divided.
    """

    negatives: Tensor
    negative_ids: Tensor
    temperature: float = TEMPERATURE

    def log_probabilities(self, left: Tensor, right: Tensor, ids: Sequence[int]) -> Tensor:
        """Return B×2×(1 + M): for either view, of its partner and of each negative."""
        views = _direction(torch.stack([left, right], dim=1))
        partner = (views[:, :1] * views[:, 1:]).sum(dim=2, keepdim=True).expand(-1, 2, 1)
        others = views @ _direction(self.negatives).to(views).T
        own = torch.tensor(ids, device=left.device)[:, None, None] == self.negative_ids.to(left.device)
        others = others.masked_fill(own, -torch.inf)
        return F.log_softmax(torch.cat([partner, others], dim=2) / self.temperature, dim=2)

    def observed(self, ids: Sequence[int], device: torch.device) -> Tensor:
        """Return 0 for each image: its partner is the first class."""
        return torch.zeros(len(ids), dtype=torch.int64, device=device)
