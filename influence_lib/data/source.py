"""What every reader returns: a set whose labels are known and whose images are still to be decoded."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pandas as pd
import torch
from torchvision.transforms.v2 import functional as transforms
from tqdm import tqdm

from influence_lib.data.subset import Rows
from influence_lib.errors import InputError

__all__ = ["Picture", "Source", "stack"]

Picture = tuple[str, torch.Tensor]
"""Where an image comes from, for messages, and its pixels: uint8 of shape (3, H, W)."""


@dataclass(frozen=True)
class Source:
    """One split before its images are decoded.

    Attributes
    ----------
    labels, ids : torch.Tensor of int64, shape (N,)
    attributes : pandas.DataFrame with N rows
    class_names : tuple of str
    read : callable
        Takes rows in ascending order and yields a `Picture` for each.
    """

    labels: torch.Tensor
    ids: torch.Tensor
    attributes: pd.DataFrame
    class_names: tuple[str, ...]
    read: Callable[[Rows], Iterator[Picture]]


def _fit(image: torch.Tensor, size: int) -> torch.Tensor:
    """Return the central square of an image, resized to size × size."""
    square = transforms.center_crop(image, [min(image.shape[1:])])
    return transforms.resize(square, [size, size], antialias=True)


def stack(pictures: Iterable[Picture], count: int, size: int | None) -> torch.Tensor:
    """Gather pictures in one tensor, resized if a size is given.

    Parameters
    ----------
    pictures : iterable of Picture
    count : int
        How many there are.
    size : int or None
        Side of the result: the central square of each image is resized to it (bilinear, antialiased). None
        keeps the pixels as they are.

    Returns
    -------
    torch.Tensor of uint8, shape (count, 3, H, W)

    Raises
    ------
    InputError
        If two images differ in size and no size is given.
    """
    images = torch.empty(0)
    first = ""
    progress = tqdm(pictures, desc="reading images", total=count, unit="img", delay=2, leave=False, disable=None)
    for position, (where, picture) in enumerate(progress):
        fitted = picture if size is None else _fit(picture, size)
        if position == 0:
            images, first = torch.empty((count, *fitted.shape), dtype=torch.uint8), where
        elif fitted.shape != images.shape[1:]:
            (h, w), (height, width) = images.shape[2:], fitted.shape[1:]
            raise InputError(
                f"{first} has {w}×{h} pixels and {where} has {width}×{height}, but all images of a set must "
                "be of one size: give size=, for example size=32."
            )
        images[position] = fitted
    return images
