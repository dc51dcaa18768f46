"""Whether images lie close together in a representation: among their neighbours, not in a picture of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from influence_lib.errors import InputError, check_integer, reject
from influence_lib.estimate import Estimate, bootstrapped
from influence_lib.influence import Scores, nearest_others
from influence_lib.influence.agreement import check_several
from influence_lib.replication import combined
from influence_lib.studies.patterns.controls import Positions, ends_of

__all__ = ["NEIGHBOURS", "Neighbourhoods", "neighbour_statistics", "neighbourhoods"]

Array = npt.NDArray[np.float64]

PURITY, DISTANCE, WITHIN, DIMENSION = NEIGHBOURS = (
    "label purity",
    "neighbour distance",
    "distance within the set",
    "intrinsic dimension",
)
INVERSE = "inverse dimension"
COPY = 1e-10  # cosine distance below which two representations differ by rounding


@dataclass(frozen=True)
class Neighbourhoods:
    """What the neighbours of the images at the two ends of a ranking are like.

    Attributes
    ----------
    table : DataFrame of Estimate
        Rows ``"lowest"``, ``"highest"`` and ``"random"``, as many images in each; a column for each of `NEIGHBOURS`.
    apart : dict of str to Estimate
        Column → by how much the highest exceed the lowest. Above 0 in a distance: the lowest lie closer together.
    """

    table: pd.DataFrame
    apart: dict[str, Estimate]


def neighbour_statistics(
    features: Tensor, labels: Tensor, k: int = 20, device: str | torch.device = "auto"
) -> pd.DataFrame:
    """Return what the k nearest others of every image say about it.

    Parameters
    ----------
    features : Tensor
        N×D representations, as `pretrain.embed` returns them.
    labels : Tensor
        int64, N; −1 where an image has none.
    k : int
        Number of neighbours, from 2 to N − 1.
    device : str or torch.device
        ``"auto"`` or a torch device.

    Returns
    -------
    DataFrame
        N rows, float64: ``"label purity"``, the part of the neighbours with the image's label, in [0, 1], NaN without
        a label; ``"neighbour distance"``, the mean cosine distance to them, in [0, 2]; and ``"inverse dimension"``,
        the mean of log(r_k / r_j) over the k − 1 nearer neighbours, where r is the Euclidean distance on the sphere of
        normalised representations. One over its mean over images is the maximum-likelihood estimate of the intrinsic
        dimension (Levina and Bickel 2004, with MacKay and Ghahramani's correction). Copies of the image, whose
        representations are the same but for rounding, take no part in it; it is NaN where all neighbours are copies.

    Raises
    ------
    InputError
        If there are not as many labels as representations, or `k` is not allowed.

    Examples
    --------
    >>> neighbour_statistics(pretrain.embed(encoder, images), images.labels, k=5)["label purity"].mean()
    """
    if len(labels) != len(features):
        reject("the number of labels", len(labels), f"{len(features)}, one for each representation")
    distances, positions = nearest_others(features, check_integer("k", k, 2), device)
    same = (labels[positions] == labels[:, None]).double().mean(dim=1)
    return pd.DataFrame(
        {
            PURITY: torch.where(labels >= 0, same, torch.nan).numpy(),
            DISTANCE: distances.double().mean(dim=1).numpy(),
            INVERSE: _inverse_dimension(distances.double()).numpy(),
        }
    )


def _inverse_dimension(distances: Tensor) -> Tensor:
    """Return the mean of log(r_k / r_j) over the nearer neighbours of each image, of N×k ascending distances r²/2."""
    apart = distances > COPY
    logs = 0.5 * (distances[:, -1:] / distances).log()
    used = apart[:, :-1]
    return torch.where(used, logs[:, :-1], 0).sum(dim=1) / used.sum(dim=1)  # 0 / 0 is NaN


def neighbourhoods(
    features: Sequence[Tensor],
    scores: Sequence[Scores],
    labels: Tensor,
    size: int,
    k: int = 20,
    seed: int = 0,
    device: str | torch.device = "auto",
) -> Neighbourhoods:
    """Return the neighbour statistics of the lowest and the highest images, beside as many random ones.

    Parameters
    ----------
    features : sequence of Tensor
        N×D representations by each of some trainings.
    scores : sequence of Scores
        By the same trainings, of the same N images.
    labels : Tensor
        int64, N.
    size : int
        Images in each of the three sets, 3 or more.
    k : int
        Number of neighbours. They are looked for among all images, and for the column ``"distance within the set"``
        among those of the set.
    seed : int
        Which images are random, and of the bootstrap.
    device : str or torch.device
        ``"auto"`` or a torch device.

    Returns
    -------
    Neighbourhoods
        Intervals are over trainings where there are several (`replication.combined`), else over the images of the
        sets, whose neighbours stay what they are.

    Raises
    ------
    InputError
        If there are not as many scores as trainings, they do not fit, or a number is not allowed.

    Examples
    --------
    >>> neighbourhoods([pretrain.embed(encoder, images)], [scores], images.labels, size=10, k=5).table
    """
    if not features or len(check_several("scores", scores)) != len(features):
        reject("the number of scores", len(scores), f"{max(1, len(features))}, one for each training's representations")
    size = check_integer("size", size, 3, len(labels))
    random = np.random.default_rng(check_integer("seed", seed, 0)).permutation(len(labels))[:size]
    found = []
    for own, score in zip(features, scores, strict=True):
        if not len(score) == len(own) == len(labels):
            raise InputError(f"there are {len(score)} scores and {len(own)} representations of {len(labels)} images.")
        table, ends = neighbour_statistics(own, labels, k, device), ends_of(score, size)
        sets = {"lowest": ends["lowest"], "highest": ends["highest"], "random": random}
        found.append({name: _of_set(table, own, chosen, k, device) for name, chosen in sets.items()})
    rows = {
        row: {c: combined(_estimate(c, seed, each[row][c]) for each in found) for c in NEIGHBOURS} for row in found[0]
    }
    apart = {
        c: combined(_estimate(c, seed, each["highest"][c], each["lowest"][c]) for each in found) for c in NEIGHBOURS
    }
    return Neighbourhoods(pd.DataFrame.from_dict(rows, orient="index", dtype=object), apart)


def _of_set(
    table: pd.DataFrame, features: Tensor, chosen: Positions, k: int, device: str | torch.device
) -> dict[str, Array]:
    """Return one value an image of a set in each of `NEIGHBOURS`; the last is the inverse of the dimension."""
    within, _ = nearest_others(features[torch.from_numpy(chosen)], min(k, len(chosen) - 1), device)
    purity, distance, inverse = (table[name].to_numpy()[chosen] for name in (PURITY, DISTANCE, INVERSE))
    return {PURITY: purity, DISTANCE: distance, WITHIN: within.double().mean(dim=1).numpy(), DIMENSION: inverse}


def _estimate(column: str, seed: int, *sets: Array) -> Estimate:
    """Return the value of one set of images, or by how much that of the first of two exceeds the second's."""
    value = _dimension if column == DIMENSION else np.mean

    def statistic(*parts: Array, axis: int = -1) -> Array:
        first, *rest = (value(part, axis=axis) for part in parts)
        return first - rest[0] if rest else first

    return bootstrapped(statistic, sets, seed=seed)


def _dimension(inverse: Array, axis: int = -1) -> Array:
    """Return one over the mean of what is not NaN; infinite where all neighbours are equally far."""
    used = np.isfinite(inverse)
    with np.errstate(divide="ignore", invalid="ignore"):
        return used.sum(axis=axis) / np.where(used, inverse, 0).sum(axis=axis)
