"""Lemmas 1 and 2 and Definition 2: the supervised two-layer network from which the paper starts."""

import sympy
import torch

from influence_lib.theory.algebra import (
    Matrix,
    Scalar,
    gradient,
    hessian,
    identity,
    jacobian,
    kron,
    norm2,
    rows,
    scalar,
    undamped,
)
from influence_lib.theory.setting import supervised_loss
from influence_lib.theory.statement import Claims, Formula, Formulas, Statement, equal
from influence_lib.theory.worlds import World

__all__ = ["STATEMENTS"]

SUPERVISED = r"the two-layer linear network $f(x) = v^\top W x$ with the loss $L_{sup} = \tfrac12 (y - v^\top W x)^2$"


def _network(s: World) -> tuple[Matrix, Matrix, Matrix, Scalar]:
    return s.matrix("W", s.k, s.d), s.matrix("v", s.k, 1), s.matrix("x", s.d, 1), s.positive("y")


def _residual(W: Matrix, v: Matrix, x: Matrix, y: Scalar) -> Scalar:
    return y - scalar(v.T @ W @ x)


def _lemma1(f: Formulas, s: World) -> Claims:
    W, v, x, y = _network(s)
    yield equal("gradient in v", f.in_v(W, v, x, y), gradient(lambda u: supervised_loss(W, u, x, y), v))
    yield equal("gradient in W", f.in_W(W, v, x, y), gradient(lambda V: supervised_loss(V, v, x, y), W))


LEMMA1 = Statement(
    id="lemma1",
    title="Lemma 1, gradients",
    place="appendix C.1, step 2",
    verdict="holds",
    line="both gradients are right, for all k and d",
    says=rf"""For {SUPERVISED}, with $W \in \mathbb{{R}}^{{k \times d}}$ and $v \in \mathbb{{R}}^k$:

$$\nabla_v L_{{sup}} = -(y - v^\top W x)\, W x, \qquad \nabla_W L_{{sup}} = -(y - v^\top W x)\, v x^\top .$$""",
    found="Right as printed. The supervised loss does not return after Definition 3.",
    proof=r"""With $r = y - v^\top W x$ we have $\mathrm{d}L = -r\,(\mathrm{d}v^\top W x + v^\top \mathrm{d}W\, x)$,
and $v^\top \mathrm{d}W x = \langle v x^\top, \mathrm{d}W \rangle$.""",
    rests="The proof covers all k and d; SymPy and autograd confirm it at the sizes below.",
    formulas={
        "in_v": Formula(lambda W, v, x, y: -_residual(W, v, x, y) * W @ x),
        "in_W": Formula(lambda W, v, x, y: -_residual(W, v, x, y) * v @ x.T),
    },
    claims=_lemma1,
    sizes=((1, 2), (2, 2), (3, 2), (2, 3)),
)


def _lemma2_vv(f: Formulas, s: World) -> Claims:
    W, v, x, y = _network(s)
    yield equal("block vv", f.block(W, x), hessian(lambda u: supervised_loss(W, u, x, y), v))


LEMMA2_VV = Statement(
    id="lemma2_vv",
    title="Lemma 2, block $H_{vv}$",
    place="appendix C.1, step 2",
    verdict="holds",
    line="right for all k and d",
    says=rf"For {SUPERVISED}: $H_{{vv}} = W x (W x)^\top$.",
    found="Right as printed, a $k \\times k$ matrix of rank at most one.",
    proof=r"$\nabla_v L = -(y - v^\top W x)\, W x$ is affine in $v$, with linear part $W x (W x)^\top v$.",
    rests="The proof covers all k and d; SymPy and autograd confirm it at the sizes below.",
    formulas={"block": Formula(lambda W, x: (W @ x) @ (W @ x).T)},
    claims=_lemma2_vv,
    sizes=((1, 2), (2, 2), (3, 2), (2, 3)),
)


def _lemma2_ww(f: Formulas, s: World) -> Claims:
    W, v, x, y = _network(s)
    yield equal("block WW, rows stacked", f.block(v, x), hessian(lambda V: supervised_loss(V, v, x, y), W))


def _lemma2_ww_columns(f: Formulas) -> Claims:
    W, v, x = sympy.eye(2), sympy.Matrix([1, 0]), sympy.Matrix([0, 1])
    # a Hessian in the columns' order is the Hessian in the rows' order of the transpose
    stacked = hessian(lambda V: supervised_loss(V.T, v, x, 0), W.T)
    yield equal(r"$v = (1, 0)$, $x = (0, 1)$, columns stacked: $H_{WW}$", f.block(v, x), stacked)


