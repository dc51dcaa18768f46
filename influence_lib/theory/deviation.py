"""Section 4.4: expected influence, deviation from it, and the assumption about augmentations."""

import sympy
import torch

from influence_lib.theory.algebra import Matrix, Scalar, norm2, scalar, trace
from influence_lib.theory.setting import EPS, own_influence, ssl_loss
from influence_lib.theory.statement import Claims, Formula, Formulas, Statement, equal
from influence_lib.theory.theorem1 import unit_columns
from influence_lib.theory.worlds import Symbols, World

__all__ = ["STATEMENTS"]


def second_moment(D: Matrix) -> Matrix:
    """Return the mean of δδᵀ over the columns of D."""
    return D @ D.T / D.shape[1]


def _inputs(s: World) -> tuple[Matrix, list[Matrix], Scalar]:
    """Return W, two inputs with two equally likely perturbations each, and ε; their lengths do not matter."""
    D = s.matrix("t", s.d, 4)
    return s.matrix("W", s.k, s.d), [D[:, :2], D[:, 2:]], s.positive("eps")


def _mean_influence(W: Matrix, D: Matrix, eps: Scalar) -> Scalar:
    """Return the mean over the columns of D of the influence (own Hessian, λ → 0)."""
    return sum(own_influence(W, D[:, i : i + 1], eps) for i in range(D.shape[1])) / D.shape[1]


def _def1(f: Formulas, s: World) -> Claims:
    W, inputs, eps = _inputs(s)
    total = (second_moment(inputs[0]) + second_moment(inputs[1])) / 2
    means = [_mean_influence(W, D, eps) for D in inputs]
    yield equal("expected influence", f.expected(W, total, eps), (means[0] + means[1]) / 2)
    x = s.matrix("x", s.d, 1)
    losses = [ssl_loss(W, x, D[:, i : i + 1], eps) for D in inputs for i in range(2)]
    yield equal("expected representation distance", f.distance(W, total, eps), sum(losses) / 4)


DEF1 = Statement(
    id="def1",
    title="Definition 1, expected influence and expected representation distance",
    place="section 4.4 and appendix C.3",
    verdict="holds",
    line="both trace forms are right; two different quantities share the name Definition 1",
    says=r"""With $\Sigma = \mathbb{E}_{x,\xi}[\delta\delta^\top]$:
$I_{expected}(W) = -2\varepsilon^2\, \mathbb{E} \lVert W\delta \rVert^2 = -2\varepsilon^2 \operatorname{tr}(W^\top W
\Sigma)$
(main text), and
$R(W) = \varepsilon^2\, \mathbb{E} \lVert W\delta \rVert^2 = \varepsilon^2 \operatorname{tr}(W^\top W \Sigma)$
(appendix).""",
    found=r"""Right as printed, and $I_{expected} = -2R$. As $\lVert\delta\rVert = 1$,
$\operatorname{tr}\Sigma = 1$. $R(W)$ is the loss that is being averaged: "expected influence" is the expected loss,
times $-2$.""",
    proof=r"""$\lVert W\delta \rVert^2 = \operatorname{tr}(W^\top W \delta\delta^\top)$, and the expectation goes
inside the trace.""",
    rests="""The proof covers every distribution; SymPy and numbers confirm it for two inputs with two perturbations
each.""",
    formulas={
        "expected": Formula(lambda W, second, eps: -2 * eps**2 * trace(W.T @ W @ second)),
        "distance": Formula(lambda W, second, eps: eps**2 * trace(W.T @ W @ second)),
    },
    claims=_def1,
    sizes=((1, 2),),
)


def _prop2_1(f: Formulas, s: World) -> Claims:
    W, delta, eps = s.matrix("W", s.k, s.d), s.unit("t", s.d), s.positive("eps")
    yield equal("inner product form", f.inner(W, delta, eps), own_influence(W, delta, eps))


