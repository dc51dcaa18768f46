"""Where the loss stops explaining the score: the score bends over in the loss."""

from influence_lib.studies.bend.curve import FLAT, Bend, by_decile, find_bend, find_bends
from influence_lib.studies.bend.factors import (
    FACTORS,
    BendingFactors,
    bending_factors,
    curves,
    factors_of_score,
    layer_shares,
)
from influence_lib.studies.bend.gradients import GradientParts, gradient_parts
from influence_lib.studies.bend.top import (
    TopAgreement,
    TopImages,
    agreement_at_the_top,
    agreements_at_the_top,
    top_images,
)

__all__ = [
    "FACTORS",
    "FLAT",
    "Bend",
    "BendingFactors",
    "GradientParts",
    "TopAgreement",
    "TopImages",
    "agreement_at_the_top",
    "agreements_at_the_top",
    "bending_factors",
    "by_decile",
    "curves",
    "factors_of_score",
    "find_bend",
    "find_bends",
    "gradient_parts",
    "layer_shares",
    "top_images",
]
