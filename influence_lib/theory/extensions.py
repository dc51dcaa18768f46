"""Beyond the paper: what the score measures under each Hessian, for the Euclidean loss."""

import sympy
import torch

from influence_lib.theory.algebra import (
    Matrix,
    Scalar,
    gradient,
    hessian,
    identity,
    influence,
    inverse,
    norm2,
    ones,
    scalar,
    sqrt,
    trace,
    undamped,
)
from influence_lib.theory.groups import remainder as sum_of_products
from influence_lib.theory.setting import dataset_influence, own_influence
from influence_lib.theory.statement import OURS, Claims, Formula, Formulas, Statement, at_most, equal
from influence_lib.theory.theorem1 import unit_columns
from influence_lib.theory.worlds import Symbols, World

__all__ = ["STATEMENTS"]


def _leverage(D: Matrix, i: int) -> Scalar:
    """Return δ_iᵀ Σ̂⁻¹ δ_i for the columns of D, which span the space."""
    return D.shape[1] * _hat(D, i)


def _hat(D: Matrix, i: int) -> Scalar:
    """Return δ_iᵀ (DDᵀ)⁻¹ δ_i, which lies between 0 and 1."""
    return scalar(D[:, i : i + 1].T @ inverse(D @ D.T) @ D[:, i : i + 1])


def _ext_dataset(f: Formulas, s: World) -> Claims:
    count = s.d + 1
    D = s.matrix("D", s.d, count)
    yield equal("sum of the leverages", sum(_leverage(D, i) for i in range(count)), f.total(count, s.d))
    delta = D[:, :1]
    copied = scalar(delta.T @ inverse(D @ D.T + delta @ delta.T) @ delta)
    yield equal("hat value after one more copy", copied, f.after_copy(_hat(D, 0)))
    W, eps = s.matrix("W", s.k, s.d), s.positive("eps")
    actual = dataset_influence(W, delta, D, eps)
    claimed = f.influence(eps**2 * norm2(W @ delta), _leverage(D, 0))
    yield equal("influence is −2 × loss × leverage", claimed, actual)
    # two copies of e₁ beside the other axes: no leverage can be larger with two copies
    axes = s.positive("length") * identity(s.d, D)
    twice = _leverage(_stack(axes[:, :1], axes), 0)
    yield equal("two copies across all the rest reach the bound", twice, f.ceiling(s.d + 1, 2))


def _stack(*blocks: Matrix) -> Matrix:
    return torch.cat(blocks, dim=1) if isinstance(blocks[0], torch.Tensor) else sympy.Matrix.hstack(*blocks)


def _ext_dataset_pair(f: Formulas) -> Claims:
    pair = unit_columns(Symbols(1, 2), 2)
    damping = sympy.Symbol("lambda", positive=True)
    shared = inverse(pair @ pair.T + damping * sympy.eye(2))
    one, two = (scalar(pair[:, i].T @ shared @ pair[:, i]) for i in (0, 1))
    yield equal("two unit directions: equal leverage, for every λ", one, two)


def _ext_dataset_numbers(f: Formulas, s: World) -> Claims:
    D = unit_columns(s, s.d + 3)
    for i in range(D.shape[1]):
        yield at_most("the leverage of a unit direction is at least 1", torch.ones(()).double(), _leverage(D, i))
    for copies in (2, 3):
        copied = _stack(D, *[D[:, :1]] * (copies - 1))
        yield at_most(f"{copies} copies", _leverage(copied, 0), f.ceiling(copied.shape[1], copies))


