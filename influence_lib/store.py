"""Results on disk, found by the hash of what they depend on.

A result is a folder ``<place>/<kind>/<name>-<hash>/`` that holds tensors (safetensors), tables (parquet) and
plain values (JSON), the settings they were computed with, and a manifest with the checksum of every file.
The settings hold everything that the values depend on: resolved options, fingerprints of weights and of pixels, and
the `revision` of the rule that computes them.
Small results live in ``results/`` (committed), large ones in ``artifacts/`` (ignored by git).

A folder is written under a temporary name and renamed when it is complete, so that a killed run leaves
nothing half-written, and a lock for each result makes several processes that ask for it compute it once.
"""

import hashlib
import json
import math
import platform
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from filelock import FileLock, Timeout

from influence_lib import __version__
from influence_lib.atomic import written_whole
from influence_lib.checkout import git_state, repository
from influence_lib.errors import InputError, check_choice, reject

__all__ = [
    "Entry",
    "canonical",
    "digest",
    "entries",
    "find",
    "get",
    "git_state",
    "load",
    "manifest_seconds",
    "path",
    "repository",
    "revision",
]

PLACES = ("results", "artifacts")
PARTIAL = ".partial-"
SHORT = 10  # hex digits of the hash that a folder is named by
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
ARRAY_DTYPES = {"bool", "float16", "float32", "float64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def _plain(value: Any, where: str) -> Any:
    """Return a value as JSON has it: tuples become lists, and what JSON cannot hold is refused."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            reject(where, value, "a finite number")
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                reject(f"a key of {where}", key, "a string")
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    reject(where, value, "None, a bool, a number, a string, or a list or dict of those")


def canonical(settings: Mapping[str, Any]) -> str:
    """Return the one JSON text that stands for these settings.

    Parameters
    ----------
    settings : mapping
        JSON values only; tuples count as lists. ``"kind"`` says what the result is and names its parent
        folder; the optional ``"name"`` is a label for people, by which a result is neither identified nor found.

    Returns
    -------
    str
        Sorted keys, no spaces, floats as their shortest exact decimal, ASCII.

    Raises
    ------
    InputError
        If ``"kind"`` is missing, a label is no safe file name, or a value is not JSON (NaN included).

    Examples
    --------
    >>> canonical({"kind": "scores", "draws": 2})
    '{"draws":2,"kind":"scores"}'
    """
    plain = _plain(settings, "settings")
    if "kind" not in plain:
        raise InputError(f"settings has the keys {sorted(plain)}, but it must have a 'kind' such as 'encoder'.")
    for label in {"kind", "name"} & plain.keys():
        if not isinstance(plain[label], str) or not SAFE_NAME.fullmatch(plain[label]):
            reject(f"settings[{label!r}]", plain[label], "letters, digits, '_', '.' and '-', as in a file name")
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 (64 hex digits) of the canonical settings without the label.

    Examples
    --------
    >>> digest({"kind": "scores", "name": "a"}) == digest({"kind": "scores", "name": "b"})
    True
    """
    canonical(settings)  # a wrong label is refused, although it does not count
    return hashlib.sha256(canonical({k: v for k, v in settings.items() if k != "name"}).encode()).hexdigest()


def revision(number: int) -> dict[str, int]:
    """Return the setting that tells results of an earlier rule from those of today's.

    Whoever changes what the values of a kind of result mean, or how they come about, raises its number: what was stored
    before is then no longer found. The first rule has no such setting.

    Examples
    --------
    >>> revision(1), revision(2)
    ({}, {'revision': 2})
    """
    return {} if number == 1 else {"revision": number}


def path(settings: Mapping[str, Any], place: str = "artifacts", root: str | Path | None = None) -> Path:
    """Return the folder where a new result of these settings is kept in a place.

    Examples
    --------
    >>> path({"kind": "scores", "name": "a"}, root="here").parts[:3]
    ('here', 'artifacts', 'scores')
    """
    check_choice("place", place, PLACES)
    label = settings.get("name", settings.get("kind"))
    return repository(root) / place / str(settings.get("kind")) / f"{label}-{digest(settings)[:SHORT]}"


def find(settings: Mapping[str, Any], root: str | Path | None = None) -> Path | None:
    """Return the folder that holds the result of these settings under any label, ``results/`` first, or None.

    Examples
    --------
    >>> find({"kind": "nothing"}, root=folder) is None
    True
    """
    wanted, base = f"[!.]*-{digest(settings)[:SHORT]}", repository(root)
    found = (sorted((base / place / str(settings["kind"])).glob(wanted)) for place in PLACES)
    return next((folder for folders in found for folder in folders if folder.is_dir()), None)


def _write_tensors(name: str, value: Mapping[str, Any], file: Path) -> None:
    """Write arrays of one library, and say in the file which library that is."""
    if all(isinstance(item, torch.Tensor) for item in value.values()):
        tensors = {key: item.detach().cpu().clone(memory_format=torch.contiguous_format) for key, item in value.items()}
        safetensors.torch.save_file(tensors, file, metadata={"library": "torch"})
        return
    for key, item in value.items():
        if not isinstance(item, np.ndarray) or item.dtype.name not in ARRAY_DTYPES:
            kind = item.dtype.name if isinstance(item, np.ndarray) else type(item).__name__
            reject(f"{name}[{key!r}]", kind, "a number or bool array, all of NumPy or all of torch")
    arrays = {key: np.asarray(item, order="C") for key, item in value.items()}
    safetensors.numpy.save_file(arrays, file, metadata={"library": "numpy"})


def _write(folder: Path, name: str, value: Any) -> None:
    """Write one value in the format that its type asks for."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name in ("settings", "manifest"):
        reject("the name of a value", name, "letters, digits, '_' and '-', and not 'settings' or 'manifest'")
    if isinstance(value, pd.DataFrame):
        value.to_parquet(folder / f"{name}.parquet")
    elif isinstance(value, Mapping) and any(isinstance(v, torch.Tensor | np.ndarray) for v in value.values()):
        _write_tensors(name, value, folder / f"{name}.safetensors")
    else:
        _write_json(folder / f"{name}.json", _plain(value, name))


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _read(file: Path) -> Any:
    """Read one value back."""
    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    if file.suffix == ".json":
        return json.loads(file.read_text(encoding="utf-8"))
    with safetensors.safe_open(file, framework="np") as opened:
        library = opened.metadata()["library"]
    return (safetensors.torch if library == "torch" else safetensors.numpy).load_file(file)


def _checksum(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        return {"sha256": hashlib.file_digest(opened, "sha256").hexdigest(), "bytes": file.stat().st_size}


def _write_manifest(folder: Path, settings: Mapping[str, Any], seconds: float, root: Path) -> None:
    """Write the settings and, last, the checksums of every file with what they were computed by."""
    _write_json(folder / "settings.json", json.loads(canonical(settings)))
    manifest = {
        "settings_sha256": digest(settings),
        "files": {file.name: _checksum(file) for file in sorted(folder.iterdir())},
        "influence_lib": __version__,
        **git_state(root),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
    }
    _write_json(folder / "manifest.json", manifest)


def _damaged(folder: Path, reason: str) -> InputError:
    return InputError(f"The result in {folder} is damaged ({reason}): delete that folder to have it computed again.")


def _read_manifest(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the manifest and the settings of a result, which must belong together."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        expected, found = manifest["settings_sha256"], digest(settings)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, f"its settings or manifest cannot be read: {error}") from None
    if found != expected or not folder.name.endswith(f"-{found[:SHORT]}"):
        raise _damaged(folder, "settings.json is not what the result was computed with")
    return manifest, settings


def load(folder: str | Path) -> dict[str, Any]:
    """Read a result and verify it.

    Parameters
    ----------
    folder : path
        The folder of one result, as `path` and `find` return it.

    Returns
    -------
    dict
        Value name → dict of torch tensors (on the CPU) or of NumPy arrays, pandas DataFrame, or JSON value.

    Raises
    ------
    InputError
        If a file is missing or differs from its checksum, or the settings are not those that the folder is
        named after. Nothing is repaired or recomputed silently.

    Examples
    --------
    >>> stored = get({"kind": "example"}, lambda: {"value": 1.5}, root=folder)
    >>> load(find({"kind": "example"}, root=folder)) == stored
    True
    """
    folder = Path(folder)
    if not folder.is_dir():
        reject("folder", str(folder), "the folder of a stored result")
    manifest, _ = _read_manifest(folder)
    for name, expected in manifest["files"].items():
        if not (folder / name).is_file():
            raise _damaged(folder, f"{name} is missing")
        if _checksum(folder / name) != expected:
            raise _damaged(folder, f"{name} differs from its checksum")
    return {Path(name).stem: _read(folder / name) for name in manifest["files"] if name != "settings.json"}


def manifest_seconds(folder: str | Path) -> float:
    """Return how long a stored result took to compute, in seconds.

    Examples
    --------
    >>> stored = get({"kind": "example"}, lambda: {"value": 1.5}, root=folder)
    >>> 0 <= manifest_seconds(find({"kind": "example"}, root=folder)) < 60
    True
    """
    return float(json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))["seconds"])


def _unwritable(path: Path, error: Exception) -> InputError:
    return InputError(f"The result {path} cannot be written ({error}): make room and run again.")


def _lock(folder: Path, root: Path) -> FileLock:
    """Return the lock of a result, whatever its label; `folder` is its own or the partial one."""
    lock = root / "artifacts" / ".locks" / f"{folder.parent.name}-{folder.name[-SHORT:]}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise _unwritable(lock, error) from error
    return FileLock(lock)


def _sweep(parent: Path, root: Path) -> None:
    """Remove what killed runs left: a partial folder whose lock nobody holds."""
    for partial in parent.glob(f"{PARTIAL}*"):
        try:
            with _lock(partial, root).acquire(timeout=0):
                shutil.rmtree(partial, ignore_errors=True)
        except Timeout:
            continue  # a living process is writing it


def get(
    settings: Mapping[str, Any],
    compute: Callable[[], Mapping[str, Any]],
    place: str = "artifacts",
    root: str | Path | None = None,
) -> dict[str, Any]:
    """Return the result of these settings, computing it if it is not on disk.

    Parameters
    ----------
    settings : mapping
        Everything that the result depends on; see `canonical`.
    compute : callable
        Called without arguments when no result is found. Returns value name → value, where a value is a dict
        of torch tensors or of NumPy arrays (kept as safetensors), a pandas DataFrame (parquet), or anything
        that JSON holds.
    place : {"artifacts", "results"}, default "artifacts"
        Where a new result is kept. An existing one is used wherever it is, ``results/`` first.
    root : path, optional
        The folder that holds both places; see `repository`.

    Returns
    -------
    dict
        What `load` reads back from disk, in the run that computed it as in every later one.

    Raises
    ------
    InputError
        If the settings or a value cannot be stored, the place is unknown, or a result on disk is damaged.

    Examples
    --------
    >>> get({"kind": "example"}, lambda: {"value": 1.5}, root=folder)
    {'value': 1.5}
    """
    base = repository(root)
    folder = path(settings, place, base)
    found = find(settings, base)
    if found is None:
        for each in PLACES:
            _sweep(base / each / folder.parent.name, base)
        with _lock(folder, base):
            found = find(settings, base)  # another process may have computed it while this one waited
            if found is None:
                found = _compute(settings, compute, folder, base)
    return load(found)


def _compute(settings: Mapping[str, Any], compute: Callable[[], Mapping[str, Any]], folder: Path, root: Path) -> Path:
    """Compute a result into a partial folder beside its place, and rename it when it is complete."""
    started = time.perf_counter()
    values = compute()
    seconds = time.perf_counter() - started
    if not isinstance(values, Mapping) or not values:
        reject("the value of compute()", values, "a dict with at least one value to store")
    try:
        with written_whole(folder, folder.with_name(PARTIAL + folder.name)) as partial:
            partial.mkdir()
            for name, value in values.items():
                _write(partial, name, value)
            _write_manifest(partial, settings, seconds, root)
    except (OSError, safetensors.SafetensorError) as error:
        raise _unwritable(folder, error) from error
    return folder


@dataclass(frozen=True)
class Entry:
    """One stored result, as listed: its folder, its size in bytes, when (UTC) and on what it was made, its settings."""

    kind: str
    name: str
    folder: str
    bytes: int
    created: str
    machine: str
    settings: dict[str, Any]


def entries(root: str | Path | None = None) -> list[Entry]:
    """Return every stored result, sorted by place, kind and folder.

    Raises
    ------
    InputError
        If the settings or the manifest of a result are damaged.

    Examples
    --------
    >>> [entry.name for entry in entries()]
    """
    base = repository(root)
    listed = []
    for manifest_file in sorted(file for place in PLACES for file in base.glob(f"{place}/*/[!.]*/manifest.json")):
        folder = manifest_file.parent
        manifest, settings = _read_manifest(folder)
        listed.append(
            Entry(
                kind=settings["kind"],
                name=settings.get("name", settings["kind"]),
                folder=folder.relative_to(base).as_posix(),
                bytes=sum(file["bytes"] for file in manifest["files"].values()),
                created=manifest["created"],
                machine=manifest.get("gpu") or "CPU",
                settings={key: value for key, value in settings.items() if key not in ("kind", "name")},
            )
        )
    return listed
