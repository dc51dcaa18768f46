"""Findings on what the two ends of rankings are like."""

import pandas as pd

from influence_lib.estimate import Estimate
from influence_lib.finding import Finding, Trend
from influence_lib.pretrain import Recipe
from influence_lib.studies.findings.committed import METHODS, Results
from influence_lib.studies.findings.several import EPOCHS, SEEDS, trained
from influence_lib.studies.trend import over_scales

__all__ = ["patterns"]

COMPARED = (*METHODS, "supervised")
KINDS = {"ekfac": "EK-FAC", "raw_loss": "raw loss"}
ENDS, CONTROLS, REST = "highest less lowest", "highest less controls", "highest less rest"
UNIFORM, COLOURFUL = "border uniformity", "colourfulness"
PURITY = "label purity"
NEAR = {"among all": "neighbour distance", "within the set": "distance within the set"}


def patterns(results: Results) -> dict[str, Finding]:
    """Return how the highest images differ from the lowest and from controls, for each kind of encoder where stored."""
    found: dict[str, Finding] = {}
    for method, names in _kinds().items():
        stored = {epoch: each for epoch, own in names.items() if (each := _stored(results, own)) is not None}
        if not stored:
            continue
        last, table = stored[max(stored)]
        gate = results.gate(*last)
        for kind, score in KINDS.items():
            by_epoch = {epoch: _of_score(each, score) for epoch, (_, each) in stored.items()}
            found |= {
                f"{what}.{kind}.{method}": Finding(values, len(last), gate, _trend(what, by_epoch))
                for what, values in by_epoch[max(stored)].items()
            }
        scaled = _of_score(table, f"{KINDS['ekfac']}, scaled noise")
        found[f"uniform_beside_controls.scaled.{method}"] = Finding(scaled["uniform_beside_controls"], len(last), gate)
    return found


def _kinds() -> dict[str, dict[float, list[str]]]:
    """Return key → epoch → the names of the trainings of a kind of encoder after it."""
    large = {m: {epoch: [trained(m, seed, epoch) for seed in SEEDS] for epoch in EPOCHS} for m in COMPARED}
    small = [Recipe("simclr", "cifar100", seed=seed) for seed in SEEDS]
    return large | {"simclr-cifar100": {small[0].epochs: [each.name for each in small]}}


def _stored(results: Results, names: list[str]) -> tuple[list[str], pd.DataFrame] | None:
    """Return those of the trainings that a committed table is of, and the table; None where none is here."""
    stored = results.table("patterns-table", name=names[0])
    return None if stored is None else (names[: len(stored[1]["encoders"])], stored[0])


def _trend(what: str, by_epoch: dict[float, dict[str, dict[str, Estimate]]]) -> Trend | None:
    """Return the values after growing numbers of epochs, where there are several."""
    if len(by_epoch) < 2:
        return None
    of_what = {epoch: values[what] for epoch, values in by_epoch.items()}
    return over_scales(
        "epochs", {name: {epoch: of_what[epoch][name] for epoch in of_what} for name in of_what[max(of_what)]}
    )


def _of_score(table: pd.DataFrame, score: str) -> dict[str, dict[str, Estimate]]:
    own = table[table["score"] == score].drop(columns="score")
    rows = {(row.pop("beside"), row.pop("statistic")): Estimate(**row) for row in own.to_dict("records")}
    values = {
        "uniform": {"": rows[ENDS, UNIFORM]},
        "uniform_beside_controls": {"": rows[CONTROLS, UNIFORM]},
        "uniform_beside_rest": {"": rows[REST, UNIFORM]},
        "colourful": {"": rows[ENDS, COLOURFUL]},
    }
    if (ENDS, NEAR["among all"]) in rows:
        values["clusters"] = {where: rows[ENDS, distance] for where, distance in NEAR.items()}
        values["purity"] = {"": rows[ENDS, PURITY]}
    return values
