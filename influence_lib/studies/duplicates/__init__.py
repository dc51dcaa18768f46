"""Whether a score finds duplicates and outliers, beats what people use, and falls with copies in the training."""

from influence_lib.studies.duplicates.cleaning import cleanvision_pairs
from influence_lib.studies.duplicates.copies import SEEN_BY, CopyPlan, copy_changes, copy_effects, plan_copies
from influence_lib.studies.duplicates.detecting import (
    DETECTION,
    among_the_lowest,
    beyond_matched,
    detection,
    precision_and_recall,
)
from influence_lib.studies.duplicates.experiment import CopyExperiment
from influence_lib.studies.duplicates.hashes import HASHES, hash_distance, image_hashes
from influence_lib.studies.duplicates.judging import EDGES, judged_strata, pairs_to_judge, stored_judgements
from influence_lib.studies.duplicates.natural import (
    ALIKE,
    aligned_pairs,
    class_beside_others,
    groups_of_pairs,
    stored_pairs,
    within_groups,
)
from influence_lib.studies.duplicates.outliers import isolation_score, linkage_score
from influence_lib.studies.duplicates.pairs import FOUND_BY, judged_pairs, near_pairs
from influence_lib.studies.duplicates.planted import originals, planted_pairs, planted_truth
from influence_lib.studies.duplicates.sentences import (
    advice,
    detection_in_words,
    effect_in_words,
    natural_in_words,
    rows_of_groups,
    rows_of_pairs,
)

__all__ = [
    "ALIKE",
    "DETECTION",
    "EDGES",
    "FOUND_BY",
    "HASHES",
    "SEEN_BY",
    "CopyExperiment",
    "CopyPlan",
    "advice",
    "aligned_pairs",
    "among_the_lowest",
    "beyond_matched",
    "class_beside_others",
    "cleanvision_pairs",
    "copy_changes",
    "copy_effects",
    "detection",
    "detection_in_words",
    "effect_in_words",
    "groups_of_pairs",
    "hash_distance",
    "image_hashes",
    "isolation_score",
    "judged_pairs",
    "judged_strata",
    "linkage_score",
    "natural_in_words",
    "near_pairs",
    "originals",
    "pairs_to_judge",
    "plan_copies",
    "planted_pairs",
    "planted_truth",
    "precision_and_recall",
    "rows_of_groups",
    "rows_of_pairs",
    "stored_judgements",
    "stored_pairs",
    "within_groups",
]
