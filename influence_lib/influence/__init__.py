"""Two-view losses, perturbations and self-influence."""

from influence_lib.influence.agreement import (
    corrected_agreement,
    partial_agreement,
    percentile_difference,
    rank_agreement,
    top_overlap,
)
from influence_lib.influence.baselines import embedding_norm, knn_distance, random_score, raw_loss, statistic_scores
from influence_lib.influence.cross import CrossInfluence, cross_influence
from influence_lib.influence.neighbours import nearest_others
from influence_lib.influence.scores import Deviation, Scores
from influence_lib.influence.scoring import self_influence
from influence_lib.influence.stored import are_stored, stored_cross_influence, stored_scores
from influence_lib.influence.views.gradients import per_sample_gradients
from influence_lib.influence.views.perturbations import (
    TABLE_4,
    Augmentations,
    ContrastNoise,
    GaussianNoise,
    Perturbation,
    RandomCrop,
    SharedDraws,
)

__all__ = [
    "TABLE_4",
    "Augmentations",
    "ContrastNoise",
    "CrossInfluence",
    "Deviation",
    "GaussianNoise",
    "Perturbation",
    "RandomCrop",
    "Scores",
    "SharedDraws",
    "are_stored",
    "corrected_agreement",
    "cross_influence",
    "embedding_norm",
    "knn_distance",
    "nearest_others",
    "partial_agreement",
    "per_sample_gradients",
    "percentile_difference",
    "random_score",
    "rank_agreement",
    "raw_loss",
    "self_influence",
    "statistic_scores",
    "stored_cross_influence",
    "stored_scores",
    "top_overlap",
]
