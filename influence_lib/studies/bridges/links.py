"""Links between classes in a representation, and what goes with them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from influence_lib.errors import InputError, check_choice, check_integer
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores, nearest_others
from influence_lib.influence.agreement import ranked
from influence_lib.replication import over_trainings

__all__ = ["OUTCOMES", "changes", "links", "links_against_score", "with_backgrounds"]

OUTCOMES = ("bridges", "other links", "accuracy")
"""What is measured of a training: links to other classes on the same background, on another, and kNN accuracy."""


def links(
    features: Tensor, labels: Tensor, backgrounds: Sequence[str], k: int = 10, device: str = "auto"
) -> pd.DataFrame:
    """Return what the nearest neighbours of each image are.

    Parameters
    ----------
    features : Tensor
        N×D representations.
    labels : Tensor
        int64, N: classes.
    backgrounds : sequence of str
        N: what counts as the same background.
    k : int
        Neighbours of each image.
    device : str
        ``"auto"`` or a torch device.

    Returns
    -------
    DataFrame
        A row for each image, parts of its neighbours in [0, 1]: ``bridges`` are of another class and have the same
        background, ``other links`` are of another class and have another background, and ``own class``.

    Raises
    ------
    InputError
        If the numbers differ, or `k` is not allowed.

    Examples
    --------
    >>> links(features, images.labels, background_of(images), k=5).mean()
    """
    if not len(features) == len(labels) == len(backgrounds):
        raise InputError(
            f"there are {len(features)} features, {len(labels)} labels and {len(backgrounds)} backgrounds: one of each"
            " belongs to each image."
        )
    _, others = nearest_others(features, check_integer("k", k), device)
    code = torch.from_numpy(pd.factorize(np.asarray(backgrounds))[0])
    other_class = labels[others] != labels[:, None]
    same_background = code[others] == code[:, None]
    return pd.DataFrame(
        {
            "bridges": (other_class & same_background).double().mean(dim=1).numpy(),
            "other links": (other_class & ~same_background).double().mean(dim=1).numpy(),
            "own class": (~other_class).double().mean(dim=1).numpy(),
        }
    )


def with_backgrounds(found: pd.DataFrame, backgrounds: Sequence[str]) -> pd.DataFrame:
    """Return the means of `links` for each background.

    Examples
    --------
    >>> with_backgrounds(links(features, images.labels, background_of(images)), background_of(images))
    """
    return found.groupby(np.asarray(backgrounds)).mean()


def links_against_score(found: pd.DataFrame, scores: Scores, backgrounds: Sequence[str]) -> dict[str, float]:
    """Return how far a score goes with the bridges of an image, over all images and beyond their background.

    Parameters
    ----------
    found : DataFrame
        As `links` returns it.
    scores : Scores
        Of the same images in the same order.
    backgrounds : sequence of str
        Of each image.

    Returns
    -------
    dict of str to float
        Rank correlations in [−1, 1] between the score and the part of bridges: ``"overall"``, and ``"within
        backgrounds"``, where ranks are taken among the images of one background. NaN where nothing varies.

    Raises
    ------
    InputError
        If the numbers of images differ.

    Examples
    --------
    >>> links_against_score(links(features, images.labels, background_of(images)), scores, background_of(images))
    """
    if not len(found) == len(scores.values) == len(backgrounds):
        raise InputError(f"there are {len(scores.values)} scores of {len(found)} images.")
    own, bridges = scores.values.numpy().astype(float), found["bridges"].to_numpy()
    groups = pd.factorize(np.asarray(backgrounds))[0]
    within = np.zeros((2, len(own)))
    for group in np.unique(groups):
        members = groups == group
        within[:, members] = [_centred(own[members]), _centred(bridges[members])]
    return {"overall": _correlation(_centred(own), _centred(bridges)), "within backgrounds": _correlation(*within)}


def _centred(values: np.ndarray) -> np.ndarray:
    """Return ranks in (−1/2, 1/2) of mean 0."""
    ranks = (ranked(values) - 0.5) / len(values)
    return ranks - ranks.mean()


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size else float("nan")


def changes(table: pd.DataFrame, arm: str, control: str) -> dict[str, Estimate]:
    """Return by how much trainings of one arm differ from those of another with the same seeds.

    Parameters
    ----------
    table : DataFrame
        Columns ``arm``, ``training`` and `OUTCOMES`.
    arm, control : str
        Values of ``arm``.

    Returns
    -------
    dict of str to Estimate
        Outcome → mean difference with Student's interval over trainings.

    Raises
    ------
    InputError
        If an arm is not there, or there are fewer than two trainings.

    Examples
    --------
    >>> changes(experiment.removal(), "highest uniform", "random, same classes")["bridges"].below(0)
    """
    known = list(table["arm"].unique())
    both = [table[table["arm"] == check_choice("arm", name, known)].set_index("training") for name in (arm, control)]
    return {name: over_trainings((both[0][name] - both[1][name]).dropna().to_list()) for name in OUTCOMES}
