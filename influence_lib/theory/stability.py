"""Proposition 1, part 4, with Claim 4 and Corollary 2: how much the score changes with the weights."""

import sympy

from influence_lib.theory.algebra import Matrix, Scalar, gradient, norm2, sqrt
from influence_lib.theory.properties import limit
from influence_lib.theory.setting import EPS, free_encoder
from influence_lib.theory.statement import Claims, Formula, Formulas, Statement, at_most, equal
from influence_lib.theory.worlds import Symbols, World

__all__ = ["STATEMENTS"]


def norm(A: Matrix) -> Scalar:
    """Return the Frobenius norm ‖A‖."""
    return sqrt(norm2(A))


def _aligned(s: World) -> tuple[Matrix, Matrix, Matrix, Scalar]:
    """Return W and E along one uδᵀ, where the bounds are attained; with symbols one entry each is enough."""
    eps, first, second = s.positive("eps"), s.positive("w"), s.positive("e")
    if isinstance(s, Symbols):
        one = sympy.Matrix([1])
        return first * one, second * one, one, eps
    delta, u = s.unit("t", s.d), s.unit("u", s.k)
    return first * u @ delta.T, second * u @ delta.T, delta, eps


def _prop1_4(f: Formulas, s: World) -> Claims:
    W, E, delta, eps = _aligned(s)
    change = limit(W, delta, eps) - limit(W + E, delta, eps)
    yield equal("attained where W and E are along one uδᵀ", change, f.bound(W, E, delta, eps))


