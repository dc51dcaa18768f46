"""Two-view losses, perturbations and self-influence."""

from influence_lib.influence.agreement import Agreement, rank_agreement, top_overlap
from influence_lib.influence.perturbations import GaussianNoise, Perturbation
from influence_lib.influence.scores import Scores, random_score, raw_loss, self_influence
from influence_lib.influence.stored import stored_scores

__all__ = [
    "Agreement",
    "GaussianNoise",
    "Perturbation",
    "Scores",
    "random_score",
    "rank_agreement",
    "raw_loss",
    "self_influence",
    "stored_scores",
    "top_overlap",
]
