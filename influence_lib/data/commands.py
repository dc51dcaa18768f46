"""The commands ``data list``, ``data get`` and ``data describe``."""

import argparse
import sys

from influence_lib.data.catalogue import PUBLISHED
from influence_lib.data.hub import download
from influence_lib.data.loading import available, data_root, layout

__all__ = ["add_arguments"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``data list``, ``data get NAME`` and ``data describe PATH``."""
    commands = parser.add_subparsers(dest="data_command", required=True)
    listing = commands.add_parser("list", help="say which image sets are present and where")
    listing.set_defaults(run=_list)
    getting = commands.add_parser("get", help="download an image set from the Hugging Face hub")
    getting.add_argument("name", choices=list(PUBLISHED))
    getting.set_defaults(run=_get)
    describing = commands.add_parser("describe", help="say what a folder of images, or of parquet files, is taken for")
    describing.add_argument("path")
    describing.set_defaults(run=_describe)
    for command in (listing, getting):
        command.add_argument(
            "--root", help="folder of the image sets (default: INFLUENCE_DATA, else ~/.cache/influence-ssl)"
        )


def _list(arguments: argparse.Namespace) -> None:
    """Print one line for each split of each set."""
    sets = available(arguments.root)
    lines = [("set", "split", "images", "where")]
    lines += [(name, split, f"{images:,}", where) for name, split, images, where in sets.to_numpy().tolist()]
    sys.stdout.write(f"folder of image sets: {data_root(arguments.root)}\n")
    for name, split, images, where in lines:
        sys.stdout.write(f"{name:<11} {split:<6} {images:>7}  {where}\n")


def _get(arguments: argparse.Namespace) -> None:
    """Download one set and say where it is."""
    sys.stdout.write(f"{arguments.name} is in {download(arguments.name, arguments.root)}\n")


def _describe(arguments: argparse.Namespace) -> None:
    """Print the layout of a folder in one line, then a line for each file passed over."""
    found = layout(arguments.path)
    sys.stdout.write(f"{found}\n")
    for name in found.passed_over:
        sys.stdout.write(f"passed over: {name}\n")
