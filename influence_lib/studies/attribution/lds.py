"""The linear datamodeling score (LDS): how well sums of scores predict what happens without half of the images."""

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from influence_lib.errors import InputError, check_integer, reject
from influence_lib.estimate import Estimate

__all__ = ["by_target", "ceiling", "lds"]

RESAMPLED = 400


def by_target(scores: Tensor, kept: Tensor, outputs: Tensor) -> Tensor:
    """Return the LDS of each target.

    Parameters
    ----------
    scores : Tensor
        T×N: how much each image speaks for each target.
    kept : Tensor
        Boolean, m×N: which images were in each of m subsets.
    outputs : Tensor
        m×T: the targets' margins after training on each.

    Returns
    -------
    Tensor
        float64, T: the rank correlation over the subsets of the margin and the sum of the scores of the images that
        were there (attribution baseline, Eq. 1). 0 where all sums or all margins are equal: they tell nothing.

    Raises
    ------
    InputError
        If the shapes do not fit, there are fewer than 3 subsets, or a number is not finite.

    Examples
    --------
    >>> by_target(scores, halves.kept, halves.outputs()).mean()
    """
    predicted = _predicted(scores, kept, outputs)
    return torch.from_numpy(_spearman(predicted, outputs.double().numpy()))


def lds(scores: Tensor, kept: Tensor, outputs: Tensor, seed: int = 0, against: Tensor | None = None) -> Estimate:
    """Return the mean LDS over targets with a 95 % bootstrap interval over targets *and* subsets.

    The targets share the subsets, so that averaging over them does not remove the chance in which subsets were drawn:
    both are drawn anew in each of 400 resamples. The unit is a subset's training.

    Parameters
    ----------
    scores, kept, outputs : Tensor
        Those of `by_target`.
    seed : int
        Of the bootstrap.
    against : Tensor, optional
        T×N, other scores: the estimate is by how much the LDS of `scores` is above theirs, in the same resamples.

    Examples
    --------
    >>> lds(scores, halves.kept, halves.outputs()).above(0)
    """
    predicted = [_predicted(each, kept, outputs) for each in (scores, against) if each is not None]
    measured = outputs.double().numpy()

    def mean(rows: np.ndarray, columns: np.ndarray) -> float:
        reached = [_spearman(each[rows][:, columns], measured[rows][:, columns]).mean() for each in predicted]
        return float(reached[0] - sum(reached[1:]))

    rng, (m, targets) = np.random.default_rng(seed), measured.shape
    found = [mean(_drawn(rng, m), _drawn(rng, targets)) for _ in range(RESAMPLED)]
    low, high = np.percentile(found, [2.5, 97.5])
    value = mean(np.arange(m), np.arange(targets))
    return Estimate(value, min(float(low), value), max(float(high), value), m, "training")


def ceiling(repetitions: Tensor, seed: int = 0) -> Estimate:
    """Return the LDS that nothing can pass: of scores that predict the mean margin of each subset without error.

    One training is not the mean of all on its subset. The share of a target's variance between subsets, ρ, is estimated
    from several trainings of each (analysis of variance); what predicts the means perfectly has a correlation of √ρ
    with single trainings. The mean over targets, with a bootstrap interval over targets and subsets.

    Parameters
    ----------
    repetitions : Tensor
        Subsets×times×T, as `Halves.repetitions` returns them.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        If there are fewer than 3 subsets or 2 trainings of each.

    Examples
    --------
    >>> ceiling(halves.repetitions())
    """
    subsets, times, targets = repetitions.shape
    check_integer("the number of subsets", subsets, 3)
    check_integer("the number of trainings of a subset", times, 2)
    measured, rng = repetitions.double().numpy(), np.random.default_rng(seed)
    found = []
    for _ in range(RESAMPLED):
        found.append(_root_of_reliability(measured[_drawn(rng, subsets)][:, :, _drawn(rng, targets)]))
    value = _root_of_reliability(measured)
    low, high = np.percentile(found, [2.5, 97.5])
    return Estimate(value, min(float(low), value), max(float(high), value), subsets, "training")


def _drawn(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return n of n positions, with repetitions."""
    return np.asarray(rng.integers(n, size=n))


def _root_of_reliability(measured: np.ndarray) -> float:
    """Return the mean over targets of √ρ; below chance ρ is 0."""
    times = measured.shape[1]
    within = measured.var(axis=1, ddof=1).mean(axis=0)
    between = times * measured.mean(axis=1).var(axis=0, ddof=1)
    total = between + (times - 1) * within
    share = np.divide(between - within, total, out=np.zeros_like(total), where=total > 0)
    return float(np.sqrt(share.clip(0, 1)).mean())


def _predicted(scores: Tensor, kept: Tensor, outputs: Tensor) -> np.ndarray:
    """Return the sums of the scores of the images that were there, m×T."""
    if (
        scores.ndim != 2
        or kept.ndim != 2
        or outputs.shape != (len(kept), len(scores))
        or kept.shape[1] != scores.shape[1]
    ):
        found = f"{tuple(scores.shape)}, {tuple(kept.shape)} and {tuple(outputs.shape)}"
        reject("the shapes of scores, kept and outputs", found, "T×N, m×N and m×T")
    check_integer("the number of subsets", len(kept), 3)
    if not (torch.isfinite(scores).all() and torch.isfinite(outputs).all()):
        raise InputError("scores or outputs hold a number that is not finite.")
    return (kept.double() @ scores.double().T).numpy()


def _spearman(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the rank correlation of each column."""
    ranks = [rankdata(each, axis=0) for each in (left, right)]
    centred = [each - each.mean(axis=0) for each in ranks]
    sizes = np.sqrt(np.prod([np.square(each).sum(axis=0) for each in centred], axis=0))
    return np.divide((centred[0] * centred[1]).sum(axis=0), sizes, out=np.zeros_like(sizes), where=sizes > 0)