def _prop2_1_all_sizes(f: Formulas) -> Claims:
    k, d = sympy.symbols("k d", integer=True, positive=True)
    W, delta = sympy.MatrixSymbol("W", k, d), sympy.MatrixSymbol("delta", d, 1)
    direct = -2 * EPS**2 * sympy.Trace(delta.T * W.T * W * delta)
    yield equal("same gradient in W for symbolic k and d", f.inner(W, delta, EPS).diff(W), direct.diff(W))


PROP2_1 = Statement(
    id="prop2_1",
    title="Proposition 2, part 1, decomposition",
    place="appendix C.3",
    verdict="holds",
    line="the trace form of Proposition 1 as an inner product",
    says=r"$I_{ssl}(x) = -2\varepsilon^2 \langle W^\top W, \delta\delta^\top \rangle_F$ for $\delta = \delta(x, \xi)$.",
    found="Right as printed; the same identity as {prf:ref}`prop1_1`.",
    proof=r"$\lVert W\delta \rVert^2 = \delta^\top W^\top W \delta = \operatorname{tr}(W^\top W\, \delta\delta^\top)$.",
    rests="SymPy covers all k and d for the identity; the influence itself is differentiated at the sizes below.",
    formulas={"inner": Formula(lambda W, delta, eps: -2 * eps**2 * trace(W.T @ W @ delta @ delta.T))},
    claims=_prop2_1,
    symbolic=_prop2_1_all_sizes,
)


def within(W: Matrix, delta: Matrix, own: Matrix, eps: Scalar) -> Scalar:
    """Return −2ε² tr(WᵀW(δδᵀ − Σ_x)), the deviation of part 2 of Proposition 2."""
    return -2 * eps**2 * trace(W.T @ W @ (delta @ delta.T - own))


def _prop2_2(f: Formulas, s: World) -> Claims:
    W, (D, _), eps = _inputs(s)
    actual = own_influence(W, D[:, :1], eps) - _mean_influence(W, D, eps)
    yield equal("deviation from the input's own mean", f.deviation(W, D[:, :1], second_moment(D), eps), actual)


PROP2_2 = Statement(
    id="prop2_2",
    title="Proposition 2, part 2, the deviation identity",
    place="section 4.4 and appendix C.3",
    verdict="holds",
    line="an identity, about one input and its own perturbations",
    says=r"""With $\Sigma_x = \mathbb{E}_\xi[\delta\delta^\top]$:
$I_{ssl}(x) - \mathbb{E}_\xi[I_{ssl}(x)] = -2\varepsilon^2 \operatorname{tr}\bigl(W^\top W (\delta\delta^\top -
\Sigma_x)\bigr)$.""",
    found="""Right as printed. It compares one draw of the perturbation with the average draw *for the same input*;
what is read from it is another matter ({prf:ref}`prop2_reading`).""",
    proof=r"Subtract $\mathbb{E}_\xi$ of {prf:ref}`prop2_1` from it.",
    rests="The proof covers every distribution; SymPy and numbers confirm it for an input with two perturbations.",
    formulas={"deviation": Formula(within)},
    claims=_prop2_2,
    sizes=((1, 2), (2, 2)),
)


def between(W: Matrix, own: Matrix, second: Matrix, eps: Scalar) -> Scalar:
    """Return −2ε² tr(WᵀW(Σ_x − Σ)), how far an input's own mean is from that of all inputs."""
    return -2 * eps**2 * trace(W.T @ W @ (own - second))


def _prop2_reading(f: Formulas, s: World) -> Claims:
    W, inputs, eps = _inputs(s)
    own = second_moment(inputs[0])
    total = (own + second_moment(inputs[1])) / 2
    expected = (_mean_influence(W, inputs[0], eps) + _mean_influence(W, inputs[1], eps)) / 2
    actual = own_influence(W, inputs[0][:, :1], eps) - expected
    yield equal(
        "deviation from the expectation over all inputs", f.deviation(W, inputs[0][:, :1], own, total, eps), actual
    )


