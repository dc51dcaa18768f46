"""The paper's statements as a registry: each with its verdict, its proof, and checks that can fail.

Every formula is written once and checked in two worlds: on symbols with SymPy, and on random float64 matrices with
autograd. Wherever a statement is about derivatives, both differentiate the loss and know nothing of the formula. Where
the paper's form is another one it is kept beside it, and has to fail.
"""

from influence_lib.theory.checking import Check, Report, check, numeric, sharpness, symbolic
from influence_lib.theory.page import MEANING, counterexamples, grid, overview, section
from influence_lib.theory.registry import STATEMENTS, check_all, statement
from influence_lib.theory.statement import VERDICTS, Claim, Formula, Statement
from influence_lib.theory.worlds import Numbers, Symbols

__all__ = [
    "MEANING",
    "STATEMENTS",
    "VERDICTS",
    "Check",
    "Claim",
    "Formula",
    "Numbers",
    "Report",
    "Statement",
    "Symbols",
    "check",
    "check_all",
    "counterexamples",
    "grid",
    "numeric",
    "overview",
    "section",
    "sharpness",
    "statement",
    "symbolic",
]
