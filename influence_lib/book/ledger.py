"""The ledger: every figure, table and number of the papers, with the verdict reached here.

``book/ledger.yml`` holds the rows with their claims, ``results/findings/`` the numbers. Verdicts are made from the two
by `influence_lib.book.claims`; neither a verdict nor a number of ours is typed.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from influence_lib.book.claims import Claim, Judgement, Strict, Verdict, judge, of_row
from influence_lib.book.findings import Findings, look_up
from influence_lib.errors import InputError, sentences
from influence_lib.finding import Finding
from influence_lib.text import typeset

__all__ = ["Judged", "Ledger", "Row", "Section", "findings_in", "judged", "read", "with_numbers"]

PAPERS = {"A": "the paper", "B": "the workshop paper", "C": "open questions", "D": "the attribution baseline"}
PLACEHOLDER = re.compile(r"\{([a-z_]+\.[^{}#:\s]+)(?:#([^{}:]+))?(?::([^{}]+))?\}")


class Row(Strict):
    """One figure, table or number of a paper. Texts are Markdown.

    `line` is the finding in one sentence, for the book's first page. ``{key:.2f}`` in it, in `note` and in what claims
    state is a number from the findings.
    """

    id: str = Field(pattern=r"^[A-D]-[A-Za-z0-9/–]+$")
    item: str
    paper: str | None = None
    where: str | None = None
    profile: str | None = None
    note: str | None = None
    line: str | None = None
    claims: list[Claim] = Field(default_factory=list)

    @property
    def anchor(self) -> str:
        """The row's id as an HTML id."""
        return "ledger-" + re.sub(r"[^a-z0-9]+", "-", self.id.lower())

    @property
    def source(self) -> str:
        """The document that the row is about."""
        return PAPERS[self.id[0]]

    @model_validator(mode="after")
    def _result_says_where_it_is_from(self) -> Self:
        if any(claim.ours or claim.stated for claim in self.claims):
            missing = [name for name in ("where", "profile") if not getattr(self, name)]
            if missing:
                raise ValueError(f"{self.id} has a result, which needs {' and '.join(missing)}")
        if self.source == PAPERS["C"] and any(claim.kind == "measured" for claim in self.claims):
            raise ValueError(f"{self.id} is an open question, of which every claim must have the kind 'question'")
        return self


class Section(Strict):
    """The rows of one document."""

    title: str
    about: str
    rows: list[Row] = Field(min_length=1)


class Ledger(Strict):
    """All sections, in the order of the page."""

    sections: list[Section] = Field(min_length=1)

    @property
    def rows(self) -> list[Row]:
        """Every row of every section."""
        return [row for section in self.sections for row in section.rows]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        twice = [row_id for row_id, count in Counter(row.id for row in self.rows).items() if count > 1]
        if twice:
            raise ValueError(f"the id {twice[0]} is used more than once")
        return self


@dataclass(frozen=True)
class Judged:
    """A row with its verdict, and its claims each with finding and verdict."""

    row: Row
    verdict: Verdict
    claims: list[tuple[Claim, Finding | None, Judgement]]


def judged(row: Row, findings: Findings) -> Judged:
    """Return a row with the verdicts that follow from the findings, and with the numbers of its texts.

    Raises
    ------
    InputError
        If a claim or a text names a finding that is not there.
    """
    row = _numbered(row, findings)
    found = [None if claim.ours is None else look_up(claim.ours, findings) for claim in row.claims]
    verdicts = [judge(claim, finding) for claim, finding in zip(row.claims, found, strict=True)]
    whole = of_row(row.claims, [each.verdict for each in verdicts])
    return Judged(row, whole, list(zip(row.claims, found, verdicts, strict=True)))


def _numbered(row: Row, findings: Findings) -> Row:
    """Return a row in whose texts numbers stand for their keys."""

    def filled(text: str | None) -> str | None:
        return None if text is None else with_numbers(text, findings)

    claims = [claim.model_copy(update={"stated": filled(claim.stated)}) for claim in row.claims]
    return row.model_copy(update={"note": filled(row.note), "line": filled(row.line), "claims": claims})


def with_numbers(text: str, findings: Findings) -> str:
    """Return a text in which ``{key}``, ``{key#name}`` and ``{key:.1f}`` are the numbers of findings.

    Raises
    ------
    InputError
        If a key is not there.
    """

    def number(found: re.Match[str]) -> str:
        key, name, spec = found.groups()
        values = look_up(key, findings).values
        if (name or "") not in values:
            raise InputError(f"the finding {key} has no value {name!r}, only {sorted(values)}.")
        return typeset(format(values[name or ""].value, spec or ".2f"))

    return PLACEHOLDER.sub(number, text)


def findings_in(text: str, findings: Findings) -> list[Finding]:
    """Return the findings whose numbers a text names.

    Raises
    ------
    InputError
        If a key is not there.
    """
    return [look_up(key, findings) for key, *_ in PLACEHOLDER.findall(text)]


def read(file: Path, chapters: list[str]) -> Ledger:
    """Read and validate the ledger.

    Parameters
    ----------
    file : path
        ``ledger.yml``.
    chapters : list of str
        The names of the chapters that ``where`` may point to.

    Raises
    ------
    InputError
        One sentence for each wrong row: a claim that cannot be judged, a result without its place, an id used
        twice, a chapter that does not exist.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"The ledger {file.name} cannot be read: {' '.join(str(error).split())}.") from None
    try:
        ledger = Ledger.model_validate(content)
    except ValidationError as error:
        raise InputError(f"In {file.name}: {sentences(error, partial(_name, content))}") from None
    for row in ledger.rows:
        if row.where is not None and row.where not in chapters:
            raise InputError(f"In {file.name}: where is {row.where!r} in {row.id}, but it must be in {chapters}.")
    return ledger


def _name(content: Any, where: tuple[int | str, ...]) -> str:
    """Return what a value of the ledger is called: its field and the id of its row."""
    if len(where) >= 5:  # sections, number, rows, number, field and, of claims, their number and field
        row = content["sections"][where[1]]["rows"][where[3]]
        return f"{'.'.join(str(part) for part in where[4:])} of {row.get('id', f'row {where[3]}')}"
    return ".".join(str(part) for part in where) or "the ledger"
