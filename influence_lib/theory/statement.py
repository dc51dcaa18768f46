"""What a statement is: its words, its verdict, its formulas, and the claims that check them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias, get_args

from influence_lib.theory.worlds import World

__all__ = ["VERDICTS", "Claim", "Formula", "Statement", "Verdict", "at_most", "differ", "equal"]

Verdict = Literal["holds", "holds_with_assumptions", "fails", "definition", "notation"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
REPAIRED: tuple[Verdict, ...] = ("fails", "definition", "notation")  # verdicts that come with another formula

OURS = "this companion"  # the place of a theorem that goes beyond the paper

TOLERANCE = 1e-8  # relative, for float64


@dataclass(frozen=True)
class Claim:
    """One comparison that a check makes; build it with `equal`, `at_most` or `differ`.

    Attributes
    ----------
    label : str
        What is compared, in words or LaTeX.
    left, right : matrix or scalar
        The two sides, SymPy or torch.
    relation : {"=", "≤", "≠"}
        What must be true of them.
    tolerance : float
        Allowed deviation of the numbers relative to `scale`; symbols must agree exactly.
    scale : scalar, optional
        What a deviation of numbers is compared with; by default the larger side's largest entry.
    """

    label: str
    left: Any
    right: Any
    relation: Literal["=", "≤", "≠"]
    tolerance: float = TOLERANCE
    scale: Any = None


def equal(label: str, left: Any, right: Any, *, tolerance: float = TOLERANCE, scale: Any = None) -> Claim:
    """Return the claim that both sides are equal; where zero is expected, `scale` says what is small."""
    return Claim(label, left, right, "=", tolerance, scale)


def at_most(label: str, left: Any, right: Any) -> Claim:
    """Return the claim left ≤ right."""
    return Claim(label, left, right, "≤")


def differ(label: str, left: Any, right: Any) -> Claim:
    """Return the claim that the sides are not equal."""
    return Claim(label, left, right, "≠")


Formulas: TypeAlias = SimpleNamespace  # name → callable, as the claims see them
Claims: TypeAlias = Iterator[Claim]


@dataclass(frozen=True)
class Formula:
    """One formula of a statement; works on SymPy matrices and on torch tensors.

    Attributes
    ----------
    holds : callable
        The formula that holds.
    printed : callable, optional
        The paper's, where it is another one.
    bound : {"upper", "lower"}, optional
        Set where the formula bounds a quantity and does not equal it.

    Examples
    --------
    >>> Formula(holds=lambda x: 2 * x, printed=lambda x: x).holds(3)
    6
    """

    holds: Callable[..., Any]
    printed: Callable[..., Any] | None = None
    bound: Literal["upper", "lower"] | None = None


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of the paper, or one theorem of this companion, with what checks it.

    Attributes
    ----------
    id : str
        Short name, such as ``lemma4_hess``.
    title : str
        What the paper calls it.
    place : str
        Where it stands in the paper.
    verdict : {"holds", "holds_with_assumptions", "fails", "definition", "notation"}
        See `influence_lib.theory.page.MEANING`.
    line : str
        The finding in one line.
    says : str
        The statement, restated with its assumptions. This text and the next four are MyST Markdown.
    meant : str
        What its authors meant, where that needs saying.
    found : str
        Why the verdict is what it is, with the corrected form.
    proof : str
        A proof of what holds, for all k and d.
    rests : str
        Which parts rest on the proof, which on SymPy, which on numbers.
    formulas : mapping of str to Formula
        Name → formula; the claims get them as attributes of one object.
    claims : callable
        ``claims(formulas, world)`` yields the claims that are checked twice: on symbols and on random matrices.
    sizes : tuple of (int, int)
        The (k, d) at which SymPy checks the claims.
    symbolic, numeric : callable, optional
        Further claims for one of the two worlds.
    counterexample : callable, optional
        ``counterexample(formulas)`` yields claims at explicit numbers. With the paper's formulas every one must
        fail; with the corrected ones every one must pass. For ``holds_with_assumptions`` the numbers violate the
        added assumption, so that the claims show it to be needed. Every verdict but ``holds`` has one.
    """

    id: str
    title: str
    place: str
    verdict: Verdict
    line: str
    says: str
    found: str
    proof: str
    rests: str
    formulas: Mapping[str, Formula]
    claims: Callable[[Formulas, World], Claims]
    meant: str = ""
    sizes: tuple[tuple[int, int], ...] = ((1, 2), (2, 2))
    symbolic: Callable[[Formulas], Claims] | None = field(default=None, repr=False)
    numeric: Callable[[Formulas, World], Claims] | None = field(default=None, repr=False)
    counterexample: Callable[[Formulas], Claims] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse a statement whose verdict nothing supports."""
        printed = [name for name, formula in self.formulas.items() if formula.printed is not None]
        if (self.verdict in REPAIRED) != bool(printed):
            raise ValueError(f"{self.id} is {self.verdict!r}, but its formulas with a printed form are {printed}")
        if (self.verdict == "holds") != (self.counterexample is None):
            raise ValueError(f"{self.id} is {self.verdict!r}: every verdict but 'holds' has a counterexample")

    @property
    def corrected(self) -> Formulas:
        """The formulas that hold."""
        return SimpleNamespace(**{name: formula.holds for name, formula in self.formulas.items()})

    @property
    def printed(self) -> Formulas:
        """The formulas as the paper prints them."""
        return SimpleNamespace(**{name: f.printed or f.holds for name, f in self.formulas.items()})
