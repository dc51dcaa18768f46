"""Representation over the size of the top and over trainings, against labels that are shuffled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from influence_lib.errors import check_integer, reject
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable

__all__ = ["Representation", "representation"]

SHUFFLES = 1000


@dataclass(frozen=True)
class Representation:
    """The representation ratio of groups over the size k of the top, the mean over trainings.

    Attributes
    ----------
    ratios, low, high : DataFrame
        float64, a row for each k, a column for each group: the ratio, and the band that holds all ratios of all groups
        together in 95 % of cases where the scores know nothing of the groups.
    p : Series
        float64, for each group: how often a group of shuffled labels is as far out at some k; adjusted for all groups
        and sizes.
    """

    ratios: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    p: pd.Series


def representation(
    scores: Sequence[Scores], groups: Sequence[str] | np.ndarray, ks: Sequence[int], end: str = "highest", seed: int = 0
) -> Representation:
    """Return how groups are represented among the k highest, or lowest, images of several trainings.

    The labels are shuffled over the images, the same way for all trainings: images that are on top in one training are
    on top in the others, and that is no evidence about groups.

    Parameters
    ----------
    scores : sequence of Scores
        By one training or more, of the same N images.
    groups : sequence of str
        N values, two different ones or more.
    ks : sequence of int
        Sizes of the top, each from 1 to N.
    end : {"highest", "lowest"}
        Which end is the top.
    seed : int
        Of the shuffling.

    Raises
    ------
    InputError
        If there are no scores or sizes, one group only, or scores or labels are of different images.

    Examples
    --------
    >>> of_images = ["cat", "dog"] * (len(scores) // 2)
    >>> representation([scores], of_images, ks=[10, 20, 50]).ratios.loc[50, "cat"]
    """
    if not scores:
        reject("the number of trainings", 0, "1 or more")
    for other in scores:
        check_comparable(scores[0], other)
    n = len(scores[0])
    if len(groups) != n:
        reject("the number of groups' labels", len(groups), f"{n}, that of the images")
    if end not in ("highest", "lowest"):
        reject("end", end, ["highest", "lowest"])
    if not len(ks):
        reject("the number of sizes", 0, "1 or more")
    sizes = np.array(sorted({check_integer("k", k, 1, n) for k in ks}))
    codes, names = pd.factorize(np.asarray(groups, dtype=object), sort=True)
    if len(names) < 2:
        reject("the number of groups", len(names), "2 or more")
    tops = [getattr(each, end)(int(sizes[-1])).numpy() for each in scores]
    fair = sizes[:, None] * np.bincount(codes)[None] / n

    def ratios(labels: np.ndarray) -> np.ndarray:
        at_end = np.eye(len(names))[np.stack([labels[top] for top in tops])]
        return at_end.cumsum(axis=1)[:, sizes - 1].mean(axis=0) / fair

    rng = np.random.default_rng(check_integer("seed", seed, 0))
    found = ratios(codes)
    shuffled = np.stack([ratios(rng.permutation(codes)) for _ in range(SHUFFLES)])
    # the deviation of a small group at a small k varies more: each counts in its own standard deviations
    deviation = shuffled.std(axis=0)
    deviation[deviation == 0] = np.inf  # the whole set: every ratio is 1
    furthest = (np.abs(shuffled - 1) / deviation).max(axis=(1, 2))
    limit = np.quantile(furthest, 0.95) * np.where(np.isinf(deviation), 0, deviation)
    own = (np.abs(found - 1) / deviation).max(axis=0)
    p = (1 + (furthest[:, None] >= own).sum(axis=0)) / (1 + SHUFFLES)

    def table(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, index=pd.Index(sizes, name="k"), columns=list(names))

    return Representation(
        table(found), table(np.maximum(0, 1 - limit)), table(1 + limit), pd.Series(p, index=list(names))
    )