EXT_DATASET = Statement(
    id="ext_dataset",
    title="Leverage: the influence under the data set's Hessian",
    place=OURS,
    verdict="holds",
    line="influence = −2 × loss × leverage; the smallest ranking flip has n = 3, d = 2; m copies: at most n/m",
    says=r"""Let $\delta_1, \dots, \delta_n$ be unit perturbations,
$\hat\Sigma = \frac1n \sum_j \delta_j\delta_j^\top$, $L_i = \varepsilon^2 \lVert W\delta_i \rVert^2$ and
$H = \nabla^2 \frac1n \sum_j L_j$.

1. $-g_i^\top (H + \lambda I)^{-1} g_i = -4\varepsilon^4 \lVert W\delta_i \rVert^2\, \delta_i^\top
   (2\varepsilon^2\hat\Sigma + \lambda I)^{-1} \delta_i \to -2 L_i\, \ell_i$
   for $\lambda \to 0$, with the leverage $\ell_i = \delta_i^\top \hat\Sigma^{+} \delta_i$.
2. $1 \le \ell_i \le n$ and $\sum_i \ell_i = n \operatorname{rank} \hat\Sigma$: leverage is shared out among the
   examples.
3. For $\lambda \to 0$, example $j$ outranks example $i$ with $L_i > L_j > 0$ exactly if
   $\ell_j / \ell_i > L_i / L_j$. The smallest data set on which that happens has $n = 3$ and $d = 2$ (and $k = 1$).
4. With the hat value $h_i = \ell_i / n$, one more copy of example $i$ makes it $h_i / (1 + h_i)$; with $m$ copies
   in the data set $\ell_i \le n / m$.""",
    found=r"""The score is the raw loss, reweighted by how unusual the *perturbation* is among all perturbations.
With the own Hessian of {prf:ref}`thm1` a duplicate changes nothing; under the data set's Hessian it halves a hat
value of 1 and hardly touches a small one. So low scores can point at duplicates only through this factor (or
through a low loss), and only where the duplicates are also perturbed alike. Isotropic noise on many more images
than dimensions has $\hat\Sigma \approx I/d$ and nearly the same leverage for all: then the influence ranks as the
loss does.""",
    proof=r"""(1) is the proof of {prf:ref}`thm1_dataset`; for $\lambda \to 0$ note
$\delta_i \in \operatorname{range} \hat\Sigma$. (2) $h_i$ is a diagonal entry of the projection
$D^\top (DD^\top)^{+} D$, so $h_i \le 1$ and $\sum_i h_i = \operatorname{rank} D$. From below,
$1 = (\delta_i^\top \delta_i)^2 \le (\delta_i^\top \hat\Sigma \delta_i)(\delta_i^\top \hat\Sigma^{+} \delta_i)$ and
$\hat\Sigma \preceq I$, as its trace is 1. (3) The first half is (1). For $n = 3$, $d = 2$ take $W = (4, 3)$ and
$\delta = (1, 0), (1, 0), (0, 1)$. There is no smaller one: for $d = 1$ all $\ell_i = 1$, and for $n = 2$ the
reflection that swaps $\delta_1$ and $\delta_2$ leaves $\hat\Sigma$ as it is, so $\ell_1 = \ell_2$, with damping
too. (4) Sherman–Morrison: $\delta^\top (M + \delta\delta^\top)^{-1} \delta = h - h^2 / (1 + h)$. The $m$ copies
have equal hat values, whose sum is at most the largest eigenvalue, 1, of the projection times
$\lVert \mathbf 1 \rVert^2 / m$: with $\mathbf 1$ the indicator of the copies,
$\mathbf 1^\top P\, \mathbf 1 = m^2 h \le m$.""",
    rests="""The proof covers all k, d and n. SymPy confirms the sum, the copy rule and the two-example case;
numbers confirm the influence by autograd and the bounds.""",
    formulas={
        "influence": Formula(lambda loss, leverage: -2 * loss * leverage),
        "total": Formula(lambda count, rank: count * rank),
        "after_copy": Formula(lambda hat: hat / (1 + hat)),
        "ceiling": Formula(lambda count, copies: sympy.Rational(count, copies), bound="upper"),
    },
    claims=_ext_dataset,
    symbolic=_ext_dataset_pair,
    numeric=_ext_dataset_numbers,
    sizes=((1, 2),),
)

DEGREES = (2, 3, 4)


def _form(coefficients: Matrix, theta: Matrix, degree: int) -> Scalar:
    """Return a general homogeneous polynomial of two variables."""
    x, y = theta[0, 0], theta[1, 0]
    return sum(coefficients[i, 0] * x**i * y ** (degree - i) for i in range(degree + 1))


def _ext_homogeneous(f: Formulas, s: World) -> Claims:
    for degree in DEGREES:
        c, theta = s.matrix("c", degree + 1, 1), s.matrix("p", 2, 1)

        def loss(t: Matrix, c: Matrix = c, degree: int = degree) -> Scalar:
            return _form(c, t, degree)

        g, H = gradient(loss, theta), hessian(loss, theta)
        yield equal(f"degree {degree}", f.influence(degree, loss(theta)), influence(g, H))
    theta, damping = s.matrix("p", 2, 1), s.positive("lambda")

    def length(t: Matrix) -> Scalar:
        return sqrt(norm2(t))

    g, H = gradient(length, theta), hessian(length, theta)
    yield equal(
        "degree 1, L = ‖θ‖: the bound is attained", f.linear(length(theta), theta, damping), -influence(g, H, damping)
    )


