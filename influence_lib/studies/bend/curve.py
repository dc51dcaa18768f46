"""Does a score rise with the loss up to the top, or does it bend over?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from influence_lib.errors import InputError, check_integer, reject
from influence_lib.estimate import RESAMPLES, Estimate
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable

__all__ = ["FLAT", "Bend", "bend", "bends", "by_decile", "logarithms_of"]

Array = npt.NDArray[np.float64]

DECILES = 10
GROUPS = 20  # in which the bend is looked for; fewer where there are not two images for each
LEAST = 2  # groups on either side that make a slope
FLAT = 0.25
"""Log-log slope below which a score no longer rises: twice the loss, and less than a fifth more of the score."""


@dataclass(frozen=True)
class Bend:
    """How the median score goes with the loss, over twenty groups of the images by their loss.

    Slopes are those of the logarithm of the group's median score on that of its median loss: 1 where the score grows
    in proportion. Intervals are over images.

    Attributes
    ----------
    shape : {"rises", "flattens", "falls", "not clear"}
        ``"flattens"`` where the slope from some group to the top is clearly (95 % interval) below `FLAT` and the slope
        up to there clearly above it; ``"falls"`` where the former is clearly below 0, too; ``"rises"`` where the slope
        of the top two groups is clearly above `FLAT`; else it cannot be told.
    at : Estimate
        The median loss of the first group from which on the score does not rise, by the slopes without their intervals
        unless the shape is clear. NaN where there is none; the upper end is infinite where resamples have none.
    peak : Estimate
        The median loss of the group with the highest median score.
    below, above : Estimate
        The slopes up to and from `at`; where that is NaN, of all groups and of the top two.
    """

    shape: str
    at: Estimate
    peak: Estimate
    below: Estimate
    above: Estimate

    @property
    def bends(self) -> bool:
        """Whether the score flattens or falls, clear of noise."""
        return self.shape in ("flattens", "falls")


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


def bend(score: Scores, loss: Scores, seed: int = 0) -> Bend:
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
    >>> found = bend(ekfac, loss)
    >>> found.shape, f"{found.at:.2f}"
    """
    check_comparable(score, loss)
    for name, each in (("score", score), ("loss", loss)):
        logarithms_of(name, each)
    n = len(loss)
    groups = min(GROUPS, n // 2)
    medians = _medians(score, loss, groups, seed)
    losses, logs = medians[:, 0], np.log(medians)
    # at each place, with so many groups on either side: the slope up to it and from it on
    places = np.arange(LEAST - 1, groups - LEAST + 1)
    up_to = np.stack([_slope(logs[..., : place + 1]) for place in places], axis=1)
    from_it = np.stack([_slope(logs[..., place:]) for place in places], axis=1)

    clear = _clear(up_to, above=FLAT) & _clear(from_it, below=FLAT)
    stops = (up_to > FLAT) & (from_it < FLAT)
    first = np.where(stops.any(axis=1), losses[np.arange(len(losses)), places[stops.argmax(axis=1)]], np.inf)
    peaks = np.take_along_axis(losses, medians[:, 1].argmax(axis=1)[:, None], axis=1)[:, 0]
    at = int(clear.argmax() if clear.any() else stops[0].argmax())
    stopped = bool(clear.any() or stops[0].any())
    below, above = (up_to[:, at], from_it[:, at]) if stopped else (_slope(logs), from_it[:, -1])
    return Bend(
        shape=_shape(clear, clear & _clear(from_it, below=0), from_it[:, -1]),
        at=_estimate(losses[0, places[at]] if stopped else np.nan, first[1:], n),
        peak=_estimate(peaks[0], peaks[1:], n),
        below=_estimate(below[0], below[1:], n),
        above=_estimate(above[0], above[1:], n),
    )


def bends(scores: Mapping[str, tuple[Scores, Scores]], seed: int = 0) -> pd.DataFrame:
    """Return the `bend` of several encoders.

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
        As `bend` does.

    Examples
    --------
    >>> bends({"SimCLR": (ekfac, loss)}).loc["SimCLR", "shape"]
    """
    rows = {
        name: {"top loss": float(loss.values[loss.highest(len(loss) // DECILES)].median())}
        | vars(bend(score, loss, seed))
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


def _slope(logs: Array) -> Array:
    """Return the slope of the second on the first along the last axis of …×2×groups; 0 where the first is constant."""
    x, y = np.moveaxis(logs - logs.mean(axis=-1, keepdims=True), -2, 0)
    power = (x**2).sum(axis=-1)
    return (x * y).sum(axis=-1) / np.where(power > 0, power, np.inf)


def _clear(values: Array, above: float = -np.inf, below: float = np.inf) -> npt.NDArray[np.bool_]:
    """Return in which columns the intervals of the resamples, all rows but the first, lie between two limits."""
    low, high = np.quantile(values[1:], (0.025, 0.975), axis=0)
    return (low > above) & (high < below)


def _shape(flattens: npt.NDArray[np.bool_], falls: npt.NDArray[np.bool_], top: Array) -> str:
    if falls.any():
        return "falls"
    if flattens.any():
        return "flattens"
    return "rises" if _clear(top[:, None], above=FLAT).all() else "not clear"


def _estimate(value: float, resampled: Array, n: int) -> Estimate:
    """Return a value with the interval of its resamples, of which some may be infinite."""
    low, high = np.quantile(resampled, (0.025, 0.975), method="nearest")
    return Estimate(float(value), float(low), float(high), n)
