"""What is damaged: image files of many forms, parquet files, checkpoints, stored results."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from tests.campaign import reading, work


@dataclass(frozen=True)
class Victim:
    """Something that is damaged, and how it is read.

    Attributes
    ----------
    what : str
        Its kind, for the table.
    sources : tuple of str
        Which of the templates are copied together; a folder's content, or a file.
    files : str
        Pattern of the files of which one is damaged.
    read : callable
        Reads the folder and returns what is wrong with what it read, or None.
    named : str
        What a sentence has to name: this folder, or, where it is empty, the file.
    row : bool
        Whether an image in a row is damaged, and not the parquet file itself.
    """

    what: str
    sources: tuple[str, ...]
    files: str
    read: Callable[[Path], str | None]
    named: str = ""
    row: bool = False


FORMS: dict[str, tuple[str, str, dict]] = {
    "plain.png": ("RGB", "PNG", {}),
    "clear.png": ("RGBA", "PNG", {}),
    "palette.png": ("P", "PNG", {"transparency": 3}),
    "deep.png": ("I;16", "PNG", {}),
    "bits.png": ("1", "PNG", {}),
    "plain.jpg": ("RGB", "JPEG", {}),
    "turned.jpg": ("RGB", "JPEG", {"exif": True}),
    "print.jpg": ("CMYK", "JPEG", {}),
    "progressive.jpg": ("L", "JPEG", {"progressive": True}),
    "plain.webp": ("RGB", "WEBP", {}),
    "exact.webp": ("RGBA", "WEBP", {"lossless": True}),
    "plain.tif": ("RGB", "TIFF", {}),
    "packed.tiff": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    "deep.tif": ("I;16", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "plain.gif": ("P", "GIF", {}),
    "moving.gif": ("P", "GIF", {"save_all": True}),
    "plain.bmp": ("RGB", "BMP", {}),
    "palette.bmp": ("P", "BMP", {}),
}
"""File name → mode, format and options of Pillow."""
ROWS = ("plain.png", "deep.png", "turned.jpg", "exact.webp")
"""Forms of the images in the parquet file."""
PARQUET = "cifar10/train-00000-of-00001.parquet"


def groups() -> dict[str, list[Victim]]:
    """Return all victims by kind."""
    image = [(f"images/{name}", name) for name in FORMS]
    found = [
        *(Victim("image in a folder", (path, "good.png"), name, reading.resized) for path, name in image),
        *(Victim("image in a folder", (path, "good.png"), name, reading.as_they_are) for path, name in image),
        Victim("image in a parquet file", ("parquet",), PARQUET, reading.parquet, row=True),
        Victim("parquet file", ("parquet",), PARQUET, reading.parquet),
        Victim("solo-learn checkpoint", ("solo",), "*.ckpt", reading.solo_learn),
        Victim("solo-learn checkpoint", ("solo",), "*.ckpt", reading.solo_learn_projector),
        Victim("checkpoint folder", ("trained",), "training/epoch-*/[!t]*", reading.checkpoint, "training"),
        Victim("checkpoint folder", ("trained",), "training/epoch-*/*", reading.resumed, "training"),
        Victim("stored result", ("stored",), "artifacts/values/*/*", reading.stored_values, "artifacts/values"),
        Victim("stored result", ("encoder",), "artifacts/encoder/*/*", reading.stored_encoder, "artifacts/encoder"),
        Victim("finished batches of a score", ("scored",), "unfinished/*/*", reading.scored),
    ]
    return {what: [victim for victim in found if victim.what == what] for what in dict.fromkeys(v.what for v in found)}


def lay(templates: Path) -> None:
    """Write everything, undamaged, into an empty folder; in a process of its own, since jobs work in it."""
    for name in ("images", "parquet/cifar10", "solo", "trained", "stored", "encoder", "scored"):
        (templates / name).mkdir(parents=True)
    for name in FORMS:
        (templates / "images" / name).write_bytes(encoded(name))
    (templates / "good.png").write_bytes(encoded("plain.png"))
    lay_parquet(templates / "parquet" / "cifar10")
    lay_solo_learn(templates / "solo" / "simclr.ckpt")
    work.train(templates / "trained", "simclr")
    (templates / "stored" / reading.EXPECTED).write_text(work.store_values(templates / "stored", megabytes=1))
    work.train_stored(templates / "encoder", "simclr")
    patch.object(work.passes.Unfinished, "clear").start()
    (templates / "scored" / reading.EXPECTED).write_text(work.score(templates / "scored", curvature="ekfac"))


def encoded(name: str) -> bytes:
    """Return a picture with edges and colours in one of the forms."""
    mode, form, options = FORMS[name]
    image, *others = (
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (4, 6, 3), dtype=np.uint8)).resize((24, 16), 0)
        for i in range(3)
    )
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    elif mode != "RGB":
        image = image.convert(mode)
    if "exif" in options:
        exif = Image.Exif()
        exif[0x112], exif[0x132], exif[0x11A] = 6, "2026:11:25 10:00:00", 72.0  # turned, date, resolution
        options = {"exif": exif}
    if "save_all" in options:
        options = {**options, "append_images": [other.convert(mode) for other in others]}
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def lay_parquet(folder: Path) -> None:
    """Write a small CIFAR-10."""
    for split in ("train", "test"):
        rows = [{"img": {"bytes": encoded(form), "path": form}, "label": i} for i, form in enumerate(ROWS)]
        write_rows(folder / f"{split}-00000-of-00001.parquet", rows)


def write_rows(file: Path, rows: list[dict]) -> None:
    """Write a parquet file of images as the hub has it."""
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows, pa.schema([("img", struct), ("label", pa.int64())])), file)


def lay_solo_learn(file: Path) -> None:
    """Write a solo-learn checkpoint of a narrow ResNet-18."""
    state = {f"backbone.{name}": value for name, value in work.build_encoder(2, 2).backbone.state_dict().items()}
    state |= {"projector.0.weight": torch.ones(4, 16), "projector.2.weight": torch.ones(4, 4)}
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 0.1, "name": "simclr"}}, file)


def change_row(file: Path, row: int, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of one image in a parquet file."""
    rows = pq.read_table(file).to_pylist()
    rows[row]["img"]["bytes"] = change(rows[row]["img"]["bytes"])
    write_rows(file, rows)
