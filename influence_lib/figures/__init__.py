"""Figures of the book: each function returns a matplotlib figure and computes nothing.

Alt text belongs to the cell that shows a figure (``mystnb: image: alt:``); the book does not build without it.
"""

from influence_lib.figures.scores import (
    agreement_matrix,
    image_rows,
    score_against,
    score_distributions,
    training_curve,
)
from influence_lib.figures.theory import cosine_and_euclidean, group_remainder, leverage_plane, orders

__all__ = [
    "agreement_matrix",
    "cosine_and_euclidean",
    "group_remainder",
    "image_rows",
    "leverage_plane",
    "orders",
    "score_against",
    "score_distributions",
    "training_curve",
]
