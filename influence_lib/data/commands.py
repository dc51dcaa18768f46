"""What the commands ``data list``, ``data get`` and ``data describe`` do."""

import sys
from argparse import Namespace

from influence_lib.data.hub import download
from influence_lib.data.loading import available, data_root, layout

__all__ = ["describe", "get", "list_sets"]


def list_sets(arguments: Namespace) -> None:
    """Print one line for each split of each set."""
    sets = available(arguments.root)
    lines = [("set", "split", "images", "where")]
    lines += [(name, split, f"{images:,}", where) for name, split, images, where in sets.to_numpy().tolist()]
    sys.stdout.write(f"folder of image sets: {data_root(arguments.root)}\n")
    for name, split, images, where in lines:
        sys.stdout.write(f"{name:<11} {split:<6} {images:>7}  {where}\n")


def get(arguments: Namespace) -> None:
    """Download one set and say where it is."""
    sys.stdout.write(f"{arguments.name} is in {download(arguments.name, arguments.root)}\n")


def describe(arguments: Namespace) -> None:
    """Print the layout of a folder in one line, then a line for each file passed over."""
    found = layout(arguments.path)
    sys.stdout.write(f"{found}\n")
    for name in found.passed_over:
        sys.stdout.write(f"passed over: {name}\n")
