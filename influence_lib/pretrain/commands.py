"""The command ``encoders``."""

import argparse
import sys

from influence_lib import store
from influence_lib.pretrain.recipes import SHIPPED, Recipe, shipped

__all__ = ["add_arguments"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``encoders`` and ``encoders --train``."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument(
        "--train", action="store_true", help="train what is missing and measure its accuracy; needs the image sets"
    )
    parser.add_argument(
        "--place", choices=("artifacts", "results"), default="artifacts", help="where new ones are kept"
    )
    parser.set_defaults(run=_encoders)


def _encoders(arguments: argparse.Namespace) -> None:
    """Print a line for each encoder, trained first if that is asked for."""
    recipes = [shipped(name) for name in arguments.names] or list(SHIPPED)
    if arguments.train:
        for recipe in recipes:
            recipe.accuracy(recipe.encoder(arguments.place), arguments.place)
    known = {(entry.kind, entry.name): entry.folder for entry in store.entries() if entry.folder.startswith("results")}
    width = max(len(recipe.name) for recipe in recipes)
    lines = [f"{'name':<{width}}  images  width  epochs    kNN  linear"]
    lines += [_line(recipe, known, width) for recipe in recipes]
    sys.stdout.write("\n".join(lines) + "\n")


def _line(recipe: Recipe, known: dict[tuple[str, str], str], width: int) -> str:
    """Return the line of one encoder."""
    epochs = f"{recipe.stop_at or recipe.epochs}/{recipe.epochs}"
    line = f"{recipe.name:<{width}}  {recipe.n or 'all':>6}  {recipe.width:>5}  {epochs:>6}"
    if ("encoder", recipe.name) not in known:
        return f"{line}  not there"
    if ("accuracy", recipe.name) not in known:
        return f"{line}  accuracy not measured"
    measured = store.load(store.repository() / known["accuracy", recipe.name])
    return f"{line}  {measured['knn']['value']:>5.1%}  {measured['linear']['value']:>6.1%}"
