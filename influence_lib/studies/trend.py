"""A claim's value against scale: epochs, training images or width.

It is a `finding.Trend`; the verdict on the claim is made elsewhere.
"""

from collections.abc import Mapping

from influence_lib.errors import check_number, check_strings, reject
from influence_lib.estimate import Estimate
from influence_lib.finding import Trend
from influence_lib.influence import Scores
from influence_lib.studies.bend import agreement_at_the_top

__all__ = ["over_scales", "score_and_loss_over_scales"]


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
    >>> over_scales("epochs", {"shared": {24: Estimate.stated(0.1), 6: Estimate.stated(0.5)}}).at
    (6.0, 24.0)
    """
    if not series or not all(series.values()):
        reject("the number of values", 0, "1 or more in each series")
    (over,) = check_strings("over", [over], "the name of what grows, such as 'epochs'")
    at = sorted(check_number("a scale", scale, above=0) for scale in next(iter(series.values())))
    for name, values in series.items():
        if values.keys() != set(at):
            reject(f"the scales of {name!r}", list(values), f"those of the first series, {at}")
    return Trend(over, tuple(at), {name: tuple(values[scale] for scale in at) for name, values in series.items()})


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
    (6.0, 24.0, 60.0)
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
