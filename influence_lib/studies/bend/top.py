"""How far a score and the loss agree overall and among the images of highest loss, and which images those are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from influence_lib.errors import check_integer, reject
from influence_lib.estimate import Estimate, bootstrapped
from influence_lib.influence import Scores, rank_agreement
from influence_lib.influence.agreement import check_comparable, percentiles, spearman
from influence_lib.studies.comparison import top_size

__all__ = ["TopAgreement", "TopImages", "agreement_at_the_top", "agreements_at_the_top", "top_images"]


@dataclass(frozen=True)
class TopAgreement:
    """How far a score and the loss agree, with intervals over images.

    Attributes
    ----------
    k : int
        Images of highest loss among which `within` is taken.
    size : int
        Images that count as the top, and as the bottom (`top_size`).
    overall, within : Estimate
        Rank correlation of all images, and of the `k` with the highest loss. A short range of losses alone makes the
        second lower; whether the score still rises there is for `find_bend` to say.
    top, bottom : Estimate
        The part of the `size` highest, and lowest, images by the score that are among those by the loss.
    itself : float
        Rank correlation of the score with itself within the same `k` images, between halves of its draws: what
        `within` could reach. NaN for a single draw.
    """

    k: int
    size: int
    overall: Estimate
    within: Estimate
    top: Estimate
    bottom: Estimate
    itself: float


def agreement_at_the_top(score: Scores, loss: Scores, k: int | None = None, seed: int = 0) -> TopAgreement:
    """Return how far a score and the loss agree overall, and among the images of highest loss.

    Parameters
    ----------
    score, loss : Scores
        Of the same images, in the same order.
    k : int, optional
        How many images of highest loss; by default a tenth, two at least.
    seed : int
        Of the bootstrap over images.

    Raises
    ------
    InputError
        If the scores are of different images or of fewer than two, or `k` is not from 2 to their number.

    Examples
    --------
    >>> agreement_at_the_top(ekfac, loss, k=20).within.value
    """
    check_comparable(score, loss)
    overall = rank_agreement(score, loss, seed)
    n = len(loss)
    k = check_integer("k", max(2, n // 10) if k is None else k, 2, n)
    size = top_size(n)
    values, losses = (each.values.double().numpy() for each in (score, loss))

    def within(images: np.ndarray, axis: int = -1) -> np.ndarray:
        highest = np.take_along_axis(images, _ordered(losses[images])[..., -k:], axis=-1)
        return spearman(values[highest], losses[highest])

    def shared(part: slice) -> Estimate:
        def statistic(images: np.ndarray, axis: int = -1) -> np.ndarray:
            a, b = (_members(each[images], part) for each in (values, losses))
            return (a & b).sum(axis=-1) / size

        return bootstrapped(statistic, (np.arange(n),), seed=seed)

    at_the_top = loss.highest(k)
    itself = score.subset(at_the_top).reliability
    return TopAgreement(
        k=k,
        size=size,
        overall=overall,
        within=bootstrapped(within, (np.arange(n),), seed=seed),
        top=shared(slice(-size, None)),
        bottom=shared(slice(size)),
        itself=float("nan") if itself is None else itself,
    )


def agreements_at_the_top(
    scores: Mapping[str, tuple[Scores, Scores]], k: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Return `agreement_at_the_top` of several encoders.

    Parameters
    ----------
    scores : mapping of str to (Scores, Scores)
        Name → the score and the loss.
    k, seed : int
        Those of `agreement_at_the_top`.

    Returns
    -------
    DataFrame
        A row for each name; columns ``"overall"``, ``"within"``, ``"top"`` and ``"bottom"``, each an `Estimate`, and
        ``"itself"``, float64.

    Raises
    ------
    InputError
        As `agreement_at_the_top` does.

    Examples
    --------
    >>> agreements_at_the_top({"SimCLR": (ekfac, loss)}).loc["SimCLR", "top"].value
    """
    columns = ("overall", "within", "top", "bottom", "itself")
    found = {name: agreement_at_the_top(*pair, k, seed) for name, pair in scores.items()}
    rows = {name: [getattr(each, column) for column in columns] for name, each in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(columns)).astype({"itself": float})


def _ordered(values: np.ndarray) -> np.ndarray:
    return np.argsort(values, axis=-1, kind="stable")


def _members(values: np.ndarray, part: slice) -> np.ndarray:
    """Return which entries along the last axis are in a part of their order."""
    found = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(found, _ordered(values)[..., part], True, axis=-1)
    return found


@dataclass(frozen=True)
class TopImages:
    """What the highest images by several scores are like.

    Attributes
    ----------
    percentiles : DataFrame
        A row for each statistic, a column for each score, float64: the median percentile among all images, in
        (0, 100), of the highest ones. 50 is an image like any other.
    classes : DataFrame
        A row for each class that is among them, the most frequent first, a column for each score, int64: how many.
    """

    percentiles: pd.DataFrame
    classes: pd.DataFrame


def top_images(
    scores: Mapping[str, Scores],
    statistics: Mapping[str, Scores],
    labels: torch.Tensor,
    class_names: Sequence[str],
    k: int | None = None,
) -> TopImages:
    """Return which statistics and classes the highest images by several scores have.

    Parameters
    ----------
    scores : mapping of str to Scores
        Of the same images.
    statistics : mapping of str to Scores
        Of the same images, such as `influence.statistic_scores`.
    labels : Tensor
        int64, N: the classes of the images, in the same order.
    class_names : sequence of str
        Of all classes.
    k : int, optional
        How many images are the highest; by default `top_size`.

    Raises
    ------
    InputError
        If there are no scores, they are of different images, or `k` is no number of them.

    Examples
    --------
    >>> statistics = influence.statistic_scores(images)
    >>> top_images({"raw loss": loss}, statistics, images.labels, images.class_names).percentiles
    """
    if not scores:
        reject("the number of scores", 0, "1 or more")
    first = next(iter(scores.values()))
    for other in (*scores.values(), *statistics.values()):
        check_comparable(first, other)
    n = len(first)
    if len(labels) != n:
        reject("the number of labels", len(labels), f"{n}, that of the images")
    if n and not 0 <= int(labels.min()) <= int(labels.max()) < len(class_names):
        reject("labels", f"from {int(labels.min())} to {int(labels.max())}", f"from 0 to {len(class_names) - 1}")
    k = check_integer("k", top_size(n) if k is None else k, 1, n)
    among_all = {name: percentiles(each) for name, each in statistics.items()}
    highest = {name: each.highest(k).numpy() for name, each in scores.items()}
    medians = {
        score: {name: float(np.median(values[top])) for name, values in among_all.items()}
        for score, top in highest.items()
    }
    counts = {score: np.bincount(labels.numpy()[top], minlength=len(class_names)) for score, top in highest.items()}
    classes = pd.DataFrame(counts, index=list(class_names))
    some = classes[classes.sum(axis=1) > 0]
    return TopImages(pd.DataFrame(medians), some.loc[some.sum(axis=1).sort_values(ascending=False).index])
