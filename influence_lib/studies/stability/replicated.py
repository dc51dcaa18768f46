"""What stays of a score in other trainings, with intervals over trainings: three or more of one setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from influence_lib.errors import check_choice, reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores, top_overlap
from influence_lib.influence.agreement import check_comparable
from influence_lib.influence.scores import rank_correlation
from influence_lib.replication import over_pairs, over_trainings
from influence_lib.studies.comparison import top_size
from influence_lib.studies.stability.distributions import skewness
from influence_lib.studies.trend import Trend, over_scales

__all__ = [
    "AlongTrainings",
    "agreement_of_trainings",
    "along_trainings",
    "correlation_with",
    "high_scores",
    "score_and_loss",
    "shift",
]

HIGH = 0.9  # the quantile of the earlier scores above which a score is called high
CORRELATION, SHARE = (-1.0, 1.0), (0.0, 1.0)  # what a number of the kind can be
Trainings = Sequence[Scores]


@dataclass(frozen=True)
class AlongTrainings:
    """What several trainings of one setting say after different epochs, with intervals over trainings.

    Attributes
    ----------
    between : Trend
        `agreement_of_trainings`, a series for each kind of score.
    with_loss : Trend
        `score_and_loss`.
    high : Trend
        `high_scores` against the first of the epochs, in the series ``""``.
    tail : Trend
        `skewness`, in the series ``""``.
    """

    between: Trend
    with_loss: Trend
    high: Trend
    tail: Trend


def along_trainings(
    scores: Mapping[float, Sequence[Mapping[str, Scores]]], score: str = "EK-FAC", loss: str = "raw loss"
) -> AlongTrainings:
    """Return what several trainings of one setting say after different epochs.

    Parameters
    ----------
    scores : mapping of float to sequence of (mapping of str to Scores)
        Epoch → for each training, three or more in the same order, kind of score → scores of the same images.
    score, loss : str
        The kinds that are compared with each other.

    Raises
    ------
    InputError
        If there are no epochs, too few trainings, a kind is missing, or scores do not belong together.

    Examples
    --------
    >>> pairs = ((first, first_loss), (second, second_loss), (third, third_loss))
    >>> trainings = [{"EK-FAC": score, "raw loss": loss} for score, loss in pairs]
    >>> found = along_trainings({5: trainings, 10: trainings, 20: trainings})
    >>> found.between.series["EK-FAC"][-1].below(0.96)
    """
    if not all(scores.values()) or not scores:
        reject("the number of trainings", 0, "3 or more at each of one or more epochs")
    kinds = list(scores[min(scores)][0])
    check_choice("score", score, kinds)
    check_choice("loss", loss, kinds)
    of = {kind: {epoch: [each[kind] for each in found] for epoch, found in scores.items()} for kind in kinds}
    with_loss = {epoch: score_and_loss(of[score][epoch], of[loss][epoch]) for epoch in scores}
    first = of[score][min(scores)]
    between = {kind: {e: agreement_of_trainings(each) for e, each in found.items()} for kind, found in of.items()}
    return AlongTrainings(
        between=over_scales("epochs", between),
        with_loss=over_scales(
            "epochs", {name: {e: each[name] for e, each in with_loss.items()} for name in with_loss[min(scores)]}
        ),
        high=over_scales("epochs", {"": {epoch: high_scores(first, each) for epoch, each in of[score].items()}}),
        tail=over_scales(
            "epochs", {"": {epoch: over_trainings(list(map(skewness, each))) for epoch, each in of[score].items()}}
        ),
    )


def agreement_of_trainings(scores: Trainings) -> Estimate:
    """Return the rank correlation of the scores by two trainings, the mean over all pairs of them.

    Parameters
    ----------
    scores : sequence of Scores
        By each training, three or more, of the same images.

    Raises
    ------
    InputError
        If there are fewer, the images differ, or scores are the same for all images.

    Examples
    --------
    >>> agreement_of_trainings([first, second, third]).unit
    'training'
    """
    return over_pairs(_correlation, scores, *CORRELATION)


def correlation_with(scores: Trainings, others: Trainings) -> Estimate:
    """Return the rank correlation of two scores by the same training, the mean over trainings.

    Parameters
    ----------
    scores, others : sequence of Scores
        By each training, two or more, in the same order and of the same images.

    Raises
    ------
    InputError
        If there are fewer, or scores do not belong together.

    Examples
    --------
    >>> correlation_with([first, second], [first_loss, second_loss]).n
    2
    """
    return over_trainings([_correlation(a, b) for a, b in _paired(scores, others)], *CORRELATION)


def score_and_loss(scores: Trainings, losses: Trainings) -> dict[str, Estimate]:
    """Return how far a score and the loss agree overall and at the ends, in the mean over trainings.

    The same as `bend.agreement_at_the_top`, whose intervals are over the images of one training.

    Parameters
    ----------
    scores, losses : sequence of Scores
        By each training, two or more, in the same order and of the same images.

    Returns
    -------
    dict of str to Estimate
        ``"overall"``, ``"within the highest losses"`` (a tenth), ``"top shared"`` and ``"bottom shared"``.

    Raises
    ------
    InputError
        If there are fewer, or scores do not belong together.

    Examples
    --------
    >>> score_and_loss([first, second], [first_loss, second_loss])["top shared"].value
    """
    pairs = _paired(scores, losses)
    n = len(pairs[0][0])
    size, tenth = top_size(n), max(2, n // 10)
    return {
        "overall": correlation_with(scores, losses),
        "within the highest losses": over_trainings([_within(*pair, tenth) for pair in pairs], *CORRELATION),
        "top shared": over_trainings([top_overlap(*pair, size) for pair in pairs], *SHARE),
        "bottom shared": over_trainings([_bottom_overlap(*pair, size) for pair in pairs], *SHARE),
    }


def high_scores(before: Trainings, after: Trainings) -> Estimate:
    """Return how the share of high scores has changed, the mean over trainings.

    A score is high above nine tenths of those before.

    Parameters
    ----------
    before, after : sequence of Scores
        By each training at an earlier and at a later epoch, two trainings or more, of the same images.

    Raises
    ------
    InputError
        If there are fewer, or scores do not belong together.

    Examples
    --------
    >>> high_scores([first_epoch, first_epoch_again], [last_epoch, last_epoch_again]).below(0)
    """

    def change(pair: tuple[Scores, Scores]) -> float:
        early, late = (each.values.double().numpy() for each in pair)
        limit = np.quantile(early, HIGH)
        return float(np.mean(late > limit) - np.mean(early > limit))

    return over_trainings([change(pair) for pair in _paired(before, after)])


def shift(before: Trainings, after: Trainings) -> Estimate:
    """Return how far the mean natural logarithm of the score has moved, the mean over trainings.

    Parameters
    ----------
    before, after : sequence of Scores
        By each training, two or more, of the same images; all above 0.

    Raises
    ------
    InputError
        If there are fewer, scores do not belong together, or a score has no logarithm.

    Examples
    --------
    >>> shift([weak, weak_again], [strong, strong_again]).above(0)
    """

    def moved(pair: tuple[Scores, Scores]) -> float:
        early, late = (np.log(each.values.double().numpy()) for each in pair)
        return float(late.mean() - early.mean())

    pairs = _paired(before, after)
    least = min(float(each.values.min()) for pair in pairs for each in pair)
    if not least > 0:
        reject("the least score", least, "above 0 to have a logarithm")
    return over_trainings([moved(pair) for pair in pairs])


def _paired(scores: Trainings, others: Trainings) -> list[tuple[Scores, Scores]]:
    if len(scores) != len(others):
        reject("the number of trainings", f"{len(scores)} and {len(others)}", "the same for both scores")
    if len(scores) < 2:
        reject("the number of trainings", len(scores), "2 or more")
    for a, b in zip(scores, others, strict=True):
        check_comparable(a, b)
    return list(zip(scores, others, strict=True))


def _correlation(a: Scores, b: Scores) -> float:
    check_comparable(a, b)
    return rank_correlation(a.values, b.values)


def _within(score: Scores, loss: Scores, k: int) -> float:
    highest = loss.highest(k)
    return rank_correlation(score.values[highest], loss.values[highest])


def _bottom_overlap(a: Scores, b: Scores, k: int) -> float:
    return float(torch.isin(a.lowest(k), b.lowest(k)).float().mean())
