"""What `data.plant` put into a set: the truth that detection is held against."""

from itertools import combinations

import numpy as np
import numpy.typing as npt

from influence_lib.data import ImageSet
from influence_lib.errors import InputError

__all__ = ["originals", "planted_pairs", "planted_truth"]


def planted_truth(images: ImageSet) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which images have a duplicate in a set, and which are outliers.

    Returns
    -------
    dict of str to array of bool, shape (N,)
        ``"duplicate"``: copies, exact and near, and the images that were copied. ``"outlier"``: what was planted as
        one; a negative is none of the duplicates.

    Raises
    ------
    InputError
        If nothing was planted.

    Examples
    --------
    >>> int(planted_truth(data.plant(images, exact=0.1))["duplicate"].sum())
    12
    """
    copies = _copies(images)
    originals = images.attributes["source_id"].to_numpy()[copies]
    return {
        "duplicate": copies | np.isin(images.ids.numpy(), originals),
        "outlier": (images.attributes["planted"] == "outlier").to_numpy(),
    }


def originals(images: ImageSet) -> dict[int, int]:
    """Return id of each planted copy, exact or near → id of the image that was copied.

    Raises
    ------
    InputError
        If nothing was planted.

    Examples
    --------
    >>> len(originals(data.plant(images, exact=0.1)))
    6
    """
    copies = _copies(images)
    sources = images.attributes["source_id"][copies]
    return {int(own): int(source) for own, source in zip(images.ids.numpy()[copies], sources, strict=True)}


def planted_pairs(images: ImageSet) -> set[tuple[int, int]]:
    """Return the pairs of ids that show one picture, the smaller id first.

    Raises
    ------
    InputError
        If nothing was planted.

    Examples
    --------
    >>> len(planted_pairs(data.plant(images, exact=0.1)))
    6
    """
    groups: dict[int, list[int]] = {}
    for own, source in originals(images).items():
        groups.setdefault(source, [source]).append(own)
    return {(min(pair), max(pair)) for group in groups.values() for pair in combinations(group, 2)}


def _copies(images: ImageSet) -> npt.NDArray[np.bool_]:
    if "planted" not in images.attributes:
        raise InputError("images holds nothing planted, so that no truth is known: plant copies with data.plant first.")
    return images.attributes["planted"].isin(["exact", "near"]).to_numpy()