def _prop2_reading_axes(f: Formulas) -> Claims:
    """Two inputs whose perturbation is e₁ with a chance of its own, and e₂ otherwise; both draw e₁."""
    W, first, second = sympy.Matrix([[1, 0]]), sympy.Matrix([1, 0]), sympy.Matrix([0, 1])
    for chances in ((1, 0), (sympy.Rational(9, 10), sympy.Rational(1, 2))):
        own = [sympy.diag(chance, 1 - chance) for chance in chances]
        mean = sum(chances) / sympy.Integer(2)
        expected = mean * own_influence(W, first, EPS) + (1 - mean) * own_influence(W, second, EPS)
        drawn = (first, first) if chances[1] else (first, second)  # the second input never draws e₁ where it cannot
        for number, (delta, moment) in enumerate(zip(drawn, own, strict=True), start=1):
            yield equal(
                rf"$W = (1, 0)$, $\delta = (1, 0)$ with chances ${sympy.latex(chances[0])}$ and "
                rf"${sympy.latex(chances[1])}$ for the two inputs, else $(0, 1)$: deviation of input {number} "
                rf"where it draws $({delta[0]}, {delta[1]})$",
                f.deviation(W, delta, moment, (own[0] + own[1]) / 2, EPS),
                own_influence(W, delta, EPS) - expected,
            )


PROP2_READING = Statement(
    id="prop2_reading",
    title="What section 4.4 reads from Proposition 2",
    place="section 4.4, after Proposition 2",
    verdict="fails",
    line="it compares a point with itself: an input that is always extreme has mean deviation 0",
    says=r"""Part 2 of Proposition 2 shows exactly when a training point has unusually high influence: where
$\delta\delta^\top - \Sigma_x$ interacts strongly with $W^\top W$. The text calls $I_{expected}$, the mean over all
inputs, the reference.""",
    meant=r"""High relative to the other inputs, as the sentence about the reference says, and as removing the points
of highest influence needs. Assumption 1 (ii), that $\Sigma_x$ is close to $\Sigma$ for typical inputs, would make
the two references agree, and after it the paper names the other kind of high influence, inputs that need unusual
invariances.""",
    found=r"""The deviation in part 2 of Proposition 2 is from the input's *own* mean, and averages to 0 over its
draws: it says which draw was unusual and nothing about which input is. Against the reference of Definition 1 there
are two terms,

$$I_{ssl}(x) - I_{expected} =
\underbrace{-2\varepsilon^2 \operatorname{tr}\bigl(W^\top W (\delta\delta^\top - \Sigma_x)\bigr)}_{\text{this draw}}
\;\underbrace{-\,2\varepsilon^2 \operatorname{tr}\bigl(W^\top W (\Sigma_x - \Sigma)\bigr)}_{\text{this input}} ,$$

and the second is the one that a list of influential images is about. It is the input's expected loss against the
mean loss: no more than the raw loss says. (Where $\Sigma_x = \Sigma$ for all inputs, that term is 0, and a high
score is the luck of one draw.) When a score is averaged over many draws the first term goes to 0.""",
    proof=r"Add and subtract $\mathbb{E}_\xi[I_{ssl}(x)] = -2\varepsilon^2 \operatorname{tr}(W^\top W \Sigma_x)$.",
    rests="""The proof covers every distribution; SymPy and numbers confirm it for two inputs with two perturbations
each.""",
    formulas={
        "deviation": Formula(
            holds=lambda W, delta, own, second, eps: within(W, delta, own, eps) + between(W, own, second, eps),
            printed=lambda W, delta, own, second, eps: within(W, delta, own, eps),
        )
    },
    claims=_prop2_reading,
    counterexample=_prop2_reading_axes,
    sizes=((1, 2),),
)


