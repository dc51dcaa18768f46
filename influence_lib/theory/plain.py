"""Statements as plain text: Markdown with LaTeX in, Unicode for a terminal out."""

import re
from functools import cache

from pylatexenc import latex2text, latexwalker, macrospec

__all__ = ["plain"]

FORMULA = re.compile(r"(\$\$.+?\$\$|\$.+?\$)", re.DOTALL)
ROLE = re.compile(r"\{[\w:]+\}`([^`]*)`")  # {prf:ref}`thm1` → thm1
EMPHASIS = re.compile(r"(\*{1,2})(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
RAISED = str.maketrans("0123456789+-=()abcdefghijklmnoprstuvwxyz⊤*", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ*")
LOWERED = str.maketrans("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
FRACTIONS = ("frac", "tfrac")
BARS = {"Vert": "‖", "vert": "|"}
OPENS, CLOSES, NAMED = (
    "\1",
    "\2",
    "\3",
)  # stand in the text, until its spaces are set, where a space is to go or to come
SINGLE = re.compile(r"\w+|‖[^‖]*‖²?")  # what needs no parentheses above or below a stroke


def plain(markdown: str) -> str:
    r"""Return a text of the theory for a terminal.

    Parameters
    ----------
    markdown : str
        MyST Markdown with formulas between ``$`` or ``$$``.

    Returns
    -------
    str
        The words without marks, and the formulas in Unicode: a fraction is (a/b); exponents and indices are raised and
        lowered where Unicode has all of their characters, and are ``^(…)`` and ``_(…)`` elsewhere; an index that is
        a word is ``_word``.

    Examples
    --------
    >>> plain(r"**Note** that $\lambda \ne \frac{a + 1}{2}$, see {prf:ref}`thm1`.")
    'Note that λ ≠ ((a + 1)/2), see thm1.'
    """
    # one mark stands for each formula meanwhile: the stars and braces in it are no marks of Markdown
    formulas = iter(FORMULA.findall(markdown))
    words = EMPHASIS.sub(r"\2", ROLE.sub(r"\1", FORMULA.sub("\0", markdown)))
    return re.sub("\0", lambda _: _formula(next(formulas).strip("$")), words)


def _formula(latex: str) -> str:
    """Return a formula as text, on one line."""
    grammar, texts = _context()
    nodes, _, _ = latexwalker.LatexWalker(latex, latex_context=grammar).get_latex_nodes()
    converter = latex2text.LatexNodes2Text(texts, math_mode="text", strict_latex_spaces="based-on-source")
    return _spaced(converter.nodelist_to_text(nodes))


def _spaced(text: str) -> str:
    """Return a formula with its spaces set: around relations, before signs between terms, not inside bars."""
    text = re.sub(rf"{OPENS}\s*|\s*{CLOSES}", "", text)
    text = re.sub(rf"{NAMED}(?=[A-ZΑ-Ω])", " ", text).replace(NAMED, "")
    text = re.sub(r" *(=:|[=≤≥≠≈∈→↦⊗×≼≽]|(?<!\^)⊥) *", r" \1 ", text)
    text = re.sub(r"(?<=[^\s(,])([+-])(?= )", r" \1", text)
    return re.sub(r"(?<=\() +| +(?=[,.;:)])", "", " ".join(text.split()))


@cache
def _context() -> tuple[macrospec.LatexContextDb, macrospec.LatexContextDb]:
    """Return the LaTeX that is understood, and its texts: pylatexenc's, with those it lacks or writes ambiguously."""
    grammar, texts = latexwalker.get_default_latex_context_db(), latex2text.get_default_latex_context_db()
    one = macrospec.MacroStandardArgsParser("{")
    grammar.add_context_category(
        "theory",
        macros=[macrospec.std_macro("tfrac", "{{")]
        + [macrospec.std_macro(name, "{") for name in ("operatorname", "xrightarrow")],
        specials=[macrospec.SpecialsSpec(mark, args_parser=one) for mark in "^_"],
        prepend=True,
    )
    texts.add_context_category(
        "theory",
        macros=[
            *(latex2text.MacroTextSpec(name, _fraction) for name in FRACTIONS),
            latex2text.MacroTextSpec("ne", "≠"),
            latex2text.MacroTextSpec("xrightarrow", " → (%s)"),
            latex2text.MacroTextSpec("operatorname", f" %s{NAMED}"),
            *(latex2text.MacroTextSpec(f"l{name}", f"{bar}{OPENS}") for name, bar in BARS.items()),
            *(latex2text.MacroTextSpec(f"r{name}", f"{CLOSES}{bar}") for name, bar in BARS.items()),
            *(latex2text.MacroTextSpec(name, " ") for name in (",", ";", "quad", "qquad")),
        ],
        specials=[latex2text.SpecialsTextSpec("^", _raised), latex2text.SpecialsTextSpec("_", _lowered)],
        prepend=True,
    )
    return grammar, texts


def _arguments(node: latexwalker.LatexNode, l2tobj: latex2text.LatexNodes2Text) -> list[str]:
    """Return the texts of what a macro or a mark is applied to."""
    return [_spaced(l2tobj.nodelist_to_text([argument])) for argument in node.nodeargd.argnlist]


def _fraction(node: latexwalker.LatexNode, l2tobj: latex2text.LatexNodes2Text) -> str:
    above, below = (part if SINGLE.fullmatch(part) else f"({part})" for part in _arguments(node, l2tobj))
    return f"({above}/{below})"


def _raised(node: latexwalker.LatexNode, l2tobj: latex2text.LatexNodes2Text) -> str:
    return _script("^", RAISED, node, l2tobj)


def _lowered(node: latexwalker.LatexNode, l2tobj: latex2text.LatexNodes2Text) -> str:
    return _script("_", LOWERED, node, l2tobj)


def _script(
    mark: str, characters: dict[int, int], node: latexwalker.LatexNode, l2tobj: latex2text.LatexNodes2Text
) -> str:
    """Return an exponent or an index."""
    (text,) = _arguments(node, l2tobj)
    close = text.replace(" ", "")
    word = re.search(r"[^\W\d_]{3}", text)
    if not word and all(ord(character) in characters for character in close):
        return close.translate(characters)
    return mark + (text if text.isalpha() or len(text) == 1 else f"({text})")
