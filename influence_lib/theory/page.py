"""The statements as MyST Markdown: the overview, and a section for each with its verdict and its check."""

import inspect
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import Any

import sympy

from influence_lib.theory.checking import UNDEFINED, Report
from influence_lib.theory.plain import plain
from influence_lib.theory.statement import OURS, REPAIRED, VERDICTS, Claim, Claims, Statement, Verdict

__all__ = ["HEADINGS", "LETTERS", "MEANING", "Example", "counterexamples", "grid", "overview", "section"]

MEANING: dict[Verdict, str] = {
    "holds": "true as printed, under the assumptions that the paper states",
    "holds_with_assumptions": "true once an assumption is added that the paper does not state at that place",
    "fails": "false as printed, with a counterexample; a corrected statement is given",
    "definition": "not derivable from the paper's own Eq. 4 and 6; the derived quantity is given",
    "notation": "true once a slip of sign, shape or typing is mended; the mended form is given",
}
# beside the colour, so that it is not needed to tell verdicts apart
LETTERS: dict[Verdict, str] = {
    "holds": "H",
    "holds_with_assumptions": "A",
    "fails": "F",
    "definition": "D",
    "notation": "N",
}
# over the two columns of a counterexample: what a definition gives is not false, but another quantity
HEADINGS = dict.fromkeys(VERDICTS, ("as printed (false)", "corrected (true)"))
HEADINGS["definition"] = ("with the paper's formula (false)", "derived from Eq. 4 (true)")
RELATIONS = {"=": "=", "≤": r"\le", "≠": r"\ne"}


@dataclass(frozen=True)
class Example:
    """One claim at explicit numbers. Texts are Markdown.

    Attributes
    ----------
    case : str
        The numbers, and what is compared.
    printed : str
        What the printed form says of it, which is false.
    corrected : str, optional
        What the corrected form says, which is true; none where the verdict only adds an assumption.
    """

    case: str
    printed: str
    corrected: str | None


def counterexamples(statement: Statement) -> list[Example]:
    """Return the counterexample of a statement, computed; empty where it holds.

    Examples
    --------
    >>> len(counterexamples(statement("claim4_proof"))), counterexamples(statement("lemma3"))
    (1, [])
    """
    if statement.counterexample is None:
        return []
    printed = _until_undefined(statement.counterexample(statement.printed))
    if statement.verdict not in REPAIRED:
        return [Example(c.label, _sides(c), None) for c in printed if c is not None]
    corrected = list(statement.counterexample(statement.corrected))
    pairs = zip_longest(printed, corrected)  # an undefined claim ends the printed ones
    return [Example(c.label, "not defined" if p is None else _sides(p), _sides(c)) for p, c in pairs]


def _until_undefined(claims: Claims) -> Iterator[Claim | None]:
    try:
        yield from claims
    except UNDEFINED:
        yield None


def _sides(claim: Claim) -> str:
    left, right = (_latex(side) for side in (claim.left, claim.right))
    return f"${left} {RELATIONS[claim.relation]} {right}$"


def _latex(value: Any) -> str:
    value = sympy.sympify(value)
    if getattr(value, "shape", None) == (1, 1):
        value = value[0, 0]
    return sympy.latex(value.applyfunc(sympy.simplify) if hasattr(value, "applyfunc") else sympy.simplify(value))


def words(verdict: Verdict) -> str:
    """Return a verdict in words."""
    return verdict.replace("_", " ")


def _style(verdict: Verdict) -> str:
    """Return the classes of a verdict in the book's style sheet."""
    return f"verdict v-{verdict.replace('_', '-')}"


def badge(verdict: Verdict) -> str:
    """Return the verdict as inline HTML: its words with a colour."""
    return f'<span class="{_style(verdict)}">{words(verdict)}</span>'


def grid(statements: Iterable[Statement]) -> str:
    """Return the paper's statements as a picture: a coloured letter each that leads to it, and what the letters mean.

    Those of this companion are left out.

    Examples
    --------
    >>> 'href="#thm1"' in grid(STATEMENTS.values())
    True
    """
    chosen = [entry for entry in statements if entry.place != OURS]
    counts = Counter(entry.verdict for entry in chosen)
    cells = "".join(map(_cell, chosen))
    legend = "".join(
        f'<li><span class="{_style(verdict)}" aria-hidden="true">{LETTERS[verdict]}</span> '
        f"<strong>{words(verdict)}</strong> {counts[verdict]}: {MEANING[verdict]}</li>"
        for verdict in VERDICTS
    )
    return (
        f'<nav class="theory-grid" aria-label="The {counts.total()} statements of the paper">{cells}</nav>\n\n'
        f'<ul class="ledger-legend">{legend}</ul>\n'
    )


