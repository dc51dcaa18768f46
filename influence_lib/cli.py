"""The command line: ``python -m influence_lib data | encoders | results | theory | book``.

Each room registers its own commands with `add_commands(subparsers)`; this module only puts them together
and turns an `InputError` into one sentence and exit status 2.
"""

import argparse
import sys
from collections.abc import Sequence

from influence_lib.errors import InputError

__all__ = ["main"]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with the commands of every room."""
    from influence_lib import book, store, theory
    from influence_lib.data import commands as data_commands
    from influence_lib.pretrain import commands as pretrain_commands

    parser = argparse.ArgumentParser(prog="python -m influence_lib", description="Influence-SSL companion")
    subparsers = parser.add_subparsers(dest="command", required=True)
    for room in (data_commands, pretrain_commands, store, theory, book):
        room.add_commands(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 failed, 2 wrong input."""
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
