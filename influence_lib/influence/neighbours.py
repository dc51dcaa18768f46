"""The nearest others of every representation, by cosine distance."""

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from influence_lib.device import resolve_device
from influence_lib.errors import check_integer, reject

__all__ = ["nearest_others"]

DISTANCES_AT_ONCE = 2**24  # distances that are held at once: 64 MiB in float32


def nearest_others(
    features: Tensor, k: int, device: str | torch.device = "auto", progress: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the k nearest others of every representation, the nearest first.

    The cosine distance is computed as in `two_view_loss`, as half the squared distance of the normalised
    representations: one of length 0, which has no direction, is at 1/2 from those that have one and at 0 from its like.

    Parameters
    ----------
    features : Tensor
        N×D representations, floating point, as `pretrain.embed` returns them.
    k : int
        Number of neighbours, at most N − 1. An image is not its own neighbour, an exact copy of it is.
    device : str or torch.device
        ``"auto"`` or a torch device.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    distances, positions : Tensor
        N×k each, on the CPU: cosine distances in [0, 2] in the dtype of `features`, and int64 rows of `features`.

    Raises
    ------
    InputError
        If there are fewer than two representations, or `k` is not allowed.

    Examples
    --------
    >>> nearest_others(torch.eye(3)[[0, 1, 0]], k=1)[1].flatten().tolist()[::2]
    [2, 0]
    """
    if not isinstance(features, Tensor) or features.ndim != 2 or not features.is_floating_point():
        reject("features", type(features).__name__, "a floating-point tensor N×D, as pretrain.embed returns it")
    others = len(features) - 1
    if others < 1:
        reject("the number of representations", len(features), "2 or more")
    k = check_integer("k", k, 1, others, f"a whole number from 1 to {others}, the number of other images")
    unit = F.normalize(features, dim=1).to(resolve_device(device))
    # bounds the distances to all images and the k neighbours' representations
    parts = torch.arange(len(unit), device=unit.device).split(
        max(1, DISTANCES_AT_ONCE // max(len(unit), k * unit.shape[1]))
    )
    found = [_nearest(unit, rows, k) for rows in tqdm(parts, desc="neighbours", disable=not progress)]
    distances, positions = (torch.cat(each).cpu() for each in zip(*found, strict=True))
    return distances, positions


def _nearest(unit: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the distances to the k nearest other rows of some rows of N×D unit vectors, and which these are."""
    distance = torch.cdist(unit[rows], unit)
    distance[torch.arange(len(rows), device=rows.device), rows] = torch.inf
    nearest = distance.topk(k, dim=1, largest=False).indices
    # cdist is exact enough to choose the neighbours, but its matrix product cancels where representations agree
    return 0.5 * (unit[rows][:, None] - unit[nearest]).square().sum(dim=2), nearest
