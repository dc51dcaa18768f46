"""How far two scores agree."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import bootstrap, spearmanr

from influence_lib.errors import InputError
from influence_lib.influence.scores import Scores

__all__ = ["Agreement", "rank_agreement", "top_overlap"]

RESAMPLES = 500


@dataclass(frozen=True)
class Agreement:
    """A rank correlation with its 95 % bootstrap interval over images, each in [−1, 1]."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def rank_agreement(a: Scores, b: Scores, seed: int = 0) -> Agreement:
    """Return the Spearman correlation of two scores of the same images.

    Parameters
    ----------
    a, b : Scores
        Scores of the same images, in the same order.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        If the scores are of different images.
    """
    _check_same_images(a, b)

    def statistic(x: np.ndarray, y: np.ndarray) -> float:
        return float(spearmanr(x, y).statistic)

    data = (a.values.numpy(), b.values.numpy())
    interval = bootstrap(
        data,
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Agreement(statistic(*data), float(interval.low), float(interval.high))


def top_overlap(a: Scores, b: Scores, k: int) -> float:
    """Return the fraction of the `k` highest images of `a` that are among the `k` highest of `b`.

    Raises
    ------
    InputError
        If the scores are of different images, or there are fewer than `k`.
    """
    _check_same_images(a, b)
    if not 1 <= k <= len(a):
        raise InputError(f"k is {k}, but it must be between 1 and the number of images, {len(a)}.")
    return float(torch.isin(a.highest(k), b.highest(k)).float().mean())


def _check_same_images(a: Scores, b: Scores) -> None:
    if a.ids.tolist() != b.ids.tolist():
        raise InputError("the two scores are of different images: score the same image set twice.")
