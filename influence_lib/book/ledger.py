"""The ledger: every figure, table and number of the papers, with the verdict reached here.

``book/ledger.yml`` is its one source; the page is generated from it.
"""

import textwrap
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from influence_lib.errors import InputError
from influence_lib.notebook import sentences

__all__ = ["BADGES", "Ledger", "Row", "Section", "page", "read"]

# the vocabulary of the verdicts, and the sphinx-design role that shows each
BADGES = {
    "replicates": "bdg-success",
    "does not replicate": "bdg-danger",
    "answered": "bdg-info",
    "not testable at this scale": "bdg-secondary",
    "not yet": "bdg-light",
}
Verdict = Literal["replicates", "does not replicate", "answered", "not testable at this scale", "not yet"]
MEASURED = ("replicates", "does not replicate", "answered")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Strict):
    """One figure, table or number of a paper. Texts are Markdown."""

    id: str = Field(pattern=r"^[A-D]-[A-Za-z0-9/–]+$")
    item: str
    paper: str | None = None
    where: str | None = None
    ours: str | None = None
    profile: str | None = None
    verdict: Verdict
    reason: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _verdict_is_supported(self) -> Self:
        """Refuse a verdict without what it rests on."""
        measured = {"where": self.where, "ours": self.ours, "profile": self.profile}
        if self.verdict in MEASURED:
            missing = [name for name, value in measured.items() if not value]
            if missing:
                raise ValueError(f"the verdict {self.verdict!r} of {self.id} needs {' and '.join(missing)}")
        elif self.ours is not None:
            raise ValueError(f"{self.id} has a value of ours, which the verdict {self.verdict!r} contradicts")
        if self.verdict == "answered" and self.paper is not None:
            raise ValueError(f"{self.id} has a value of the papers, which the verdict 'answered' contradicts")
        if self.verdict == "not testable at this scale" and not self.reason:
            raise ValueError(f"the verdict {self.verdict!r} of {self.id} needs a reason")
        return self


class Section(_Strict):
    """The rows of one document."""

    title: str
    about: str
    rows: list[Row] = Field(min_length=1)


class Ledger(_Strict):
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
        One sentence for each wrong row: an unknown verdict, a verdict that nothing supports, an id used
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
    if len(where) == 5:  # sections, number, rows, number, field
        row = content["sections"][where[1]]["rows"][where[3]]
        return f"{where[4]} of {row.get('id', f'row {where[3]}')}"
    return ".".join(str(part) for part in where) or "the ledger"


def page(ledger: Ledger) -> str:
    """Return the ledger as a MyST page."""
    counts: Counter[str] = Counter(row.verdict for row in ledger.rows)
    summary = " · ".join(f"{{{role}}}`{verdict}` {counts[verdict]}" for verdict, role in BADGES.items())
    head = [
        "# The ledger",
        "Every figure, table and number of the papers that this companion answers, with what was found here. "
        "A row is never dropped; where the papers contradict themselves, the row says so.",
        f"**{len(ledger.rows)} rows:** {summary}",
    ]
    return "\n\n".join([*head, *(_section(section) for section in ledger.sections)]) + "\n"


def _section(section: Section) -> str:
    rows = "\n".join(_cells(row) for row in section.rows)
    header = _list_row("Id", "Item", "The papers' value", "Here", "Verdict")
    table = "\n".join(
        [
            "```{list-table}",
            ":header-rows: 1",
            ":widths: 9 31 30 16 14",
            ":class: ledger",
            "",
            header,
            rows,
            "```",
        ]
    )
    return f"## {section.title}\n\n{section.about}\n\n{table}"


def _cells(row: Row) -> str:
    item = row.item if row.note is None else f"{row.item}\n\n*Note.* {row.note}"
    here = "–"
    if row.where is not None:
        parts = [row.ours, f"{{doc}}`{row.where}`", row.profile and f"profile `{row.profile}`"]
        here = "\n\n".join(part for part in parts if part)
    badge = f"{{{BADGES[row.verdict]}}}`{row.verdict}`"
    verdict = badge if row.reason is None else f"{badge}\n\n{row.reason}"
    return _list_row(row.id, item, row.paper or "–", here, verdict)


def _list_row(*cells: str) -> str:
    """Return one row of a list-table; the lines of a cell are indented to stay in it."""
    return "* - " + "\n  - ".join(textwrap.indent(cell.strip(), "    ").lstrip() for cell in cells)
