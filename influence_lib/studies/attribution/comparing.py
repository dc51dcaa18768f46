"""Supports of many targets: how many predictions so many changes turn, and which ranking finds smaller ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from statsmodels.duration.survfunc import SurvfuncRight

from influence_lib.errors import reject
from influence_lib.estimate import Estimate, share
from influence_lib.studies.attribution.support import Found

__all__ = ["Duel", "confirmed", "duel", "turned"]

Z = 1.959963984540054


@dataclass(frozen=True)
class Duel:
    """Which of two rankings finds the smaller supports of the same targets.

    Attributes
    ----------
    wins, ties, losses : int
        Targets for which the first's support is smaller, equal, or larger. A support that was not found is larger than
        any that was, and ties with another one that was not.
    share : Estimate
        The first's wins among the targets that are no ties, with Wilson's interval; .5 is a draw.
    p : float
        Of the two-sided sign test.
    """

    wins: int
    ties: int
    losses: int
    share: Estimate
    p: float


def turned(found: Sequence[Found], sizes: Sequence[int]) -> pd.DataFrame:
    """Return for what share of the targets so many changes turn the prediction.

    The Kaplan–Meier estimate: a target whose support was not found is known to need more than its candidates, which may
    be fewer than those of another target.

    Parameters
    ----------
    found : sequence of Found
        One a target.
    sizes : sequence of int
        Numbers of changes.

    Returns
    -------
    DataFrame
        A row for each size, its columns ``size``, ``share``, ``low`` and ``high`` (95 % pointwise, Greenwood's variance
        of the logarithm of minus the logarithm; equal to the share where that is 0 or 1).

    Examples
    --------
    >>> turned([support.run() for support in supports], [10, 50, 100])
    """
    if not found:
        reject("the number of supports", 0, "at least 1")
    times = np.array([each.most if each.size is None else each.size for each in found], dtype=float)
    survival = SurvfuncRight(times, np.array([each.size is not None for each in found], dtype=int))
    rows = []
    for size in sizes:
        place = int(np.searchsorted(survival.surv_times, size, side="right")) - 1
        alive = float(survival.surv_prob[place]) if place >= 0 else 1.0
        low, high = alive, alive
        if 0 < alive < 1:
            width = Z * float(survival.surv_prob_se[place]) / (alive * abs(np.log(alive)))
            low, high = alive ** np.exp(width), alive ** np.exp(-width)
        rows.append((size, 1 - alive, 1 - high, 1 - low))
    return pd.DataFrame(rows, columns=["size", "share", "low", "high"])


def duel(one: Sequence[Found], other: Sequence[Found]) -> Duel:
    """Return which of two rankings finds the smaller supports; both are of the same targets in the same order.

    Examples
    --------
    >>> duel([Found(3, 10, {}, 0.0)], [Found(None, 10, {}, 0.0)]).wins
    1
    """
    if len(one) != len(other) or not one:
        reject("the numbers of supports", f"{len(one)} and {len(other)}", "equal and above 0")
    sizes = np.array([[np.inf if each.size is None else each.size for each in found] for found in (one, other)])
    wins, losses = int((sizes[0] < sizes[1]).sum()), int((sizes[0] > sizes[1]).sum())
    apart = wins + losses
    return Duel(
        wins,
        len(one) - apart,
        losses,
        share(np.arange(apart) < wins, "target") if apart else Estimate(0.5, 0.0, 1.0, 0, "target"),
        float(binomtest(wins, apart).pvalue) if apart else 1.0,
    )


def confirmed(found: Sequence[Found]) -> Estimate | None:
    """Return the share of the supports that turn the prediction in fresh trainings, too; None where none was found.

    Examples
    --------
    >>> confirmed([Found(3, 10, {}, 0.2), Found(None, 10, {}, 0.0)]).n
    1
    """
    again = np.array([each.confirmed <= 0.5 for each in found if each.size is not None])
    return share(again, "target") if len(again) else None
