"""Equations 2 and 6: the response function, and the sign of the self-influence."""

from collections.abc import Callable

import sympy
import torch

from influence_lib.theory.algebra import Matrix, Scalar, gradient, hessian, identity, inverse, norm2, scalar
from influence_lib.theory.setting import cosine_loss
from influence_lib.theory.statement import Claims, Formula, Formulas, Statement, at_most, equal
from influence_lib.theory.worlds import World

__all__ = ["STATEMENTS"]

STEP = 1e-4  # of the central difference in the weight ε; its error is of the order STEP²


def _eq2(f: Formulas, s: World) -> Claims:
    """Quadratic losses, whose response function is explicit: J = ½(θ − μ)ᵀA(θ − μ), L_m = bᵀθ + ½θᵀBθ."""
    mu, b = s.matrix("m", 2, 1), s.matrix("b", 2, 1)
    A, B = _symmetric(s, "a"), _symmetric(s, "c")
    if isinstance(mu, torch.Tensor):

        def theta(weight: Scalar) -> Matrix:
            return inverse(A - weight * B) @ (A @ mu + weight * b)

        slope = torch.func.jacrev(theta)(torch.zeros((), dtype=torch.float64))
    else:
        weight = sympy.Symbol("weight")
        slope = (inverse(A - weight * B) @ (A @ mu + weight * b)).diff(weight).subs(weight, 0)
    yield equal(r"$d\theta^*/d\epsilon$", f.response(A, b + B @ mu), slope)


def _symmetric(s: World, name: str) -> Matrix:
    """Return a symmetric matrix, far enough from singular where it is of numbers."""
    half = s.matrix(name, 2, 2)
    return half + half.T + 9 * identity(2, half)


def _eq2_numbers(f: Formulas, s: World) -> Claims:
    """Losses that are not quadratic: logistic, with a ridge; Newton's method finds each minimiser."""
    inputs = s.matrix("z", 3 * s.d, s.d)

    def each(theta: Matrix) -> Matrix:
        return torch.nn.functional.softplus(inputs @ theta).squeeze(1) + norm2(theta) / 10

    def objective(weight: float) -> Callable[[Matrix], Scalar]:
        return lambda theta: each(theta).mean() - weight * each(theta)[0]

    theta = _newton(objective(0.0), torch.zeros(s.d, 1, dtype=torch.float64))
    slope = (_newton(objective(STEP), theta) - _newton(objective(-STEP), theta)) / (2 * STEP)
    H = hessian(objective(0.0), theta)
    g = gradient(lambda t: each(t)[0], theta)
    yield equal("the same with logistic losses, by retraining", f.response(H, g), slope, tolerance=1e-5)


def _newton(loss: Callable[[Matrix], Scalar], start: Matrix) -> Matrix:
    """Return the minimiser of a strictly convex function."""
    theta = start
    for _ in range(30):
        step = torch.linalg.solve(hessian(loss, theta), gradient(loss, theta))
        theta = theta - step
        if float(step.norm()) < 1e-13:
            return theta
    raise RuntimeError("Newton's method did not converge")


def _eq2_two_points(f: Formulas) -> Claims:
    theta, weight = sympy.symbols("theta epsilon")
    J = (theta**2 / 2 + (theta - 1) ** 2 / 2) / 2 - weight * (theta - 1) ** 2 / 2
    (minimiser,) = sympy.solve(J.diff(theta), theta)
    slope = sympy.Matrix([minimiser.diff(weight).subs(weight, 0)])
    H, g = sympy.Matrix([1]), sympy.Matrix([sympy.Rational(1, 2) - 1])
    yield equal(
        r"$L_1 = \frac{1}{2}\theta^2$, $L_2 = \frac{1}{2}(\theta - 1)^2$, $z_m = z_2$: $d\theta^*/d\epsilon$",
        f.response(H, g),
        slope,
    )


EQ2 = Statement(
    id="eq2",
    title="Equations 2 and 3, the response function",
    place="section 2.1",
    verdict="notation",
    line="a sign: for the objective J − εL(z_m) as printed, dθ*/dε is +H⁻¹∇L(z_m)",
    says=r"""Let $\theta^*(\epsilon)$ minimise $J(\theta) - \epsilon L(z_m, \theta)$, where $J$ is the mean loss.
Then $d\theta^*/d\epsilon \bigr|_{\epsilon = 0} = -H^{-1} \nabla_\theta L(z_m, \theta^*)$ with
$H = \nabla^2_\theta J(\theta^*)$.""",
    meant=r"""The usual influence function: the example is *up*weighted, $J + \epsilon L(z_m)$, as the sentence
about "adding $z_m$ with weight $\epsilon = 1/n$" and Eq. 3 have it {cite:p}`koh2017`.""",
    found=r"""With $J - \epsilon L(z_m)$ the derivative is $+H^{-1} \nabla L(z_m)$; with $J + \epsilon L(z_m)$ it is
as printed. Either mends the line. Needed as well: $\theta^*$ is a minimiser and $H$ is invertible there. Eq. 4
inherits the sign: *removing* an example changes its own loss at the rate $+g^\top H^{-1} g \ge 0$, that is, raises
it.""",
    proof=r"""$\nabla J(\theta^*(\epsilon)) - \epsilon \nabla L(z_m, \theta^*(\epsilon)) = 0$ for all small
$\epsilon$. Differentiate at 0: $H\, \dot\theta - \nabla L(z_m, \theta^*) = 0$. The implicit function theorem gives
the differentiable $\theta^*(\epsilon)$, as $H$ is invertible.""",
    rests="""The proof covers every smooth loss. SymPy confirms it for quadratic losses in two parameters, numbers
for logistic losses by actual retraining with Newton's method.""",
    formulas={
        "response": Formula(holds=lambda H, g: inverse(H) @ g, printed=lambda H, g: -1 * inverse(H) @ g),
    },
    claims=_eq2,
    numeric=_eq2_numbers,
    counterexample=_eq2_two_points,
    sizes=((1, 2),),
)


