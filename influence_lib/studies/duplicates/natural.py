"""Duplicates that nobody planted: pairs that are one picture up to a shift, a mirror and a change of brightness."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from tqdm import tqdm

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.errors import check_choice, check_integer, check_number, reject
from influence_lib.pretrain.evaluate import check_images

__all__ = ["ALIKE", "aligned_pairs", "class_beside_others", "groups_of_pairs", "stored_pairs", "within_groups"]

REVISION = 1  # of `aligned_pairs`; see `store.revision`

ALIKE = 0.93
"""The correlation of pixels from which two images count as one picture, by what a person saw; see `judged_strata`."""
COARSE = 8  # pixels, the side of the small pictures by which pairs are preselected
AT_ONCE = 2**25  # correlations that are held at once
PAIRS_AT_ONCE = 2048

Array = npt.NDArray[np.float64]


def aligned_pairs(
    images: ImageSet, least: float = 0.8, preselected: float = 0.75, shift: int = 3, progress: bool = False
) -> pd.DataFrame:
    """Return the pairs of images that are nearly one picture, by their pixels alone.

    The correlation of two images' pixels, all channels together, does not see a change of brightness or contrast. It is
    taken over the pixels that both share after each shift, with and without a mirror, and the largest counts. All pairs
    are preselected by the same correlation of 8×8 pictures, without a shift.

    Parameters
    ----------
    images : ImageSet
        N images, 2 or more, with sides of 8 pixels or more.
    least : float
        The smallest correlation of a pair that is returned, in [-1, 1].
    preselected : float
        The smallest correlation of the small pictures, in [-1, 1].
    shift : int
        Pixels by which one image is moved in each direction, at most a quarter of the side.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    DataFrame
        A row for each pair, the most alike first: ``"a"`` and ``"b"``, ids, the smaller first; ``"correlation"``,
        float64; ``"down"`` and ``"right"``, int64, by which b is moved; and ``"mirrored"``, bool. Images of one grey
        level are in no pair.

    Raises
    ------
    InputError
        If there are no images, they are too small, or a number is not allowed.

    Examples
    --------
    >>> planted = data.plant(images, exact=0.1)
    >>> round(float(aligned_pairs(planted)["correlation"].max()), 3)
    1.0
    """
    check_images("images", images, least=2)
    side = min(images.images.shape[-2:])
    if side < COARSE:
        reject("the side of images", side, f"{COARSE} pixels or more")
    least, preselected = (
        check_number(name, value, least=-1, most=1) for name, value in (("least", least), ("preselected", preselected))
    )
    shift = check_integer("shift", shift, 0, side // 4)
    pixels = images.images.float() / 255
    pairs, mirrored = _preselected(pixels, preselected, progress)
    rows = [
        _aligned(pixels, pairs[some], mirrored[some], shift)
        for some in tqdm(torch.arange(len(pairs)).split(PAIRS_AT_ONCE), desc="pairs", disable=not progress)
        if len(some)
    ]
    table = pd.DataFrame(
        {
            "a": images.ids[pairs[:, 0]].numpy(),
            "b": images.ids[pairs[:, 1]].numpy(),
            "correlation": np.concatenate([row[0] for row in rows]) if rows else np.empty(0),
            "down": np.concatenate([row[1] for row in rows]) if rows else np.empty(0, np.int64),
            "right": np.concatenate([row[2] for row in rows]) if rows else np.empty(0, np.int64),
            "mirrored": mirrored.numpy(),
        }
    )
    table = table[table["correlation"] >= least].sort_values("correlation", ascending=False)
    # a pair may be preselected with and without a mirror: the better one stays
    return _smaller_first(table).drop_duplicates(["a", "b"]).reset_index(drop=True)


def stored_pairs(
    images: ImageSet,
    least: float = 0.8,
    preselected: float = 0.75,
    shift: int = 3,
    place: str = "artifacts",
    progress: bool = True,
) -> pd.DataFrame:
    """Return `aligned_pairs` from the stored results, computed where they are not there.

    Parameters
    ----------
    images, least, preselected, shift, progress
        Those of `aligned_pairs`.
    place : {"artifacts", "results"}
        Where a new result is stored.

    Raises
    ------
    InputError
        As `aligned_pairs` does.

    Examples
    --------
    >>> stored_pairs(images).columns[:3].tolist()
    ['a', 'b', 'correlation']
    """
    check_images("images", images, least=2)
    asked: dict[str, Any] = {"least": least, "preselected": preselected, "shift": shift}
    settings = {"kind": "pairs", "name": images.name, "data": images.describe(), **asked, **store.revision(REVISION)}

    def compute() -> dict[str, Any]:
        return {"pairs": aligned_pairs(images, **asked, progress=progress), "ids": images.ids.tolist()}

    return store.get(settings, compute, place)["pairs"]


def _smaller_first(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the smaller id as a, and the move of b turned around where they were swapped."""
    swapped = table["a"] > table["b"]
    back = np.where(swapped, -1, 1)
    # a mirrored image that is moved to the right was, in its own picture, moved to the left
    right = table["right"] * np.where(swapped & ~table["mirrored"], -1, 1)
    return table.assign(
        a=table[["a", "b"]].min(axis=1), b=table[["a", "b"]].max(axis=1), down=table["down"] * back, right=right
    )