def _ext_homogeneous_any_degree(f: Formulas) -> Claims:
    p = sympy.Symbol("p", real=True)
    theta = sympy.Matrix(sympy.symbols("x y", positive=True))
    a, b = sympy.symbols("a b", positive=True)

    def loss(t: Matrix) -> Scalar:
        return (a * t[0] ** 2 + b * t[1] ** 2) ** (p / 2)

    g, H = gradient(loss, theta), hessian(loss, theta)
    yield equal(r"symbolic degree p: $\theta^\top g = pL$", sympy.simplify(scalar(theta.T @ g) / loss(theta)), p)
    yield equal(
        r"symbolic degree p: $H\theta = (p - 1) g$",
        (H @ theta - (p - 1) * g).applyfunc(sympy.simplify),
        sympy.zeros(2, 1),
    )


HIDDEN = 3  # units of each hidden layer


def _output(theta: Matrix, z: Matrix, shapes: list[tuple[int, int]], relu: bool) -> Matrix:
    """Return a network without biases at z; θ stacks its weight matrices."""
    blocks = theta[:, 0].split([height * width for height, width in shapes])
    for number, (block, shape) in enumerate(zip(blocks, shapes, strict=True)):
        z = block.reshape(shape) @ (z.relu() if relu and number else z)
    return z


def _ext_homogeneous_numbers(f: Formulas, s: World) -> Claims:
    x, y = s.matrix("x", s.d, 1), s.matrix("y", s.d, 1)
    for depth, relu in ((2, False), (3, False), (3, True)):
        shapes = [(HIDDEN, s.d), *[(HIDDEN, HIDDEN)] * (depth - 2), (s.k, HIDDEN)]
        theta = s.matrix("theta", sum(height * width for height, width in shapes), 1)

        def loss(t: Matrix, shapes: list[tuple[int, int]] = shapes, relu: bool = relu) -> Scalar:
            return norm2(_output(t, x, shapes, relu) - _output(t, y, shapes, relu))

        g, H = gradient(loss, theta), hessian(loss, theta)
        name = f"{depth} layers, {'ReLU' if relu else 'linear'}"
        yield equal(f"{name}: Hθ = (p − 1)g", H @ theta, (2 * depth - 1) * g)
        yield equal(f"{name}: influence", f.influence(2 * depth, loss(theta)), undamped(g, H), tolerance=1e-5)
    W, delta, eps, damping = s.matrix("W", s.k, s.d), s.unit("t", s.d), s.positive("eps"), s.positive("lambda")

    def distance(V: Matrix) -> Scalar:
        return eps * sqrt(norm2(V @ delta))

    g, H = gradient(distance, W), hessian(distance, W)
    yield at_most("degree 1, L = ε‖Wδ‖", f.linear(distance(W), W, damping), -influence(g, H, damping))


