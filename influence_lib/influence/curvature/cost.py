"""What a computation will cost: operations, time and memory, said before the long passes start."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil
import torch
from tqdm import tqdm

from influence_lib.errors import InputError
from influence_lib.influence.curvature.logra import RANK
from influence_lib.influence.curvature.problem import MANY, SPACING, STRIPS, FitProblem, gradient_shape
from influence_lib.influence.curvature.truncated import BANDS, CHECKED, layer_ranks
from influence_lib.influence.views.pairs import BATCH_SIZE
from influence_lib.influence.views.source import GradientSource
from influence_lib.text import duration

__all__ = ["Cost", "LayerSize", "Plan", "all_operations", "layer_sizes", "matmul_rate", "operations", "preflight"]

PROBE = 4  # pairs on which the encoder's passes are timed
RATE_SIZE = 2048  # rows of the matrices on which the rate of products is measured
EIGH_OPERATIONS = 28  # of the speed of products that an n×n eigendecomposition in float64 takes, over n³
GIB = 2**30


@dataclass(frozen=True)
class LayerSize:
    """The sizes of one layer's factors: groups, out, in, and P, the positions in both views and all calls."""

    groups: int
    height: int
    width: int
    positions: int


def layer_sizes(source: GradientSource) -> dict[str, LayerSize]:
    """Return the sizes of every layer that is called, from the gradients of one pair."""
    batch = source.pairs.batch(torch.tensor([0]))
    shapes = {name: factors.activations.shape[2] for name, factors in source.factors(batch)}
    return {name: LayerSize(*gradient_shape(source.layers[name]), positions) for name, positions in shapes.items()}


