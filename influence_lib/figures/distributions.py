"""How scores are distributed, on a logarithmic scale: histograms and violins."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure

from influence_lib.figures.style import COLOURS, LABEL, SMALL, amount, check_some, grid, logarithms
from influence_lib.influence import Scores

__all__ = ["log_score_violins", "score_distributions"]


def score_distributions(scores: Mapping[str, Scores]) -> Figure:
    """Return a histogram of the logarithm of each score, one panel a score, with the median marked.

    Raises
    ------
    InputError
        If there are no scores, or one that is not positive.

    Examples
    --------
    >>> score_distributions({"EK-FAC": scores, "raw loss": loss})
    """
    check_some("scores", scores)
    figure, axes = grid(len(scores), 2.4, 3, sharey=True)
    for axis, (name, score) in zip(axes, scores.items(), strict=True):
        values = logarithms(name, score) / np.log(10)
        axis.hist(values, bins=40, color=COLOURS[0], alpha=0.85)
        axis.axvline(float(np.median(values)), color="black", linestyle="--", linewidth=1)
        axis.set_title(name, fontsize=LABEL)
    figure.supxlabel("log₁₀ score", fontsize=LABEL)
    figure.supylabel(f"of {amount(len(score) for score in scores.values())}", fontsize=LABEL)
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

    Examples
    --------
    >>> log_score_violins({"drawn images": {"EK-FAC": scores, "raw loss": loss}})
    """
    check_some("groups", groups)
    for title, scores in groups.items():
        check_some(f"groups[{title!r}]", scores)
    counts = [len(scores) for scores in groups.values()]
    height = (0.7 + 0.42 * sum(counts)) / len(groups) + 0.5
    figure, axes = grid(len(groups), height, height_ratios=counts, sharex=True)
    for axis, (title, scores) in zip(axes, groups.items(), strict=True):
        logs = [logarithms(name, score) for name, score in scores.items()]
        at = np.arange(len(logs))
        parts = axis.violinplot(logs, at, orientation="horizontal", showextrema=False, widths=0.9)
        for body in cast(list[Any], parts["bodies"]):
            body.set(facecolor=COLOURS[0], alpha=0.5)
        quartiles = np.array([np.quantile(log, (0.25, 0.75)) for log in logs]).T
        axis.hlines(at, *quartiles, color="black", linewidth=3)
        axis.plot([log.mean() for log in logs], at, "D", color="white", markeredgecolor="black", markersize=6)
        axis.set_yticks(at, list(scores), fontsize=SMALL)
        axis.invert_yaxis()
        axis.set_title(f"{title}, {amount(len(log) for log in logs)}", fontsize=LABEL)
        axis.grid(axis="x", alpha=0.3)
    axes[-1].set_xlabel("natural logarithm of the score\n(diamond: mean; bar: half of the images)")
    return figure
