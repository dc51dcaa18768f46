"""What the command ``sweep`` does: run the trainings that a chapter draws."""

import os
import sys
from argparse import Namespace
from pathlib import Path

from influence_lib.book.chapters import chapters
from influence_lib.book.layout import Book
from influence_lib.errors import check_integer, check_number
from influence_lib.notebook import SweepParameters
from influence_lib.pretrain.queue import shared_gpu
from influence_lib.studies.fanout import run_all
from influence_lib.studies.removal import Sweep, planned, progress_text

__all__ = ["sweep", "sweeps_of"]

CHAPTER = "10_removal"


def sweeps_of(root: Path, profile: str) -> tuple[list[Sweep], str, str]:
    """Return the sweeps of a profile with the place of their results and the device.

    Raises
    ------
    InputError
        If the profile is unknown, or one of its parameters is wrong.

    Examples
    --------
    >>> sweeps_of(Path("."), "smoke")[1]
    'artifacts'
    """
    chapter = next(each for each in chapters(Book(root), profile) if each.name == CHAPTER)
    settings = SweepParameters.check(chapter.parameters)
    return settings.sweeps(), settings.place, settings.device


def sweep(arguments: Namespace) -> int:
    """Say how far the trainings of a profile are, and run what is left unless that is all that is asked for."""
    workers = check_integer("--workers", arguments.workers)
    if arguments.minutes is not None:
        check_number("--minutes", arguments.minutes, above=0)
    sweeps, place, device = sweeps_of(arguments.root, arguments.profile)
    device = arguments.device or device
    sys.stdout.write(progress_text(planned(sweeps, place, device), workers, device) + "\n")
    sys.stdout.flush()
    if arguments.status:
        return 0
    with shared_gpu(device, workers) as shared:
        os.environ.update(shared)  # for the processes that are started from here
        every = [retraining for each in sweeps for retraining in each.retrainings(place, device)]
        left = run_all(every, place, device, workers, arguments.minutes)
    sys.stdout.write(f"{len(left)} trainings are left.\n" if left else "Every training is done.\n")
    return 0
