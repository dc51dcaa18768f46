"""Lemma 3 and Proposition 3: the Euclidean loss, and how the cosine loss relates to it."""

from functools import partial

import sympy

from influence_lib.theory.algebra import Matrix, Scalar, coefficient, norm2, scalar, sqrt
from influence_lib.theory.setting import cosine_loss, ssl_loss
from influence_lib.theory.statement import Claims, Formula, Formulas, Statement, equal
from influence_lib.theory.worlds import Symbols, World

__all__ = ["STATEMENTS", "off_axis"]


def off_axis(a: Matrix, u: Matrix) -> Matrix:
    """Return p = u − a(aᵀu)/‖a‖², the part of u that is orthogonal to a."""
    return u - a * (scalar(a.T @ u) / norm2(a))


def _lemma3(f: Formulas, s: World) -> Claims:
    W, x, delta, eps = s.matrix("W", s.k, s.d), s.matrix("x", s.d, 1), s.matrix("t", s.d, 1), s.positive("eps")
    yield equal("loss, any δ", f.loss(W, delta, eps), ssl_loss(W, x, delta, eps))


def _lemma3_all_sizes(f: Formulas) -> Claims:
    k, d = sympy.symbols("k d", integer=True, positive=True)
    W, x, delta = sympy.MatrixSymbol("W", k, d), sympy.MatrixSymbol("x", d, 1), sympy.MatrixSymbol("delta", d, 1)
    eps = sympy.Symbol("epsilon", positive=True)
    difference = (W * x - W * (x + eps * delta)).expand().doit()
    yield equal(r"$Wx - Wx_{aug} = -\varepsilon W\delta$ for symbolic k and d", difference, -eps * W * delta)


LEMMA3 = Statement(
    id="lemma3",
    title="Lemma 3, the loss simplified",
    place="appendix C.1, step 3",
    verdict="holds",
    line="exact, and needs nothing but linearity: not |δ| = 1, not δ ⟂ x, not a small ε",
    says=r"""For $x_{aug} = x + \varepsilon\delta$ with $\delta^\top x = 0$, $\lVert\delta\rVert = 1$,
$\varepsilon \ll 1$ (Definition 3):
$L_{ssl} = \lVert Wx - Wx_{aug} \rVert^2 = \varepsilon^2 \lVert W\delta \rVert^2$.""",
    found=r"""Right, and more generally than stated: for every $x$, $\delta$ and $\varepsilon$. The loss does not
depend on $x$ at all except through $\delta(x)$. (No result of the paper uses $\delta \perp x$; {prf:ref}`claim5`
and {prf:ref}`assumption1` are at odds with it.)""",
    proof=r"$Wx - W(x + \varepsilon\delta) = -\varepsilon W\delta$.",
    rests="SymPy covers all k and d (matrices of symbolic size) for the difference, and the loss at the sizes below.",
    formulas={"loss": Formula(lambda W, delta, eps: eps**2 * norm2(W @ delta))},
    claims=_lemma3,
    symbolic=_lemma3_all_sizes,
    sizes=((1, 2), (2, 2), (2, 3)),
)


def _perpendicular_pair(s: World) -> tuple[Matrix, Matrix]:
    """Return an x ≠ 0 and a unit δ ⟂ x, as Definition 3 has them."""
    if isinstance(s, Symbols):  # the axes of the input space can be laid along them, for W is arbitrary
        return s.positive("x") * sympy.Matrix([1, 0]), sympy.Matrix([0, 1])
    delta, free = s.unit("t", s.d), s.matrix("x", s.d, 1)
    return free - delta * scalar(delta.T @ free), delta


