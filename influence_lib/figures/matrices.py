"""Matrices in colour: agreement of scores, curvature, cross-influence, and tables of correlations."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from influence_lib.errors import InputError, reject
from influence_lib.estimate import Estimate
from influence_lib.figures.style import LABEL, SMALL, WIDTH, check_some, grid, over

__all__ = ["agreement_matrix", "correlation_table", "cross_influence_matrices", "curvature_matrices"]

Array = npt.NDArray[np.float64]
GREY = "0.6"
DECADES = 4  # of the entries of a matrix that are told apart, below the largest
CELLS = 3.9  # inches that all cells of a row are wide
FILLED = 0.85  # of the width of a cell by its longest line
LEVELS = 32  # of colour, 8 a decade: with more a matrix of noise cannot be compressed
DARK = 0.18  # luminance below which white letters are easier to read than black ones


def agreement_matrix(
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
        One entry for each pair of different names, in either order.
    reliabilities : mapping of str to float or None
        The rank correlation of each score with itself when the noise is drawn again; None where nothing is drawn.

    Raises
    ------
    InputError
        If there are no names, or one of a pair or a reliability is missing.

    Examples
    --------
    >>> agreements = {("EK-FAC", "raw loss"): Estimate(0.9, 0.85, 0.94, 100)}
    >>> agreement_matrix(["EK-FAC", "raw loss"], agreements, {"EK-FAC": 0.95, "raw loss": 0.92})
    """
    check_some("names", names)
    if missing := [name for name in names if name not in reliabilities]:
        raise InputError(f"reliabilities has no entry for {missing[0]!r}.")
    size = len(names)
    spec = ".3f" if size <= 5 else ".2f"  # as many digits as there is room for
    values, texts, pairs = np.full((size, size), np.nan), np.full((size, size), "–", dtype=object), []
    for i, name in enumerate(names):
        reliability = reliabilities[name]
        if reliability is not None:
            values[i, i], texts[i, i] = reliability, format(reliability, spec)
        for j, other in enumerate(names[:i]):
            pair = _pair(agreements, other, name)
            values[i, j], texts[i, j] = pair.value, format(pair.value, spec)
            pairs.append(pair)
            texts[j, i] = f"{pair.low:{spec}}\nto\n{pair.high:{spec}}"
    figure, (axis,) = grid(1, 1.6 + 0.56 * size)
    picture = axis.imshow(values, vmin=-1, vmax=1, cmap="cividis", aspect="auto")
    _write(axis, picture, values, texts)
    axis.set_xticks(range(size), names, fontsize=SMALL, rotation=35, ha="right")
    axis.set_yticks(range(size), names, fontsize=SMALL)
    counted = f". Above it: {over(pairs)}" if pairs else ""
    axis.set_xlabel(f"diagonal: reliability{counted}", fontsize=SMALL)
    figure.colorbar(picture, ax=axis, label="Spearman correlation", shrink=0.8)
    return figure


def _pair(agreements: Mapping[tuple[str, str], Estimate], one: str, other: str) -> Estimate:
    for names in ((one, other), (other, one)):
        if names in agreements:
            return agreements[names]
    raise InputError(f"agreements has no entry for {one!r} and {other!r}.")


def correlation_table(values: pd.DataFrame, texts: pd.DataFrame) -> Figure:
    """Return a table of rank correlations in colour, with a text in each cell.

    Parameters
    ----------
    values : DataFrame
        In [−1, 1].
    texts : DataFrame
        Of the same shape.

    Raises
    ------
    InputError
        If there is nothing to draw, or the shapes differ.

    Examples
    --------
    >>> values = pd.DataFrame({"SimCLR": [0.4, -0.1]}, index=["brightness", "contrast"])
    >>> correlation_table(values, values.map("{:.2f}".format))
    """
    check_some("values", values)
    if values.shape != texts.shape:
        reject("the shape of texts", texts.shape, f"that of values, {values.shape}")
    rows, columns = values.shape
    figure, (axis,) = grid(1, 0.55 * rows + 1.8)
    numbers = values.to_numpy(dtype=np.float64)
    picture = axis.imshow(numbers, vmin=-1, vmax=1, cmap="PuOr_r", aspect="auto")
    _write(axis, picture, numbers, texts.to_numpy(dtype=str))
    axis.set_xticks(range(columns), list(values.columns), fontsize=SMALL, rotation=35, ha="right")
    axis.set_yticks(range(rows), list(values.index), fontsize=SMALL)
    figure.colorbar(picture, ax=axis, label="Spearman correlation", shrink=0.8)
    return figure


