"""Kills at random times: the work is started again and ends with the same bits."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from tests.campaign.children import Child
from tests.campaign.trials import Reference, Trial, finished, stopped, workspace
from tests.campaign.work import unfinished

MOST = 3  # kills of the same work, one after the other
GONE = 15.0  # seconds within which what the killed process had started ends, too


def kill(what: str, expected: Reference, count: int, rng: random.Random) -> Iterator[Trial]:
    """Yield one trial for each kill; the work is started again after each, and compared after one to three.

    Parameters
    ----------
    what : str
        Name of the work.
    expected : Reference
        Its undisturbed run, over whose length the times of the kills are spread.
    count : int
        How many kills that met a process at work.
    rng : random.Random
        Draws the times.
    """
    within = expected.seconds
    while count > 0:
        with workspace() as folder:
            series = rng.randint(1, min(MOST, count))
            killed = list(_series(what, expected, folder, [rng.uniform(0, within) for _ in range(series)]))
            if not killed:
                within *= 0.8  # it is faster than without the disturbance
            if killed and killed[-1].failure is None:
                killed[-1] = replace(killed[-1], failure=finished(Child(expected.job, folder).wait(), folder, expected))
        count -= len(killed)
        yield from killed


def _series(what: str, expected: Reference, folder: Path, times: list[float]) -> Iterator[Trial]:
    """Kill the same work several times, until it has ended before."""
    for seconds in times:
        if not Child(expected.job, folder).kill(after=seconds):
            return
        yield Trial("kill", what, stopped(folder) or _lingering(folder), bool(unfinished(folder)))


def _lingering(folder: Path) -> str | None:
    """Return which processes still work in a folder whose work was killed, or None."""
    until = time.monotonic() + GONE
    while found := [process for process in psutil.process_iter() if _works_in(process, folder)]:
        if time.monotonic() > until:
            return f"still at work after the kill: {found}"
        time.sleep(0.1)
    return None


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()) == folder
    except psutil.Error:
        return False
