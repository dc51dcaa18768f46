"""Measured answers to the papers' claims: numbers and tables, no pictures.

A study takes scores, images or encoders, whoever made them, and returns a table or a small dataclass.
"""

from influence_lib.studies.comparison import (
    all_agreements,
    correlates,
    extremes,
    mean_distance,
    shared_top,
    top_size,
)
from influence_lib.studies.pretraining import (
    accuracies,
    augmented,
    collapse,
    examples,
    hyper_parameters,
    loss_directions,
    pairs_in_the_plane,
)
from influence_lib.studies.scorer import Scorer
from influence_lib.studies.stability import (
    PAPER_DEFAULTS,
    PAPER_LOG_SCORES,
    PAPER_TABLE_4,
    STRENGTHS,
    LogScores,
    Orders,
    between_trainings,
    distributions,
    explained_variance,
    left_between_trainings,
    log_scores,
    moments,
    orders,
    skewness,
    strongest,
    two_readings,
)

__all__ = [
    "PAPER_DEFAULTS",
    "PAPER_LOG_SCORES",
    "PAPER_TABLE_4",
    "STRENGTHS",
    "LogScores",
    "Orders",
    "Scorer",
    "accuracies",
    "all_agreements",
    "augmented",
    "between_trainings",
    "collapse",
    "correlates",
    "distributions",
    "examples",
    "explained_variance",
    "extremes",
    "hyper_parameters",
    "left_between_trainings",
    "log_scores",
    "loss_directions",
    "mean_distance",
    "moments",
    "orders",
    "pairs_in_the_plane",
    "shared_top",
    "skewness",
    "strongest",
    "top_size",
    "two_readings",
]
