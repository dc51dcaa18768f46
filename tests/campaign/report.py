"""What came of the trials: counts and failures, as JSON and as a table."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench._engine_report import table
from tests.campaign.trials import Trial

LONGEST = 100  # characters of a failure in the list of failures


def results(trials: Iterable[Trial], home: Path) -> dict[str, Any]:
    """Return the counts of each kind of trial, and what failed.

    Parameters
    ----------
    trials : iterable of Trial
    home : Path
        The repository, whose place is left out of what failed.
    """
    counts: dict[tuple[str, str], dict[str, Any]] = {}
    failures = []
    for trial in trials:
        row = counts.setdefault((trial.kind, trial.what), {"number": 0, "in_writing": 0, "passed": 0, "failed": 0})
        row["number"] += 1
        row["in_writing"] += trial.in_writing
        row["failed" if trial.failure else "passed"] += 1
        if trial.failure:
            said = trial.failure.strip().splitlines()[-1].replace(str(home), ".")
            failures.append({"kind": trial.kind, "what": trial.what, "label": trial.label, "failure": said})
    rows = [{"kind": kind, "what": what, **row} for (kind, what), row in counts.items()]
    return {"trials": rows, "failures": failures}


def report(found: Mapping[str, Any]) -> str:
    """Return the results, as they are written in the JSON file, as markdown."""
    box, rows, failures = found["machine"], found["trials"], found["failures"]
    cells = [
        [f"{row['kind']}: {row['what']}", str(row["number"]), str(row["passed"]), str(row["failed"])] for row in rows
    ]
    sums = [str(sum(row[key] for row in rows)) for key in ("number", "passed", "failed")]
    killed = [row for row in rows if row["kind"] == "kill"]
    kills, writing = (sum(row[key] for row in killed) for key in ("number", "in_writing"))
    lines = [
        "# Kills, neighbours, full disks, damaged files",
        f"{box['processor']}, {box['threads']} thread, torch {box['versions']['torch']}, seed {found['seed']},"
        f" {found['minutes']:.0f} minutes.",
        table(["trial", "number", "passed", "failed"], [*cells, ["all", *sums]]),
        f"Of the {kills} kills {writing} left something half-written under a temporary name.",
    ]
    if failures:
        lines += ["## What failed", "\n".join(_grouped(failures))]
    return "\n\n".join(lines) + "\n"


def _grouped(failures: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Yield a line for each kind of failure: how often it came, and the first."""
    labels: dict[str, list[str]] = {}
    for failure in failures:
        said = failure["failure"].replace("`", "'")
        labels.setdefault(f"{failure['kind']}: {failure['what']}: `{said[:LONGEST]}`", []).append(failure["label"])
    for said, group in labels.items():
        yield f"- {len(group)} × {said}" + (f" (first: {group[0]})" if group[0] else "")
