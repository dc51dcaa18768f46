"""Run the checks of a statement: on symbols, on numbers, and that the printed form really fails."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import sympy
import torch
from sympy.matrices.exceptions import MatrixError
from sympy.matrices.expressions.matexpr import MatrixExpr

from influence_lib.errors import reject
from influence_lib.theory.statement import REPAIRED, Claim, Formulas, Statement
from influence_lib.theory.worlds import Numbers, Symbols

__all__ = ["Check", "Report", "check", "numeric", "sharpness", "symbolic", "verify"]

# what matrices of shapes that do not fit raise: SymPy a MatrixError, torch a RuntimeError
UNDEFINED = (MatrixError, RuntimeError)
REFUTING = 1e-20  # far above the rounding of 30 digits


@dataclass
class Check:
    """The outcome of one kind of check of one statement.

    Attributes
    ----------
    kind : {"SymPy", "numbers", "sharpness"}
        Symbols, random matrices, or the printed form at the counterexample.
    claims : int
        How many claims were looked at.
    failures : list of str
        A line for each that is not as it should be.
    worst : float
        The largest relative deviation of an equality between numbers.
    seconds : float
        Wall time.
    """

    kind: Literal["SymPy", "numbers", "sharpness"]
    claims: int = 0
    failures: list[str] = field(default_factory=list)
    worst: float = 0.0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether there were claims, and all are as they should be."""
        return self.claims > 0 and not self.failures


@dataclass(frozen=True)
class Report:
    """All checks of one statement."""

    statement: Statement
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(c.passed for c in self.checks)

    @property
    def seconds(self) -> float:
        """Wall time of all checks."""
        return sum(c.seconds for c in self.checks)


def verify(claim: Claim) -> tuple[bool, float]:
    """Return whether a claim is true, and the relative deviation of its sides (0 for symbols).

    Symbols are equal if the difference simplifies to zero. Sides of different shape are never equal.
    """
    if isinstance(claim.left, torch.Tensor) or isinstance(claim.right, torch.Tensor):
        return _verify_numbers(claim)
    return _verify_symbols(claim), 0.0


def _verify_numbers(claim: Claim) -> tuple[bool, float]:
    left, right = (torch.as_tensor(side, dtype=torch.float64) for side in (claim.left, claim.right))
    if left.shape != right.shape:
        return claim.relation == "≠", float("inf")
    larger = float(torch.maximum(left.abs(), right.abs()).max())
    scale = larger if claim.scale is None else float(claim.scale)
    if claim.relation == "≤":
        return bool((left <= right + claim.tolerance * scale).all()), 0.0
    difference = float((left - right).abs().max())
    deviation = difference / scale if scale > 0 else difference
    if claim.relation == "≠":
        return deviation > claim.tolerance, 0.0
    return deviation <= claim.tolerance, deviation  # a NaN is not at most anything


def _verify_symbols(claim: Claim) -> bool:
    left, right = sympy.sympify(claim.left), sympy.sympify(claim.right)
    if getattr(left, "shape", None) != getattr(right, "shape", None):
        return claim.relation == "≠"
    if claim.relation == "≤":
        return sympy.simplify(right - left).is_nonnegative is True
    return _is_zero(left - right) == (claim.relation == "=")


def _is_zero(difference: Any) -> bool:
    if isinstance(difference, sympy.MatrixBase):
        return all(_entry_is_zero(entry) for entry in difference)
    if isinstance(difference, MatrixExpr):  # of symbolic size
        return difference.doit().expand().doit().is_ZeroMatrix is True
    return _entry_is_zero(difference)


def _entry_is_zero(entry: sympy.Expr) -> bool:
    """Bring everything over one denominator: a rational function is zero where its numerator is."""
    if _is_refuted(entry):
        return False
    whole = sympy.together(entry)
    if whole.is_rational_function():
        return sympy.expand(sympy.fraction(whole)[0]) == 0
    return _zero_beside_roots(whole) or sympy.simplify(whole) == 0


def _is_refuted(entry: sympy.Expr) -> bool:
    """Return whether numbers in the place of the symbols show that this is not zero, which saves the long way."""
    names = sorted(entry.free_symbols, key=str)
    value = entry.subs({name: sympy.Rational(sympy.prime(i + 3), 11) for i, name in enumerate(names)}).evalf(30)
    return bool(value.is_number and value.is_finite and abs(value) > REFUTING)


def _zero_beside_roots(whole: sympy.Expr) -> bool:
    """Put a name for every square root; a polynomial in a root is zero if its even and its odd part are."""
    roots: dict[sympy.Expr, sympy.Symbol] = {}

    def named(power: sympy.Pow) -> sympy.Expr:
        return roots.setdefault(power.base, sympy.Dummy("root", positive=True)) ** (2 * power.exp)

    plain = whole.replace(lambda e: e.is_Pow and e.exp.is_Rational and e.exp.q == 2, named)
    parts = [sympy.expand(sympy.fraction(sympy.together(plain))[0])]
    for square, root in roots.items():
        parts = [half for part in parts for half in _even_and_odd(part, root, square)]
    return all(part == 0 for part in parts)


