"""Parquet files of images, and the Hugging Face hub's layout: ``<root>/<name>/train-00000-of-00005.parquet``."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from influence_lib.data.catalogue import PublishedSet
from influence_lib.data.decoding import UnreadableError, decode
from influence_lib.data.source import NAMED, Picture, Source, listing
from influence_lib.data.subset import Rows
from influence_lib.errors import InputError

__all__ = ["Shards", "class_names", "complete", "count_rows", "find_shards", "read_published"]

AGAIN = ": copy or download it again."

# the hub adds a hexadecimal suffix to the names of some files
SHARD = re.compile(r"(?P<split>.+)-(?P<index>\d{5})-of-(?P<total>\d{5})(-[0-9a-f]+)?\.parquet")


def find_shards(folder: Path, published: PublishedSet, split: str) -> list[Path]:
    """Return the files of one split in order, or an empty list where there is none.

    They may lie in the folder itself or, as in a copy of the hub's repository, one level deeper.

    Raises
    ------
    InputError
        If some of the files are missing.
    """
    for place in (folder, folder / published.folder):
        names = {path: SHARD.fullmatch(path.name) for path in sorted(place.glob("*.parquet"))}
        found = [path for path, name in names.items() if name and name["split"] in published.splits[split]]
        if found:
            return complete(found, split)
    return []


def complete(paths: Sequence[Path], split: str) -> list[Path]:
    """Return the files of one split in order; those whose names say that there are more of them must all be there.

    Raises
    ------
    InputError
        If some are missing, or the names say two different numbers of files.
    """
    place = paths[0].parent
    numbered: dict[str, re.Match[str]] = {}
    for path in sorted(paths):
        if name := SHARD.fullmatch(path.name):
            first = next(iter(numbered.values()), name)
            clash = first if name["total"] != first["total"] else numbered.get(name["index"])
            if clash:
                raise InputError(
                    f"{place} mixes the files of two editions, {clash[0]} and {path.name}: keep one of them."
                )
            numbered[name["index"]] = name
    for name in list(numbered.values())[:1]:
        # without the hub's suffix, which differs from file to file
        indices = [f"{index:05}" for index in range(int(name["total"]))]
        missing = [f"{name['split']}-{i}-of-{name['total']}.parquet" for i in indices if i not in numbered]
        if missing:
            raise InputError(
                f"{place} lacks {listing(missing, NAMED)}: copy or download the missing part of {split!r} again."
            )
    return sorted(paths)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an error of the parquet reader into a sentence that names the file."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as parquet, it is truncated or damaged ({reason}){AGAIN}") from error


def count_rows(shards: list[Path]) -> int:
    """Return how many images the files hold, from their footers alone."""
    return len(Shards.open(shards))


@dataclass(frozen=True)
class Shards:
    """Parquet files whose rows are numbered through.

    Attributes
    ----------
    paths : list of Path
    schemas : list of pyarrow.Schema
    starts : array of int
        Number of the first row of each file, and the number of all rows.
    """

    paths: list[Path]
    schemas: list[pa.Schema]
    starts: Rows

    @classmethod
    def open(cls, paths: list[Path]) -> "Shards":
        """Read the footers of files.

        Raises
        ------
        InputError
            Naming all files that are not readable.
        """
        schemas, counts, wrong = [], [0], []
        for path in paths:
            try:
                with _reading(path), pq.ParquetFile(path) as file:
                    schemas.append(file.schema_arrow)
                    counts.append(file.metadata.num_rows)
            except InputError as error:
                wrong.append(str(error).removesuffix(AGAIN))
        if wrong:
            raise InputError(f"{listing(wrong, NAMED, '; ')}{AGAIN}")
        for path, schema in zip(paths, schemas, strict=True):
            twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
            if twice:
                raise InputError(f"{path} has several columns called {twice[0]!r}: rename or drop all but one.")
        return cls(paths, schemas, np.cumsum(counts))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def where(self, row: int) -> str:
        """Return a row's number in its file, with the file."""
        shard = int(np.searchsorted(self.starts, row, side="right")) - 1
        return f"row {row - self.starts[shard]} of {self.paths[shard]}"

    def read(self, columns: list[str]) -> pd.DataFrame:
        """Return columns of all files."""
        tables = []
        for path in self.paths:
            with _reading(path):
                tables.append(pq.read_table(path, columns=columns, partitioning=None).to_pandas())
        return pd.concat(tables, ignore_index=True)

    def pictures(self, column: str, rows: Rows, folder: Path | None = None) -> Iterator[Picture]:
        """Decode some rows, given in ascending order; only the row groups that hold them are read.

        Images that are not in the files but named in them are looked for beside them, and in the folder.
        """
        for path, start in zip(self.paths, self.starts, strict=False):
            with _reading(path):
                file = pq.ParquetFile(path)
            with file:
                for group in range(file.num_row_groups):
                    end = start + file.metadata.row_group(group).num_rows
                    chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)]
                    if len(chosen):
                        with _reading(path):
                            table = file.read_row_group(group, columns=[column])
                        for row in chosen:
                            where, cell = self.where(row), table[column][row - start].as_py()
                            yield where, _picture(cell, where, [path.parent, *([folder] if folder else [])])
                    start = end


