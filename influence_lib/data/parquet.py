"""Reader of the Hugging Face hub's parquet layout: ``<root>/<name>/train-00000-of-00005.parquet``."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torchvision.io import ImageReadMode, decode_image

from influence_lib.data.catalogue import PublishedSet
from influence_lib.data.source import Picture, Source
from influence_lib.data.subset import Rows
from influence_lib.errors import InputError

__all__ = ["count_rows", "find_shards", "read_parquet"]

# the hub adds a hexadecimal suffix to the names of some files
SHARD = re.compile(r"(?P<split>[a-z]+)-(?P<index>\d{5})-of-(?P<total>\d{5})(-[0-9a-f]+)?\.parquet")


def find_shards(folder: Path, published: PublishedSet, split: str) -> list[Path]:
    """Return the files of one split in order, or an empty list where there is none.

    They may lie in the folder itself or, as in a copy of the hub's repository, one level deeper.

    Raises
    ------
    InputError
        If some of the files are missing.
    """
    for place in (folder, folder / published.folder):
        found: dict[int, Path] = {}
        totals: dict[str, Path] = {}
        for path in sorted(place.glob("*.parquet")):
            name = SHARD.fullmatch(path.name)
            if name and name["split"] in published.splits[split]:
                found[int(name["index"])] = path
                totals[name["total"]] = path
        if len(totals) > 1:
            listed = " and ".join(path.name for path in totals.values())
            raise InputError(f"{place} mixes the files of two editions, {listed}: keep one of them.")
        if totals:
            total, example = next(iter(totals.items()))
            missing = sorted(set(range(int(total))) - set(found))
            if missing:
                # without the hub's suffix, which differs from file to file
                stem = example.name.split("-")[0]
                names = ", ".join(f"{stem}-{index:05}-of-{total}.parquet" for index in missing)
                raise InputError(f"{place} lacks {names}: copy or download the missing part of {split!r} again.")
            return [found[index] for index in sorted(found)]
    return []


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an error of the parquet reader into a sentence that names the file."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} cannot be read as parquet, it is truncated or damaged: copy or download it again ({reason})."
        ) from error


def count_rows(shards: list[Path]) -> int:
    """Return how many images the files hold, from their footers alone."""
    total = 0
    for path in shards:
        with _reading(path):
            total += pq.read_metadata(path).num_rows
    return total


def _check_columns(path: Path, schema: pa.Schema, published: PublishedSet) -> None:
    """Reject a file that lacks a column or stores it in another form."""
    needed = [published.image, *published.names]
    for column in needed:
        if column not in schema.names:
            there = ", ".join(schema.names)
            raise InputError(f"{path} has no column {column!r}: it holds {there}, but {', '.join(needed)} are needed.")
    image = schema.field(published.image).type
    if not pa.types.is_struct(image) or "bytes" not in [part.name for part in image]:
        raise InputError(f"column {published.image!r} of {path} is {image}, but it must be a struct with 'bytes'.")
    for column in published.names:
        if not pa.types.is_integer(schema.field(column).type):
            kind = schema.field(column).type
            raise InputError(f"column {column!r} of {path} is {kind}, but it must hold whole numbers.")


def _class_names(schema: pa.Schema, published: PublishedSet) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes of each column: those written in the file, else the published ones."""
    names = dict(published.names)
    written = (schema.metadata or {}).get(b"huggingface")
    if written:
        features = json.loads(written).get("info", {}).get("features", {})
        for column in names:
            if "names" in features.get(column, {}):
                names[column] = tuple(features[column]["names"])
    return names


def _read_table(shards: list[Path], published: PublishedSet) -> pd.DataFrame:
    """Return everything but the images."""
    tables = []
    for path in shards:
        with _reading(path):
            schema = pq.read_schema(path)
        _check_columns(path, schema, published)
        columns = [*published.names, *(c for c in published.others if c in schema.names)]
        with _reading(path):
            table = pq.read_table(path, columns=columns)
        for column in published.names:
            if table[column].null_count:
                row = pc.index(table[column].is_null(), True).as_py()
                raise InputError(f"row {row} of {path} has no {column!r}, but every row needs one.")
        tables.append(table.to_pandas())
    return pd.concat(tables, ignore_index=True)


def _official_ids(table: pd.DataFrame) -> torch.Tensor:
    """Return the index of each row in the official split.

    It is the row's number, unless a column ``file`` says which image of the official split it is:
    ``train/1.jpg`` is the first one.
    """
    if "file" in table:
        numbers = table["file"].str.extract(r"(\d+)\.\w+$", expand=False)
        if numbers.notna().all():
            return torch.from_numpy(numbers.astype("int64").to_numpy() - 1)
    return torch.arange(len(table))


def _decode(encoded: bytes | None, where: str) -> torch.Tensor:
    """Return the pixels of one encoded image."""
    if not encoded:
        raise InputError(f"{where} holds no image: its field 'bytes' is empty.")
    try:
        return decode_image(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), ImageReadMode.RGB)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{where} holds no readable image: copy or download the file again ({reason}).") from error


def _read_images(shards: list[Path], column: str, rows: Rows) -> Iterator[Picture]:
    """Decode some rows, given in ascending order; only the row groups that hold them are read."""
    start = 0
    for path in shards:
        with _reading(path):
            file = pq.ParquetFile(path)
        before = start
        with file:
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)]
                if len(chosen):
                    with _reading(path):
                        table = file.read_row_group(group, columns=[column])
                    encoded = pc.struct_field(table[column].take(pa.array(chosen - start)), "bytes").to_pylist()
                    for row, image in zip(chosen, encoded, strict=True):
                        where = f"row {row - before} of {path}"
                        yield where, _decode(image, where)
                start = end


def read_parquet(shards: list[Path], published: PublishedSet) -> Source:
    """Return one split of a published set.

    Parameters
    ----------
    shards : list of Path
        Its files in order, as `find_shards` returns them.
    published : PublishedSet
        What the columns mean.

    Returns
    -------
    Source
        Columns of class indices other than the label are categorical attributes with the classes' names.

    Raises
    ------
    InputError
        If a file is damaged, a column is missing or a class index is outside its classes.
    """
    table = _read_table(shards, published)
    names = _class_names(pq.read_schema(shards[0]), published)
    attributes = pd.DataFrame(index=table.index)
    for column, classes in names.items():
        wrong = ~table[column].between(0, len(classes) - 1)
        if wrong.any():
            row = int(np.argmax(wrong))
            value = table[column].iloc[row]
            raise InputError(
                f"row {row} of the set in {shards[0].parent} has {column} {value}, but it must be from 0 to "
                f"{len(classes) - 1}."
            )
        if column != published.label:
            attributes[column] = pd.Categorical.from_codes(table[column].to_numpy(), categories=pd.Index(classes))
    for column in published.others:
        if column in table:
            attributes[column] = table[column]
    return Source(
        labels=torch.from_numpy(table[published.label].to_numpy(dtype="int64", copy=True)),
        ids=_official_ids(table),
        attributes=attributes,
        class_names=names[published.label],
        read=lambda rows: _read_images(shards, published.image, rows),
    )
