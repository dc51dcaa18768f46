"""The cosine loss beside the Euclidean one, and the orders of their influences in ε."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from influence_lib.theory.curves.shared import Array, at_least, normal, positive

__all__ = ["Approximation", "CosineAndEuclidean", "Order", "Orders", "cosine_and_euclidean", "cosine_loss", "orders"]

LENGTHS = (0.3, 3.0)  # shortest and longest example, relative to √d
EPSILONS = (1e-3, 1.0)  # range of the perturbation's size
PER_DECADE = 40  # points of a curve in ε
FITTED = 5  # points at the small end from which its order is read


@dataclass(frozen=True)
class Approximation:
    """A quantity that stands in for the cosine loss.

    Attributes
    ----------
    values : ndarray of shape (n,)
        One number an example.
    spearman : float
        Rank correlation with the cosine loss, in [−1, 1].
    """

    values: Array
    spearman: float


@dataclass(frozen=True)
class CosineAndEuclidean:
    """The cosine loss of random examples, and what is proposed in its place (Proposition 3).

    With a = Wx and u = Wδ, p is the part of u that is orthogonal to a.

    Attributes
    ----------
    loss : ndarray of shape (n,)
        L_cos = 1 − cos(Wx, W(x + εδ)).
    raw : Approximation
        The Euclidean loss ε²‖u‖².
    printed : Approximation
        The paper's ε²‖u‖² / (2‖a‖²).
    corrected : Approximation
        The second-order term ε²‖p‖² / (2‖a‖²).
    """

    loss: Array
    raw: Approximation
    printed: Approximation
    corrected: Approximation


def cosine_and_euclidean(k: int = 3, d: int = 10, n: int = 400, eps: float = 0.03, seed: int = 0) -> CosineAndEuclidean:
    """Return the cosine loss of n random examples under one random encoder, beside its approximations.

    The entries of W are standard normal. The examples have uniform directions and lengths from
    0.3√d to 3√d, evenly spaced in their logarithm; each has a random unit direction δ ⟂ x.

    Parameters
    ----------
    k, d : int
        Size of the encoder, each at least 2: with k = 1 the cosine is 1 or −1.
    n : int
        Number of examples, at least 2.
    eps : float
        Size ε > 0 of the perturbation.
    seed : int
        Of encoder and examples.

    Raises
    ------
    InputError
        If `k`, `d`, `n` or `eps` is not allowed.

    Examples
    --------
    >>> found = cosine_and_euclidean(n=50)
    >>> found.corrected.spearman > found.raw.spearman
    True
    """
    _check_cosine(k, d)
    at_least("n", n, 2)
    positive("eps", eps)
    draws = normal(seed, k + 2 * n, d)
    W = draws[:k]
    shortest, longest = (math.log10(length * math.sqrt(d)) for length in LENGTHS)
    lengths = torch.logspace(shortest, longest, n, dtype=torch.float64)
    directions = torch.nn.functional.normalize(draws[k : k + n], dim=1)
    delta = _orthogonal_units(draws[k + n :], directions)
    a, u = (lengths[:, None] * directions) @ W.T, delta @ W.T
    loss = cosine_loss(a, u, eps)

    square = a.square().sum(1)
    p = u - a * ((a * u).sum(1) / square)[:, None]
    euclidean = eps**2 * u.square().sum(1)

    def approximation(values: Tensor) -> Approximation:
        return Approximation(values.numpy(), float(spearmanr(loss.numpy(), values.numpy()).statistic))

    return CosineAndEuclidean(
        loss=loss.numpy(),
        raw=approximation(euclidean),
        printed=approximation(euclidean / (2 * square)),
        corrected=approximation(eps**2 * p.square().sum(1) / (2 * square)),
    )


def cosine_loss(a: Tensor, u: Tensor, eps: float) -> Tensor:
    """Return 1 − cos(a, a + εu) without the cancellation of the subtraction.

    The view a + εu has a part s along a and a part q across it, so the loss is 1 − s/r with r² = s² + q², which
    for s > 0 is q² / (r(r + s)).

    Parameters
    ----------
    a, u : Tensor of shape (..., k)
        Representation of the example, not zero, and of its perturbation's direction.
    eps : float
        Size of the perturbation.

    Returns
    -------
    Tensor of shape (...)
        Losses in [0, 2].

    Examples
    --------
    >>> a, u = torch.tensor([[3.0, 0.0], [0.0, 4.0]]).double()
    >>> round(cosine_loss(a, u, eps=1.0).item(), 6)  # a triangle with the sides 3, 4 and 5
    0.4
    """
    unit = a / a.norm(dim=-1, keepdim=True)
    along = (u * unit).sum(-1, keepdim=True)
    q = eps * (u - along * unit).norm(dim=-1)
    s = a.norm(dim=-1) + eps * along[..., 0]
    r = torch.hypot(s, q)
    return torch.where(s > 0, q.square() / (r * (r + s.clamp(min=0))), 1 - s / r)


@dataclass(frozen=True)
class Order:
    """An influence as a function of ε.

    Attributes
    ----------
    influence : ndarray of shape (m,)
        −gᵀ(H + λI)⁻¹g with its sign.
    slope : float
        Its order in ε: the slope of log|influence| against log ε over the first tenth
        of a decade.
    """

    influence: Array
    slope: float


@dataclass(frozen=True)
class Orders:
    """How five influences of one example depend on the size of the perturbation.

    Attributes
    ----------
    eps : ndarray of shape (m,)
        Sizes ε of the perturbation, evenly spaced in their logarithm.
    damping : float
        λ of the damped ones.
    theorem, theorem_damped : Order
        Theorem 1 in the limit λ → 0, −2ε²‖Wδ‖², and at λ, −4ε⁴‖Wδ‖²/(λ + 2ε²).
    cosine_damped : Order
        Eq. 6: the cosine loss with the exact Hessian of that loss, at λ. The Hessian is indefinite, so the
        influence can have a pole and be positive where −λ is an eigenvalue or beyond.
    gauss_newton, gauss_newton_damped : Order
        The cosine loss with its own Gauss–Newton Hessian JᵀJ, with the pseudo-inverse and at λ. J is the
        derivative of r = Wx/‖Wx‖ − Wx′/‖Wx′‖ for the view x′ = x + εδ, and L_cos = ½‖r‖².
    """

    eps: Array
    damping: float
    theorem: Order
    theorem_damped: Order
    cosine_damped: Order
    gauss_newton: Order
    gauss_newton_damped: Order


def orders(k: int = 3, d: int = 5, damping: float = 1e-2, seed: int = 0) -> Orders:
    """Return five influences of one random example for ε between 0.001 and 1.

    The entries of W are normal with variance 1/d, and x and δ ⟂ x are random unit vectors.

    Parameters
    ----------
    k, d : int
        Size of the encoder, each at least 2: with k = 1 the cosine is 1 or −1.
    damping : float
        λ > 0 of the damped influences.
    seed : int
        Of encoder and example.

    Raises
    ------
    InputError
        If `k`, `d` or `damping` is not allowed.

    Examples
    --------
    >>> round(orders().theorem.slope)  # ε²
    2
    """
    _check_cosine(k, d)
    positive("damping", damping)
    draws = normal(seed, k + 2, d)
    W = draws[:k] / math.sqrt(d)
    x = torch.nn.functional.normalize(draws[k : k + 1], dim=1)
    delta = _orthogonal_units(draws[k + 1 :], x)[0]
    start, stop = (math.log10(eps) for eps in EPSILONS)
    eps = torch.logspace(start, stop, round((stop - start) * PER_DECADE) + 1, dtype=torch.float64)

    square = (W @ delta).square().sum()
    g, H, J = _cosine_derivatives(W, x[0], delta, eps)
    gauss_newton = J.mT @ J
    return Orders(
        eps=eps.numpy(),
        damping=damping,
        theorem=_order(eps, -2 * eps**2 * square),
        theorem_damped=_order(eps, -4 * eps**4 * square / (damping + 2 * eps**2)),
        cosine_damped=_order(eps, _damped(g, H, damping)),
        # (JᵀJ)⁺ = J⁺J⁺ᵀ, without squaring the condition number of J
        gauss_newton=_order(eps, -(torch.linalg.pinv(J.mT) @ g[..., None]).square().sum((-2, -1))),
        gauss_newton_damped=_order(eps, _damped(g, gauss_newton, damping)),
    )


def _cosine_derivatives(W: Tensor, x: Tensor, delta: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return gradient and Hessian of L_cos and the Jacobian of r in W, for each ε: (m, kd), (m, kd, kd), (m, k, kd)."""

    def loss(flat: Tensor, e: Tensor) -> Tensor:
        V = flat.view_as(W)
        a, b = V @ x, V @ (x + e * delta)
        return 1 - a @ b / (a.norm() * b.norm())

    def residual(flat: Tensor, e: Tensor) -> Tensor:
        V = flat.view_as(W)
        a, b = V @ x, V @ (x + e * delta)
        return a / a.norm() - b / b.norm()

    def at_each(derivative: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        return torch.func.vmap(derivative, in_dims=(None, 0))(W.flatten(), eps)

    return (
        at_each(torch.func.grad(loss)),
        at_each(torch.func.jacrev(torch.func.grad(loss))),  # reverse mode alone: the forward one loads slowly
        at_each(torch.func.jacrev(residual)),
    )


def _damped(g: Tensor, H: Tensor, damping: float) -> Tensor:
    unit = torch.eye(g.shape[-1], dtype=g.dtype)
    return -(g * torch.linalg.solve(H + damping * unit, g)).sum(-1)


def _order(eps: Tensor, influence: Tensor) -> Order:
    slope, _ = np.polyfit(eps[:FITTED].log(), influence[:FITTED].abs().log(), 1)
    return Order(influence.numpy(), float(slope))


def _orthogonal_units(vectors: Tensor, units: Tensor) -> Tensor:
    """Return the rows of `vectors` without their parts along the rows of `units`, at length one."""
    across = vectors - (vectors * units).sum(1, keepdim=True) * units
    return torch.nn.functional.normalize(across, dim=1)


def _check_cosine(k: int, d: int) -> None:
    at_least("k", k, 2)
    at_least("d", d, 2)
