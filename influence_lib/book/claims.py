"""Claims of the papers, what was found here, and the verdict that follows: never chosen by hand.

A claim has a margin, which is written down before a result is looked at. A finding is what a study found, with the
number of trainings behind it. `judge` makes the verdict on one claim, `of_row` that on a row from those on its claims.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from influence_lib.estimate import Estimate
from influence_lib.finding import Finding, Trend
from influence_lib.replication import power, standard_error

__all__ = ["VERDICTS", "Claim", "Judgement", "Margin", "Strict", "Verdict", "judge", "of_row"]

Verdict = Literal[
    "replicates",
    "does not replicate",
    "partly",
    "ambiguous in the paper",
    "not testable at this scale",
    "setting",
    "checked",
    "answered",
    "not yet",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

TRAININGS = 3  # the unit of replication is a training, not an image
POWER = 0.8  # the least chance that a test would have seen the effect
SCALES = 3  # epochs, images or widths that make a trend
REST = "rest"  # in the margin of an order: all the names that it does not mention


class Strict(BaseModel):
    """Base of what ``ledger.yml`` holds: immutable, and without any name that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+))"
FORMS: dict[str, Callable[..., tuple[float, float]]] = {
    rf"above {NUMBER}": lambda a: (float(a), math.inf),
    rf"below {NUMBER}": lambda a: (-math.inf, float(a)),
    rf"between {NUMBER} and {NUMBER}": lambda a, b: (float(a), float(b)),
    "rises": lambda: (0.0, math.inf),
    "falls": lambda: (-math.inf, 0.0),
}


@dataclass(frozen=True)
class Margin:
    """What a result must satisfy for a claim to hold.

    Attributes
    ----------
    low, high : float
        Between these the value must lie; infinite where there is no limit.
    order : tuple of str
        In place of limits: names of which each must lie above the next.

    Examples
    --------
    >>> Margin.parse("above .96").holds({"": Estimate(0.97, 0.965, 0.98, 3, "training")})
    True
    >>> Margin.parse("order noise > crop > rest").order
    ('noise', 'crop', 'rest')
    """

    low: float = -math.inf
    high: float = math.inf
    order: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Margin":
        """Return the margin that a text states.

        Raises
        ------
        ValueError
            If it is none of the forms.
        """
        for form, limits in FORMS.items():
            found = re.fullmatch(form, text)
            if found:
                return cls(*limits(*found.groups()))
        names = tuple(name.strip() for name in text.removeprefix("order ").split(">"))
        if text.startswith("order ") and len(names) > 1 and all(names):
            return cls(order=names)
        raise ValueError("must be 'above X', 'below X', 'between X and Y', 'rises', 'falls' or 'order A > B > rest'")

    def holds(self, values: Mapping[str, Estimate]) -> bool:
        """Return whether every interval lies inside."""
        if self.order:
            return all(values[a].above(values[b]) for a, b in self._pairs(values))
        return all(value.low > self.low and value.high < self.high for value in values.values())

    def fails(self, values: Mapping[str, Estimate]) -> bool:
        """Return whether an interval lies outside, as a whole."""
        if self.order:
            return any(values[b].above(values[a]) for a, b in self._pairs(values))
        return any(value.below(self.low) or value.above(self.high) for value in values.values())

    def distance(self, values: Mapping[str, float]) -> float:
        """Return how far numbers are from the margin; 0 inside."""
        if self.order:
            return sum(max(0.0, values[b] - values[a]) for a, b in self._pairs(values))
        return sum(max(0.0, self.low - value, value - self.high) for value in values.values())

    def power(self, values: Mapping[str, Estimate], paper: Mapping[str, float]) -> float:
        """Return the chance that as many trainings would have shown what fails, the least where several do.

        What they had to show is the papers' value where that lies inside the margin; where it lies on its edge or none
        is stated, the difference that was found.

        Parameters
        ----------
        values : mapping of str to Estimate
            What was found, with intervals over trainings, of which one `fails`.
        paper : mapping of str to float
            The papers' values by the same names, as far as they are stated.
        """
        return min(_power(*test) for test in (self._failed_pairs if self.order else self._failed_limits)(values, paper))

    def _failed_limits(
        self, values: Mapping[str, Estimate], paper: Mapping[str, float]
    ) -> Iterator[tuple[float, list[Estimate]]]:
        """Yield for each value outside which effect was to be seen, and the estimate that had to show it."""
        for name, value in values.items():
            if value.below(self.low) or value.above(self.high):
                edge = self.low if value.below(self.low) else self.high
                stated = paper.get(name, edge)
                yield abs((stated if self.low < stated < self.high else value.value) - edge), [value]

    def _failed_pairs(
        self, values: Mapping[str, Estimate], paper: Mapping[str, float]
    ) -> Iterator[tuple[float, list[Estimate]]]:
        """Yield the same for each pair in the wrong order."""
        for a, b in self._pairs(values):
            if values[b].above(values[a]):
                stated = paper[a] - paper[b] if {a, b} <= paper.keys() else 0.0
                yield stated if stated > 0 else values[b].value - values[a].value, [values[a], values[b]]

    def _pairs(self, names: Collection[str]) -> list[tuple[str, str]]:
        """Return what must be above with what must be below it."""
        rest = [name for name in names if name not in self.order]
        groups = [rest if name == REST else [name] for name in self.order]
        return [(a, b) for above, below in pairwise(groups) for a in above for b in below]


