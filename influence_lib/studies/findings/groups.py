"""Findings on who is at the ends of scores of faces."""

import re

import pandas as pd

from influence_lib.estimate import Estimate
from influence_lib.finding import Finding
from influence_lib.pretrain import SHIPPED
from influence_lib.studies.findings.committed import Results
from influence_lib.studies.findings.ends import KINDS

__all__ = ["fairness"]


def fairness(results: Results) -> dict[str, Finding]:
    """Return the representation ratios on top and what the photographs differ in, where the table is committed.

    Of BYOL, the paper's method, by the larger training of which there is one. Keys are the attribute, with a value for
    each group, or what was measured of the photographs, and the score, as in ``class.ekfac`` or ``sharpness.ekfac``.
    """
    recipes = [each for each in SHIPPED if each.dataset == "fairface" and each.method == "byol" and not each.seed]
    tables = {each.name: results.table("fairness-table", name=each.name) for each in recipes}
    name, stored = next(((n, each) for n, each in reversed(tables.items()) if each is not None), ("", None))
    if stored is None:
        return {}
    table, settings = stored
    count = len(next(iter(settings["scores"].values())))
    gate = results.gate(name, *(f"{name}-seed{seed}" for seed in range(1, count)))
    found: dict[str, Finding] = {}
    for kind, score in KINDS.items():
        values = _of_score(table[table["score"] == score])
        found |= {f"{what}.{kind}": Finding(each, count, gate) for what, each in values.items()}
    return found


def _of_score(table: pd.DataFrame) -> dict[str, dict[str, Estimate]]:
    values: dict[str, dict[str, Estimate]] = {}
    for row in table.drop(columns="score").to_dict("records"):
        of, attribute, name = (str(row.pop(key)) for key in ("of", "attribute", "name"))
        if of == "highest":
            values.setdefault(attribute, {})[name] = Estimate(**row)
        elif attribute == "photograph":
            values[re.sub(r"\W+", "_", name).lower()] = {"": Estimate(**row)}
    return values
