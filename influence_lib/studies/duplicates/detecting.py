"""How well an end of a ranking finds images that are known to be something."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from influence_lib.errors import check_choice, check_integer, reject
from influence_lib.estimate import RESAMPLES, Estimate, mean
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable, check_several, ranked
from influence_lib.replication import combined
from influence_lib.studies.patterns import ENDS, matched_controls

__all__ = ["DETECTION", "among_the_lowest", "beyond_matched", "detection", "precision_and_recall"]

Array = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

DETECTION = ("average precision", "AUROC", "precision at k")
"""The columns of `detection`."""
NEAR = 0.05  # of all images, between the ranks of an image and its control
AT_ONCE = 2**22  # weights that are held at once: 32 MiB


def detection(
    scores: Mapping[str, Sequence[Scores]], truth: Truth, end: str = "lowest", k: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Return how well an end of several rankings finds some images.

    Parameters
    ----------
    scores : mapping of str to sequence of Scores
        Name → the scores by each of some trainings, of the same N images.
    truth : array of bool, shape (N,)
        Which images are to be found.
    end : {"lowest", "highest"}
        The end of the ranking that is claimed to hold them.
    k : int, optional
        Images at that end which are looked at; by default as many as are to be found.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame of Estimate
        A row for each name, a column for each of `DETECTION`. By chance the average precision and the precision at k
        are the base rate ``truth.mean()``, and the AUROC is 1/2; images with one score come in every order. Intervals
        are over trainings where there are several (`replication.combined`), else over images, those that are to be
        found and the others drawn apart.

    Raises
    ------
    InputError
        If a name has no scores, they are of other images, there is nothing or nothing else to be found, or a value is
        not allowed.

    Examples
    --------
    >>> found = detection({"EK-FAC": [scores]}, truth["duplicate"])
    >>> found.loc["EK-FAC", "average precision"].above(truth["duplicate"].mean())
    """
    check_choice("end", end, ENDS)
    if not scores:
        reject("the number of scores", 0, "1 or more")
    rows = {}
    for name, several in scores.items():
        if not check_several(f"scores[{name!r}]", several):
            reject(f"the number of trainings in scores[{name!r}]", 0, "1 or more")
        found = [_of_training(_towards(score, truth, end), truth, k, seed) for score in several]
        for score in several:
            check_comparable(next(iter(scores.values()))[0], score)
        rows[name] = {column: combined(each[column] for each in found) for column in DETECTION}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(DETECTION), dtype=object)


def among_the_lowest(
    scores: Mapping[str, Sequence[Scores]], truth: Truth, amounts: Sequence[int], seed: int = 0
) -> pd.DataFrame:
    """Return which part of the lowest images of several rankings is to be found, for some amounts.

    Parameters
    ----------
    scores, truth, seed
        Those of `detection`.
    amounts : sequence of int
        How many of the lowest images are looked at.

    Returns
    -------
    DataFrame of Estimate
        A row for each name, a column for each amount, in [0, 1]: by chance ``truth.mean()``. Intervals are those of
        `detection`.

    Raises
    ------
    InputError
        As `detection` does, or if no amount is given.

    Examples
    --------
    >>> among_the_lowest({"EK-FAC": [scores]}, truth["duplicate"], [5]).loc["EK-FAC", 5].value
    """
    if not amounts:
        reject("the number of amounts", 0, "1 or more")
    return pd.DataFrame(
        {k: detection(scores, truth, "lowest", k, seed)["precision at k"] for k in amounts}, dtype=object
    )


def precision_and_recall(score: Scores, truth: Truth, end: str = "lowest") -> pd.DataFrame:
    """Return precision against recall as more and more images at an end of a ranking are looked at.

    The parameters are those of `detection`.

    Returns
    -------
    DataFrame
        Columns ``"recall"``, ascending, and ``"precision"``, both float64 in [0, 1].

    Raises
    ------
    InputError
        As `detection` does.

    Examples
    --------
    >>> precision_and_recall(scores, truth["duplicate"])["precision"].iloc[-1]
    """
    check_choice("end", end, ENDS)
    precision, recall, _ = precision_recall_curve(truth, _towards(score, truth, end))
    return pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]})


