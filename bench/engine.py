"""The influence engine against kronfluence, and its cost, on this machine's CPU or on a GPU.

Run it from the repository, on a machine that does nothing else::

    python -m bench.engine                  # about forty minutes on two idle cores
    python -m bench.engine --extrapolate    # twenty, with kronfluence on few of the images
    python -m bench.engine --quick          # a minute: does it run? the numbers mean nothing
    python -m bench.engine --device cuda    # both sides on a GPU; results in engine-cuda.json and so on

What is measured, on a ResNet-18 that was trained a little, so that its spectra are not those of random weights:

- the exact mode and kronfluence on the same images: seconds of every stage, peak memory, equality of the scores;
- truncated EK-FAC end to end, and how far its scores are from the exact ones;
- cost against the number of images, the encoder's width, the layers and the batch;
- the time of each pass beside the time that as many operations take in a large matrix product;
- LoGra at several ranks: time, and rank correlation with exact EK-FAC.

The images are those of CIFAR-10 where the folder that INFLUENCE_DATA names holds them, else `controlled`. Every
measurement has a process of its own, forked from one that has loaded the libraries and done nothing; those of one
series of costs share one. What is finished is kept in ``engine.partial`` beside the results, so that a run that was
killed goes on when it is started again. Results go to ``bench/results/engine.json``, the table made from them to
``engine.md`` and the picture to ``engine.png``.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench import _engine_worker
from bench._engine_report import picture, report
from bench._engine_results import assemble
from bench._engine_worker import Run, Setup
from bench._shared import QUICK_RESULTS, RESULTS, machine, positive, write
from influence_lib.data import available
from influence_lib.device import machine as device_name
from influence_lib.errors import InputError

STAGES = ("backbone.layer4", "backbone.layer3", "backbone.layer2", "backbone.layer1", "backbone.conv1")
"""Of the encoder, from its output on."""
Steps = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes
    ----------
    images, exact_images : int
        Images of the end-to-end comparison, and of the comparison stage by stage.
    width, small_width, memory_width : int
        Of the encoder that is compared with kronfluence, of that of cost and LoGra, and of that of memory.
    widths, counts, batch_sizes, logra_ranks : tuple of int
        At which widths, numbers of images, batch sizes and ranks the cost is measured.
    cost_images : int
        Images where the cost is not measured against their number.
    rank : int
        Of truncated EK-FAC.
    epochs : int
        Of the encoders' training.
    """

    images: int
    exact_images: int
    width: int
    small_width: int
    memory_width: int
    widths: tuple[int, ...]
    counts: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    logra_ranks: tuple[int, ...]
    cost_images: int
    rank: int
    epochs: int


FULL = Scale(
    images=512,
    exact_images=96,
    width=64,
    small_width=16,
    memory_width=32,
    widths=(8, 16, 32, 64),
    counts=(64, 128, 256),
    batch_sizes=(8, 16, 32, 64),
    logra_ranks=(8, 16, 32),
    cost_images=64,
    rank=512,
    epochs=3,
)
QUICK = Scale(
    images=20,
    exact_images=10,
    width=4,
    small_width=4,
    memory_width=4,
    widths=(2, 4),
    counts=(10, 20),
    batch_sizes=(4, 8),
    logra_ranks=(2, 4),
    cost_images=10,
    rank=8,
    epochs=1,
)


def plan(scale: Scale, setup: Setup, rounds: int, extrapolate: bool) -> Steps:
    """Return everything that is to be measured, by name, in order."""
    widths = sorted({*scale.widths, scale.width, scale.small_width, scale.memory_width})
    return {
        "training": partial(_engine_worker.train, setup, widths),
        "limits": partial(_engine_worker.limits, setup, scale.width, scale.rank),
        **_against_kronfluence(scale, setup, rounds, extrapolate),
        **_against_settings(scale, setup),
    }


def _against_kronfluence(scale: Scale, setup: Setup, rounds: int, extrapolate: bool) -> Steps:
    """Return the runs on the large encoder, each with a process and a peak of memory of its own."""
    turns = [(mode, i) for i in range(rounds) for mode in ("exact", "kronfluence")]
    runs = {f"stages, {mode}, round {i}": Run(mode, scale.exact_images, scale.width) for mode, i in turns}
    for mode in ("exact", "fast", "fast, measured", *([] if extrapolate else ["kronfluence"])):
        rank = scale.rank if mode.startswith("fast") else None
        runs[f"end to end, {mode}"] = Run(mode, scale.images, scale.width, rank)
    return {name: partial(_engine_worker.measure, setup, run) for name, run in runs.items()}


def _against_settings(scale: Scale, setup: Setup) -> Steps:
    """Return the series of runs against one setting, each in one process, and those for the memory."""
    n, width = scale.cost_images, scale.small_width
    exact, fast = partial(Run, "exact"), partial(Run, "fast", rank=scale.rank)
    logra = [Run(mode, scale.images, width, r) for mode in ("logra", "logra-pca") for r in scale.logra_ranks]
    parts = [STAGES[:count] for count in range(1, len(STAGES) + 1)]
    series = {
        "by images": [mode(images=count, width=width) for count in scale.counts for mode in (exact, fast)],
        "by width": [mode(images=n, width=each) for each in scale.widths for mode in (exact, fast)],
        "by layers": [mode(images=n, width=width, layers=part) for part in parts for mode in (exact, fast)],
        "LoGra": [*(mode(images=scale.images, width=width) for mode in (exact, fast)), *logra],
    }
    batches = {
        f"by batch, {name}, {size}": mode(images=n, width=scale.memory_width, batch_size=size)
        for size in scale.batch_sizes
        for name, mode in {"exact": exact, "fast": fast}.items()
    }
    return {name: partial(_engine_worker.measure_each, setup, runs) for name, runs in series.items()} | {
        name: partial(_engine_worker.measure, setup, run) for name, run in batches.items()
    }


