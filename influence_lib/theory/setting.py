"""The paper's setting: a linear encoder, a perturbed view, and the losses between the two representations.

``x`` and ``delta`` are columns of d entries, ``W`` is k×d, ``eps`` is the size of the perturbation. Everything
takes SymPy matrices or torch tensors, see `influence_lib.theory.algebra`.
"""

from collections.abc import Callable

import sympy

from influence_lib.theory.algebra import (
    Matrix,
    Scalar,
    gradient,
    hessian,
    influence,
    norm2,
    scalar,
    sqrt,
    trace,
    undamped,
)
from influence_lib.theory.worlds import World

__all__ = [
    "EPS",
    "cosine_loss",
    "dataset_influence",
    "dataset_loss",
    "free_encoder",
    "own_influence",
    "ssl_loss",
    "supervised_loss",
]


EPS = sympy.Symbol("epsilon", positive=True)  # ε of the counterexamples


def free_encoder(s: World) -> tuple[Matrix, Matrix, Scalar]:
    """Return an arbitrary encoder W (k×d), a unit perturbation δ and its size ε."""
    return s.matrix("W", s.k, s.d), s.unit("t", s.d), s.positive("eps")


def supervised_loss(W: Matrix, v: Matrix, x: Matrix, y: Scalar) -> Scalar:
    """Return ½(y − vᵀWx)² (Definition 2)."""
    return (y - scalar(v.T @ W @ x)) ** 2 / 2


def ssl_loss(W: Matrix, x: Matrix, delta: Matrix, eps: Scalar) -> Scalar:
    """Return ‖Wx − W(x + εδ)‖² (Definition 3), unsimplified."""
    return norm2(W @ x - W @ (x + eps * delta))


def dataset_loss(W: Matrix, D: Matrix, eps: Scalar) -> Scalar:
    """Return the mean over the columns δ_i of D (d×n) of ε²‖Wδ_i‖² (Eq. 1 with Definition 3's loss)."""
    return eps**2 * norm2(W @ D) / D.shape[1]


def cosine_loss(W: Matrix, x: Matrix, delta: Matrix, eps: Scalar) -> Scalar:
    """Return 1 − cos(Wx, W(x + εδ)) (Eq. 6)."""
    a, b = W @ x, W @ (x + eps * delta)
    return 1 - trace(a.T @ b) / (sqrt(norm2(a)) * sqrt(norm2(b)))


def own_influence(W: Matrix, delta: Matrix, eps: Scalar, damping: Scalar | None = None) -> Scalar:
    """Return the self-influence under the Hessian of the example's own loss, from derivatives alone.

    Parameters
    ----------
    W, delta, eps
        The encoder and the perturbation; the loss ‖W(εδ)‖² does not depend on x. With m columns in `delta`
        (d×m) it is the summed loss of a group.
    damping : scalar, optional
        λ > 0. Left out, the limit λ → 0 is taken.
    """
    return _influence(W, lambda V: norm2(V @ (eps * delta)), lambda V: norm2(V @ (eps * delta)), damping)


def dataset_influence(W: Matrix, delta: Matrix, D: Matrix, eps: Scalar, damping: Scalar | None = None) -> Scalar:
    """Return the self-influence under the Hessian of the mean loss over a data set, from derivatives alone.

    Parameters
    ----------
    W, delta, eps, damping
        As for `own_influence`.
    D : d×n matrix
        The perturbations of the data set.
    """
    return _influence(W, lambda V: norm2(V @ (eps * delta)), lambda V: dataset_loss(V, D, eps), damping)


def _influence(
    W: Matrix, loss: Callable[[Matrix], Scalar], curved: Callable[[Matrix], Scalar], damping: Scalar | None
) -> Scalar:
    """Return −gᵀ(H + λI)⁻¹g with the gradient of one loss and the Hessian of another."""
    g, H = gradient(loss, W), hessian(curved, W)
    return undamped(g, H) if damping is None else influence(g, H, damping)
