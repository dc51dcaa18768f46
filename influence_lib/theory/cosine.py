"""Beyond the paper: Eq. 6 itself, with the cosine loss, under its own Hessian and under Gauss–Newton."""

import sympy
import torch

from influence_lib.theory.algebra import (
    Matrix,
    Scalar,
    coefficient,
    gradient,
    hessian,
    identity,
    influence,
    inverse,
    jacobian,
    norm2,
    rows,
    scalar,
    sqrt,
    undamped,
)
from influence_lib.theory.alignment import off_axis
from influence_lib.theory.setting import cosine_loss
from influence_lib.theory.statement import OURS, Claims, Formula, Formulas, Statement, at_most, equal
from influence_lib.theory.theorem1 import theorem1
from influence_lib.theory.worlds import Symbols, World

__all__ = ["STATEMENTS"]

SMALL = 1e-4  # an ε at which the leading order is right to about one part in a thousand


def _views(s: World) -> tuple[Matrix, Matrix, Matrix, Scalar]:
    """Return W with k ≥ 2 rows, x, δ and ε; symbolic axes are laid along x and δ, for W is arbitrary."""
    k = max(s.k, 2)  # between numbers (k = 1) the cosine loss is constant
    if isinstance(s, Symbols):
        x, delta = s.positive("x") * sympy.Matrix([1, 0]), sympy.Matrix([0, 1])
    else:
        x, delta = s.matrix("x", s.d, 1), s.unit("t", s.d)
    return s.matrix("W", k, s.d), x, delta, s.positive("eps")


def _split(W: Matrix, x: Matrix, delta: Matrix) -> tuple[Matrix, Matrix, Scalar]:
    """Return a = Wx, the part p of Wδ across a, and c, so that Wδ = ca + p."""
    a, u = W @ x, W @ delta
    return a, off_axis(a, u), scalar(a.T @ u) / norm2(a)


def exact_loss(W: Matrix, x: Matrix, delta: Matrix, eps: Scalar) -> Scalar:
    """Return 1 − (1 + εc) / √((1 + εc)² + ε²‖p‖²/‖a‖²)."""
    a, p, c = _split(W, x, delta)
    along = 1 + eps * c
    return 1 - along / sqrt(along**2 + eps**2 * norm2(p) / norm2(a))


def exact_gradient(W: Matrix, x: Matrix, delta: Matrix, eps: Scalar) -> Matrix:
    """Return −[(b̂ − κâ)xᵀ/‖a‖ + (â − κb̂)(x + εδ)ᵀ/‖b‖] with κ = âᵀb̂."""
    view = x + eps * delta
    a, b = W @ x, W @ view
    lengths = sqrt(norm2(a)), sqrt(norm2(b))
    a, b = a / lengths[0], b / lengths[1]
    cosine = scalar(a.T @ b)
    return -1 * ((b - cosine * a) @ x.T / lengths[0] + (a - cosine * b) @ view.T / lengths[1])


def leading_gradient(W: Matrix, x: Matrix, delta: Matrix) -> Matrix:
    """Return the coefficient of ε² in the gradient, (p(δ − cx)ᵀ − (‖p‖²/‖a‖²)axᵀ)/‖a‖²."""
    a, p, c = _split(W, x, delta)
    return (p @ (delta - c * x).T - norm2(p) / norm2(a) * a @ x.T) / norm2(a)


def _own(W: Matrix, x: Matrix, delta: Matrix, eps: Scalar) -> tuple[Matrix, Matrix]:
    """Return gradient and Hessian of one example's cosine loss."""

    def loss(V: Matrix) -> Scalar:
        return cosine_loss(V, x, delta, eps)

    return gradient(loss, W), hessian(loss, W)


def _ext_cosine(f: Formulas, s: World) -> Claims:
    W, x, delta, eps = _views(s)
    loss = cosine_loss(W, x, delta, eps)
    if isinstance(s, Symbols):
        yield equal("exact loss (squared cosines)", (1 - f.loss(W, x, delta, eps)) ** 2, (1 - loss) ** 2)
    else:
        yield equal("exact loss", f.loss(W, x, delta, eps), loss, scale=1)
    yield equal("exact gradient", f.gradient(W, x, delta, eps), gradient(lambda V: cosine_loss(V, x, delta, eps), W))
    second = gradient(lambda V: coefficient(lambda e: cosine_loss(V, x, delta, e), 2, V), W)
    yield equal("coefficient of ε² in the gradient", f.leading(W, x, delta), second)


