"""The machinery: claims are judged right, broken statements are refused, and failures are reported."""

from dataclasses import replace

import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from influence_lib import theory
from influence_lib.errors import InputError
from influence_lib.theory.algebra import (
    coefficient,
    gradient,
    hessian,
    influence,
    inverse,
    jacobian,
    kron,
    rows,
    undamped,
)
from influence_lib.theory.checking import verify
from influence_lib.theory.statement import at_most, differ, equal

x, y = sympy.symbols("x y", real=True)
positive = sympy.Symbol("p", positive=True)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(
    ("claim", "true"),
    [
        (equal("", (x + y) ** 2, x**2 + 2 * x * y + y**2), True),
        (equal("", (x + y) ** 2, x**2 + y**2), False),
        (equal("", sympy.Matrix([x, 1]), sympy.Matrix([x, 1])), True),
        (equal("", sympy.Matrix([x, 1]), sympy.Matrix([[x, 1]])), False),
        (equal("", sympy.Matrix([x]), x), False),
        (equal("", sympy.sqrt(1 + x**2) ** 3 / (1 + x**2), sympy.sqrt(1 + x**2)), True),
        (equal("", sympy.sqrt(1 + x**2) * sympy.sqrt(2 + y**2), sympy.sqrt(2 + x**2) * sympy.sqrt(1 + y**2)), False),
        (equal("", sympy.nan, sympy.nan), False),
        (differ("", x, y), True),
        (differ("", x + x, 2 * x), False),
        (at_most("", -(x**2), sympy.Integer(0)), True),
        (at_most("", x, sympy.Integer(0)), False),
        (at_most("", 3 * positive, 2 * positive), False),
        (equal("", number(1.0), number(1.0 + 1e-12)), True),
        (equal("", number(1e-12), number(2e-12)), False),
        (equal("", number(1e-12), number(0.0), scale=1), True),
        (equal("", number(0.0), number(0.0)), True),
        (equal("", torch.zeros(2, 1).double(), torch.zeros(1, 2).double()), False),
        (equal("", number(float("nan")), number(float("nan"))), False),
        (differ("", number(1.0), number(1.1)), True),
        (differ("", number(1.0), number(1.0)), False),
        (at_most("", number(1.0), number(2.0)), True),
        (at_most("", number(2.0), number(1.0)), False),
        (at_most("", number(float("nan")), number(1.0)), False),
    ],
)
def test_a_claim_is_judged(claim, true):
    assert verify(claim)[0] is true


def test_matrices_of_symbolic_size_are_compared():
    k, d = sympy.symbols("k d", integer=True, positive=True)
    W, delta = sympy.MatrixSymbol("W", k, d), sympy.MatrixSymbol("delta", d, 1)
    assert verify(equal("", W * delta + W * delta, 2 * W * delta))[0]
    assert not verify(equal("", W * delta, 2 * W * delta))[0]


def test_what_is_undefined_is_a_failure_and_says_so():
    statement = theory.statement("lemma2_Wv")
    for check in (theory.symbolic(statement, statement.printed), theory.numeric(statement, statement.printed)):
        assert not check.passed
        assert any("not defined" in failure for failure in check.failures)


def test_a_check_without_claims_does_not_pass():
    empty = replace(theory.statement("lemma1"), claims=lambda f, s: iter(()))
    assert theory.symbolic(empty).claims == 0
    assert not theory.check(empty).passed


def test_a_counterexample_that_does_not_fail_is_reported():
    statement = theory.statement("claim4_proof")
    harmless = replace(statement, counterexample=lambda f: iter([equal("one", x, x)]))
    check = theory.sharpness(harmless)
    assert not check.passed
    assert check.failures == ["as printed: one is true after all"]


def test_a_verdict_needs_what_supports_it():
    with pytest.raises(ValueError, match="lemma1 is 'fails'"):
        replace(theory.statement("lemma1"), verdict="fails")
    with pytest.raises(ValueError, match="claim5 is 'holds': every verdict but"):
        replace(theory.statement("claim5"), verdict="holds")
    with pytest.raises(ValueError, match="prop3 is 'holds_with_assumptions'"):
        replace(theory.statement("prop3"), verdict="holds_with_assumptions")


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"largest_k": 1}, {"largest_d": 1}])
def test_sizes_are_checked(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=rf"^{name} is {wrong[name]}, but it must be at least"):
        theory.numeric(theory.statement("lemma1"), **wrong)


def test_trials_reach_the_largest_and_many_other_sizes():
    seen = []

    def spying(f, s):
        seen.append((s.k, s.d))
        yield from ()

    spy = replace(theory.statement("lemma1"), claims=spying)
    theory.numeric(spy, trials=12, largest_k=5, largest_d=8)
    assert seen[0] == (5, 8)
    assert {k for k, _ in seen} == set(range(1, 6))
    assert len(set(seen)) >= 10
    assert all(2 <= d <= 8 for _, d in seen)


def test_numbers_are_those_of_the_seed():
    one, same, other = (theory.Numbers(2, 3, seed).matrix("W", 2, 3) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("world", [theory.Symbols(2, 3), theory.Numbers(2, 3, 0)])
def test_worlds_keep_what_they_promise(world):
    unit, Q = world.unit("t", 3), world.orthogonal("q", 3)
    assert verify(equal("", (unit.T @ unit)[0, 0], number(1) if isinstance(unit, torch.Tensor) else 1))[0]
    one = torch.eye(3).double() if isinstance(Q, torch.Tensor) else sympy.eye(3)
    assert verify(equal("", Q.T @ Q, one, scale=1))[0]


@given(st.lists(st.integers(-3, 3), min_size=6, max_size=6))
@settings(max_examples=20, deadline=None)
def test_both_kinds_of_algebra_agree(entries):
    exact = sympy.Matrix(2, 3, entries)
    floating = torch.tensor(entries, dtype=torch.float64).reshape(2, 3)

    def loss(W):
        return (W @ W.T).trace() ** 2 + W[0, 0] ** 3

    def same(left, right):
        torch.testing.assert_close(torch.tensor(left.tolist(), dtype=torch.float64).reshape(right.shape), right)

    same(gradient(loss, exact), gradient(loss, floating))
    same(hessian(loss, exact), hessian(loss, floating))
    same(jacobian(lambda W: W @ W.T, exact), jacobian(lambda W: W @ W.T, floating))
    same(rows(exact), rows(floating))
    same(kron(exact, exact), kron(floating, floating))
    same(inverse(exact @ exact.T + 9 * sympy.eye(2)), inverse(floating @ floating.T + 9 * torch.eye(2).double()))


def test_influence_and_its_limit_on_a_singular_matrix():
    H, g = sympy.diag(2, 0), sympy.Matrix([3, 0])
    damping = sympy.Symbol("lambda", positive=True)
    assert sympy.simplify(influence(g, H, damping) + 9 / (2 + damping)) == 0
    assert undamped(g, H) == -sympy.Rational(9, 2)
    floating = undamped(torch.tensor([[3.0], [0.0]]).double(), torch.diag(torch.tensor([2.0, 0.0])).double())
    assert float(floating) == pytest.approx(-4.5)


def test_coefficients_of_a_series():
    assert [coefficient(sympy.exp, order, sympy.eye(1)) for order in range(4)] == [
        1,
        1,
        sympy.Rational(1, 2),
        sympy.Rational(1, 6),
    ]
    floating = [float(coefficient(torch.exp, order, torch.eye(1).double())) for order in range(4)]
    assert floating == pytest.approx([1, 1, 1 / 2, 1 / 6])
