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

__all__ = ["add_arguments"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``fairness FILE --score COLUMN --groups COLUMN… [--measured COLUMN…] [--k K] [--intersections]``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a CSV with a row for each image")
    parser.add_argument("--score", required=True, metavar="COLUMN", help="the column of the scores")
    parser.add_argument(
        "--groups", required=True, nargs="+", metavar="COLUMN", help="columns of groups, as race gender"
    )
    parser.add_argument(
        "--measured",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns of what the pictures differ in, as brightness",
    )
    parser.add_argument("--k", type=int, default=100, help="images that count as an end (default: 100)")
    parser.add_argument("--intersections", action="store_true", help="look at every two attributes together, too")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    """Print the report."""
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
