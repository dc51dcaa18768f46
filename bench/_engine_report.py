"""The results of `bench.engine` as a table and as a picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from bench._engine_results import PARTS, PASSES
from bench._engine_worker import EIGEN
from influence_lib.figures.style import COLOURS, WIDTH

GIB = 2**30
DPI = 150
NAMES = {
    "kronfluence": "kronfluence",
    "exact": "ours, exact",
    "fast": "ours, fast",
    "fast, measured": "ours, fast, by `self_influence`",
    "logra": "LoGra, random",
    "logra-pca": "LoGra, principal components",
}
Results = Mapping[str, Any]


def _where(box: Mapping[str, Any]) -> str:
    """Return what computed: the GPU, or the processor with its threads."""
    return box["gpu"] if "gpu" in box else f"{box['processor']}, {box['threads']} threads"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table; all columns but the first hold numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Return three digits, without an exponent where the number is near 1."""
    return f"{value:#.3g}".rstrip(".")


def spread(times: Mapping[str, float]) -> str:
    """Return a ratio, and those of single rounds where there are several."""
    several = f" ({times['min']:.1f}–{times['max']:.1f})" if times["min"] < times["max"] else ""
    return f"{times['of_medians']:.1f}{several}"


def name_of(mode: str, results: Results) -> str:
    """Return what a mode is called, and that it was extrapolated where it was."""
    return NAMES[mode] + (" (extrapolated)" if mode == "kronfluence" and results["extrapolate"] else "")


def introduction(results: Results) -> str:
    """Return what was measured, and on what."""
    box, scale = results["machine"], results["scale"]
    versions = ", ".join(f"{name} {value}" for name, value in box["versions"].items())
    lines = [
        f"{_where(box)}, {versions}. ResNet-18 of width {scale['width']}, trained for"
        f" {scale['epochs']} epochs on {scale['images']} images of `{results['dataset']}`; cosine loss, one draw of"
        " Gaussian noise, empirical Fisher, damping 0.1 × mean eigenvalue, float32."
    ]
    if results["limits"]["fast_covariances"] != "float32":
        lines.append(f"Truncated EK-FAC multiplies its covariances in {results['limits']['fast_covariances']}.")
    if results["quick"]:
        lines.append("**A quick run: its numbers mean nothing.**")
    return " ".join(lines)


def stages(compared: Results) -> list[str]:
    """Return the comparison of the exact mode with kronfluence."""
    theirs, ours = compared["seconds"]["kronfluence"], compared["seconds"]["exact"]
    memory, unit = compared["memory"], {part: "s" if part == EIGEN else "s an image" for part in PARTS}
    rows = [
        [f"{part}, {unit[part]}", number(theirs[part]), number(ours[part]), spread(compared["times_as_fast"][part])]
        for part in PARTS
    ]
    held = memory["kronfluence"], memory["exact"]
    rows.append(["peak memory, GiB", *(number(m / GIB) for m in held), f"{held[0] / held[1]:.1f}"])
    return [
        f"## Exact mode and kronfluence on {compared['images']} images",
        table(["", "kronfluence", "ours", "ratio"], rows),
        f"The largest relative difference between the two scores of an image is {compared['largest_difference']:.1g}."
        " Memory is what a process held at its peak beside the libraries, the encoder and the images.",
    ]


def ends(results: Results) -> list[str]:
    """Return the comparison of all modes from the encoder to the scores."""
    rows = []
    for name in ("kronfluence", "exact", "fast", "fast, measured"):
        run = results["end_to_end"][name]
        fast = name.startswith("fast")
        agreement = (
            [f"{run['spearman']:.5f}", f"{100 * run['median_error']:.2g} %", f"{100 * run['top_shared']:.0f} %"]
            if fast
            else ["", "", ""]
        )
        times = [f"{run[key]:.1f}" for key in ("times_as_fast", "times_at_equal_rate")]
        times = ["", ""] if name == "kronfluence" else times
        rows.append([name_of(name, results), number(run["seconds"]), f"{run['rate'] / 1e9:.0f}", *times, *agreement])
    fast = results["end_to_end"]["fast, measured"]
    own = fast["own_measure"]
    head = ["", "s", "GFLOP/s", "times as fast", "at equal rate", "Spearman", "error", f"top {fast['top']} shared"]
    return [
        f"## End to end, {results['scale']['images']} images",
        table(head, rows),
        "GFLOP/s is the rate of a large product just before and after a run: other users of the machine take a part of"
        " it, which the ratio at equal rate leaves out. Ratios are to kronfluence.",
        "Spearman correlation, median relative error and the share of the highest images are with the exact scores."
        f" Truncated EK-FAC keeps {results['scale']['rank']} eigenvectors of the widest layer."
        f" From {own['pairs']} pairs it estimates a median error of {100 * own['relative']:.2g} % and a correlation of"
        f" {own['spearman']:.5f}.",
    ]