EXT_HOMOGENEOUS = Statement(
    id="ext_homogeneous",
    title="Own-example influence of a homogeneous loss is the loss times a constant",
    place=OURS,
    verdict="holds",
    line="−gᵀH⁺g = −p/(p − 1)·L for degree p: Theorem 1 is the case p = 2, and the cosine loss, p = 0, gets 0",
    says=r"""Let $L(\alpha\theta) = \alpha^p L(\theta)$ for $\alpha > 0$, with $L$ twice differentiable at $\theta$,
and let $g$ and $H$ be its own gradient and Hessian.

1. If $p \ne 1$: $g \in \operatorname{range} H$ and $\displaystyle -g^\top H^{+} g = -\frac{p}{p - 1}\, L$, which is
   also the limit of $-g^\top (H + \lambda I)^{-1} g$ for $\lambda \to 0$.
2. If $p = 1$, $L \ne 0$ and $H \succeq 0$:
   $g^\top (H + \lambda I)^{-1} g \ge L^2 / (\lambda \lVert\theta\rVert^2)$, so there is no limit.""",
    found=r"""Undamped, the influence of an example on itself under its own Hessian is a constant multiple of its
loss: for the linear encoder of {prf:ref}`thm1` ($p = 2$) $-2L$; for the squared distance after $m$ linear or ReLU
layers without biases ($p = 2m$) $-\frac{2m}{2m - 1} L$, which tends to $-L$ with depth; for any loss that does not
see the scale of $\theta$ ($p = 0$), as the cosine distance, exactly 0. No architecture in this class makes it say
anything about an image that the raw loss does not. Whatever else an influence score says, comes from the Hessian of
*other* examples, or from damping.""",
    proof=r"""Differentiate $L(\alpha\theta) = \alpha^p L(\theta)$ in $\alpha$ at 1: $\theta^\top g = pL$ (Euler).
Differentiate that in $\theta$: $g + H\theta = pg$, so $H\theta = (p - 1) g$. (1) For $p \ne 1$,
$g = H\theta / (p - 1)$ lies in the range, and
$g^\top H^{+} g = \theta^\top H H^{+} H \theta / (p - 1)^2 = \theta^\top g / (p - 1) = pL / (p - 1)$. On the range
of $H$, $(H + \lambda I)^{-1} \to H^{+}$. (2) For $p = 1$, $\theta$ is an eigenvector of $H$ with eigenvalue 0, and
the part of $g$ along it is $L / \lVert\theta\rVert$. All other terms are $\ge 0$.""",
    rests="""The proof covers every homogeneous loss. SymPy confirms it for general polynomials of degree 2, 3 and 4
in two variables and the Euler identities for a symbolic degree, numbers for linear and ReLU networks of two and
three layers with the pseudo-inverse.""",
    formulas={
        "influence": Formula(lambda degree, value: -degree * value / (degree - 1)),
        "linear": Formula(lambda value, theta, damping: value**2 / (damping * norm2(theta)), bound="lower"),
    },
    claims=_ext_homogeneous,
    symbolic=_ext_homogeneous_any_degree,
    numeric=_ext_homogeneous_numbers,
    sizes=((1, 2),),
)


def _ext_group(f: Formulas, s: World) -> Claims:
    W, D, eps, damping = s.matrix("W", s.k, s.d), s.matrix("D", s.d, s.d + 1), s.positive("eps"), s.positive("lambda")
    subset = D[:, :2]
    own = own_influence(W, subset, eps, damping)
    yield equal("Hessian of the subset", f.subset(W, subset, eps, damping), own)
    group = dataset_influence(W, subset, D, eps, damping)
    yield equal("Hessian of the data set", f.dataset(W, D, 2, eps, damping), group)
    single = sum(dataset_influence(W, D[:, i : i + 1], D, eps, damping) for i in range(2))
    yield equal("remainder", f.remainder(W, D, 2, eps, damping), group - single)
    copies = s.positive("sigma") * ones(3, W).T  # d = 1, three copies which are the data set
    limit = f.remainder(identity(1, W), copies, 3, eps, 0)
    yield equal("copies reach the bound", -limit, f.bound(3, 3, scalar(copies[:, :1]) ** 2, eps))


def _ext_group_numbers(f: Formulas, s: World) -> Claims:
    W, D, eps, damping = s.matrix("W", s.k, s.d), unit_columns(s, s.d + 4), s.positive("eps"), s.positive("lambda")
    square = torch.linalg.matrix_norm(W, 2) ** 2
    for size in (2, 4):
        rest = f.remainder(W, D, size, eps, damping)
        yield at_most(f"{size} examples", rest.abs(), f.bound(D.shape[1], size, square, eps))
    limit = f.subset(W, D[:, :4], eps, torch.tensor(1e-9).double())
    yield equal(
        "λ → 0, Hessian of the subset: influences add", limit, -2 * eps**2 * norm2(W @ D[:, :4]), tolerance=1e-5
    )


def _weights(D: Matrix, count: int, eps: Scalar, damping: Scalar) -> Matrix:
    """Return 2ε² δ_iᵀ(2ε²Σ̂ + λI)⁻¹δ_j for the first `count` columns of D."""
    return (
        2
        * eps**2
        * D[:, :count].T
        @ inverse(2 * eps**2 * D @ D.T / D.shape[1] + damping * identity(D.shape[0], D))
        @ D[:, :count]
    )


