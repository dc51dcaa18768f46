r"""Formulas as text: nothing of LaTeX is left, and no text means another formula than its source."""

import pytest

from influence_lib import theory
from influence_lib.theory.plain import plain


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\frac{a + 1}{2}", "((a + 1)/2)"),
        (r"\frac1\lambda I", "(1/λ) I"),  # and not 1/λI
        (r"\tfrac12 \theta^2", "(1/2) θ²"),
        (r"\frac{\lVert p \rVert^2}{\lVert a \rVert^2}", "(‖p‖²/‖a‖²)"),
        (r"\frac{1}{\lVert a \rVert \lVert b \rVert}", "(1/(‖a‖‖b‖))"),
        (r"\frac{1}{1 + \frac{q}{2}}", "(1/(1 + (q/2)))"),
        (r"H^{-1} g", "H⁻¹ g"),
        (r"I^{\lambda / \varepsilon^2}(x)", "I^(λ / ε²)(x)"),
        (r"(1 + t^2)^{-1/2}", "(1 + t²)^(-1/2)"),
        (r"W \in \mathbb{R}^{k \times d}", "W ∈ ℝ^(k × d)"),
        (r"\mathbb{R}^k", "ℝᵏ"),
        (r"L_{ssl} \ne P_{ij}", "L_ssl ≠ Pᵢⱼ"),
        (r"\sum_{i \in S} x_i", "∑_(i ∈ S) xᵢ"),
        (r"\lVert W \rVert_F^2 \le \lvert S \rvert", "‖W‖_F² ≤ |S|"),
        (r"\operatorname{rank} \hat\Sigma", "rank Σ̂"),
        (r"\operatorname{tr}(W)", "tr(W)"),
        (r"\delta\delta^\top - \Sigma_x", "δδᵀ - Σₓ"),
        (r"\hat a^\perp + \theta^*", "â^⊥ + θ*"),
    ],
)
def test_formulas(latex, text):
    assert plain(f"${latex}$").replace(" ", "") == text.replace(" ", "")
    assert "  " not in plain(f"${latex}$")


def test_words_lose_their_marks_and_keep_the_rest():
    assert plain("**Note.** *This* is {prf:ref}`thm1`, `code` 2 * 3 * 4.") == "Note. This is thm1, `code` 2 * 3 * 4."
    assert plain("as $W^*$ and $V^*$ are") == "as W* and V* are"


@pytest.mark.parametrize("name", theory.STATEMENTS)
def test_nothing_of_latex_is_left_in_any_statement(name):
    s = theory.STATEMENTS[name]
    examples = theory.counterexamples(s)
    texts = [s.title, s.place, s.line, s.says, s.meant, s.found, s.proof, s.rests]
    texts += [text for e in examples for text in (e.case, e.printed, e.corrected or "")]
    for text in map(plain, texts):
        assert not set(text) & set("\\${}\0\1\2\3"), text
        assert "**" not in text
