"""Figures of what changes with something that grows: a claim with the scale, a score with the loss."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from influence_lib.errors import InputError, reject
from influence_lib.estimate import Estimate
from influence_lib.figures.style import LABEL, SMALL, Look, check_some, grid, looks

__all__ = ["claim_against_scale", "decile_curves"]

HEIGHT, COLUMNS = 3.0, 2


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
        If there is nothing to draw, more series than can be told apart, or a series has not one value a scale.

    Examples
    --------
    >>> shared = [Estimate(0.9, 0.8, 1.0, 100), Estimate(0.5, 0.4, 0.6, 100)]
    >>> claim_against_scale({"epochs": ([6, 60], {"SimCLR": shared})}, "shared of the top 20", stated=0.9)
    """
    check_some("panels", panels)
    for over, (at, series) in panels.items():
        check_some(f"the scales over {over!r}", at)
        check_some(f"the series over {over!r}", series)
        for name, values in series.items():
            if len(values) != len(at):
                reject(f"the number of values of {name!r}", len(values), f"{len(at)}, one for each scale")
    names = list(dict.fromkeys(name for _, series in panels.values() for name in series))
    look = dict(zip(names, looks("the series", names), strict=True))
    figure, axes = grid(len(panels), HEIGHT, COLUMNS, sharey=True)
    for axis, (over, (at, series)) in zip(axes, panels.items(), strict=True):
        for name, values in series.items():
            _with_intervals(axis, np.asarray(at, dtype=np.float64), values, look[name], name)
        if stated is not None:
            axis.axhline(stated, color="black", linestyle="--", linewidth=1, label="the papers")
        axis.set_xscale("log")
        axis.set_xticks(list(at), [f"{scale:,g}" for scale in at])
        axis.minorticks_off()
        axis.set(xlabel=over)
        axis.grid(alpha=0.3)
    for axis in axes[::COLUMNS]:
        axis.set_ylabel(label)
    handles = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(), handles.keys(), fontsize=SMALL, loc="outside lower center", ncols=min(3, len(handles))
    )
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
        If there is nothing to draw, more curves than can be told apart, or a curve does not begin above 0.

    Examples
    --------
    >>> from influence_lib.studies import bend
    >>> decile_curves({"an encoder": {"EK-FAC": bend.by_decile(scores, loss)}})
    """
    check_some("panels", panels)
    styles = {title: looks(f"the curves of {title!r}", curves) for title, curves in panels.items()}
    figure, axes = grid(len(panels), HEIGHT + 1, COLUMNS)
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for (name, curve), look in zip(curves.items(), styles[title], strict=True):
            first = curve["score"].iloc[0].value
            if not first > 0:
                raise InputError(f"curve {name!r} begins at {first:g}, but its values are shown over that, above 0.")
            relative = [
                replace(each, value=each.value / first, low=each.low / first, high=each.high / first)
                for each in curve["score"]
            ]
            _with_intervals(axis, curve["loss"].to_numpy(), relative, look, name)
        axis.set(xscale="log", yscale="log", xlabel="raw loss, by tenths of the images")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_title(title, fontsize=LABEL)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=SMALL, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    axes[0].set_ylabel("median, lowest tenth = 1")
    return figure


def _with_intervals(axis: Axes, x: np.ndarray, values: Sequence[Estimate], look: Look, name: str) -> None:
    """Draw a line with error bars."""
    y, low, high = np.array([(each.value, each.low, each.high) for each in values]).T
    axis.errorbar(
        x,
        y,
        yerr=[np.maximum(y - low, 0), np.maximum(high - y, 0)],
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        markersize=4,
        capsize=2,
        linewidth=1,
        label=name,
    )