class Progress:
    """The finished steps of a run, in a folder.

    Parameters
    ----------
    folder : Path
        Of this run; the encoders lie there too.
    settings : mapping
        What the steps depend on, as JSON-able values.
    fresh : bool
        Whether to drop what is there.

    Raises
    ------
    InputError
        If an unfinished run has other settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], fresh: bool = False):
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        self.file, self.settings = folder / "progress.json", json.loads(json.dumps(settings))
        self.done: dict[str, Any] = {}
        if self.file.is_file():
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            if kept["settings"] != self.settings:
                differ = [key for key in self.settings if kept["settings"].get(key) != self.settings[key]]
                raise InputError(
                    f"{folder} holds an unfinished run with another {' and '.join(differ)}: give --fresh to drop it."
                )
            self.done = kept["done"]

    def run(self, steps: Steps, execute: Callable[[Callable[[], Any]], Any]) -> dict[str, Any]:
        """Execute the steps that are not finished, keep each as it finishes, and return what all of them found."""
        with tqdm(total=len(steps), unit="step") as bar:
            for name, step in steps.items():
                bar.set_description(name)
                if name not in self.done:
                    # as JSON has it, so that a run that was resumed is no different
                    self.done[name] = json.loads(json.dumps(execute(step)))
                    write(self.file, json.dumps({"settings": self.settings, "done": self.done}))
                bar.update()
        return self.done


def in_own_process(step: Callable[[], Any]) -> Any:
    """Return what a step returns, computed in a new process that starts with the libraries loaded and nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench._engine_worker", "bench._engine_report"])
    with ProcessPoolExecutor(1, mp_context=context, initializer=_engine_worker.end_with_parent) as pool:
        return pool.submit(step).result()


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.engine", description="The influence engine's speed and cost."
    )
    parser.add_argument("--images", type=positive, help=f"scored end to end; {FULL.images} by default")
    parser.add_argument("--exact-images", type=positive, help=f"timed by stage, {FULL.exact_images} by default")
    parser.add_argument("--rank", type=positive, help=f"of truncated EK-FAC; {FULL.rank} by default")
    parser.add_argument("--rounds", type=positive, default=1, help="how often the two sides take turns on few images")
    parser.add_argument("--extrapolate", action="store_true", help="time kronfluence on few images only")
    parser.add_argument("--dataset", choices=("cifar10", "controlled"), help="cifar10 where INFLUENCE_DATA has it")
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU such as cuda (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="tiny, to see whether it runs; extrapolates")
    parser.add_argument("--fresh", action="store_true", help="drop what an unfinished run has left")
    parser.add_argument("--output", type=Path, help="folder of the results; artifacts/bench for --quick")
    options = parser.parse_args(argv)
    options.extrapolate |= options.quick
    options.output = options.output or (QUICK_RESULTS if options.quick else RESULTS)
    given = {name: getattr(options, name) for name in ("images", "exact_images", "rank")}
    options.scale = replace(QUICK if options.quick else FULL, **{name: n for name, n in given.items() if n})
    most = max(options.scale.exact_images, options.scale.cost_images, *options.scale.counts)
    if options.scale.images < most:
        parser.error(f"--images is {options.scale.images}, but other measurements take up to {most} of them")
    return options


def default_dataset() -> str:
    """Return CIFAR-10 where the folder that INFLUENCE_DATA names holds it, else the drawn images."""
    if "INFLUENCE_DATA" not in os.environ:
        return "controlled"
    images = available().set_index(["name", "split"])["images"]
    return "cifar10" if images["cifar10", "train"] else "controlled"


def main(argv: Sequence[str] | None = None, execute: Callable[[Callable[[], Any]], Any] = in_own_process) -> None:
    """Measure, print the table and write the results."""
    options = arguments(argv)
    try:
        gpu = device_name(options.device)
    except InputError as error:
        sys.exit(f"error: {error}")
    name = "engine" if gpu == "CPU" else f"engine-{options.device.partition(':')[0]}"
    folder, scale = options.output / f"{name}.partial", options.scale
    settings = {
        "machine": machine(("torch", "kronfluence")) | ({} if name == "engine" else {"gpu": gpu}),
        "dataset": options.dataset or default_dataset(),
        "rounds": options.rounds,
        "extrapolate": options.extrapolate,
        "quick": options.quick,
        "scale": asdict(scale),
    }
    setup = Setup(settings["dataset"], scale.images, scale.epochs, str(folder / "encoders"), options.device)
    try:
        progress = Progress(folder, settings, options.fresh)
    except InputError as error:
        sys.exit(f"error: {error}")
    steps = plan(scale, setup, options.rounds, options.extrapolate)
    results = settings | assemble(progress.run(steps, execute))
    write(options.output / f"{name}.json", json.dumps(results, indent=2) + "\n")
    table = report(results)
    write(options.output / f"{name}.md", table)
    write(options.output / f"{name}.png", picture(results))
    shutil.rmtree(folder)
    print(table)


if __name__ == "__main__":
    main()
