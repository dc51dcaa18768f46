"""A claim's value against scale: epochs, training images or width.

A `Trend` says how a value goes with the scale; the verdict on the claim is made elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from influence_lib.errors import check_number, check_strings, reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores, rank_agreement
from influence_lib.studies.bend import agreement_at_the_top

__all__ = ["Trend", "agreement_over_scales", "over_scales", "score_and_loss_over_scales"]


@dataclass(frozen=True)
class Trend:
    """The values of some series at growing scales.

    Attributes
    ----------
    over : str
        What grows, such as ``"epochs"``.
    at : tuple of float
        The scales, increasing.
    series : dict of str to tuple of Estimate
        Name → one value for each scale.
    """

    over: str
    at: tuple[float, ...]
    series: dict[str, tuple[Estimate, ...]]

    def slope(self, name: str) -> float:
        """Return how much a series rises for each doubling of the scale, by least squares; NaN at a single scale."""
        if len(self.at) < 2:
            return float("nan")
        x, y = np.log2(self.at), np.array([each.value for each in self.series[name]])
        return float(np.cov(x, y)[0, 1] / np.var(x, ddof=1))

    def direction(self, name: str) -> str:
        """Return ``"rises"`` or ``"falls"`` where the intervals of the first and the last value are apart that way.

        Else ``"not clear"``.
        """
        first, last = self.series[name][0], self.series[name][-1]
        return {"above": "rises", "below": "falls"}.get(last.compared(first), "not clear")

    def towards(self, name: str, stated: float) -> bool:
        """Return whether the last value is nearer to a stated one than the first, and their intervals are apart.

        Raises
        ------
        InputError
            If `stated` is no finite number.
        """
        stated = check_number("stated", stated)
        values = self.series[name]
        nearer = abs(values[-1].value - stated) < abs(values[0].value - stated)
        return nearer and self.direction(name) != "not clear"

    def numbers(self) -> dict[str, Any]:
        """Return ``over``, ``at`` and the ``values`` without their intervals, as JSON-able values."""
        values = {name: [each.value for each in several] for name, several in self.series.items()}
        return {"over": self.over, "at": list(self.at), "values": values}


def over_scales(over: str, series: Mapping[str, Mapping[float, Estimate]]) -> Trend:
    """Return the values of some series in the order of their scale.

    Parameters
    ----------
    over : str
        What the scale is of.
    series : mapping of str to mapping of float to Estimate
        Name → scale, above 0 → value; the same scales in each.

    Raises
    ------
    InputError
        If there is nothing, a scale is not above 0, or two series have other scales.

    Examples
    --------
    >>> over_scales("epochs", {"shared": {6: Estimate.stated(0.5), 24: Estimate.stated(0.1)}}).slope("shared")
    -0.2
    """
    if not series or not all(series.values()):
        reject("the number of values", 0, "1 or more in each series")
    (over,) = check_strings("over", [over], "the name of what grows, such as 'epochs'")
    at = sorted(check_number("a scale", scale, above=0) for scale in next(iter(series.values())))
    for name, values in series.items():
        if values.keys() != set(at):
            reject(f"the scales of {name!r}", list(values), f"those of the first series, {at}")
    return Trend(over, tuple(at), {name: tuple(values[scale] for scale in at) for name, values in series.items()})


def agreement_over_scales(
    over: str, pairs: Mapping[str, Mapping[float, tuple[Scores, Scores]]], seed: int = 0
) -> Trend:
    """Return the rank correlation of two trainings at growing scales.

    Parameters
    ----------
    over : str
        What the scale is of.
    pairs : mapping of str to mapping of float to (Scores, Scores)
        Name, such as that of a kind of score → scale → the scores by one training and by the other.
    seed : int
        Of the bootstrap over images.

    Raises
    ------
    InputError
        As `over_scales` and `rank_agreement` do.

    Examples
    --------
    >>> agreement_over_scales("images", {"SimCLR": {5000: (small, small_again), 50000: (large, large_again)}})
    """
    agreements = {
        name: {scale: rank_agreement(*pair, seed) for scale, pair in several.items()} for name, several in pairs.items()
    }
    return over_scales(over, agreements)


def score_and_loss_over_scales(
    over: str, scores: Mapping[float, tuple[Scores, Scores]], k: int | None = None, seed: int = 0
) -> Trend:
    """Return how far a score and the loss agree at growing scales.

    Parameters
    ----------
    over : str
        What the scale is of.
    scores : mapping of float to (Scores, Scores)
        Scale → score and loss.
    k, seed : int
        Those of `bend.agreement_at_the_top`.

    Returns
    -------
    Trend
        The series ``"overall"``, ``"within the highest losses"``, ``"top shared"`` and ``"bottom shared"``.

    Raises
    ------
    InputError
        As `over_scales` and `bend.agreement_at_the_top` do.

    Examples
    --------
    >>> score_and_loss_over_scales("epochs", {6: (ekfac_6, loss_6), 24: (ekfac_24, loss_24), 60: (ekfac, loss)}).at
    (6, 24, 60)
    """
    found = {scale: agreement_at_the_top(*pair, k, seed) for scale, pair in scores.items()}
    fields = {
        "overall": "overall",
        "within the highest losses": "within",
        "top shared": "top",
        "bottom shared": "bottom",
    }
    return over_scales(
        over,
        {name: {scale: getattr(each, field) for scale, each in found.items()} for name, field in fields.items()},
    )
