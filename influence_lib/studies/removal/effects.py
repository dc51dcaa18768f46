"""What leaving images out does: differences between trainings of one seed, and what so few could show."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from influence_lib.errors import check_choice, check_number, reject
from influence_lib.estimate import Estimate
from influence_lib.replication import over_trainings, power

__all__ = ["effects", "paired_difference", "power_table", "trainings_needed"]

GROUPS = ["method", "ranked by", "length", "amount"]
MOST = 1000  # trainings that are looked at


def paired_difference(table: pd.DataFrame, arm: str, control: str, measure: str = "linear") -> Estimate:
    """Return by how much trainings of one arm are better than those of another with the same seeds.

    Parameters
    ----------
    table : DataFrame
        Rows of `Sweep.table` of one sweep and one amount, with those on all images.
    arm, control : str
        Values of ``left out``.
    measure : {"knn", "linear"}
        Which accuracy.

    Returns
    -------
    Estimate
        The mean difference in accuracy with Student's interval over trainings; no interval (NaN) where there is one
        training, and all NaN where there is none.

    Raises
    ------
    InputError
        If a name is none of a column or a row.

    Examples
    --------
    >>> paired_difference(table, "highest by EK-FAC", "random").compared(0)
    """
    check_choice("measure", measure, ["knn", "linear"])
    known = list(table["left out"].unique())
    both = [
        table[table["left out"] == check_choice("left out", name, known)].set_index("training")[measure]
        for name in (arm, control)
    ]
    differences = (both[0] - both[1]).dropna().to_numpy()
    if len(differences) > 1:
        return over_trainings(differences)
    value = float(differences[0]) if len(differences) else np.nan
    return Estimate(value, np.nan, np.nan, len(differences), "training")


def effects(table: pd.DataFrame, measure: str = "linear") -> pd.DataFrame:
    """Return for every arm how its trainings differ from those of the controls.

    Parameters
    ----------
    table : DataFrame
        Of `Sweep.table`, of one sweep or several.
    measure : {"knn", "linear"}
        Which accuracy.

    Returns
    -------
    DataFrame of Estimate
        Indexed by ``method``, ``ranked by``, ``length``, ``amount`` and ``left out``; columns ``accuracy``, and the
        differences ``to random``, ``to its classes`` (random images with the balance of classes of the arm) and
        ``to all images``; None where the control is not there or is the arm itself.

    Raises
    ------
    InputError
        If there is no such measure.

    Examples
    --------
    >>> effects(table).loc["SimCLR"]
    """
    check_choice("measure", measure, ["knn", "linear"])
    rows = {}
    for sweep, of_sweep in table.groupby(GROUPS[:3], sort=False):
        complete = of_sweep[of_sweep["amount"] == 0]
        for amount, some in of_sweep[of_sweep["amount"] > 0].groupby("amount"):
            joined = pd.concat([some, complete])
            for arm in some["left out"].unique():
                rows[(*sweep, amount, arm)] = _row(joined, arm, measure)
    names = [*GROUPS, "left out"]
    index = pd.MultiIndex.from_tuples(rows, names=names) if rows else pd.MultiIndex.from_arrays([[]] * 5, names=names)
    columns = ["accuracy", "to random", "to its classes", "to all images"]
    return pd.DataFrame(list(rows.values()), index=index, columns=columns)


def _row(table: pd.DataFrame, arm: str, measure: str) -> dict[str, Estimate | None]:
    values = table[table["left out"] == arm][measure].to_numpy()
    accuracy = over_trainings(values) if len(values) > 1 else Estimate(float(values[0]), np.nan, np.nan, 1, "training")
    controls = {"to random": "random", "to its classes": f"random, classes as {arm}", "to all images": "nothing"}
    there = set(table["left out"])
    differences = {
        column: paired_difference(table, arm, control, measure) if control in there and control != arm else None
        for column, control in controls.items()
    }
    return {"accuracy": accuracy, **differences}


def trainings_needed(deviation: float, effect: float, wanted: float = 0.8) -> int:
    """Return how many trainings of each of two arms show a difference with some power.

    Parameters
    ----------
    deviation : float
        Standard deviation of the difference between two trainings of one seed, above 0.
    effect : float
        The true difference, in the same units, not 0.
    wanted : float
        The power, in (0, 1), of a two-sided t test at 5 %.

    Raises
    ------
    InputError
        If a value is not allowed, or it would take more than a thousand.

    Examples
    --------
    >>> trainings_needed(deviation=1.1 * 2**0.5, effect=2.3)
    6
    """
    deviation, wanted = check_number("deviation", deviation, above=0), check_number("wanted", wanted, above=0, most=1)
    effect = abs(check_number("effect", effect))
    for trainings in range(2, MOST + 1):
        if power(effect, deviation / trainings**0.5, trainings) >= wanted:
            return trainings
    reject("effect", effect, f"large enough to be seen in {MOST:,} trainings of each arm")


def power_table(table: pd.DataFrame, claimed: Mapping[str, float], measure: str = "linear") -> pd.DataFrame:
    """Return what the trainings of a sweep could have shown.

    Parameters
    ----------
    table : DataFrame
        Of `Sweep.table`, of one sweep, one amount and those on all images, two trainings of each arm or more.
    claimed : mapping of str to float
        Name → a difference in accuracy.
    measure : {"knn", "linear"}
        Which accuracy.

    Returns
    -------
    DataFrame
        Indexed by the name: ``difference``, ``deviation`` (of the difference between two trainings of one seed, of an
        arm and the random one), ``trainings`` that there are, the ``power`` that they have, and how many it takes for
        80 % (``needed``).

    Raises
    ------
    InputError
        If there are too few trainings.

    Examples
    --------
    >>> power_table(table, {"the workshop paper's": 0.023})
    """
    wide = table.pivot_table(index="training", columns="left out", values=measure).dropna()
    if len(wide) < 2 or "random" not in wide or wide.shape[1] < 2:
        reject("the number of trainings with a random control", len(wide), "2 or more, of two arms at least")
    differences = wide.drop(columns="random").sub(wide["random"], axis=0)
    deviation = float(np.sqrt(differences.var(ddof=1).mean()))
    rows = {
        name: {
            "difference": effect,
            "deviation": deviation,
            "trainings": len(wide),
            "power": power(effect, deviation / len(wide) ** 0.5, len(wide)),
            "needed": trainings_needed(deviation, effect),
        }
        for name, effect in claimed.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")
