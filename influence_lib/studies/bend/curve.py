"""Whether a score rises with the loss up to the top, or bends over, and where."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from influence_lib.errors import InputError, check_integer, reject
from influence_lib.estimate import RESAMPLES, Estimate
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable

__all__ = ["FLAT", "Bend", "by_decile", "find_bend", "find_bends", "logarithms_of"]

Array = npt.NDArray[np.float64]

DECILES = 10
GROUPS = 20  # in which the bend is looked for; fewer where there are not two images for each
LEAST = 2  # groups on either side that make a slope
FLAT = 0.25
"""Log-log slope below which a score no longer rises: twice the loss, and less than a fifth more of the score."""


@dataclass(frozen=True)
class Bend:
    """How the median score goes with the loss, over twenty groups of the images by their loss.

    Two lines that meet are fitted to the logarithms of the groups' medians by least squares, and meet at the loss where
    that fits best. A slope of 1 is a score in proportion to the loss. Intervals are over images; in each resample the
    place is looked for anew.

    Attributes
    ----------
    shape : {"rises", "flattens", "falls", "not clear"}
        ``"flattens"`` where the slope below is clearly (95 % interval) above `FLAT` and that above clearly below it;
        ``"falls"`` where the latter is clearly below 0, too; ``"rises"`` where it is clearly above `FLAT`; else it
        cannot be told.
    at : Estimate
        The loss where the lines meet; where the shape is ``"rises"`` it only says where the slope changes most.
    peak : Estimate
        The median loss of the group with the highest median score.
    below, above : Estimate
        The slopes of the two lines.
    """

    shape: str
    at: Estimate
    peak: Estimate
    below: Estimate
    above: Estimate


def by_decile(score: Scores, loss: Scores, seed: int = 0) -> pd.DataFrame:
    """Return the median score in each tenth of the images by their loss.

    Returns
    -------
    DataFrame
        Ten rows, the lowest loss first: ``"loss"``, the median (float64), and ``"score"``, an `Estimate` of the median
        with its interval over images; the tenths are drawn anew in it.

    Raises
    ------
    InputError
        If the scores are of different images, or of fewer than twenty.

    Examples
    --------
    >>> by_decile(ekfac, loss)["score"].iloc[-1].value
    """
    medians = _medians(score, loss, DECILES, seed)
    columns = {
        "loss": medians[0, 0],
        "score": [_estimate(column[0], column[1:], len(loss)) for column in medians[:, 1].T],
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(1, DECILES + 1, name="decile"))


def find_bend(score: Scores, loss: Scores, seed: int = 0) -> Bend:
    """Return where a score stops rising with the loss, and whether that is clear of noise.

    A narrow range of losses, a noisy score or few images give wide slopes, and no verdict.

    Parameters
    ----------
    score, loss : Scores
        Of the same images, in the same order, all above 0.
    seed : int
        Of the bootstrap over images.

    Raises
    ------
    InputError
        If the scores are of different images, of fewer than twenty, or not all above 0.

    Examples
    --------
    >>> found = find_bend(ekfac, loss)
    >>> found.shape, f"{found.at:.2f}"
    """
    check_comparable(score, loss)
    for name, each in (("score", score), ("loss", loss)):
        logarithms_of(name, each)
    n = len(loss)
    groups = min(GROUPS, n // 2)
    medians = _medians(score, loss, groups, seed)
    losses = medians[:, 0]
    at, slopes = _two_lines(*np.log(medians.swapaxes(0, 1)))
    below, above = (_estimate(slope[0], slope[1:], n) for slope in slopes)
    peaks = np.take_along_axis(losses, medians[:, 1].argmax(axis=1)[:, None], axis=1)[:, 0]
    return Bend(_shape(below, above), _estimate(at[0], at[1:], n), _estimate(peaks[0], peaks[1:], n), below, above)


def find_bends(scores: Mapping[str, tuple[Scores, Scores]], seed: int = 0) -> pd.DataFrame:
    """Return the `find_bend` of several encoders.

    Parameters
    ----------
    scores : mapping of str to (Scores, Scores)
        Name → the score and the loss.
    seed : int
        Of the bootstrap over images.

    Returns
    -------
    DataFrame
        A row for each name; ``"top loss"``, the median of the highest tenth (float64), ``"shape"`` (str), and
        ``"at"``, ``"peak"``, ``"below"`` and ``"above"``, each an `Estimate`.

    Raises
    ------
    InputError
        As `find_bend` does.

    Examples
    --------
    >>> find_bends({"SimCLR": (ekfac, loss)}).loc["SimCLR", "shape"]
    """
    rows = {
        name: {"top loss": float(np.median(loss.values[loss.highest(len(loss) // DECILES)]))}
        | vars(find_bend(score, loss, seed))
        for name, (score, loss) in scores.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def logarithms_of(name: str, scores: Scores) -> Array:
    """Return the natural logarithms of scores, float64.

    Raises
    ------
    InputError
        If one is not above 0.
    """
    values = scores.values.double().numpy()
    if not (values > 0).all():
        raise InputError(f"{name} has the value {values.min():g}, but a logarithm needs values above 0.")
    return np.log(values)


def _medians(score: Scores, loss: Scores, groups: int, seed: int) -> Array:
    """Return the medians of loss and score in groups by loss, (1 + resamples)×2×groups, as it is first."""
    check_comparable(score, loss)
    n = len(loss)
    if n < 2 * DECILES:
        reject("the number of images", n, f"{2 * DECILES} or more, two in each decile")
    rng = np.random.default_rng(check_integer("seed", seed, 0))
    images = np.concatenate([np.arange(n)[None], rng.integers(n, size=(RESAMPLES, n))])
    losses = loss.values.double().numpy()[images]
    order = np.argsort(losses, axis=1, kind="stable")
    both = np.stack([losses, score.values.double().numpy()[images]], axis=1)
    parts = np.array_split(np.take_along_axis(both, order[:, None], axis=2), groups, axis=2)
    return np.stack([np.median(part, axis=2) for part in parts], axis=2)


def _two_lines(x: Array, y: Array) -> tuple[Array, tuple[Array, Array]]:
    """Return where two lines that meet fit y on x best, for each row, as exp(x), and their slopes."""
    fits = [_broken(x, y, x[:, place, None]) for place in range(LEAST - 1, x.shape[1] - LEAST + 1)]
    left, slopes, changes = (np.stack(each, axis=1) for each in zip(*fits, strict=True))
    best = left.argmin(axis=1)
    rows = np.arange(len(x))
    below = slopes[rows, best]
    return np.exp(x[rows, best + LEAST - 1]), (below, below + changes[rows, best])


def _broken(x: Array, y: Array, knot: Array) -> tuple[Array, Array, Array]:
    """Return the squares that are left of a line with a knot, its slope below the knot, and how that changes there."""
    design = np.stack([np.ones_like(x), x - x.mean(axis=1, keepdims=True), np.maximum(x - knot, 0)], axis=2)
    # the pseudo-inverse: where losses tie there is no slope, and 0 is the shortest solution
    coefficients = np.linalg.pinv(design, rcond=1e-10) @ y[..., None]
    left = ((y[..., None] - design @ coefficients) ** 2).sum(axis=(1, 2))
    return left, coefficients[:, 1, 0], coefficients[:, 2, 0]


def _shape(below: Estimate, above: Estimate) -> str:
    if above.above(FLAT):
        return "rises"
    if below.above(FLAT) and above.below(FLAT):
        return "falls" if above.below(0) else "flattens"
    return "not clear"


def _estimate(value: float, resampled: Array, n: int) -> Estimate:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Estimate(float(value), float(low), float(high), n)
