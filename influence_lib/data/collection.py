"""Where a chapter's images come from: one of the sets, or a folder of the reader's own."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from influence_lib.data.imageset import ImageSet
from influence_lib.data.loading import data_root, layout, load
from influence_lib.data.subset import shuffled
from influence_lib.errors import InputError, reject

__all__ = ["Collection"]

HELD_OUT = {"fairface": "val"}  # the split for accuracies, where it is not called test
RESIZED = ("fairface", "folder")  # sets whose images are larger than the encoders take, or differ in size


@dataclass(frozen=True)
class Collection:
    """An image set by its name and place, and which of its images training and accuracies take.

    Which images are taken depends on their number alone, and a smaller number gives a part of a larger one's.

    Parameters
    ----------
    name : str
        One that `load` knows; ``"folder"`` for images of the user's own.
    folder : str
        Where those are; of no meaning for the other sets.
    size : int
        Height and width in pixels that images of a folder and of fairface are resized to.
    damaged : {"error", "skip"}
        What happens to images of a folder that cannot be read; see `load`.

    Raises
    ------
    InputError
        If `folder` is no directory, or is given for another set.

    Examples
    --------
    >>> Collection("controlled").images(200)
    ImageSet(controlled train: 200 images of 3×32×32, 10 classes)
    """

    name: str
    folder: str = ""
    size: int = 32
    damaged: str = "error"

    def __post_init__(self) -> None:
        if self.name != "folder" and self.folder:
            raise InputError(f"folder is {self.folder!r}, but dataset is {self.name!r}: give the dataset 'folder'.")
        if self.name == "folder" and not (self.folder and Path(self.folder).expanduser().is_dir()):
            reject("folder", self.folder, "a directory of images")

    def images(self, n: int | None = None, size: int | None = None) -> ImageSet:
        """Return training images; of a folder without a split train, those of its first split.

        Parameters
        ----------
        n : int, optional
            How many, balanced over the classes; of a folder at most, whatever their classes. All by default.
        size : int, optional
            Resize to this in place of `size`, whatever the set.

        Raises
        ------
        InputError
            If a folder holds fewer than two images, or `load` refuses the set.
        """
        if self.name != "folder":
            return _published(self.name, "train", n, size or self._size, data_root())
        found = self._of_folder(layout(self.folder).split, size)
        if len(found) < 2:
            raise InputError(f"folder is {self.folder!r}, but it must hold 2 readable images or more: {found.layout}.")
        if n is None or n >= len(found):
            return found
        return found.subset(sorted(shuffled(found.ids.tolist(), "0:some")[:n].tolist()))

    def held_out(self) -> ImageSet | None:
        """Return all images of the split test, or of val; None for a folder without such a split beside the first.

        Raises
        ------
        InputError
            If `load` refuses the set.
        """
        if self.name != "folder":
            return _published(self.name, HELD_OUT.get(self.name, "test"), None, self._size, data_root())
        found = layout(self.folder)
        split = next((split for split in ("test", "val") if split in found.images and split != found.split), None)
        return None if split is None else self._of_folder(split)

    @property
    def _size(self) -> int | None:
        return self.size if self.name in RESIZED else None

    def _of_folder(self, split: str, size: int | None = None) -> ImageSet:
        return load("folder", split, self.folder, size=size or self.size, damaged=self.damaged)


@lru_cache(maxsize=4)
def _published(name: str, split: str, n: int | None, size: int | None, root: Path) -> ImageSet:
    """Return images that do not change, so that several encoders of one set decode them once."""
    return load(name, split, root, n, size=size)
