"""What each way of looking for duplicates and outliers costs, on this machine.

Run it from the repository, on a machine that does nothing else::

    python -m bench.duplicates             # about ten minutes on two idle cores
    python -m bench.duplicates --quick     # a minute: does it run? the numbers mean nothing

All ways get the same images, copies and outliers among them, in turns, and those that need an encoder the same one, of
the width of the encoders that ship. What has to be there already, the encoder and the images, is not counted. Each
measurement has a process of its own. Results go to ``bench/results/duplicates.json``, the table made from them to
``duplicates.md``. How much each way finds is in the book's chapter on duplicates.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from bench._shared import QUICK_RESULTS, RESULTS, Cost, costs, in_its_own_process, machine, write
from bench.engine import default_dataset
from influence_lib.data import ImageSet, load, plant
from influence_lib.influence import knn_distance, raw_loss, self_influence
from influence_lib.pretrain import Encoder, build_encoder, embed
from influence_lib.studies import duplicates

LIBRARIES = ("torch", "scikit-learn", "scipy", "imagehash", "cleanvision")
Way = Callable[[Encoder, ImageSet], object]
_SCORED = partial(self_influence, factor_pairs=1000, progress=False)

WAYS: dict[str, tuple[str, Way]] = {
    "EK-FAC": ("score", _SCORED),
    "LoGra": ("score", partial(_SCORED, curvature="logra")),
    "gradient norm": ("score", partial(_SCORED, curvature="identity")),
    "raw loss": ("score", partial(raw_loss, progress=False)),
    "nearest other": ("score", partial(knn_distance, k=1, progress=False)),
    "pHash, nearest other": ("score", lambda _, images: duplicates.hash_distance(images)),
    "isolation forest": (
        "score, outliers",
        lambda encoder, images: duplicates.isolation_score(images, embed(encoder, images)),
    ),
    "single linkage": (
        "score, outliers",
        lambda encoder, images: duplicates.linkage_score(images, embed(encoder, images)),
    ),
    "nearest pairs": ("pairs", lambda encoder, images: duplicates.near_pairs(images, embed(encoder, images))),
    "cleanvision": ("pairs", lambda _, images: duplicates.cleanvision_pairs(images)),
    "aligned pixels": ("pairs", lambda _, images: duplicates.aligned_pairs(images, progress=False)),
}
"""Name → what it gives, and how; scores are of one draw."""


def _measured(way: str, n: int, width: int) -> Cost:
    images = plant(load(default_dataset(), n=n), exact=0.05, near=0.05, outliers=0.05)
    encoder = build_encoder(width).eval()
    return costs(lambda: WAYS[way][1](encoder, images))


def report(found: dict[str, Any]) -> str:
    """Return the measurements as a table in markdown."""
    lines = [
        "# Duplicates and outliers",
        "",
        f"{found['images']:,} images, copies and outliers planted among them; an encoder of width {found['width']};"
        f" medians of {found['rounds']} rounds on {found['machine']['processor']}, {found['machine']['threads']}"
        " threads.",
        "",
        "|  | gives | s | MiB |",
        "|---|---|--:|--:|",
    ]
    for way, runs in found["ways"].items():
        seconds, mib = statistics.median(runs["seconds"]), max(runs["mib"])
        lines.append(f"| {way} | {runs['gives']} | {seconds:.2f} | {mib:,.0f} |")
    return "\n".join(lines) + "\n"


def run(n: int, width: int, rounds: int) -> dict[str, Any]:
    """Return all measurements; the ways take turns."""
    ways: dict[str, Any] = {way: {"gives": gives, "seconds": [], "mib": []} for way, (gives, _) in WAYS.items()}
    for _ in range(rounds):
        for way, runs in ways.items():
            seconds, mib = in_its_own_process(_measured, way, n, width)
            runs["seconds"].append(seconds)
            runs["mib"].append(mib)
    return {"images": n, "width": width, "rounds": rounds, "ways": ways, "machine": machine(LIBRARIES)}


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.duplicates", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute, whose numbers mean nothing")
    quick = parser.parse_args().quick
    found = run(60, 2, 1) if quick else run(2000, 16, 3)
    folder = QUICK_RESULTS if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "duplicates.json", json.dumps(found, indent=1) + "\n")
    write(folder / "duplicates.md", report(found))
    print(report(found))


if __name__ == "__main__":
    main()
