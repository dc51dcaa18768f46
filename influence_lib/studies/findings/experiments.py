"""Findings of the experiments that train their own encoders: removal, bridges, changing data."""

import re

import pandas as pd

from influence_lib.estimate import Estimate
from influence_lib.finding import Finding
from influence_lib.pretrain import SHIPPED
from influence_lib.replication import over_trainings
from influence_lib.studies import removal as removing
from influence_lib.studies.bridges import changes
from influence_lib.studies.continual import AFTER
from influence_lib.studies.findings.committed import METHODS, Results
from influence_lib.studies.findings.several import EPOCHS, trained
from influence_lib.studies.pretraining import has_learned

__all__ = ["attribution", "bridges", "continual", "removal"]

LEAST = 2  # trainings for an interval


def attribution(results: Results) -> dict[str, Finding]:
    """Return what attribution gave, where its table is committed: LDS, seconds, and the share of predictions turned.

    Each has a value for each way, and a finding of its own for each, as in ``lds.exemplar_svm_simclr_50k``. What has to
    have learned is the encoder whose features are compared.
    """
    stored = results.table("attribution-table")
    if stored is None:
        return {}
    table, settings = stored
    values: dict[str, dict[str, Estimate]] = {}
    for row in table.dropna(subset="value").to_dict("records"):  # a ceiling takes no seconds
        what, way = _key(str(row.pop("what"))), str(row.pop("way"))
        row["n"] = None if pd.isna(row["n"]) else int(row["n"])
        values.setdefault(what, {})[way] = Estimate(**row)
    gate, judged = results.gate(trained(METHODS[0], 0, EPOCHS[-1])), int(settings["judged"])
    together = {name: Finding(each, judged, gate) for name, each in values.items()}
    alone = {
        f"{name}.{re.sub(r'[^a-z0-9]+', '_', way.lower()).strip('_')}": Finding({"": estimate}, judged, gate)
        for name, each in values.items()
        for way, estimate in each.items()
    }
    return together | alone


def bridges(results: Results) -> dict[str, Finding]:
    """Return what uniform backgrounds do to links between classes, where the experiment is committed."""
    tables = {what: results.table("bridges", what=what) for what in ("parts", "removal", "mediation", "controls")}
    if any(each is None for each in tables.values()):
        return {}
    parts, removed, mediation, controls = (each[0] for each in tables.values() if each is not None)
    by_name = {row.pop("encoder"): Estimate(**row) for row in controls.to_dict("records")}
    gate = has_learned(by_name["own"], by_name["random weights"], by_name["supervised"])
    n = int(removed["training"].nunique())
    wide = parts.pivot_table(index="training", columns="uniform", values="bridges")
    made = over_trainings((wide[max(wide.columns)] - wide[min(wide.columns)]).to_list(), -1, 1)
    within = {name: over_trainings(mediation[name].to_list(), -1, 1) for name in ("overall", "within backgrounds")}
    pairs = {
        "without_highest": ("highest uniform", "random, same classes"),
        "highest_or_lowest": ("highest uniform", "lowest uniform"),
    }
    found = {name: {k: v.scaled(100) for k, v in changes(removed, *each).items()} for name, each in pairs.items()}
    values = {"made": {"": made.scaled(100)}, "score": within, **found}
    return {name: Finding(each, n, gate) for name, each in values.items()}


def continual(results: Results) -> dict[str, Finding]:
    """Return what happens to scores while an encoder learns other classes, where the experiment is committed."""
    stored = results.table("continual")
    if stored is None:
        return {}
    table = stored[0]
    n = int(table["training"].nunique())
    groups = {then: table[table["then"] == then] for then in AFTER}
    lost = {k: over_trainings((t["accuracy after"] - t["accuracy before"]).to_list(), -1, 1) for k, t in groups.items()}
    values = {
        "lost": {then: each.scaled(100) for then, each in lost.items()},
        "stays": {then: over_trainings(t["EK-FAC, stays"].to_list(), -1, 1) for then, t in groups.items()},
        "with_loss": {
            kind: over_trainings(groups[AFTER[0]][f"{kind}, with loss"].to_list(), -1, 1)
            for kind in ("EK-FAC", "raw loss")
        },
    }
    return {name: Finding(each, n) for name, each in values.items()}


def removal(results: Results) -> dict[str, Finding]:
    """Return what is gained without either end of each ranking over random removal, in points of linear accuracy.

    Keys are the end, the ranking, the control and the recipe, as in ``highest.ekfac.random.simclr-cifar10``; for a
    ranking by another method's encoder its name comes last. Only what two trainings or more of both arms have.
    """
    table = results.retrainings()
    found: dict[str, Finding] = {}
    for (recipe, amount, length), rows in table[table["amount"] > 0].groupby(["recipe", "amount", "length"]):
        gate = _gate(results, str(recipe))
        for arm, ranked_by in rows[rows["ranked by"] != ""][["left out", "ranked by"]].drop_duplicates().to_numpy():
            if arm.startswith("random"):
                continue
            own = rows[rows["ranked by"].isin(["", ranked_by])]
            for control, name in (("random", "random"), (f"random, classes as {arm}", "classes")):
                if (estimate := _gain(own, arm, control)) is not None:
                    end, _, by = arm.partition(" by ")
                    key = ".".join([end, _key(by), name, f"{amount:.0%}".rstrip("%"), length, str(recipe)])
                    ranks = "" if str(recipe).startswith(ranked_by) else f".{ranked_by}"
                    found[key + ranks] = Finding({"": estimate}, int(estimate.n or 0), gate)
    return found


def _gain(rows: pd.DataFrame, arm: str, control: str) -> Estimate | None:
    if control not in set(rows["left out"]):
        return None
    difference = removing.paired_difference(rows, arm, control)
    return difference.scaled(100) if (difference.n or 0) >= LEAST else None


def _key(ranking: str) -> str:
    return ranking.lower().replace("-", "").replace(" ", "_")


def _gate(results: Results, recipe: str) -> bool | None:
    """Return whether the encoder on all images has learned, where it is one that ships."""
    return results.gate(recipe) if recipe in {each.name for each in SHIPPED} else None