def _eq6_sign(f: Formulas, s: World) -> Claims:
    root, g = s.matrix("r", s.d, s.d), s.matrix("g", s.d, 1)
    # H = RRᵀ is positive definite wherever R is invertible, and every positive definite H is of this form
    yield equal(
        r"$-g^\top H^{-1} g = -\Vert R^{-1} g \Vert^2$ for $H = RR^\top$",
        f.influence(g, root @ root.T),
        -norm2(inverse(root) @ g),
    )


def _eq6_sign_numbers(f: Formulas, s: World) -> Claims:
    root, g = s.matrix("r", s.d, s.d), s.matrix("g", s.d, 1)
    yield at_most(r"$-g^\top H^{-1} g \le 0$", f.influence(g, root @ root.T), torch.zeros((), dtype=torch.float64))


def _orthogonal_views() -> tuple[sympy.Matrix, sympy.Matrix]:
    """Return gradient and Hessian of the cosine loss for W = I, x = e₁, x_aug = e₂."""
    W, x, delta = sympy.eye(2), sympy.Matrix([1, 0]), sympy.Matrix([-1, 1])

    def loss(V: sympy.Matrix) -> sympy.Expr:
        return cosine_loss(V, x, delta, 1)

    return gradient(loss, W), hessian(loss, W)


def _eq6_sign_indefinite(f: Formulas) -> Claims:
    yield at_most("$H = (-1)$, $g = (1)$: influence", f.influence(sympy.Matrix([1]), sympy.Matrix([-1])), 0)
    g, H = _orthogonal_views()
    damped = H + sympy.eye(4) / 2
    yield at_most(
        r"cosine loss, $W = I$, views $(1, 0)$ and $(0, 1)$, own Hessian, $\lambda = \frac{1}{2}$: influence",
        f.influence(g.reshape(4, 1), damped),
        0,
    )


EQ6_SIGN = Statement(
    id="eq6_sign",
    title="Equation 6, the sign",
    place="section 3, Eq. 6",
    verdict="holds_with_assumptions",
    line="never positive where H + λI is positive definite; the cosine loss's own H is not, nor with a small λ",
    says=r"""What the paper's use of "high influence" needs: the self-influence $-g^\top H^{-1} g$ is never
positive, so that it can be read by its magnitude.""",
    meant="""Curvature as it is computed in practice. EK-FAC and LoGra build a Gauss-Newton or Fisher matrix, which
is positive semidefinite, and damping makes it positive definite.""",
    found=r"""**Assumption: $H + \lambda I$ is positive definite.** That is so for a Gauss–Newton or Fisher matrix
with $\lambda > 0$, and for the Hessian at a nondegenerate minimiser. It is *not* so for the exact Hessian of the
cosine distance itself. This loss does not change when the weights $\theta$ of a last linear layer become
$\alpha\theta$, so that, with gradient and Hessian in these weights, $\theta^\top H \theta = 0$ although
$H\theta = -g \ne 0$: $H$ is indefinite wherever $g \ne 0$. On an example's own Hessian there is then always a
$\lambda > 0$ at which the influence is positive, and as large as one likes; a $\lambda$ above the size of the most
negative eigenvalue mends it. The mean over a data set of such losses is scale-invariant too, so its Hessian is
indefinite where the mean gradient is not 0, and singular along $\theta$ at a minimiser. In this book "high
influence" is always a large $g^\top (H + \lambda I)^{-1} g$ with a positive semidefinite $H$.""",
    proof=r"""If $H = RR^\top$ with $R$ invertible, then $-g^\top H^{-1} g = -\lVert R^{-1} g \rVert^2 \le 0$. Now
let $L(\alpha\theta) = L(\theta)$. Differentiating in $\alpha$ at 1, and that in $\theta$: $\theta^\top g = 0$ and
$H\theta = -g$. In the eigenbasis of $H$, with eigenvalues $h_i$: $\sum_i h_i \theta_i^2 = 0$ with some
$h_i \theta_i \ne 0$, so some $h_j < 0$ has $g_j = -h_j \theta_j \ne 0$. As $\lambda \uparrow -h_j$ the term
$-g_j^2 / (h_j + \lambda)$ goes to $+\infty$.""",
    rests="The proof covers all sizes; SymPy confirms the identity, numbers the sign, and the counterexample is exact.",
    formulas={"influence": Formula(lambda g, H: -scalar(g.T @ inverse(H) @ g))},
    claims=_eq6_sign,
    numeric=_eq6_sign_numbers,
    counterexample=_eq6_sign_indefinite,
    sizes=((1, 2), (1, 3)),
)

STATEMENTS = (EQ2, EQ6_SIGN)
