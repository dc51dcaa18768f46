"""Figures of images, training and scores."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import rankdata
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.errors import InputError, reject
from influence_lib.estimate import Estimate
from influence_lib.figures.style import COLOURS, WIDTH, check_some, logarithms
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable

__all__ = ["agreement_matrix", "image_rows", "score_against", "score_distributions", "training_curve"]

TITLE = 0.45  # inches above a row of images


def image_rows(images: ImageSet, rows: Mapping[str, Tensor]) -> Figure:
    """Return rows of images, each under its class, with a title a row.

    Parameters
    ----------
    images : ImageSet
        Where the images come from.
    rows : mapping of str to Tensor
        Title → positions in `images`; all rows of the same length.

    Raises
    ------
    InputError
        If there are no rows, or a position is outside `images`, as one from scores of other images may be.
    """
    check_some("rows", rows)
    for title, positions in rows.items():
        check_some(f"rows[{title!r}]", positions)
        if not 0 <= int(positions.min()) <= int(positions.max()) < len(images):
            wrong = int(positions[(positions < 0) | (positions >= len(images))][0])
            reject(f"a position in rows[{title!r}]", wrong, f"from 0 to {len(images) - 1}, a place in images")
    columns = max(len(positions) for positions in rows.values())
    side = WIDTH / columns
    height = len(rows) * (side + TITLE)
    figure, axes = plt.subplots(len(rows), columns, figsize=(WIDTH, height), squeeze=False)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - TITLE / height, wspace=0.08, hspace=TITLE / side)
    for axis in axes.flat:
        axis.axis("off")
    for (title, positions), row in zip(rows.items(), axes, strict=True):
        row[0].text(0, 1 + 0.24 / side, title, transform=row[0].transAxes, fontsize=10, fontweight="bold")
        for axis, position in zip(row, positions.tolist(), strict=False):
            axis.imshow(images.images[position].permute(1, 2, 0).numpy(), interpolation="nearest")
            label = int(images.labels[position])
            if label >= 0:
                axis.set_title(images.class_names[label], fontsize=7, pad=2)
    return figure


def training_curve(history: Sequence[Mapping[str, float]]) -> Figure:
    """Return the training loss over the epochs, from an encoder's ``history``."""
    figure, axis = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")
    axis.plot([h["epoch"] for h in history], [h["loss"] for h in history], color=COLOURS[0], marker=".")
    axis.set(xlabel="epoch", ylabel="training loss")
    axis.grid(alpha=0.3)
    return figure


def score_distributions(scores: Mapping[str, Scores]) -> Figure:
    """Return a histogram of the logarithm of each score, side by side, with the median marked.

    Raises
    ------
    InputError
        If there are no scores, more than there are colours, or one that is not positive.
    """
    check_some("scores", scores, most=len(COLOURS))
    figure, axes = plt.subplots(1, len(scores), figsize=(WIDTH, 2.6), squeeze=False, layout="constrained")
    for axis, (name, score), colour in zip(axes.flat, scores.items(), COLOURS, strict=False):
        values = logarithms(name, score) / np.log(10)
        axis.hist(values, bins=40, color=colour, alpha=0.85)
        axis.axvline(float(np.median(values)), color="black", linestyle="--", linewidth=1)
        axis.set(title=name, xlabel="log₁₀ score")
    axes.flat[0].set_ylabel("images")
    return figure


def score_against(score: tuple[str, Scores], others: Mapping[str, Scores]) -> Figure:
    """Return scatter plots of the ranks of one score against those of others, one panel each.

    Parameters
    ----------
    score : (str, Scores)
        Name and values of the score on the vertical axis.
    others : mapping of str to Scores
        Name → score on a horizontal axis.

    Raises
    ------
    InputError
        If there are no others, or the scores are of different images.
    """
    name, base = score
    check_some("others", others)
    for other in others.values():
        check_comparable(base, other)
    figure, axes = plt.subplots(
        1,
        len(others),
        figsize=(WIDTH, WIDTH / len(others) + 0.4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, (other_name, other) in zip(axes.flat, others.items(), strict=True):
        axis.scatter(_percentiles(other), _percentiles(base), s=4, alpha=0.4, color=COLOURS[0], linewidths=0)
        axis.set(xlabel=f"{other_name} (percentile)", aspect="equal", xlim=(0, 100), ylim=(0, 100))
    axes.flat[0].set_ylabel(f"{name} (percentile)")
    return figure


def agreement_matrix(names: Sequence[str], agreements: Mapping[tuple[str, str], Estimate]) -> Figure:
    """Return the matrix of rank correlations, each cell with its interval beneath.

    Parameters
    ----------
    names : sequence of str
        The scores, in order.
    agreements : mapping of (str, str) to Estimate
        One entry for each pair of different names, in either order.

    Raises
    ------
    InputError
        If there are no names, or a pair is missing.
    """
    check_some("names", names)
    size = len(names)
    values = np.eye(size)
    figure, axis = plt.subplots(figsize=(min(WIDTH, 1.6 * size + 1), 1.15 * size + 0.8), layout="constrained")
    for i in range(size):
        for j in range(size):
            if i != j:
                pair = agreements.get((names[i], names[j])) or agreements.get((names[j], names[i]))
                if pair is None:
                    raise InputError(f"agreements has no entry for {names[i]!r} and {names[j]!r}.")
                values[i, j] = pair.value
                text = f"{pair:.3f}".replace(" ", "\n", 1)
                axis.text(j, i, text, ha="center", va="center", fontsize=8, color=_ink(pair.value))
            else:
                axis.text(j, i, "1", ha="center", va="center", fontsize=8, color=_ink(1.0))
    picture = axis.imshow(values, vmin=-1, vmax=1, cmap="cividis")
    axis.set_xticks(range(size), names, fontsize=8)
    axis.set_yticks(range(size), names, fontsize=8)
    figure.colorbar(picture, ax=axis, label="Spearman correlation", shrink=0.8)
    return figure


def _percentiles(score: Scores) -> np.ndarray:
    return 100 * (rankdata(score.values.numpy()) - 0.5) / len(score)


def _ink(value: float) -> str:
    return "white" if value <= 0.3 else "black"  # where there is none, too
