"""Where the score comes from, in the smallest case: one parameter, and one example that counts for more or for less."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from influence_lib.errors import reject

__all__ = ["Upweighting", "upweight"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Upweighting:
    """The minimum of a mean loss of one parameter θ, and how it moves with the weight of the last example.

    The loss of an example is log cosh(θ − target), which has a slope between −1 and 1.

    Attributes
    ----------
    targets : array
        N, one an example.
    weights : array
        What the last example gains, in addition to its own 1/N.
    minima : array
        The minimum at each weight.
    minimum, gradient, curvature : float
        At weight 0: the minimum θ̂, the last example's derivative g there, and the second derivative H of the mean loss.
    """

    targets: Array
    weights: Array
    minima: Array
    minimum: float
    gradient: float
    curvature: float

    def objective(self, θ: Array, weight: float = 0.0) -> Array:
        """Return the mean loss, plus the last example's loss times a weight, at some values of θ."""
        losses = _loss(np.subtract.outer(θ, self.targets))
        return losses.mean(axis=-1) + weight * losses[..., -1]

    @property
    def tangent(self) -> Array:
        """The first order of the minimum at each weight, θ̂ − w g / H."""
        return self.minimum - self.weights * self.gradient / self.curvature

    @property
    def left_out(self) -> tuple[float, float]:
        """How far the minimum moves when the last example is left out, and the first order of that."""
        return _minimum(self.targets, -1 / len(self.targets)) - self.minimum, self.gradient / self._scale

    @property
    def rise(self) -> tuple[float, float]:
        """How much the last example's loss rises when it is left out, and its self-influence over N."""
        before = self.minimum - self.targets[-1]
        after = before + self.left_out[0]
        return float(_loss(after) - _loss(before)), self.gradient**2 / self._scale

    @property
    def _scale(self) -> float:
        return self.curvature * len(self.targets)


def upweight(targets: Array, weights: Array) -> Upweighting:
    """Return how the minimum of a mean loss moves with the weight of the last example.

    Parameters
    ----------
    targets : array
        One an example, two or more.
    weights : array
        What the last example gains; −1/N leaves it out.

    Raises
    ------
    InputError
        If there are fewer than two targets, or a weight is less than −1/N.

    Examples
    --------
    >>> toy = upweight(np.array([-1.0, 0.0, 1.0]), np.array([-1 / 3, 0.0]))
    >>> toy.minima.round(6).tolist()
    [-0.5, 0.0]
    """
    targets, weights = np.asarray(targets, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if targets.ndim != 1 or len(targets) < 2 or not np.isfinite(targets).all():
        reject("targets", targets.tolist(), "two finite numbers or more")
    if not (weights >= -1 / len(targets)).all() or not np.isfinite(weights).all():
        reject("weights", weights.tolist(), f"finite and at least -1/{len(targets)}, which leaves the example out")
    minimum = _minimum(targets, 0.0)
    return Upweighting(
        targets,
        weights,
        minima=np.array([_minimum(targets, weight) for weight in weights]),
        minimum=minimum,
        gradient=float(np.tanh(minimum - targets[-1])),
        curvature=float((1 / np.cosh(minimum - targets) ** 2).mean()),
    )


def _loss(x: Array) -> Array:
    """Return log cosh x, also where cosh x overflows."""
    return np.logaddexp(x, -x) - np.log(2)


def _minimum(targets: Array, weight: float) -> float:
    """Return where the derivative of the weighted mean loss is 0; it does not fall, and changes its sign in between."""

    def slope(θ: float) -> float:
        slopes = np.tanh(θ - targets)
        return float(slopes.mean() + weight * slopes[-1])

    return float(brentq(slope, targets.min() - 1, targets.max() + 1, xtol=1e-12))
