"""The training as the unit: numbers of several trainings, of pairs of them, and what so few can show.

An interval over images says how well one encoder's number is known, an interval over trainings what another training
would give. With three trainings the second is wide, and Student's t makes it as wide as it must be.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np
from scipy.stats import nct
from scipy.stats import t as student

from influence_lib.errors import check_number, reject
from influence_lib.estimate import Estimate

__all__ = ["combined", "over_pairs", "over_trainings", "power", "standard_error"]

LEVEL = 0.95  # of every interval
UNIT = "training"
One = TypeVar("One")  # what there is of one training, such as its scores


def over_trainings(values: Sequence[float], least: float = -np.inf, most: float = np.inf) -> Estimate:
    """Return the mean of a number over trainings with Student's interval.

    Parameters
    ----------
    values : sequence of float
        One of each training, two or more.
    least, most : float
        What the number can be, at which the interval ends: −1 and 1 for a correlation, 0 and 1 for a share.

    Raises
    ------
    InputError
        If there are fewer, or one is not finite.

    Examples
    --------
    >>> f"{over_trainings([0.80, 0.82, 0.81]):.2f}"
    '0.81 [0.79, 0.83]'
    """
    numbers = _checked(values, 2)
    error = float(np.std(numbers, ddof=1)) / len(numbers) ** 0.5
    return _with_interval(float(np.mean(numbers)), error, len(numbers), least, most)


def combined(found: Iterable[Estimate]) -> Estimate:
    """Return the mean over trainings of a number that each knows with its own interval.

    Parameters
    ----------
    found : iterable of Estimate
        One of each training. A single one stays as it is, with its interval over images, which says nothing about other
        trainings.

    Raises
    ------
    InputError
        If there are none, or of several one is not finite.

    Examples
    --------
    >>> f"{combined(map(Estimate.stated, (0.1, 0.2, 0.3))):.2f}"
    '0.20 [-0.05, 0.45]'
    """
    several = list(found)
    return several[0] if len(several) == 1 else over_trainings([each.value for each in several])


def over_pairs(
    statistic: Callable[[One, One], float], scores: Sequence[One], least: float = -np.inf, most: float = np.inf
) -> Estimate:
    """Return the mean of a number over all pairs of trainings, with an interval over trainings.

    Pairs share trainings, so their numbers are not independent: the standard error is the jackknife's, which leaves
    one training out at a time (Efron and Stein, 1981).

    Parameters
    ----------
    statistic : callable
        Of the scores by two trainings, in either order.
    scores : sequence of Scores
        By each training, three or more, of the same images.
    least, most : float
        Those of `over_trainings`.

    Raises
    ------
    InputError
        If there are fewer, or the statistic is not finite.

    Examples
    --------
    >>> over_pairs(lambda a, b: rank_agreement(a, b).value, [first, second, third]).n
    3
    """
    n = len(scores)
    if n < 3:
        reject("the number of trainings", n, "3 or more")
    pairs = {(i, j): statistic(scores[i], scores[j]) for i, j in combinations(range(n), 2)}
    mean = float(np.mean(_checked(list(pairs.values()), 3)))
    without = np.array([np.mean([value for pair, value in pairs.items() if i not in pair]) for i in range(n)])
    error = float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
    return _with_interval(mean, error, n, least, most)


def power(effect: float, error: float, trainings: int) -> float:
    """Return the chance that an interval over trainings leaves zero out, where the truth is `effect`.

    Of a two-sided t test at 5 %, by the noncentral t distribution.

    Parameters
    ----------
    effect : float
        In the units of what is estimated.
    error : float
        The standard error of the mean over these trainings, above 0.
    trainings : int
        How many, two or more.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> round(power(effect=2.3, error=1.1 * (2 / 5) ** 0.5, trainings=9), 2)
    0.82
    """
    effect, error = check_number("effect", effect), check_number("error", error, above=0)
    if trainings < 2:
        reject("trainings", trainings, "2 or more")
    limit, shift = _limit(trainings), abs(effect) / error
    return float(nct.sf(limit, trainings - 1, shift) + nct.sf(limit, trainings - 1, -shift))


def standard_error(estimate: Estimate) -> float:
    """Return the standard error behind an interval over trainings.

    Raises
    ------
    InputError
        If the interval is over something else, or there are fewer than two trainings.

    Examples
    --------
    >>> round(standard_error(over_trainings([0.80, 0.82, 0.81])), 4)
    0.0058
    """
    if estimate.unit != UNIT or estimate.n is None or estimate.n < 2:
        reject("the unit of the interval", f"{estimate.n} {estimate.unit}", "two trainings or more")
    reach = max(estimate.value - estimate.low, estimate.high - estimate.value)  # one end may be at what is possible
    return reach / _limit(estimate.n)


def _limit(trainings: int) -> float:
    """Return how many standard errors an interval reaches to either side."""
    return float(student.ppf((1 + LEVEL) / 2, trainings - 1))


def _with_interval(value: float, error: float, n: int, least: float, most: float) -> Estimate:
    reach = _limit(n) * error
    return Estimate(value, max(least, value - reach), min(most, value + reach), n, UNIT)


def _checked(values: Sequence[float], least: int) -> np.ndarray:
    """Return some numbers as an array, refused where there are too few or one is not finite."""
    if len(values) < least:
        reject("the number of trainings", len(values), f"{least if len(values) else 1} or more")
    for value in values:
        check_number("a value", value)
    return np.asarray(values, dtype=np.float64)
