"""Training methods: each is a head and a loss on the features of the two views.

A method is an `nn.Module` that owns everything it trains beside the encoder. To add one, give it
`DEFAULTS` (its hyper-parameters, with the papers' values) and `loss(features, labels)`, and list it in
`METHODS`; the loop in `loop.py` needs nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.pretrain.solo import simclr_loss_func

__all__ = ["METHODS", "SimCLR", "Supervised"]


class SimCLR(nn.Module):
    """SimCLR: the two views of an image attract, all other images of the batch repel.

    Parameters
    ----------
    features_dim : int
        Dimensions of the encoder's representation.
    n_classes : int
        Not used: the method sees no labels.
    hyper : mapping
        The values of `DEFAULTS`, possibly changed.
    """

    DEFAULTS: ClassVar[dict[str, float]] = {
        "lr": 0.4,
        "weight_decay": 1e-5,
        "temperature": 0.2,
        "projector_hidden": 2048,
        "projector_out": 256,
    }

    def __init__(self, features_dim: int, n_classes: int, hyper: Mapping[str, float]):
        super().__init__()
        hidden = int(hyper["projector_hidden"])
        self.temperature = hyper["temperature"]
        self.projector = nn.Sequential(
            nn.Linear(features_dim, hidden), nn.ReLU(), nn.Linear(hidden, int(hyper["projector_out"]))
        )

    def loss(self, features: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the NT-Xent loss of two views' features, each B×D."""
        z1, z2 = (self.projector(f) for f in features)
        return simclr_loss_func(z1, z2, temperature=self.temperature)


class Supervised(nn.Module):
    """The supervised control: the same views, network and loop, with a linear classifier and labels.

    Parameters
    ----------
    features_dim : int
        Dimensions of the encoder's representation.
    n_classes : int
        Number of classes.
    hyper : mapping
        The values of `DEFAULTS`, possibly changed.
    """

    DEFAULTS: ClassVar[dict[str, float]] = {"lr": 0.4, "weight_decay": 1e-5}

    def __init__(self, features_dim: int, n_classes: int, hyper: Mapping[str, float]):
        super().__init__()
        self.classifier = nn.Linear(features_dim, n_classes)

    def loss(self, features: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the cross-entropy, averaged over the views, whose features are B×D each."""
        return torch.stack([F.cross_entropy(self.classifier(f), labels) for f in features]).mean()


METHODS: dict[str, type[SimCLR] | type[Supervised]] = {"simclr": SimCLR, "supervised": Supervised}
