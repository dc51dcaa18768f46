"""The numbers behind the pictures of the theory chapter, computed in float64.

The setting is the paper's (arXiv 2412.17170, section 3): a linear encoder f(x) = Wx with W of shape k×d, and the
perturbed view x + εδ of x with ‖δ‖ = 1. The Euclidean loss of the two views is ε²‖Wδ‖², the cosine loss is
1 − cos(Wx, W(x + εδ)), and the influence of an example is −gᵀ(H + λI)⁻¹g, for the gradient g of its loss. Random
draws depend on the seed alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from influence_lib.errors import reject

__all__ = [
    "Approximation",
    "CosineAndEuclidean",
    "GroupRemainder",
    "LeveragePlane",
    "Order",
    "Orders",
    "Remainder",
    "cosine_and_euclidean",
    "cosine_loss",
    "group_remainder",
    "leverage_plane",
    "minimal_flip",
    "orders",
]

Array = NDArray[np.float64]
FAR = 6  # one direction in so many lies near the rare axis
SPREAD = 0.2  # standard deviation, in radians, of the directions about their axis
LENGTHS = (0.3, 3.0)  # shortest and longest example, relative to √d
EPSILONS = (1e-3, 1.0)  # range of the perturbation's size
PER_DECADE = 40  # points of a curve in ε
FITTED = 5  # points at the small end from which its order is read
ROUNDING = 1e-10  # differences below this part of the largest number are taken for rounding errors


@dataclass(frozen=True)
class LeveragePlane:
    """Influence of examples in the plane under their own Hessians and under the data set's (Theorem 1).

    Influences are magnitudes, undamped and divided by ε².

    Attributes
    ----------
    directions : ndarray of shape (n, 2)
        Unit directions δ_i of the perturbations.
    encoder : ndarray of shape (2,)
        The one row of W.
    movement : ndarray of shape (n,)
        ‖Wδ_i‖², what the ranking of the paper rests on.
    leverage : ndarray of shape (n,)
        ℓ_i = δ_iᵀΣ̂⁺δ_i with Σ̂ the mean of δ_iδ_iᵀ; the mean over the examples is the rank of Σ̂.
    own, dataset : ndarray of shape (n,)
        2‖Wδ_i‖² under each example's own Hessian, and 2‖Wδ_i‖²ℓ_i under the mean Hessian.
    own_rank, dataset_rank : ndarray of shape (n,)
        Ranks of the two, 1 the largest; tied examples share their mean rank.
    flips : int64 ndarray of shape (p, 2)
        The pairs i, j with own_i > own_j and dataset_i < dataset_j.
    ellipse : ndarray of shape (m, 2)
        The closed curve of the points whose leverage is the mean.
    """

    directions: Array
    encoder: Array
    movement: Array
    leverage: Array
    own: Array
    dataset: Array
    own_rank: Array
    dataset_rank: Array
    flips: NDArray[np.int64]
    ellipse: Array


def minimal_flip() -> LeveragePlane:
    """Return the smallest change of order: δ = (e₁, e₁, e₂) and W = (4, 3)."""
    return _plane(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64), (4.0, 3.0))


def leverage_plane(n: int = 12, encoder: Sequence[float] = (4.0, 3.0), seed: int = 0) -> LeveragePlane:
    """Return n directions of which most lie near the first axis and one in six near the second.

    Parameters
    ----------
    n : int
        Number of examples, at least 3.
    encoder : sequence of two floats
        The one row of W, not zero.
    seed : int
        Of the directions.

    Raises
    ------
    InputError
        If `n` or `encoder` is not allowed.
    """
    _at_least("n", n, 3)
    if len(encoder) != 2 or not all(math.isfinite(w) for w in encoder) or not any(encoder):
        reject("encoder", encoder, "two finite numbers that are not both zero")
    far = torch.arange(n) >= n - math.ceil(n / FAR)
    angles = SPREAD * _normal(seed, n) + far * (torch.pi / 2)
    return _plane(torch.stack([angles.cos(), angles.sin()], 1), encoder)


def _plane(directions: Tensor, encoder: Sequence[float]) -> LeveragePlane:
    W = torch.tensor([encoder], dtype=torch.float64)
    second_moment = directions.T @ directions / len(directions)
    leverage = ((directions @ torch.linalg.pinv(second_moment, hermitian=True)) * directions).sum(1)
    movement = (directions @ W.T).square().sum(1)
    own, dataset = 2 * movement, 2 * movement * leverage

    # the points √ℓ Σ̂^½ (cos t, sin t) have leverage ℓ
    turn = torch.linspace(0, 2 * torch.pi, 201, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(second_moment)
    circle = torch.stack([turn.cos(), turn.sin()], 1)
    ellipse = leverage.mean().sqrt() * circle @ (vectors * values.clamp(min=0).sqrt()).T

    own_rank, dataset_rank = _ranks(-own.numpy()), _ranks(-dataset.numpy())
    ahead = own_rank[:, None] < own_rank
    behind = dataset_rank[:, None] > dataset_rank
    return LeveragePlane(
        directions=directions.numpy(),
        encoder=W[0].numpy(),
        movement=movement.numpy(),
        leverage=leverage.numpy(),
        own=own.numpy(),
        dataset=dataset.numpy(),
        own_rank=own_rank,
        dataset_rank=dataset_rank,
        flips=np.argwhere(ahead & behind),
        ellipse=ellipse.numpy(),
    )


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
    """
    _check_cosine(k, d)
    _at_least("n", n, 2)
    _positive("eps", eps)
    draws = _normal(seed, k + 2 * n, d)
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
    """
    _check_cosine(k, d)
    _positive("damping", damping)
    draws = _normal(seed, k + 2, d)
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


@dataclass(frozen=True)
class Remainder:
    """The remainder R(S) = I(S) − Σ_{i∈S} I(i) of group influences (Claims 6 and 7), divided by ε².

    Attributes
    ----------
    printed : ndarray of shape (m,)
        The paper's −4 Σ_{i<j} (Wδ_i)ᵀ(Wδ_j).
    printed_bound : ndarray of shape (m,)
        The paper's bound of its magnitude, 2m(m − 1)σ² for a subset of m examples, with σ the largest
        singular value of W.
    own : ndarray of shape (m,)
        From the definition, undamped: subset and single examples each under the Hessian of their own loss.
    dataset : ndarray of shape (m,)
        From the definition, undamped: all under the Hessian of the sum of the n losses.
    dataset_bound : ndarray of shape (m,)
        Bound of the magnitude of `dataset`, 2(m − 1)σ².
    """

    printed: Array
    printed_bound: Array
    own: Array
    dataset: Array
    dataset_bound: Array


@dataclass(frozen=True)
class GroupRemainder:
    """The remainder of group influences for subsets of growing size.

    Attributes
    ----------
    sizes : int64 ndarray of shape (m,)
        Sizes 2, …, n of the subset S.
    copies : Remainder
        S holds all copies of one example, the one that the encoder stretches most; the other examples are random.
    random : Remainder
        S holds the first of n random examples.
    """

    sizes: NDArray[np.int64]
    copies: Remainder
    random: Remainder


def group_remainder(k: int = 3, d: int = 8, n: int = 24, seed: int = 0) -> GroupRemainder:
    """Return the remainder of group influences for copies of one example and for random examples.

    The entries of W are standard normal; random examples have uniform unit directions δ_i.

    Parameters
    ----------
    k, d : int
        Size of the encoder.
    n : int
        Number of examples in the data set, at least 2.
    seed : int
        Of encoder and examples.

    Raises
    ------
    InputError
        If `k`, `d` or `n` is not allowed.
    """
    _at_least("k", k, 1)
    _at_least("d", d, 1)
    _at_least("n", n, 2)
    draws = _normal(seed, k + n, d)
    W, directions = draws[:k], torch.nn.functional.normalize(draws[k:], dim=1)
    stretched = torch.linalg.svd(W).Vh[0]
    sizes = range(2, n + 1)
    copied = [torch.cat([stretched.expand(size, d), directions[size:]]) for size in sizes]
    return GroupRemainder(
        sizes=np.array(sizes),
        copies=_remainder(W, copied, sizes),
        random=_remainder(W, [directions] * len(sizes), sizes),
    )


def _remainder(W: Tensor, data_sets: Sequence[Tensor], sizes: Sequence[int]) -> Remainder:
    """Return the remainders of the subsets that hold the first examples of each data set (n×d)."""
    rows = []
    for data, size in zip(data_sets, sizes, strict=True):
        subset = data[:size]
        singles = subset[:, None, :]
        moved = subset @ W.T
        products = moved @ moved.T
        own = _group_influence(W, subset, subset) - sum(_group_influence(W, one, one) for one in singles)
        dataset = _group_influence(W, subset, data) - sum(_group_influence(W, one, data) for one in singles)
        rows.append([-4 * products.triu(diagonal=1).sum(), own, dataset])
    values = torch.tensor(rows, dtype=torch.float64).numpy()
    square = float(torch.linalg.matrix_norm(W, 2)) ** 2
    members = np.array(sizes, dtype=np.float64)
    return Remainder(
        printed=values[:, 0],
        printed_bound=2 * members * (members - 1) * square,
        own=values[:, 1],
        dataset=values[:, 2],
        dataset_bound=2 * (members - 1) * square,
    )


def _group_influence(W: Tensor, subset: Tensor, data: Tensor) -> Tensor:
    """Return −gᵀH⁺g/ε², with g the gradient of the subset's summed loss and H the Hessian of the data's.

    Both have W's shape on the left: g = 2ε²W Σδδᵀ over the subset, and H takes V to 2ε²V Σδδᵀ over the data.
    """
    gradient = 2 * W @ (subset.T @ subset)
    inverse = torch.linalg.pinv(2 * data.T @ data, hermitian=True, rtol=ROUNDING)
    return -((gradient @ inverse) * gradient).sum()


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _orthogonal_units(vectors: Tensor, units: Tensor) -> Tensor:
    """Return the rows of `vectors` without their parts along the rows of `units`, at length one."""
    across = vectors - (vectors * units).sum(1, keepdim=True) * units
    return torch.nn.functional.normalize(across, dim=1)


def _ranks(values: Array) -> Array:
    """Return ranks from 1, the smallest; values that differ by rounding alone share their mean rank."""
    return rankdata(np.round(values / (ROUNDING * np.abs(values).max())))


def _check_cosine(k: int, d: int) -> None:
    _at_least("k", k, 2)
    _at_least("d", d, 2)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        reject(name, value, f"at least {least}")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        reject(name, value, "a finite number above 0")
