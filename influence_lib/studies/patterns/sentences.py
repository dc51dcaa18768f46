"""What the numbers say, as sentences that hold whatever they are."""

from collections.abc import Mapping

import pandas as pd

from influence_lib.errors import check_choice
from influence_lib.estimate import Estimate

__all__ = ["advice", "clear", "in_words", "which_ends_cluster"]

GROUND = {"border uniformity": "uniform", "white border": "white", "black border": "black"}


def clear(found: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the estimates whose intervals do not hold 0.

    Examples
    --------
    >>> list(clear({"a": Estimate(0.2, 0.1, 0.3, 20), "b": Estimate(0.2, -0.1, 0.5, 20)}))
    ['a']
    """
    return {str(name): each for name, each in found.items() if each.above(0) or each.below(0)}


def in_words(subject: str, found: Mapping[str, Estimate]) -> str:
    """Return a sentence on clear differences of the highest images from their controls.

    Examples
    --------
    >>> in_words("By EK-FAC", {"contrast": Estimate(-0.5, -0.8, -0.2, 20)})
    'By EK-FAC the highest differ clearly from their controls in contrast (lower).'
    """
    if not found:
        return f"{subject} the highest differ from their controls clearly in none of the statistics."
    differences = ", ".join(f"{name} ({'higher' if each.value > 0 else 'lower'})" for name, each in found.items())
    return f"{subject} the highest differ clearly from their controls in {differences}."


def which_ends_cluster(apart: Mapping[str, Estimate]) -> str:
    """Return a sentence on which end of a ranking lies closer together.

    Parameters
    ----------
    apart : mapping of str to Estimate
        Of `Neighbourhoods`.

    Raises
    ------
    InputError
        If a distance is missing.

    Examples
    --------
    >>> which_ends_cluster({name: Estimate(0.2, 0.1, 0.3, 20) for name in NEIGHBOURS})
    'The lowest images lie closer together than the highest, among all images and among each other.'
    """
    names = ("neighbour distance", "distance within the set")
    among_all, within = (apart[check_choice("a distance", name, list(apart))] for name in names)
    closer = {each.compared(0) for each in (among_all, within)}
    if closer == {"above"}:
        return "The lowest images lie closer together than the highest, among all images and among each other."
    if closer == {"below"}:
        return "The highest images lie closer together than the lowest, among all images and among each other."
    if closer == {"not clearly different from"}:
        return "Neither end lies clearly closer together than the other."
    said = {"above": "the lowest lie", "below": "the highest lie", "not clearly different from": "neither end lies"}
    return (
        f"Among all images {said[among_all.compared(0)]} clearly closer together, within the two sets"
        f" {said[within.compared(0)]} clearly closer together."
    )


def advice(against_controls: pd.DataFrame, k: int) -> str:
    """Return what somebody who looks at the top of a ranking should expect there.

    Parameters
    ----------
    against_controls : DataFrame of Estimate
        As `differences` returns it against controls, with the columns ``"EK-FAC"`` and ``"raw loss"``.
    k : int
        How many images were looked at.

    Raises
    ------
    InputError
        If one of the columns is missing.

    Examples
    --------
    >>> advice(differences({"EK-FAC": [scores], "raw loss": [loss]}, picture_statistics(images), images), k=20)
    """
    found = {
        name: clear(against_controls[check_choice("a column", name, list(against_controls))].to_dict())
        for name in ("EK-FAC", "raw loss")
    }
    return (
        f"Of the {k} highest images here, by EK-FAC {_borders(found['EK-FAC'])}; by the raw loss"
        f" {_borders(found['raw loss'])}. Whatever you notice in such a list, hold it against images of the"
        " same class and brightness before you call it a finding, and look at the list by the raw loss beside it."
    )


def _borders(clearly: Mapping[str, Estimate]) -> str:
    """Return how borders differ from those of controls, of what is clear."""
    said = [
        f"{'more' if clearly[name].value > 0 else 'less'} {word}" for name, word in GROUND.items() if name in clearly
    ]
    if not said:
        return "the borders are like those of controls"
    return f"the borders are {' and '.join(said)} than those of controls"