def _prop3(f: Formulas, s: World) -> Claims:
    W = s.matrix("W", s.k, s.d)
    x, delta = _perpendicular_pair(s)
    a, u = W @ x, W @ delta
    scale = norm2(u) / norm2(a)

    def loss(eps: Scalar) -> Scalar:
        return cosine_loss(W, x, delta, eps)

    for order in (0, 1):
        yield equal(f"coefficient of ε^{order} is 0", coefficient(loss, order, W), 0 * scale, scale=scale)
    yield equal("coefficient of ε², δ ⟂ x", f.leading(W, x, delta), coefficient(loss, 2, W), scale=scale)
    yield equal("coefficient of ε³", f.next_order(W, x, delta), coefficient(loss, 3, W), scale=sqrt(scale) * scale)


def _prop3_two(f: Formulas) -> Claims:
    x, delta = sympy.Matrix([1, 0]), sympy.Matrix([0, 1])
    for name, W in (
        (r"$k = 1$, $W = (1, 1)$", sympy.Matrix([[1, 1]])),
        (r"$k = 2$, $W = \begin{pmatrix} 1 & 1 \\ 0 & 1 \end{pmatrix}$", sympy.Matrix([[1, 1], [0, 1]])),
    ):
        second = coefficient(partial(cosine_loss, W, x, delta), 2, W)
        yield equal(
            rf"{name}, $x = (1, 0)$, $\delta = (0, 1)$: coefficient of $\varepsilon^2$", f.leading(W, x, delta), second
        )


PROP3 = Statement(
    id="prop3",
    title="Proposition 3, cosine and Euclidean loss",
    place="appendix C.1, step 3; used in section 3.1",
    verdict="fails",
    line="only the part of Wδ orthogonal to Wx counts; for k = 1 the cosine loss is 0 for all small ε",
    says=r"""For small perturbations (Definition 3, so $\delta \perp x$) the cosine loss is proportional to the
Euclidean one: $L_{cos} \approx \varepsilon^2 \lVert W\delta \rVert^2 / (2 \lVert Wx \rVert^2)$.""",
    meant=r"""Both losses measure how far the view moves, and $1 - \cos\theta \approx \theta^2 / 2$. "Proportional"
is up to the factor $1 / (2\lVert Wx \rVert^2)$, which differs from image to image; a ranking by one is therefore
not a ranking by the other.""",
    found=r"""With $a = Wx \ne 0$, $u = W\delta$ and $p = u - a\,(a^\top u) / \lVert a \rVert^2$, the part of $u$
orthogonal to $a$,

$$L_{cos} = \frac{\varepsilon^2}{2} \frac{\lVert p \rVert^2}{\lVert a \rVert^2}
- \varepsilon^3\, \frac{a^\top u}{\lVert a \rVert^2} \frac{\lVert p \rVert^2}{\lVert a \rVert^2} + O(\varepsilon^4).$$

The printed form counts the whole of $u$. It would need $W\delta \perp Wx$ in the *representation*; $\delta \perp x$
in the *input* does not give it. In the case $k = 1$, with which the paper continues, $p = 0$ always:
representations are numbers, the cosine loss is 0 as long as the view keeps the sign, and the Euclidean one is not.
(The printed form is right to second order if $W^\top W$ is a multiple of $I$, for then $\delta \perp x$ gives
$W\delta \perp Wx$.)""",
    proof=r"""Let $c = a^\top u / \lVert a \rVert^2$. In the plane of $a$ and $p$ the second view is
$(1 + \varepsilon c)\, a + \varepsilon p$, so the angle has
$\tan\varphi = \varepsilon \lVert p \rVert / (\lVert a \rVert (1 + \varepsilon c)) =: t$ and
$L_{cos} = 1 - (1 + t^2)^{-1/2} = t^2 / 2 + O(t^4)$. Expand $t^2$ in $\varepsilon$.""",
    rests="""The proof covers all k and d. SymPy expands the loss in ε for k = d = 2 with symbolic W and length of
x, the axes laid along x and δ; autograd does at larger sizes.""",
    formulas={
        "leading": Formula(
            holds=lambda W, x, delta: norm2(off_axis(W @ x, W @ delta)) / (2 * norm2(W @ x)),
            printed=lambda W, x, delta: norm2(W @ delta) / (2 * norm2(W @ x)),
        ),
        "next_order": Formula(
            lambda W, x, delta: -scalar((W @ x).T @ W @ delta) * norm2(off_axis(W @ x, W @ delta)) / norm2(W @ x) ** 2
        ),
    },
    claims=_prop3,
    counterexample=_prop3_two,
    sizes=((2, 2),),
)


