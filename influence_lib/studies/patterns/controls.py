"""What the images at one end of a ranking are like, beside the rest and beside controls matched to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment

from influence_lib.data import ImageSet
from influence_lib.errors import check_choice, check_integer, check_number, reject
from influence_lib.estimate import Estimate, mean
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable, check_several
from influence_lib.replication import combined
from influence_lib.studies.comparison import top_size

__all__ = ["AGAINST", "ENDS", "Matched", "differences", "ends_of", "matched_controls"]

Positions = npt.NDArray[np.int64]

AGAINST = ("rest", "controls", "other end")
"""What the images at an end of a ranking are compared with."""
ENDS = ("highest", "lowest")


@dataclass(frozen=True)
class Matched:
    """Images and a control for each: of the same class, and as bright as there is one.

    Attributes
    ----------
    chosen, controls : array of int64
        Positions, one control for each chosen image, each at most once.
    left_out : int
        Chosen images for which there was none, since their class has too few others that are near.
    distance : float
        Mean magnitude of the difference in what was matched between an image and its control; NaN without controls.
    """

    chosen: Positions
    controls: Positions
    left_out: int
    distance: float


def matched_controls(
    chosen: npt.ArrayLike, labels: npt.ArrayLike, values: npt.ArrayLike, within: float | None = None
) -> Matched:
    """Return a control for each of some images, of its class and near to it in one number, such as the brightness.

    Controls are drawn from the images that were not chosen, each at most once, so that the sum of the differences is
    the least possible.

    Parameters
    ----------
    chosen : array of int
        Positions of the images.
    labels : array of int, shape (N,)
        The classes of all images; images without a label are a class of their own.
    values : array of float, shape (N,)
        What is matched.
    within : float, optional
        The largest difference in it between an image and its control; pairs that differ more are left out.

    Raises
    ------
    InputError
        If nothing is chosen, a position is outside of the images or twice there, or `values` are not one an image.

    Examples
    --------
    >>> matched_controls([0], labels=[1, 1, 1, 0], values=[0.5, 0.9, 0.6, 0.5]).controls
    array([2])
    """
    picked, classes, values = np.asarray(chosen), np.asarray(labels), np.asarray(values, dtype=np.float64)
    if len(values) != len(classes):
        reject("the number of values", len(values), f"{len(classes)}, one for each label")
    if len(picked) == 0:
        reject("the number of chosen images", 0, "1 or more")
    if len(np.unique(picked)) < len(picked) or not 0 <= picked.min() <= picked.max() < len(classes):
        reject("chosen", picked.tolist(), f"positions from 0 to {len(classes) - 1}, each once")
    others = np.setdiff1d(np.arange(len(classes)), picked)
    pairs = []
    for label in np.unique(classes[picked]):
        own, free = picked[classes[picked] == label], others[classes[others] == label]
        rows, columns = linear_sum_assignment(np.abs(values[own][:, None] - values[free]))
        pairs.append(np.stack([own[rows], free[columns]]))
    images, controls = np.concatenate(pairs, axis=1)
    if within is not None:
        near = np.abs(values[images] - values[controls]) <= check_number("within", within, least=0)
        images, controls = images[near], controls[near]
    distance = float(np.abs(values[images] - values[controls]).mean()) if len(images) else float("nan")
    return Matched(images, controls, len(picked) - len(images), distance)


def ends_of(score: Scores, k: int) -> dict[str, Positions]:
    """Return the positions of the k highest and of the k lowest images, by the names in `ENDS`.

    Examples
    --------
    >>> sorted(ends_of(scores, k=5))
    ['highest', 'lowest']
    """
    return {"highest": score.highest(k).numpy(), "lowest": score.lowest(k).numpy()}


def differences(
    scores: Mapping[str, Sequence[Scores]],
    statistics: pd.DataFrame,
    images: ImageSet,
    against: str = "controls",
    end: str = "highest",
    k: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how the images at one end of several rankings differ from others.

    Parameters
    ----------
    scores : mapping of str to sequence of Scores
        Name → the scores by each of some trainings, of these images.
    statistics : DataFrame
        A row for each image, a column for each number of it, such as `picture_statistics`.
    images : ImageSet
        What was scored.
    against : {"controls", "rest", "other end"}
        Controls of the same class and as bright (`matched_controls` by the column ``"brightness"``), all other
        images, or as many at the other end.
    end : {"highest", "lowest"}
        Which images.
    k : int, optional
        How many; by default `top_size`.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame of Estimate
        A row for each statistic, a column for each name: the mean difference, in standard deviations of the statistic
        over all images. Intervals are over trainings where there are several (`replication.combined`), else over
        the images at the end.

    Raises
    ------
    InputError
        If a name has no scores, they are of other images, a value is not allowed, or no image has a control.

    Examples
    --------
    >>> found = differences({"EK-FAC": [scores], "raw loss": [loss]}, picture_statistics(images), images)
    >>> found.loc["border uniformity", "EK-FAC"].above(0)
    """
    check_choice("against", against, AGAINST)
    check_choice("end", end, ENDS)
    first = _checked(scores, statistics, images)
    least = 1 if against != "other end" else 2
    k = check_integer("k", top_size(len(first)) if k is None else k, 1, len(first) // least)
    spread = statistics.to_numpy(np.float64).std(axis=0)
    values = statistics / np.where(spread > 0, spread, 1)

    def of_training(score: Scores) -> dict[str, Estimate]:
        pairs = _paired(score, values, images, against, end, k)
        return {str(name): mean(pairs[name].to_numpy(), "image", seed) for name in pairs}

    columns = {}
    for name, several in scores.items():
        found = [of_training(score) for score in several]
        columns[name] = {row: combined(each[row] for each in found) for row in found[0]}
    return pd.DataFrame(columns, dtype=object)


def _paired(score: Scores, values: pd.DataFrame, images: ImageSet, against: str, end: str, k: int) -> pd.DataFrame:
    """Return the difference of each image at an end from what it is compared with."""
    ends, table = ends_of(score, k), values.reset_index(drop=True)
    chosen = ends.pop(end)
    if against == "rest":
        return table.loc[chosen] - table.drop(index=chosen).mean()
    if against == "other end":
        (others,) = ends.values()
    else:
        if "brightness" not in table:
            reject("the columns of statistics", list(table), "such that 'brightness', by which is matched, is one")
        matched = matched_controls(chosen, images.labels.numpy(), table["brightness"])
        chosen, others = matched.chosen, matched.controls
        if len(chosen) == 0:
            reject("k", k, "less: no image has another of its class beside it that is not at the same end")
    return table.loc[chosen].reset_index(drop=True) - table.loc[others].reset_index(drop=True)


def _checked(scores: Mapping[str, Sequence[Scores]], statistics: pd.DataFrame, images: ImageSet) -> Scores:
    """Return the first of some scores, all of which are of these images."""
    if not scores:
        reject("the number of scores", 0, "1 or more")
    for name, several in scores.items():
        if not check_several(f"scores[{name!r}]", several):
            reject(f"the number of trainings in scores[{name!r}]", 0, "1 or more")
        for score in several:
            check_comparable(next(iter(scores.values()))[0], score)
    first = next(iter(scores.values()))[0]
    for name, ids in (("images", images.ids.tolist()), ("statistics", statistics.index.tolist())):
        if ids != first.ids.tolist():
            reject(f"the ids of {name}", f"{len(ids)} others", "those of the scores, in their order")
    return first
