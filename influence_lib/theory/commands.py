"""What the command ``theory`` does: every statement with its verdict, checked."""

import json
import sys
from argparse import Namespace
from typing import Any

from influence_lib.theory.checking import Report
from influence_lib.theory.page import HEADINGS, MEANING, Example, counterexamples, words
from influence_lib.theory.plain import plain
from influence_lib.theory.registry import STATEMENTS, check_all, statement
from influence_lib.theory.statement import Verdict

__all__ = ["verdicts"]


def verdicts(arguments: Namespace) -> int:
    """Check, print, and return 1 if a check failed."""
    names = list(STATEMENTS) if arguments.id is None else [statement(arguments.id).id]
    reports = check_all(names, progress=arguments.id is None)
    if arguments.json:
        sys.stdout.write(json.dumps([_entry(report) for report in reports.values()], indent=1) + "\n")
    elif arguments.id is None:
        sys.stdout.write(_table(list(reports.values())))
    else:
        sys.stdout.write(_explanation(reports[arguments.id]))
    return 0 if all(report.passed for report in reports.values()) else 1


def _entry(report: Report) -> dict[str, Any]:
    return {
        "id": report.statement.id,
        "verdict": report.statement.verdict,
        "passed": report.passed,
        "checks": {c.kind: {"claims": c.claims, "passed": c.passed, "failures": c.failures} for c in report.checks},
        "seconds": round(report.seconds, 3),
    }


def _table(reports: list[Report]) -> str:
    width = max(len(report.statement.id) for report in reports)
    lines = []
    for report in reports:
        s = report.statement
        lines.append(f"{'ok' if report.passed else 'FAILED':<7}{s.id:<{width + 2}}{words(s.verdict):<24}{s.line}")
        lines += [f"{'':7}  {c.kind}, {failure}" for c in report.checks for failure in c.failures]
    failed = sum(not report.passed for report in reports)
    claims = sum(c.claims for report in reports for c in report.checks)
    seconds = sum(report.seconds for report in reports)
    lines.append(f"{len(reports)} statements, {claims} claims, {failed} failed, {seconds:.0f} s")
    return plain("\n".join(lines)) + "\n"


def _explanation(report: Report) -> str:
    s = report.statement
    parts = [
        f"{s.id}: {s.title} ({s.place})",
        s.says,
        f"Meant: {s.meant}" if s.meant else "",
        f"Verdict: {words(s.verdict)} ({MEANING[s.verdict]})\n{s.line}",
        s.found,
        *(_example(s.verdict, e) for e in counterexamples(s)),
        f"Proof: {s.proof}",
        s.rests,
        "\n".join(
            f"{c.kind}: {c.claims} claims, {'ok' if c.passed else 'FAILED: ' + '; '.join(c.failures)}"
            for c in report.checks
        ),
    ]
    return plain("\n\n".join(part for part in parts if part)) + "\n"


def _example(verdict: Verdict, example: Example) -> str:
    false, true = HEADINGS[verdict]
    corrected = "" if example.corrected is None else f"\n  {true}: {example.corrected}"
    return f"{example.case}\n  {false}: {example.printed}{corrected}"
