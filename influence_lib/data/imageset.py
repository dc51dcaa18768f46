"""`ImageSet`: images with their labels, ids and attributes, the form in which every set travels."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from influence_lib.data.source import Layout
from influence_lib.errors import InputError, reject

__all__ = ["ImageSet"]


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images of one size with what is known about each of them.

    Attributes
    ----------
    images : torch.Tensor of uint8, shape (N, 3, H, W)
        Red, green, blue, 0 to 255; contiguous.
    labels : torch.Tensor of int64, shape (N,)
        Index into ``class_names``; -1 where an image has no label.
    ids : torch.Tensor of int64, shape (N,)
        Index of each image in the official split; unique.
    attributes : pandas.DataFrame with N rows and the default index
        What else is known: the factors of a drawn scene, the age of a face, what was planted.
    name, split : str
        The set and its part, as given to `load`.
    class_names : tuple of str
        Names of the classes; empty where the set has no labels.
    layout : Layout, optional
        What was found where the set was read: all of its splits, files passed over, damaged images left out.

    Raises
    ------
    InputError
        If a shape, a dtype, a label or an id is wrong.
    """

    images: torch.Tensor
    labels: torch.Tensor
    ids: torch.Tensor
    attributes: pd.DataFrame
    name: str
    split: str
    class_names: tuple[str, ...] = ()
    layout: Layout | None = None

    def __post_init__(self) -> None:
        images = self.images
        for name in ("images", "labels", "ids"):
            if not isinstance(getattr(self, name), torch.Tensor):
                reject(name, type(getattr(self, name)).__name__, "a tensor")
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            reject("images", f"{images.dtype} of shape {tuple(images.shape)}", "uint8 of shape (N, 3, H, W)")
        object.__setattr__(self, "images", images.contiguous())
        for name, values in (("labels", self.labels), ("ids", self.ids)):
            if values.dtype != torch.int64 or values.shape != (len(images),):
                found = f"{values.dtype} of shape {tuple(values.shape)}"
                reject(name, found, f"int64 of shape ({len(images)},), one for each image")
        if len(self.attributes) != len(images):
            reject("the number of rows of attributes", len(self.attributes), f"{len(images)}, one for each image")
        if not self.attributes.index.equals(pd.RangeIndex(len(images))):
            reject(
                "the index of attributes",
                self.attributes.index,
                "the default one: call reset_index(drop=True)",
            )
        self._check_values()

    def _check_values(self) -> None:
        """Reject labels outside the classes and ids that occur twice."""
        if len(self) and not -1 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            found = f"from {int(self.labels.min())} to {int(self.labels.max())}"
            reject("the range of labels", found, f"within -1 to {len(self.class_names) - 1}")
        values, counts = self.ids.unique(return_counts=True)
        if len(values) < len(self):
            twice = int(values[counts > 1][0])
            raise InputError(f"ids holds {twice} more than once, but every image needs an id of its own.")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        size = "×".join(str(side) for side in self.images.shape[1:])
        classes = len(self.class_names)
        return f"ImageSet({self.name} {self.split}: {len(self)} images of {size}, {classes} classes)"

    def subset(self, indices: torch.Tensor | np.ndarray | Sequence[int] | Sequence[bool]) -> "ImageSet":
        """Return some of the images, in the order asked for, with their ids.

        Parameters
        ----------
        indices : tensor, array or sequence
            Positions from 0 to N - 1, each at most once, or a boolean for each of the N images.

        Raises
        ------
        InputError
            If a position is outside the set or occurs twice, or a mask has another length.
        """
        chosen = torch.as_tensor(indices).flatten()
        if chosen.dtype == torch.bool:
            if len(chosen) != len(self):
                reject("the length of the mask", len(chosen), f"{len(self)}, the number of images")
            chosen = chosen.nonzero().flatten()
        elif chosen.is_floating_point() and len(chosen):
            reject("the dtype of indices", chosen.dtype, "an integer type or bool")
        chosen = chosen.to(torch.int64).cpu()
        if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < len(self):
            wrong = int(chosen[(chosen < 0) | (chosen >= len(self))][0])
            reject("an index", wrong, f"from 0 to {len(self) - 1}")
        return ImageSet(
            images=self.images[chosen],
            labels=self.labels[chosen],
            ids=self.ids[chosen],
            attributes=self.attributes.iloc[chosen.numpy()].reset_index(drop=True),
            name=self.name,
            split=self.split,
            class_names=self.class_names,
            layout=self.layout,
        )

    @cached_property
    def fingerprint(self) -> str:
        """The first 16 hex digits of a SHA-256 over the shape, the pixels, the labels and the ids.

        The same images give the same fingerprint whatever files they were read from.
        """
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.cpu().numpy().data)
        for values in (self.labels, self.ids):
            digest.update(values.cpu().numpy().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def describe(self) -> dict[str, str | int]:
        """Return name, split, n and fingerprint: what the settings of a result say about its data."""
        return {"name": self.name, "split": self.split, "n": len(self), "fingerprint": self.fingerprint}
