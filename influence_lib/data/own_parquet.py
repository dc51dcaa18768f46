"""Reader of any parquet file, or folder of them, in which one column holds images and another may hold labels."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from influence_lib.data.decoding import UnreadableError
from influence_lib.data.files import find_files, printable
from influence_lib.data.parquet import Shards, class_names, complete
from influence_lib.data.source import Layout, Picture, Source
from influence_lib.data.splits import choose_split, read_split
from influence_lib.data.subset import Rows
from influence_lib.errors import InputError, reject

__all__ = ["read_own"]

IMAGE_NAMES = ("image", "img", "picture", "photo")
"""Which of several columns of images is meant."""

LABEL_NAMES = ("label", "labels", "class", "class_name", "class_label", "category", "target", "y")
"""Which of several columns that could be labels is meant: one with such a name, ``label`` before all others."""

NO_LABELS = {
    "id", "index", "key", "uuid", "hash", "md5", "sha256", "file", "filename", "path", "name", "url", "source",
    "license", "split", "width", "height", "text", "caption", "prompt", "title", "description", "date", "timestamp",
}  # fmt: skip
"""Words in the names of columns that are no labels unless they are asked for."""


def _files(root: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Return split → its parquet files, and the names of the other files of a folder.

    The split is told by the name of a file, else by that of a folder that holds it.
    """
    if root.is_file():
        named = read_split(root.stem)
        return {named[0] if named else "train": [root]}, []
    files = find_files(root)
    if files.broken:
        raise InputError(f"{'; '.join(files.broken.values())}: mend or remove what is damaged.")
    splits: dict[str, list[str]] = {}
    passed_over, places = list(files.hidden), set()
    for name in {file.place: file.name for file in reversed(files.found)}.values():
        path = PurePosixPath(name)
        split = next((told[0] for part in (path.stem, *reversed(path.parts[:-1])) if (told := read_split(part))), "")
        if path.suffix.lower() in (".parquet", ".pq"):
            splits.setdefault(split, []).append(name)
        else:
            passed_over.append(name)
    if len(splits) > 1:
        passed_over += splits.pop("", [])
    for names in splits.values():
        places |= {"/".join(part for part in PurePosixPath(name).parts[:-1] if not read_split(part)) for name in names}
    if not splits:
        raise InputError(f"{root} holds no parquet file: root must be one, or a folder of them.")
    if len(places) > 1:
        listed = ", ".join(repr(place or ".") for place in sorted(places))
        raise InputError(f"{root} holds parquet files in several folders, {listed}: let root be one of them.")
    found = {split or "train": [root / name for name in names] for split, names in splits.items()}
    return {split: complete(paths, split) for split, paths in found.items()}, sorted(passed_over)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column that may be stored as a dictionary of values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_bytes(kind: pa.DataType) -> bool:
    kind = _plain(kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _is_text(kind: pa.DataType) -> bool:
    kind = _plain(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_image(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds encoded images: bytes, or structs with a field of bytes."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_bytes(kind.field("bytes").type)
    return _is_bytes(kind)


def _is_label(kind: pa.DataType) -> bool:
    """Return whether a column of this type can be a label: whole numbers, texts, or true and false."""
    kind = _plain(kind)
    return pa.types.is_integer(kind) or pa.types.is_boolean(kind) or _is_text(kind)


def _columns(schema: pa.Schema) -> str:
    """Return the columns with their types, for messages."""
    return ", ".join(f"{field.name!r} ({field.type})" for field in schema)


def _image_column(schema: pa.Schema, asked: str | None) -> str:
    """Return the column of the images: the one asked for, else the only one of its type or with a usual name."""
    there = [field.name for field in schema if _is_image(field.type)]
    if asked is not None:
        texts = [field.name for field in schema if _is_text(field.type)]  # of paths
        if asked not in [*there, *texts]:
            reject(
                "image_column",
                asked,
                f"a column of bytes, of structs with 'bytes', or of paths; there are {_columns(schema)}",
            )
        return asked
    named = [name for name in IMAGE_NAMES if name in there]
    if len(there) != 1 and not named:
        found = f"{len(there)} columns" if there else "no column"
        raise InputError(f"image_column is missing: {found} can hold images, so name one of {_columns(schema)}.")
    return named[0] if named else there[0]


def _label_column(schema: pa.Schema, asked: str | None) -> str | None:
    """Return the column of the labels: the one asked for, else one that metadata, name or type tell, or None."""
    there = [field.name for field in schema if _is_label(field.type)]
    if asked is not None:
        numbers = [field.name for field in schema if pa.types.is_floating(field.type)]
        if asked and asked not in [*there, *numbers]:
            reject(
                "label_column",
                asked,
                f"a column of whole numbers or texts, or '' for none; there are {_columns(schema)}",
            )
        return asked or None
    declared = [name for name in class_names(schema) if name in there]
    # pandas writes whole numbers as floats where some are missing
    usual = [
        f.name for f in schema if f.name.lower() in LABEL_NAMES and (f.name in there or pa.types.is_floating(f.type))
    ]
    others = [name for name in there if not NO_LABELS.intersection(name.lower().strip("_").split("_"))]
    for candidates in (declared, usual, others):
        if "label" in candidates:
            return "label"
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            listed = ", ".join(repr(name) for name in candidates)
            raise InputError(
                f"label_column is missing: {listed} could all be the labels, so name one, or '' for none; there are "
                f"{_columns(schema)}."
            )
    return None


def _check_column(shards: Shards, column: str, fits: Callable[[pa.DataType], bool]) -> None:
    """Reject files in which a column is missing or of another kind than in the first."""
    there = [column in schema.names and fits(schema.field(column).type) for schema in shards.schemas]
    wrong = [str(path) for path, good in zip(shards.paths, there, strict=True) if not good]
    if wrong:
        raise InputError(f"column {column!r} is missing or of another type in {', '.join(wrong)}: mend or remove them.")


def _values(shards: Shards, column: str) -> list[Any]:
    """Return the labels as they are written, texts or whole numbers; None where a row has none."""
    if not any(column in schema.names for schema in shards.schemas):
        return [None] * len(shards)
    _check_column(shards, column, lambda kind: _is_label(kind) or pa.types.is_floating(kind))
    values = [None if pd.isna(value) or value == "" else value for value in shards.read([column])[column].tolist()]
    for row, value in enumerate(values):
        if isinstance(value, bool):
            values[row] = str(value)
        elif isinstance(value, float):
            if not value.is_integer():
                raise InputError(
                    f"{shards.where(row)} has {column} {value}, but a label must be a whole number or a text."
                )
            values[row] = int(value)
    return values


def _classes(values: Iterable[list[Any]], names: tuple[str, ...] | None, column: str) -> dict[Any, str]:
    """Return value → class, in the order of the labels, for the values of all splits together.

    They are the names of whole numbers from 0 on, where the file has them, else the values that occur. A split in which
    all values are -1, as is usual where labels are kept secret, has no labels.
    """
    distinct: set[Any] = set()
    for part in values:
        there = set(part) - {None}
        distinct |= there if there != {-1} else set()
    if len({isinstance(value, str) for value in distinct}) > 1:
        raise InputError(
            f"column {column!r} holds whole numbers in some files and texts in others: name another as label_column."
        )
    if names and not any(isinstance(value, str) for value in distinct):
        return dict(enumerate(names))
    return {value: str(value) for value in sorted(distinct)}


def _labels(
    shards: Shards, values: list[Any], classes: dict[Any, str], column: str | None
) -> tuple[list[int], dict[int, str]]:
    """Return a label for each row, -1 for none, and row → a phrase that says what is wrong with its label."""
    index = {value: label for label, value in enumerate(classes)}
    labels = [index.get(value, -1) for value in values]
    wrong: dict[int, str] = {}
    if set(values) <= {None, -1}:
        return labels, wrong
    for row in np.flatnonzero(np.array(labels) < 0).tolist():
        if values[row] is None:
            wrong[row] = f"{shards.where(row)} has no {column!r}"
        elif values[row] != -1:
            wrong[row] = f"{shards.where(row)} has {column} {values[row]}, which is none of its {len(classes)} classes"
    return labels, wrong


def read_own(root: Path, split: str | None, image_column: str | None = None, label_column: str | None = None) -> Source:
    """Return one split of a set in parquet files.

    Parameters
    ----------
    root : Path
        A file, which is one split whatever it is called, or a folder, in which the names of files and folders tell the
        splits.
    split : str or None
        Which split; ``"train"`` where there are none. None for train, or the first where there is no train.
    image_column : str, optional
        A column of bytes, of structs with bytes (or a path beside the file), or of paths. By default the only one of
        the first two kinds, or the one called image.
    label_column : str, optional
        A column of whole numbers, texts, or true and false; an empty text for none. By default a column that the hub's
        metadata calls a label, or one called label or the like, or the only one that can be.

    Returns
    -------
    Source
        Classes are those of all splits together. Other columns of numbers and texts are attributes. Rows without a
        label, or with one that is no class, count as damaged where others have labels.

    Raises
    ------
    InputError
        If a file is damaged, the split is missing, or a column is missing or could be several.
    """
    if not root.exists():
        reject("root", str(root), "a parquet file or a folder of them")
    splits, passed_over = _files(root)
    chosen = next(iter(splits)) if root.is_file() and split == "train" else choose_split(split, splits)
    everything = {name: Shards.open(paths) for name, paths in splits.items()}
    first, shards = everything.get("train", everything[chosen]).schemas[0], everything[chosen]
    if not len(shards):
        raise InputError(f"{root} holds no image in split {chosen}: its parquet files have no rows.")
    image, label = _image_column(first, image_column), _label_column(first, label_column)
    _check_column(shards, image, lambda kind: _is_image(kind) or _is_text(kind))
    values = {name: _values(part, label) if label else [None] * len(part) for name, part in everything.items()}
    classes = _classes(values.values(), class_names(first).get(label or ""), label or "")
    labels, wrong = _labels(shards, values[chosen], classes, label)

    def read(rows: Rows) -> Iterator[Picture]:
        folder = root if root.is_dir() else root.parent
        for row, (where, picture) in zip(rows.tolist(), shards.pictures(image, rows, folder), strict=True):
            yield where, UnreadableError(wrong[row]) if row in wrong else picture

    return Source(
        labels=torch.tensor(labels, dtype=torch.int64),
        ids=torch.arange(len(shards)),
        attributes=_attributes(shards, {image, label}),
        class_names=tuple(classes.values()),
        read=read,
        layout=Layout(
            split=chosen,
            images={name: len(part) for name, part in everything.items()},
            class_names=tuple(classes.values()),
            unlabelled=labels.count(-1) - len(wrong) if classes else 0,
            passed_over=tuple(printable(name) for name in passed_over),
        ),
    )


def _attributes(shards: Shards, used: set[str | None]) -> pd.DataFrame:
    """Return the other columns of numbers and texts that all files have."""
    plain = [field.name for field in shards.schemas[0] if _is_label(field.type) or pa.types.is_floating(field.type)]
    columns = [c for c in plain if c not in used and all(c in schema.names for schema in shards.schemas)]
    return shards.read(columns) if columns else pd.DataFrame(index=pd.RangeIndex(len(shards)))
