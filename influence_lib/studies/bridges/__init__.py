"""Do uniform backgrounds link images of different classes, and is it the images with high scores that do it."""

from influence_lib.studies.bridges.backgrounds import background_of, repainted
from influence_lib.studies.bridges.experiment import BridgeExperiment
from influence_lib.studies.bridges.links import changes, links, links_against_score, with_backgrounds
from influence_lib.studies.bridges.sentences import links_in_words, mediation_in_words, removal_in_words

__all__ = [
    "BridgeExperiment",
    "background_of",
    "changes",
    "links",
    "links_against_score",
    "links_in_words",
    "mediation_in_words",
    "removal_in_words",
    "repainted",
    "with_backgrounds",
]