def _orthogonal_views(f: Formulas) -> Claims:
    """W = I and the views e₁, e₂: everything can be done by hand."""
    W, x, delta = sympy.eye(2), sympy.Matrix([1, 0]), sympy.Matrix([-1, 1])
    g, H = _own(W, x, delta, 1)
    damping, alpha = sympy.symbols("lambda alpha", positive=True)
    yield equal("Hθ = −g", H @ rows(W), -rows(g))
    yield equal("undamped influence", undamped(g, H), sympy.Integer(0))
    yield equal("influence 2λ/(1 − λ²), positive for λ < 1", influence(g, H, damping), 2 * damping / (1 - damping**2))
    g2, H2 = _own(alpha * W, x, delta, 1)
    yield equal("αW is α²λ", influence(g2, H2, damping), influence(g, H, f.damping(alpha, damping)))
    U = sympy.Matrix(2, 2, sympy.symbols("W:4", real=True))
    slope = gradient(lambda V: coefficient(lambda e: cosine_loss(V, x, delta, e), 2, V), U)
    eps = sympy.Symbol("epsilon", positive=True)
    yield equal("influence to the order ε⁴", f.influence(U, x, delta, eps, damping), -(eps**4) * norm2(slope) / damping)


def _ext_cosine_numbers(f: Formulas, s: World) -> Claims:
    W, x, delta, eps = _views(s)
    g, H = _own(W, x, delta, eps)
    alpha, damping = s.positive("alpha"), s.positive("lambda")
    size = float(norm2(g) / H.abs().max())
    yield equal("Hθ = −g", H @ rows(W), -rows(g))
    yield equal("undamped influence is 0", undamped(g, H), torch.zeros(()).double(), scale=size, tolerance=1e-5)
    yield at_most("H has a negative eigenvalue", torch.linalg.eigvalsh(H)[0], -1e-6 * H.abs().max())
    yield equal(
        "αW is α²λ",
        influence(*_own(alpha * W, x, delta, eps), damping),
        influence(g, H, f.damping(alpha, damping)),
        tolerance=1e-6,
    )
    small = torch.tensor(SMALL).double()
    value = influence(*_own(W, x, delta, small), damping)
    yield equal("influence to the order ε⁴", f.influence(W, x, delta, small, damping), value, tolerance=0.05)


