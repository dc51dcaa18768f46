"""Figures of the chapter on stability: two trainings, distributions, statistics of the images."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import rankdata

from influence_lib.errors import reject
from influence_lib.figures.style import COLOURS, WIDTH, check_some, logarithms
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable

__all__ = ["correlation_table", "log_score_violins", "two_trainings"]

COLUMNS = 3


def two_trainings(pairs: Mapping[str, tuple[Scores, Scores]]) -> Figure:
    """Return the percentile of every image by an encoder against that by another, one panel a pair of encoders.

    Raises
    ------
    InputError
        If there are no pairs, or the scores of a pair are of different images.
    """
    check_some("pairs", pairs)
    for pair in pairs.values():
        check_comparable(*pair)
    columns = min(len(pairs), COLUMNS)
    rows = -(-len(pairs) // columns)
    size = WIDTH, rows * (WIDTH / columns + 0.3)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(pairs) :]:
        axis.axis("off")
    for axis, (name, pair) in zip(axes.flat, pairs.items(), strict=False):
        x, y = (100 * (rankdata(score.values.numpy()) - 0.5) / len(score) for score in pair)
        axis.scatter(x, y, s=4, alpha=0.4, color=COLOURS[0], linewidths=0)
        axis.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
        axis.set_title(name, fontsize=9)
    figure.supxlabel("percentile, first training", fontsize=9)
    figure.supylabel("percentile, second training", fontsize=9)
    return figure


def log_score_violins(groups: Mapping[str, Mapping[str, Scores]]) -> Figure:
    """Return the distribution of the natural logarithm of scores, one panel a group, each with its mean and quartiles.

    Parameters
    ----------
    groups : mapping of str to mapping of str to Scores
        Title of a panel → name → scores, all above 0.

    Raises
    ------
    InputError
        If there is nothing to draw, or a score is not positive.
    """
    check_some("groups", groups)
    for title, scores in groups.items():
        check_some(f"groups[{title!r}]", scores)
    counts = [len(scores) for scores in groups.values()]
    height = 0.7 + 0.42 * sum(counts) + 0.5 * len(groups)
    figure, axes = plt.subplots(
        len(groups), 1, figsize=(WIDTH, height), squeeze=False, layout="constrained", height_ratios=counts, sharex=True
    )
    for axis, (title, scores) in zip(axes.flat, groups.items(), strict=True):
        logs = [logarithms(name, score) for name, score in scores.items()]
        at = np.arange(len(logs))
        parts = axis.violinplot(logs, at, orientation="horizontal", showextrema=False, widths=0.9)
        for body, colour in zip(parts["bodies"], np.resize(np.array(COLOURS[:-1]), len(logs)), strict=True):
            body.set(facecolor=colour, alpha=0.6)
        axis.hlines(at, *np.quantile(logs, (0.25, 0.75), axis=1), color="black", linewidth=3)
        axis.plot([log.mean() for log in logs], at, "D", color="white", markeredgecolor="black", markersize=6)
        axis.set_yticks(at, list(scores), fontsize=8)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=9)
        axis.grid(axis="x", alpha=0.3)
    axes.flat[-1].set_xlabel("natural logarithm of the score (diamond: mean; bar: half of the images)")
    return figure


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
    """
    check_some("values", values)
    if values.shape != texts.shape:
        reject("the shape of texts", texts.shape, f"that of values, {values.shape}")
    rows, columns = values.shape
    figure, axis = plt.subplots(figsize=(WIDTH, 0.55 * rows + 1.6), layout="constrained")
    numbers, written = values.to_numpy(dtype=np.float64), texts.to_numpy(dtype=str)
    picture = axis.imshow(numbers, vmin=-1, vmax=1, cmap="PuOr_r", aspect="auto")
    for i in range(rows):
        for j in range(columns):
            ink = "white" if abs(numbers[i, j]) > 0.65 else "black"
            axis.text(j, i, written[i, j], ha="center", va="center", fontsize=7, color=ink)
    axis.set_xticks(range(columns), list(values.columns), fontsize=8, rotation=30, ha="right")
    axis.set_yticks(range(rows), list(values.index), fontsize=8)
    figure.colorbar(picture, ax=axis, label="Spearman correlation", shrink=0.8)
    return figure
