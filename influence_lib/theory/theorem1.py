"""Lemma 4 and Theorem 1: gradient, Hessian and the closed form of the influence of a linear encoder."""

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
    kron,
    norm2,
    scalar,
    trace,
)
from influence_lib.theory.setting import dataset_influence, dataset_loss, free_encoder, own_influence, ssl_loss
from influence_lib.theory.statement import Claims, Formula, Formulas, Statement, at_most, differ, equal
from influence_lib.theory.worlds import World

__all__ = ["STATEMENTS", "leveraged", "theorem1", "unit_columns"]

SETTING = (
    r"$W \in \mathbb{R}^{k \times d}$, $\lVert\delta\rVert = 1$, $L_{ssl} = \varepsilon^2 \lVert W\delta \rVert^2$"
)


def theorem1(W: Matrix, delta: Matrix, eps: Scalar, damping: Scalar = 0) -> Scalar:
    """Return Theorem 1's closed form −4ε⁴‖Wδ‖²/(λ + 2ε²)."""
    return -4 * eps**4 * norm2(W @ delta) / (damping + 2 * eps**2)


def _lemma4_grad(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    x = s.matrix("x", s.d, 1)
    yield equal("gradient", f.gradient(W, delta, eps), gradient(lambda V: ssl_loss(V, x, delta, eps), W))


def _lemma4_grad_all_sizes(f: Formulas) -> Claims:
    k, d = sympy.symbols("k d", integer=True, positive=True)
    W, delta = sympy.MatrixSymbol("W", k, d), sympy.MatrixSymbol("delta", d, 1)
    eps = sympy.Symbol("epsilon", positive=True)
    slope = (eps**2 * sympy.Trace(W * delta * delta.T * W.T)).diff(W)
    yield equal("gradient for symbolic k and d", f.gradient(W, delta, eps), slope)


LEMMA4_GRAD = Statement(
    id="lemma4_grad",
    title="Lemma 4, gradient",
    place="appendix C.1, step 4",
    verdict="holds",
    line="right for all k and d",
    says=rf"For {SETTING}: $\nabla_W L_{{ssl}} = 2\varepsilon^2\, W \delta \delta^\top$.",
    found="Right as printed, for every $\\delta$.",
    proof=r"""$\mathrm{d} \lVert W\delta \rVert^2 = 2\, (W\delta)^\top \mathrm{d}W\, \delta = \langle 2
W\delta\delta^\top, \mathrm{d}W \rangle$.""",
    rests="SymPy differentiates with matrices of symbolic size, so it covers all k and d; autograd confirms it.",
    formulas={"gradient": Formula(lambda W, delta, eps: 2 * eps**2 * W @ delta @ delta.T)},
    claims=_lemma4_grad,
    symbolic=_lemma4_grad_all_sizes,
    sizes=((1, 2), (2, 2), (2, 3)),
)


def _lemma4_hess(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    x = s.matrix("x", s.d, 1)
    yield equal("Hessian, rows stacked", f.hessian(W, delta, eps), hessian(lambda V: ssl_loss(V, x, delta, eps), W))


def _lemma4_hess_two_rows(f: Formulas) -> Claims:
    W, delta, eps = sympy.Matrix([[1], [1]]), sympy.Matrix([1]), sympy.Symbol("epsilon", positive=True)
    H = hessian(lambda V: ssl_loss(V, sympy.Matrix([0]), delta, eps), W)
    yield equal(
        r"$k = 2$, $d = 1$, $\delta = 1$: Hessian of $\varepsilon^2 (w_1^2 + w_2^2)$", f.hessian(W, delta, eps), H
    )


LEMMA4_HESS = Statement(
    id="lemma4_hess",
    title="Lemma 4, Hessian",
    place="appendix C.1, step 4",
    verdict="notation",
    line="the printed d×d matrix is one of k equal diagonal blocks; the Hessian is I_k ⊗ 2ε²δδᵀ",
    says=rf"For {SETTING}: $H_{{ssl}} = 2\varepsilon^2\, \delta \delta^\top$.",
    meant=r"""The paper says after the lemma that it works with $k = 1$, and describes the case $k > 1$ in words:
repeated $d \times d$ blocks. That description is right.""",
    found=r"""A function of $kd$ numbers has a $kd \times kd$ Hessian. With the rows of $W$ stacked it is

$$H_{ssl} = I_k \otimes 2\varepsilon^2\, \delta\delta^\top ,$$

of rank $k$, equal to the printed line for $k = 1$. With the columns stacked the factors change places.""",
    proof=r"""$\nabla_W L = 2\varepsilon^2 W \delta\delta^\top$ acts on each row of $W$ by the same matrix
$2\varepsilon^2 \delta\delta^\top$, and rows do not mix.""",
    rests="The proof covers all k and d; SymPy and autograd confirm it at the sizes below.",
    formulas={
        "hessian": Formula(
            holds=lambda W, delta, eps: kron(identity(W.shape[0], W), 2 * eps**2 * delta @ delta.T),
            printed=lambda W, delta, eps: 2 * eps**2 * delta @ delta.T,
        )
    },
    claims=_lemma4_hess,
    counterexample=_lemma4_hess_two_rows,
    sizes=((1, 2), (2, 2), (3, 2), (2, 3)),
)


def _sherman_morrison(f: Formulas, s: World) -> Claims:
    delta, eps, damping = s.unit("t", s.d), s.positive("eps"), s.positive("lambda")
    matrix = damping * identity(s.d, delta) + 2 * eps**2 * delta @ delta.T
    yield equal("the inverse", f.inverse(delta, eps, damping), inverse(matrix))
    bracket = 1 / damping - 2 * eps**2 / damping**2 / (1 + 2 * eps**2 / damping)
    yield equal("the bracket", f.bracket(eps, damping), bracket)


SHERMAN_MORRISON = Statement(
    id="sherman_morrison",
    title="The inverse by Sherman and Morrison, and the bracket",
    place="appendix C.1, step 4",
    verdict="holds",
    line="both right, for λ > 0 and |δ| = 1 as the paper has them",
    says=r"""For $\lambda > 0$ and $\lVert\delta\rVert = 1$,

$$(\lambda I + 2\varepsilon^2 \delta\delta^\top)^{-1}
= \frac1\lambda I - \frac{2\varepsilon^2}{\lambda^2} \frac{\delta\delta^\top}{1 + 2\varepsilon^2 / \lambda},$$

$$\frac1\lambda - \frac{2\varepsilon^2}{\lambda^2} \frac{1}{1 + 2\varepsilon^2/\lambda}
= \frac{1}{\lambda + 2\varepsilon^2}.$$""",
    found=r"""Right as printed. For $\delta$ of another length, $\lVert\delta\rVert^2$ goes with $2\varepsilon^2$ in
the denominators. The bracket is the eigenvalue of the inverse along $\delta$; across $\delta$ the inverse has
$1/\lambda$, which the gradient never meets.""",
    proof=r"""Multiply: with $q = 2\varepsilon^2/\lambda$,
$(I + q\,\delta\delta^\top)\bigl(I - \tfrac{q}{1 + q} \delta\delta^\top\bigr) = I + \bigl(q - \tfrac{q}{1+q} -
\tfrac{q^2}{1+q}\bigr) \delta\delta^\top = I$.""",
    rests="""The proof covers all d; SymPy inverts for d = 2 and 3 with a symbolic unit vector, numbers in more
dimensions.""",
    formulas={
        "inverse": Formula(
            lambda delta, eps, damping: (
                identity(delta.shape[0], delta) / damping
                - 2 * eps**2 / damping**2 / (1 + 2 * eps**2 / damping) * delta @ delta.T
            )
        ),
        "bracket": Formula(lambda eps, damping: 1 / (damping + 2 * eps**2)),
    },
    claims=_sherman_morrison,
    sizes=((1, 2), (1, 3)),
)


def _display(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    damping = s.positive("lambda")
    G = 2 * eps**2 * W @ delta @ delta.T
    block = inverse(damping * identity(s.d, W) + 2 * eps**2 * delta @ delta.T)
    H = hessian(lambda V: eps**2 * norm2(V @ delta), W)
    yield equal("the display against −gᵀ(H + λI)⁻¹g", f.display(G, block), influence(G, H, damping))


def _display_row(f: Formulas) -> Claims:
    eps, damping = sympy.symbols("epsilon lambda", positive=True)
    delta = sympy.Matrix([1, 0])
    block = inverse(damping * sympy.eye(2) + 2 * eps**2 * delta @ delta.T)
    for name, W in (("$k = 2$, $W = I$", sympy.eye(2)), ("$k = 1$, $W = (1, 1)$", sympy.Matrix([[1, 1]]))):
        H = hessian(lambda V: eps**2 * norm2(V @ delta), W)
        G = 2 * eps**2 * W @ delta @ delta.T
        yield equal(rf"{name}, $d = 2$, $\delta = (1, 0)$: the display", f.display(G, block), influence(G, H, damping))


DISPLAY = Statement(
    id="thm1_display",
    title="The displayed products in the proof of Theorem 1",
    place="appendix C.1, step 4",
    verdict="notation",
    line="−∇Lᵀ(H + λI)⁻¹∇L does not multiply out in the shapes given; a trace and a transpose mend it",
    says=r"""With $\nabla_W L = 2\varepsilon^2 W\delta\delta^\top$ and the $d \times d$ inverse,
$-(\nabla_W L)^\top (H + \lambda I)^{-1}\, \nabla_W L$ is written out as a product of matrices and ends in a number.""",
    meant="The inner product of the gradient with the inverse applied to it, row by row of $W$.",
    found=r"""For $k = 1$ the printed order is $(d \times 1)(d \times d)(1 \times d)$, which is no product; for
$k = d$ it is one, and a $d \times d$ *matrix*; the proof then reads
$\delta (\delta^\top W^\top W \delta) \delta^\top$ as the number inside it. With the gradient $G$ a $k \times d$
matrix, the mended line is

$$-g^\top (H + \lambda I)^{-1} g = -\operatorname{tr}\bigl(G\, (\lambda I + 2\varepsilon^2\delta\delta^\top)^{-1}\,
G^\top\bigr),$$

from which the proof's result follows.""",
    proof=r"""$H + \lambda I = I_k \otimes B$ with $B = \lambda I + 2\varepsilon^2\delta\delta^\top$, and
$\operatorname{vec}_r(G)^\top (I_k \otimes B^{-1}) \operatorname{vec}_r(G) = \sum_i G_{i\cdot} B^{-1}
G_{i\cdot}^\top$.""",
    rests="The proof covers all k and d; SymPy and autograd confirm it at the sizes below.",
    formulas={
        "display": Formula(
            holds=lambda G, block: -trace(G @ block @ G.T),
            printed=lambda G, block: -1 * G.T @ block @ G,
        )
    },
    claims=_display,
    counterexample=_display_row,
    sizes=((1, 2), (2, 2)),
)


def _theorem1(f: Formulas, s: World) -> Claims:
    W, delta, eps = free_encoder(s)
    damping = s.positive("lambda")
    yield equal("closed form, λ > 0", f.damped(W, delta, eps, damping), own_influence(W, delta, eps, damping))
    yield equal("limit λ → 0 against the pseudo-inverse", f.limit(W, delta, eps), own_influence(W, delta, eps))


def _theorem1_limit(f: Formulas) -> Claims:
    W, delta = sympy.Matrix(2, 2, sympy.symbols("W:4", real=True)), sympy.Matrix([1, 0])
    eps, damping = sympy.symbols("epsilon lambda", positive=True)
    yield equal("SymPy's limit", f.limit(W, delta, eps), sympy.limit(f.damped(W, delta, eps, damping), damping, 0))


def _theorem1_without(f: Formulas) -> Claims:
    eps = sympy.Symbol("epsilon", positive=True)
    W, D = sympy.Matrix([[1, 0]]), sympy.eye(2)
    delta = D[:, 0]
    yield equal(
        r"$n = 2$, $W = (1, 0)$, first of $\delta = (1, 0), (0, 1)$, Hessian of the data set: influence",
        f.limit(W, delta, eps),
        dataset_influence(W, delta, D, eps),
    )
    own = hessian(lambda V: eps**2 * norm2(V @ delta), W)
    yield differ(r"its own Hessian at $\lambda = 0$: an inverse needs a determinant", own.det(), sympy.Integer(0))


THEOREM1 = Statement(
    id="thm1",
    title="Theorem 1, the closed form",
    place="section 3.1 and appendix C.1",
    verdict="holds_with_assumptions",
    line="right for one example's own Hessian, and at λ = 0 as a limit; it is then −2 times the loss",
    says=rf"""For {SETTING} and $\lambda \ge 0$ the influence of a training point is
$I^\lambda = -4\varepsilon^4 \lVert W\delta \rVert^2 / (\lambda + 2\varepsilon^2)$, and for $\lambda \to 0$ it
becomes $I = -2\varepsilon^2 \lVert W\delta \rVert^2$.""",
    meant="""A setting in which everything can be computed. The proof takes the Hessian of the one example that is
scored, which keeps the algebra short.""",
    found=r"""**Assumptions: $H$ is the Hessian of this one example's loss, and $\lambda > 0$, or the pseudo-inverse
is meant.** Eq. 2, 4 and 6 define $H$ over the data set; there the closed form is another ({prf:ref}`thm1_dataset`).
At $\lambda = 0$ this $H$ has rank $k$, for $d > 1$ less than $kd$, and no inverse; the limit exists because the
gradient lies in its range, and equals $-g^\top H^{+} g$. The formula holds for every $k$, and without
$\delta \perp x$. Note what it says: $I = -2 L_{ssl}$. On one example's own Hessian the influence is the loss, up to
a constant, and {prf:ref}`ext_homogeneous` shows the same for every loss that is homogeneous of a degree other than
1.""",
    proof=r"""$G = 2\varepsilon^2 W\delta\delta^\top$ has rows along $\delta$, an eigenvector of
$B = \lambda I + 2\varepsilon^2\delta\delta^\top$ with eigenvalue $\lambda + 2\varepsilon^2$. Hence
$\operatorname{tr}(G B^{-1} G^\top) = \lVert G \rVert^2 / (\lambda + 2\varepsilon^2)$ and
$\lVert G \rVert^2 = 4\varepsilon^4 \lVert W\delta \rVert^2$.""",
    rests="""The proof covers all k and d; SymPy differentiates, inverts and takes the limit at the sizes below,
numbers use autograd and the pseudo-inverse.""",
    formulas={
        "damped": Formula(theorem1),
        "limit": Formula(lambda W, delta, eps: -2 * eps**2 * norm2(W @ delta)),
    },
    claims=_theorem1,
    symbolic=_theorem1_limit,
    counterexample=_theorem1_without,
    sizes=((1, 2), (2, 2)),
)


def leveraged(W: Matrix, D: Matrix, i: int, eps: Scalar, damping: Scalar) -> Scalar:
    """Return −4ε⁴‖Wδ_i‖² δ_iᵀ(2ε²Σ̂ + λI)⁻¹δ_i with Σ̂ = DDᵀ/n, the closed form under the data set's Hessian."""
    delta, second = D[:, i : i + 1], D @ D.T / D.shape[1]
    weight = scalar(delta.T @ inverse(2 * eps**2 * second + damping * identity(D.shape[0], D)) @ delta)
    return -4 * eps**4 * norm2(W @ delta) * weight


def unit_columns(s: World, count: int) -> Matrix:
    """Return a d×count matrix of unit columns."""
    units = [s.unit(f"t{i}_", s.d) for i in range(count)]
    return torch.cat(units, dim=1) if isinstance(units[0], torch.Tensor) else sympy.Matrix.hstack(*units)


def _thm1_dataset(f: Formulas, s: World) -> Claims:
    count = 2 if s.d == 2 else s.d + 3
    W, D, eps, damping = s.matrix("W", s.k, s.d), unit_columns(s, count), s.positive("eps"), s.positive("lambda")
    actual = dataset_influence(W, D[:, :1], D, eps, damping)
    yield equal("closed form, λ > 0", f.influence(W, D, 0, eps, damping), actual)


def _flip() -> tuple[sympy.Matrix, sympy.Matrix]:
    """Return W and the directions of the smallest data set on which the ranking flips."""
    return sympy.Matrix([[4, 3]]), sympy.Matrix([[1, 1, 0], [0, 0, 1]])


def _thm1_dataset_flip(f: Formulas) -> Claims:
    eps = sympy.Symbol("epsilon", positive=True)
    W, D = _flip()
    case = r"$W = (4, 3)$, $\delta = (1, 0), (1, 0), (0, 1)$: magnitude for example"
    first, third = (-f.influence(W, D, i, eps, 0) for i in (0, 2))
    yield equal(f"{case} 1", first, -dataset_influence(W, D[:, 0], D, eps))
    yield equal(f"{case} 3", third, -dataset_influence(W, D[:, 2], D, eps))
    yield at_most("the third example ranks above the first: magnitude 1 ≤ magnitude 3", first, third)


THEOREM1_DATASET = Statement(
    id="thm1_dataset",
    title="Theorem 1 with the Hessian over the data set",
    place="section 3.1, read with Eq. 2, 4 and 6",
    verdict="fails",
    line="each score gets a leverage factor of its own, and the ranking by ‖Wδ‖² does not survive",
    says=r"""Theorem 1 with the $H$ that Eq. 2, 4 and 6 define, the Hessian of the mean loss over the data set: the
influence of example $i$ is $-4\varepsilon^4 \lVert W\delta_i \rVert^2 / (\lambda + 2\varepsilon^2)$, so examples
rank by $\lVert W\delta_i \rVert^2$.""",
    meant="That $\\lVert W\\delta \\rVert^2$ governs the influence. It does, but not alone.",
    found=r"""With $\hat\Sigma = \frac1n \sum_j \delta_j \delta_j^\top$ and
$H = I_k \otimes 2\varepsilon^2 \hat\Sigma$,

$$I_i^\lambda = -4\varepsilon^4\, \lVert W\delta_i \rVert^2\; \delta_i^\top (2\varepsilon^2 \hat\Sigma + \lambda
I)^{-1} \delta_i
\;\xrightarrow{\lambda \to 0}\; -2\varepsilon^2\, \lVert W\delta_i \rVert^2\; \delta_i^\top \hat\Sigma^{+} \delta_i .$$

The second factor is the *leverage* of the perturbation: large for directions in which few others of the data set
point. With $W = (4, 3)$ and $\delta = (1, 0), (1, 0), (0, 1)$ the losses are $16, 16, 9$ (in units of
$\varepsilon^2$), and the influences $48, 48, 54$: the example with the smallest loss has the largest influence.
{prf:ref}`ext_dataset` shows that no smaller data set does this.""",
    proof=r"""$\operatorname{vec}_r(G_i)^\top (I_k \otimes B^{-1}) \operatorname{vec}_r(G_i) = \operatorname{tr}(G_i
B^{-1} G_i^\top)$
with $G_i = 2\varepsilon^2 W\delta_i\delta_i^\top$ and $B = 2\varepsilon^2 \hat\Sigma + \lambda I$ is
$4\varepsilon^4 \lVert W\delta_i \rVert^2\, \delta_i^\top B^{-1} \delta_i$.""",
    rests="""The proof covers all k, d and n; SymPy confirms it for two examples at the sizes below, autograd for
larger data sets.""",
    formulas={
        "influence": Formula(
            holds=leveraged,
            printed=lambda W, D, i, eps, damping: theorem1(W, D[:, i : i + 1], eps, damping),
        )
    },
    claims=_thm1_dataset,
    counterexample=_thm1_dataset_flip,
    sizes=((1, 2),),
)


def _thm1_argmin(f: Formulas, s: World) -> Claims:
    """Bound the influence by the excess loss: tight where one example has all of the loss and λ = 0."""
    W, eps = s.matrix("W", s.k, s.d), s.positive("eps")
    D = unit_columns(s, 1)
    yield equal("one example: magnitude is the bound", -own_influence(W, D, eps), f.bound(W, D, eps))


def _thm1_argmin_numbers(f: Formulas, s: World) -> Claims:
    W, eps, damping = s.matrix("W", s.k, s.d), s.positive("eps"), s.positive("lambda")
    D = unit_columns(s, max(2, s.d - 1))
    for i in range(D.shape[1]):
        yield at_most(
            "|influence| ≤ 2n × mean loss", -own_influence(W, D[:, i : i + 1], eps, damping), f.bound(W, D, eps)
        )
    minimiser = W - W @ D @ torch.linalg.pinv(D)
    scale = f.bound(W, D, eps)
    slope = gradient(lambda V: dataset_loss(V, D, eps), minimiser)
    yield equal("W(I − DD⁺) is a minimiser: gradient of the mean loss", slope, 0 * slope, scale=scale)
    for i in range(D.shape[1]):
        value = theorem1(minimiser, D[:, i : i + 1], eps, damping)
        yield equal("every influence there", value, 0 * value, scale=scale)


THEOREM1_ARGMIN = Statement(
    id="thm1_argmin",
    title="Theorem 1 at a minimiser of Eq. 1",
    place="section 3.1, read with Eq. 1",
    verdict="holds",
    line="holds, and says nothing: at a minimiser of its own loss every influence is 0",
    says=r"""At a minimiser $W^*$ of Eq. 1 for $L_{ssl}$, where alone Eq. 2 defines an influence, the influence of
example $i$ is $-4\varepsilon^4 \lVert W^*\delta_i \rVert^2 / (\lambda + 2\varepsilon^2)$.""",
    meant=r"""In the paper's experiments the encoder minimises a training loss that keeps it from collapsing, and
the cosine distance is only the quantity that is looked at. Theorem 1 uses one loss for both.""",
    found=r"""True as $0 = 0$. The mean loss $J(W) = \frac{\varepsilon^2}{n} \sum_i \lVert W\delta_i \rVert^2$ has
the minimum 0, reached where $W^*\delta_i = 0$ for all $i$ (for directions that span the space, only at $W^* = 0$).
Every gradient vanishes there, and so does every influence, whichever Hessian is used. Away from it, for Theorem 1's
own Hessian,

$$\lvert I_i^\lambda \rvert \le 2n\, J(W)$$

(with the data set's Hessian $2n^2 J(W)$), so the scores that Theorem 1 tells apart measure how far $W$ is from a
minimiser. They are defined by the formula, and are not derivatives of a response $\theta^*(\epsilon)$: that needs
$\nabla J = 0$. The distinction between low and high influence, which the text draws from Theorem 1, has no content
where the premise of Eq. 2 holds.""",
    proof=r"""$J \ge 0$, with equality exactly if $W\delta_i = 0$ for all $i$, and $W = 0$ reaches it. For the
bound,
$4\varepsilon^4 \lVert W\delta_i \rVert^2 / (\lambda + 2\varepsilon^2) \le 2\varepsilon^2 \lVert W\delta_i \rVert^2
\le 2nJ(W)$;
with one example and $\lambda \to 0$ it is attained.""",
    rests="""The proof covers all k, d and n; SymPy confirms that the bound is attained, numbers the bound and the
minimisers W(I − DD⁺).""",
    formulas={"bound": Formula(lambda W, D, eps: 2 * D.shape[1] * dataset_loss(W, D, eps), bound="upper")},
    claims=_thm1_argmin,
    numeric=_thm1_argmin_numbers,
    sizes=((1, 2), (2, 2)),
)

STATEMENTS = (
    LEMMA4_GRAD,
    LEMMA4_HESS,
    SHERMAN_MORRISON,
    DISPLAY,
    THEOREM1,
    THEOREM1_DATASET,
    THEOREM1_ARGMIN,
)