def _prop3_step(f: Formulas, s: World) -> Claims:
    a, u = s.matrix("a", s.k, 1), s.matrix("u", s.k, 1)

    def one_minus_cosine(e: Scalar) -> Scalar:
        b = a + e * u
        return 1 - scalar(a.T @ b) / (sqrt(norm2(a)) * sqrt(norm2(b)))

    yield equal(
        "coefficient of ε² for b = a + εu",
        coefficient(lambda e: f.step(a, a + e * u), 2, a),
        coefficient(one_minus_cosine, 2, a),
        scale=norm2(u) / norm2(a),
    )


def _prop3_step_parallel(f: Formulas) -> Claims:
    a, b = sympy.Matrix([1, 0]), sympy.Matrix([2, 0])
    yield equal(
        r"$a = (1, 0)$, $b = (2, 0)$, at the angle $\theta = 0$: approximation of $1 - \cos\theta$", f.step(a, b), 0
    )
    a, b = sympy.Matrix([1, 0]), sympy.Matrix([1, 0]) + sympy.Rational(1, 10) * sympy.Matrix([1, 0])
    yield equal(r"$a = (1, 0)$, $b = (\frac{11}{10}, 0)$", f.step(a, b), 0)


PROP3_STEP = Statement(
    id="prop3_step",
    title="The step in the proof of Proposition 3",
    place="appendix C.1, step 3",
    verdict="fails",
    line="a square is missing, and with it the step is still wrong: a difference of lengths is no angle",
    says=r"""For vectors $a, b$ at a small angle $\theta$:
$1 - \cos\theta \approx \tfrac12 \theta^2 \approx \tfrac12 \lVert a - b \rVert / \lVert a \rVert^2$.""",
    meant=r"""$\tfrac12 \lVert a - b \rVert^2 / \lVert a \rVert^2$, which is what the next line of the proof uses.
It is right for vectors of the same length.""",
    found=r"""As printed, the right side changes when $a$ and $b$ are scaled by the same factor, and the left does
not. With the square put in, $a = (1, 0)$ and $b = (2, 0)$ still have $\theta = 0$ and
$\tfrac12 \lVert a - b \rVert^2 / \lVert a \rVert^2 = \tfrac12$. What holds is

$$1 - \cos\theta \approx \frac12 \frac{\lVert b - a\,(a^\top b) / \lVert a \rVert^2 \rVert^2}{\lVert a \rVert^2},$$

and exactly $1 - \cos\theta = \tfrac12 \lVert a / \lVert a \rVert - b / \lVert b \rVert \rVert^2$.""",
    proof=r"""The chord $b - a$ has a part along $a$, which changes the length, and a part $p$ across it, which
changes the angle: $\tan\theta = \lVert p \rVert / (a^\top b / \lVert a \rVert)$, and
$a^\top b \to \lVert a \rVert^2$ as $b \to a$.""",
    rests="""The proof covers all dimensions. SymPy compares the coefficients of ε² for b = a + εu in two
dimensions, autograd in more.""",
    formulas={
        "step": Formula(
            holds=lambda a, b: norm2(off_axis(a, b - a)) / (2 * norm2(a)),
            printed=lambda a, b: sqrt(norm2(a - b)) / (2 * norm2(a)),
        )
    },
    claims=_prop3_step,
    counterexample=_prop3_step_parallel,
    sizes=((2, 1),),
)

STATEMENTS = (LEMMA3, PROP3_STEP, PROP3)
