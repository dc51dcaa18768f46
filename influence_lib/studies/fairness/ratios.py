"""How a group is represented among the highest scores: exact laws of counts in a finite pool.

Which images are the top is a draw without replacement from those that there are, so under "the score knows nothing of
the group" the count of a group among the k highest is hypergeometric, not binomial. Where the group matters it is
Fisher's noncentral hypergeometric law, with the odds ratio of being in the top as its parameter.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, softmax
from scipy.stats import hypergeom

from influence_lib.errors import check_integer, check_number, reject
from influence_lib.estimate import Estimate

__all__ = ["expected_ratio", "null_counts", "p_value", "ratio", "smallest_ratio_seen", "unevenness"]

DRAWS = 20_000  # simulated tops
SEARCHED = 1e6  # the largest odds ratio that is looked at


def null_counts(total: int, members: int, k: int, level: float = 0.95) -> tuple[int, int]:
    """Return the counts between which a group's lies where the score knows nothing of it.

    Parameters
    ----------
    total, members, k : int
        Images, those of the group, and those that count as the top.
    level : float
        The least probability of the range, ends included.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> null_counts(10_500, 1_500, 100)  # of seven equal groups
    (8, 21)
    """
    pool, tail = _pool(total, members, k), (1 - check_number("level", level, above=0, most=1)) / 2
    return int(hypergeom.ppf(tail, *pool)), int(hypergeom.isf(tail, *pool))


def p_value(count: int, total: int, members: int, k: int) -> float:
    """Return how likely a count at least as far out is where the score knows nothing of the group.

    Two-sided: twice the smaller tail, 1 at most.

    Parameters
    ----------
    count : int
        Images of the group among the top.
    total, members, k : int
        Those of `null_counts`.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> round(p_value(24, 10_500, 1_500, 100), 4)
    0.0127
    """
    pool = _pool(total, members, k)
    _check_count(count, *pool)
    return float(min(1.0, 2 * min(hypergeom.cdf(count, *pool), hypergeom.sf(count - 1, *pool))))


def ratio(count: int, total: int, members: int, k: int, level: float = 0.95) -> Estimate:
    """Return the representation ratio: the group's share of the top over its share of all, with its exact interval.

    The interval holds the odds ratios that the count does not refuse, each tail at (1 − level) / 2, as the ratios that
    they give in expectation.

    Parameters
    ----------
    count : int
        Images of the group among the top.
    total, members, k : int
        Those of `null_counts`.
    level : float
        Of the interval.

    Returns
    -------
    Estimate
        Over images; 1 is as many as chance gives.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> f"{ratio(24, 10_500, 1_500, 100):.2f}"
    '1.68 [1.12, 2.34]'
    """
    _check_count(count, *_pool(total, members, k))
    tail = (1 - check_number("level", level, above=0, most=1)) / 2
    least, most = max(0, k - (total - members)), min(k, members)
    fair = k * members / total

    def refused(upper: bool) -> float:
        """Return the ratio of the odds at which a tail is as small as that."""
        at = _crossing(lambda odds: _tail(count, odds, total, members, k, upper) - tail)
        return expected_ratio(at, total, members, k)

    low = least / fair if count == least else refused(upper=True)
    high = most / fair if count == most else refused(upper=False)
    return Estimate(count / fair, low, high, n=k)


def expected_ratio(odds: float, total: int, members: int, k: int) -> float:
    """Return the representation ratio that an odds ratio of being in the top gives in expectation.

    Parameters
    ----------
    odds : float
        Above 0; 1 where the score knows nothing of the group.
    total, members, k : int
        Those of `null_counts`.

    Examples
    --------
    >>> round(expected_ratio(2.0, 10_500, 1_500, 100), 2)
    1.74
    """
    counts, probabilities = _fisher(check_number("odds", odds, above=0), total, members, k)
    return float(counts @ probabilities) / (k * members / total)


def smallest_ratio_seen(total: int, members: int, k: int, chance: float = 0.8, tests: int = 1) -> tuple[float, float]:
    """Return which representation ratios a top of k images would have shown: below the first, or above the second.

    Parameters
    ----------
    total, members, k : int
        Those of `null_counts`.
    chance : float
        With which it is to be seen.
    tests : int
        Groups that are tested together, each at 5 % over their number.

    Returns
    -------
    (float, float)
        0 and infinity where no ratio would have been seen.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> [round(limit, 2) for limit in smallest_ratio_seen(10_500, 1_500, 100, tests=7)]
    [0.27, 1.98]
    """
    pool, chance = _pool(total, members, k), check_number("chance", chance, above=0, most=1)
    level = 0.05 / check_integer("tests", tests)
    low, high = null_counts(total, members, k, 1 - level)
    # the first counts that are refused
    too_few = next((c for c in range(low, -1, -1) if 2 * hypergeom.cdf(c, *pool) < level), None)
    too_many = next((c for c in range(high, min(k, members) + 1) if 2 * hypergeom.sf(c - 1, *pool) < level), None)

    def at_the_chance(count: int, upper: bool) -> float:
        at = _crossing(lambda odds: _tail(count, odds, total, members, k, upper) - chance)
        return expected_ratio(at, total, members, k)

    below = 0.0 if too_few is None else at_the_chance(too_few, upper=False)
    return below, float("inf") if too_many is None else at_the_chance(too_many, upper=True)


def unevenness(counts: Sequence[int], members: Sequence[int], seed: int = 0) -> float:
    """Return how often a score that knows nothing of the groups gives a top at least as uneven.

    Uneven by Pearson's χ² against the groups' shares; tops are drawn without replacement.

    Parameters
    ----------
    counts, members : sequence of int
        Images of each group among the top, and among all.
    seed : int
        Of the drawing.

    Returns
    -------
    float
        A probability, never below one over the number of drawn tops.

    Raises
    ------
    InputError
        If there are fewer than two groups, or a count is not possible.

    Examples
    --------
    >>> unevenness([24, 20, 18, 14, 12, 7, 5], [1500] * 7) < 0.01
    True
    """
    if len(counts) != len(members) or len(counts) < 2:
        reject(
            "the number of groups", f"{len(counts)} and {len(members)}", "the same, 2 or more, in counts and members"
        )
    found, pool = (np.array([check_integer("a count", each, 0) for each in part]) for part in (counts, members))
    k = int(found.sum())
    if (found > pool).any() or k == 0:
        reject("counts", found.tolist(), "at most the members of each group, and not all 0")
    drawn = np.random.default_rng(check_integer("seed", seed, 0)).multivariate_hypergeometric(pool, k, DRAWS)
    expected = k * pool / pool.sum()

    def chi_square(tops: np.ndarray) -> np.ndarray:
        return ((tops - expected) ** 2 / expected).sum(axis=-1)

    as_uneven = (chi_square(drawn) >= chi_square(found) * (1 - 1e-12)).sum()
    return float((1 + as_uneven) / (1 + DRAWS))


def _pool(total: int, members: int, k: int) -> tuple[int, int, int]:
    """Return the parameters of a count's law, checked, in SciPy's order."""
    total = check_integer("total", total)
    return total, check_integer("members", members, 1, total), check_integer("k", k, 1, total)


def _fisher(odds: float, total: int, members: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all counts of Fisher's noncentral hypergeometric law, and their probabilities."""
    counts = np.arange(max(0, k - (total - members)), min(k, members) + 1)
    rest = total - members - k + counts
    ways = -(gammaln(counts + 1) + gammaln(members - counts + 1) + gammaln(k - counts + 1) + gammaln(rest + 1))
    return counts, softmax(ways + counts * np.log(odds))


def _tail(count: int, odds: float, total: int, members: int, k: int, upper: bool) -> float:
    """Return the probability of a count, and of all above it or below it."""
    counts, probabilities = _fisher(odds, total, members, k)
    return float(probabilities[counts >= count if upper else counts <= count].sum())


def _check_count(count: int, total: int, members: int, k: int) -> None:
    check_integer("count", count, max(0, k - (total - members)), min(k, members))


def _crossing(difference: Callable[[float], float]) -> float:
    """Return the odds ratio at which a difference, monotone in it, is 0."""
    return float(np.exp(brentq(lambda log: difference(float(np.exp(log))), -np.log(SEARCHED), np.log(SEARCHED))))
