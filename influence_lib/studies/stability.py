"""What stays of a score when what is arbitrary changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from influence_lib.errors import InputError
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable, check_several, ranked

__all__ = ["PAPER_LOG_SCORES", "PAPER_TABLE_4", "LogScores", "explained_variance", "log_scores"]


@dataclass(frozen=True)
class LogScores:
    """The distribution of the natural logarithm of scores.

    Attributes
    ----------
    mean, deviation : float
        Of the logarithm over the images.
    log_of_mean : float
        The logarithm of the mean score. Where logarithms are normal this is ``mean + deviation² / 2``.
    """

    mean: float
    deviation: float
    log_of_mean: float

    @classmethod
    def normal(cls, mean: float, deviation: float) -> "LogScores":
        """Return normal logarithms with this mean and standard deviation."""
        return cls(mean, deviation, mean + deviation**2 / 2)


PAPER_LOG_SCORES = {
    "cifar10": {
        "barlow": LogScores.normal(8.71, 0.85),
        "byol": LogScores.normal(8.47, 1.03),
        "simclr": LogScores.normal(8.13, 1.27),
    },
    "cifar100": {
        "barlow": LogScores.normal(8.96, 0.86),
        "byol": LogScores.normal(8.81, 1.08),
        "simclr": LogScores.normal(8.24, 1.18),
    },
}
"""The paper's appendix B.1: image set → method → mean and deviation, taken for those of normal logarithms."""

PAPER_TABLE_4 = {
    "flip + grayscale + blur": 0.7197,
    "flip + colour jitter + grayscale": 0.7234,
    "flip + colour jitter + blur": 0.7422,
    "flip + blur": 0.7447,
    "random crop": 0.9509,
    "Gaussian noise": 0.9745,
}
"""The paper's Table 4: row, as in `influence.TABLE_4` → correlation."""


def log_scores(scores: Scores) -> LogScores:
    """Return the distribution of the logarithm of scores.

    Raises
    ------
    InputError
        If there are no scores, or one is not positive or not finite.
    """
    check_comparable(scores, scores)
    values = scores.values.double().numpy()
    if len(values) == 0 or not (values > 0).all():
        least = values.min() if len(values) else "that of no image"
        raise InputError(f"the least score is {least}, but all must be positive to have a logarithm.")
    logs = np.log(values)
    return LogScores(float(logs.mean()), float(logs.std()), float(np.log(values.mean())))


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
    """
    for other in (scores, *check_several("by", by)):
        check_comparable(scores, other)
    ranks = ranked(scores.values.numpy())
    if len(ranks) == 0 or ranks.var() == 0:
        raise InputError("the score is the same for all images: there is no variance to explain.")
    design = np.stack([np.ones(len(ranks)), *(ranked(other.values.numpy()) for other in by)], axis=1)
    rest = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    return float(1 - rest.var() / ranks.var())
