"""Training speed of our loop against solo-learn's own SimCLR trainer, on this machine's CPU.

Run it from the repository, on a machine that does nothing else::

    python -m bench.pretrain                      # about ten minutes on two cores
    python -m bench.pretrain --env build/solo     # keeps solo-learn's environment for the next run

What is measured, all in one run and in images a second, where an image counts once although it is seen in two
views:

- our `influence_lib.pretrain.pretrain` and solo-learn's `SimCLR` in its Lightning trainer with its own data
  pipeline, in turns: the same network (ResNet-18, width 64, solo-learn's stem), batch and augmentation
  settings. solo-learn runs in its default precision on a CPU, float32, and once more under bfloat16 autocast,
  both with the number of data workers that suits it best on this machine;
- our loop at several widths, with our stem;
- our loop with each method, at the width and with the heads of the encoders that ship;
- the augmentation with kornia and with torchvision, every image drawing its own parameters.

Both train on the built-in `controlled` images; what they show makes no difference to the time. The first two
steps of a run, in which memory grows to its size, are not timed. solo-learn 1.0.2 needs the PyTorch Lightning of
its time, so it lives in an environment of its own, which this script makes and throws away, and which shares torch
and all else with the interpreter that runs the script. Where it cannot be installed its rows are left out, and the
report says why. Results go to `bench/results/pretrain.json`, and the table made from them to
`bench/results/pretrain.md`.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2
from tqdm import tqdm

from bench._shared import RESULTS, flat, machine, positive, ratio, write
from influence_lib.data import load
from influence_lib.pretrain import METHODS, SHIPPED, pretrain, scaled_hyper
from influence_lib.pretrain.augment import Augmentation, AugmentationSettings

HERE = Path(__file__).resolve().parent
IMAGE_SIZE = 32
SOLO_WIDTH = 64
SOLO_STEM_PADDING = 2
WORKERS = (4, 2, 0)
"""Data workers tried for solo-learn; the first is its default."""
PROBE_DIVISOR = 4
"""They are tried on smaller batches: the data pipeline has the same share of a step, and it is shorter."""
AUGMENTED_BATCHES = 10
OLD_PACKAGES = (
    "solo-learn==1.0.2",
    "pytorch-lightning==1.9.5",
    "lightning-bolts==0.7.0",
    "torchmetrics==0.11.4",
    "lightning-utilities==0.9.0",
    "timm==1.0.31",
    "wandb==0.31.0",
    "setuptools==80.9.0",
)


Views = Callable[[Tensor], Tensor]
"""Makes one view of each image: B×3×32×32 in [0, 1], in and out."""


class SoloUnavailableError(Exception):
    """solo-learn cannot be installed or imported here; the message says why."""


def run(command: Sequence[str | Path]) -> str:
    """Run a command and return what it printed.

    Raises
    ------
    SoloUnavailableError
        If it fails, with the last line that it wrote.
    """
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        raise SoloUnavailableError(lines[-1])
    return done.stdout


def solo_interpreter(folder: Path) -> Path:
    """Make an environment in which all of solo-learn 1.0.2 can be imported, and return its interpreter.

    Only the packages of solo-learn's time are installed. A ``.pth`` file adds the running interpreter's own
    packages behind them, so that torch is shared and not copied.

    Parameters
    ----------
    folder : path
        Where the environment is made, or where an earlier run has made it.

    Raises
    ------
    SoloUnavailableError
        If a package cannot be installed or solo-learn cannot be imported.
    """
    if not (folder / "pyvenv.cfg").exists():
        run([sys.executable, "-m", "venv", folder])
    base = {"base": str(folder), "platbase": str(folder)}
    python = Path(sysconfig.get_path("scripts", "venv", base)) / Path(sys.executable).name
    shared = Path(sysconfig.get_path("purelib", "venv", base)) / "shared.pth"
    shared.unlink(missing_ok=True)  # pip must see this environment alone
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", *OLD_PACKAGES])
    paths = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    shared.write_text("\n".join(paths) + "\n")
    run([python, "-c", "import solo.methods, solo.utils.pretrain_dataloader"])
    return python


class Bench:
    """The measurements and the settings that they share.

    Parameters
    ----------
    batch_size : int
        Images in a batch.
    steps, warmup : int
        Timed training steps in each run, and untimed ones before them.
    seed : int
        Of the images and of our training.
    """

    def __init__(self, batch_size: int, steps: int, warmup: int = 2, seed: int = 0):
        self.batch_size, self.steps, self.warmup, self.seed = batch_size, steps, warmup, seed
        # one batch: the set is balanced over ten classes, and what is over a full batch is not trained on
        self.images = load("controlled", n=10 * math.ceil(batch_size / 10), seed=seed)

    def ours(self, width: int, stem_padding: int, method: str = "simclr", **hyper: Any) -> list[float]:
        """Return the images a second of every timed step of our loop; an epoch is one batch."""
        encoder = pretrain(
            self.images,
            method=method,
            width=width,
            epochs=self.warmup + self.steps,
            batch_size=self.batch_size,
            seed=self.seed,
            device="cpu",
            stem_padding=stem_padding,
            progress=False,
            **hyper,
        )
        return [epoch["images_per_second"] for epoch in encoder.history[self.warmup :]]

    def shipped(self, method: str) -> list[float]:
        """Return those of a method as the encoders that ship are trained: their width, and heads to match."""
        recipe = SHIPPED[0]
        hyper = scaled_hyper(method, recipe.width, recipe.n or len(self.images), recipe.epochs, recipe.batch_size)
        return self.ours(recipe.width, 1, method, **hyper)

    def solo(self, python: Path, workers: int, precision: str, batch_size: int | None = None) -> list[float]:
        """Return the images a second of every timed step of solo-learn's trainer.

        Parameters
        ----------
        python : path
            The interpreter of `solo_interpreter`.
        workers : int
            Processes of its data pipeline.
        precision : {"32", "bf16"}
            As Lightning's trainer names it.
        batch_size : int, optional
            Another batch than all others have.
        """
        batch_size = batch_size or self.batch_size
        options = {
            "batch-size": batch_size,
            "workers": workers,
            "precision": precision,
            "stem-padding": SOLO_STEM_PADDING,
            "warmup": self.warmup,
            "steps": self.steps,
            "threads": torch.get_num_threads(),
        }
        with tempfile.TemporaryDirectory() as folder:
            images = Path(folder) / "images.npy"
            np.save(images, self.images.images.permute(0, 2, 3, 1).contiguous().numpy())
            flags = [f"--{name}={value}" for name, value in options.items()]
            printed = run([python, HERE / "_solo_worker.py", images, *flags])
        return [batch_size / seconds for seconds in json.loads(printed.splitlines()[-1])["seconds"]]

    def augmentation(self, views: Views) -> list[float]:
        """Return the images a second of drawing a view of each image of a batch; the first is not timed."""
        batch, speeds = self.images.images[: self.batch_size].float() / 255, []
        torch.manual_seed(self.seed)
        for _ in range(1 + AUGMENTED_BATCHES):
            started = time.perf_counter()
            views(batch)
            speeds.append(len(batch) / (time.perf_counter() - started))
        return speeds[1:]


def kornia_views(s: AugmentationSettings) -> Views:
    """Return our own augmentation as a function of a batch alone."""
    augmentation = Augmentation(IMAGE_SIZE, s)
    return lambda x: augmentation(x, augmentation.draw(x.shape))


def torchvision_views(s: AugmentationSettings) -> Views:
    """Return the same augmentation written with torchvision.

    A batched call of torchvision draws one set of parameters for the whole batch, so it is called on each
    image by itself: the same distribution of views as with kornia.
    """
    kernel = 2 * round(3 * s.blur_sigma[1]) + 1
    scale, bicubic = (s.min_scale, s.max_scale), v2.InterpolationMode.BICUBIC
    jitter = v2.ColorJitter(s.brightness, s.contrast, s.saturation, s.hue)
    view = v2.Compose(
        [
            v2.RandomResizedCrop(IMAGE_SIZE, scale, interpolation=bicubic),
            v2.RandomApply([jitter], s.jitter_probability),
            v2.RandomGrayscale(s.gray_probability),
            v2.RandomApply([v2.GaussianBlur(kernel, s.blur_sigma)], s.blur_probability),
            v2.RandomSolarize(0.5, s.solarize_probability),
            v2.RandomHorizontalFlip(s.flip_probability),
        ]
    )
    return lambda x: torch.stack([view(image) for image in x])


def measure(bench: Bench, python: Path | None, widths: Sequence[int], rounds: int) -> dict[str, Any]:
    """Measure everything and return the results without what describes the machine.

    Parameters
    ----------
    bench : Bench
        What is measured.
    python : path or None
        The interpreter that can import solo-learn; None leaves its rows out.
    widths : sequence of int
        Widths at which our loop is measured.
    rounds : int
        How often the two trainers take turns.
    """
    trainers: dict[str, Callable[[], list[float]]] = {"ours": partial(bench.ours, SOLO_WIDTH, SOLO_STEM_PADDING)}
    probe: dict[int, list[float]] = {}
    if python is not None:
        for workers in tqdm(WORKERS, "workers of solo-learn's data pipeline"):
            probe[workers] = bench.solo(python, workers, "32", max(bench.batch_size // PROBE_DIVISOR, 2))
        best = max(probe, key=lambda workers: statistics.median(probe[workers]))
        trainers |= {f"solo {p}": partial(bench.solo, python, best, p) for p in ("32", "bf16")}
    runs: dict[str, list[list[float]]] = {name: [] for name in trainers}
    for name in tqdm([*trainers] * rounds, "ours and solo-learn in turns"):
        runs[name].append(trainers[name]())
    by_width = {width: bench.ours(width, stem_padding=1) for width in tqdm(widths, "widths")}
    by_method: dict[str, list[list[float]]] = {name: [] for name in METHODS}
    for name in tqdm([*METHODS] * rounds, "methods in turns"):
        by_method[name].append(bench.shipped(name))
    settings = AugmentationSettings()
    views = {
        "kornia": kornia_views(settings),
        "torchvision, image by image": torchvision_views(settings),
    }
    return {
        "trainers": {name: summary(flat(values)) for name, values in runs.items()},
        "ours_times_as_fast_as": {name: ratio(runs["ours"], runs[name]) for name in runs if name != "ours"},
        "solo_workers": {
            "tried": {str(n): summary(v) for n, v in probe.items()},
            "best": best if probe else None,
        },
        "widths": {str(width): summary(values) for width, values in by_width.items()},
        "methods": {name: summary(flat(values)) for name, values in by_method.items()},
        "simclr_times_as_fast_as": {name: ratio(by_method["simclr"], values) for name, values in by_method.items()},
        "augmentation": {name: summary(bench.augmentation(view)) for name, view in views.items()},
    }


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return the median, the least and the greatest of some values, and the values."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "values": list(values),
    }


def rows_of(summaries: dict[str, dict[str, Any]]) -> list[str]:
    """Return the rows of a markdown table: name, median, range."""
    return [f"| {k} | {v['median']:.4g} | {v['min']:.4g}–{v['max']:.4g} |" for k, v in summaries.items()]


def report(results: dict[str, Any]) -> str:
    """Return the results, as they are written in the JSON file, as markdown."""
    box, best = results["machine"], results["solo_workers"]["best"]
    ours = "bfloat16" if box["bfloat16_in_hardware"] else "float32"
    names = {
        "ours": f"ours, {ours}",
        "solo 32": f"solo-learn as it comes, float32, {best} data workers",
        "solo bf16": f"solo-learn, bfloat16 autocast, {best} data workers",
    }
    head = ["| | images/s, median | range |", "|---|---|---|"]
    lines = [
        "# Training speed",
        f"{box['processor']}, {box['threads']} threads, torch {box['versions']['torch']}. SimCLR, batches of"
        f" {results['batch_size']}; an image counts once although it is seen in two views.",
        f"## Ours and solo-learn: ResNet-18 of width {SOLO_WIDTH} with solo-learn's stem",
        "\n".join(head + rows_of({names[k]: v for k, v in results["trainers"].items()})),
    ]
    methods = ["| | images/s, median | range | time of a step over SimCLR's |", "|---|--:|--:|--:|"]
    for row, times in zip(rows_of(results["methods"]), results["simclr_times_as_fast_as"].values(), strict=True):
        methods.append(f"{row} {times['of_medians']:.2f} |")
    for name, times in results["ours_times_as_fast_as"].items():
        text = f"Ours is **{times['of_medians']:.2f} times** as fast as {names[name]}"
        lines.append(f"{text} ({times['min']:.2f} to {times['max']:.2f} in single rounds).")
    if results["solo_skipped"]:
        lines.append(f"solo-learn was not measured: {results['solo_skipped']}")
    lines += [
        "## Ours at several widths, with our stem",
        "\n".join(head + rows_of({f"width {k}": v for k, v in results["widths"].items()})),
        f"## Ours by method, width {SHIPPED[0].width}, heads to match",
        "\n".join(methods),
        "What a method costs over SimCLR: BYOL, DINO and MoCo send both views through the momentum encoder, too, but"
        " only forward; BYOL has wider heads and a predictor; the projectors of Barlow Twins and VICReg have one more"
        " layer, and their losses the correlations of all dimensions; the supervised control has no projector.",
        "## Augmentation: one view of each image, in one process",
        "\n".join(head + rows_of(results["augmentation"])),
    ]
    return "\n\n".join(lines) + "\n"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Training speed of our loop against solo-learn's.")
    parser.add_argument("--env", type=Path, metavar="FOLDER", help="keep solo-learn's environment here, or reuse it")
    parser.add_argument("--widths", type=positive, nargs="+", default=[16, 24, 32, 64])
    parser.add_argument("--batch-size", type=positive, default=256)
    parser.add_argument("--steps", type=positive, default=4, help="timed training steps of each run")
    parser.add_argument("--rounds", type=positive, default=2, help="how often ours and solo-learn take turns")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the two result files")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table and write the results."""
    options = arguments(argv)
    bench = Bench(options.batch_size, options.steps)
    shared = {"batch_size": options.batch_size, "steps": options.steps, "rounds": options.rounds}
    box = machine(("torch", "torchvision", "kornia")) | {"solo_environment": list(OLD_PACKAGES)}
    results: dict[str, Any] = {"machine": box, **shared, "solo_skipped": None}
    with tempfile.TemporaryDirectory() as temporary:
        python = None
        try:
            python = solo_interpreter(options.env or Path(temporary))
        except SoloUnavailableError as error:
            results["solo_skipped"] = str(error)
            print(f"solo-learn is left out: {error}", file=sys.stderr)
        results |= measure(bench, python, options.widths, options.rounds)
    write(options.output / "pretrain.json", json.dumps(results, indent=2) + "\n")
    table = report(results)
    write(options.output / "pretrain.md", table)
    print(table)


if __name__ == "__main__":
    main()
