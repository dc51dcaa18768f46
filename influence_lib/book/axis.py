"""A claim on an axis: margin, the papers' value and ours with its interval, as a small SVG with a text alternative."""

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from html import escape

from influence_lib.book.claims import Claim, Margin
from influence_lib.estimate import Estimate
from influence_lib.finding import Finding
from influence_lib.text import typeset

__all__ = ["axis", "described", "number", "shared_limits"]

WIDTH, LANE, LABEL = 320, 26, 122  # pixels: the picture, a line of it, the names beside the lines
LETTERS = 20  # in a line of a name, of which there are two at most
EDGE = 10  # pixels left free at either end of the scale


def number(value: float) -> str:
    """Return a number as the ledger writes it."""
    text = f"{value:.0f}" if value == int(value) else f"{value:.{2 if abs(value) < 10 else 1}f}"
    return typeset(text)


def described(claim: Claim, finding: Finding) -> str:
    """Return what the picture shows, in words."""
    return "; ".join(_words(name, paper, ours) for name, paper, ours in _lanes(claim, finding))


def _lanes(claim: Claim, finding: Finding) -> Iterator[tuple[str, float | None, Estimate]]:
    """Yield name, the papers' value and ours, in the order of the papers' values where there are several."""
    several = claim.paper if isinstance(claim.paper, dict) else {}
    names = [*(name for name in several if name in finding.values), *(n for n in finding.values if n not in several)]
    one = claim.paper if isinstance(claim.paper, float | int) else None
    for name in names:
        yield name.replace("_", " "), several.get(name, one), finding.values[name]


def _words(name: str, paper: float | None, ours: Estimate) -> str:
    interval = (
        "" if ours.n is None else f", interval {number(ours.low)} to {number(ours.high)} over {ours.n:,} {ours.unit}s"
    )
    theirs = "" if paper is None else f", the papers {number(paper)}"
    return f"{name}{': ' if name else ''}here {number(ours.value)}{interval}{theirs}"


def axis(claim: Claim, finding: Finding, limits: tuple[float, float] | None = None) -> str:
    """Return the SVG element.

    Parameters
    ----------
    claim, finding : Claim, Finding
        What is shown.
    limits : tuple of float, optional
        Ends of the scale, for claims that share one; by default those of `limits`.
    """
    lanes = list(_lanes(claim, finding))
    margin = None if claim.margin is None else Margin.parse(claim.margin)
    left = LABEL if len(lanes) > 1 or lanes[0][0] else 0
    low, high = limits or shared_limits([(claim, finding)])

    def x(value: float) -> float:
        inside = min(max(value, low), high)
        return round(left + EDGE + (inside - low) / (high - low) * (WIDTH - left - 2 * EDGE), 1)

    bottom = len(lanes) * LANE
    parts = [f'<line class="scale" x1="{x(low)}" y1="{bottom}" x2="{x(high)}" y2="{bottom}"/>']
    parts += [_tick(x(value), bottom, value, where) for value, where in ((low, "start"), (high, "end"))]
    if margin is not None and not margin.order:
        start, end = x(margin.low), x(margin.high)
        parts.insert(0, f'<rect class="margin" x="{start}" y="0" width="{round(end - start, 1)}" height="{bottom}"/>')
    for i, (name, paper, ours) in enumerate(lanes):
        parts += _marks(x, i * LANE + LANE / 2, name, paper, ours)
    size = f'viewBox="0 0 {WIDTH} {bottom + 18}" width="{WIDTH}" height="{bottom + 18}"'
    return (
        f'<svg class="axis" role="img" aria-label="{escape(described(claim, finding))}" {size}>{"".join(parts)}</svg>'
    )


def _marks(x: Callable[[float], float], y: float, name: str, paper: float | None, ours: Estimate) -> Iterator[str]:
    """Yield a line of the picture: its name, a diamond for the papers, a dot and its interval for ours."""
    if name:
        rows = textwrap.wrap(name, LETTERS, max_lines=2, placeholder="…")
        for row, height in zip(rows, (4,) if len(rows) == 1 else (-1, 10), strict=True):
            yield f'<text x="{LABEL}" y="{y + height}" text-anchor="end">{escape(row)}</text>'
    if ours.n is not None:
        yield f'<line class="ours" x1="{x(ours.low)}" y1="{y}" x2="{x(ours.high)}" y2="{y}"/>'
    yield f'<circle class="ours" cx="{x(ours.value)}" cy="{y}" r="4"/>'
    if paper is not None:
        yield f'<path class="paper" d="M{x(paper)} {y - 6}l6 6l-6 6l-6 -6z"/>'


def _tick(x: float, y: int, value: float, anchor: str) -> str:
    return f'<text x="{x}" y="{y + 14}" text-anchor="{anchor}">{number(value)}</text>'


def shared_limits(shown: Sequence[tuple[Claim, Finding]]) -> tuple[float, float]:
    """Return round ends of a scale that all marks of some claims lie between."""
    marks = [mark for claim, finding in shown for mark in _extent(claim, finding)]
    low, high = min(marks), max(marks)
    step = 10.0 ** math.floor(math.log10(high - low)) if high > low else 1.0
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return (low, high) if high > low else (low - step, high + step)


def _extent(claim: Claim, finding: Finding) -> Iterator[float]:
    """Yield everything that has to be on the scale; of a margin with one end, a part of its inside, too."""
    marks = [v for _, paper, ours in _lanes(claim, finding) for v in (paper, ours.low, ours.high) if v is not None]
    yield from marks
    margin = None if claim.margin is None else Margin.parse(claim.margin)
    if margin is not None and not margin.order:
        limits = [limit for limit in (margin.low, margin.high) if math.isfinite(limit)]
        yield from limits
        span = max([*marks, *limits]) - min([*marks, *limits])
        if math.isinf(margin.high):
            yield margin.low + 0.05 * span
        if math.isinf(margin.low):
            yield margin.high - 0.05 * span
