"""The command line: ``python -m influence_lib data | encoders | results | theory | fairness | ledger | book``.

Each command has a module whose `add_arguments(parser)` declares its arguments and what runs it. Only the module of
the command that is asked for is imported, since most of them import torch. An `InputError` is printed as one
sentence, with exit status 2.
"""

import argparse
import errno
import sys
from collections.abc import Sequence
from importlib import import_module

from influence_lib import __version__
from influence_lib.errors import InputError

__all__ = ["main"]

# a full disk, a quota, a folder that may not be written to: nothing that a traceback would explain
OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}
COMMANDS = {
    "data": ("influence_lib.data.commands", "list, download and describe image sets"),
    "encoders": ("influence_lib.pretrain.commands", "list the encoders that ship, or train them again"),
    "results": ("influence_lib.results", "list the results on disk, or show one with its settings"),
    "theory": ("influence_lib.theory.commands", "check every statement of the paper and print the verdicts"),
    "fairness": ("influence_lib.studies.fairness.commands", "say which groups are at the ends of the scores of a CSV"),
    "ledger": (
        "influence_lib.book.ledger_command",
        "print every row with the verdict that follows from the findings",
    ),
    "book": ("influence_lib.book.commands", "execute the notebooks that changed, render and check the book"),
}


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """Return the parser of every command, with the arguments of the one that was chosen."""
    parser = argparse.ArgumentParser(prog="python -m influence_lib", description="Influence-SSL companion")
    parser.add_argument("--version", action="version", version=f"influence-ssl-companion {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, (module, summary) in COMMANDS.items():
        command = subparsers.add_parser(name, help=summary, description=summary)
        if name == chosen:
            import_module(module).add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 failed, 2 wrong input."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments = build_parser(argv[0] if argv else None).parse_args(argv)
        return arguments.run(arguments) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in OF_THE_MACHINE:
            raise
        print(f"error: {error.filename or 'a file'} cannot be written ({error.strerror}).", file=sys.stderr)
        return 1
