"""Findings: what the ledger's numbers are read from, by key.

``results/findings/<study>.json`` maps keys to findings; the full key of one is ``<study>.<key>``. They are made from
committed results alone by ``python -m influence_lib ledger --update``, without images and without training.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from influence_lib.atomic import written_whole
from influence_lib.errors import InputError, sentences
from influence_lib.finding import Finding

__all__ = ["Findings", "described", "folder", "look_up", "read_findings", "write_findings"]

Findings = Mapping[str, Finding]
DIGITS = 6  # what stays the same when a sum is made on another processor
_FILE = TypeAdapter(dict[str, Finding])


def folder(root: Path) -> Path:
    """Return where the findings of a checkout lie."""
    return root / "results" / "findings"


def read_findings(root: Path) -> dict[str, Finding]:
    """Return full key → finding.

    Raises
    ------
    InputError
        If a file is not as it should be.
    """
    findings: dict[str, Finding] = {}
    for file in sorted(folder(root).glob("*.json")):
        try:
            content = _FILE.validate_json(file.read_bytes())
        except ValidationError as error:
            where = file.relative_to(root).as_posix()
            raise InputError(f"{where} is damaged: {sentences(error)} `ledger --update` makes it anew.") from None
        findings |= {f"{file.stem}.{key}": finding for key, finding in content.items()}
    return findings


def look_up(key: str, findings: Findings) -> Finding:
    """Return the finding of a key.

    Raises
    ------
    InputError
        If there is none.
    """
    if key not in findings:
        near = [other for other in findings if other.rpartition(".")[0] == key.rpartition(".")[0]]
        raise InputError(f"there is no finding {key!r}; near it are {near or sorted(findings)}.")
    return findings[key]


def write_findings(root: Path, study: str, found: Findings) -> Path:
    """Write the findings of one study and return the file."""
    content = {key: _rounded(described(found[key])) for key in sorted(found)}
    file = folder(root) / f"{study}.json"
    with written_whole(file) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def described(finding: Finding) -> dict[str, object]:
    """Return a finding as JSON-able values, without what is not known of it."""
    return {name: value for name, value in asdict(finding).items() if value is not None}


def _rounded(value: object) -> object:
    """Return JSON values with floats rounded."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
