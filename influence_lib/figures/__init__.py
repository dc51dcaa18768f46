"""Figures of the book: each function returns a matplotlib figure and computes nothing.

Alt text belongs to the cell that shows a figure (``mystnb: image: alt:``); the book does not build without it.
"""

from influence_lib.optional import needed

with needed("influence_lib.figures", "run `pip install matplotlib`"):
    from influence_lib.figures.pretraining import augmented_views, collapse_monitors, loss_curves, loss_directions
    from influence_lib.figures.scores import (
        agreement_matrix,
        image_rows,
        score_against,
        score_distributions,
        training_curve,
    )
    from influence_lib.figures.scoring import (
        agreement_and_reliability,
        cross_influence_matrices,
        curvature_matrices,
        damping_curves,
        draws_curves,
        eigenvalue_spectra,
        interval_dots,
        matrix_distances,
        upweighting,
    )
    from influence_lib.figures.stability import correlation_table, log_score_violins, two_trainings
    from influence_lib.figures.theory import cosine_and_euclidean, group_remainder, leverage_plane, orders
    from influence_lib.figures.trends import claim_against_scale, decile_curves

__all__ = [
    "agreement_and_reliability",
    "agreement_matrix",
    "augmented_views",
    "claim_against_scale",
    "collapse_monitors",
    "correlation_table",
    "cosine_and_euclidean",
    "cross_influence_matrices",
    "curvature_matrices",
    "damping_curves",
    "decile_curves",
    "draws_curves",
    "eigenvalue_spectra",
    "group_remainder",
    "image_rows",
    "interval_dots",
    "leverage_plane",
    "log_score_violins",
    "loss_curves",
    "loss_directions",
    "matrix_distances",
    "orders",
    "score_against",
    "score_distributions",
    "training_curve",
    "two_trainings",
    "upweighting",
]
