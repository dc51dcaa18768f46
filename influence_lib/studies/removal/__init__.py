"""Leave images out and train again, beside trainings without random images."""

from influence_lib.studies.removal.arms import Arm, arms, as_many_of_each_class, tenths
from influence_lib.studies.removal.effects import effects, paired_difference, power_table, trainings_needed
from influence_lib.studies.removal.predicting import group_changes, predictions, predictions_in_words
from influence_lib.studies.removal.progress import Progress, planned, progress_text
from influence_lib.studies.removal.retraining import Retraining
from influence_lib.studies.removal.sentences import (
    class_balance,
    drawn,
    gains_in_words,
    missing_in_words,
    power_in_words,
)
from influence_lib.studies.removal.sweep import COLUMNS, RANKINGS, Sweep

__all__ = [
    "COLUMNS",
    "RANKINGS",
    "Arm",
    "Progress",
    "Retraining",
    "Sweep",
    "arms",
    "as_many_of_each_class",
    "class_balance",
    "drawn",
    "effects",
    "gains_in_words",
    "group_changes",
    "missing_in_words",
    "paired_difference",
    "planned",
    "power_in_words",
    "power_table",
    "predictions",
    "predictions_in_words",
    "progress_text",
    "tenths",
    "trainings_needed",
]