def _even_and_odd(part: sympy.Expr, root: sympy.Symbol, square: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Return E and F of part = E + root·F, with root² replaced by its square; both as numerators."""
    halves = [sympy.Integer(0), sympy.Integer(0)]
    for (degree,), factor in sympy.Poly(part, root).terms():
        halves[degree % 2] += factor * square ** (degree // 2)
    even, odd = (sympy.expand(sympy.fraction(sympy.together(half))[0]) for half in halves)
    return even, odd


def _run(check: Check, claims: Iterable[Claim], where: str, expected: bool = True) -> None:
    """Look at every claim and note those that are not as expected; what is undefined is not true."""
    iterator = iter(claims)
    while True:
        try:
            claim = next(iterator)
            true, deviation = verify(claim)
        except StopIteration:
            return
        except UNDEFINED as error:
            check.claims += 1
            if expected:
                check.failures.append(f"{where}: not defined ({str(error).splitlines()[0]})")
            return
        check.claims += 1
        if expected:
            check.worst = max(check.worst, deviation)
        if true is not expected:
            check.failures.append(f"{where}: {claim.label} is {'not true' if expected else 'true after all'}")


def _timed(function: Callable[..., Check]) -> Callable[..., Check]:
    def timed(*args: Any, **kwargs: Any) -> Check:
        started = time.perf_counter()
        check = function(*args, **kwargs)
        check.seconds = time.perf_counter() - started
        return check

    timed.__doc__ = function.__doc__
    return timed


@_timed
def symbolic(statement: Statement, formulas: Formulas | None = None) -> Check:
    """Check a statement on symbols, with its corrected formulas or with others put in their place.

    Examples
    --------
    >>> symbolic(statement("lemma3")).passed
    True
    """
    check = Check("SymPy")
    f = formulas or statement.corrected
    for k, d in statement.sizes:
        _run(check, statement.claims(f, Symbols(k, d)), f"k = {k}, d = {d}")
    if statement.symbolic is not None:
        _run(check, statement.symbolic(f), "symbols")
    return check


@_timed
def numeric(
    statement: Statement,
    formulas: Formulas | None = None,
    *,
    seed: int = 0,
    trials: int = 12,
    largest_k: int = 5,
    largest_d: int = 8,
) -> Check:
    """Check a statement on random float64 matrices.

    Parameters
    ----------
    statement : Statement
        What to check.
    formulas : optional
        Put in place of the corrected ones.
    seed : int, default 0
        Of the random matrices.
    trials : int, default 12
        How many encoders.
    largest_k, largest_d : int
        The sizes run through 1…k and 2…d; the largest are always among them.

    Examples
    --------
    >>> numeric(statement("lemma3"), trials=2).passed
    True
    """
    check = Check("numbers")
    f = formulas or statement.corrected
    for trial, (k, d) in enumerate(_sizes(trials, largest_k, largest_d)):
        where = f"k = {k}, d = {d}, seed = {seed + trial}"
        _run(check, statement.claims(f, Numbers(k, d, seed + trial)), where)
        if statement.numeric is not None:
            _run(check, statement.numeric(f, Numbers(k, d, seed + trial)), where)
    return check


def _sizes(trials: int, largest_k: int, largest_d: int) -> Iterator[tuple[int, int]]:
    """Yield the sizes of the trials: the largest first, then a row, then all in between in turn."""
    for name, value, least in (("trials", trials, 1), ("largest_k", largest_k, 2), ("largest_d", largest_d, 2)):
        if value < least:
            reject(name, value, f"at least {least}")
    for trial in range(trials):
        # two strides that share no divisor with most ranges, so that k and d do not move in step
        yield largest_k - trial % largest_k, largest_d - 2 * trial % (largest_d - 1)


@_timed
def sharpness(statement: Statement) -> Check:
    """Check that the verdict is sharp: the printed form fails at the counterexample, and the corrected one passes.

    For ``holds_with_assumptions`` the counterexample violates the added assumption and the claims must fail.

    Examples
    --------
    >>> sharpness(statement("claim4_proof")).passed
    True
    """
    check = Check("sharpness")
    if statement.counterexample is None:
        raise ValueError(f"{statement.id} holds: there is nothing to show as sharp")
    _run(check, statement.counterexample(statement.printed), "as printed", expected=False)
    if statement.verdict in REPAIRED:
        _run(check, statement.counterexample(statement.corrected), "corrected")
    return check


def check(statement: Statement, *, seed: int = 0, trials: int = 12, largest_k: int = 5, largest_d: int = 8) -> Report:
    """Run every check of one statement; see `numeric` for the parameters.

    Examples
    --------
    >>> check(statement("lemma3"), trials=2).passed
    True
    """
    checks = [
        symbolic(statement),
        numeric(statement, seed=seed, trials=trials, largest_k=largest_k, largest_d=largest_d),
    ]
    if statement.counterexample is not None:
        checks.append(sharpness(statement))
    return Report(statement, tuple(checks))