def _write(axis: Axes, picture: AxesImage, values: Array, texts: np.ndarray) -> None:
    """Write a text into each cell, in white where its colour is dark."""
    *colours, opacity = np.moveaxis(picture.to_rgba(np.ma.masked_invalid(values)), -1, 0)
    luminance = np.tensordot((0.2126, 0.7152, 0.0722), np.power(colours, 2.2), axes=1)
    longest = max(len(line) for text in texts.flat for line in text.split("\n"))
    size = min(SMALL, FILLED * 72 * CELLS / texts.shape[1] / (0.6 * longest))  # as large as the longest line lets
    for (i, j), text in np.ndenumerate(texts):
        ink = "white" if opacity[i, j] > 0 and luminance[i, j] < DARK else "black"
        axis.text(j, i, text, ha="center", va="center", fontsize=size, color=ink)


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
        If there are no matrices, or none with an entry that a logarithmic scale can show.

    Examples
    --------
    >>> curvature_matrices({"exact": np.array([[4.0, 1], [1, 2]]), "diagonal": np.array([[4.0, 0], [0, 2]])})
    """
    check_some("matrices", matrices)
    columns = min(len(matrices), 4)
    figure, axes = grid(len(matrices), min(WIDTH / columns, 0.6 * WIDTH) + 0.3, columns)
    largest = max(float(np.abs(matrix).max()) for matrix in matrices.values())
    if not 0 < largest < np.inf:
        raise InputError("the entries of matrices are not finite, or all 0, but a logarithmic scale needs others.")
    norm = LogNorm(largest * 10.0**-DECADES, largest, clip=True)
    for axis, (name, matrix) in zip(axes, matrices.items(), strict=True):
        picture = axis.imshow(np.abs(matrix), norm=norm, cmap=colormaps["cividis"].resampled(LEVELS))
        for edge in edges:
            axis.axhline(edge - 0.5, color="white", linewidth=0.8)
            axis.axvline(edge - 0.5, color="white", linewidth=0.8)
        axis.set_title(name, fontsize=LABEL)
        axis.set(xticks=[], yticks=[])
    figure.colorbar(picture, ax=axes, label="|entry|", fraction=0.03, aspect=15)
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

    Examples
    --------
    >>> cross_influence_matrices({"EK-FAC": np.array([[9.0, 2], [2, 7]])}, labels=[0, 1], names=["cat", "dog"])
    """
    check_some("matrices", matrices)
    check_some("labels", labels)
    if len(labels) < 2:
        reject("the number of entries of labels", len(labels), "2 or more: the diagonal is not drawn")
    for title, matrix in matrices.items():
        if np.shape(matrix) != (len(labels), len(labels)):
            reject(f"the shape of {title!r}", np.shape(matrix), f"{(len(labels), len(labels))}, one row a label")
    if not (np.diff(labels) >= 0).all() or labels[0] < 0 or labels[-1] >= len(names):
        reject("labels", list(labels), f"ascending, from 0 to {len(names) - 1}")
    columns = min(len(matrices), 3)
    figure, axes = grid(len(matrices), WIDTH / columns + 1.2, columns)
    classes, starts, counts = np.unique(labels, return_index=True, return_counts=True)
    for place, (axis, (title, matrix)) in enumerate(zip(axes, matrices.items(), strict=True)):
        off_diagonal = np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)
        limit = float(np.nanmax(np.abs(off_diagonal)))
        picture = axis.imshow(off_diagonal, vmin=-limit, vmax=limit, cmap="PuOr_r")
        axis.set_facecolor(GREY)
        _draw_classes(axis, starts, counts, [names[c] for c in classes])
        axis.set_title(title, fontsize=LABEL)
        figure.colorbar(picture, ax=axis, orientation="horizontal", fraction=0.05)
        if place % columns:
            axis.set_yticks([])
    return figure


def _draw_classes(axis: Axes, starts: np.ndarray, counts: np.ndarray, names: Sequence[str]) -> None:
    """Draw lines between the classes and write their names beside the middle of each."""
    for start in starts[1:]:
        axis.axhline(start - 0.5, color="0.3", linewidth=0.5)
        axis.axvline(start - 0.5, color="0.3", linewidth=0.5)
    middle = starts + (counts - 1) / 2
    axis.set_xticks(middle, names, fontsize=SMALL, rotation=90)
    axis.set_yticks(middle, names, fontsize=SMALL)