def operations(size: LayerSize, rank: int | None = None) -> dict[str, int]:
    """Return the floating-point operations that one pair takes in the passes of EK-FAC, the encoder's own left out.

    Parameters
    ----------
    size : LayerSize
        Of the layer.
    rank : int, optional
        Leading eigenvectors of this layer in the passes of truncated EK-FAC; None is exact.

    Returns
    -------
    dict
        ``"covariances"`` and ``"scores"``, and ``"second moments"`` where that is a pass of its own. An addition and
        a multiplication are two operations.
    """
    g, m, n, P = size.groups, size.height, size.width, size.positions
    seen = P if rank is None or P < MANY else -(-P // SPACING)
    # of a symmetric matrix the strips from the diagonal on
    halves = (STRIPS + 1) / (2 * STRIPS)
    covariances = int(2 * g * (seen * n * n + P * m * m) * halves)
    if rank is None:
        rotated = 2 * g * (P * m * n + n * n * min(P, m) + m * m * min(P, n))
        return {"covariances": covariances, "second moments": rotated, "scores": rotated}
    r = min(rank, n)
    few = P * P * (n + m) + P * n * r + m * P * r
    many = P * m * n + m * n * r
    return {"covariances": covariances, "scores": 2 * g * (P * m * m + (few if m > P else many))}


def all_operations(sizes: Mapping[str, LayerSize], rank: int | None = None) -> list[dict[str, int]]:
    """Return the `operations` of every layer, `rank` being that of the widest."""
    if rank is None:
        return [operations(size) for size in sizes.values()]
    ranks = layer_ranks({name: size.width for name, size in sizes.items()}, rank)
    return [operations(size, ranks[name]) for name, size in sizes.items()]


def matmul_rate(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Return the operations a second of a large matrix product here: the best of three."""
    a = torch.rand(RATE_SIZE, RATE_SIZE, device=device, dtype=dtype)
    times = []
    for _ in range(4):  # the first warms up
        started = time.perf_counter()
        (a @ a)[0, 0].item()
        times.append(time.perf_counter() - started)
    return 2 * RATE_SIZE**3 / min(times[1:])


@dataclass(frozen=True)
class Plan:
    """The expected time and memory of a computation.

    Attributes
    ----------
    pairs : int
        Pairs of views to score.
    seconds : float
        Expected time of EK-FAC and K-FAC; of other curvatures that of their passes alone.
    memory : int
        Bytes held at the peak, beside what is held already.
    available : int
        Bytes that the device has left.
    """

    pairs: int
    seconds: float
    memory: int
    available: int

    def __str__(self) -> str:
        return (
            f"{self.pairs:,} pairs of views: about {duration(self.seconds)} and {self.memory / GIB:.1f} GiB"
            f" of the {self.available / GIB:.1f} GiB that are free"
        )


Sizes = Mapping[str, LayerSize]
Memory = Callable[[Sizes, int | None, int], int]  # of the layers, a rank, and the bytes of a number


def kronecker_memory(sizes: Sizes, rank: int | None, item: int) -> int:
    """Return the bytes of the covariances, their eigenvectors, the eigenvalues, and one float64 decomposition."""
    factors = sum(s.groups * (s.width**2 + s.height**2) for s in sizes.values())
    eigen = 3 * 8 * max(s.groups * s.width**2 for s in sizes.values())
    return item * (2 * factors + moments_memory(sizes, rank, 1)) + eigen


def moments_memory(sizes: Sizes, rank: int | None, item: int) -> int:
    """Return the bytes of one number for each coordinate of the gradients."""
    return item * sum(s.groups * s.height * (s.width + 1) for s in sizes.values())


def truncated_memory(sizes: Sizes, rank: int | None, item: int) -> int:
    """Return the bytes of truncated EK-FAC, with the coordinates of the pairs on which its error is estimated."""
    kept = layer_ranks({name: s.width for name, s in sizes.items()}, rank or 1)
    moments = sum(s.groups * s.height * (kept[name] + 1) for name, s in sizes.items())
    return kronecker_memory(sizes, rank, item) + item * ((1 + CHECKED) * moments - moments_memory(sizes, rank, 1))


def truncated_kept(sizes: Sizes) -> int:
    """Return how many numbers truncated EK-FAC keeps of each pair."""
    return sum(s.groups * BANDS * (BANDS + 1) for s in sizes.values())


def logra_memory(sizes: Sizes, rank: int | None, item: int) -> int:
    """Return the bytes of the matrices of the projected gradients and of one float64 decomposition."""
    most = rank or RANK
    entries = [s.groups * (min(most, s.width) * min(most, s.height)) ** 2 for s in sizes.values()]
    return 2 * item * sum(entries) + 3 * 8 * max(entries)


def exact_memory(blocks: bool, sizes: Sizes, rank: int | None, item: int) -> int:
    """Return the bytes of the matrices in float64, of each layer or of all, and of their decomposition."""
    counts = [s.groups * s.height * s.width for s in sizes.values()]
    return 4 * 8 * (sum(p**2 for p in counts) if blocks else sum(counts) ** 2)


def no_memory(sizes: Sizes, rank: int | None, item: int) -> int:
    """Return 0: nothing is fitted."""
    return 0


def one_each(sizes: Sizes) -> int:
    """Return how many numbers are kept of each pair: one a layer."""
    return len(sizes)


@dataclass(frozen=True)
class Cost:
    """What an approximation costs.

    Attributes
    ----------
    passes : tuple of str
        Over the pairs; ``"scores"`` is over those that are scored, the others over those on which H is fitted.
    memory : callable
        Bytes that are held once it is fitted.
    kept : callable
        How many numbers are kept of each pair.
    counted : bool
        Whether `operations` knows its passes; of the others only the encoder's part is foretold.
    """

    passes: tuple[str, ...]
    memory: Memory
    kept: Callable[[Sizes], int] = one_each
    counted: bool = False


def preflight(problem: FitProblem, scored: int, curvature: str, cost: Cost, rank: int | None) -> None:
    """Say what the passes will take, and refuse what does not fit.

    Parameters
    ----------
    problem : FitProblem
        On what the curvature is fitted; the line is shown if it shows its progress.
    scored : int
        Pairs to score.
    curvature : str
        Its name, for the sentence.
    cost : Cost
        Of the approximation.
    rank : int or None
        Leading eigenvectors or dimensions that are kept.

    Raises
    ------
    InputError
        If the memory is not there.
    """
    source = problem.source
    sizes = layer_sizes(source)
    memory, available = _memory(source, sizes, cost, rank, scored), _available(source.pairs.device)
    if memory > available:
        raise InputError(
            f"curvature is {curvature!r}, which needs about {memory / GIB:.1f} GiB for this encoder where"
            f" {available / GIB:.1f} GiB are free: take fewer layers (layers=…), a rank, or a narrower encoder."
        )
    if problem.progress:
        plan = Plan(scored, _seconds(problem, sizes, cost, rank, scored), memory, available)
        tqdm.write(str(plan), file=sys.stderr)


def _seconds(problem: FitProblem, sizes: Sizes, cost: Cost, rank: int | None, scored: int) -> float:
    """Return the expected time: the encoder's passes as measured, the rest from its operations."""
    source, fitted = problem.source, len(problem.indices)
    batch = source.pairs.batch(torch.arange(min(PROBE, len(source.pairs.images))))
    started = time.perf_counter()
    for _, factors in source.factors(batch):
        factors.activations.sum().item()  # wait for a GPU
    encoder = (time.perf_counter() - started) / len(batch.ids)
    counts = {stage: scored if stage == "scores" else fitted for stage in cost.passes}
    if not cost.counted:
        return sum(counts.values()) * encoder
    rate = matmul_rate(source.pairs.device, source.pairs.dtype)
    each = all_operations(sizes, rank)
    passes = sum(count * (encoder + sum(ops[stage] for ops in each) / rate) for stage, count in counts.items())
    eigen = sum(EIGH_OPERATIONS * s.groups * (s.width**3 + s.height**3) / rate for s in sizes.values())
    return passes + (eigen if rank is None else eigen / 8)


def _memory(source: GradientSource, sizes: Sizes, cost: Cost, rank: int | None, scored: int) -> int:
    """Return the bytes held at the peak: what a batch leaves, what is fitted, and what is kept of each pair."""
    item = next(iter(source.layers.values())).weight.element_size()
    # a layer's inputs and output gradients, and as much again of what lies between two layers
    batch = sum(3 * s.groups * s.positions * (s.width // 4 + 2 * s.height) for s in sizes.values()) * BATCH_SIZE
    patches = max(2 * s.groups * s.positions * s.width for s in sizes.values()) * BATCH_SIZE
    return item * (batch + patches + scored * cost.kept(sizes)) + cost.memory(sizes, rank, item)


def _available(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
