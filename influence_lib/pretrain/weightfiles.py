"""Files of weights that other projects wrote, read without running anything that is in them.

What a file is, its content says and not its name: ``.ckpt``, ``.pth``, ``.pt`` and ``.tar`` are used for the same.
"""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from influence_lib.errors import InputError

__all__ = ["read_content", "refuse", "tensors_by_name"]

HEAD = 1024
ZIP, PICKLE = b"PK\x03\x04", b"\x80"
MARKUP = b"<"
LFS_POINTER = b"version https://git-lfs"
DEPTH = 8  # of mappings in one another; VISSL has five
FOREIGN_CLASS = re.compile(r"GLOBAL (\S+) (?:was not an allowed global|whose module)")


def refuse(path: Path, reason: str) -> NoReturn:
    """Raise an `InputError` that says why a checkpoint cannot be used; the reason completes "checkpoint … "."""
    raise InputError(f"checkpoint {str(path)!r} {reason}.")


def read_content(path: Path) -> Mapping[str, Any]:
    """Return what a safetensors file or a file of ``torch.save`` holds; of pickles only tensors and plain values.

    Raises
    ------
    InputError
        If it cannot be read, is something else, is damaged, or holds more than tensors and plain values.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        refuse(path, f"cannot be read ({error.strerror})")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        refuse(path, "is empty: download or copy it again")
    if text.startswith(LFS_POINTER):
        refuse(path, "is the pointer that Git LFS keeps in place of the file: run git lfs pull where it comes from")
    if text.startswith(MARKUP):
        refuse(path, "is a web page or other markup, as a download that failed leaves it, and holds no weights")
    if head[8:9] == b"{":
        return _read_safetensors(path)
    if not head.startswith((ZIP, PICKLE)):
        refuse(path, f"is neither safetensors nor a file of torch.save: it begins with {head[:12]!r}")
    if head.startswith(ZIP):
        _check_archive(path)
    return _read_torch(path)


def tensors_by_name(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return all tensors in mappings of mappings, under their keys joined by dots; everything else is left out."""

    def walk(value: object, name: str, depth: int) -> None:
        if isinstance(value, Tensor):
            found[name] = value
        elif isinstance(value, Mapping) and depth < DEPTH:  # a pickle can hold itself
            for key, inner in value.items():
                walk(inner, f"{name}.{key}" if name else str(key), depth + 1)

    found: dict[str, Tensor] = {}
    walk(content, "", 0)
    return found


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        refuse(path, f"is damaged, cut off or no safetensors file ({error})")


def _check_archive(path: Path) -> None:
    """Refuse a zip archive that is damaged, which torch does not notice, or that ``torch.save`` did not write."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            bad = archive.testzip()
    except Exception as error:  # zipfile raises many kinds for damaged archives
        refuse(path, f"is cut off or damaged ({error})")
    entries = {PurePosixPath(name).name for name in names}
    if "data.pkl" not in entries:
        refuse(path, f"is a zip archive that torch.save did not write; its first entry is {next(iter(names), None)!r}")
    if "constants.pkl" in entries:
        refuse(path, "is a TorchScript program, which is not read for safety: save its state_dict alone")
    if bad is not None:
        refuse(path, f"is damaged: the checksum of {bad!r} in it is wrong")


def _read_torch(path: Path) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds of tensors that are refused later on
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything
        if found := FOREIGN_CLASS.search(str(error)):
            refuse(
                path,
                f"holds more than tensors ({found[1]}), and is not read for safety: where you trust it, load it"
                " with torch and save its state_dict alone",
            )
        refuse(path, f"is cut off, damaged or no file of torch.save ({type(error).__name__} while it is read)")
    if not isinstance(content, Mapping):
        refuse(path, f"holds a {type(content).__name__} and no weights by name")
    return content
