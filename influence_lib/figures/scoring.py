"""Figures of the chapter on the score: curvature matrices, agreement of scores, settings, cross-influence."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from influence_lib.errors import InputError, reject
from influence_lib.estimate import Estimate
from influence_lib.figures.style import COLOURS, WIDTH, check_some

__all__ = [
    "agreement_and_reliability",
    "cross_influence_matrices",
    "curvature_matrices",
    "damping_curves",
    "draws_curves",
    "eigenvalue_spectra",
    "interval_dots",
    "matrix_distances",
    "upweighting",
]

Array = npt.NDArray[np.float64]
MARKERS = ("o", "s", "^", "D", "v", "P")
BLUE, VERMILION, *_, BLACK = COLOURS
GREY = "0.6"
DECADES = 4  # of the entries of a matrix that are told apart, below the largest
DARK = 0.45  # values of cividis below which text is white


def upweighting(θ: Array, objectives: Mapping[str, Array], weights: Array, exact: Array, predicted: Array) -> Figure:
    """Return objectives of one parameter with their minima, and the minimum against the weight of one example.

    Parameters
    ----------
    θ : array
        Values of the parameter.
    objectives : mapping of str to array
        Name → the objective at each θ.
    weights : array
        Weights that the example has in addition to its own.
    exact, predicted : array
        The minimum at each weight, and the tangent to it at weight 0.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2), layout="constrained")
    for (name, values), colour, style in zip(objectives.items(), COLOURS, ("-", "--", ":"), strict=False):
        lowest = int(values.argmin())
        left.plot(θ, values, color=colour, linestyle=style, label=name)
        left.plot(θ[lowest], values[lowest], color=colour, marker="o")
    left.set(xlabel=r"parameter $\theta$", ylabel="mean loss")
    right.plot(weights, exact, color=BLUE, label="minimised again")
    right.plot(weights, predicted, color=VERMILION, linestyle="--", label=r"tangent, slope $-H^{-1}g$")
    right.axvline(0, color=BLACK, linestyle=":", linewidth=1)
    right.set(xlabel="weight that the example gains", ylabel=r"minimum $\hat\theta$")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return figure


def eigenvalue_spectra(spectra: Mapping[str, Array]) -> Figure:
    """Return the magnitudes of the eigenvalues of several matrices, the largest first, negative ones as crosses.

    Parameters
    ----------
    spectra : mapping of str to array
        Name → eigenvalues, in any order. What lies `DECADES` below the largest of a matrix is left out.

    Raises
    ------
    InputError
        If there are none, or more than there are marks.
    """
    check_some("spectra", spectra, most=len(MARKERS))
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    for (name, values), colour, marker in zip(spectra.items(), COLOURS, MARKERS, strict=False):
        ordered = values[np.abs(values).argsort()[::-1]]
        ordered = ordered[np.abs(ordered) > 10.0**-DECADES * np.abs(ordered).max()]
        index = np.arange(1, len(ordered) + 1)
        positive = ordered > 0
        axis.plot(index[positive], ordered[positive], marker, markersize=3, color=colour, label=name)
        if not positive.all():
            axis.plot(index[~positive], -ordered[~positive], "x", markersize=6, color=colour, label=f"{name}, negative")
    axis.set(yscale="log", xlabel="eigenvalue, the largest magnitude first", ylabel="magnitude")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def curvature_matrices(matrices: Mapping[str, Array], edges: Sequence[int] = ()) -> Figure:
    """Return the magnitudes of the entries of matrices of one layer side by side, on one logarithmic scale.

    Parameters
    ----------
    matrices : mapping of str to array
        Name → p×p. Entries `DECADES` below the largest of all, and zeros, are black.
    edges : sequence of int
        Where to draw lines between blocks.

    Raises
    ------
    InputError
        If there are no matrices.
    """
    check_some("matrices", matrices)
    height = min(WIDTH / len(matrices), 0.55 * WIDTH) + 0.3
    figure, axes = plt.subplots(1, len(matrices), figsize=(WIDTH, height), squeeze=False, layout="constrained")
    largest = max(float(np.abs(matrix).max()) for matrix in matrices.values())
    norm = LogNorm(largest * 10.0**-DECADES, largest, clip=True)
    for axis, (name, matrix) in zip(axes.flat, matrices.items(), strict=True):
        picture = axis.imshow(np.abs(matrix), norm=norm, cmap="cividis")
        for edge in edges:
            axis.axhline(edge - 0.5, color="white", linewidth=0.8)
            axis.axvline(edge - 0.5, color="white", linewidth=0.8)
        axis.set_title(name, fontsize=9)
        axis.set(xticks=[], yticks=[])
    figure.colorbar(picture, ax=axes, label="|entry|", fraction=0.03, aspect=15)
    return figure


