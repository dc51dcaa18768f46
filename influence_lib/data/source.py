"""What every reader returns: a set whose labels are known and whose images are still to be decoded."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from influence_lib.data.decoding import UnreadableError
from influence_lib.data.resizing import central_square, resized
from influence_lib.data.subset import Rows
from influence_lib.errors import InputError

__all__ = ["Layout", "Picture", "Source", "decode_all", "listing", "stack"]

Picture = tuple[str, torch.Tensor | UnreadableError]
"""Where an image comes from, for messages, and its pixels: uint8 of shape (3, H, W), or what is wrong with it."""

NAMED = 100  # damaged images that a sentence names
SHOWN = 5  # files passed over that a description names


def listing(entries: Sequence[str], most: int, between: str = ", ") -> str:
    """Return entries in one line, the first ones where there are more than `most`."""
    more = [f"and {len(entries) - most:,} more"] if len(entries) > most else []
    return between.join([*entries[:most], *more])


@dataclass(frozen=True)
class Layout:
    """What was found where a set was looked for; as text one line, such as ``3 classes, 1,204 images, split train``.

    Attributes
    ----------
    split : str
        The split that was read.
    images : dict of str to int
        Split → how many images it has, damaged ones included.
    class_names : tuple of str
        The classes of all splits together.
    unlabelled : int
        Images of the split without a label, where there are classes.
    passed_over : tuple of str
        Relative paths of everything that was not taken for an image, or is an image that was listed before.
    skipped : tuple of str
        A phrase for each image that was left out as damaged.
    """

    split: str
    images: dict[str, int]
    class_names: tuple[str, ...]
    unlabelled: int = 0
    passed_over: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        count, others = len(self.class_names), sorted(self.images.keys() - {self.split})
        classes = f"{count or 'no'} class{'' if count == 1 else 'es'}"
        text = f"{classes}, {_counted(self.images[self.split], 'image')}, split {self.split}"
        if others:
            text += f" (there is also {', '.join(f'{name} with {self.images[name]:,}' for name in others)})"
        if self.unlabelled:
            text += f"; {_counted(self.unlabelled, 'image')} without a label"
        if self.skipped:
            text += f"; {len(self.skipped):,} left out as damaged: {listing(self.skipped, SHOWN, '; ')}"
        if self.passed_over:
            text += f"; {_counted(len(self.passed_over), 'file')} passed over: {listing(self.passed_over, SHOWN)}"
        return text


def _counted(count: int, noun: str) -> str:
    """Return a number with its noun, as in ``1 image`` or ``1,204 images``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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
    layout : Layout, optional
        What was found, where it was not known beforehand.
    broken : tuple of str
        Phrases that name what is damaged and no image, such as a link to nothing.
    """

    labels: torch.Tensor
    ids: torch.Tensor
    attributes: pd.DataFrame
    class_names: tuple[str, ...]
    read: Callable[[Rows], Iterator[Picture]]
    layout: Layout | None = None
    broken: tuple[str, ...] = ()


def stack(pictures: Iterable[Picture], count: int, size: int | None) -> tuple[torch.Tensor, dict[int, str]]:
    """Gather pictures in one tensor, and return what is wrong with those that are damaged, by their positions."""
    images = torch.empty((0, 3, 1, 1), dtype=torch.uint8)
    first, damaged = "", {}
    progress = tqdm(pictures, desc="reading images", total=count, unit="img", delay=2, leave=False, disable=None)
    for position, (where, picture) in enumerate(progress):
        if isinstance(picture, UnreadableError):
            damaged[position] = str(picture)
            continue
        fitted = picture if size is None else resized(central_square(picture), size, size)
        if not first:
            images, first = torch.empty((count, *fitted.shape), dtype=torch.uint8), where
        elif fitted.shape != images.shape[1:]:
            (h, w), (height, width) = images.shape[2:], fitted.shape[1:]
            raise InputError(
                f"size is None, but {first} has {w}×{h} pixels and {where} has {width}×{height}, and all images of a "
                "set must be of one size: give size=, for example size=32."
            )
        images[position] = fitted
    return images, damaged


def decode_all(
    source: Source, rows: Rows, size: int | None, damaged: str
) -> tuple[torch.Tensor, Rows, tuple[str, ...]]:
    """Decode some rows of a source.

    Parameters
    ----------
    source : Source
    rows : array of int
        Ascending.
    size : int or None
        Side of the result: the central square of each image is resized to it (bilinear, antialiased). None
        keeps the pixels as they are.
    damaged : {"error", "skip"}
        What to do with images that cannot be read.

    Returns
    -------
    images : torch.Tensor of uint8, shape (count, 3, H, W)
    rows : array of int
        Those that were read.
    skipped : tuple of str
        A phrase for each damaged one.

    Raises
    ------
    InputError
        If two images differ in size and no size is given; if some images are damaged, in one sentence for all of
        them, unless they are skipped; if nothing is left.
    """
    images, wrong = stack(source.read(rows), len(rows), size)
    phrases = (*wrong.values(), *source.broken)
    if not phrases:
        return images, rows, ()
    named = listing(phrases, NAMED, "; ")
    if damaged == "error" or len(wrong) == len(rows):
        advice = "or leave it out with damaged='skip'" if len(wrong) < len(rows) else "for no image is left"
        raise InputError(f"{named}: mend or remove what is damaged, {advice}.")
    warnings.warn(f"Left out as damaged: {named}.", stacklevel=3)
    kept = np.array([position for position in range(len(rows)) if position not in wrong], dtype=np.int64)
    return images[torch.from_numpy(kept)], rows[kept], phrases