def _picture(cell: Any, where: str, folders: Iterable[Path]) -> torch.Tensor | UnreadableError:
    """Return the pixels of a cell, which is bytes, the path of a file, or a struct of both, or what is wrong."""
    if not isinstance(cell, dict):
        cell = {"path" if isinstance(cell, str) else "bytes": cell}
    encoded, name = cell.get("bytes"), cell.get("path")
    if not encoded and not name:
        return UnreadableError(f"{where} holds no image: its field 'bytes' is empty")
    try:
        if not encoded:
            encoded = next(place / name for place in folders if (place / name).is_file()).read_bytes()
        return decode(encoded)
    except StopIteration:
        return UnreadableError(f"{where} holds no image: its field 'bytes' is empty, and there is no file {name}")
    except (OSError, ValueError) as error:
        return UnreadableError(f"{where} holds no readable image ({error})")


def class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes of each column, where the file's metadata for the hub has them.

    Metadata that other tools wrote, and that is no such JSON, counts as none.
    """
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    found = {}
    for column, feature in features.items() if isinstance(features, dict) else ():
        names = feature.get("names") if isinstance(feature, dict) else None
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            found[column] = tuple(names)
    return {column: names for column, names in found.items() if len(set(names)) == len(names)}


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


def _check_values(shards: Shards, table: pd.DataFrame, names: dict[str, tuple[str, ...]]) -> None:
    """Reject rows without a class or with one that is not there, all of them in one sentence."""
    for column, classes in names.items():
        missing = [f"{shards.where(row)} has no {column!r}" for row in np.flatnonzero(table[column].isna()).tolist()]
        if missing:
            raise InputError(f"{listing(missing, NAMED, '; ')}, but every row needs one.")
        rows = np.flatnonzero(~table[column].between(0, len(classes) - 1)).tolist()
        wrong = [f"{shards.where(row)} has {column} {table[column].iloc[row]}" for row in rows]
        if wrong:
            raise InputError(f"{listing(wrong, NAMED, '; ')}, but it must be from 0 to {len(classes) - 1}.")


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


def read_published(paths: list[Path], published: PublishedSet) -> Source:
    """Return one split of a published set.

    Parameters
    ----------
    paths : list of Path
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
    shards = Shards.open(paths)
    for path, schema in zip(paths, shards.schemas, strict=True):
        _check_columns(path, schema, published)
    others = [column for column in published.others if all(column in schema.names for schema in shards.schemas)]
    table = shards.read([*published.names, *others])
    written = class_names(shards.schemas[0])
    names = {column: written.get(column, known) for column, known in published.names.items()}
    _check_values(shards, table, names)
    attributes = pd.DataFrame(index=table.index)
    for column, classes in names.items():
        if column != published.label:
            attributes[column] = pd.Categorical.from_codes(table[column].to_numpy(), categories=pd.Index(classes))
    for column in others:
        attributes[column] = table[column]
    return Source(
        labels=torch.from_numpy(table[published.label].to_numpy(dtype="int64", copy=True)),
        ids=_official_ids(table),
        attributes=attributes,
        class_names=names[published.label],
        read=lambda rows: shards.pictures(published.image, rows),
    )
