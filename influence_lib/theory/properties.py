"""Proposition 1, parts 1 to 3, with its claims: decomposition, invariance, scaling, conservation."""

import sympy
import torch

from influence_lib.theory.algebra import (
    Matrix,
    Scalar,
    gradient,
    hessian,
    jacobian,
    norm2,
    rows,
    scalar,
    trace,
    undamped,
)
from influence_lib.theory.setting import EPS, dataset_influence, free_encoder, own_influence
from influence_lib.theory.statement import Claims, Formula, Formulas, Statement, equal
from influence_lib.theory.theorem1 import unit_columns
from influence_lib.theory.worlds import Symbols, World

__all__ = ["STATEMENTS", "limit"]


def limit(W: Matrix, delta: Matrix, eps: Scalar) -> Scalar:
    """Return I_ssl = −2ε²‖Wδ‖², the influence of Theorem 1 for λ → 0, to which the properties refer."""
    return -2 * eps**2 * norm2(W @ delta)


def _prop1_1(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    yield equal("trace form", f.decomposed(W, delta, eps), own_influence(W, delta, eps))


def _prop1_1_all_sizes(f: Formulas) -> Claims:
    k, d = sympy.symbols("k d", integer=True, positive=True)
    W, delta = sympy.MatrixSymbol("W", k, d), sympy.MatrixSymbol("delta", d, 1)
    scalar_form = -2 * EPS**2 * sympy.Trace(delta.T * W.T * W * delta)
    # both vanish at W = 0, and SymPy has no rule to compare the traces themselves
    yield equal("same gradient in W for symbolic k and d", f.decomposed(W, delta, EPS).diff(W), scalar_form.diff(W))


PROP1_1 = Statement(
    id="prop1_1",
    title="Proposition 1, part 1, and Claim 1, decomposition",
    place="section 3.2 and appendix C.2",
    verdict="holds",
    line="a rewriting of ‖Wδ‖² as a trace",
    says=r"""$I_{ssl}(x) = -2\varepsilon^2 \operatorname{tr}(W \delta \delta^\top W^\top)$, a scale factor times a
sensitivity.""",
    found=r"""Right as printed, for Theorem 1's $I_{ssl}$ ($\lambda \to 0$, own Hessian). The split into a factor of
$\varepsilon$ and one of $W$ stays for $\lambda > 0$, with $4\varepsilon^4 / (\lambda + 2\varepsilon^2)$ in the
place of $2\varepsilon^2$. Under the Hessian of the data set a third factor, the leverage, comes in, which depends
on $\varepsilon$, $\lambda$ and all other examples.""",
    proof=r"$\lVert W\delta \rVert^2 = \operatorname{tr}((W\delta)(W\delta)^\top)$.",
    rests="SymPy covers all k and d for the trace identity; the influence itself is differentiated at the sizes below.",
    formulas={"decomposed": Formula(lambda W, delta, eps: -2 * eps**2 * trace(W @ delta @ delta.T @ W.T))},
    claims=_prop1_1,
    symbolic=_prop1_1_all_sizes,
)


def _prop1_2(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    Q, damping = s.orthogonal("q", s.k), s.positive("lambda")
    yield equal("formula at QW, influence at W", f.influence(Q @ W, delta, eps), own_influence(W, delta, eps))
    yield equal("also for λ > 0", own_influence(Q @ W, delta, eps, damping), own_influence(W, delta, eps, damping))


def _prop1_2_dataset(f: Formulas, s: World) -> Claims:
    W, _, eps = free_encoder(s)
    Q, D, damping = s.orthogonal("q", s.k), unit_columns(s, s.d + 2), s.positive("lambda")
    one, other = (dataset_influence(V, D[:, :1], D, eps, damping) for V in (Q @ W, W))
    yield equal("also with the Hessian of the data set", one, other)


def _prop1_2_all_sizes(f: Formulas) -> Claims:
    k, d = sympy.symbols("k d", integer=True, positive=True)
    W, Q = sympy.MatrixSymbol("W", k, d), sympy.MatrixSymbol("Q", k, k)
    with sympy.assuming(sympy.Q.orthogonal(Q)):
        yield equal(r"$(QW)^\top QW = W^\top W$ for symbolic k and d", sympy.refine((Q * W).T * (Q * W)), W.T * W)


PROP1_2 = Statement(
    id="prop1_2",
    title="Proposition 1, part 2, and Claim 2, orthogonal invariance",
    place="section 3.2 and appendix C.2",
    verdict="holds",
    line="right, also for λ > 0 and under the data set's Hessian",
    says=r"For every orthogonal $Q \in \mathbb{R}^{k \times k}$: $I_{ssl}(x; QW) = I_{ssl}(x; W)$.",
    found="""Right as printed, and it survives damping and the Hessian of the data set. What it does *not* give is
{prf:ref}`cor1`.""",
    proof=r"""$(QW)^\top (QW) = W^\top W$. With $P = Q \otimes I_d$, gradients map to $Pg$ and Hessians to
$PHP^\top$, so $g^\top (H + \lambda I)^{-1} g$ stays.""",
    rests="SymPy covers all k and d for QᵀQ = I; the influences are differentiated at the sizes below.",
    formulas={"influence": Formula(limit)},
    claims=_prop1_2,
    symbolic=_prop1_2_all_sizes,
    numeric=_prop1_2_dataset,
)


def _prop1_3(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    alpha, damping = s.positive("alpha"), s.positive("lambda")
    yield equal("αW, λ → 0", own_influence(alpha * W, delta, eps), f.in_alpha(alpha, own_influence(W, delta, eps)))
    damped = f.in_alpha(alpha, own_influence(W, delta, eps, damping))
    yield equal("αW, λ > 0", own_influence(alpha * W, delta, eps, damping), damped)
    yield equal("ε, λ → 0", own_influence(W, delta, eps), f.in_eps(eps, own_influence(W, delta, 1)))
    yield equal(
        "ε, with λ/ε² for λ",
        own_influence(W, delta, eps, damping),
        f.in_eps(eps, own_influence(W, delta, 1, damping / eps**2)),
    )


def _prop1_3_damped(f: Formulas) -> Claims:
    W, delta, half = sympy.Matrix([1]), sympy.Matrix([1]), sympy.Rational(1, 2)
    yield equal(
        r"$k = d = 1$, $W = \delta = 1$, $\lambda = 2$: influence at $\varepsilon = \frac{1}{2}$ from that at 1",
        f.in_eps(half, own_influence(W, delta, 1, 2)),
        own_influence(W, delta, half, 2),
    )


PROP1_3 = Statement(
    id="prop1_3",
    title="Proposition 1, part 3, and Claim 3, scaling",
    place="section 3.2 and appendix C.2",
    verdict="holds_with_assumptions",
    line="α² always; ε² only without damping: at a fixed λ > 0 small perturbations scale as ε⁴",
    says=r"""$I_{ssl}(x; \alpha W) = \alpha^2 I_{ssl}(x; W)$ and
$I_{ssl}(x; \varepsilon) = \varepsilon^2 I_{ssl}(x; 1)$.""",
    meant=r"""Claim 3 is about $I_{ssl}$ without $\lambda$, the limit, and read so there is nothing to add.
Proposition 1 speaks of the influence function at large, which Theorem 1 gives for every $\lambda \ge 0$, and every
computation is damped.""",
    found=r"""**Assumption for $\varepsilon$: $\lambda \to 0$.** The law in $\alpha$ holds for every $\lambda$. In
$\varepsilon$, with damping,

$$I^\lambda(x; \varepsilon) = \varepsilon^2\, I^{\lambda / \varepsilon^2}(x; 1) ,$$

which for a fixed $\lambda$ goes as $-4\varepsilon^4 \lVert W\delta \rVert^2 / \lambda$ when $\varepsilon \to 0$.
Every computation in practice is damped, so perturbations of different strength are not compared on a common scale.
For the cosine loss of Eq. 6 the law in $\alpha$ is the opposite one: damped influence falls as $\alpha^{-2}$ for
large weights ({prf:ref}`ext_cosine`).""",
    proof=r"""Insert $\alpha W$ and $\varepsilon$ in
$-4\varepsilon^4 \lVert W\delta \rVert^2 / (\lambda + 2\varepsilon^2)$, and divide numerator and denominator by
$\varepsilon^2$.""",
    rests="The proof covers all k and d; SymPy and autograd confirm it at the sizes below.",
    formulas={
        "in_alpha": Formula(lambda alpha, value: alpha**2 * value),
        "in_eps": Formula(lambda eps, value: eps**2 * value),
    },
    claims=_prop1_3,
    counterexample=_prop1_3_damped,
)


def _product(theta: Matrix, r: int, k: int, d: int) -> Matrix:
    """Return W = BA from the column θ, which stacks B (k×r) and A (r×d)."""
    if isinstance(theta, torch.Tensor):
        return theta[: k * r].reshape(k, r) @ theta[k * r :].reshape(r, d)
    return sympy.Matrix(k, r, list(theta[: k * r])) @ sympy.Matrix(r, d, list(theta[k * r :]))


def _cor1(f: Formulas, s: World) -> Claims:
    """One representation Wδ, with the parameters of W = BA in place of W's entries."""
    delta, eps = s.unit("t", s.d), s.positive("eps")
    r = 1 if isinstance(s, Symbols) else 2
    theta = s.matrix("p", r * (s.k + s.d), 1)

    def residual(t: Matrix) -> Matrix:
        return eps * _product(t, r, s.k, s.d) @ delta

    def loss(t: Matrix) -> Scalar:
        return norm2(residual(t))

    g, H = gradient(loss, theta), hessian(loss, theta)
    yield equal(r"$H\theta = 3g$", H @ theta, 3 * g)  # so that gᵀH⁺g = gᵀθ/3
    yield equal("W = BA, own Hessian", f.factored(_product(theta, r, s.k, s.d), delta, eps), -scalar(g.T @ theta) / 3)
    J = jacobian(residual, theta)
    yield equal(r"$J\theta = 2r$", J @ theta, 2 * rows(residual(theta)))  # so that 2JᵀJθ/2 = g
    yield equal(
        "W = BA, Gauss–Newton", f.gauss_newton(_product(theta, r, s.k, s.d), delta, eps), -scalar(g.T @ theta) / 2
    )


def _cor1_numbers(f: Formulas, s: World) -> Claims:
    delta, eps, theta = s.unit("t", s.d), s.positive("eps"), s.matrix("p", 2 * (s.k + s.d), 1)

    def residual(t: Matrix) -> Matrix:
        return eps * _product(t, 2, s.k, s.d) @ delta

    g, J = gradient(lambda t: norm2(residual(t)), theta), jacobian(residual, theta)
    W = _product(theta, 2, s.k, s.d)
    yield equal(
        "W = BA, own Hessian, pseudo-inverse",
        f.factored(W, delta, eps),
        undamped(g, hessian(lambda t: norm2(residual(t)), theta)),
    )
    yield equal("W = BA, Gauss–Newton, pseudo-inverse", f.gauss_newton(W, delta, eps), undamped(g, 2 * J.T @ J))


def _cor1_square(f: Formulas) -> Claims:
    delta, u = sympy.Matrix([1]), sympy.Matrix([1])

    def loss(p: Matrix) -> Scalar:
        return (EPS * p[0] ** 2) ** 2

    yield equal(
        r"$k = d = 1$, $w = u^2$ at $u = 1$: influence in $u$",
        f.factored(u, delta, EPS),
        undamped(gradient(loss, u), hessian(loss, u)),
    )


COR1 = Statement(
    id="cor1",
    title="Corollary 1, independence of the parameterisation",
    place="appendix C.2",
    verdict="fails",
    line="rotations yes, parameterisations no: w = u² gives −4/3 of the loss where w gives −2",
    says="""The influence depends only on the geometry of the representation space, not on the parameterisation; in
particular it is invariant to rotations of that space.""",
    meant="The second half, which is {prf:ref}`prop1_2`.",
    found=r"""Rotations are one family of changes, and the corollary claims all. Write the same encoder as $W = BA$
with the entries of $B$ and $A$ as parameters: every representation is the same, and the influence on the own
Hessian ($\lambda \to 0$) is

$$-\tfrac43\, \varepsilon^2 \lVert W\delta \rVert^2 \quad\text{in place of}\quad -2\,\varepsilon^2 \lVert W\delta
\rVert^2 .$$

The smallest example is $w = u^2$ at $u = 1$. The repair is the Gauss–Newton matrix in the place of the Hessian:
then the undamped influence is $-2 L$ in every smooth parameterisation whose Jacobian has the residual in its range
({prf:ref}`ext_gauss_newton`). Damping with $\lambda I$ depends on the parameters again.""",
    proof=r"""In $\theta = (B, A)$ the loss is homogeneous of degree 4, so $\theta^\top g = 4L$, $H\theta = 3g$ and
$g^\top H^{+} g = \tfrac43 L$. With the residual $r = \varepsilon W\delta$ of degree 2: $J\theta = 2r$,
$g = 2J^\top r = J^\top J \theta$, and
$g^\top (2J^\top J)^{+} g = \tfrac12 \lVert J\theta \rVert^2 = 2 \lVert r \rVert^2$.""",
    rests="""The proof covers all sizes; SymPy confirms the two Euler identities at the sizes below, numbers the
pseudo-inverses.""",
    formulas={
        "factored": Formula(
            holds=lambda W, delta, eps: -4 * eps**2 * norm2(W @ delta) / 3,
            printed=limit,
        ),
        "gauss_newton": Formula(limit),
    },
    claims=_cor1,
    numeric=_cor1_numbers,
    counterexample=_cor1_square,
    sizes=((1, 1), (2, 2)),
)


def _claim5(f: Formulas, s: World) -> Claims:
    W, basis, eps = s.matrix("W", s.k, s.d), s.orthogonal("q", s.d), s.positive("eps")
    total = sum(own_influence(W, basis[:, i : i + 1], eps) for i in range(s.d))
    yield equal("sum over an orthonormal basis", f.total(W, eps), total)
    x = s.positive("length") * basis[:, :1]
    admissible = sum(own_influence(W, basis[:, i : i + 1], eps) for i in range(1, s.d))
    yield equal("sum over the directions ⟂ x", f.admissible(W, x, eps), admissible)


def _claim5_perpendicular(f: Formulas) -> Claims:
    W, delta = sympy.Matrix([[1, 1]]), sympy.Matrix([0, 1])
    yield equal(
        r"$d = 2$, $x = (1, 0)$, $W = (1, 1)$: sum over all $\delta_i \perp x$",
        f.total(W, EPS),
        own_influence(W, delta, EPS),
    )


CLAIM5 = Statement(
    id="claim5",
    title="Claim 5, conservation",
    place="appendix C.2",
    verdict="holds_with_assumptions",
    line="right once δ ⟂ x is given up: no basis of the space is orthogonal to an x ≠ 0",
    says=r"""For every orthonormal set $\delta_1, \dots, \delta_d$:
$\sum_{i=1}^d I_{ssl}(x; \delta_i) = -2\varepsilon^2 \lVert W \rVert_F^2$, which orthogonal transformations of $W$
leave as it is.""",
    meant="The Parseval identity, for perturbations in all directions.",
    found=r"""**Assumption: the perturbations need not be orthogonal to $x$.** Definition 3 asks $\delta \perp x$,
and $d$ orthonormal directions span the space, so one of them is not. Over the $d - 1$ admissible ones

$$\sum_{i=1}^{d-1} I_{ssl}(x; \delta_i) = -2\varepsilon^2 \Bigl( \lVert W \rVert_F^2 - \frac{\lVert Wx
\rVert^2}{\lVert x \rVert^2} \Bigr),$$

which depends on $x$: in general it is not conserved from one example to another.""",
    proof=r"""$\sum_i \lVert W\delta_i \rVert^2 = \operatorname{tr}(W \sum_i \delta_i\delta_i^\top W^\top)$, and the
sum of the projections is $I$, or $I - xx^\top / \lVert x \rVert^2$.""",
    rests="""The proof covers all k and d; SymPy confirms it with a symbolic rotation, numbers with random
orthogonal bases.""",
    formulas={
        "total": Formula(lambda W, eps: -2 * eps**2 * norm2(W)),
        "admissible": Formula(lambda W, x, eps: -2 * eps**2 * (norm2(W) - norm2(W @ x) / norm2(x))),
    },
    claims=_claim5,
    counterexample=_claim5_perpendicular,
)

STATEMENTS = (PROP1_1, PROP1_2, PROP1_3, COR1, CLAIM5)