def _prop1_4_numbers(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    for _ in range(5):
        E = s.matrix("E", s.k, s.d) * s.positive("size")
        yield at_most("random E", (limit(W + E, delta, eps) - limit(W, delta, eps)).abs(), f.bound(W, E, delta, eps))


def _prop1_4_ones(f: Formulas) -> Claims:
    one, delta = sympy.Matrix([1]), sympy.Matrix([1])
    for name, W in (("W = 1", one), ("W = 0", 0 * one)):
        change = sympy.Abs(limit(W + one, delta, EPS) - limit(W, delta, EPS))
        yield at_most(rf"$k = d = 1$, $\delta = 1$, ${name}$, $E = 1$: change", change, f.bound(W, one, delta, EPS))


PROP1_4 = Statement(
    id="prop1_4",
    title="Proposition 1, part 4, stability",
    place="section 3.2",
    verdict="fails",
    line="the bound lacks its second-order term; for W = uδᵀ it fails for every E = tW, t > 0, however small",
    says=r"""For every perturbation $E$ of the weights,
$\lvert I_{ssl}(W + E) - I_{ssl}(W) \rvert \le 4\varepsilon^2 \lVert\delta\rVert^2 \lVert W \rVert_F \lVert E
\rVert_F$.""",
    meant=r"The first-order bound. The appendix has it with $+\,O(\eta^2)$ ({prf:ref}`cor2`), and so it holds.",
    found=r"""The influence is quadratic in $W$, so no bound without a term in $\lVert E \rVert^2$ can hold near
$W = 0$. What holds, and is attained, is

$$\lvert I_{ssl}(W + E) - I_{ssl}(W) \rvert \le
4\varepsilon^2 \lVert\delta\rVert^2 \lVert W \rVert_F \lVert E \rVert_F + 2\varepsilon^2 \lVert\delta\rVert^2 \lVert E
\rVert_F^2 .$$

The bound speaks of two weight matrices close to each other. Two trainings from different seeds are not, so it does
not explain a correlation of scores between them, which section 4.1 takes as its confirmation.""",
    proof=r"""$\lVert (W + E)\delta \rVert^2 - \lVert W\delta \rVert^2 = 2 (W\delta)^\top E\delta + \lVert E\delta
\rVert^2$;
apply Cauchy–Schwarz. Equality for $W$ and $E$ positive multiples of $u\delta^\top$.""",
    rests="The proof covers all k and d; SymPy confirms that the bound is attained, numbers that it is never exceeded.",
    formulas={
        "bound": Formula(
            holds=lambda W, E, delta, eps: (
                4 * eps**2 * norm2(delta) * norm(W) * norm(E) + 2 * eps**2 * norm2(delta) * norm2(E)
            ),
            printed=lambda W, E, delta, eps: 4 * eps**2 * norm2(delta) * norm(W) * norm(E),
            bound="upper",
        )
    },
    claims=_prop1_4,
    numeric=_prop1_4_numbers,
    counterexample=_prop1_4_ones,
    sizes=((1, 1),),
)


def _claim4(f: Formulas, s: World) -> Claims:
    W, E, delta, eps = _aligned(s)
    edge = W + E  # farther out than W, on the boundary of the ball whose radius is its norm
    slope = gradient(lambda V: limit(V, delta, eps), edge)
    yield equal(
        "the slope at R uδᵀ reaches the constant of the ball", norm(slope), f.constant(W, norm(edge), delta, eps)
    )


def _claim4_numbers(f: Formulas, s: World) -> Claims:
    _, delta, eps = free_encoder(s)
    radius = s.positive("R")
    for _ in range(5):
        one, two = (s.positive("share") / 1.7 * radius * V / norm(V) for V in (s.matrix("V", s.k, s.d) for _ in "12"))
        change = (limit(one, delta, eps) - limit(two, delta, eps)).abs()
        yield at_most("two encoders in the ball", change, f.constant(one, radius, delta, eps) * norm(one - two))


def _claim4_one_and_three(f: Formulas) -> Claims:
    one, three, delta = sympy.Matrix([1]), sympy.Matrix([3]), sympy.Matrix([1])
    change = limit(one, delta, EPS) - limit(three, delta, EPS)
    yield at_most(
        r"$k = d = 1$, $\delta = 1$, $W_1 = 1$, $W_2 = 3$: change", change, f.constant(one, 3, delta, EPS) * 2
    )


CLAIM4 = Statement(
    id="claim4",
    title="Claim 4, the Lipschitz constant",
    place="appendix C.2",
    verdict="fails",
    line="a constant that depends on W is none: Lipschitz on balls, not on the whole space",
    says=r"""The influence is Lipschitz continuous in $W$ with constant
$4\varepsilon^2 \lVert\delta\rVert^2 \lVert W \rVert_F$:
$\lvert I(W_1) - I(W_2) \rvert \le 4\varepsilon^2 \lVert\delta\rVert^2 \lVert W \rVert_F \lVert W_1 - W_2 \rVert_F$.""",
    meant="A local statement: near $W$ the influence changes at most at this rate.",
    found=r"""It is a quadratic function, and no constant serves everywhere. The printed inequality is true if $W$
is read as the larger of $W_1$ and $W_2$, but that is no constant:
$\lvert I(t + 1) - I(t) \rvert = 2\varepsilon^2 (2t + 1)$ for $k = d = 1$. Three statements hold. *Local:* the slope
at $W$ is $4\varepsilon^2 \lVert W\delta \rVert \lVert\delta\rVert$, at most the printed number. *On the ball*
$\lVert W \rVert_F \le R$: Lipschitz with $4\varepsilon^2 \lVert\delta\rVert^2 R$, and no smaller constant will do.
*Everywhere:*
$\lvert I(W_1) - I(W_2) \rvert \le 2\varepsilon^2 \lVert\delta\rVert^2 (\lVert W_1 \rVert_F + \lVert W_2 \rVert_F)
\lVert W_1 - W_2 \rVert_F$.""",
    proof=r"""The slope is
$\lVert {-4}\varepsilon^2 W\delta\delta^\top \rVert_F = 4\varepsilon^2 \lVert W\delta \rVert \lVert\delta\rVert
\le 4\varepsilon^2 \lVert\delta\rVert^2 R$
on the ball, which is convex; it is reached at $W = R\, u\delta^\top / \lVert\delta\rVert$. The third line is
$\lvert \lVert a \rVert^2 - \lVert b \rVert^2 \rvert \le (\lVert a \rVert + \lVert b \rVert) \lVert a - b \rVert$.""",
    rests="""The proof covers all k and d; SymPy confirms that the constant is reached, numbers that it is never
exceeded.""",
    formulas={
        "constant": Formula(
            holds=lambda W, radius, delta, eps: 4 * eps**2 * norm2(delta) * radius,
            printed=lambda W, radius, delta, eps: 4 * eps**2 * norm2(delta) * norm(W),
            bound="upper",
        )
    },
    claims=_claim4,
    numeric=_claim4_numbers,
    counterexample=_claim4_one_and_three,
    sizes=((1, 1),),
)


def _claim4_proof(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    slope = gradient(lambda V: limit(V, delta, eps), W)
    yield equal("squared norm of the gradient", f.squared_norm(W, delta, eps), norm2(slope))


def _claim4_proof_two(f: Formulas) -> Claims:
    W, delta = sympy.Matrix([[1, 0]]), sympy.Matrix([0, 1])
    slope = gradient(lambda V: limit(V, delta, EPS), W)
    yield equal(
        r"$W = (1, 0)$, $\delta = (0, 1)$: squared norm of the gradient", f.squared_norm(W, delta, EPS), norm2(slope)
    )


CLAIM4_PROOF = Statement(
    id="claim4_proof",
    title="The gradient norm in the proof of Claim 4",
    place="appendix C.2",
    verdict="fails",
    line="an inequality, printed as an equality; equal only for W = uδᵀ",
    says=r"""$\lVert \nabla_W I \rVert_F = \lVert 4\varepsilon^2 W\delta\delta^\top \rVert_F = 4\varepsilon^2
\lVert\delta\rVert^2 \lVert W \rVert_F$.""",
    meant=r"The inequality $\le$, which is all that the proof needs.",
    found=r"""$\lVert \nabla_W I \rVert_F = 4\varepsilon^2 \lVert W\delta \rVert \lVert\delta\rVert \le 4\varepsilon^2
\lVert\delta\rVert^2 \lVert W \rVert_F$,
with equality exactly where every row of $W$ is a multiple of $\delta^\top$. For $W = (1, 0)$ and $\delta = (0, 1)$
the left side is 0 and the right $4\varepsilon^2$. (The sign of the gradient is lost as well, which does not matter
for the norm.)""",
    proof=r"""$\lVert W\delta\delta^\top \rVert_F^2 = \operatorname{tr}(W\delta\, \delta^\top\delta\, \delta^\top
W^\top) = \lVert\delta\rVert^2 \lVert W\delta \rVert^2$.""",
    rests="The proof covers all k and d; SymPy and autograd confirm it at the sizes below.",
    formulas={
        "squared_norm": Formula(
            holds=lambda W, delta, eps: 16 * eps**4 * norm2(W @ delta) * norm2(delta),
            printed=lambda W, delta, eps: 16 * eps**4 * norm2(delta) ** 2 * norm2(W),
        )
    },
    claims=_claim4_proof,
    counterexample=_claim4_proof_two,
)


def _cor2(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    eta = s.positive("eta")
    u = W @ delta
    E = eta * u @ delta.T / (norm(u) * norm(delta))
    change = limit(W, delta, eps) - limit(W + E, delta, eps)
    yield equal("the supremum is attained at E = η(Wδ)δᵀ/‖Wδ‖‖δ‖", change, f.supremum(W, delta, eps, eta))
    V, E, delta, eps = _aligned(s)
    attained = limit(V, delta, eps) - limit(V + E, delta, eps)
    yield equal(
        "the printed bound is attained, its remainder being 2ε²η²‖δ‖²", attained, f.bound(V, delta, eps, norm(E))
    )


def _cor2_numbers(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    eta = s.positive("eta")
    for _ in range(5):
        E = s.matrix("E", s.k, s.d)
        E = eta * s.positive("share") / 1.7 * E / norm(E)
        change = (limit(W + E, delta, eps) - limit(W, delta, eps)).abs()
        yield at_most("random E with ‖E‖ ≤ η", change, f.supremum(W, delta, eps, eta))
    yield at_most(
        "the supremum is below the printed bound", f.supremum(W, delta, eps, eta), f.bound(W, delta, eps, eta)
    )


COR2 = Statement(
    id="cor2",
    title="Corollary 2, stability with remainder",
    place="appendix C.2",
    verdict="holds",
    line="right; the remainder is at most 2ε²η²‖δ‖², and ‖Wδ‖ can replace ‖W‖‖δ‖",
    says=r"""For every $E$ with $\lVert E \rVert_F \le \eta$:
$\lvert I_{ssl}(W + E) - I_{ssl}(W) \rvert \le 4\varepsilon^2 \lVert\delta\rVert^2 \lVert W \rVert_F\, \eta +
O(\eta^2)$.""",
    found=r"""Right as printed. The exact supremum over all such $E$ is

$$\sup = 4\varepsilon^2 \lVert W\delta \rVert \lVert\delta\rVert\, \eta + 2\varepsilon^2 \lVert\delta\rVert^2\, \eta^2 ,
\qquad\text{attained at}\quad E = \eta\, \frac{(W\delta)\,\delta^\top}{\lVert W\delta \rVert \lVert\delta\rVert} ,$$

(for $W\delta = 0$ at any $u\delta^\top$ of norm $\eta$).""",
    proof=r"""$\lvert 2(W\delta)^\top E\delta + \lVert E\delta \rVert^2 \rvert \le 2 \lVert W\delta \rVert \lVert
E\delta \rVert + \lVert E\delta \rVert^2$
and $\lVert E\delta \rVert \le \eta \lVert\delta\rVert$; the $E$ above makes both equalities.""",
    rests="""The proof covers all k and d; SymPy confirms the value at the maximiser, numbers that random E stay
below it.""",
    formulas={
        "supremum": Formula(
            lambda W, delta, eps, eta: (
                4 * eps**2 * norm(W @ delta) * norm(delta) * eta + 2 * eps**2 * norm2(delta) * eta**2
            ),
            bound="upper",
        ),
        "bound": Formula(
            lambda W, delta, eps, eta: 4 * eps**2 * norm2(delta) * norm(W) * eta + 2 * eps**2 * norm2(delta) * eta**2,
            bound="upper",
        ),
    },
    claims=_cor2,
    numeric=_cor2_numbers,
)


STATEMENTS = (PROP1_4, CLAIM4, CLAIM4_PROOF, COR2)
