"""What the command ``attribution`` does: run the trainings and searches that a chapter draws."""

import os
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np

from influence_lib.book.chapters import chapters
from influence_lib.book.layout import Book
from influence_lib.errors import check_integer, check_number
from influence_lib.notebook import AttributionParameters
from influence_lib.pretrain.queue import shared_gpu
from influence_lib.store import manifest_seconds
from influence_lib.studies.attribution import Counterfactual, planted_table
from influence_lib.studies.fanout import run_all
from influence_lib.text import duration

__all__ = ["attribution", "settings_of"]

CHAPTER = "13_attribution"


def settings_of(root: Path, profile: str) -> AttributionParameters:
    """Return the checked parameters of the chapter in a profile.

    Raises
    ------
    InputError
        If the profile is unknown, or one of its parameters is wrong.

    Examples
    --------
    >>> settings_of(Path("."), "smoke").place
    'artifacts'
    """
    chapter = next(each for each in chapters(Book(root), profile) if each.name == CHAPTER)
    return AttributionParameters.check(chapter.parameters)


def attribution(arguments: Namespace) -> int:
    """Say how far the trainings of a profile are, and run what is left unless that is all that is asked for."""
    workers = check_integer("--workers", arguments.workers)
    if arguments.minutes is not None:
        check_number("--minutes", arguments.minutes, above=0)
    settings = settings_of(arguments.root, arguments.profile)
    device, question = arguments.device or settings.device, settings.question()
    halves = [*question.halves.trainings(), *settings.planted().halves.trainings()]
    sys.stdout.write(_progress(halves, workers, device) + "\n")
    sys.stdout.flush()
    if arguments.status:
        return 0
    with shared_gpu(device, workers) as shared:
        os.environ.update(shared)  # for the processes that are started from here
        left: list = run_all(halves, "artifacts", device, workers, arguments.minutes)
        if not left:
            question.halves.logits(settings.place, device)
            planted_table(settings.planted(), settings.planted_ways(), {}, settings.place, device)
            answers = settings.answers()
            rankings = {way.name: answers[way.name] for way in settings.rankings()}
            searches = question.supports(rankings, settings.changes)
            left = run_all(searches, settings.place, device, workers, arguments.minutes)
            if not left:
                question.summary(answers, rankings, settings.changes, settings.place, device)
    kind = "trainings on halves" if isinstance(next(iter(left), None), Counterfactual) else "searches"
    sys.stdout.write(f"{len(left)} {kind} are left.\n" if left else "Everything is done.\n")
    return 0


def _progress(halves: list[Counterfactual], workers: int, device: str) -> str:
    """Return how many trainings on halves are left, and how long they take, judged by those that are done."""
    stored = [each.stored(device) for each in halves]
    seconds = [manifest_seconds(folder) for folder in stored if folder is not None]
    left = len(halves) - len(seconds)
    text = f"{left} of {len(halves)} trainings on halves are left"
    if not left:
        return f"{text}; then come the searches for supports."
    if not seconds:
        return f"{text}; how long one takes is said once one is done."
    return f"{text}: about {duration(left * float(np.mean(seconds)) / workers)} with {workers} at a time."