def _power(effect: float, found: Sequence[Estimate]) -> float:
    """Return the chance that as many trainings show an effect, of one number or of the difference of two."""
    error = math.hypot(*map(standard_error, found))
    return power(effect, error, min(each.n or 0 for each in found)) if error else 1.0


class Claim(Strict):
    """One claim of a row. Texts are Markdown.

    Attributes
    ----------
    says : str
        The claim, in one sentence.
    kind : {"measured", "question", "check", "setting"}
        A result of the papers, an open question, mathematics or an implementation, or a choice that is no result.
    statistic : str, optional
        The papers' own.
    paper : float or dict of str to float, optional
        The papers' value, or one for each name of the finding.
    margin : str, optional
        See `Margin`.
    ours : str, optional
        Key of the finding.
    stated : str, optional
        What was found, in words, where there is no finding by key yet.
    trainings : int, optional
        How many are behind what is stated.
    reading : str, optional
        Where the papers can be read in two ways: which.
    why : str, optional
        Why the verdict on a setting, or on what is out of reach, is what it is.
    out_of_reach : bool, default False
        Whether it takes more than this companion can do.
    """

    says: str
    kind: Literal["measured", "question", "check", "setting"] = "measured"
    statistic: str | None = None
    paper: float | dict[str, float] | None = None
    margin: str | None = None
    ours: str | None = None
    stated: str | None = None
    trainings: int | None = Field(default=None, ge=0)
    reading: str | None = None
    why: str | None = None
    out_of_reach: bool = False

    @property
    def stated_by_the_papers(self) -> dict[str, float]:
        """The papers' value by name; that of a single number has the name ``""``."""
        return self.paper if isinstance(self.paper, dict) else {} if self.paper is None else {"": self.paper}

    @field_validator("margin")
    @classmethod
    def _margin_is_one(cls, margin: str | None) -> str | None:
        if margin is not None:
            Margin.parse(margin)
        return margin

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        """Refuse a claim that cannot be judged."""
        if self.kind == "measured" and (self.ours or self.stated) and not self.margin:
            raise ValueError(f"the claim {self.says!r} has a result, but no margin")
        if self.kind in ("measured", "question") and self.stated and not self.ours and self.trainings is None:
            raise ValueError(f"the claim {self.says!r} is stated, but not of how many trainings")
        if (self.out_of_reach or self.kind == "setting") and not self.why:
            raise ValueError(f"the claim {self.says!r} is out of reach or a setting, but does not say why")
        return self


