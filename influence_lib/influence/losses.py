"""The losses whose gradients the scores are made of."""

import torch.nn.functional as F
from torch import Tensor

from influence_lib.errors import reject

__all__ = ["check_loss", "two_view_loss"]

LOSSES = ("cosine",)


def check_loss(loss: str) -> None:
    """Raise an `InputError` unless `loss` is the name of a loss."""
    if loss not in LOSSES:
        reject("loss", loss, LOSSES)


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
    return 0.5 * (F.normalize(left, dim=1) - F.normalize(right, dim=1)).square().sum(dim=1)
