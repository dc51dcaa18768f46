"""Encoders, training methods, one training loop, evaluation and checkpoints."""

from influence_lib.pretrain.augment import AugmentationSettings
from influence_lib.pretrain.checkpoints import load_checkpoint
from influence_lib.pretrain.classifiers import Classifier, Schedule, build_classifier, train_classifier
from influence_lib.pretrain.collapse import effective_rank, has_collapsed, spread
from influence_lib.pretrain.encoders import Encoder, build_encoder
from influence_lib.pretrain.evaluate import both_accuracies, embed, knn_accuracy, linear_accuracy
from influence_lib.pretrain.identity import fingerprint
from influence_lib.pretrain.interchange import export_solo_learn
from influence_lib.pretrain.loop import pretrain
from influence_lib.pretrain.methods import METHODS
from influence_lib.pretrain.recipes import SHIPPED, Recipe, shipped
from influence_lib.pretrain.scaling import scaled_hyper
from influence_lib.pretrain.stored import stored_encoder, stored_untrained
from influence_lib.pretrain.trial import Trial, trials

__all__ = [
    "METHODS",
    "SHIPPED",
    "AugmentationSettings",
    "Classifier",
    "Encoder",
    "Recipe",
    "Schedule",
    "Trial",
    "both_accuracies",
    "build_classifier",
    "build_encoder",
    "effective_rank",
    "embed",
    "export_solo_learn",
    "fingerprint",
    "has_collapsed",
    "knn_accuracy",
    "linear_accuracy",
    "load_checkpoint",
    "pretrain",
    "scaled_hyper",
    "shipped",
    "spread",
    "stored_encoder",
    "stored_untrained",
    "train_classifier",
    "trials",
]
