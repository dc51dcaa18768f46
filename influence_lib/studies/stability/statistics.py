"""How far scores follow simple numbers of the images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable, check_several, ranked

__all__ = ["explained_variance", "strongest"]


def explained_variance(scores: Scores, by: Sequence[Scores]) -> float:
    """Return the part of the variance of a score's ranks that a linear function of others' ranks explains, in [0, 1].

    Parameters
    ----------
    scores : Scores
        What is explained.
    by : sequence of Scores
        What explains it, of the same images in the same order.

    Raises
    ------
    InputError
        If the scores are of different images, or there is no variance.

    Examples
    --------
    >>> explained_variance(ekfac, list(influence.statistic_scores(images).values()))
    """
    for other in (scores, *check_several("by", by)):
        check_comparable(scores, other)
    ranks = ranked(scores.values.numpy())
    if len(ranks) == 0 or ranks.var() == 0:
        raise InputError("the score is the same for all images: there is no variance to explain.")
    design = np.stack([np.ones(len(ranks)), *(ranked(other.values.numpy()) for other in by)], axis=1)
    rest = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    return float(1 - rest.var() / ranks.var())


def strongest(agreements: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Return which of some statistics goes most with several scores: the greatest mean magnitude of its correlations.

    Parameters
    ----------
    agreements : mapping of str to mapping of str to Estimate
        Name of a score → statistic → rank correlation; the same statistics for each score.

    Raises
    ------
    InputError
        If there are none.

    Examples
    --------
    >>> strongest({"SimCLR": correlates(simclr, statistics), "BYOL": correlates(byol, statistics)})
    """
    if not agreements or not all(agreements.values()):
        raise InputError("there is nothing to compare: it takes a score and a statistic at least.")
    magnitudes = pd.DataFrame(agreements).map(lambda each: abs(each.value)).astype(float)
    return str(magnitudes.mean(axis=1).idxmax())