def _cell(entry: Statement) -> str:
    name = escape(f"{plain(entry.title)}: {words(entry.verdict)}")
    link = f'href="#{entry.id}" title="{name}" aria-label="{name}"'
    return f'<a class="{_style(entry.verdict)}" {link}>{LETTERS[entry.verdict]}</a>'


def overview(statements: Iterable[Statement]) -> str:
    """Return a folded table of statements: what each is called, its verdict, and the finding in one line.

    Examples
    --------
    >>> overview(STATEMENTS.values()).splitlines()[0]
    '::::{dropdown} All 39 statements, a line each'
    """
    chosen = list(statements)
    rows = [_row("Statement", "Verdict", "In one line")]
    rows += [_row(f"{{prf:ref}}`{s.id}`: {s.title}\n\n    `{s.id}`", badge(s.verdict), s.line) for s in chosen]
    lines = "\n".join(rows)
    table = f"```{{list-table}}\n:header-rows: 1\n:widths: 36 24 40\n:class: theory\n\n{lines}\n```"
    return f"::::{{dropdown}} All {len(chosen)} statements, a line each\n{table}\n::::\n"


def _row(*cells: str) -> str:
    return "* - " + "\n  - ".join(cells)


def section(report: Report) -> str:
    """Return one statement with its verdict; what was found, the proof, the counterexample and the check are folded.

    What is found stays in sight for a theorem of this companion, of which the paper says nothing.

    Examples
    --------
    >>> section(check(statement("lemma3"), trials=2)).splitlines()[1]
    ':label: lemma3'
    """
    s = report.statement
    kind = "theorem" if s.place == OURS else "proposition"
    place = s.place if s.place == OURS else f"the paper, {s.place}"
    head = f"::::{{prf:{kind}}} {s.title}\n:label: {s.id}\n\n{badge(s.verdict)} *{place}*\n\n{s.says}\n::::"
    found = f"**What is found.** {s.found}"
    line = found if s.place == OURS else f"**In short.** {s.line}."
    folded = [
        f"**What is meant.** {s.meant}" if s.meant else "",
        "" if s.place == OURS else found,
        _examples(s),
        f":::{{prf:proof}}\n{s.proof}\n:::",
        _checked(report),
    ]
    inside = "\n\n".join(part for part in folded if part)
    outcome = "passed" if report.passed else "FAILED"
    return f"{head}\n\n{line}\n\n::::::{{dropdown}} Why, with proof and check ({outcome})\n{inside}\n::::::\n"


def _examples(statement: Statement) -> str:
    examples = counterexamples(statement)
    if not examples:
        return ""
    if statement.verdict in REPAIRED:
        rows = [_row("The counterexample", *HEADINGS[statement.verdict])]
        rows += [_row(e.case, e.printed, e.corrected or "") for e in examples]
    else:
        rows = [_row("Without the assumption", HEADINGS[statement.verdict][0])]
        rows += [_row(e.case, e.printed) for e in examples]
    lines = "\n".join(rows)
    return f"```{{list-table}}\n:header-rows: 1\n:class: theory\n\n{lines}\n```"


def _checked(report: Report) -> str:
    """Return the check: what was run, how it ended, and its code."""
    s = report.statement
    sizes = ", ".join(f"({k}, {d})" for k, d in s.sizes)
    said = {
        "SymPy": f"on symbols, at (k, d) = {sizes}" + (" and beyond" if s.symbolic else ""),
        "numbers": "on random float64 matrices",
        "sharpness": "at the counterexample: false as printed" + (", true as corrected" * (s.verdict in REPAIRED)),
    }
    lines = []
    for c in report.checks:
        outcome = "all as they should be" if c.passed else "FAILED: " + "; ".join(c.failures)
        worst = f", largest relative deviation below {_above(c.worst)}" if c.kind == "numbers" else ""
        lines.append(f"- {said[c.kind]}: {c.claims} claims, {outcome}{worst}")
    code = "\n\n".join(_source(f) for f in (s.claims, s.symbolic, s.numeric, s.counterexample) if f is not None)
    head = f"**The check: {'passed' if report.passed else 'FAILED'}.** {s.rests}"
    return "\n\n".join([head, "\n".join(lines), f"::::{{dropdown}} Its code\n```python\n{code}\n```\n::::"])


def _above(value: float) -> str:
    """Return the next power of ten, which does not change with the last digits of a sum."""
    return f"$10^{{{math.floor(math.log10(value)) + 1}}}$" if value > 0 else "$10^{-16}$"


def _source(function: Callable[..., Any]) -> str:
    return textwrap.dedent(inspect.getsource(function)).rstrip()