class Judgement(NamedTuple):
    """A verdict with its reason, a sentence."""

    verdict: Verdict
    reason: str


def judge(claim: Claim, finding: Finding | None = None) -> Judgement:
    """Return the verdict on a claim.

    Parameters
    ----------
    claim : Claim
        With its margin.
    finding : Finding, optional
        What its key leads to.
    """
    if claim.kind == "setting":
        return Judgement("setting", claim.why or "")
    if claim.out_of_reach:
        return Judgement("not testable at this scale", claim.why or "")
    if finding is None and claim.stated is None:
        return Judgement("not yet", "Nobody has looked yet.")
    if claim.kind == "check":
        return Judgement("checked", "Proven or compared; no training is involved.")
    missing = _missing(claim, finding)
    if finding is None or missing:
        return Judgement("not testable at this scale", _sentence(missing))
    if claim.kind == "question":
        return Judgement("answered", f"From {finding.trainings} trainings.")
    return _measured(Margin.parse(claim.margin or ""), claim.stated_by_the_papers, finding)


def _missing(claim: Claim, finding: Finding | None) -> list[str]:
    """Return what is missing for any verdict about trained encoders."""
    trainings = claim.trainings if finding is None else finding.trainings
    missing = []
    if trainings is not None and trainings < TRAININGS:
        missing.append(f"{TRAININGS} trainings, or pairs of them, are needed and there {_are(trainings)}")
    if finding is None:
        return [*missing, "the numbers are stated and not read from a stored finding"]
    if finding.gate is False:
        missing.append("an encoder has not learned enough to pass the gate")
    if finding.gate is None:
        missing.append("whether the encoders have learned was not measured")
    if not missing and any("training" not in value.unit for value in finding.values.values()):
        missing.append("the intervals are not over trainings")
    return missing


def _measured(margin: Margin, paper: Mapping[str, float], finding: Finding) -> Judgement:
    if margin.holds(finding.values):
        return Judgement("replicates", f"Inside the margin in {finding.trainings} trainings.")
    if not margin.fails(finding.values):
        return Judgement("not testable at this scale", _sentence(["the interval reaches across the margin"]))
    missing = []
    chance = margin.power(finding.values, paper)
    if chance < POWER:
        missing.append(f"the power of the test is {chance:.0%}, and {POWER:.0%} is needed")
    if finding.trend is None or len(finding.trend.at) < SCALES:
        missing.append(f"there is no trend over {SCALES} scales")
    elif _moves_towards(margin, finding.trend):
        missing.append(f"with more {finding.trend.over} the value still moves towards the papers'")
    if missing:
        return Judgement("not testable at this scale", "Outside the margin, but " + _joined(missing) + ".")
    return Judgement("does not replicate", f"Outside the margin in {finding.trainings} trainings, at every scale.")


def _moves_towards(margin: Margin, trend: Trend) -> bool:
    """Return whether the distance to the margin shrinks with the scale."""
    every = [
        margin.distance({name: each[i].value for name, each in trend.series.items()}) for i in range(len(trend.at))
    ]
    return every[-1] < max(every[:-1])


def of_row(claims: Sequence[Claim], verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on a row from those on its claims.

    Parameters
    ----------
    claims : sequence of Claim
        Of one row; none means that nobody has looked.
    verdicts : sequence
        One for each.
    """
    if len({claim.reading for claim in claims} - {None}) > 1:
        return "ambiguous in the paper"
    found = set(verdicts) or {"not yet"}
    if len(found) > 1:
        found.discard("setting")
    if len(found) == 1:
        return found.pop()
    if found & {"replicates", "checked", "answered"}:
        return "partly"
    return "not testable at this scale" if "not testable at this scale" in found else "not yet"


def _are(number: int) -> str:
    return {0: "is none", 1: "is 1"}.get(number, f"are {number}")


def _joined(parts: Sequence[str]) -> str:
    return ", and ".join(parts)


def _sentence(parts: Sequence[str]) -> str:
    text = _joined(parts)
    return text[:1].upper() + text[1:] + "."
