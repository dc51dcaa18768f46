"""Figures of what changes with something that grows: a claim with the scale, a score with the loss."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from influence_lib.errors import InputError, reject
from influence_lib.estimate import Estimate
from influence_lib.figures.style import COLOURS, WIDTH, check_some

__all__ = ["claim_against_scale", "decile_curves"]

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
COLUMNS = 2


def claim_against_scale(
    panels: Mapping[str, tuple[Sequence[float], Mapping[str, Sequence[Estimate]]]],
    label: str,
    stated: float | None = None,
) -> Figure:
    """Return values with their intervals against the scale, a panel for each thing that grows.

    Parameters
    ----------
    panels : mapping of str to (scales, series)
        What grows, such as ``"epochs"`` → the scales, ascending and above 0, and name → one value for each: ``at`` and
        ``series`` of a `studies.trend.Trend`. What has one name has one colour.
    label : str
        Of the vertical axis.
    stated : float, optional
        The papers' value, a dashed line.

    Raises
    ------
    InputError
        If there is nothing to draw, there are more series than marks, or a series has not one value a scale.
    """
    check_some("panels", panels)
    for over, (at, series) in panels.items():
        check_some(f"the scales over {over!r}", at)
        check_some(f"the series over {over!r}", series)
        for name, values in series.items():
            if len(values) != len(at):
                reject(f"the number of values of {name!r}", len(values), f"{len(at)}, one for each scale")
    names = list(dict.fromkeys(name for _, series in panels.values() for name in series))
    check_some("the series", names, most=len(MARKERS))
    columns = min(len(panels), COLUMNS)
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 3.0 * rows + 0.4), sharey=True, squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (over, (at, series)) in zip(axes.flat, panels.items(), strict=False):
        for name, values in series.items():
            _with_intervals(axis, np.asarray(at, dtype=np.float64), values, names.index(name), name)
        if stated is not None:
            axis.axhline(stated, color="black", linestyle="--", linewidth=1, label="the papers")
        axis.set_xscale("log")
        axis.set_xticks(list(at), [f"{scale:,g}" for scale in at])
        axis.minorticks_off()
        axis.set(xlabel=over)
        axis.grid(alpha=0.3)
    figure.supylabel(label, fontsize=9)
    handles = {
        text: handle for axis in axes.flat for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), fontsize=8, loc="outside lower center", ncols=min(4, len(handles)))
    return figure


def decile_curves(panels: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Return medians with their intervals against the loss, each curve over its value in the first decile.

    Parameters
    ----------
    panels : mapping of str to mapping of str to DataFrame
        Title → name of a curve → columns ``"loss"`` and ``"score"``, as `studies.bend.by_decile` returns them.

    Raises
    ------
    InputError
        If there is nothing to draw, there are more curves than marks, or a curve does not begin above 0.
    """
    check_some("panels", panels)
    for title, curves in panels.items():
        check_some(f"the curves of {title!r}", curves, most=len(MARKERS))
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.8), squeeze=False, layout="constrained")
    for axis, (title, curves) in zip(axes.flat, panels.items(), strict=True):
        for i, (name, curve) in enumerate(curves.items()):
            first = curve["score"].iloc[0].value
            if not first > 0:
                raise InputError(f"curve {name!r} begins at {first:g}, but its values are shown over that, above 0.")
            relative = [
                Estimate(each.value / first, each.low / first, each.high / first, each.n) for each in curve["score"]
            ]
            _with_intervals(axis, curve["loss"].to_numpy(), relative, i, name)
        axis.set(xscale="log", yscale="log", xlabel="raw loss, median of a tenth of the images")
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_locator(LogLocator(subs=(1, 2, 5)))
            scale.set_major_formatter("{x:g}")
            scale.set_minor_formatter(NullFormatter())
        axis.set_title(title, fontsize=9)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    axes[0, 0].set_ylabel("median, lowest tenth = 1")
    return figure


def _with_intervals(axis: Axes, x: np.ndarray, values: Sequence[Estimate], index: int, name: str) -> None:
    """Draw a line with error bars in the colour and with the marker of an index."""
    y, low, high = np.array([(each.value, each.low, each.high) for each in values]).T
    axis.errorbar(
        x,
        y,
        yerr=[np.maximum(y - low, 0), np.maximum(high - y, 0)],
        color=COLOURS[index],
        marker=MARKERS[index],
        markersize=4,
        capsize=2,
        linewidth=1,
        label=name,
    )
