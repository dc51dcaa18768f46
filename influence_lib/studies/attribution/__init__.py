"""Which training images does a prediction depend on: methods, and two ways to judge them.

A method gives T×N numbers (`attribute`). They are judged by what they predict for random halves of the images (`lds`),
and by how few of the images that a method ranks first turn a prediction when they are left out or relabelled
(`Support`).
"""

from influence_lib.studies.attribution.comparing import Duel, confirmed, duel, turned
from influence_lib.studies.attribution.halves import Halves
from influence_lib.studies.attribution.lds import by_target, ceiling, lds
from influence_lib.studies.attribution.methods import METHODS, Method, attribute, signed_and_sparse, strongest
from influence_lib.studies.attribution.models import datamodels, influence_function, trak
from influence_lib.studies.attribution.planted import PlantedRecipe, copies_named, planted_table
from influence_lib.studies.attribution.sentences import lds_in_words, missing_in_words, supports_in_words
from influence_lib.studies.attribution.similarity import between_directions, euclidean, exemplar_distance
from influence_lib.studies.attribution.study import CLASSIFIER, Answer, Question, Way
from influence_lib.studies.attribution.support import CHANGES, Found, Support, bisected
from influence_lib.studies.attribution.training import ClassifierRecipe, Counterfactual, margins

__all__ = [
    "CHANGES",
    "CLASSIFIER",
    "METHODS",
    "Answer",
    "ClassifierRecipe",
    "Counterfactual",
    "Duel",
    "Found",
    "Halves",
    "Method",
    "PlantedRecipe",
    "Question",
    "Support",
    "Way",
    "attribute",
    "between_directions",
    "bisected",
    "by_target",
    "ceiling",
    "confirmed",
    "copies_named",
    "datamodels",
    "duel",
    "euclidean",
    "exemplar_distance",
    "influence_function",
    "lds",
    "lds_in_words",
    "margins",
    "missing_in_words",
    "planted_table",
    "signed_and_sparse",
    "strongest",
    "supports_in_words",
    "trak",
    "turned",
]
