"""Does a copy in the training lower the score of an image? The same image scored with and without its copies.

Two trainings with one seed see sets of one size that differ in a few places alone: where one holds copies of some
images, the other holds other images. What changes in the score of an image that was copied, beyond what changes in
those of images that were not, is the effect of the copies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from influence_lib.data import ImageSet
from influence_lib.errors import InputError, check_integer, reject
from influence_lib.estimate import Estimate, bootstrapped
from influence_lib.influence import Scores
from influence_lib.pretrain.evaluate import check_images
from influence_lib.replication import combined

__all__ = ["SEEN_BY", "CopyPlan", "copy_changes", "copy_effects", "plan_copies"]

TRAINED, SCORED = SEEN_BY = ("training and scoring", "scoring alone")
"""Where the copies are: in the images of both, or only in those that are scored, on which the curvature is fitted."""

Train = Callable[[ImageSet, int], nn.Module]
Score = Callable[[nn.Module, ImageSet], Scores]


@dataclass(frozen=True)
class CopyPlan:
    """Two image sets of one size, of which one holds copies.

    Attributes
    ----------
    without, with_copies : ImageSet
        In the second copies stand in the places of as many images of the first, with new ids.
    copies : dict of int to int
        Id of an image that is compared → how many copies of it the second set holds; 0 for the controls.
    """

    without: ImageSet
    with_copies: ImageSet
    copies: dict[int, int]


def plan_copies(images: ImageSet, copies: Sequence[int] = (1, 2, 4, 8), each: int = 10, seed: int = 0) -> CopyPlan:
    """Return which images are copied, how often, and which make room for the copies; all drawn at random.

    Parameters
    ----------
    images : ImageSet
        N images.
    copies : sequence of int
        Numbers of exact copies, each once.
    each : int
        Images with each number of copies, and as many controls; 2 or more.
    seed : int
        Of the draw.

    Raises
    ------
    InputError
        If a number is not allowed, or there are too few images.

    Examples
    --------
    >>> plan = plan_copies(images, copies=[1, 4], each=3)
    >>> len(plan.with_copies) == len(plan.without)
    True
    """
    check_images("images", images)
    numbers = [check_integer("a number of copies", number) for number in copies]
    if not numbers or len(set(numbers)) < len(numbers):
        reject("copies", list(copies), "a list of whole numbers above 0, each once")
    each = check_integer("each", each, 2)
    groups = [number for number in (0, *numbers) for _ in range(each)]
    total = sum(groups)
    if len(images) < len(groups) + total:
        needed = f"{len(groups) + total} or more: {len(groups)} to compare, and {total} that make room for copies"
        reject("the number of images", len(images), needed)
    order = np.random.default_rng(check_integer("seed", seed, 0)).permutation(len(images))
    compared, room = order[: len(groups)], order[len(groups) : len(groups) + total]
    source = np.arange(len(images))
    source[room] = np.repeat(compared, groups)
    ids = images.ids.clone()
    ids[torch.from_numpy(room)] = int(images.ids.max()) + 1 + torch.arange(total)
    copied = replace(
        images,
        images=images.images[torch.from_numpy(source)],
        labels=images.labels[torch.from_numpy(source)],
        ids=ids,
        attributes=images.attributes.iloc[source].reset_index(drop=True),
    )
    return CopyPlan(images, copied, dict(zip(images.ids[torch.from_numpy(compared)].tolist(), groups, strict=True)))


def copy_changes(
    images: ImageSet,
    train: Train,
    scores: Mapping[str, Score],
    copies: Sequence[int] = (1, 2, 4, 8),
    each: int = 10,
    trainings: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Return by how much the logarithm of each image's score changes when there are copies of it.

    Each training with copies has a twin without, of the same seed; another seed copies other images.

    Parameters
    ----------
    images : ImageSet
        N images.
    train : callable
        Takes images and a seed, returns an encoder.
    scores : mapping of str to callable
        Name → takes an encoder and images, returns their scores, all above 0.
    copies, each
        Those of `plan_copies`.
    trainings : int
        Pairs of trainings.
    seed : int
        The first; the others follow on it.

    Returns
    -------
    DataFrame
        A row for each training (``"training"``, the seed), ``"score"``, ``"copies in"`` (one of `SEEN_BY`) and image:
        ``"copies"`` (int64, 0 for controls), ``"id"`` (int64) and ``"change"`` (float64), the logarithm of the score
        with copies over the score without.

    Raises
    ------
    InputError
        If a number is not allowed, there are no scores, or one is not above 0.

    Examples
    --------
    >>> changes = copy_changes(images, train, {"raw loss": influence.raw_loss}, copies=[2], each=5, trainings=3)
    >>> copy_effects(changes)
    """
    if not scores:
        reject("the number of scores", 0, "1 or more")
    first, pairs = check_integer("seed", seed, 0), check_integer("trainings", trainings)
    plans = {s: plan_copies(images, copies, each, s) for s in range(first, first + pairs)}
    rows = []
    for s, plan in plans.items():
        alone, beside = train(plan.without, s), train(plan.with_copies, s)
        for name, score in scores.items():
            before = score(alone, plan.without)
            for where, encoder in ((TRAINED, beside), (SCORED, alone)):
                changes = _changes(name, plan, before, score(encoder, plan.with_copies))
                rows.append(changes.assign(**{"training": s, "score": name, "copies in": where}))
    return pd.concat(rows, ignore_index=True)[["training", "score", "copies in", "copies", "id", "change"]]


