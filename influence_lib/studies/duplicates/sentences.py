"""What the numbers say, as sentences that hold whatever they are."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.errors import check_choice, check_integer, reject
from influence_lib.estimate import Estimate
from influence_lib.studies.comparison import extremes
from influence_lib.studies.duplicates.copies import SEEN_BY

__all__ = [
    "advice",
    "detection_in_words",
    "effect_in_words",
    "natural_in_words",
    "rows_of_groups",
    "rows_of_pairs",
]


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
    said = {
        "embedding": "the distance of two representations",
        "hash": "a perceptual hash",
        "cleanvision": "cleanvision",
    }
    pairs = extremes({name: ways[name] for name in said if name in ways})[1]
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
    rows = {"one of a pair": "a", "the other": "b"}
    return {title: _positions(some[name].tolist(), images) for title, name in rows.items()}


def rows_of_groups(groups: Sequence[Sequence[int]], images: ImageSet, rows: int, most: int) -> dict[str, Tensor]:
    """Return the positions of some images of the first groups, a row for each, as `figures.image_rows` takes them.

    Raises
    ------
    InputError
        If there is no group, or a number is not allowed.

    Examples
    --------
    >>> list(rows_of_groups([images.ids[:5].tolist()], images, rows=4, most=8))
    ['1: 5 images']
    """
    rows, most = check_integer("rows", rows), check_integer("most", most)
    if not groups:
        reject("the number of groups", 0, "1 or more")
    return {f"{i}: {len(group)} images": _positions(group[:most], images) for i, group in enumerate(groups[:rows], 1)}


def _positions(ids: Sequence[int], images: ImageSet) -> Tensor:
    place = pd.Series(np.arange(len(images)), index=images.ids.tolist())
    return torch.tensor(place.loc[list(ids)].tolist())


def natural_in_words(shares: pd.DataFrame, beyond: Estimate, own: str, base: float) -> str:
    """Return in sentences whether the lowest images of a ranking have copies, and whether only as easy images do.

    Parameters
    ----------
    shares : DataFrame of Estimate
        As `among_the_lowest` returns it.
    beyond : Estimate
        As `beyond_matched` returns it, the images matched by the raw loss.
    own : str
        The row of the ranking in question.
    base : float
        The part among all images.

    Raises
    ------
    InputError
        If `own` is no row.

    Examples
    --------
    >>> shares = among_the_lowest({"EK-FAC": [scores]}, truth["duplicate"], [5, 18])
    >>> natural_in_words(shares, Estimate(0.6, 0.4, 0.8, 6), "EK-FAC", truth["duplicate"].mean())[:7]
    'Of the '
    """
    row = shares.loc[check_choice("own", own, list(shares.index))]
    parts = [f"{k:,} lowest {value:.0%} ({value.compared(base)} the {base:.1%} of all)" for k, value in row.items()]
    words = {"above": "so the score says more than that they are easy", "below": "so the loss ranks copies lower"}
    told = words.get(beyond.compared(0.5), "so no more can be said than that they are easy")
    return (
        f"Of the {', of the '.join(parts)} have a copy by {own}. Images with a copy are lower than one of their class"
        f" with the same raw loss in {beyond:.0%} of comparisons, {beyond.compared(0.5)} one half: {told}."
    )
