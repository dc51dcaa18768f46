"""How scores are distributed: their logarithms, over methods and along a training."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import skew, spearmanr

from influence_lib.errors import InputError, reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable

__all__ = [
    "PAPER_LOG_SCORES",
    "LogScores",
    "Orders",
    "distributions",
    "log_scores",
    "moments",
    "orders",
    "skewness",
]


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


@dataclass(frozen=True)
class Orders:
    """How far some distributions of scores differ, and in which order they stand.

    Attributes
    ----------
    mean_range, log_of_mean_range : float
        Greatest minus least, of the mean logarithm and of the logarithm of the mean.
    with_least_spread : float
        Rank correlation of the mean logarithm with the order of least standard deviation, the least first. NaN for
        fewer than three distributions.
    with_accuracy : float
        Rank correlation of the mean logarithm with the accuracy; NaN, too, where none are given.
    """

    mean_range: float
    log_of_mean_range: float
    with_least_spread: float
    with_accuracy: float


def log_scores(scores: Scores) -> LogScores:
    """Return the distribution of the logarithm of scores.

    Raises
    ------
    InputError
        If there are no scores, or one is not positive or not finite.

    Examples
    --------
    >>> log_scores(scores).mean
    """
    check_comparable(scores, scores)
    values = scores.values.double().numpy()
    if len(values) == 0 or not (values > 0).all():
        least = values.min() if len(values) else "that of no image"
        raise InputError(f"the least score is {least}, but all must be positive to have a logarithm.")
    logs = np.log(values)
    return LogScores(float(logs.mean()), float(logs.std()), float(np.log(values.mean())))


def distributions(scores: Mapping[str, Scores]) -> dict[str, LogScores]:
    """Return the `log_scores` of several scores, by their names.

    Raises
    ------
    InputError
        If one has no logarithm.

    Examples
    --------
    >>> distributions({"SimCLR": simclr, "BYOL": byol})["BYOL"].mean
    """
    return {name: log_scores(score) for name, score in scores.items()}


def moments(distributions: Mapping[str, LogScores]) -> pd.DataFrame:
    """Return distributions as a table: a row for each, float64 columns μ, σ and "log of the mean".

    Examples
    --------
    >>> float(moments(PAPER_LOG_SCORES["cifar10"]).loc["byol", "μ"])
    8.47
    """
    return pd.DataFrame(
        {name: {"μ": s.mean, "σ": s.deviation, "log of the mean": s.log_of_mean} for name, s in distributions.items()}
    ).T


def orders(distributions: Mapping[str, LogScores], accuracies: Mapping[str, Estimate] | None = None) -> Orders:
    """Return how far distributions of scores differ, and in which order they stand.

    Parameters
    ----------
    distributions : mapping of str to LogScores
        As the function `distributions` returns them.
    accuracies : mapping of str to Estimate, optional
        Of the encoders, by the same names and perhaps more.

    Raises
    ------
    InputError
        If there are no distributions, or one has no accuracy where others have.

    Examples
    --------
    >>> orders(PAPER_LOG_SCORES["cifar10"]).with_least_spread
    1.0
    """
    if not distributions:
        reject("the number of distributions", 0, "1 or more")
    table = moments(distributions)
    if accuracies is not None and (missing := distributions.keys() - accuracies.keys()):
        raise InputError(f"{min(missing)!r} has a distribution, but no accuracy.")
    return Orders(
        mean_range=float(np.ptp(table["μ"])),
        log_of_mean_range=float(np.ptp(table["log of the mean"])),
        with_least_spread=_order(table["μ"], -table["σ"]),
        with_accuracy=float("nan")
        if accuracies is None
        else _order(table["μ"], pd.Series({name: accuracies[name].value for name in distributions})),
    )


def _order(a: pd.Series, b: pd.Series) -> float:
    """Return a rank correlation; NaN of fewer than three, whose order is one of two, or where all are equal."""
    return float(spearmanr(a, b).statistic) if len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0 else float("nan")


def skewness(scores: Scores) -> float:
    """Return the skewness of scores, not of their logarithms, corrected for the number of images; 0 is symmetric.

    Raises
    ------
    InputError
        If there are fewer than three scores, they are all equal, or one is not finite.

    Examples
    --------
    >>> skewness(scores) > 1  # a long tail to the right
    """
    check_comparable(scores, scores)
    values = scores.values.double().numpy()
    if len(values) < 3 or np.ptp(values) == 0:
        raise InputError(f"the {len(values)} scores have no skewness: it needs three that are not all equal.")
    return float(skew(values, bias=False))