LEMMA2_WW = Statement(
    id="lemma2_WW",
    title="Lemma 2, block $H_{WW}$",
    place="appendix C.1, step 2",
    verdict="holds_with_assumptions",
    line="right where vec stacks the rows of W; with the textbook's columns the factors change places",
    says=rf"""For {SUPERVISED}: $H_{{WW}} = v v^\top \otimes x x^\top$, a $kd \times kd$ matrix. The paper does not
say here how $W$ is turned into a vector.""",
    meant=r"""Any fixed order of the $kd$ parameters serves the paper's purpose, and its formula is right for one of
the two usual ones. Its later remark on $k > 1$, repeated $d \times d$ blocks, fits the same one.""",
    found=r"""**Assumption: $\operatorname{vec}$ stacks the rows of $W$** (as torch and NumPy flatten). With the
columns stacked, the textbook's $\operatorname{vec}$, the block is $x x^\top \otimes v v^\top$. The two agree for
$k = 1$ or $d = 1$, so the smallest example that tells them apart has $k = d = 2$.""",
    proof=r"""$\partial^2 L / \partial W_{ab}\, \partial W_{ce} = v_a x_b\, v_c x_e$. With rows stacked, entry
$W_{ab}$ is number $(a - 1) d + b$, which is where $v \otimes x$ has $v_a x_b$; hence
$(v \otimes x)(v \otimes x)^\top = v v^\top \otimes x x^\top$.""",
    rests="The proof covers all k and d; SymPy and autograd confirm it at the sizes below.",
    formulas={"block": Formula(lambda v, x: kron(v @ v.T, x @ x.T))},
    claims=_lemma2_ww,
    counterexample=_lemma2_ww_columns,
    sizes=((1, 2), (2, 2), (2, 3)),
)


def _mixed(W: Matrix, v: Matrix, x: Matrix, y: Scalar) -> Matrix:
    """Return ∂/∂v of vec_r(∇_W L)ᵀ, a k×kd matrix: one row for each entry of v."""

    def slope(u: Matrix) -> Matrix:
        return gradient(lambda V: supervised_loss(V, u, x, y), W)

    return jacobian(slope, v).T


def _lemma2_mixed(f: Formulas, s: World) -> Claims:
    W, v, x, y = _network(s)
    yield equal("mixed block", f.block(W, v, x, y), _mixed(W, v, x, y))


def _lemma2_mixed_two_rows(f: Formulas) -> Claims:
    W, v, x = sympy.eye(2), sympy.Matrix([1, 0]), sympy.Matrix([1, 0])
    yield equal(
        r"$k = d = 2$, $W = I$, $v = x = (1, 0)$, $y = 0$: mixed block", f.block(W, v, x, 0), _mixed(W, v, x, 0)
    )


LEMMA2_MIXED = Statement(
    id="lemma2_Wv",
    title="Lemma 2, block $H_{Wv}$",
    place="appendix C.1, step 2",
    verdict="notation",
    line="right for k = 1; for k > 1 the printed product has no meaning until two ⊗ are put in",
    says=rf"For {SUPERVISED}: $H_{{Wv}} = (W x)\, v x^\top - (y - v^\top W x)\, x^\top$.",
    meant="The paper says that it continues with $k = 1$, and for $k = 1$ the formula is right.",
    found=r"""For $k > 1$ the first product would multiply a $k \times 1$ by a $k \times d$ matrix, and the second
term is a row of length $d$. With one row for each entry of $v$ and the rows of $W$ stacked, the block is

$$H_{vW} = (W x)\,(v \otimes x)^\top - (y - v^\top W x)\,(I_k \otimes x^\top) \in \mathbb{R}^{k \times kd},$$

which for $k = 1$ is the printed line letter by letter.""",
    proof=r"""With $r = y - v^\top W x$:
$\partial^2 L / \partial v_c\, \partial W_{ab} = (Wx)_c\, v_a x_b - r\, [a = c]\, x_b$. The first term is entry
$(c, ab)$ of $(Wx)(v \otimes x)^\top$, the second of $I_k \otimes x^\top$.""",
    rests="The proof covers all k and d; SymPy and autograd confirm it at the sizes below.",
    formulas={
        "block": Formula(
            holds=lambda W, v, x, y: (
                (W @ x) @ kron(v, x).T - _residual(W, v, x, y) * kron(identity(W.shape[0], W), x.T)
            ),
            printed=lambda W, v, x, y: (W @ x) @ (v @ x.T) - _residual(W, v, x, y) * x.T,
        )
    },
    claims=_lemma2_mixed,
    counterexample=_lemma2_mixed_two_rows,
    sizes=((1, 2), (2, 2), (2, 3)),
)


def _output_loss(theta: Matrix, delta: Matrix, eps: Scalar) -> Scalar:
    """Return |f(x) − f(x + εδ)|² of f = vᵀWx as a function of θ, a k×(d+1) matrix with v in its first column."""
    v, W = theta[:, :1], theta[:, 1:]
    return (eps * scalar(v.T @ W @ delta)) ** 2


