"""A number with its uncertainty, as every study, table and figure states it."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.stats import DegenerateDataWarning, binomtest, bootstrap

from influence_lib.errors import check_integer, reject

__all__ = ["Estimate", "bootstrapped", "compared", "mean", "share"]

RESAMPLES = 500  # where a statistic takes long
RESAMPLES_OF_MEAN = 9999
UNITS_AT_ONCE = 2**20  # resampled units that are held at once


@dataclass(frozen=True)
class Estimate:
    """A number with a 95 % interval, and what the interval is over.

    Attributes
    ----------
    value, low, high : float
        In the units of what is estimated. All NaN where nothing can be estimated, and the interval alone where that
        happens in a resample, as with few units or many ties.
    n : int or None
        Number of units; None for a number without an interval, such as one that a paper states.
    unit : str
        What is drawn anew in the interval: an image, a query, a training. An interval over images says nothing about
        other trainings.

    Examples
    --------
    >>> f"{Estimate(0.62, 0.6, 0.64, 1000):.2f}"
    '0.62 [0.60, 0.64]'
    >>> Estimate(0.62, 0.6, 0.64, 1000).below(0.96)
    True
    """

    value: float
    low: float
    high: float
    n: int | None
    unit: str = "image"

    @classmethod
    def stated(cls, value: float) -> "Estimate":
        """Return a number that is stated without an interval, such as a paper's."""
        return cls(value, value, value, None, "")

    @property
    def margin(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2

    def scaled(self, factor: float) -> "Estimate":
        """Return the number in other units, such as percentage points, 100 of which are 1.

        Parameters
        ----------
        factor : float
            Above 0.

        Examples
        --------
        >>> f"{Estimate(0.02, 0.01, 0.03, 5, 'training').scaled(100):+.1f}"
        '+2.0 [+1.0, +3.0]'
        """
        return replace(self, value=factor * self.value, low=factor * self.low, high=factor * self.high)

    def above(self, other: "float | Estimate") -> bool:
        """Return whether the whole interval lies above a number, or above another interval."""
        return self.low > (other.high if isinstance(other, Estimate) else other)

    def below(self, other: "float | Estimate") -> bool:
        """Return whether the whole interval lies below a number, or below another interval."""
        return self.high < (other.low if isinstance(other, Estimate) else other)

    def compared(self, other: "float | Estimate") -> str:
        """Return ``"above"``, ``"below"`` or ``"not clearly different from"``."""
        return "above" if self.above(other) else "below" if self.below(other) else "not clearly different from"

    def describe(self) -> dict[str, float | int | str | None]:
        """Return the fields as JSON-able values."""
        return asdict(self)

    def __format__(self, spec: str) -> str:
        """Return the value and its interval, each with a format such as ``.2f`` or ``.1%``."""
        spec = spec or ".3f"
        value = format(self.value, spec)
        return value if self.n is None else f"{value} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self)


def compared(estimates: Iterable[Estimate], other: float | Estimate) -> str:
    """Return how several numbers lie to another: ``"above"`` or ``"below"`` where all intervals do, else ``"about"``.

    Parameters
    ----------
    estimates : iterable of Estimate
        One or more.
    other : float or Estimate
        What they are compared with.

    Raises
    ------
    InputError
        If there are none.

    Examples
    --------
    >>> compared([Estimate(0.62, 0.6, 0.64, 1000), Estimate.stated(0.9)], 0.96)
    'below'
    """
    several = list(estimates)
    if not several:
        reject("the number of estimates", 0, "1 or more")
    if all(each.above(other) for each in several):
        return "above"
    return "below" if all(each.below(other) for each in several) else "about"


def share(hits: np.ndarray, unit: str = "image") -> Estimate:
    """Return the part of a boolean array that is true, with Wilson's interval.

    Parameters
    ----------
    hits : array
        Boolean, one entry a unit.
    unit : str
        What an entry is.

    Raises
    ------
    InputError
        If it is empty.

    Examples
    --------
    >>> f"{share(np.array([True] * 8 + [False] * 2)):.0%}"
    '80% [49%, 94%]'
    """
    if len(hits) == 0:
        reject("the number of hits", 0, "1 or more")
    interval = binomtest(int(np.sum(hits)), len(hits)).proportion_ci(method="wilson")
    return Estimate(float(np.mean(hits)), float(interval.low), float(interval.high), len(hits), unit)


def mean(values: np.ndarray, unit: str, seed: int = 0) -> Estimate:
    """Return the mean of some values with its bootstrap interval.

    Parameters
    ----------
    values : array
        One a unit.
    unit : str
        What a value belongs to.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        If there are none, or `seed` is no whole number.

    Examples
    --------
    >>> f"{mean(np.arange(100.0), 'query'):.0f}"
    '50 [44, 55]'
    """
    if len(values) == 0:
        reject("the number of values", 0, "1 or more")
    if np.ptp(values) == 0:  # nothing varies, which SciPy's bootstrap takes for an error
        return Estimate(float(values[0]), float(values[0]), float(values[0]), len(values), unit)
    return bootstrapped(np.mean, (values,), unit, seed, RESAMPLES_OF_MEAN)


def bootstrapped(
    statistic: Callable[..., np.ndarray],
    data: tuple[np.ndarray, ...],
    unit: str = "image",
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Return a statistic with its percentile interval over resampled units.

    Parameters
    ----------
    statistic : callable
        Takes the arrays and an `axis` to reduce.
    data : tuple of array
        Of one length; what stands in one place belongs to one unit and stays together.
    unit : str
        What is resampled.
    seed : int
        Of the resampling.
    resamples : int
        How many.

    Raises
    ------
    InputError
        If `seed` is no whole number.

    Examples
    --------
    >>> bootstrapped(np.median, (np.arange(100.0),)).value
    49.5
    """
    rng = np.random.default_rng(check_integer("seed", seed, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # NaN says it
        interval = bootstrap(
            data,
            statistic,
            paired=True,
            n_resamples=resamples,
            batch=max(1, UNITS_AT_ONCE // len(data[0])),
            method="percentile",
            rng=rng,
        ).confidence_interval
    return Estimate(float(statistic(*data)), float(interval.low), float(interval.high), len(data[0]), unit)
