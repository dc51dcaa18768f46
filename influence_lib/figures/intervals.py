"""Values with their intervals, and bars."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.figures.style import COLOURS, SMALL, check_some, grid, legend_above, looks, over

__all__ = ["interval_dots", "matrix_distances"]

*_, BLACK = COLOURS


def interval_dots(
    series: Mapping[str, Mapping[str, Estimate]], label: str, reference: tuple[str, float] | None = None
) -> Figure:
    """Return values with their intervals, one row an item and one colour and marker a series.

    Parameters
    ----------
    series : mapping of str to mapping of str to Estimate
        Series → item → value and interval; all series have the same items.
    label : str
        Of the horizontal axis. Below it stands what the intervals are over.
    reference : (str, float), optional
        Name and place of a dashed line.

    Raises
    ------
    InputError
        If there is nothing to draw, more series than can be told apart, or an item that a series has not.

    Examples
    --------
    >>> agreement = {"SimCLR": Estimate(0.9, 0.85, 0.94, 100), "BYOL": Estimate(0.6, 0.5, 0.7, 100)}
    >>> interval_dots({"with the raw loss": agreement}, "rank correlation", reference=("the papers", 0.96))
    """
    styles = looks("series", series)
    for name, values in series.items():
        check_some(f"series[{name!r}]", values)
    items = list(dict.fromkeys(item for values in series.values() for item in values))
    for name, values in series.items():
        if missing := [item for item in items if item not in values]:
            raise InputError(f"series {name!r} has no entry for {missing[0]!r}.")
    figure, (axis,) = grid(1, 0.9 + 0.22 * len(items) * (len(series) + 1))
    for i, ((name, values), look) in enumerate(zip(series.items(), styles, strict=True)):
        value, low, high = np.array([(values[item].value, values[item].low, values[item].high) for item in items]).T
        y = np.arange(len(items)) + 0.8 * ((i + 0.5) / len(series) - 0.5)
        axis.plot([low, high], [y, y], color=look.colour, marker="|", markersize=6)
        axis.plot(value, y, color=look.colour, marker=look.marker, linestyle="", label=name)
    if reference is not None:
        axis.axvline(reference[1], color=BLACK, linestyle="--", linewidth=1, label=reference[0])
    axis.set_yticks(range(len(items)), items)
    counted = over(values[item] for values in series.values() for item in items)
    axis.set(ylim=(len(items) - 0.5, -0.5), xlabel=f"{label}\n{counted}".strip())
    axis.grid(axis="x", alpha=0.3)
    legend_above(figure, axis)
    return figure


def matrix_distances(distances: pd.DataFrame) -> Figure:
    """Return bars of the relative Frobenius distances of approximations from a matrix.

    Parameters
    ----------
    distances : DataFrame
        One row a layer, one column an approximation. At 1, the dashed line, an approximation is as far away as a
        matrix of zeros.

    Raises
    ------
    InputError
        If there are no distances, or more approximations than can be told apart.

    Examples
    --------
    >>> matrix_distances(pd.DataFrame({"EK-FAC": [0.2, 0.4], "diagonal": [0.7, 0.9]}, index=["conv1", "conv2"]))
    """
    check_some("distances", distances)
    styles = looks("distances.columns", distances.columns)
    figure, (axis,) = grid(1, 3.0)
    rows, width = np.arange(len(distances)), 0.8 / distances.shape[1]
    for i, (name, look) in enumerate(zip(distances.columns, styles, strict=True)):
        places = rows + (i - (distances.shape[1] - 1) / 2) * width
        bars = axis.bar(places, distances[name], width, color=look.colour, hatch=look.hatch, edgecolor="white")
        bars.set_label(name)
        for text in axis.bar_label(bars, fmt="%.2f", fontsize=SMALL, padding=2):
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # above the line, where they meet
    axis.axhline(1, color=BLACK, linestyle="--", linewidth=1, label="zeros")
    axis.set(yscale="log", ylabel="relative Frobenius distance")
    axis.margins(y=0.15)
    axis.set_xticks(rows, distances.index)
    legend_above(figure, axis)
    return figure
