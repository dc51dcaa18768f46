"""Who is on top: groups at the ends of a score, against chance and against what else the photographs differ in."""

from influence_lib.optional import needed

with needed("The audit", "run `pip install statsmodels`"):
    from influence_lib.studies.fairness.audit import Audit, audit
    from influence_lib.studies.fairness.photograph import adjusted_odds, e_value
from influence_lib.studies.fairness.curves import Representation, representation
from influence_lib.studies.fairness.ratios import (
    expected_ratio,
    null_counts,
    p_value,
    ratio,
    smallest_ratio_seen,
    unevenness,
)

__all__ = [
    "Audit",
    "Representation",
    "adjusted_odds",
    "audit",
    "e_value",
    "expected_ratio",
    "null_counts",
    "p_value",
    "ratio",
    "representation",
    "smallest_ratio_seen",
    "unevenness",
]
