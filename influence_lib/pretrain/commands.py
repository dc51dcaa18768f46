"""What the command ``encoders`` does."""

import sys
from argparse import Namespace

from influence_lib import store
from influence_lib.errors import InputError, check_integer, check_number
from influence_lib.pretrain.queue import plan, table, work
from influence_lib.pretrain.recipes import SHIPPED, Recipe, shipped

__all__ = ["encoders"]


def encoders(arguments: Namespace) -> None:
    """Print a line for each encoder, trained first if that is asked for."""
    recipes = [shipped(name) for name in arguments.names] or list(SHIPPED)
    if arguments.dry_run:
        sys.stdout.write(table(plan(recipes, arguments.device), arguments.device) + "\n")
        return
    if arguments.train:
        _train(recipes, arguments)
    known = {(entry.kind, entry.name): entry.folder for entry in store.entries() if entry.folder.startswith("results")}
    width = max(len(recipe.name) for recipe in recipes)
    lines = [f"{'name':<{width}}  images  width  epochs    kNN  linear"]
    lines += [_line(recipe, known, width) for recipe in recipes]
    sys.stdout.write("\n".join(lines) + "\n")


def _train(recipes: list[Recipe], arguments: Namespace) -> None:
    """Train what is missing, here one after the other, or in processes of their own."""
    workers, place, device = check_integer("--workers", arguments.workers), arguments.place, arguments.device
    if arguments.minutes is not None:
        check_number("--minutes", arguments.minutes, above=0)
    if workers == 1 and arguments.minutes is None:
        for recipe in recipes:
            recipe.accuracy(recipe.encoder(place, device), place, device)
        return
    jobs = plan(recipes, device)
    sys.stderr.write(table(jobs, device) + "\n")
    wanted = [job for job in jobs if arguments.names or not job.elsewhere]
    if failed := work(wanted, place, device, workers, arguments.minutes):
        raise InputError(f"{', '.join(failed)} could not be trained: artifacts/queue/ has what was said.")


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
