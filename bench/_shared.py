"""What the benchmarks share: the machine they ran on, ratios, files that are never there in part."""

import argparse
import multiprocessing
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from influence_lib.atomic import written_whole
from influence_lib.device import autocast_dtype

__all__ = [
    "QUICK_RESULTS",
    "RESULTS",
    "Cost",
    "Runs",
    "costs",
    "flat",
    "in_its_own_process",
    "machine",
    "positive",
    "ratio",
    "write",
]

RESULTS = Path(__file__).resolve().parent / "results"
"""Where the committed results lie."""
QUICK_RESULTS = RESULTS.parents[1] / "artifacts" / "bench"
"""Where the results of quick runs lie, whose numbers mean nothing."""
Cost = tuple[float, float]
"""Seconds, and MiB of memory at the peak above what was held before."""
Runs = Sequence[Sequence[float]]
"""What was measured: of each round, its values."""


def flat(runs: Runs) -> list[float]:
    """Return the values of all rounds in one list."""
    return [value for values in runs for value in values]


def ratio(first: Runs, second: Runs) -> dict[str, float]:
    """Return how many times the second the first is.

    Parameters
    ----------
    first, second : list of list of float
        Values of each round. A round of the one ran next to that of the other.

    Returns
    -------
    dict
        ``of_medians``, over all rounds, and ``min`` and ``max`` of the rounds' own ratios.
    """
    each = [statistics.median(a) / statistics.median(b) for a, b in zip(first, second, strict=True)]
    of_medians = statistics.median(flat(first)) / statistics.median(flat(second))
    return {"of_medians": of_medians, "min": min(each), "max": max(each)}


def costs(work: Callable[[], object]) -> Cost:
    """Return what some work costs, on Linux; memory that was freed before and is used again is not seen."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew; a new process even has its parent's
    before, started = _mebibytes("VmRSS"), time.monotonic()
    work()
    return time.monotonic() - started, max(0.0, _mebibytes("VmHWM") - before)


def _mebibytes(field: str) -> float:
    """Return the memory that this process holds, ``VmRSS``, or held at its peak, ``VmHWM``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def in_its_own_process(measured: Callable[..., Cost], *asked: object) -> Cost:
    """Return what a function of a module measures in a process of its own, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, *asked).result()


def machine(libraries: Sequence[str]) -> dict[str, Any]:
    """Return what the numbers depend on: the processor, its threads and the versions of these libraries."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    return {
        "processor": model.group(1) if model else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bfloat16_in_hardware": autocast_dtype("auto", torch.device("cpu")) is torch.bfloat16,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in libraries},
    }


def write(path: Path, content: str | bytes) -> None:
    """Write a file that is never there in part."""
    with written_whole(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def positive(text: str) -> int:
    """Return a positive integer from the command line."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)
