"""The group or the photograph: what is left of a group's odds when what the pictures differ in is known."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from influence_lib.errors import InputError, check_number, reject
from influence_lib.estimate import Estimate

__all__ = ["adjusted_odds", "e_value", "log_odds"]

EVENTS = 10  # images at the end, and others, for each coefficient: with fewer the estimates run away


def adjusted_odds(
    at_end: Sequence[bool] | np.ndarray,
    groups: Sequence[str] | np.ndarray,
    measured: pd.DataFrame | Mapping[str, Sequence[float]],
) -> pd.DataFrame:
    """Return each group's odds of being at an end, alone and where what is measured of the pictures is known.

    A logistic regression for each group against all other images; what is measured enters in standard deviations, and
    squared.

    Parameters
    ----------
    at_end : sequence of bool
        N values: whether an image is at the end.
    groups : sequence of str
        N values, two different ones or more.
    measured : DataFrame or mapping
        Name → N finite numbers, such as brightness, contrast, sharpness.

    Returns
    -------
    DataFrame
        A row for each group; ``"alone"`` and ``"adjusted"`` (odds ratios, each an `Estimate` over images), and
        ``"e_value"`` (float64) of the adjusted one.

    Raises
    ------
    InputError
        If lengths differ, a number is not finite or does not vary, there are too few images at the end for so many
        measures, or a group is wholly at the end or wholly not.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> top, group, brightness = rng.random(500) < 0.3, rng.choice(["a", "b"], 500), rng.normal(size=500)
    >>> adjusted_odds(top, group, {"brightness": brightness}).loc["a", "adjusted"].value
    """
    outcome = np.asarray(at_end, dtype=bool)
    table = _standardised(measured, len(outcome))
    labels = np.asarray(groups, dtype=object)
    if len(labels) != len(outcome):
        reject("the number of groups' labels", len(labels), f"{len(outcome)}, that of the images")
    names = sorted(set(labels.tolist()))
    if len(names) < 2:
        reject("the number of groups", len(names), "2 or more")
    coefficients = 2 + 2 * table.shape[1]
    rarer = int(min(outcome.sum(), (~outcome).sum()))
    if rarer < EVENTS * coefficients:
        reject(
            "the number of images at the end",
            rarer,
            f"{EVENTS * coefficients} or more, {EVENTS} for each of {coefficients} coefficients",
        )
    known = np.hstack([table, table**2])
    rows = {}
    for name in names:
        own = (labels == name).astype(np.float64)
        alone, adjusted = _odds(outcome, own[:, None], name), _odds(outcome, np.column_stack([own, known]), name)
        rows[name] = {"alone": alone, "adjusted": adjusted, "e_value": e_value(adjusted, float(outcome.mean()))}
    return pd.DataFrame.from_dict(rows, orient="index")


def e_value(odds: Estimate, share: float) -> float:
    """Return how strong what was not measured would have to be to explain the odds away (VanderWeele and Ding, 2017).

    The risk ratio that it needs with the group and with the end, for the limit of the interval that is nearest to 1.

    Parameters
    ----------
    odds : Estimate
        An odds ratio, above 0.
    share : float
        Of the images at the end, in (0, 1); above 15 % the root of the odds ratio stands for the risk ratio.

    Returns
    -------
    float
        1 where the interval holds 1: nothing is needed.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> round(e_value(Estimate(2.0, 1.5, 2.7, 1000), share=0.01), 2)
    2.37
    """
    share = check_number("share", share, above=0, most=1)
    nearest = check_number("odds", odds.low if odds.low > 1 else odds.high if odds.high < 1 else 1.0, above=0)
    risk = max(nearest, 1 / nearest) ** (0.5 if share > 0.15 else 1.0)
    return float(risk + np.sqrt(risk * (risk - 1)))


def _odds(outcome: np.ndarray, columns: np.ndarray, name: str) -> Estimate:
    """Return the odds ratio of the first column with its Wald interval."""
    own = columns[:, 0] == 1
    if not 0 < outcome[own].mean() < 1 or not 0 < outcome[~own].mean() < 1:
        raise InputError(f"of the group {name!r} all images are at the end, or none: there are no odds to adjust.")
    with warnings.catch_warnings():
        warnings.simplefilter("error", PerfectSeparationWarning)
        fit = sm.GLM(outcome.astype(np.float64), sm.add_constant(columns), family=sm.families.Binomial()).fit()
    low, high = fit.conf_int()[1]
    return Estimate(float(np.exp(fit.params[1])), float(np.exp(low)), float(np.exp(high)), len(outcome))


def _standardised(measured: pd.DataFrame | Mapping[str, Sequence[float]], n: int) -> np.ndarray:
    """Return what was measured with mean 0 and standard deviation 1, N×M."""
    columns = []
    for name in measured:
        values = np.asarray(measured[name], dtype=np.float64)
        if len(values) != n:
            reject(f"the number of values of {name!r}", len(values), f"{n}, that of the images")
        if not np.isfinite(values).all():
            reject(f"the number of values of {name!r} that are not finite", int((~np.isfinite(values)).sum()), "0")
        if np.ptp(values) == 0:
            reject(f"{name!r}", float(values[0]), "a number that differs between images")
        columns.append((values - values.mean()) / values.std())
    if not columns:
        reject("the number of measures", 0, "1 or more")
    return np.column_stack(columns)


def log_odds(odds: Estimate) -> Estimate:
    """Return the natural logarithm of odds with their interval, on whose scale twice and half are as far from 0.

    Raises
    ------
    InputError
        If the odds or their limits are not above 0.

    Examples
    --------
    >>> f"{log_odds(Estimate(1.0, 0.5, 2.0, 100)):.2f}"
    '0.00 [-0.69, 0.69]'
    """
    if not min(odds.value, odds.low) > 0:
        reject("odds", f"{odds:.3g}", "above 0, with its interval")
    return replace(odds, value=math.log(odds.value), low=math.log(odds.low), high=math.log(odds.high))
