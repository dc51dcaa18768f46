"""What every trial shares: the undisturbed run that it is compared with, and what counts as a failure."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaign.children import Child, Ended
from tests.campaign.work import Job, damage, kept, log_file, prepare, unfinished


@dataclass(frozen=True)
class Trial:
    """One trial and what came of it.

    Attributes
    ----------
    kind, what : str
        What was done, and to what.
    failure : str or None
        Why it failed.
    in_writing : bool
        Whether the disturbance left something that was being written.
    label : str
        Which of its kind, to make it again; empty where only chance can.
    """

    kind: str
    what: str
    failure: str | None = None
    in_writing: bool = False
    label: str = ""


@dataclass(frozen=True)
class Reference:
    """An undisturbed run of a job.

    Attributes
    ----------
    job : Job
    value : Any
        What it returned.
    kept : dict
        `kept` of its folder.
    worked : int
        How often it computed.
    size : int
        Bytes that its files took at most.
    seconds : float
        From the start of its process to its end.
    """

    job: Job = field(repr=False)
    value: Any
    kept: dict[str, str]
    worked: int
    size: int
    seconds: float


@contextmanager
def empty_folder() -> Iterator[Path]:
    """Yield an empty folder in one of its own, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as parent:
        folder = Path(parent).resolve() / "work"
        folder.mkdir()
        yield folder


@contextmanager
def workspace() -> Iterator[Path]:
    """Yield a folder that holds what jobs need."""
    with empty_folder() as folder:
        prepare(folder)
        yield folder


def worked(folder: Path) -> int:
    """Return how often a job has computed in a folder."""
    return len(log_file(folder).read_text().splitlines()) if log_file(folder).is_file() else 0


def reference(job: Job) -> Reference:
    """Run a job without disturbance.

    Raises
    ------
    RuntimeError
        If it fails: then there is nothing to compare with.
    """
    Child(int).wait()  # from here on a process starts at once
    with workspace() as folder:
        started, size, child = time.monotonic(), 0, Child(job, folder)
        while not child.receiver.poll(0.01):
            size = max(size, _bytes(folder))
        ended = child.wait()
        seconds = time.monotonic() - started
        if ended.how != "done":
            raise RuntimeError(f"an undisturbed run ended with {ended.how}: {ended.what}")
        return Reference(job, ended.what, kept(folder), worked(folder), max(size, _bytes(folder)), seconds)


def _bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # which passes over what is renamed meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size
    return total


def stopped(folder: Path) -> str | None:
    """Return what is wrong with a folder whose work was stopped, or None."""
    return "; ".join(damage(folder)) or None


def finished(ended: Ended, folder: Path, expected: Reference) -> str | None:
    """Return how finished work differs from undisturbed work, or None."""
    if ended.how != "done":
        return f"{ended.how}: {ended.what}"
    if ended.what != expected.value:
        return "another value was returned than without the disturbance"
    if damaged := stopped(folder):
        return damaged
    found = kept(folder)
    differ = sorted(name for name in found.keys() | expected.kept if found.get(name) != expected.kept.get(name))
    if differ:
        return f"other files than without the disturbance: {', '.join(differ)}"
    left = unfinished(folder)
    return f"left behind: {', '.join(left)}" if left else None


def refused(ended: Ended, folder: Path) -> str | None:
    """Return why the end of work that could not go on is not one sentence about a file in the folder, or None."""
    if ended.how != "refused":
        return f"{ended.how}: {ended.what}"
    return no_sentence(ended.what, str(folder))


def no_sentence(text: str, name: str) -> str | None:
    """Return why a text is not one sentence that has a name in it, or None."""
    if "\n" in text.strip():
        return f"more than one line: {text}"
    if not text.strip().endswith((".", ".)")):
        return f"no sentence: {text}"
    return None if name in text else f"does not name {name}: {text}"
