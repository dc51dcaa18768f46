"""Every statement: its checks pass, its verdict is sharp, and no other formula gets through."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from influence_lib import theory
from influence_lib.theory.checking import UNDEFINED, verify
from influence_lib.theory.statement import OURS, REPAIRED, Claim, Claims, Formula, Statement
from influence_lib.theory.worlds import World

PAPER = [
    "eq2",
    "eq6_sign",
    "lemma1",
    "lemma2_vv",
    "lemma2_WW",
    "lemma2_Wv",
    "def2_v",
    "lemma3",
    "prop3",
    "prop3_step",
    "lemma4_grad",
    "lemma4_hess",
    "sherman_morrison",
    "thm1_display",
    "thm1",
    "thm1_dataset",
    "thm1_argmin",
    "prop1_1",
    "prop1_2",
    "prop1_3",
    "prop1_4",
    "cor1",
    "claim4",
    "claim4_proof",
    "cor2",
    "claim5",
    "claim6",
    "cor3",
    "claim7",
    "def1",
    "prop2_1",
    "prop2_2",
    "prop2_reading",
    "assumption1",
]
BEYOND = ["ext_dataset", "ext_homogeneous", "ext_group", "ext_cosine", "ext_gauss_newton"]

every = pytest.mark.parametrize("name", list(theory.STATEMENTS))


def mutants(formula: Formula) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the paper's form where it is another one, and the right form with a wrong sign and with a wrong factor."""
    if formula.printed is not None:
        yield "as printed", formula.printed
    yield "with the other sign", lambda *arguments: -1 * formula.holds(*arguments)
    if formula.bound == "upper":  # twice an upper bound is one too
        yield "halved", lambda *arguments: formula.holds(*arguments) / 2
    else:
        yield "doubled", lambda *arguments: formula.holds(*arguments) * 2


def all_true(claims: Iterator[Claim]) -> bool:
    """Return whether every claim is true, looking no further than the first that is not."""
    try:
        return all(verify(claim)[0] for claim in claims)
    except UNDEFINED:
        return False


def passes(statement: Statement, formulas: SimpleNamespace, worlds: list[World], further: Claims | None) -> bool:
    every_claim = [statement.claims(formulas, world) for world in worlds]
    return all(all_true(claims) for claims in [*every_claim, *filter(None, [further])])


def test_every_statement_is_there():
    assert sorted(theory.STATEMENTS) == sorted(PAPER + BEYOND)
    assert {s.id for s in theory.STATEMENTS.values() if s.place == OURS} == set(BEYOND)
    assert {s.verdict for s in theory.STATEMENTS.values()} == set(theory.VERDICTS)


@every
def test_checks_pass_at_the_default_sizes(name):
    report = theory.check(theory.statement(name))
    assert [f for c in report.checks for f in c.failures] == []
    assert report.passed
    kinds = ["SymPy", "numbers"] + ["sharpness"] * (report.statement.verdict != "holds")
    assert [c.kind for c in report.checks] == kinds


@every
def test_no_other_formula_passes(name):
    s = theory.statement(name)
    symbols = [theory.Symbols(k, d) for k, d in reversed(s.sizes)]
    for part, formula in s.formulas.items():
        for change, mutant in mutants(formula):
            f = SimpleNamespace(**{**vars(s.corrected), part: mutant})
            assert not passes(s, f, symbols, s.symbolic and s.symbolic(f)), f"{part} {change} passes on symbols"
            numbers = theory.Numbers(3, 4, seed=0)
            assert not passes(s, f, [numbers], s.numeric and s.numeric(f, numbers)), (
                f"{part} {change} passes on numbers"
            )


@every
def test_verdicts_are_sharp(name):
    statement = theory.statement(name)
    examples = theory.counterexamples(statement)
    if statement.verdict == "holds":
        assert examples == []
        return
    assert theory.sharpness(statement).passed
    assert examples
    assert all((e.corrected is not None) == (statement.verdict in REPAIRED) for e in examples)


@pytest.mark.parametrize("seed", [1, 2026])
def test_checks_pass_for_other_random_matrices(seed):
    for statement in theory.STATEMENTS.values():
        assert theory.numeric(statement, seed=seed, trials=4, largest_k=4, largest_d=6).failures == []