def _preselected(pixels: Tensor, least: float, progress: bool) -> tuple[Tensor, Tensor]:
    """Return the positions of pairs whose small pictures correlate, P×2, and whether the second is mirrored."""
    small = _standardised(F.adaptive_avg_pool2d(pixels, COARSE))
    found, turned = [], []
    step = max(1, AT_ONCE // len(small))
    starts = range(0, len(small), step)
    for start in tqdm(starts, desc="preselecting", disable=not progress):
        rows = small[start : start + step].flatten(1)
        for mirrored in (False, True):
            others = (small.flip(-1) if mirrored else small)[start:].flatten(1)
            alike = (rows @ others.T >= least).triu(diagonal=1).nonzero() + start
            found.append(alike)
            turned.append(torch.full((len(alike),), mirrored))
    return torch.cat(found), torch.cat(turned)


def _aligned(pixels: Tensor, pairs: Tensor, mirrored: Tensor, shift: int) -> tuple[Array, ...]:
    """Return the largest correlation of each pair over all shifts of the second image, and the shift."""
    first, second = pixels[pairs[:, 0]], pixels[pairs[:, 1]]
    second = torch.where(mirrored[:, None, None, None], second.flip(-1), second)
    shifts = sorted(itertools.product(range(-shift, shift + 1), repeat=2), key=lambda move: abs(move[0]) + abs(move[1]))
    found = torch.stack([_correlation(*_overlap(first, second, down, right)) for down, right in shifts])
    best, which = found.max(dim=0)  # of equal ones the smallest shift, which comes first
    moves = np.array(shifts, dtype=np.int64)[which.numpy()]
    return best.double().numpy().clip(-1, 1), moves[:, 0], moves[:, 1]


def _overlap(first: Tensor, second: Tensor, down: int, right: int) -> Iterator[Tensor]:
    """Yield what both images have in common when the second is moved."""
    height, width = first.shape[-2:]
    yield first[..., max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    yield second[..., max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]


def _standardised(pictures: Tensor) -> Tensor:
    """Return pictures with mean 0 and length 1, all channels together; those of one grey level become 0."""
    flat = pictures.flatten(1)
    centred = flat - flat.mean(dim=1, keepdim=True)
    return F.normalize(centred, dim=1, eps=1e-4).view_as(pictures)


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    return (_standardised(first) * _standardised(second)).flatten(1).sum(dim=1)


def groups_of_pairs(pairs: pd.DataFrame) -> list[list[int]]:
    """Return the ids that pairs tie together, directly or through others, the largest group first.

    Parameters
    ----------
    pairs : DataFrame
        With ids in the columns ``"a"`` and ``"b"``, as `aligned_pairs` returns them.

    Examples
    --------
    >>> groups_of_pairs(pd.DataFrame({"a": [1, 2, 7], "b": [2, 3, 9]}))
    [[1, 2, 3], [7, 9]]
    """
    ids, positions = np.unique(pairs[["a", "b"]].to_numpy(), return_inverse=True)
    first, second = positions.reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(ids), len(ids)))
    number, member = connected_components(graph, directed=False)
    groups = [sorted(ids[member == i].tolist()) for i in range(number)]
    return sorted(groups, key=lambda group: (-len(group), group))


def within_groups(pairs: pd.DataFrame, images: ImageSet) -> npt.NDArray[np.bool_]:
    """Return which images are in a pair, so that another shows the same: bool, N.

    Examples
    --------
    >>> planted = data.plant(images, exact=0.1)
    >>> within_groups(aligned_pairs(planted, least=0.999), planted).sum() >= 12
    np.True_
    """
    return np.isin(images.ids.numpy(), np.unique(pairs[["a", "b"]].to_numpy()))


def class_beside_others(images: ImageSet, name: str, others: int) -> tuple[ImageSet, npt.NDArray[np.bool_]]:
    """Return all images of a class with some of the others, in their order, and which are of the class.

    The others are taken evenly from all. The curvature is then that of a mixture in which every class has its part,
    though not every image.

    Parameters
    ----------
    images : ImageSet
        With classes.
    name : str
        Of the class; empty for the first.
    others : int
        How many images of other classes, 0 or more; all where there are fewer.

    Raises
    ------
    InputError
        If there is no such class, or no image of it.

    Examples
    --------
    >>> some, own = class_beside_others(images, images.class_names[0], others=10)
    >>> len(some) - own.sum()
    np.int64(10)
    """
    check_images("images", images)
    name = check_choice("name", name or images.class_names[0], images.class_names)
    own = (images.labels == images.class_names.index(name)).numpy()
    if not own.any():
        reject("name", name, "a class with images")
    rest = np.flatnonzero(~own)
    count = min(check_integer("others", others, 0), len(rest))
    chosen = own.copy()
    chosen[rest[np.linspace(0, len(rest) - 1, count).round().astype(int)] if count else rest[:0]] = True
    return images.subset(chosen), own[chosen]
