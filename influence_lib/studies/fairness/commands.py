"""``python -m influence_lib fairness``: the audit of a table of scores and groups, as Markdown."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from influence_lib.errors import InputError, reject
from influence_lib.studies.fairness.audit import Audit, audit
from influence_lib.studies.fairness.photograph import adjusted_odds

__all__ = ["fairness"]


def fairness(arguments: argparse.Namespace) -> None:
    """Print the audit of a table, and with measures what is left of each group's odds."""
    table = _read(arguments.file, [arguments.score, *arguments.groups, *arguments.measured])
    scores = pd.to_numeric(table[arguments.score], errors="coerce")
    found = audit(scores, table[arguments.groups], arguments.k, arguments.intersections)
    sys.stdout.write(found.report())
    if arguments.measured:
        measured = table[arguments.measured].apply(pd.to_numeric, errors="coerce")
        sys.stdout.write("\n".join(_left(found, scores, table[arguments.groups], measured)) + "\n")


def _read(file: Path, columns: list[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as a CSV: {' '.join(str(error).split())}.") from None
    for column in columns:
        if column not in table.columns:
            reject("a column", column, list(table.columns))
    return table


def _left(found: Audit, scores: pd.Series, groups: pd.DataFrame, measured: pd.DataFrame) -> Iterator[str]:
    """Yield the lines on what is left of each group's odds where the measures are known."""
    rank = scores.rank(method="first", ascending=False).to_numpy()
    ends = {"highest": rank <= found.k, "lowest": rank > len(rank) - found.k}
    yield f"\n## What is left where {', '.join(measured.columns)} are known\n"
    yield "| end | group | odds alone | odds adjusted | E-value |"
    yield "|---|---|---|---|---|"
    for end, at_end in ends.items():
        for name in groups.columns:
            odds = adjusted_odds(np.asarray(at_end), groups[name].astype(str).tolist(), measured)
            for group, row in odds.iterrows():
                both = f"{row['alone']:.2f} | {row['adjusted']:.2f}"
                yield f"| {end} | {group} ({name}) | {both} | {row['e_value']:.2f} |"
    yield "\nThe E-value is how strongly something unmeasured would have to go with both group and end to explain it."
