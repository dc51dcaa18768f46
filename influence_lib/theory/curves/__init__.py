"""The numbers behind the pictures of the theory chapter, computed in float64.

The setting is the paper's (arXiv 2412.17170, section 3): a linear encoder f(x) = Wx with W of shape k×d, and the
perturbed view x + εδ of x with ‖δ‖ = 1. The Euclidean loss of the two views is ε²‖Wδ‖², the cosine loss is
1 − cos(Wx, W(x + εδ)), and the influence of an example is −gᵀ(H + λI)⁻¹g, for the gradient g of its loss. Random
draws depend on the seed alone.
"""

from influence_lib.theory.curves.cosine import (
    Approximation,
    CosineAndEuclidean,
    Order,
    Orders,
    cosine_and_euclidean,
    cosine_loss,
    orders,
)
from influence_lib.theory.curves.groups import GroupRemainder, Remainder, group_remainder
from influence_lib.theory.curves.leverage import LeveragePlane, leverage_plane, minimal_flip

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
