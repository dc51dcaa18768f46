"""What the trainings say about bridges, as sentences that hold whatever they are."""

import pandas as pd

from influence_lib.replication import over_trainings
from influence_lib.studies.bridges.links import changes

__all__ = ["links_in_words", "mediation_in_words", "removal_in_words"]

MOVED = {"above": "more", "below": "fewer"}


def links_in_words(table: pd.DataFrame) -> str:
    """Return whether there are more bridges with more uniform backgrounds.

    Parameters
    ----------
    table : DataFrame
        Of `BridgeExperiment.by_part`, with two parts or more.

    Examples
    --------
    >>> links_in_words(experiment.by_part())
    """
    wide = table.pivot_table(index="training", columns="uniform", values="bridges")
    few, many = min(wide.columns), max(wide.columns)
    change = over_trainings((wide[many] - wide[few]).to_list())
    said, points = MOVED.get(change.compared(0), "not clearly more or fewer"), f"{change.scaled(100):+.1f}"
    return (
        f"Of the nearest neighbours of a test image {wide[few].mean():.1%} are bridges, of another class on the same"
        f" background, where {few:.0%} of the training images have a uniform background, and {wide[many].mean():.1%}"
        f" where {many:.0%} have: {said} ({points} points, {change.n} trainings)."
    )


def removal_in_words(table: pd.DataFrame, arm: str, control: str) -> str:
    """Return what leaving one kind of images out does in place of another.

    Parameters
    ----------
    table : DataFrame
        Of `BridgeExperiment.removal`.
    arm, control : str
        Two of its arms.

    Examples
    --------
    >>> removal_in_words(experiment.removal(), "highest uniform", "lowest uniform")
    """
    found = changes(table, arm, control)
    parts = [
        f"{name} {each.scaled(100):+.1f} ({each.compared(0)} 0)"
        for name, each in found.items()
        if name in ("bridges", "accuracy")
    ]
    n = found["bridges"].n
    return f"Without the {arm} in place of the {control}, in points over {n} trainings: {', '.join(parts)}."


def mediation_in_words(table: pd.DataFrame) -> str:
    """Return whether the score goes with bridges, and whether beyond the background.

    Parameters
    ----------
    table : DataFrame
        Of `BridgeExperiment.mediation`.

    Examples
    --------
    >>> mediation_in_words(experiment.mediation())
    """
    found = {name: over_trainings(table[name].to_list(), -1, 1) for name in ("overall", "within backgrounds")}
    within = found["within backgrounds"].compared(0)
    told = {
        "above": "images with a higher score have more bridges than others of their background",
        "below": "images with a higher score have fewer bridges than others of their background",
    }.get(within, "among images of one background the score says nothing clear about bridges")
    return (
        f"The score has a rank correlation of {found['overall']:.2f} with the part of bridges of an image, and of"
        f" {found['within backgrounds']:.2f} within backgrounds: {told}."
    )