EXT_COSINE = Statement(
    id="ext_cosine",
    title="The cosine loss of Eq. 6 for a linear encoder, under its own Hessian",
    place=OURS,
    verdict="holds",
    line="undamped it is exactly 0; at a fixed λ it is of order ε⁴, can be positive, and αW acts as α²λ",
    says=r"""Let $k \ge 2$, $f(x) = Wx$, $L = 1 - \cos(Wx, W(x + \varepsilon\delta))$ with gradient $g$ and Hessian
$H$ in $W$. Write $a = Wx \ne 0$ and $W\delta = c\,a + p$ with $p \perp a$, and hats for unit vectors.

1. *Loss.*
   $\displaystyle L = 1 - \frac{1 + \varepsilon c}{\sqrt{(1 + \varepsilon c)^2 + \varepsilon^2 \lVert p \rVert^2 /
   \lVert a \rVert^2}} = \frac{\varepsilon^2}{2} \frac{\lVert p \rVert^2}{\lVert a \rVert^2} + O(\varepsilon^3)$.
2. *Gradient.* With $b = W(x + \varepsilon\delta)$ and $\kappa = \hat a^\top \hat b$,
   $\displaystyle g = -\frac{(\hat b - \kappa \hat a)\, x^\top}{\lVert a \rVert} - \frac{(\hat a - \kappa \hat b)(x +
   \varepsilon\delta)^\top}{\lVert b \rVert} = \varepsilon^2 g_2 + O(\varepsilon^3)$,
   where
   $\displaystyle g_2 = \frac{1}{\lVert a \rVert^2} \Bigl( p\, (\delta - c x)^\top - \frac{\lVert p \rVert^2}{\lVert a
   \rVert^2}\, a\, x^\top \Bigr)$.
3. *Undamped.* $-g^\top H^{+} g = 0$, for every $\varepsilon$.
4. *Order.* For fixed $\lambda > 0$ and $\varepsilon \to 0$:
   $\displaystyle I^\lambda = -\frac{\varepsilon^4}{\lambda} \lVert g_2 \rVert^2 + O(\varepsilon^5)$.
5. *Scaling.* $I^\lambda(\alpha W) = I^{\alpha^2 \lambda}(W)$ for $\alpha > 0$.
6. *Sign.* $H$ is indefinite wherever $g \ne 0$, and there are $\lambda > 0$ with $I^\lambda > 0$; all of them lie
   below the size of the most negative eigenvalue, which is $O(\varepsilon^2)$.""",
    found=r"""Theorem 1 predicts $-2L$, of order $\varepsilon^2$, growing as $\alpha^2$. Theorem 1's shortcut, one
example's own Hessian, applied to the loss of Eq. 6 gives 0 without damping; with damping, order $\varepsilon^4$,
falling as $\alpha^{-2}$ for large weights. The two branches of the gradient nearly cancel, which is where the
second power of $\varepsilon$ goes: each branch alone is of order $\varepsilon$. Scores in the weights of two last
layers that differ in scale are not comparable at the same $\lambda$, unless $\lambda$ follows the curvature's own
scale, as 0.1 times the mean eigenvalue of a Gauss–Newton matrix does. The smallest example: $W = I$ and orthogonal
views $(1, 0)$, $(0, 1)$ have $I^\lambda = 2\lambda / (1 - \lambda^2)$, which is *positive* for $0 < \lambda < 1$.""",
    proof=r"""(1) {prf:ref}`prop3`. (2) $\partial L / \partial a = -(\hat b - \kappa\hat a) / \lVert a \rVert$, the
same for $b$, and the chain rule; $g_2$ is the gradient of $\lVert p \rVert^2 / (2 \lVert a \rVert^2)$, whose parts
in $W\delta$ and $Wx$ are $p / \lVert a \rVert^2$ and
$-(c p + \lVert p \rVert^2 a / \lVert a \rVert^2) / \lVert a \rVert^2$. (3) $L$ is homogeneous of degree 0 in $W$:
{prf:ref}`ext_homogeneous`. (4) $g = \varepsilon^2 g_2 + O(\varepsilon^3)$ and $H = O(\varepsilon^2)$, so
$(H + \lambda I)^{-1} = I / \lambda + O(\varepsilon^2)$. (5) $g(\alpha W) = g(W) / \alpha$ and
$H(\alpha W) = H(W) / \alpha^2$. (6) is the proof of
{prf:ref}`eq6_sign`; for a larger $\lambda$ the matrix $H + \lambda I$ is positive definite.""",
    rests="""The proof covers all k ≥ 2 and d. SymPy confirms 1 (through squared cosines), 2 and the ε² coefficient
for k = d = 2 with symbolic W, and 3 to 6 at the example; numbers confirm 1 to 5 and the negative eigenvalue of 6 at
larger sizes.""",
    formulas={
        "loss": Formula(exact_loss),
        "gradient": Formula(exact_gradient),
        "leading": Formula(leading_gradient),
        "influence": Formula(
            lambda W, x, delta, eps, damping: -(eps**4) * norm2(leading_gradient(W, x, delta)) / damping
        ),
        "damping": Formula(lambda alpha, damping: alpha**2 * damping),
    },
    claims=_ext_cosine,
    symbolic=_orthogonal_views,
    numeric=_ext_cosine_numbers,
    sizes=((2, 2),),
)


def _projector(a: Matrix) -> Matrix:
    """Return I − ââᵀ."""
    return identity(a.shape[0], a) - a @ a.T / norm2(a)


def kernel(W: Matrix, x: Matrix, delta: Matrix, eps: Scalar) -> Matrix:
    """Return K = JJᵀ (k×k) for the residual r = â − b̂."""
    view = x + eps * delta
    a, b = W @ x, W @ view
    P, Q = _projector(a), _projector(b)
    crossed = scalar(x.T @ view) / (sqrt(norm2(a)) * sqrt(norm2(b)))
    return norm2(x) / norm2(a) * P + norm2(view) / norm2(b) * Q - crossed * (P @ Q + Q @ P)


