"""The ledger's page, a strip of all rows and a card for each, and the findings for the book's first page."""

from collections import Counter
from html import escape

from influence_lib.book.axis import axis, shared_limits
from influence_lib.book.claims import Claim, Judgement, Verdict
from influence_lib.book.findings import Findings
from influence_lib.book.ledger import Judged, Ledger, Section, findings_in, judged
from influence_lib.finding import Finding

__all__ = ["LETTERS", "badge", "headlines", "page"]

# beside the colour, so that it is not needed to tell verdicts apart
LETTERS: dict[Verdict, str] = {
    "replicates": "R",
    "does not replicate": "X",
    "partly": "P",
    "ambiguous in the paper": "A",
    "not testable at this scale": "N",
    "setting": "S",
    "checked": "C",
    "answered": "Q",
    "not yet": "–",
}
MEANING: dict[Verdict, str] = {
    "replicates": "found here too, in three trainings or more, with the interval over them inside the margin",
    "does not replicate": "looked for where it could have been seen, and not found, at three scales",
    "partly": "some claims of the row hold or are answered, others do not or are not yet",
    "ambiguous in the paper": "the papers can be read in two ways; each has a verdict",
    "not testable at this scale": "too few trainings, encoders that have not learned, no power, or a moving trend",
    "setting": "no result but a choice",
    "checked": "mathematics or an implementation, proven or compared",
    "answered": "an open question, answered from three trainings or more",
    "not yet": "nobody has looked yet",
}

INTRODUCTION = """\
Every figure, table and number of the papers that this companion answers, with what was found here. A row is split
into claims, each with a margin that was fixed before its result was looked at. Verdicts are made from the claims by
rule and are not chosen; the unit is a *training*, not an image. A row is never dropped; where the papers contradict
themselves, the row says so."""
KEY = """\
In the pictures a dot with a line is ours with its 95 % interval, a diamond is the papers' value, and the shaded part
is the margin."""


def slug(verdict: Verdict) -> str:
    """Return the class of a verdict in the style sheet."""
    return "v-" + verdict.replace(" ", "-")


def badge(verdict: Verdict) -> str:
    """Return a verdict as inline HTML: the word with its colour."""
    return f'<span class="verdict {slug(verdict)}">{verdict}</span>'


def page(ledger: Ledger, findings: Findings) -> str:
    """Return the ledger as a MyST page.

    Raises
    ------
    InputError
        If a claim names a finding that is not there.
    """
    rows = {row.id: judged(row, findings) for row in ledger.rows}
    head = [
        "# The ledger",
        INTRODUCTION,
        _strip(list(rows.values())),
        _legend(Counter(each.verdict for each in rows.values())),
        KEY,
    ]
    return "\n\n".join([*head, *(_section(section, rows) for section in ledger.sections)]) + "\n"


def _strip(rows: list[Judged]) -> str:
    """Return all rows at once: a coloured letter each, which leads to the card."""
    cells = "".join(map(_cell, rows))
    return f'<nav class="ledger-strip" aria-label="All rows of the ledger">{cells}</nav>'


def _cell(each: Judged) -> str:
    name = f"{escape(each.row.id)}: {each.verdict}"
    link = f'href="#{each.row.anchor}" title="{name}" aria-label="{name}"'
    return f'<a class="verdict {slug(each.verdict)}" {link}>{LETTERS[each.verdict]}</a>'


def _legend(counts: Counter[Verdict]) -> str:
    lines = "".join(
        f'<li><span class="verdict {slug(verdict)}" aria-hidden="true">{LETTERS[verdict]}</span> '
        f"<strong>{verdict}</strong> {counts[verdict]}: {meaning}</li>"
        for verdict, meaning in MEANING.items()
    )
    return f'<ul class="ledger-legend">{lines}</ul>'


def _section(section: Section, rows: dict[str, Judged]) -> str:
    cards = "\n\n".join(_card(rows[row.id]) for row in section.rows)
    return f"## {section.title}\n\n{section.about}\n\n{cards}"


def _card(each: Judged) -> str:
    row = each.row
    classes = f"ledger-card {slug(each.verdict)} source-{row.id[0].lower()}"
    parts = [f"**{row.id}** {row.item} {badge(each.verdict)}"]
    if row.paper:
        parts.append(f"*The papers:* {row.paper}")
    parts += [_claim(each, *claim) for claim in each.claims]
    if row.note:
        parts.append(f"*Note.* {row.note}")
    if row.where:
        chapter = f"{{doc}}`/book/_executed/{row.where}`"
        parts.append(f"{chapter}, profile {row.profile}" if row.profile else chapter)
    inside = "\n\n".join(parts)
    return f"::::::{{container}} {classes}\n:name: {row.anchor}\n\n{inside}\n::::::"


def _claim(each: Judged, claim: Claim, finding: Finding | None, judgement: Judgement) -> str:
    test = ", ".join(part for part in (claim.statistic, claim.margin and f"margin: {claim.margin}") if part)
    parts = [f"{claim.says} {badge(judgement.verdict)}", f"*{test}*" if test else "", claim.stated or ""]
    if finding is not None:
        alike = [(c, f) for c, f, _ in each.claims if f is not None and c.statistic == claim.statistic]
        parts.append(f'<div class="ledger-axis">{axis(claim, finding, shared_limits(alike))}</div>')
    if judgement.verdict != "not yet":
        parts.append(judgement.reason)
    inside = "\n\n".join(part for part in parts if part)
    return f":::::{{container}} ledger-claim\n{inside}\n:::::"


def headlines(ledger: Ledger, findings: Findings) -> str:
    """Return the findings of the whole book as MyST: a line each, with verdict and links.

    Raises
    ------
    InputError
        If a line or a claim names a finding that is not there.
    """
    rows = [judged(row, findings) for row in ledger.rows]
    named = [findings_in(row.line or "", findings) for row in ledger.rows]
    lines = [_headline(each, found) for each, found in zip(rows, named, strict=True) if each.row.line]
    counts = Counter(each.verdict for each in rows)
    open_rows = counts["not yet"]
    rest = f"{open_rows} of the {len(rows)} rows of {{doc}}`the ledger </book/_executed/ledger>` are not answered yet."
    return "\n".join([*lines, "", rest]) + "\n"


def _headline(each: Judged, found: list[Finding]) -> str:
    row = each.row
    line = (row.line or "") + _basis(found)
    return f"- {line}. {badge(each.verdict)} {{ref}}`{row.id} <{row.anchor}>`, {{doc}}`/book/_executed/{row.where}`"


def _basis(found: list[Finding]) -> str:
    """Return of how many trainings findings are, and whether the encoders learned; nothing where none is trained."""
    trained = [finding for finding in found if finding.trainings]
    if not trained:
        return ""
    least = min(finding.trainings for finding in trained)
    number = "a single training, or pair of them" if least == 1 else f"{least} trainings, or pairs of them"
    learned = {finding.gate for finding in trained}
    gate = {
        True: "; some encoders have not passed {term}`the gate <gate>`",
        False: "; {term}`the gate <gate>` is not measured yet" if None in learned else "",
    }[False in learned]
    return f" ({number}{gate})"
