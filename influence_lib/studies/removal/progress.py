"""How far a sweep is, and how long the rest takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from filelock import FileLock, Timeout

from influence_lib.device import machine
from influence_lib.errors import check_integer
from influence_lib.pretrain.queue import seconds_a_step
from influence_lib.store import manifest_seconds
from influence_lib.studies.removal.retraining import Retraining
from influence_lib.studies.removal.sweep import Sweep
from influence_lib.text import duration

__all__ = ["Progress", "planned", "progress_text"]

BYTES_A_RESULT = 3000  # a few numbers with their settings and manifest


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes
    ----------
    name : str
        That of the sweep, with what stays equal.
    done, running, begun, left : int
        Trainings that are stored, that a process of this machine works on, that were begun and stopped, and all that
        are not stored. Those that another sweep of the list has, too, count there.
    steps : int
        Batches that are left.
    seconds : float
        How long they take, one training after the other: as those took that are done, or by a trial where there are
        none.
    ranked : bool
        Whether the rankings are there; without them the trainings that need one count as left.
    """

    name: str
    done: int
    running: int
    begun: int
    left: int
    steps: int
    seconds: float
    ranked: bool


def planned(sweeps: Sequence[Sweep], place: str = "artifacts", device: str = "auto") -> list[Progress]:
    """Return how far some sweeps are; nothing is trained or scored but a few batches to measure the speed.

    Parameters
    ----------
    sweeps : sequence of Sweep
        In their order.
    place, device : str
        Those of `Sweep.retrainings`.

    Examples
    --------
    >>> planned([sweep])[0].left
    8
    """
    counted: set[Retraining] = set()
    return [_progress(sweep, counted, place, device) for sweep in sweeps]


def _progress(sweep: Sweep, counted: set[Retraining], place: str, device: str) -> Progress:
    ranked = sweep.is_ranked(device)
    own = [each for each in sweep.retrainings(place, device) if each not in counted] if ranked else []
    counted |= set(own)
    stored = [each.stored(device) for each in own]
    waiting = [each for each, folder in zip(own, stored, strict=True) if folder is None]
    left = len(waiting) if ranked else len(sweep.arms) * sweep.trainings
    steps = sum(_steps_left(each, device) for each in waiting) if ranked else left * _steps(sweep)
    taken = [manifest_seconds(folder) for folder in stored if folder is not None]
    a_step = np.mean(taken) / _steps(sweep) if taken else seconds_a_step(sweep.recipe, device) if left else 0.0
    name = f"{sweep.name}, equal {sweep.length}"
    running = sum(_is_running(each, device) for each in waiting)
    begun = sum(each.epochs_done(device) > 0 for each in waiting)
    return Progress(name, len(own) - len(waiting), running, begun, left, steps, float(steps * a_step), ranked)


def _steps(sweep: Sweep) -> int:
    """Return the batches of a training on all images."""
    return Retraining(sweep.recipe, (), sweep.length).steps


def _steps_left(whole: Retraining, device: str) -> int:
    return whole.steps - whole.epochs_done(device) * whole.steps // whole.epochs


def _is_running(retraining: Retraining, device: str) -> bool:
    """Return whether a process holds the lock of a training's folder."""
    lock = retraining.training(device) / ".lock"
    if not lock.is_file():
        return False
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True


def progress_text(found: Sequence[Progress], workers: int = 1, device: str = "auto") -> str:
    """Return how far some sweeps are as text: a line for each, and the sum.

    Parameters
    ----------
    found : sequence of Progress
        As `planned` returns it.
    workers : int
        Trainings at a time. The time counts them as if each were as fast as a single one, which those that share cores
        are not.
    device : str
        ``"auto"`` or a torch device.

    Raises
    ------
    InputError
        If `workers` is no number.

    Examples
    --------
    >>> print(progress_text(planned([sweep])))
    """
    workers = check_integer("workers", workers)
    width = max((len(each.name) for each in found), default=4)
    lines = [f"{'sweep':<{width}}   done  running  begun   left  steps left     time"]
    lines += [
        f"{each.name:<{width}}  {each.done:>5}  {each.running:>7}  {each.begun:>5}  {each.left:>5}"
        f"  {each.steps:>10,}  {duration(each.seconds) if each.left else '':>7}"
        + ("" if each.ranked else "  (its images are not ranked yet)")
        for each in found
    ]
    left, seconds = sum(each.left for each in found), sum(each.seconds for each in found)
    if not left:
        return "\n".join([*lines, "Every training is done."])
    size = left * BYTES_A_RESULT / 1e6
    lines.append(
        f"{left} trainings are left: about {duration(seconds / workers)} with {workers} at a time on this machine"
        f" ({machine(device)}), and {size:.1f} MB of results."
    )
    return "\n".join(lines)