def matrix_distances(distances: pd.DataFrame) -> Figure:
    """Return bars of the relative Frobenius distances of approximations from a matrix.

    Parameters
    ----------
    distances : DataFrame
        One row a layer, one column an approximation. At 1, the dashed line, an approximation is as far away as a
        matrix of zeros.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.0), layout="constrained")
    rows, width = np.arange(len(distances)), 0.8 / distances.shape[1]
    for i, (name, colour) in enumerate(zip(distances.columns, COLOURS, strict=False)):
        bars = axis.bar(rows + (i - (distances.shape[1] - 1) / 2) * width, distances[name], width, color=colour)
        bars.set_label(name)
        axis.bar_label(bars, fmt="%.2f", fontsize=8)
    axis.axhline(1, color=BLACK, linestyle="--", linewidth=1, label="zeros")
    axis.set(yscale="log", ylabel="relative Frobenius distance")
    axis.margins(y=0.15)
    axis.set_xticks(rows, distances.index)
    axis.legend(fontsize=8, ncols=len(distances.columns) + 1)
    return figure


def agreement_and_reliability(
    names: Sequence[str],
    agreements: Mapping[tuple[str, str], Estimate],
    reliabilities: Mapping[str, float | None],
) -> Figure:
    """Return a matrix with rank correlations below its diagonal, their intervals above, and reliabilities on it.

    Parameters
    ----------
    names : sequence of str
        The scores, in order.
    agreements : mapping of (str, str) to Estimate
        One entry for each pair of names, in the order of `names`.
    reliabilities : mapping of str to float or None
        The rank correlation of each score with itself when the noise is drawn again; None where nothing is drawn.

    Raises
    ------
    InputError
        If there are no names, or one of a pair or a reliability is missing.
    """
    check_some("names", names)
    if missing := [name for name in names if name not in reliabilities]:
        raise InputError(f"reliabilities has no entry for {missing[0]!r}.")
    size = len(names)
    values, texts = np.full((size, size), np.nan), {}
    for i, name in enumerate(names):
        reliability = reliabilities[name]
        texts[i, i] = "–" if reliability is None else f"{reliability:.2f}"
        values[i, i] = np.nan if reliability is None else reliability
        for j in range(i):
            if (names[j], name) not in agreements:
                raise InputError(f"agreements has no entry for {names[j]!r} and {name!r}.")
            pair = agreements[names[j], name]
            values[i, j], texts[i, j] = pair.value, f"{pair.value:.2f}"
            texts[j, i] = f"{pair.low:.2f}\nto\n{pair.high:.2f}"
    figure, axis = plt.subplots(figsize=(WIDTH, 0.78 * WIDTH), layout="constrained")
    picture = axis.imshow(values, vmin=-1, vmax=1, cmap="cividis")
    for (i, j), text in texts.items():
        ink = "white" if values[i, j] < DARK * 2 - 1 else BLACK
        weight = "bold" if i == j else "normal"
        axis.text(j, i, text, ha="center", va="center", fontsize=7 if i < j else 9, color=ink, fontweight=weight)
    axis.set_xticks(range(size), names, fontsize=8, rotation=35, ha="right")
    axis.set_yticks(range(size), names, fontsize=8)
    figure.colorbar(picture, ax=axis, label="Spearman correlation (diagonal: reliability)", shrink=0.8)
    return figure


def interval_dots(
    series: Mapping[str, Mapping[str, Estimate]], label: str, reference: tuple[str, float] | None = None
) -> Figure:
    """Return values with their intervals, one row an item and one colour and marker a series.

    Parameters
    ----------
    series : mapping of str to mapping of str to Estimate
        Series → item → value and interval; the items are those of the first series.
    label : str
        Of the horizontal axis.
    reference : (str, float), optional
        Name and place of a dashed line.

    Raises
    ------
    InputError
        If there is nothing to draw, more series than marks, or a series without one of the items.
    """
    check_some("series", series, most=len(MARKERS))
    for name, values in series.items():
        check_some(f"series[{name!r}]", values)
        if missing := next(iter(series.values())).keys() - values.keys():
            raise InputError(f"series {name!r} has no entry for {min(missing)!r}.")
    items = list(next(iter(series.values())))
    figure, axis = plt.subplots(figsize=(WIDTH, 0.9 + 0.22 * len(items) * (len(series) + 1)), layout="constrained")
    for i, (name, values) in enumerate(series.items()):
        value, low, high = np.array([(values[item].value, values[item].low, values[item].high) for item in items]).T
        y = np.arange(len(items)) + 0.8 * ((i + 0.5) / len(series) - 0.5)
        axis.errorbar(
            value, y, xerr=[value - low, high - value], fmt=MARKERS[i], color=COLOURS[i], capsize=3, label=name
        )
    if reference is not None:
        axis.axvline(reference[1], color=BLACK, linestyle="--", linewidth=1, label=reference[0])
    axis.set_yticks(range(len(items)), items)
    axis.set(ylim=(len(items) - 0.5, -0.5), xlabel=label)
    axis.grid(axis="x", alpha=0.3)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def damping_curves(multiples: Array, curves: Mapping[str, Array]) -> Figure:
    """Return rank correlations against the damping.

    Parameters
    ----------
    multiples : array
        The dampings, in units of the mean eigenvalue.
    curves : mapping of str to array
        Name → one value a damping.

    Raises
    ------
    InputError
        If there are no curves, or more than there are marks.
    """
    check_some("curves", curves, most=len(MARKERS))
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    for (name, values), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
        axis.plot(multiples, values, color=colour, marker=marker, label=name)
    axis.set(xscale="log", xlabel="damping λ / mean eigenvalue", ylabel="rank correlation")
    axis.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(curves))
    return figure


def draws_curves(measured: Mapping[str, tuple[Array, Array]], predicted: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Return reliabilities against the number of draws that a score is averaged over.

    Parameters
    ----------
    measured, predicted : mapping of str to (draws, reliability)
        Points and lines; what has one name has one colour.

    Raises
    ------
    InputError
        If there is nothing to draw, more than there are marks, or a line is missing.
    """
    check_some("measured", measured, most=len(MARKERS))
    if missing := measured.keys() - predicted.keys():
        raise InputError(f"predicted has no entry for {min(missing)!r}.")
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    for (name, (draws, values)), colour, marker in zip(measured.items(), COLOURS, MARKERS, strict=False):
        axis.plot(draws, values, marker, color=colour, label=name)
        axis.plot(*predicted[name], color=colour, linestyle="--", linewidth=1)
    axis.plot([], [], color=GREY, linestyle="--", linewidth=1, label="predicted from one draw")
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set(xlabel="draws in the average", ylabel="reliability")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def cross_influence_matrices(matrices: Mapping[str, Array], labels: Sequence[int], names: Sequence[str]) -> Figure:
    """Return matrices between images that are sorted by class, without the diagonal, each on its own scale around 0.

    Parameters
    ----------
    matrices : mapping of str to array
        Title → n×n.
    labels : sequence of int
        The class of each image, ascending.
    names : sequence of str
        Of all classes.

    Raises
    ------
    InputError
        If there is nothing to draw, or the matrices, the labels and the names do not fit each other.
    """
    check_some("matrices", matrices)
    check_some("labels", labels)
    for title, matrix in matrices.items():
        if np.shape(matrix) != (len(labels), len(labels)):
            reject(f"the shape of {title!r}", np.shape(matrix), f"{(len(labels), len(labels))}, one row a label")
    if not (np.diff(labels) >= 0).all() or labels[0] < 0 or labels[-1] >= len(names):
        reject("labels", list(labels), f"ascending, from 0 to {len(names) - 1}")
    columns = len(matrices)
    figure, axes = plt.subplots(1, columns, figsize=(WIDTH, WIDTH / columns + 1.2), squeeze=False, layout="constrained")
    classes, starts, counts = np.unique(labels, return_index=True, return_counts=True)
    for axis, (title, matrix) in zip(axes.flat, matrices.items(), strict=True):
        off_diagonal = np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)
        limit = float(np.nanmax(np.abs(off_diagonal)))
        picture = axis.imshow(off_diagonal, vmin=-limit, vmax=limit, cmap="PuOr_r")
        axis.set_facecolor(GREY)
        _draw_classes(axis, starts, counts, [names[c] for c in classes])
        axis.set_title(title, fontsize=9)
        figure.colorbar(picture, ax=axis, orientation="horizontal", fraction=0.05)
    for axis in axes.flat[1:]:
        axis.set_yticks([])
    return figure


def _draw_classes(axis: Axes, starts: np.ndarray, counts: np.ndarray, names: Sequence[str]) -> None:
    """Draw lines between the classes and write their names beside the middle of each."""
    for start in starts[1:]:
        axis.axhline(start - 0.5, color="0.3", linewidth=0.5)
        axis.axvline(start - 0.5, color="0.3", linewidth=0.5)
    middle = starts + (counts - 1) / 2
    axis.set_xticks(middle, names, fontsize=7, rotation=90)
    axis.set_yticks(middle, names, fontsize=7)