def _residual(W: Matrix, x: Matrix, delta: Matrix, eps: Scalar) -> Matrix:
    """Return r = â − b̂, for which the cosine loss is ½‖r‖²."""
    a, b = W @ x, W @ (x + eps * delta)
    return a / sqrt(norm2(a)) - b / sqrt(norm2(b))


def _ext_gauss_newton(f: Formulas, s: World) -> Claims:
    J, r, damping = s.matrix("J", 2, 3), s.matrix("r", 2, 1), s.positive("lambda")
    yield equal("any J, λ > 0", f.damped(r, J @ J.T, damping), influence(J.T @ r, J.T @ J, damping))
    yield equal("any J of full row rank, λ → 0", f.undamped(norm2(r) / 2), undamped(J.T @ r, J.T @ J))
    W, delta, eps = s.matrix("W", s.k, s.d), s.unit("t", s.d), s.positive("eps")

    def stretched(V: Matrix) -> Matrix:
        return (sympy.sqrt(2) if isinstance(s, Symbols) else 2**0.5) * eps * V @ delta

    J = jacobian(stretched, W)  # L_ssl = ½‖r‖² with this residual
    repaired = f.damped(stretched(W), J @ J.T, damping)
    yield equal("Euclidean loss: Theorem 1", repaired, theorem1(W, delta, eps, damping))
    if isinstance(s, Symbols):
        W, x, delta, eps = sympy.Matrix([[1, 1], [0, 2]]), sympy.Matrix([1, 0]), sympy.Matrix([0, 1]), s.positive("eps")
    else:
        W, x, delta, eps = _views(s)
    J = jacobian(lambda V: _residual(V, x, delta, eps), W)
    yield equal("cosine loss: K = JJᵀ", f.kernel(W, x, delta, eps), J @ J.T)


def _ext_gauss_newton_numbers(f: Formulas, s: World) -> Claims:
    W, x, delta, eps = _views(s)
    damping, alpha = s.positive("lambda"), s.positive("alpha")
    r, J = _residual(W, x, delta, eps), jacobian(lambda V: _residual(V, x, delta, eps), W)
    loss, (g, _) = cosine_loss(W, x, delta, eps), _own(W, x, delta, eps)
    yield equal("g = Jᵀr", rows(g), J.T @ r)
    yield equal("cosine loss, λ → 0", f.undamped(loss), undamped(g, J.T @ J))
    K = f.kernel(W, x, delta, eps)
    damped = f.damped(r, K, damping)
    yield equal("cosine loss, λ > 0", damped, influence(g, J.T @ J, damping))
    zero = torch.zeros(()).double()
    yield at_most("never positive", damped, zero)
    yield at_most("falls in magnitude with λ", f.damped(r, K, damping / 2), damped)
    T = s.matrix("T", J.shape[1], J.shape[1])
    yield equal("other parameters", f.undamped(loss), undamped(T.T @ rows(g), T.T @ J.T @ J @ T), tolerance=1e-5)
    flat = torch.cat([J, J[:1]])  # a residual with one component more, which the parameters cannot move by itself
    longer = torch.cat([r, s.matrix("r", 1, 1)])
    within = flat @ torch.linalg.pinv(flat) @ longer
    yield equal("r outside the range", f.undamped(norm2(within) / 2), undamped(flat.T @ longer, flat.T @ flat))
    yield at_most("never beyond −2L", f.undamped(loss), damped)
    yield equal(
        "αW is α²λ", f.damped(r, f.kernel(alpha * W, x, delta, eps), damping), f.damped(r, K, alpha**2 * damping)
    )


