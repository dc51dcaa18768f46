"""What the command ``ledger`` does: every row with its verdict, and the findings made anew."""

import json
import sys
from argparse import Namespace
from pathlib import Path

from influence_lib.book.chapters import chapters
from influence_lib.book.findings import Findings, described, read_findings, write_findings
from influence_lib.book.layout import Book
from influence_lib.book.ledger import Judged, judged, read

__all__ = ["ledger"]


def ledger(arguments: Namespace) -> None:
    """Print a line for each row."""
    root = arguments.root
    if arguments.update:
        _update(root)
    findings = read_findings(root)
    names = [chapter.name for chapter in chapters(Book(root))]
    rows = [judged(row, findings) for row in read(root / "book" / "ledger.yml", names).rows]
    if arguments.json:
        text = json.dumps([_described(each) for each in rows], indent=1, ensure_ascii=False)
    else:
        text = "\n".join(f"{each.row.id:<9} {each.verdict:<27} {each.row.item}" for each in rows)
    sys.stdout.write(text + "\n")


def _update(root: Path) -> None:
    """Write the findings of every study."""
    # imported here because it imports torch, which reading the ledger does not need
    from influence_lib.studies.findings import STUDIES, Results

    results = Results(root)
    for study, compute in STUDIES.items():
        found: Findings = compute(results)
        sys.stderr.write(f"{write_findings(root, study, found)}: {len(found)} findings\n")


def _described(each: Judged) -> dict[str, object]:
    claims = [
        claim.model_dump(exclude_none=True, exclude_defaults=True)
        | {"finding": None if finding is None else described(finding)}
        | judgement._asdict()
        for claim, finding, judgement in each.claims
    ]
    row = each.row.model_dump(exclude_none=True, exclude={"claims"})
    return row | {"verdict": each.verdict, "claims": claims}
