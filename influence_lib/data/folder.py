"""Reader of a folder of images, whose subfolders may be splits and classes."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import torch
from PIL import Image

from influence_lib.data.arrangement import arrange
from influence_lib.data.decoding import UnreadableError, decode
from influence_lib.data.files import File, find_files, printable
from influence_lib.data.source import SHOWN, Layout, Picture, Source, listing
from influence_lib.data.splits import choose_split
from influence_lib.data.subset import Rows
from influence_lib.errors import InputError, reject

__all__ = ["read_folder"]

NO_PIXELS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # Pillow knows them, but leaves them to other programs

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
"""How an image begins that is read whatever its extension is."""


def _extensions() -> set[str]:
    """Return the extensions, in small letters, of all formats whose pixels Pillow reads."""
    formats = Image.registered_extensions()
    return {extension for extension, name in formats.items() if name in Image.OPEN and name not in NO_PIXELS}


def _sort_out(files: Iterable[File]) -> tuple[dict[str, File], list[str]]:
    """Return the images by name, and the names of all other files."""
    extensions, images, others = _extensions(), {}, []
    for file in files:
        if Path(file.name).suffix.lower() in extensions or _begins_like_an_image(file.place):
            images[file.name] = file
        else:
            others.append(file.name)
    return images, others


def _begins_like_an_image(place: str) -> bool:
    """Return whether a file's first bytes are those of a JPEG, PNG, GIF or WebP."""
    try:
        with Path(place).open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    return start.startswith(SIGNATURES) or (start[:4], start[8:]) == (b"RIFF", b"WEBP")


def _once(part: dict[str, str], images: dict[str, File], root: Path) -> tuple[dict[str, File], list[str]]:
    """Return the images of a split, those that several links show only once, and the names of the others."""
    top = os.path.realpath(root)

    def through_link(below: str) -> tuple[bool, str]:
        file = images[part[below]]
        return file.place != os.path.join(top, file.name), below  # noqa: PTH118 - places are texts

    kept: dict[str, tuple[str, File]] = {}
    twice = []
    for below in sorted(part, key=through_link):
        file = images[part[below]]
        if file.place in kept:
            twice.append(f"{file.name} (the same file as {kept[file.place][1].name})")
        else:
            kept[file.place] = below, file
    return dict(sorted(kept.values())), twice


def read_folder(root: Path, split: str | None) -> Source:
    """Return the images of a folder, sorted by their paths below it, or below the split's folder.

    Parameters
    ----------
    root : Path
        A folder of images in any format that Pillow reads. `arrange` recognises splits and classes. Links are followed,
        and a file that several of them show is read once.
    split : str or None
        Which split; ``"train"`` where there are none. None for train, or the first where there is no train.

    Returns
    -------
    Source
        Labels are the folders of the first level, in the order of their names over all splits, or -1 for images that
        lie in none. The attribute ``file`` is the relative path, ``path`` the whole one.

    Raises
    ------
    InputError
        If the folder or the split is missing or holds no image.
    """
    if not root.is_dir():
        reject("root", str(root), "a directory of images")
    files = find_files(root)
    images, passed_over = _sort_out(files.found)
    passed_over += files.hidden
    if not images:
        seen = [*files.broken.values(), *(f"{printable(name)} is passed over" for name in passed_over)]
        found = f" ({listing(seen, SHOWN)})" if seen else ""
        raise InputError(f"{root} holds no image{found}: .jpg, .png and all other formats that Pillow reads are taken.")
    arrangement = arrange(images)
    if split not in (None, "train") and list(arrangement.splits) == ["train"] and not arrangement.by_folder:
        raise InputError(f"split is {split!r}, but {root} has no folders train, val or test: leave split out.")
    split = choose_split(split, arrangement.splits)
    parts = {}
    for name, part in arrangement.splits.items():
        parts[name], twice = _once(part, images, root)
        passed_over += twice
    arranged = {path for part in arrangement.splits.values() for path in part.values()}
    passed_over += images.keys() - arranged
    broken = {name: phrase for name, phrase in sorted(files.broken.items()) if arrangement.concerns(split, name)}
    passed_over += files.broken.keys() - broken.keys()
    return _source(root, split, parts, sorted(passed_over), tuple(broken.values()))


def _source(
    root: Path, split: str, parts: dict[str, dict[str, File]], passed_over: list[str], broken: tuple[str, ...]
) -> Source:
    """Return the source of one split; the parts are split → path below the split's folder → file."""
    classes = {below.partition("/")[0] for part in parts.values() for below in part if "/" in below}
    index = {name: label for label, name in enumerate(sorted(classes))}
    part = parts[split]
    labels = [index[below.partition("/")[0]] if "/" in below else -1 for below in part]
    paths = [root / file.name for file in part.values()]

    def read(rows: Rows) -> Iterator[Picture]:
        for row in rows:
            path = printable(str(paths[row]))
            try:
                yield path, decode(paths[row].read_bytes())
            except (OSError, UnreadableError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                yield path, UnreadableError(f"{path} is not a readable image ({reason})")

    class_names = tuple(printable(name) for name in index)
    return Source(
        labels=torch.tensor(labels, dtype=torch.int64),
        ids=torch.arange(len(part)),
        attributes=pd.DataFrame(
            {"file": [printable(below) for below in part], "path": [printable(str(path)) for path in paths]}
        ),
        class_names=class_names,
        read=read,
        layout=Layout(
            split=split,
            images={name: len(files) for name, files in parts.items()},
            class_names=class_names,
            unlabelled=labels.count(-1) if classes else 0,
            passed_over=tuple(printable(name) for name in passed_over),
        ),
        broken=broken,
    )
