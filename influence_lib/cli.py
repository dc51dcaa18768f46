"""The command line: ``python -m influence_lib data | encoders | results | theory | fairness | sweep | ledger | book``.

The arguments of every command are declared here, so that ``--help`` answers at once; what a command does stands in its
room and is imported when it runs, since most rooms import torch. An `InputError` is printed as one sentence, with exit
status 2.
"""

import argparse
import errno
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from influence_lib import __version__
from influence_lib.checkout import repository
from influence_lib.errors import InputError

__all__ = ["COMMANDS", "main"]

# a full disk, a quota, a folder that may not be written to: nothing that a traceback would explain
OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}

WORKERS = min(2, os.cpu_count() or 1)  # chapters at a time: a kernel with torch takes a gigabyte


def _data(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="data_command", required=True)
    listing = commands.add_parser("list", help="say which image sets are present and where")
    getting = commands.add_parser("get", help="download an image set from the Hugging Face hub")
    getting.add_argument("name", help="cifar10, cifar100 or fairface")
    for command, function in ((listing, "list_sets"), (getting, "get")):
        command.add_argument(
            "--root", help="folder of the image sets (default: INFLUENCE_DATA, else ~/.cache/influence-ssl)"
        )
        command.set_defaults(run=_later("influence_lib.data.commands", function))
    describing = commands.add_parser("describe", help="say what a folder of images, or of parquet files, is taken for")
    describing.add_argument("path")
    describing.set_defaults(run=_later("influence_lib.data.commands", "describe"))


def _encoders(parser: ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument(
        "--train", action="store_true", help="train what is missing and measure its accuracy; needs the image sets"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what is missing and how long it takes here")
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time (default: 1)")
    parser.add_argument("--minutes", type=float, help="stop then; what is not finished goes on another time")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, … (default: auto)")
    parser.add_argument(
        "--place", choices=("artifacts", "results"), default="artifacts", help="where new ones are kept"
    )
    parser.set_defaults(run=_later("influence_lib.pretrain.commands", "encoders"))


def _results(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="show the results of this name or folder in full")
    parser.add_argument("--kind", help="only results of this kind, such as encoder or scores")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--root", type=Path, help="folder that holds results/ and artifacts/ (default: this checkout)")
    parser.set_defaults(run=_later("influence_lib.results", "results"))


def _theory(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="explain this statement alone, such as thm1")
    parser.add_argument("--json", action="store_true", help="print id, verdict, checks and seconds as JSON")
    parser.set_defaults(run=_later("influence_lib.theory.commands", "verdicts"))


def _fairness(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a CSV with a row for each image")
    parser.add_argument("--score", required=True, metavar="COLUMN", help="the column of the scores")
    parser.add_argument("--groups", required=True, nargs="+", metavar="COLUMN", help="columns of groups")
    parser.add_argument(
        "--measured", nargs="+", default=[], metavar="COLUMN", help="what the pictures differ in, as brightness"
    )
    parser.add_argument("--k", type=int, default=100, help="images that count as an end (default: 100)")
    parser.add_argument("--intersections", action="store_true", help="look at every two attributes together, too")
    parser.set_defaults(run=_later("influence_lib.studies.fairness.commands", "fairness"))


def _sweep(parser: ArgumentParser) -> None:
    _trainings(parser)
    parser.set_defaults(run=_later("influence_lib.book.sweep_command", "sweep"))


def _trainings(parser: ArgumentParser) -> None:
    """Declare what every command that runs a chapter's trainings takes."""
    parser.add_argument("--profile", default="smoke", help="whose trainings: smoke, or a folder in profiles/")
    parser.add_argument(
        "--status", "--dry-run", action="store_true", help="say how far it is and how long the rest takes, and stop"
    )
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time (default: 1)")
    parser.add_argument("--minutes", type=float, help="begin no training after that; the rest goes on another time")
    parser.add_argument("--device", help="auto, cpu, cuda, … (default: the profile's)")
    parser.add_argument("--root", type=Path, default=repository(), help=argparse.SUPPRESS)


def _attribution(parser: ArgumentParser) -> None:
    _trainings(parser)
    parser.set_defaults(run=_later("influence_lib.book.attribution_command", "attribution"))


def _ledger(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print rows, claims, findings and verdicts as JSON")
    parser.add_argument("--update", action="store_true", help="make the findings anew from the committed results first")
    parser.add_argument("--root", type=Path, default=repository(), help=argparse.SUPPRESS)
    parser.set_defaults(run=_later("influence_lib.book.ledger_command", "ledger"))


def _book(parser: ArgumentParser) -> None:
    parser.add_argument("--profile", default="smoke", help="parameters to run with: smoke, or a folder in profiles/")
    parser.add_argument("--only", metavar="CHAPTER", help="execute this chapter alone, such as 01_tour")
    parser.add_argument("--force", action="store_true", help="execute chapters that are up to date, too")
    parser.add_argument(
        "--workers", type=int, default=WORKERS, help=f"chapters that are executed at a time (default: {WORKERS})"
    )
    parser.add_argument("--root", type=Path, default=repository(), help=argparse.SUPPRESS)
    parser.set_defaults(run=_later("influence_lib.book.commands", "book"))


COMMANDS: dict[str, tuple[Callable[[ArgumentParser], None], str]] = {
    "data": (_data, "list, download and describe image sets"),
    "encoders": (_encoders, "list the encoders that ship, or train them again"),
    "results": (_results, "list the results on disk, or show one with its settings"),
    "theory": (_theory, "check every statement of the paper and print the verdicts"),
    "fairness": (_fairness, "say which groups are at the ends of the scores in a CSV"),
    "sweep": (_sweep, "train again without the images that chapter 10 leaves out"),
    "attribution": (_attribution, "train classifiers without the images that chapter 13 leaves out"),
    "ledger": (_ledger, "print every row with the verdict that follows from the findings"),
    "book": (_book, "execute the notebooks that changed, render and check the book"),
}
"""Name → what declares its arguments, and its summary."""


def _later(module: str, function: str) -> Callable[[Namespace], int | None]:
    """Return what imports a function and calls it."""
    return lambda arguments: getattr(import_module(module), function)(arguments)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m influence_lib", description="Influence-SSL companion")
    parser.add_argument("--version", action="version", version=f"influence-ssl-companion {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (declare, summary) in COMMANDS.items():
        declare(commands.add_parser(name, help=summary, description=summary))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 failed, 2 wrong input."""
    try:
        arguments = _parser().parse_args(argv)
        return arguments.run(arguments) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in OF_THE_MACHINE:
            raise
        print(f"error: {error.filename or 'a file'} cannot be written ({error.strerror}).", file=sys.stderr)
        return 1
