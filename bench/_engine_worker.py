"""What `bench.engine` measures; it calls each function here in a process of its own."""

import math
import multiprocessing
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from influence_lib.data import ImageSet, load
from influence_lib.device import autocast_dtype, resolve_device
from influence_lib.influence import GaussianNoise, self_influence
from influence_lib.influence.curvature import through_kronfluence as reference
from influence_lib.influence.curvature.approximations import FitOptions
from influence_lib.influence.curvature.cost import all_operations, layer_sizes, matmul_rate
from influence_lib.influence.curvature.passes import Step, Totals
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.curvature.truncated import truncated_forms
from influence_lib.influence.scores import Deviation
from influence_lib.influence.views import pairs
from influence_lib.influence.views.source import GradientSource, gradient_source
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain import load_checkpoint, pretrain
from influence_lib.pretrain.encoders import Encoder

TRAINING_BATCH = 64
CLASSES = 10  # the sets hold as many images of each
COVARIANCES, EIGEN, MOMENTS, SCORES = "covariances", "eigendecomposition", "second moments", "scores"
KRONFLUENCE_STAGES = {
    "fit_covariance_matrices": COVARIANCES,
    "perform_eigendecomposition": EIGEN,
    "fit_lambda_matrices": MOMENTS,
    "compute_self_scores": SCORES,
}
DIGITS = 8  # of a score; float32 tells seven apart
Measurement = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """What all measurements share.

    Attributes
    ----------
    dataset : {"cifar10", "controlled"}
        Where the images come from.
    images : int
        On how many of them the encoders are trained; a measurement takes the first of these.
    epochs : int
        Of that training.
    encoders : str
        The folder of the trained encoders.
    device : str
        Where everything is computed: ``"cpu"``, or a GPU such as ``"cuda"``.
    """

    dataset: str
    images: int
    epochs: int
    encoders: str
    device: str = "cpu"

    @property
    def torch_device(self) -> torch.device:
        """The device, of which torch knows whether it is there."""
        return resolve_device(self.device)

    def encoder(self, width: int) -> Path:
        """Return the folder of the encoder of a width."""
        return Path(self.encoders) / f"width-{width}"


@dataclass(frozen=True)
class Run:
    """One computation of scores.

    Attributes
    ----------
    mode : {"exact", "fast", "fast, measured", "logra", "logra-pca", "kronfluence"}
        Which; ``"fast, measured"`` is `self_influence` with a rank, which compares some pairs with exact scores.
    images : int
        Images that are fitted on and scored.
    width : int
        Of the encoder.
    rank : int, optional
        Of truncated EK-FAC and of LoGra.
    layers : tuple of str, optional
        Modules whose layers count; None is all.
    batch_size : int
        Images in a batch.
    """

    mode: str
    images: int
    width: int
    rank: int | None = None
    layers: tuple[str, ...] | None = None
    batch_size: int = pairs.BATCH_SIZE


@cache
def load_images(dataset: str, count: int) -> ImageSet:
    """Return the first images of the smallest balanced subset that has so many."""
    return load(dataset, n=CLASSES * math.ceil(count / CLASSES)).subset(range(count))


def now() -> float:
    """Return the time when all that was asked of a GPU so far is done; on a CPU that is now."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time that the block takes to a stage."""
    started = now()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + now() - started


@dataclass(frozen=True)
class TimedProblem(FitProblem):
    """A `FitProblem` that takes down how long each of its passes takes.

    Attributes
    ----------
    seconds : dict of str to float
        Pass → seconds.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    def add_up(
        self, stage: str, totals: Totals, step: Step, indices: Tensor, fisher: str, source: GradientSource | None = None
    ) -> None:
        """Make one pass over pairs, and take the time."""
        with timed(self.seconds, stage):
            super().add_up(stage, totals, step, indices, fisher, source)


@contextmanager
def timed_kronfluence(seconds: dict[str, float]) -> Iterator[None]:
    """Take down how long each stage of kronfluence takes."""

    def taking_time(method: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            with timed(seconds, stage):
                return method(*arguments, **named)

        return call

    with ExitStack() as stack:
        for name, stage in KRONFLUENCE_STAGES.items():
            method = getattr(reference.Analyzer, name)
            stack.enter_context(patch.object(reference.Analyzer, name, taking_time(method, stage)))
        yield


def source_of(
    encoder: Encoder, images: ImageSet, device: torch.device, layers: Sequence[str] | None = None
) -> GradientSource:
    """Return the gradients of the papers' loss, x against x̂ in one draw, in float32."""
    return gradient_source(encoder, images, TwoViews(), layers, device=device)