def copy_effects(changes: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return the effect of copies on the logarithm of the score: the mean change beyond that of the controls.

    Parameters
    ----------
    changes : DataFrame
        As `copy_changes` returns it.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        A row for each score, place of the copies and number of them (``"score"``, ``"copies in"``, ``"copies"``); a
        column ``"training S"`` for each training, float64, and ``"effect"``, an `Estimate` over trainings, or over
        images where there is one training. Below 0: copies lower the score.

    Raises
    ------
    InputError
        If there are no changes.

    Examples
    --------
    >>> copy_effects(changes).loc[("raw loss", "training and scoring", 2), "effect"].below(0)
    """
    if changes.empty:
        reject("the number of changes", 0, "1 or more")
    rows = {}
    for key, some in changes.groupby(["score", "copies in"], sort=False):
        for number in sorted(set(some["copies"]) - {0}):
            found = {s: _beyond_controls(own, number, seed) for s, own in some.groupby("training")}
            single = {f"training {s}": each.value for s, each in found.items()}
            rows[(*key, number)] = single | {"effect": combined(found.values())}
    index = pd.MultiIndex.from_tuples(rows, names=["score", "copies in", "copies"])
    return pd.DataFrame([*rows.values()], index=index)


def _beyond_controls(changes: pd.DataFrame, number: int, seed: int) -> Estimate:
    """Return the mean change of images with a number of copies, less that of as many controls, in one training."""
    # the groups have one size, and their pairing in the bootstrap is arbitrary
    groups = tuple(changes.loc[changes["copies"] == count, "change"].to_numpy() for count in (number, 0))
    return bootstrapped(lambda a, b, axis=-1: a.mean(axis=axis) - b.mean(axis=axis), groups, seed=seed)


def _changes(name: str, plan: CopyPlan, before: Scores, after: Scores) -> pd.DataFrame:
    """Return the change of the logarithm of the score of each image that is compared."""
    compared = list(plan.copies)
    logs = []
    for scores, images in ((before, plan.without), (after, plan.with_copies)):
        if scores.ids.tolist() != images.ids.tolist():
            raise InputError(f"the score {name!r} is not of the images that it was given, in their order.")
        values = pd.Series(scores.values.double().numpy(), index=scores.ids.tolist()).loc[compared]
        if not (values > 0).all():
            raise InputError(f"{name} has the value {values.min():g}, but a logarithm needs values above 0.")
        logs.append(np.log(values.to_numpy()))
    return pd.DataFrame({"copies": [*plan.copies.values()], "id": compared, "change": logs[1] - logs[0]})
