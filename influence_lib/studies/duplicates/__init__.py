"""Whether a score finds duplicates and outliers, beats what people use, and falls with copies in the training."""

from influence_lib.studies.duplicates.copies import SEEN_BY, CopyPlan, copy_changes, copy_effects, plan_copies
from influence_lib.studies.duplicates.detecting import DETECTION, detection, precision_and_recall
from influence_lib.studies.duplicates.hashes import HASHES, hash_distance, image_hashes
from influence_lib.studies.duplicates.outliers import isolation_score
from influence_lib.studies.duplicates.pairs import FOUND_BY, judged_pairs, near_pairs
from influence_lib.studies.duplicates.planted import planted_pairs, planted_truth

__all__ = [
    "DETECTION",
    "FOUND_BY",
    "HASHES",
    "SEEN_BY",
    "CopyPlan",
    "copy_changes",
    "copy_effects",
    "detection",
    "hash_distance",
    "image_hashes",
    "isolation_score",
    "judged_pairs",
    "near_pairs",
    "plan_copies",
    "planted_pairs",
    "planted_truth",
    "precision_and_recall",
]