def _join(v: Matrix, W: Matrix) -> Matrix:
    return torch.cat([v, W], dim=1) if isinstance(W, torch.Tensor) else v.row_join(W)


def _def2_v(f: Formulas, s: World) -> Claims:
    W, v, delta, eps = s.matrix("W", s.k, s.d), s.matrix("v", s.k, 1), s.unit("t", s.d), s.positive("eps")
    theta = _join(v, W)
    g = gradient(lambda t: _output_loss(t, delta, eps), theta)
    H = hessian(lambda t: _output_loss(t, delta, eps), theta)
    # Hθ = 3g puts g in the range of H, so that gᵀH⁺g = gᵀθ/3 without any pseudo-inverse
    yield equal(r"$H\theta = 3g$", H @ rows(theta), 3 * rows(g))
    yield equal(
        r"influence on the network's output", f.influence(v, W, delta, eps), -scalar(rows(g).T @ rows(theta)) / 3
    )


def _def2_v_numbers(f: Formulas, s: World) -> Claims:
    W, v, delta, eps = s.matrix("W", s.k, s.d), s.matrix("v", s.k, 1), s.unit("t", s.d), s.positive("eps")
    theta = _join(v, W)
    g = gradient(lambda t: _output_loss(t, delta, eps), theta)
    H = hessian(lambda t: _output_loss(t, delta, eps), theta)
    yield equal("the same with the pseudo-inverse", f.influence(v, W, delta, eps), undamped(g, H))


def _def2_v_scalars(f: Formulas) -> Claims:
    v, W, delta = sympy.Matrix([2]), sympy.Matrix([1]), sympy.Matrix([1])
    eps = sympy.Symbol("epsilon", positive=True)
    theta = _join(v, W)
    g = gradient(lambda t: _output_loss(t, delta, eps), theta)
    H = hessian(lambda t: _output_loss(t, delta, eps), theta)
    yield equal(
        r"$k = d = 1$, $v = 2$, $W = \delta = 1$, loss on $f$: influence",
        f.influence(v, W, delta, eps),
        undamped(g, H),
    )


DEF2_V = Statement(
    id="def2_v",
    title="Definition 2, the role of the second layer",
    place="section 3.1 (Theorem 1) and appendix C.1, step 1",
    verdict="definition",
    line="v is defined away: the loss never sees it; measured on f itself the result is another one",
    says=r"""Theorem 1 is about a two-layer linear network $f(x) = v^\top (W x)$: its influence, under the squared
distance of the two views, is $-2\varepsilon^2 \lVert W\delta \rVert^2$ (for $\lambda \to 0$).""",
    meant=r"""$L_{ssl}$ is stated explicitly on $Wx$, the hidden representation, as self-supervised losses act on a
representation and not on a prediction. Read so, Theorem 1 is about the linear encoder $x \mapsto Wx$ and there is
no second layer in it.""",
    found=r"""$v$ does not occur in $L_{ssl}$: Definition 2 and Lemmas 1 and 2 play no part in the self-supervised
result. If the loss is taken on the output of the network of Definition 2,
$L = \lvert f(x) - f(x_{aug}) \rvert^2 = \varepsilon^2 (v^\top W \delta)^2$, then Eq. 4 gives, for the parameters
$(v, W)$ and one example's own Hessian,

$$-g^\top H^{+} g = -\tfrac43\, \varepsilon^2 (v^\top W \delta)^2 .$$

So the number of Theorem 1 is that of the encoder by definition; the network would have another one. (The cosine
distance of Eq. 6 says even less about $f$: between two numbers it is 0 or 2, and its gradient vanishes.)""",
    proof=r"""$L$ is homogeneous of degree 4 in $\theta = (v, W)$. Euler's theorem gives $\theta^\top g = 4L$ and
$H\theta = 3g$, so $g \in \operatorname{range} H$ and $g^\top H^{+} g = g^\top \theta / 3 = \tfrac43 L$; see
{prf:ref}`ext_homogeneous`.""",
    rests=r"""The proof covers all k and d; SymPy confirms $H\theta = 3g$ at the sizes below, numbers confirm the
pseudo-inverse.""",
    formulas={
        "influence": Formula(
            holds=lambda v, W, delta, eps: -4 * eps**2 * scalar(v.T @ W @ delta) ** 2 / 3,
            printed=lambda v, W, delta, eps: -2 * eps**2 * norm2(W @ delta),
        )
    },
    claims=_def2_v,
    numeric=_def2_v_numbers,
    counterexample=_def2_v_scalars,
    sizes=((1, 2), (2, 2)),
)

STATEMENTS = (LEMMA1, LEMMA2_VV, LEMMA2_WW, LEMMA2_MIXED, DEF2_V)