def score(
    encoder: Encoder, images: ImageSet, run: Run, seconds: dict[str, float], device: torch.device
) -> tuple[Tensor, Deviation | None]:
    """Return the scores, and fill in the seconds of each stage where they can be told apart."""
    if run.mode == "fast, measured":
        scores = self_influence(
            encoder, images, GaussianNoise(), rank=run.rank, layers=run.layers, device=device, progress=False
        )
        return scores.values, scores.deviation
    source = source_of(encoder, images, device, run.layers)
    everything = source.pairs.spaced(None)
    if run.mode == "kronfluence":
        with timed_kronfluence(seconds):
            return reference.kronfluence_scores(source, everything, "empirical", None, progress=False), None
    problem = TimedProblem(source, everything, seconds=seconds)
    if run.mode == "fast":
        assert run.rank is not None
        forms, _ = truncated_forms(problem, everything, run.rank, None)
    else:
        options = FitOptions("ekfac" if run.mode == "exact" else run.mode, rank=run.rank)
        return options.approximation.forms(problem, options).total, None
    return torch.stack(list(forms.values())).sum(0), None


def encoder_operations(source: GradientSource) -> int:
    """Return the floating-point operations of the encoder's forward and backward pass over one pair of views."""
    with FlopCounterMode(display=False) as counter:
        for _ in source.factors(source.pairs.batch(torch.tensor([0]))):
            pass
    return int(counter.get_total_flops())


def end_with_parent() -> None:
    """Let this process end when the one that asked for the measurement is gone: it would disturb the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "called in a process of its own"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def held_bytes(device: torch.device) -> int:
    """Return the memory that this process holds, of a GPU what its tensors do."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def peak_bytes(device: torch.device) -> int:
    """Return the most memory that this process has held so far, of a GPU what its tensors have."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def measure(setup: Setup, run: Run) -> Measurement:
    """Compute scores and return them with what they took.

    Returns
    -------
    dict
        The run's settings, and

        - ``seconds``: of each stage; what is left of ours between the passes counts as the eigendecomposition;
        - ``total``: seconds from the encoder and the images to the scores;
        - ``memory``: bytes held ``before``, with the libraries, the encoder and the images, and at the ``peak``, which
          is that of the process;
        - ``rate``: operations a second of a large product in float32, the mean of before and after: on a machine that
          others use, too, it tells how much of it this run had;
        - ``scores``: one an image;
        - ``deviation``: what truncated EK-FAC measured of its own error, or None.
    """
    encoder = load_checkpoint(setup.encoder(run.width))
    images = load_images(setup.dataset, setup.images).subset(range(run.images))
    device = setup.torch_device
    encoder_operations(source_of(encoder, images, device))  # so that the libraries' code is in memory
    seconds: dict[str, float] = {}
    rate = matmul_rate(device)
    before = held_bytes(device)
    started = now()
    with patch.object(pairs, "BATCH_SIZE", run.batch_size):
        values, deviation = score(encoder, images, run, seconds, device)
    total, peak = now() - started, peak_bytes(device)
    rate = (rate + matmul_rate(device)) / 2
    if COVARIANCES in seconds:
        seconds.setdefault(EIGEN, total - sum(seconds.values()))
    return {
        **asdict(run),
        "seconds": seconds,
        "total": total,
        "rate": rate,
        # the two are counted apart, by a few pages
        "memory": {"before": before, "peak": max(before, peak)},
        "scores": [float(f"{value:.{DIGITS}g}") for value in values.tolist()],
        "deviation": deviation and asdict(deviation),
    }


def measure_each(setup: Setup, runs: Sequence[Run]) -> list[Measurement]:
    """Measure several runs in one process, after one that does not count; their peak memory is not their own."""
    measure(setup, replace(runs[0], images=min(runs[0].images, runs[0].batch_size)))
    found = [measure(setup, run) for run in runs]
    for measurement in found:
        del measurement["memory"]
    return found


def train(setup: Setup, widths: Sequence[int]) -> dict[str, list[dict[str, float]]]:
    """Train the encoders, save them, and return the training history of each width."""
    images = load_images(setup.dataset, setup.images)
    shared: dict[str, Any] = {
        "epochs": setup.epochs,
        "batch_size": min(TRAINING_BATCH, len(images)),
        "device": setup.torch_device,
    }
    train_one = partial(pretrain, images, **shared)
    return {
        str(width): train_one(width=width, checkpoint=setup.encoder(width), progress=False).history for width in widths
    }


def limits(setup: Setup, width: int, rank: int) -> dict[str, Any]:
    """Return the floating-point operations of a pair of views in each pass, and the rate of large matrix products.

    Returns
    -------
    dict
        - ``encoder``: operations of the encoder's forward and backward pass;
        - ``passes``: mode → pass → operations beside those;
        - ``rates``: number format → operations a second;
        - ``fast_covariances``: the format in which truncated EK-FAC multiplies in its first pass.
    """
    device = setup.torch_device
    source = source_of(load_checkpoint(setup.encoder(width)), load_images(setup.dataset, setup.images), device)
    sizes = layer_sizes(source)
    counts = {mode: all_operations(sizes, r) for mode, r in (("exact", None), ("fast", rank))}
    fast = "bfloat16" if autocast_dtype("auto", device) is torch.bfloat16 else "float32"
    return {
        "encoder": encoder_operations(source),
        "passes": {mode: {s: sum(c[s] for c in each) for s in each[0]} for mode, each in counts.items()},
        "rates": {name: matmul_rate(device, getattr(torch, name)) for name in {"float32": None, fast: None}},
        "fast_covariances": fast,
    }
