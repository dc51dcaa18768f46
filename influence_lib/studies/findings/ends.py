"""Findings on what the two ends of rankings are like."""

import pandas as pd

from influence_lib.estimate import Estimate
from influence_lib.finding import Finding
from influence_lib.studies.findings.committed import METHODS, Results
from influence_lib.studies.findings.several import EPOCHS, trained

__all__ = ["patterns"]

KINDS = {"ekfac": "EK-FAC", "raw_loss": "raw loss"}
ENDS, CONTROLS = "highest less lowest", "highest less controls"
UNIFORM, COLOURFUL = "border uniformity", "colourfulness"
PURITY = "label purity"
NEAR = {"among all": "neighbour distance", "within the set": "distance within the set"}


def patterns(results: Results) -> dict[str, Finding]:
    """Return how the highest images differ from the lowest and from controls, for each method of which it is stored."""
    found: dict[str, Finding] = {}
    for method in (*METHODS, "supervised"):
        stored = _stored(results, method)
        if stored is None:
            continue
        names, table = stored
        count, gate = len(names), results.gate(*names)
        for kind, score in KINDS.items():
            values = _of_score(table[table["score"] == score])
            found |= {f"{what}.{kind}.{method}": Finding(each, count, gate) for what, each in values.items()}
        scaled = _of_score(table[table["score"] == f"{KINDS['ekfac']}, scaled noise"])
        found[f"uniform_beside_controls.scaled.{method}"] = Finding(scaled["uniform_beside_controls"], count, gate)
    return found


def _stored(results: Results, method: str) -> tuple[list[str], pd.DataFrame] | None:
    """Return the names of a method's trainings and their table, of the most epochs of which one is here, if any."""
    for epoch in reversed(EPOCHS):
        stored = results.table("patterns-table", name=trained(method, 0, epoch))
        if stored is not None:
            table, settings = stored
            return [trained(method, seed, epoch) for seed in range(len(settings["encoders"]))], table
    return None


def _of_score(table: pd.DataFrame) -> dict[str, dict[str, Estimate]]:
    rows = {
        (row.pop("beside"), row.pop("statistic")): Estimate(**row)
        for row in table.drop(columns="score").to_dict("records")
    }
    values = {
        "uniform": {"": rows[ENDS, UNIFORM]},
        "uniform_beside_controls": {"": rows[CONTROLS, UNIFORM]},
        "colourful": {"": rows[ENDS, COLOURFUL]},
    }
    if (ENDS, NEAR["among all"]) in rows:
        values["clusters"] = {where: rows[ENDS, distance] for where, distance in NEAR.items()}
        values["purity"] = {"": rows[ENDS, PURITY]}
    return values
