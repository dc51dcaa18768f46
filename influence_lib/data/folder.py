"""Reader of a directory of images, whose subfolders, where there are any, are the classes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps

from influence_lib.data.source import Picture, Source
from influence_lib.data.subset import Rows
from influence_lib.errors import InputError, reject

__all__ = ["read_folder"]

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}
SPLITS = {"train", "val", "test"}


def _split_folder(root: Path, split: str) -> Path:
    """Return where the images of a split lie.

    A directory whose subfolders are all named train, val or test is one of splits. Any other is all training
    images.
    """
    folders = {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if folders and folders <= SPLITS:
        if split not in folders:
            reject("split", split, sorted(folders))
        return root / split
    if split != "train":
        raise InputError(f"split is {split!r}, but {root} has no folders train, val or test: leave split out.")
    return root


def _list_images(folder: Path) -> list[str]:
    """Return the relative paths, with slashes, of all images that are not hidden, sorted."""
    found = []
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            found.append(relative.as_posix())
    return sorted(found)


def _read_image(path: Path) -> torch.Tensor:
    """Return the pixels of one file, upright; of an animation the first frame."""
    try:
        with Image.open(path) as image:
            pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is not a readable image: mend or remove it ({error}).") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def read_folder(root: Path, split: str) -> Source:
    """Return the images of a directory, sorted by relative path.

    Parameters
    ----------
    root : Path
        A directory of images (bmp, gif, jpg, jpeg, png, webp), or one with subfolders train, val and test.
    split : str
        Which of these subfolders; ``"train"`` where there are none.

    Returns
    -------
    Source
        Labels are the folders of the first level, in the order of their names, or -1 where there are none.
        The attribute ``file`` is the relative path.

    Raises
    ------
    InputError
        If the directory or the split is missing or holds no image, or some images lie in subfolders and some
        beside them.
    """
    if not root.is_dir():
        reject("root", str(root), "a directory of images")
    folder = _split_folder(root, split)
    files = _list_images(folder)
    if not files:
        raise InputError(f"{folder} holds no image: {', '.join(sorted(SUFFIXES))} are read.")
    labelled = [file for file in files if "/" in file]
    beside = [file for file in files if "/" not in file]
    if labelled and beside:
        raise InputError(
            f"{folder} holds images both in subfolders ({labelled[0]}) and beside them ({beside[0]}): put "
            "all in subfolders, one a class, or none."
        )
    class_names = tuple(sorted({file.split("/")[0] for file in labelled}))

    def read(rows: Rows) -> Iterator[Picture]:
        for row in rows:
            path = folder / files[row]
            yield str(path), _read_image(path)

    labels = [class_names.index(file.split("/")[0]) if labelled else -1 for file in files]
    return Source(
        labels=torch.tensor(labels, dtype=torch.int64),
        ids=torch.arange(len(files)),
        attributes=pd.DataFrame({"file": files}),
        class_names=class_names,
        read=read,
    )
