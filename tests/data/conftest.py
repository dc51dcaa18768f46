"""Small image sets on disk, in the layouts that the readers know."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

Pixels = np.ndarray


def random_images(n: int, side: int = 8, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def encode(image: Pixels, kind: str = "png") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **({"lossless": True} if kind == "webp" else {}))
    return file.getvalue()


def write_parquet(
    path: Path,
    images: Sequence[bytes | None],
    image: str = "img",
    names: dict[str, list[str]] | None = None,
    **columns: list,
) -> Path:
    structs = [{"bytes": data, "path": None} for data in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({image: pa.array(structs, kind), **columns})
    if names is not None:
        features = {column: {"names": classes, "_type": "ClassLabel"} for column, classes in names.items()}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=7)
    return path


@pytest.fixture
def pixels() -> Pixels:
    """Return forty images of 8×8 pixels; the class of image i is i % 10."""
    return random_images(40)


@pytest.fixture
def cifar10(tmp_path: Path, pixels: Pixels) -> Path:
    """Return a root that holds a CIFAR-10 of forty training images in two files and ten test images."""
    labels = [i % 10 for i in range(40)]
    encoded: list[bytes | None] = [encode(image, "webp") for image in pixels]
    for part, rows in enumerate((slice(0, 23), slice(23, 40))):
        write_parquet(tmp_path / f"cifar10/train-0000{part}-of-00002.parquet", encoded[rows], label=labels[rows])
    write_parquet(tmp_path / "cifar10/test-00000-of-00001.parquet", encoded[:10], label=labels[:10])
    return tmp_path


@pytest.fixture
def save_image() -> Callable[..., Path]:
    """Return a function that writes a plain image file."""

    def save(path: Path, size: tuple[int, int] = (6, 6), colour: tuple[int, int, int] = (10, 200, 30)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path)
        return path

    return save
