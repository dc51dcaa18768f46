"""What the numbers say, as sentences that hold whatever they are."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.errors import check_choice, check_integer
from influence_lib.estimate import Estimate
from influence_lib.studies.comparison import extremes
from influence_lib.studies.duplicates.copies import SEEN_BY

__all__ = ["advice", "detection_in_words", "effect_in_words", "rows_of_pairs"]


def detection_in_words(found: Mapping[str, Estimate], own: str, rate: float, what: str) -> str:
    """Return a sentence on the average precision of one ranking, beside the base rate and the best of the others.

    Parameters
    ----------
    found : mapping of str to Estimate
        Name of a ranking → average precision.
    own : str
        The ranking in question.
    rate : float
        The base rate.
    what : str
        What was to be found, in the plural.

    Raises
    ------
    InputError
        If `own` is none of the rankings.

    Examples
    --------
    >>> detection_in_words({"a": Estimate(0.9, 0.8, 1.0, 50)}, "a", 0.1, "cars")
    'In finding cars a has an average precision of 0.90 [0.80, 1.00], above the base rate of 0.10; no ranking has more.'
    """
    value = found[check_choice("own", own, list(found.keys()))]
    best = extremes(found)[1]
    others = "no ranking has more" if best == own else f"the best is {best} with {found[best].value:.2f}"
    return (
        f"In finding {what} {own} has an average precision of {value:.2f}, {value.compared(rate)} the base rate of"
        f" {rate:.2f}; {others}."
    )


def effect_in_words(effects: pd.DataFrame, score: str) -> str:
    """Return a sentence on the effect of the fewest and the most copies on a score.

    Parameters
    ----------
    effects : DataFrame
        As `copy_effects` returns it.
    score : str
        One of its scores.

    Raises
    ------
    InputError
        If there is no such score.

    Examples
    --------
    >>> effect_in_words(copy_effects(changes), "raw loss")
    """
    own = effects.loc[check_choice("score", score, list(effects.index.unique("score")))]["effect"]
    said = []
    for where in SEEN_BY:
        found = own[where]
        few, many = min(found.index), max(found.index)
        numbers = [few] if few == many else [few, many]
        parts = " and ".join(
            f"{number} {'copy' if number == 1 else 'copies'} by {found[number]:+.2f}" for number in numbers
        )
        said.append(f"with copies in {where} {parts} ({_direction(found[many])})")
    return f"The logarithm of the score by {score} changes {'; '.join(said)}."


def _direction(effect: Estimate) -> str:
    words = {"above": "clearly higher", "below": "clearly lower"}
    return words.get(effect.compared(0), "not clearly higher or lower")


def advice(
    as_duplicates: Mapping[str, Estimate], as_outliers: Mapping[str, Estimate], judged: pd.DataFrame, own: str
) -> str:
    """Return what somebody should use who looks for duplicates and outliers.

    Parameters
    ----------
    as_duplicates, as_outliers : mapping of str to Estimate
        Name of a ranking → average precision.
    judged : DataFrame of Estimate
        As `judged_pairs` returns it.
    own : str
        The influence score in question.

    Raises
    ------
    InputError
        If `own` is none of the rankings.

    Examples
    --------
    >>> advice(as_duplicates["average precision"], as_outliers["average precision"], judged, "EK-FAC")
    """
    ways = judged["recall"].to_dict()
    pairs = extremes({name: ways[name] for name in ("embedding", "hash")})[1]
    said = {"embedding": "the distance of two representations", "hash": "a perceptual hash"}
    return " ".join(
        [
            _compared("duplicates", as_duplicates, own),
            f"As pairs, {said[pairs]} finds most: {ways[pairs]:.0%} of the planted ones, which are"
            f" {judged['precision'][pairs]:.0%} of what it lists.",
            _compared("outliers", as_outliers, own),
        ]
    )


def _compared(what: str, found: Mapping[str, Estimate], own: str) -> str:
    """Return a recommendation between one ranking and the best of the others."""
    value = found[check_choice("own", own, list(found.keys()))]
    best = extremes({name: each for name, each in found.items() if name != own})[1]
    if value.above(found[best]):
        return f"For {what} use {own}: it beats the best of the others, {best}."
    if found[best].above(value):
        return f"For {what} use {best} in place of {own}: it is clearly better."
    return f"For {what} {own} and {best} are not clearly different here, so take what is cheaper."


def rows_of_pairs(pairs: pd.DataFrame, images: ImageSet, most: int) -> dict[str, Tensor]:
    """Return the positions of the first pairs in two rows, as `figures.image_rows` takes them.

    Raises
    ------
    InputError
        If `most` is no number.

    Examples
    --------
    >>> list(rows_of_pairs(near_pairs(images, features), images, most=10))
    ['one of a pair', 'the other']
    """
    some = pairs.head(check_integer("most", most))
    place = pd.Series(np.arange(len(images)), index=images.ids.tolist())
    rows = {"one of a pair": "a", "the other": "b"}
    return {title: torch.tensor(place.loc[some[name]].tolist()) for title, name in rows.items()}
