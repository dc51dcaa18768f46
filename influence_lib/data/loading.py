"""`load`: one call for every set. It finds the files, chooses a subset and decodes only what was chosen."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from influence_lib.data import controlled
from influence_lib.data.catalogue import PUBLISHED
from influence_lib.data.folder import read_folder
from influence_lib.data.imageset import ImageSet
from influence_lib.data.parquet import count_rows, find_shards, read_parquet
from influence_lib.data.source import Picture, Source, stack
from influence_lib.data.subset import check_count, check_seed, per_class, resolve_classes, select
from influence_lib.data.torchvision_cifar import has_files, read_torchvision
from influence_lib.errors import InputError, reject

__all__ = ["NAMES", "available", "data_root", "load"]

NAMES = ("controlled", *PUBLISHED, "folder")


def data_root(root: str | Path | None = None) -> Path:
    """Return the folder of the image sets.

    It is ``root``, else the environment variable ``INFLUENCE_DATA``, else ``.cache/influence-ssl`` in the
    home directory.
    """
    if root is not None:
        return Path(root).expanduser()
    named = os.environ.get("INFLUENCE_DATA")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "influence-ssl"


def load(
    name: str,
    split: str = "train",
    root: str | Path | None = None,
    n: int | None = None,
    seed: int = 0,
    classes: Sequence[str | int] | None = None,
    size: int | None = None,
) -> ImageSet:
    """Load a set of images, or a class-balanced subset of it.

    Parameters
    ----------
    name : {"controlled", "cifar10", "cifar100", "fairface", "folder"}
        ``"controlled"`` is drawn by code and needs no files. ``"folder"`` is a directory of images: its
        subfolders, where it has any, are the classes. The others are read from the parquet files of the
        Hugging Face hub, or from torchvision's CIFAR folders.
    split : str
        ``"train"`` or ``"test"``; ``"train"`` or ``"val"`` for fairface; for a folder the name of a subfolder
        train, val or test, or ``"train"`` where it has none of them.
    root : path, optional
        The folder that holds the sets, see `data_root`. For ``"folder"`` the directory itself.
    n : int, optional
        How many images, the same number of each class. All by default; for controlled, which has no end, 500
        training and 100 test images of each class. A smaller subset is contained in a larger one.
    seed : int
        Which images a subset holds; for controlled the seed of the drawings.
    classes : sequence of str or int, optional
        Names or indices of the classes to keep. Labels keep their meaning.
    size : int, optional
        Side in pixels to resize the central square of every image to (bilinear, antialiased); needed for a
        folder of images that differ in size.

    Returns
    -------
    ImageSet
        Ordered by id. Its attributes are the factors of a controlled scene, the coarse label of cifar100,
        age, gender, service_test and file for fairface (whose label is the race), the file of a folder.

    Raises
    ------
    InputError
        If the set is missing, incomplete or damaged, or a parameter has no meaning for it.
    """
    seed = check_seed(seed)
    if size is not None:
        size = check_count("size", size)
    if name == "controlled":
        return _controlled(split, n, seed, classes, size)
    source = _open(name, split, root)
    rows = select(source.labels, source.ids, source.class_names, n, classes, seed)
    return ImageSet(
        images=stack(source.read(rows), len(rows), size),
        labels=source.labels[rows],
        ids=source.ids[rows],
        attributes=source.attributes.iloc[rows].reset_index(drop=True),
        name=name,
        split=split,
        class_names=source.class_names,
    )


def _open(name: str, split: str, root: str | Path | None) -> Source:
    """Return the source of one split of a set that lies in files."""
    if name not in NAMES:
        reject("name", name, NAMES)
    if name == "folder":
        if root is None:
            raise InputError("root is missing: for 'folder' it must be the directory of the images.")
        return read_folder(Path(root).expanduser(), split)
    published, place = PUBLISHED[name], data_root(root)
    if split not in published.splits:
        reject("split", split, list(published.splits))
    shards = find_shards(place / name, published, split)
    if shards:
        return read_parquet(shards, published)
    if has_files(place, published):
        return read_torchvision(place, published, split)
    raise InputError(
        f"{name} ({split}) is not in {place}: let INFLUENCE_DATA or root= name the folder that holds "
        f"{name}/, or download it with `python -m influence_lib data get {name}`."
    )


def _controlled(
    split: str, n: int | None, seed: int, classes: Sequence[str | int] | None, size: int | None
) -> ImageSet:
    """Draw the first images of each class asked for."""
    if split not in controlled.SPLITS:
        reject("split", split, list(controlled.SPLITS))
    total = len(controlled.CLASS_NAMES)
    kept = resolve_classes(classes, controlled.CLASS_NAMES)
    share = controlled.SPLITS[split] // total if n is None else per_class(check_count("n", n), len(kept))
    ids = [total * turn + label for turn in range(share) for label in kept]
    scenes = [controlled.scene(index, split, seed) for index in ids]
    occlusions: list[float] = []

    def draw() -> Iterator[Picture]:
        for index, scene in zip(ids, scenes, strict=True):
            pixels, occlusion = controlled.render(scene)
            occlusions.append(occlusion)
            yield f"scene {index}", torch.from_numpy(pixels)

    images = stack(draw(), len(ids), size)
    return ImageSet(
        images=images,
        labels=torch.tensor(ids) % total,
        ids=torch.tensor(ids),
        attributes=pd.DataFrame([asdict(scene) for scene in scenes]).assign(occlusion=occlusions),
        name="controlled",
        split=split,
        class_names=controlled.CLASS_NAMES,
    )


def available(root: str | Path | None = None) -> pd.DataFrame:
    """Return which sets are there and where.

    Parameters
    ----------
    root : path, optional
        The folder that holds the sets, see `data_root`.

    Returns
    -------
    pandas.DataFrame
        One row a split: name, split, images (how many, 0 where missing), where (the folder, or what is wrong
        and what to do).
    """
    rows: list[tuple[str, str, int, str]] = [
        ("controlled", split, images, "drawn by code; any number on request")
        for split, images in controlled.SPLITS.items()
    ]
    rows += [
        (name, split, *_look(name, split, data_root(root))) for name in PUBLISHED for split in PUBLISHED[name].splits
    ]
    return pd.DataFrame(rows, columns=["name", "split", "images", "where"])


def _look(name: str, split: str, place: Path) -> tuple[int, str]:
    """Return how many images a split has and where, without reading them."""
    published = PUBLISHED[name]
    try:
        shards = find_shards(place / name, published, split)
        if shards:
            return count_rows(shards), str(shards[0].parent)
        if has_files(place, published):
            return len(read_torchvision(place, published, split).labels), str(place / published.torchvision.base_folder)
    except InputError as error:
        return 0, str(error)
    return 0, f"missing: python -m influence_lib data get {name}"
