"""What the trainings say, as sentences that hold whatever they are, and what pictures are drawn of."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from influence_lib.data import ImageSet
from influence_lib.errors import check_choice
from influence_lib.estimate import Estimate
from influence_lib.studies.removal.arms import ENDS
from influence_lib.studies.removal.retraining import Retraining

__all__ = ["class_balance", "drawn", "gains_in_words", "missing_in_words", "power_in_words"]

NOTHING = {"no training is done": {"": Estimate.stated(0.0)}}


def _sweep_name(method: str, ranked_by: str, length: str, amount: float) -> str:
    ranks = "" if ranked_by == method else f", ranked by {ranked_by}"
    return f"{method}{ranks}, {amount:.0%}, equal {length}"


def drawn(found: pd.DataFrame, column: str = "to random") -> dict[str, dict[str, Estimate]]:
    """Return one column of `effects` in points, as `figures.interval_dots` takes it: sweep → arm → difference.

    Parameters
    ----------
    found : DataFrame
        As `effects` returns it.
    column : str
        One of its differences.

    Returns
    -------
    dict
        Only the arms that every sweep has; a single nought under a name that says so where there are none.

    Raises
    ------
    InputError
        If there is no such column.

    Examples
    --------
    >>> drawn(effects(table))
    """
    check_choice("column", column, [name for name in found.columns if name != "accuracy"])
    if found.empty:
        return NOTHING
    series = {}
    for sweep, rows in found.groupby(level=[0, 1, 2, 3], sort=False):
        values = rows.droplevel([0, 1, 2, 3])[column]
        series[_sweep_name(*sweep)] = {arm: value.scaled(100) for arm, value in values.items() if value}
    shared = [arm for arm in next(iter(series.values())) if all(arm in values for values in series.values())]
    return {name: {arm: values[arm] for arm in shared} for name, values in series.items()} if shared else NOTHING


def gains_in_words(found: pd.DataFrame, ranking: str, column: str = "to its classes") -> str:
    """Return a list in Markdown, a line for each sweep: what is gained without either end of a ranking.

    Parameters
    ----------
    found : DataFrame
        As `effects` returns it.
    ranking : str
        Its name.
    column : str
        Which difference.

    Raises
    ------
    InputError
        If there is no such column.

    Examples
    --------
    >>> gains_in_words(effects(table), "EK-FAC")
    """
    check_choice("column", column, [name for name in found.columns if name != "accuracy"])
    said = []
    for sweep, rows in found.groupby(level=[0, 1, 2, 3], sort=False):
        ends = rows.droplevel([0, 1, 2, 3])[column]
        parts = [_gain(arm, ends.get(arm)) for arm in (f"{end} by {ranking}" for end in ENDS)]
        said.append(f"- {_sweep_name(*sweep)}: {'; '.join(parts)}.")
    return "\n".join(said) or f"- No training without the images at an end of {ranking} is done."


def _gain(arm: str, difference: Estimate | None) -> str:
    if difference is None or not difference.n:
        return f"without the {arm} not done yet"
    points = difference.scaled(100)
    if difference.n == 1:
        return f"without the {arm} {points.value:+.1f} in a single training"
    words = {"above": "better", "below": "worse"}.get(points.compared(0), "not clearly different")
    return f"without the {arm} {points:+.1f} in {points.n} trainings, {words}"


def missing_in_words(retrainings: Sequence[Retraining], device: str = "auto") -> str:
    """Return how many of some trainings are done.

    Examples
    --------
    >>> missing_in_words(sweep.retrainings())
    'None of the 8 trainings is done.'
    """
    every = list(dict.fromkeys(retrainings))
    done = sum(each.stored(device) is not None for each in every)
    if done == len(every):
        return f"All of the {done:,} trainings are done."
    return f"{f'{done:,}' if done else 'None'} of the {len(every):,} trainings {'is' if done < 2 else 'are'} done."


def power_in_words(table: pd.DataFrame) -> str:
    """Return a sentence for each difference of a `power_table`.

    Examples
    --------
    >>> power_in_words(power_table(table, {"the workshop paper's gain": 0.023}))
    """
    said = []
    for name, row in table.iterrows():
        deviation, difference, n = 100 * row["deviation"], 100 * row["difference"], int(row["trainings"])
        said.append(
            f"With {n} trainings and a standard deviation of {deviation:.1f} points between two of one seed, {name} of"
            f" {difference:.1f} points would be seen with a chance of {row['power']:.0%}; for 80 % it takes"
            f" {int(row['needed']):,} trainings of each arm."
        )
    return " ".join(said)


def class_balance(retrainings: Sequence[Retraining], images: ImageSet) -> pd.DataFrame:
    """Return the classes of what is left out, for each arm of the first seed.

    Parameters
    ----------
    retrainings : sequence of Retraining
        Of one sweep.
    images : ImageSet
        Its images.

    Returns
    -------
    DataFrame
        Indexed by what is left out: the part of each class in it, in [0, 1], and the largest of them as ``largest``.

    Examples
    --------
    >>> class_balance(sweep.retrainings(), sweep.recipe.images())["largest"]
    """
    place = pd.Series(np.arange(len(images)), index=images.ids.tolist())
    first = min((each.recipe.seed for each in retrainings), default=0)
    rows = {}
    for each in retrainings:
        if each.left_out and each.recipe.seed == first:
            labels = images.labels.numpy()[place.loc[list(each.left_out)]]
            counts = np.bincount(labels, minlength=len(images.class_names)) / len(labels)
            rows[each.arm.name] = dict(zip(images.class_names, counts, strict=True))
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.insert(0, "largest", table.max(axis=1))
    return table