def beyond_matched(
    pairs: Sequence[tuple[Scores, Scores]],
    truth: Truth,
    labels: npt.ArrayLike,
    end: str = "lowest",
    seed: int = 0,
) -> Estimate:
    """Return how often an image that is to be found lies further towards an end than one like it by another score.

    Each is compared with another image of its class whose rank by the other score is next to its own, at most a
    twentieth of all images away (`patterns.matched_controls`); where there is none it is left out. So a score that
    finds easy images, which the loss finds as well, is told from one that finds duplicates.

    Parameters
    ----------
    pairs : sequence of (Scores, Scores)
        By each of some trainings the score, and what is matched, such as the raw loss.
    truth, end
        Those of `detection`.
    labels : array of int, shape (N,)
        The classes of all images.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Estimate
        In [0, 1], 1/2 by chance; ties count half. Over trainings where there are several, else over images.

    Raises
    ------
    InputError
        As `detection` does, or if no image has another of its class to be compared with.

    Examples
    --------
    >>> beyond_matched([(scores, loss)], truth["duplicate"], images.labels).above(0.5)
    """
    check_choice("end", end, ENDS)
    if not pairs:
        reject("the number of trainings", 0, "1 or more")
    found = []
    for score, known in pairs:
        check_comparable(score, known)
        values = _towards(score, truth, end)
        ranks = ranked(known.values.numpy()) / len(truth)
        matched = matched_controls(np.flatnonzero(truth), labels, ranks, within=NEAR)
        if len(matched.chosen) == 0:
            reject("truth", "all that are alike", "such that another image of their classes is near")
        difference = values[matched.chosen] - values[matched.controls]
        found.append(mean((np.sign(difference) + 1) / 2, "image", seed))
    return combined(found)


def _towards(score: Scores, truth: Truth, end: str) -> Array:
    """Return scores turned so that the end that is looked at is high."""
    check_comparable(score, score)
    if len(truth) != len(score):
        reject("the number of truths", len(truth), f"{len(score)}, one for each image")
    if truth.dtype != np.bool_ or not 0 < truth.sum() < len(truth):
        reject("truth", f"{truth.dtype} with {int(truth.sum())} of {len(truth)}", "bool, true for some and not for all")
    values = score.values.double().numpy()
    return values if end == "highest" else -values


def _of_training(values: Array, truth: Truth, k: int | None, seed: int) -> dict[str, Estimate]:
    n = len(truth)
    k = check_integer("k", int(truth.sum()) if k is None else k, 1, n)
    measured = {
        "average precision": float(average_precision_score(truth, values)),
        "AUROC": float(roc_auc_score(truth, values)),
        "precision at k": float(_weighted(values, truth, np.ones((1, n)), k)[2, 0]),
    }
    rng = np.random.default_rng(check_integer("seed", seed, 0))
    parts = [
        _weighted(values, truth, _weights(truth, min(RESAMPLES - start, held), rng), k)
        for held in [max(1, AT_ONCE // n)]
        for start in range(0, RESAMPLES, held)
    ]
    low, high = np.quantile(np.concatenate(parts, axis=1), (0.025, 0.975), axis=1)
    return {name: Estimate(value, float(low[i]), float(high[i]), n) for i, (name, value) in enumerate(measured.items())}


def _weights(truth: Truth, resamples: int, rng: np.random.Generator) -> Array:
    """Return how often each image is drawn, resamples×N, as many of either kind as there are."""
    weights = np.empty((resamples, len(truth)))
    for part in (truth, ~truth):
        weights[:, part] = rng.multinomial(part.sum(), np.full(part.sum(), 1 / part.sum()), size=resamples)
    return weights


def _weighted(values: Array, truth: Truth, weights: Array, k: int) -> Array:
    """Return the numbers of `DETECTION`, 3×R, of images that count as often as R rows of weights say."""
    order = np.argsort(-values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.inf))  # ties count together
    found, looked = (
        np.add.reduceat(each[:, order], starts, axis=1).cumsum(axis=1) for each in (weights * truth, weights)
    )
    hits, others = np.diff(found, prepend=0), np.diff(looked - found, prepend=0)
    every, none = found[:, -1], (looked - found)[:, -1]
    precision = found / np.maximum(looked, 1)  # where nothing is looked at there are no hits
    auroc = (others * (found - hits / 2)).sum(axis=1) / (every * none)
    at_k = [np.interp(k, [0, *x], [0, *y]) / k for x, y in zip(looked, found, strict=True)]
    return np.stack([(hits * precision).sum(axis=1) / every, auroc, np.array(at_k)])
