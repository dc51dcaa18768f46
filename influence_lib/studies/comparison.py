"""How scores of the same images compare with each other."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from influence_lib.errors import InputError, check_integer, reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores, rank_agreement, top_overlap

__all__ = ["all_agreements", "correlates", "extremes", "mean_distance", "shared_top", "top_size"]


def all_agreements(scores: Mapping[str, Scores], seed: int = 0) -> dict[tuple[str, str], Estimate]:
    """Return the rank correlation of every two scores, by their names in the order of `scores`.

    Raises
    ------
    InputError
        If the scores are of different images.

    Examples
    --------
    >>> all_agreements({"EK-FAC": ekfac, "raw loss": loss})["EK-FAC", "raw loss"].value
    """
    return {(a, b): rank_agreement(scores[a], scores[b], seed) for a, b in combinations(scores, 2)}


def correlates(score: Scores, others: Mapping[str, Scores], seed: int = 0) -> dict[str, Estimate]:
    """Return the rank correlation of a score with each of some others.

    Raises
    ------
    InputError
        If the scores are of different images.

    Examples
    --------
    >>> correlates(ekfac, influence.statistic_scores(images))["brightness"].above(0)
    """
    return {name: rank_agreement(score, other, seed) for name, other in others.items()}


def shared_top(reference: Scores, scores: Mapping[str, Scores], k: int) -> pd.DataFrame:
    """Return which part of the k highest images scores share with a reference, and with themselves in other draws.

    Returns
    -------
    DataFrame
        One row a score: ``"shared"`` and ``"reliability"``, both in [0, 1]; the second is NaN for a single draw.

    Raises
    ------
    InputError
        If the scores are of different images, or `k` is no number of them.

    Examples
    --------
    >>> shared_top(ekfac, {"raw loss": loss}, k=20).loc["raw loss", "shared"]
    """
    return pd.DataFrame(
        {
            "shared": {name: top_overlap(reference, score, k) for name, score in scores.items()},
            "reliability": {name: score.top_reliability(k) for name, score in scores.items()},
        },
        dtype=np.float64,
    )


def top_size(n: int) -> int:
    """Return how many of `n` images count as the top: a fiftieth, 10 at least, but half of the images at most.

    Raises
    ------
    InputError
        If `n` is no whole number above 0.

    Examples
    --------
    >>> top_size(1000), top_size(100), top_size(12)
    (20, 10, 6)
    """
    return max(1, min(max(10, check_integer("n", n) // 50), n // 2))


def extremes(estimates: Mapping[str, Estimate]) -> tuple[str, str]:
    """Return the names of the lowest and of the highest estimate; those that are NaN are passed over.

    Raises
    ------
    InputError
        If there is no estimate.

    Examples
    --------
    >>> extremes({"a": Estimate.stated(0.2), "b": Estimate.stated(0.7)})
    ('a', 'b')
    """
    values = {name: estimate.value for name, estimate in estimates.items() if not np.isnan(estimate.value)}
    if not values:
        reject("the number of estimates", 0, "1 or more")
    return min(values, key=values.__getitem__), max(values, key=values.__getitem__)


def mean_distance(estimates: Mapping[str, Estimate], stated: Mapping[str, float]) -> float:
    """Return how far some estimates are from stated values, in the mean over the names of the latter.

    Raises
    ------
    InputError
        If nothing is stated, or a name has no estimate.

    Examples
    --------
    >>> mean_distance({"blur": Estimate.stated(0.5)}, {"blur": 0.75})
    0.25
    """
    if not stated:
        reject("the number of stated values", 0, "1 or more")
    if missing := stated.keys() - estimates.keys():
        raise InputError(f"{min(missing)!r} has a stated value, but no estimate.")
    return float(np.mean([abs(estimates[name].value - value) for name, value in stated.items()]))