def distances(results: Results) -> list[str]:
    """Return the time of each pass beside that of the same operations in a large product."""
    limits, run = results["limits"], results["end_to_end"]
    rows = []
    for mode, seconds in limits["seconds"].items():
        for stage, least in seconds.items():
            took = run[mode]["by_stage"][stage] / results["scale"]["images"]
            rows.append(
                [f"{NAMES[mode]}, {stage}", number(1e3 * took), number(1e3 * least), f"{100 * least / took:.0f} %"]
            )
    rates = " and ".join(f"{rate / 1e9:.0f} GFLOP/s in {name}" for name, rate in limits["rates"].items())
    return [
        "## Distance to the limit",
        table(["", "ms an image", "ms at the rate of products", "reached"], rows),
        "Every pass includes the encoder's own forward and backward pass,"
        f" {limits['encoder'] / 1e9:.2g} GFLOP an image. A large matrix product runs at {rates} here.",
    ]


def cost(results: Results) -> list[str]:
    """Return the tables of cost against images, width, layers and batch."""
    scale, series = results["scale"], results["costs"]
    small = f"width {scale['small_width']}"
    titles = {
        "images": f"images, {small}",
        "width": "width",
        "layers": f"layers, {small}",
        "batch_size": f"images in a batch, width {scale['memory_width']}",
    }
    parts = [
        "## Cost",
        "Milliseconds an image in the passes, and beside them the seconds of the eigendecomposition, which all images"
        " share, or the memory.",
    ]
    for by, title in titles.items():
        found: dict[str, dict[str, list[str]]] = {}
        for row in series[by]:
            label = ", ".join(layer.rpartition(".")[2] for layer in row[by]) if by == "layers" else str(row[by])
            second = row["memory"] / GIB if by == "batch_size" else row["eigendecomposition"]
            found.setdefault(label, {})[row["mode"]] = [number(1e3 * row["passes"]), number(second)]
        kinds = ["ms an image", "GiB" if by == "batch_size" else "s, eigen"]
        head = [title, *(f"{mode}: {kind}" for mode in ("exact", "fast") for kind in kinds)]
        parts.append(table(head, [[label, *cells["exact"], *cells["fast"]] for label, cells in found.items()]))
    return parts


def logra(results: Results) -> list[str]:
    """Return the table of LoGra."""
    scale = results["scale"]
    rows = [
        [
            NAMES[run["mode"]] + (f", rank {run['rank']}" if run["rank"] else ""),
            number(run["total"]),
            f"{run['spearman']:.4f}",
        ]
        for run in results["logra"]
    ]
    return [
        f"## LoGra, width {scale['small_width']}, {scale['images']} images",
        table(["", "s", "Spearman with exact EK-FAC"], rows),
    ]


def report(results: Results) -> str:
    """Return the results, as they are written in the JSON file, as markdown."""
    compared = [line for each in results["stages"] for line in stages(each)]
    sections = [*compared, *ends(results), *distances(results), *cost(results), *logra(results)]
    return "\n\n".join(["# Influence engine", introduction(results), *sections]) + "\n"


def picture(results: Results) -> bytes:
    """Return a PNG: left, where the time of an image goes in each mode; right, the deviation of the fast scores."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.4), layout="constrained", width_ratios=(1.5, 1))
    _draw_times(left, results)
    _draw_scores(right, results["scores"])
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return file.getvalue()


def _draw_times(axis: Axes, results: Results) -> None:
    modes, n = ("kronfluence", "exact", "fast"), results["scale"]["images"]
    start = np.zeros(len(modes))
    for stage, colour in zip((*PASSES, EIGEN), COLOURS, strict=False):
        width = np.array([results["end_to_end"][mode]["by_stage"].get(stage, 0.0) / n for mode in modes])
        axis.barh(range(len(modes)), width, left=start, color=colour, label=stage)
        start += width
    for i, mode in enumerate(modes):
        if mode in results["limits"]["seconds"]:
            least = sum(results["limits"]["seconds"][mode].values())
            label = "passes at the limit" if mode == "exact" else None
            axis.plot([least, least], [i - 0.42, i + 0.42], color="black", label=label)
    axis.set_yticks(range(len(modes)), [name_of(mode, results) for mode in modes])
    axis.invert_yaxis()
    axis.set(xlabel=f"seconds an image ({n} images)")
    axis.legend(fontsize=8, frameon=False, loc="lower right")
    axis.spines[["top", "right"]].set_visible(False)


def _draw_scores(axis: Axes, scores: Mapping[str, Sequence[float]]) -> None:
    exact, fast = np.array(scores["exact"]), np.array(scores["fast"])
    axis.axhline(0, color="black", linewidth=0.8)
    axis.scatter(exact, 100 * (fast / exact - 1), s=8, alpha=0.5, color=COLOURS[0], linewidths=0)
    axis.set(xscale="log", xlabel="exact score", ylabel="fast score, deviation in %")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(alpha=0.3)
