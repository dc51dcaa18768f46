"""What stays of a score when what is arbitrary changes: the training, the perturbation, the loss."""

from influence_lib.studies.stability.distributions import (
    PAPER_LOG_SCORES,
    LogScores,
    Orders,
    distributions,
    log_scores,
    moments,
    orders,
    skewness,
)
from influence_lib.studies.stability.perturbations import PAPER_DEFAULTS, PAPER_TABLE_4, STRENGTHS, two_readings
from influence_lib.studies.stability.replicated import (
    AlongTrainings,
    agreement_of_trainings,
    along_trainings,
    correlation_with,
    high_scores,
    score_and_loss,
    shift,
)
from influence_lib.studies.stability.statistics import explained_variance, strongest
from influence_lib.studies.stability.trainings import between_trainings, left_between_trainings

__all__ = [
    "PAPER_DEFAULTS",
    "PAPER_LOG_SCORES",
    "PAPER_TABLE_4",
    "STRENGTHS",
    "AlongTrainings",
    "LogScores",
    "Orders",
    "agreement_of_trainings",
    "along_trainings",
    "between_trainings",
    "correlation_with",
    "distributions",
    "explained_variance",
    "high_scores",
    "left_between_trainings",
    "log_scores",
    "moments",
    "orders",
    "score_and_loss",
    "shift",
    "skewness",
    "strongest",
    "two_readings",
]
