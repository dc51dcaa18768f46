"""Perceptual hashes, with which duplicates are looked for without any encoder."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from influence_lib.data import ImageSet
from influence_lib.errors import check_choice
from influence_lib.influence import Scores
from influence_lib.optional import needed
from influence_lib.pretrain.evaluate import check_images

__all__ = ["HASHES", "hash_distance", "image_hashes", "pairs_within"]

HASHES = ("phash", "dhash")
"""The kinds of hash: of the signs of low frequencies, and of the signs of differences of neighbouring pixels."""
AT_ONCE = 2**22  # distances that are held at once

Hashes = npt.NDArray[np.uint64]


def image_hashes(images: ImageSet, kind: str = "phash") -> Hashes:
    """Return a hash of 64 bits of every image, as imagehash makes it.

    Parameters
    ----------
    images : ImageSet
        N images.
    kind : {"phash", "dhash"}
        Which.

    Returns
    -------
    array of uint64, shape (N,)

    Raises
    ------
    InputError
        If there are no images, `kind` is unknown, or imagehash is not installed.

    Examples
    --------
    >>> len(image_hashes(images))
    60
    """
    check_images("images", images)
    check_choice("kind", kind, HASHES)
    with needed("A perceptual hash", "run `pip install imagehash`"):
        import imagehash
    make = getattr(imagehash, kind)
    pictures = (Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images.images)
    bits = np.stack([make(picture).hash.flatten() for picture in pictures])
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def hash_distance(images: ImageSet, kind: str = "phash") -> Scores:
    """Return the Hamming distance of every image's hash to the nearest other: low where there is a duplicate.

    Parameters
    ----------
    images : ImageSet
        N images, 2 or more.
    kind : {"phash", "dhash"}
        Which hash.

    Returns
    -------
    Scores
        One draw, as nothing is random: float32, 1×N, whole numbers from 0 to 64.

    Raises
    ------
    InputError
        As `image_hashes` does.

    Examples
    --------
    >>> hash_distance(images).lowest(10)
    """
    check_images("images", images, least=2)
    own = image_hashes(images, kind)
    nearest = np.empty(len(own), dtype=np.float32)
    for rows, distance in _distances(own):
        nearest[rows] = distance.min(axis=1)
    settings = {"score": f"{kind} distance", "data": images.describe()}
    return Scores(torch.from_numpy(nearest)[None], images.ids, settings)


def pairs_within(own: Hashes, most: int) -> npt.NDArray[np.int64]:
    """Return the positions of all pairs whose hashes differ in at most some bits, P×2, the smaller position first.

    Examples
    --------
    >>> pairs_within(np.array([0, 1, 255], dtype=np.uint64), most=1)
    array([[0, 1]])
    """
    found = []
    for rows, distance in _distances(own):
        first, second = np.nonzero(distance <= most)
        found.append(np.stack([first + rows.start, second], axis=1))
    pairs = np.concatenate(found)
    return pairs[pairs[:, 0] < pairs[:, 1]]


def _distances(own: Hashes) -> Iterator[tuple[slice, npt.NDArray[np.uint8]]]:
    """Yield some rows at a time and their Hamming distances to all, one beyond the largest to themselves."""
    step = max(1, AT_ONCE // len(own))
    for start in range(0, len(own), step):
        rows = slice(start, min(start + step, len(own)))
        distance = np.bitwise_count(own[rows, None] ^ own)
        distance[np.arange(rows.stop - start), np.arange(start, rows.stop)] = 65
        yield rows, distance
