"""Findings made from committed scores and accuracies and the registry of the theory: no images, no training."""

from influence_lib.studies.findings.committed import Results
from influence_lib.studies.findings.copies import duplicates
from influence_lib.studies.findings.ends import patterns
from influence_lib.studies.findings.experiments import attribution, bridges, continual, removal
from influence_lib.studies.findings.groups import fairness
from influence_lib.studies.findings.several import replication
from influence_lib.studies.findings.single import of_theory, pretraining, stability

__all__ = ["STUDIES", "Results"]

STUDIES = {
    "attribution": attribution,
    "bridges": bridges,
    "continual": continual,
    "duplicates": duplicates,
    "fairness": fairness,
    "patterns": patterns,
    "pretraining": pretraining,
    "removal": removal,
    "replication": replication,
    "stability": stability,
    "theory": of_theory,
}
"""Study → what makes its findings, for ``ledger --update``."""
