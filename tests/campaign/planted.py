"""Faults planted for `tests/test_campaign.py`: work and readers that the trials have to tell from good ones."""

import os
import signal
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from influence_lib import store
from influence_lib.errors import InputError
from tests.campaign.work import log_file, logged

SETTINGS = {"kind": "values"}


def careful(folder: Path) -> str:
    """Store a value, which takes a moment."""

    def compute() -> dict[str, Any]:
        time.sleep(0.3)
        return {"text": "x" * 50_000}

    return store.get(SETTINGS, logged(folder, compute), root=folder)["text"]


def in_place(folder: Path) -> str:
    """Write a result under its final name, slowly, and take it for whole where it is found."""
    final = store.path(SETTINGS, root=folder)
    if not final.is_dir():
        final.mkdir(parents=True)
        time.sleep(1)
        (final / "text.json").write_text("1")
    return "x"


def forgetful(folder: Path) -> str:
    """Return another value where an earlier run was stopped."""
    first = not log_file(folder).exists()
    logged(folder, time.sleep)(1)
    return f"first: {first}"


def unlocked(folder: Path) -> str:
    """Store without a lock."""
    patch.object(store, "_lock", return_value=nullcontext()).start()
    return careful(folder)


def traced(folder: Path) -> str:
    """Let an error of the disk through."""
    (folder / "file").write_bytes(bytes(50_000))
    return "written"


def half_written(folder: Path) -> str:
    """Say that there is no room, and leave half of a result under its final name."""
    try:
        return careful(folder)
    except InputError:
        store.path(SETTINGS, root=folder).mkdir(parents=True)
        raise


def refuses(folder: Path) -> str | None:
    """Refuse the file as it should be."""
    raise InputError(f"{folder / 'a.png'} is damaged.")


def reads(folder: Path) -> str | None:
    """Read the file."""
    return None


def reads_nonsense(folder: Path) -> str | None:
    """Read something else."""
    return "images of shape (1, 2)"


def names_nothing(folder: Path) -> str | None:
    """Refuse without a name."""
    raise InputError("A file is damaged.")


def says_two_lines(folder: Path) -> str | None:
    """Refuse in two lines."""
    raise InputError("a.png is damaged:\nmend it.")


def raises(folder: Path) -> str | None:
    """Let an error through."""
    raise KeyError("settings")


def warns(folder: Path) -> str | None:
    """Let a warning of another library through."""
    warnings.warn_explicit("odd", UserWarning, "lib/site-packages/other.py", 1)
    return None


def dies(folder: Path) -> str | None:
    """Die, as native code does."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return None


def hangs(folder: Path) -> str | None:
    """Come to no end."""
    time.sleep(60)
    return None
