"""What the measurements of `bench.engine` say: ratios, agreement, costs, distances to the limit."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from bench._engine_worker import COVARIANCES, EIGEN, MOMENTS, SCORES, Measurement
from bench._shared import ratio

PASSES = (COVARIANCES, MOMENTS, SCORES)
PARTS = {stage: (stage,) for stage in (*PASSES, EIGEN)} | {"three passes": PASSES}
TOP = 50
"""How many of the highest images are compared."""


def seconds_of(run: Measurement, part: str) -> float:
    """Return the seconds that a part of a run took: of each image for passes, of all for the eigendecomposition."""
    total = sum(run["seconds"][stage] for stage in PARTS[part])
    return total if part == EIGEN else total / run["images"]


def memory_of(run: Measurement) -> int:
    """Return the bytes that a process held at its peak beside the libraries, the encoder and the images."""
    return int(run["memory"]["peak"] - run["memory"]["before"])


def compare_stages(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> dict[str, Any]:
    """Compare the exact mode with kronfluence, stage by stage.

    Parameters
    ----------
    ours, theirs : sequence of measurements
        Of the same images, one a round.

    Returns
    -------
    dict
        ``images``; ``seconds``: side → part → median, as in `seconds_of`; ``times_as_fast``: part → `ratio`;
        ``memory``: side → bytes, the most of all rounds; ``largest_difference`` of an image's two scores, relative.
    """
    sides = {"exact": ours, "kronfluence": theirs}
    parts = {side: {part: [[seconds_of(r, part)] for r in runs] for part in PARTS} for side, runs in sides.items()}
    exact, reference = np.array(ours[0]["scores"]), np.array(theirs[0]["scores"])
    return {
        "images": ours[0]["images"],
        "seconds": {
            side: {part: statistics.median(value for [value] in values) for part, values in each.items()}
            for side, each in parts.items()
        },
        "times_as_fast": {part: ratio(parts["kronfluence"][part], parts["exact"][part]) for part in PARTS},
        "memory": {side: max(memory_of(run) for run in runs) for side, runs in sides.items()},
        "largest_difference": float(np.abs(exact / reference - 1).max()),
    }


def agreement(scores: Sequence[float], exact: Sequence[float]) -> dict[str, float]:
    """Return how far scores agree with exact ones.

    Returns
    -------
    dict
        ``spearman``; ``median_error``, relative; ``top``, how many of the highest images are compared, and
        ``top_shared``, the fraction of these that both scores have.
    """
    ours, theirs = np.array(scores), np.array(exact)
    k = min(TOP, len(ours) // 2)
    shared = np.intersect1d(np.argsort(ours)[-k:], np.argsort(theirs)[-k:])
    return {
        "spearman": float(spearmanr(ours, theirs).statistic),
        "median_error": float(np.median(np.abs(ours / theirs - 1))),
        "top": k,
        "top_shared": len(shared) / k,
    }


def extrapolated(runs: Sequence[Measurement], images: int) -> Measurement:
    """Return what the median of some runs would be on more images: the passes longer, the eigendecomposition not."""
    scale = {stage: 1.0 if stage == EIGEN else images / runs[0]["images"] for stage in (*PASSES, EIGEN)}
    seconds = {stage: statistics.median(run["seconds"][stage] for run in runs) * scale[stage] for stage in scale}
    rate = statistics.median(run["rate"] for run in runs)
    return {"images": images, "seconds": seconds, "total": sum(seconds.values()), "rate": rate, "extrapolated": True}


def at_limit(limits: Mapping[str, Any], mode: str) -> dict[str, float]:
    """Return the seconds that each pass over one image takes if all its operations run at the rate of a product."""
    rates = limits["rates"]
    encoder = limits["encoder"] / rates["float32"]
    formats = {COVARIANCES: limits["fast_covariances"]} if mode == "fast" else {}
    counts = limits["passes"][mode]
    return {stage: encoder + count / rates[formats.get(stage, "float32")] for stage, count in counts.items()}


def costs(runs: Sequence[Measurement], by: str) -> list[dict[str, Any]]:
    """Return the cost of each mode against one setting: seconds of the passes over an image, and of the rest."""
    rows = []
    for run in runs:
        eigen = run["seconds"][EIGEN]
        each = {"passes": (run["total"] - eigen) / run["images"], "eigendecomposition": eigen}
        memory = {"memory": memory_of(run)} if "memory" in run else {}
        rows.append({by: run[by], "mode": run["mode"], **each, **memory})
    return rows


def end_to_end(ends: Mapping[str, Measurement]) -> dict[str, dict[str, Any]]:
    """Return for each mode its seconds, how many times as fast as kronfluence it is, and how far it is from exact."""
    reference = ends["kronfluence"]
    return {
        name: {
            "seconds": run["total"],
            "by_stage": run["seconds"],
            "times_as_fast": reference["total"] / run["total"],
            "rate": run["rate"],
            "times_at_equal_rate": reference["total"] * reference["rate"] / (run["total"] * run["rate"]),
            "own_measure": run.get("deviation"),
            **(agreement(run["scores"], ends["exact"]["scores"]) if name.startswith("fast") else {}),
        }
        for name, run in ends.items()
    }


def assemble(done: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results, apart from what describes the machine and the settings, from what the steps found."""
    rounds = {
        mode: [found for name, found in done.items() if name.startswith(f"stages, {mode}, ")]
        for mode in ("exact", "kronfluence")
    }
    ends = {name.removeprefix("end to end, "): found for name, found in done.items() if name.startswith("end to end, ")}
    stages = [compare_stages(rounds["exact"], rounds["kronfluence"])]
    if "kronfluence" in ends:
        stages.append(compare_stages([ends["exact"]], [ends["kronfluence"]]))
    else:
        ends["kronfluence"] = extrapolated(rounds["kronfluence"], ends["exact"]["images"])
    series = {"images": done["by images"], "width": done["by width"], "layers": done["by layers"]}
    series["batch_size"] = [found for name, found in done.items() if name.startswith("by batch, ")]
    small = done["LoGra"][0]["scores"]
    return {
        "training": done["training"],
        "stages": stages,
        "end_to_end": end_to_end(ends),
        "limits": done["limits"] | {"seconds": {m: at_limit(done["limits"], m) for m in ("exact", "fast")}},
        "costs": {by: costs(runs, by) for by, runs in series.items()},
        "logra": [
            {key: run[key] for key in ("mode", "rank", "total")} | agreement(run["scores"], small)
            for run in done["LoGra"]
        ],
        "scores": {name: run["scores"] for name, run in ends.items() if "scores" in run},
    }