def _dataset_group(W: Matrix, D: Matrix, count: int, eps: Scalar, damping: Scalar) -> Scalar:
    image = W @ D[:, :count]
    return -2 * eps**2 * trace(_weights(D, count, eps, damping) @ image.T @ image)


def _dataset_remainder(W: Matrix, D: Matrix, count: int, eps: Scalar, damping: Scalar) -> Scalar:
    image = W @ D[:, :count]
    weights, products = _weights(D, count, eps, damping), image.T @ image
    together = weights * products if isinstance(W, torch.Tensor) else weights.multiply_elementwise(products)
    return sum_of_products(together, eps)


def _subset_group(W: Matrix, D: Matrix, eps: Scalar, damping: Scalar) -> Scalar:
    second = D @ D.T
    inverted = inverse(2 * eps**2 * second + damping * identity(D.shape[0], D))
    return -4 * eps**4 * trace(W @ second @ inverted @ second @ W.T)


EXT_GROUP = Statement(
    id="ext_group",
    title="Group influence, derived",
    place=OURS,
    verdict="holds",
    line="undamped, additive on the group's own Hessian; on the data set's, interaction goes with shared leverage",
    says=r"""Let $L_S = \sum_{i \in S} \varepsilon^2 \lVert W\delta_i \rVert^2$,
$M_S = \sum_{i \in S} \delta_i\delta_i^\top$, and $\hat\Sigma = \frac1n \sum_j \delta_j\delta_j^\top$ over the data
set.

1. Subset's Hessian:
   $I^\lambda(S) = -4\varepsilon^4 \operatorname{tr}\bigl(W M_S (2\varepsilon^2 M_S + \lambda I)^{-1} M_S W^\top\bigr)
   \to -2 L_S$:
   influences add.
2. Data set's Hessian:
   $I^\lambda(S) = -4\varepsilon^4 \sum_{i, j \in S} (W\delta_i)^\top (W\delta_j)\; \delta_i^\top
   (2\varepsilon^2\hat\Sigma + \lambda I)^{-1} \delta_j$.
3. There $I^\lambda(S) = \sum_{i \in S} I^\lambda(x_i) + R^\lambda(S)$ with
   $R^\lambda(S) = -8\varepsilon^4 \sum_{i < j \in S} (W\delta_i)^\top (W\delta_j)\, \delta_i^\top
   (2\varepsilon^2\hat\Sigma + \lambda I)^{-1} \delta_j$,
   and for $\lVert\delta_i\rVert \le 1$ and every $\lambda \ge 0$
   $\lvert R^\lambda(S) \rvert \le 2\varepsilon^2\, n\, (\lvert S \rvert - 1)\, \sigma_{max}(W)^2$.""",
    found=r"""This is what stands in the place of {prf:ref}`claim6`. Two examples interact as far as they share
*both* their images and their leverage. Every expression is even in each $\delta_i$, as the losses are. The factor
$n$ belongs to the mean in Eq. 1; with a sum of losses it is gone, as in {prf:ref}`claim7`.""",
    proof=r"""$g_S = 2\varepsilon^2 W M_S$, and the Hessians are $I_k \otimes 2\varepsilon^2 M_S$ and
$I_k \otimes 2\varepsilon^2 \hat\Sigma$; the rest of (1) and (2) is as in {prf:ref}`thm1_dataset`. The limit uses
$M_S M_S^{+} M_S = M_S$. For (3),
$P_{ij} = \frac{2\varepsilon^2}{n} \delta_i^\top (2\varepsilon^2 \hat\Sigma + \lambda I)^{-1} \delta_j$ has
$0 \preceq P \preceq I$ for every $\lambda \ge 0$, which is all that the proof of {prf:ref}`claim7` uses.""",
    rests="""The proof covers all k, d, n and S; SymPy confirms it for two of three examples, numbers for larger
groups and the bound.""",
    formulas={
        "subset": Formula(_subset_group),
        "dataset": Formula(_dataset_group),
        "remainder": Formula(_dataset_remainder),
        "bound": Formula(lambda count, size, square, eps: 2 * eps**2 * count * (size - 1) * square, bound="upper"),
    },
    claims=_ext_group,
    numeric=_ext_group_numbers,
    sizes=((1, 2),),
)

STATEMENTS = (EXT_HOMOGENEOUS, EXT_DATASET, EXT_GROUP)