def _across(s: World) -> tuple[Matrix, Matrix, Matrix]:
    """Return x ≠ 0, d − 1 orthonormal directions ⟂ x, and a second moment of other perturbations."""
    # symbolic axes can be laid along the basis
    basis = sympy.eye(s.d) if isinstance(s, Symbols) else s.orthogonal("q", s.d)
    return s.positive("length") * basis[:, :1], basis[:, 1:], second_moment(unit_columns(s, 2))


def _rank(M: Matrix) -> int:
    return int(torch.linalg.matrix_rank(M)) if isinstance(M, torch.Tensor) else M.applyfunc(sympy.cancel).rank()


def _assumption1(f: Formulas, s: World) -> Claims:
    x, D, second = _across(s)
    own = second_moment(D)
    yield equal("Σ_x x = 0", own @ x, 0 * x, scale=1)
    yield equal("largest rank of Σ_x", sympy.Integer(f.rank(s.d)), sympy.Integer(_rank(own)))
    gap = scalar(x.T @ (second - own) @ x) / norm2(x)
    yield equal("xᵀ(Σ − Σ_x)x / ‖x‖²", f.gap(x, second), gap)


def _assumption1_plane(f: Formulas) -> Claims:
    D = sympy.Matrix([[0, 0], [1, -1]])
    yield equal(
        r"$d = 2$, $x = (1, 0)$, $\delta = \pm(0, 1)$: rank of $\Sigma_x$",
        sympy.Integer(f.rank(2)),
        sympy.Integer(_rank(second_moment(D))),
    )


ASSUMPTION1 = Statement(
    id="assumption1",
    title="Assumption 1 beside Definition 3",
    place="appendix C.3",
    verdict="fails",
    line="δ ⟂ x makes every Σ_x singular, so (i) cannot hold; (ii) then needs Σ small along every input",
    says=r"""(i) $\Sigma_x = \mathbb{E}_\xi[\delta\delta^\top]$ is well-conditioned for each input, (ii) $\Sigma_x$
concentrates around $\Sigma = \mathbb{E}_x[\Sigma_x]$ for typical inputs, (iii) perturbations preserve semantic
content. The question is whether this can be had together with Definition 3.""",
    meant=r"""Section 4.4 restates the setting without $\delta \perp x$. Without it (i) and (ii) can be met, for
example by isotropic noise, $\Sigma_x = I/d$. (iii) is a wish about images; no formula of the paper uses it.""",
    found=r"""With Definition 3's $\delta \perp x$, $\Sigma_x x = \mathbb{E}[\delta\, (\delta^\top x)] = 0$:
$\Sigma_x$ has rank at most $d - 1$ and an infinite condition number for every $x \ne 0$. And (ii) is bounded from
below,

$$\lVert \Sigma_x - \Sigma \rVert_{op} \;\ge\; \frac{x^\top \Sigma x}{\lVert x \rVert^2} ,$$

so it asks that $\Sigma$ be small along every typical input; if the inputs point everywhere and $\Sigma = I/d$, the
left side is at least $\lVert \Sigma \rVert_{op}$: in this norm the deviation is as large as $\Sigma$ itself (in the
Frobenius norm it can be $1/\sqrt{d - 1}$ of it). Mended: drop $\delta \perp x$, which no result needs, or ask (i)
on the complement of $x$ and (ii) for the projected $\Sigma$.""",
    proof=r"""$x^\top (\Sigma - \Sigma_x) x = x^\top \Sigma x$ since $\Sigma_x x = 0$; and
$\lVert A \rVert_{op} \ge x^\top A x / \lVert x \rVert^2$.""",
    rests="The proof covers all d; SymPy confirms rank and gap for d = 2 and 3, numbers in more dimensions.",
    formulas={
        "rank": Formula(holds=lambda d: d - 1, printed=lambda d: d),
        "gap": Formula(lambda x, second: scalar(x.T @ second @ x) / norm2(x)),
    },
    claims=_assumption1,
    counterexample=_assumption1_plane,
    sizes=((1, 2), (1, 3)),
)

STATEMENTS = (DEF1, PROP2_1, PROP2_2, PROP2_READING, ASSUMPTION1)
