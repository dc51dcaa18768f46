"""What each way of attributing predictions costs, for one target and for a hundred, on this machine.

Run it from the repository, on a machine that does nothing else::

    python -m bench.attribution             # about ten minutes on two idle cores
    python -m bench.attribution --quick     # a minute: does it run? the numbers mean nothing

All ways get the same images and targets, in turns: TRAK, by the authors' package, and influence functions get a trained
ResNet-9, distances and exemplar SVMs, scikit-learn's, one fit a target, an encoder. Each measurement has a process of
its own, so that its peak memory is its own. Results go to ``bench/results/attribution.json``, the table made from them
to ``attribution.md``.
"""

import argparse
import json
import statistics
from typing import Any

import torch

from bench._shared import QUICK_RESULTS, RESULTS, Cost, costs, in_its_own_process, machine, write
from bench.engine import default_dataset
from influence_lib.data import ImageSet, load
from influence_lib.pretrain import Schedule, build_encoder, train_classifier
from influence_lib.studies.attribution import METHODS, attribute

LIBRARIES = ("torch", "scikit-learn", "traker")
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "Euclidean": ("Euclidean", {}),
    "exemplar SVM": ("exemplar SVM", {"same_class": True}),
    "TRAK (traker)": ("TRAK", {"dimension": None}),
    "EK-FAC (ours)": ("EK-FAC", {"factor_pairs": 1000}),
}
"""Name → method and its options; the dimension is that of the run."""


def _sets(n: int, targets: int) -> tuple[ImageSet, ImageSet]:
    """Return images and targets."""
    name = default_dataset()
    return load(name, n=n), load(name, "test", n=targets)


def _measured(way: str, n: int, width: int, targets: int, dimension: int) -> Cost:
    """Return what one way costs."""
    train, asked = _sets(n, max(10, targets))
    method, options = WAYS[way]
    options = options | ({"dimension": dimension} if "dimension" in options else {})
    if METHODS[method].needs == "encoder":
        models: list[torch.nn.Module] = [build_encoder(width).eval()]
    else:
        models = [train_classifier(train, "resnet9", width, Schedule(epochs=2, batch_size=20, lr=0.1))]
    return costs(lambda: attribute(method, models, train, asked.subset(range(targets)), **options))


def report(found: dict[str, Any]) -> str:
    """Return the measurements as a table in markdown."""
    few, many = (f"{count} target{'s' if count > 1 else ''}" for count in found["targets"])
    lines = [
        "# Attribution",
        "",
        f"{found['images']:,} images, a ResNet-9 of width {found['width']}; medians of {found['rounds']} rounds on"
        f" {found['machine']['processor']}, {found['machine']['threads']} threads.",
        "",
        f"|  | {few}, s | {many}, s | {many}, MiB |",
        "|---|--:|--:|--:|",
    ]
    for way, by_count in found["ways"].items():
        one, all_of_them = (by_count[str(count)] for count in found["targets"])
        seconds = [statistics.median(each["seconds"]) for each in (one, all_of_them)]
        lines.append(f"| {way} | {seconds[0]:.2f} | {seconds[1]:.2f} | {max(all_of_them['mib']):,.0f} |")
    return "\n".join(lines) + "\n"


def run(n: int, width: int, targets: tuple[int, int], dimension: int, rounds: int) -> dict[str, Any]:
    """Return all measurements; the ways take turns."""
    ways: dict[str, Any] = {way: {str(count): {"seconds": [], "mib": []} for count in targets} for way in WAYS}
    for _ in range(rounds):
        for way, by_count in ways.items():
            for count in targets:
                seconds, mib = in_its_own_process(_measured, way, n, width, count, dimension)
                by_count[str(count)]["seconds"].append(seconds)
                by_count[str(count)]["mib"].append(mib)
    shared = {"images": n, "width": width, "targets": list(targets), "dimension": dimension, "rounds": rounds}
    return {**shared, "ways": ways, "machine": machine(LIBRARIES)}


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.attribution", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute, whose numbers mean nothing")
    quick = parser.parse_args().quick
    found = run(60, 2, (1, 4), 16, 1) if quick else run(5000, 16, (1, 100), 1024, 3)
    folder = QUICK_RESULTS if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "attribution.json", json.dumps(found, indent=1) + "\n")
    write(folder / "attribution.md", report(found))
    print(report(found))


if __name__ == "__main__":
    main()
