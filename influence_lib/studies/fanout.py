"""Work that is done in parts, each a stored result, several at a time.

Where the parts run is joblib's business: in processes of this machine by default, on a Dask cluster within
``joblib.parallel_config(backend="dask")``. What each stores is found by every other, so that work that is stopped goes
on where it stopped, and a part that is lost with its machine is run again.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import joblib
from tqdm import tqdm

from influence_lib.errors import check_integer, check_number

__all__ = ["Part", "run_all"]


class Part(Protocol):
    """A part of the work; equal parts are run once, so it can be hashed."""

    def stored(self, device: str = "auto") -> Path | None:
        """Return the folder of the stored result, or None where there is none."""

    def run(self, place: str = "artifacts", device: str = "auto") -> Any:
        """Return the result, from the stored ones where it is there."""


Kind = TypeVar("Kind", bound=Part)


def run_all(
    parts: Sequence[Kind],
    place: str = "artifacts",
    device: str = "auto",
    workers: int = 1,
    minutes: float | None = None,
    progress: bool = True,
) -> list[Kind]:
    """Run what is not stored yet, several at a time, and return what was left when time was over.

    Parameters
    ----------
    parts : sequence of Part
        Such as `removal.Retraining`, in the order in which they are begun.
    place : {"artifacts", "results"}
        Where new results are stored.
    device : str
        ``"auto"`` or a torch device.
    workers : int
        Parts at a time.
    minutes : float, optional
        None is begun after that.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> run_all(sweep.retrainings()[:2])
    []
    """
    workers = check_integer("workers", workers)
    until = None if minutes is None else time.time() + 60 * check_number("minutes", minutes, above=0)
    waiting = [each for each in dict.fromkeys(parts) if each.stored(device) is None]
    left = []
    with tqdm(total=len(waiting), unit="part", desc="parts", disable=not progress) as bar:
        for each, done in zip(waiting, _run(waiting, place, device, workers, until), strict=True):
            left += [] if done else [each]
            bar.update()
    return left


def _run(waiting: Sequence[Part], place: str, device: str, workers: int, until: float | None) -> Iterator[bool]:
    """Yield of each part in turn whether it was run."""
    # one at a time: a part is long, and what waits at a worker could not be taken by another
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1, pre_dispatch="n_jobs")
    yield from parallel(joblib.delayed(_one)(each, place, device, until) for each in waiting)


def _one(part: Part, place: str, device: str, until: float | None) -> bool:
    """Run one part where the clock allows it, in whatever process this is."""
    if until is not None and time.time() > until:
        return False
    part.run(place, device)
    return True
