"""Who is on top: groups at the ends of a score, against chance and against what else the photographs differ in."""

from influence_lib.optional import needed

with needed("The audit", "run `pip install statsmodels`"):
    from influence_lib.studies.fairness.audit import Audit, audit, groups_of
    from influence_lib.studies.fairness.photograph import adjusted_odds, e_value, log_odds
    from influence_lib.studies.fairness.planted import CHANGES, false_alarms, planted_groups
    from influence_lib.studies.fairness.probes import attribute_accuracies
    from influence_lib.studies.fairness.study import PHOTOGRAPH, stored_ratios
from influence_lib.studies.fairness.curves import Representation, representation
from influence_lib.studies.fairness.faces import FACES, face_statistics
from influence_lib.studies.fairness.ratios import (
    expected_ratio,
    null_counts,
    p_value,
    ratio,
    smallest_ratio_seen,
    unevenness,
)
from influence_lib.studies.fairness.sentences import ratios_in_words, what_is_left

__all__ = [
    "CHANGES",
    "FACES",
    "PHOTOGRAPH",
    "Audit",
    "Representation",
    "adjusted_odds",
    "attribute_accuracies",
    "audit",
    "e_value",
    "expected_ratio",
    "face_statistics",
    "false_alarms",
    "groups_of",
    "log_odds",
    "null_counts",
    "p_value",
    "planted_groups",
    "ratio",
    "ratios_in_words",
    "representation",
    "smallest_ratio_seen",
    "stored_ratios",
    "unevenness",
    "what_is_left",
]