EXT_GAUSS_NEWTON = Statement(
    id="ext_gauss_newton",
    title="Theorem 1 repaired: the Gauss–Newton matrix",
    place=OURS,
    verdict="holds",
    line="with Gauss–Newton the undamped own influence is −2L for the cosine loss too, where r is in the range of J",
    says=r"""Let $L = \frac12 \lVert r(\theta) \rVert^2$ with $J = \partial r / \partial\theta$, $g = J^\top r$, and
put the Gauss–Newton matrix $J^\top J$ in the place of $H$.

1. With $K = JJ^\top$:
   $\displaystyle I^\lambda = -g^\top (J^\top J + \lambda I)^{-1} g = -r^\top K (K + \lambda I)^{-1} r$. It is never
   positive, falls in magnitude with $\lambda$, and never exceeds $2L$.
2. If $r \in \operatorname{range} J$, then $I^\lambda \to -2L$ for $\lambda \to 0$; in general it tends to
   $-\lVert \Pi r \rVert^2$ with the projection $\Pi$ onto that range. Both are the same in every smooth
   parameterisation that keeps the range.
3. *Euclidean loss*, $r = \sqrt2\, \varepsilon W\delta$: $K = 2\varepsilon^2 I_k$, and (1) is Theorem 1.
4. *Cosine loss*, linear encoder, $k \ge 2$, $r = \hat a - \hat b$ with $a = Wx$, $b = Wx_{aug}$, $x$ and $x_{aug}$
   linearly independent, $\hat a \ne \pm \hat b$: $r \in \operatorname{range} J$, so
   $\displaystyle I = -2 L_{cos} = -\varepsilon^2 \frac{\lVert p \rVert^2}{\lVert a \rVert^2} + O(\varepsilon^3)$,
   and with $P = I - \hat a \hat a^\top$, $Q = I - \hat b \hat b^\top$

   $$K = \frac{\lVert x \rVert^2}{\lVert a \rVert^2} P + \frac{\lVert x_{aug} \rVert^2}{\lVert b \rVert^2} Q
   - \frac{x^\top x_{aug}}{\lVert a \rVert \lVert b \rVert} (PQ + QP) .$$
5. *Scaling.* In (4), $I^\lambda(\alpha W) = I^{\alpha^2\lambda}(W)$.""",
    found=r"""This is what Theorem 1 wants to say, and it holds for the loss that the paper uses: sign, order
$\varepsilon^2$, independence of the parameters ({prf:ref}`cor1`), the same $-2L$. A damped Gauss–Newton score of an
image on its own curvature adds to the raw loss a weight between 0 and 1 for each direction of the representation.
Further differences between score and loss come from curvature averaged over other images, as in
{prf:ref}`ext_dataset`. The residual matters: $J^\top J$ is built from $r = \hat a - \hat b$, for which the loss is
a sum of squares. The generalised Gauss–Newton matrix that keeps the Hessian of the cosine in the *outputs* is, for
a linear encoder, the exact and indefinite $H$ of {prf:ref}`ext_cosine`.""",
    proof=r"""(1) The push-through identity $J (J^\top J + \lambda I)^{-1} J^\top = K (K + \lambda I)^{-1}$, whose
eigenvalues $\kappa / (\kappa + \lambda)$ lie in $[0, 1)$ and fall with $\lambda$. (2) They tend to 1 on the range
of $J$ and are 0 across it. A change of parameters turns $J$ into $JT$, with the same range if $T$ is onto. (3)
$J = \sqrt2\,\varepsilon\, (I_k \otimes \delta^\top)$. (4) As $x$ and $x_{aug}$ are linearly independent, $Wx$ and
$Wx_{aug}$ can be moved independently, so the range of $J$ is the sum of the two tangent spaces
$\hat a^\perp + \hat b^\perp = \mathbb{R}^k$.
$J = P / \lVert a \rVert \otimes x^\top - Q / \lVert b \rVert \otimes x_{aug}^\top$ gives $K$. (5) $r$ stays, and
$K(\alpha W) = K(W) / \alpha^2$.""",
    rests="""The proof covers all sizes. SymPy confirms 1 and 2 for a symbolic 2×3 Jacobian, 3 with symbolic W, and
K for one W with symbolic ε; numbers confirm all five points with autograd, and 2 with a change of parameters and
with an r outside the range.""",
    formulas={
        "damped": Formula(lambda r, K, damping: -scalar(r.T @ K @ inverse(K + damping * identity(K.shape[0], K)) @ r)),
        "undamped": Formula(lambda loss: -2 * loss),
        "kernel": Formula(kernel),
    },
    claims=_ext_gauss_newton,
    numeric=_ext_gauss_newton_numbers,
    sizes=((2, 2),),
)

STATEMENTS = (EXT_COSINE, EXT_GAUSS_NEWTON)
