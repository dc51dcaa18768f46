"""Does a score predict what removal really does? Groups of each tenth of a ranking, left out and trained without."""

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from influence_lib.estimate import Estimate
from influence_lib.replication import over_trainings
from influence_lib.studies.removal.retraining import Retraining
from influence_lib.studies.removal.sweep import Sweep

__all__ = ["group_changes", "predictions", "predictions_in_words"]

PREDICTORS = ("score", "raw loss")
MEASURED = ("loss of the group", "loss of the others", "knn", "linear")


def group_changes(sweep: Sweep, place: str = "artifacts", device: str = "auto") -> pd.DataFrame:
    """Return what leaving a group out changed, beside what was predicted.

    Parameters
    ----------
    sweep : Sweep
        With the arms of `tenths`.
    place, device : str
        Those of `Sweep.retrainings`.

    Returns
    -------
    DataFrame
        A row for each group whose training, and that of its seed on all images, is done: ``training`` (the seed),
        ``tenth``, the mean ``score`` of the group, its mean ``raw loss`` by the encoder that has seen it, and the
        changes from that training to the one without the group: ``loss of the group``, ``loss of the others`` (mean raw
        losses), ``knn`` and ``linear`` (accuracies).

    Examples
    --------
    >>> len(group_changes(sweep))
    0
    """
    images, done = sweep.recipe.images(), [r for r in sweep.retrainings(place, device) if r.stored(device) is not None]
    whole = {each.recipe.seed: each.run(place, device) for each in done if not each.arm.amount}
    groups = [each for each in done if each.arm.tenth and each.recipe.seed in whole]
    if not groups:
        return pd.DataFrame(columns=["training", "tenth", *PREDICTORS, *MEASURED])
    scores = sweep.rankings(place, device)
    rows = []
    for each in groups:
        own, after, before = _members(each, images.ids), each.run(place, device), whole[each.recipe.seed]
        moved = after["losses"] - before["losses"]
        rows.append(
            {
                "training": each.recipe.seed,
                "tenth": each.arm.tenth,
                "score": float(scores[each.arm.by].values[own].mean()),
                "raw loss": float(before["losses"][own].mean()),
                "loss of the group": float(moved[own].mean()),
                "loss of the others": float(moved[~own].mean()),
                **{name: after[name].value - before[name].value for name in ("knn", "linear")},
            }
        )
    return pd.DataFrame(rows)


def _members(retraining: Retraining, ids: torch.Tensor) -> torch.Tensor:
    return torch.isin(ids, torch.tensor(retraining.left_out, dtype=torch.int64))


def predictions(table: pd.DataFrame) -> pd.DataFrame:
    """Return how well the score and the raw loss predict what removal of a group changes.

    Parameters
    ----------
    table : DataFrame
        As `group_changes` returns it, of two trainings or more with three groups each.

    Returns
    -------
    DataFrame of Estimate
        Rows ``score`` and ``raw loss``; columns are what was measured: rank correlations over the groups of a training,
        in [−1, 1], with the interval over trainings; all NaN where too few trainings are done.

    Examples
    --------
    >>> predictions(pd.DataFrame(columns=["training", "score", "raw loss", "loss of the group", "loss of the others",
    ...                                   "knn", "linear"])).shape
    (2, 4)
    """
    enough = [rows for _, rows in table.groupby("training") if len(rows) > 2]
    found = {
        what: {by: _over_trainings([_correlation(rows[by], rows[what]) for rows in enough]) for by in PREDICTORS}
        for what in MEASURED
    }
    return pd.DataFrame(found, index=list(PREDICTORS))


def _correlation(predicted: pd.Series, measured: pd.Series) -> float:
    varies = predicted.nunique() > 1 and measured.nunique() > 1
    return float(spearmanr(predicted.astype(float), measured.astype(float)).statistic) if varies else 0.0


def _over_trainings(values: list[float]) -> Estimate:
    if len(values) > 1:
        return over_trainings(values, -1, 1)
    value = values[0] if values else np.nan
    return Estimate(value, np.nan, np.nan, len(values), "training")


def predictions_in_words(found: pd.DataFrame) -> str:
    """Return what the score predicts, beside the raw loss.

    Parameters
    ----------
    found : DataFrame of Estimate
        As `predictions` returns it.

    Examples
    --------
    >>> predictions_in_words(predictions(group_changes(sweep)))
    'Too few of the trainings without a group are done to say whether the score predicts what they change.'
    """
    score, loss = (found.loc[by] for by in PREDICTORS)
    n = score["loss of the group"].n
    if n is None or n < 2:
        return "Too few of the trainings without a group are done to say whether the score predicts what they change."
    own, linear = "loss of the group", "linear"
    return (
        f"Over {n} trainings the mean score of a group has a rank correlation of {score[own]:.2f} with the rise of the"
        f" group's own loss when it is left out ({score[own].compared(0)} 0; the raw loss: {loss[own]:.2f}), and of"
        f" {score[linear]:.2f} with the change in linear accuracy ({score[linear].compared(0)} 0; the raw loss:"
        f" {loss[linear]:.2f})."
    )
