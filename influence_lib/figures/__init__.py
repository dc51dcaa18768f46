"""Figures of the book, by kind of picture: each function returns a matplotlib figure and computes nothing.

Alt text, a caption and a name belong to the cell that shows a figure (``mystnb: image: alt:``, ``mystnb: figure:``);
the book does not build without them. `interactive.score_map`, which needs more packages, is imported from its module.
"""

from influence_lib.optional import needed

with needed("influence_lib.figures", "run `pip install matplotlib`"):
    from influence_lib.figures.curves import (
        collapse_monitors,
        damping_curves,
        draws_curves,
        eigenvalue_spectra,
        loss_curves,
        precision_recall_curves,
        representation_curves,
        training_curve,
        turned_curves,
        upweighting,
    )
    from influence_lib.figures.distributions import log_score_violins, score_distributions
    from influence_lib.figures.images import augmented_views, image_mosaics, image_rows
    from influence_lib.figures.intervals import interval_dots, matrix_distances
    from influence_lib.figures.maps import layout_panels, loss_directions, score_against, two_trainings
    from influence_lib.figures.matrices import (
        agreement_matrix,
        correlation_table,
        cross_influence_matrices,
        curvature_matrices,
    )
    from influence_lib.figures.theory import cosine_and_euclidean, group_remainder, leverage_plane, orders
    from influence_lib.figures.trends import claim_against_scale, decile_curves

__all__ = [
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
    "image_mosaics",
    "image_rows",
    "interval_dots",
    "layout_panels",
    "leverage_plane",
    "log_score_violins",
    "loss_curves",
    "loss_directions",
    "matrix_distances",
    "orders",
    "precision_recall_curves",
    "representation_curves",
    "score_against",
    "score_distributions",
    "training_curve",
    "turned_curves",
    "two_trainings",
    "upweighting",
]
