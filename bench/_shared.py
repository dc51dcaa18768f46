"""What the benchmarks share: the machine they ran on, ratios, files that are never there in part."""

import argparse
import os
import platform
import re
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from influence_lib.atomic import written_whole
from influence_lib.device import autocast_dtype

__all__ = ["RESULTS", "Runs", "flat", "machine", "positive", "ratio", "write"]

RESULTS = Path(__file__).resolve().parent / "results"
"""Where the committed results lie."""
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
