"""`load`: one call for every set. It finds the files, chooses a subset and decodes only what was chosen."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import torch

from influence_lib.data import controlled
from influence_lib.data.catalogue import PUBLISHED
from influence_lib.data.folder import read_folder
from influence_lib.data.imageset import ImageSet
from influence_lib.data.own_parquet import read_own
from influence_lib.data.parquet import count_rows, find_shards, read_published
from influence_lib.data.source import Layout, Picture, Source, decode_all, stack
from influence_lib.data.subset import per_class, resolve_classes, select
from influence_lib.data.torchvision_cifar import has_files, read_torchvision
from influence_lib.errors import InputError, check_choice, check_integer, reject

__all__ = ["NAMES", "available", "data_root", "layout", "load"]

NAMES = ("controlled", *PUBLISHED, "folder", "parquet")


def data_root(root: str | Path | None = None) -> Path:
    """Return the folder of the image sets.

    It is ``root``, else the environment variable ``INFLUENCE_DATA``, else ``.cache/influence-ssl`` in the
    home directory.

    Raises
    ------
    InputError
        If ``root`` is no path.
    """
    if root is not None:
        if not isinstance(root, str | Path) or str(root) == "":
            reject("root", root, "a path")
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
    damaged: str = "error",
    image_column: str | None = None,
    label_column: str | None = None,
) -> ImageSet:
    """Load a set of images, or a class-balanced subset of it.

    Pixels are what a viewer shows, see `influence_lib.data.decoding.decode`.

    Parameters
    ----------
    name : {"controlled", "cifar10", "cifar100", "fairface", "folder", "parquet"}
        ``"controlled"`` is drawn by code. ``"folder"`` is a folder of images, whose subfolders are splits and classes;
        ``"parquet"`` is a parquet file, or a folder of them, with a column of encoded images. The others are read from
        the parquet files of the Hugging Face hub, or from torchvision's CIFAR folders.
    split : str
        ``"train"`` or ``"test"``; for fairface ``"train"`` or ``"val"``; for a folder or parquet files one of the
        three, whatever it is called there (such as ``valid``), and ``"train"`` where there are no splits.
    root : path, optional
        The folder that holds the sets, see `data_root`. For ``"folder"`` and ``"parquet"`` the set itself.
    n : int, optional
        How many images, the same number of each class. All by default, whatever the sizes of the classes; for
        controlled, which has no end, 500 training and 100 test images of each class. A smaller subset is contained in a
        larger one.
    seed : int
        Which images a subset holds; for controlled the seed of the drawings.
    classes : sequence of str or int, optional
        Names or indices of the classes to keep. Labels keep their meaning.
    size : int, optional
        Side in pixels to resize the central square of every image to (bilinear, antialiased); needed where images
        differ in size.
    damaged : {"error", "skip"}
        What to do with images that cannot be read: an error that names all of them, or go on without them, with a
        warning that names them. ``layout.skipped`` of the result lists them; the ids of the others do not change.
    image_column, label_column : str, optional
        For ``"parquet"``, the columns of the images and of the labels; found by their types by default. An empty
        ``label_column`` means that the images have no labels.

    Returns
    -------
    ImageSet
        Ordered by id. Its attributes are the factors of a controlled scene, the coarse label of cifar100,
        age, gender, service_test and file for fairface (whose label is the race), file and path for a folder, the
        other plain columns of parquet files. Its layout says what was found.

    Raises
    ------
    InputError
        If the set is missing, incomplete or damaged, or a parameter has no meaning for it.

    Examples
    --------
    >>> len(load("controlled", n=60))
    60
    """
    check_choice("name", name, NAMES)
    seed, damaged = check_integer("seed", seed, least=0), check_choice("damaged", damaged, ("error", "skip"))
    size = size if size is None else check_integer("size", size)
    columns = {"image_column": image_column, "label_column": label_column}
    for parameter, column in columns.items():
        if column is not None and (name != "parquet" or not isinstance(column, str)):
            reject(parameter, column, "left out" if name != "parquet" else "the name of a column")
    if name == "controlled":
        return _controlled(split, n, seed, classes, size)
    own = name in ("folder", "parquet")
    source = _open_own(name, split, root, **columns) if own else _open_published(name, split, root)
    rows = select(source.labels, source.ids, source.class_names, n, classes, seed)
    images, rows, skipped = decode_all(source, rows, size, damaged)
    found = source.layout or Layout(split, {split: len(source.labels)}, source.class_names)
    return ImageSet(
        images=images,
        labels=source.labels[rows],
        ids=source.ids[rows],
        attributes=source.attributes.iloc[rows].reset_index(drop=True),
        name=name,
        split=found.split,
        class_names=source.class_names,
        layout=replace(found, skipped=skipped),
    )


def layout(path: str | Path) -> Layout:
    """Return what a folder of images, or parquet files, is taken for: its splits, classes and files passed over.

    Parameters
    ----------
    path : path
        What `load` takes as ``root`` for ``"folder"`` or ``"parquet"``. A folder without images is taken for the latter
        if it holds parquet files.

    Returns
    -------
    Layout
        That of the split train, or of the first where there is no train. No image is decoded.

    Raises
    ------
    InputError
        If nothing is there, or it cannot be read.

    Examples
    --------
    >>> layout(folder).split
    'train'
    """
    if not isinstance(path, str | Path) or not Path(path).expanduser().exists():
        reject("path", path, "a folder of images, a parquet file or a folder of them")
    place = Path(path).expanduser()
    try:
        source = read_own(place, None) if place.is_file() else read_folder(place, None)
    except InputError:
        if not any(place.rglob("*.parquet")):
            raise
        source = read_own(place, None)
    assert source.layout is not None
    return source.layout


def _open_own(
    name: str, split: str, root: str | Path | None, image_column: str | None, label_column: str | None
) -> Source:
    """Return the source of one split of a set of the user's own."""
    if root is None:
        what = "the folder of the images" if name == "folder" else "a parquet file or a folder of them"
        raise InputError(f"root is missing: for {name!r} it must be {what}.")
    place = data_root(root)
    return read_folder(place, split) if name == "folder" else read_own(place, split, image_column, label_column)


def _open_published(name: str, split: str, root: str | Path | None) -> Source:
    """Return the source of one split of a published set."""
    published, place = PUBLISHED[name], data_root(root)
    check_choice("split", split, list(published.splits))
    shards = find_shards(place / name, published, split)
    if shards:
        return read_published(shards, published)
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
    check_choice("split", split, list(controlled.SPLITS))
    total = len(controlled.CLASS_NAMES)
    kept = resolve_classes(classes, controlled.CLASS_NAMES)
    share = controlled.SPLITS[split] // total if n is None else per_class(check_integer("n", n), len(kept))
    ids = [total * turn + label for turn in range(share) for label in kept]
    scenes = [controlled.scene(index, split, seed) for index in ids]
    occlusions: list[float] = []

    def draw() -> Iterator[Picture]:
        for index, scene in zip(ids, scenes, strict=True):
            pixels, occlusion = controlled.render(scene)
            occlusions.append(occlusion)
            yield f"scene {index}", torch.from_numpy(pixels)

    images, _ = stack(draw(), len(ids), size)
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

    Examples
    --------
    >>> available().index.tolist()  # doctest: +ELLIPSIS
    [...]
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
