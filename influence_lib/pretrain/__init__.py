"""Encoders, training methods, one training loop, evaluation and checkpoints."""

from influence_lib.pretrain.augment import AugmentationSettings
from influence_lib.pretrain.checkpoints import load_checkpoint
from influence_lib.pretrain.encoders import Encoder, build_encoder
from influence_lib.pretrain.evaluate import Accuracy, embed, knn_accuracy, linear_accuracy
from influence_lib.pretrain.loop import pretrain
from influence_lib.pretrain.stored import pretrained

__all__ = [
    "Accuracy",
    "AugmentationSettings",
    "Encoder",
    "build_encoder",
    "embed",
    "knn_accuracy",
    "linear_accuracy",
    "load_checkpoint",
    "pretrain",
    "pretrained",
]
