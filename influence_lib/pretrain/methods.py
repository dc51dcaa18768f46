"""Training methods: each is a head and a loss on the features of the two views.

A `Method` owns everything that is trained or kept beside the encoder: projector, predictor, momentum networks,
queue, centre. The losses are solo-learn's; heads, momentum and hyper-parameters follow its classes, which the
tests compare. To add a method, give it a `TITLE`, `DEFAULTS` (its hyper-parameters, with the papers' values), `SCALED`
(which of them go with the size of the run) and `loss`, and list it in `METHODS`; nothing else asks for its name.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from influence_lib.pretrain import solo
from influence_lib.pretrain.encoders import Encoder

__all__ = ["BYOL", "DINO", "METHODS", "BarlowTwins", "Method", "MoCo", "Momentum", "SimCLR", "Supervised", "VICReg"]

Hyper = Mapping[str, float]


class Momentum(nn.Module):
    """The moving average of a network, from which a method takes its targets.

    Parameters
    ----------
    network : nn.Module
        Where the average starts. Batch normalisation in the copy uses the batch alone, as in training, and keeps no
        running statistics, which nothing would read.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        for module in self.network.modules():
            if isinstance(module, _BatchNorm):
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Return the averaged network's output."""
        return self.network(x)

    @torch.no_grad()
    def follow(self, online: nn.Module, tau: float) -> None:
        """Move to τ · average + (1 − τ) · online."""
        torch._foreach_lerp_(list(self.network.parameters()), list(online.parameters()), 1 - tau)


class Method(nn.Module):
    """What is trained beside the encoder, and the loss.

    Parameters
    ----------
    encoder : nn.Module
        The encoder that is trained, with ``features_dim``; not kept.
    n_classes : int
        Number of classes, for the supervised control.
    epochs : int
        Length of the run.
    hyper : mapping
        The values of `DEFAULTS`, possibly changed.
    """

    TITLE: ClassVar[str]
    DEFAULTS: ClassVar[dict[str, float]]
    SCALED: ClassVar[dict[str, str]] = {}  # hyper-parameter → the rule of `scaling.RULES` by which it is scaled
    TRIED: ClassVar[dict[str, dict[str, float]]] = {}  # what `trials` changes: hyper-parameters and their factors
    SHARES: ClassVar[tuple[str, ...]] = ()  # hyper-parameters that are at most 1
    LARS: ClassVar[bool] = True  # whether the optimiser is LARS, and not plain SGD
    LABELS: ClassVar[bool] = False  # whether the loss looks at the labels
    SOLO: ClassVar[str | None] = None  # the loss of solo-learn's that is used

    def __init__(self, encoder: Encoder, n_classes: int, epochs: int, hyper: Hyper):
        super().__init__()
        self.hyper = dict(hyper)
        if self.SOLO is not None:  # here and not at the first batch: it may not be installed
            self.solo_loss = getattr(solo, self.SOLO)

    def target_encoder(self) -> Momentum | None:
        """Return the network whose features of the views are the loss's targets, where there is one."""
        return None

    def begin_epoch(self, epoch: int) -> None:
        """Prepare for an epoch, counted from 0."""

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        features : sequence of Tensor
            The encoder's features of the two views, float32, B×D each.
        targets : sequence of Tensor
            Those of the momentum encoder, without a gradient; empty where there is none.
        labels : Tensor
            int64, B; only the supervised control looks at them.
        """
        raise NotImplementedError

    def after_backward(self, epoch: int) -> None:
        """Change gradients before the optimiser's step."""

    def follow(self, encoder: Encoder, progress: float) -> None:
        """Move what follows the trained networks after a step, `progress` ∈ [0, 1] being the part of the run done."""


class MomentumMethod(Method):
    """A method whose targets come from moving averages of encoder and projector.

    τ goes from ``base_tau`` to ``final_tau`` along a cosine (Grill et al. 2020, and solo-learn).
    """

    SHARES: ClassVar[tuple[str, ...]] = ("base_tau", "final_tau")
    projector: nn.Module
    momentum_encoder: Momentum
    momentum_projector: Momentum

    def target_encoder(self) -> Momentum:
        """Return the average of the encoder."""
        return self.momentum_encoder

    def _start_averages(self, encoder: Encoder) -> None:
        """Start the averages where encoder and projector are."""
        self.momentum_encoder, self.momentum_projector = Momentum(encoder), Momentum(self.projector)

    def follow(self, encoder: Encoder, progress: float) -> None:
        """Move the averages."""
        base, final = self.hyper["base_tau"], self.hyper["final_tau"]
        tau = final - (final - base) * (math.cos(math.pi * progress) + 1) / 2
        self.momentum_encoder.follow(encoder, tau)
        self.momentum_projector.follow(self.projector, tau)


def _mlp(*widths: float, normalise: bool = False) -> nn.Sequential:
    """Return linear layers of these widths, with ReLUs, and batch normalisation if wanted, between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        norm = [nn.BatchNorm1d(int(outputs))] if normalise else []
        layers += [nn.Linear(int(inputs), int(outputs)), *norm, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(int(widths[-2]), int(widths[-1])))


class Supervised(Method):
    """The supervised control: the same views, network and loop, with a linear classifier and labels."""

    TITLE: ClassVar[str] = "supervised"
    LABELS: ClassVar[bool] = True
    DEFAULTS: ClassVar[dict[str, float]] = {"lr": 0.4, "weight_decay": 1e-5}

    def __init__(self, encoder: Encoder, n_classes: int, epochs: int, hyper: Hyper):
        super().__init__(encoder, n_classes, epochs, hyper)
        self.classifier = nn.Linear(encoder.features_dim, n_classes)

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the cross-entropy, averaged over the views."""
        return torch.stack([F.cross_entropy(self.classifier(f), labels) for f in features]).mean()


class SimCLR(Method):
    """SimCLR: the two views of an image attract, all other images of the batch repel (Chen et al. 2020)."""

    TITLE: ClassVar[str] = "SimCLR"
    SOLO: ClassVar[str | None] = "simclr_loss_func"
    DEFAULTS: ClassVar[dict[str, float]] = {
        "lr": 0.4,
        "weight_decay": 1e-5,
        "temperature": 0.2,
        "projector_hidden": 2048,
        "projector_out": 256,
    }
    SCALED: ClassVar[dict[str, str]] = {"projector_hidden": "width", "projector_out": "width"}

    def __init__(self, encoder: Encoder, n_classes: int, epochs: int, hyper: Hyper):
        super().__init__(encoder, n_classes, epochs, hyper)
        self.projector = _mlp(encoder.features_dim, hyper["projector_hidden"], hyper["projector_out"])

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the NT-Xent loss."""
        z1, z2 = (self.projector(f) for f in features)
        return self.solo_loss(z1, z2, temperature=self.hyper["temperature"])


class DimensionMethod(Method):
    """A method whose loss looks at the dimensions of a wide projection, by a projector of three layers."""

    SCALED: ClassVar[dict[str, str]] = {"projector_hidden": "width", "projector_out": "width"}

    def __init__(self, encoder: Encoder, n_classes: int, epochs: int, hyper: Hyper):
        super().__init__(encoder, n_classes, epochs, hyper)
        hidden = hyper["projector_hidden"]
        self.projector = _mlp(encoder.features_dim, hidden, hidden, hyper["projector_out"], normalise=True)


class BarlowTwins(DimensionMethod):
    """Barlow Twins: the cross-correlation of the two views' projections becomes the identity (Zbontar et al. 2021)."""

    TITLE: ClassVar[str] = "Barlow Twins"
    TRIED: ClassVar[dict[str, dict[str, float]]] = {
        "a projector four times as wide": {"projector_hidden": 4, "projector_out": 4}
    }
    SOLO: ClassVar[str | None] = "barlow_loss_func"
    DEFAULTS: ClassVar[dict[str, float]] = {
        "lr": 0.3,
        "weight_decay": 1e-4,
        "off_diagonal": 0.0051,
        "loss_scale": 0.1,
        "projector_hidden": 2048,
        "projector_out": 2048,
    }

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the squared distance of the cross-correlation from the identity, off-diagonal terms weighted."""
        z1, z2 = (self.projector(f) for f in features)
        return self.solo_loss(z1, z2, lamb=self.hyper["off_diagonal"], scale_loss=self.hyper["loss_scale"])


class VICReg(DimensionMethod):
    """VICReg: near views, a variance that is kept up, and covariances that are kept down (Bardes et al. 2022)."""

    TITLE: ClassVar[str] = "VICReg"
    SOLO: ClassVar[str | None] = "vicreg_loss_func"
    DEFAULTS: ClassVar[dict[str, float]] = {
        "lr": 0.3,
        "weight_decay": 1e-4,
        "invariance": 25.0,
        "variance": 25.0,
        "covariance": 1.0,
        "projector_hidden": 2048,
        "projector_out": 2048,
    }

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the weighted sum of the invariance, variance and covariance terms."""
        z1, z2 = (self.projector(f) for f in features)
        weights = (self.hyper[name] for name in ("invariance", "variance", "covariance"))
        return self.solo_loss(z1, z2, *weights)


class BYOL(MomentumMethod):
    """BYOL: a predictor finds the momentum projection of the other view; nothing repels (Grill et al. 2020)."""

    TITLE: ClassVar[str] = "BYOL"
    SOLO: ClassVar[str | None] = "byol_loss_func"
    DEFAULTS: ClassVar[dict[str, float]] = {
        "lr": 1.0,
        "weight_decay": 1e-5,
        "projector_hidden": 4096,
        "projector_out": 256,
        "predictor_hidden": 4096,
        "base_tau": 0.99,
        "final_tau": 1.0,
    }
    SCALED: ClassVar[dict[str, str]] = {
        "lr": "fourth root of steps",
        "projector_hidden": "width",
        "projector_out": "width",
        "predictor_hidden": "width",
        "base_tau": "epochs of memory",
        "final_tau": "epochs of memory",
    }

    def __init__(self, encoder: Encoder, n_classes: int, epochs: int, hyper: Hyper):
        super().__init__(encoder, n_classes, epochs, hyper)
        out = hyper["projector_out"]
        self.projector = _mlp(encoder.features_dim, hyper["projector_hidden"], out, normalise=True)
        self.predictor = _mlp(out, hyper["predictor_hidden"], out, normalise=True)
        self._start_averages(encoder)

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the sum over both directions of 2 − 2 cos(prediction, other view's momentum projection)."""
        p1, p2 = (self.predictor(self.projector(f)) for f in features)
        z1, z2 = (self.momentum_projector(t) for t in targets)
        return self.solo_loss(p2, z1) + self.solo_loss(p1, z2)


class MoCo(MomentumMethod):
    """MoCo v2+: the momentum key of the other view attracts, a queue of earlier keys repels (Chen et al. 2020).

    Both views are queries in turn, each with a queue of its own, as in solo-learn's version of MoCo v2.
    """

    TITLE: ClassVar[str] = "MoCo v2+"
    TRIED: ClassVar[dict[str, dict[str, float]]] = {"a quarter of the queue": {"queue_size": 0.25}}
    SOLO: ClassVar[str | None] = "moco_loss_func"
    DEFAULTS: ClassVar[dict[str, float]] = {
        "lr": 0.3,
        "weight_decay": 1e-4,
        "temperature": 0.2,
        "queue_size": 32768,
        "projector_hidden": 2048,
        "projector_out": 256,
        "base_tau": 0.99,
        "final_tau": 0.999,
    }
    SCALED: ClassVar[dict[str, str]] = {
        "lr": "fourth root of steps",
        "queue_size": "part of the images",
        "projector_hidden": "width",
        "projector_out": "width",
    }
    LARS: ClassVar[bool] = False
    queues: Tensor
    oldest: Tensor

    def __init__(self, encoder: Encoder, n_classes: int, epochs: int, hyper: Hyper):
        super().__init__(encoder, n_classes, epochs, hyper)
        self.projector = _mlp(encoder.features_dim, hyper["projector_hidden"], hyper["projector_out"])
        self._start_averages(encoder)
        shape = 2, int(hyper["projector_out"]), int(hyper["queue_size"])
        self.register_buffer("queues", F.normalize(torch.randn(shape), dim=1))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.long))

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the InfoNCE loss, averaged over the directions, and put the new keys into the queues."""
        q1, q2 = (F.normalize(self.projector(f), dim=1) for f in features)
        k1, k2 = keys = [F.normalize(self.momentum_projector(t), dim=1) for t in targets]
        of_first, of_second = self.queues.clone()  # the gradient needs them as they were
        loss = (
            self.solo_loss(q1, k2, of_second, self.hyper["temperature"])
            + self.solo_loss(q2, k1, of_first, self.hyper["temperature"])
        ) / 2
        self._enqueue(torch.stack(keys))
        return loss

    @torch.no_grad()
    def _enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys by new ones, 2×B×d."""
        size = self.queues.shape[2]
        kept = keys[:, -size:].transpose(1, 2)
        places = (self.oldest + torch.arange(kept.shape[2], device=keys.device)) % size
        self.queues[:, :, places] = kept
        self.oldest.copy_((self.oldest + kept.shape[2]) % size)


class DINOHead(nn.Module):
    """An MLP, and the cosines of its output with prototypes; the prototypes' lengths do not count."""

    def __init__(self, features_dim: int, hidden: int, out: int, prototypes: int):
        super().__init__()
        widths = (features_dim, hidden, hidden, out)
        linear = [nn.Linear(a, b) for a, b in pairwise(widths)]
        for layer in linear:
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.mlp = nn.Sequential(linear[0], nn.GELU(), linear[1], nn.GELU(), linear[2])
        self.prototypes = nn.Linear(out, prototypes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, B×prototypes, of features B×D."""
        return F.linear(F.normalize(self.mlp(x), dim=1), F.normalize(self.prototypes.weight, dim=1))


class DINO(MomentumMethod):
    """DINO: the student finds the momentum teacher's centred, sharpened assignment to prototypes (Caron et al. 2021).

    Two large crops and no small ones, as in solo-learn's CIFAR recipe: on 32 pixels a small crop shows little.
    """

    TITLE: ClassVar[str] = "DINO"
    TRIED: ClassVar[dict[str, dict[str, float]]] = {"a sharper teacher": {"teacher_temperature": 0.6}}
    SOLO: ClassVar[str | None] = "DINOLoss"
    DEFAULTS: ClassVar[dict[str, float]] = {
        "lr": 0.3,
        "weight_decay": 1e-6,
        "projector_hidden": 2048,
        "projector_out": 256,
        "prototypes": 4096,
        "student_temperature": 0.1,
        "teacher_temperature": 0.07,
        "warmup_teacher_temperature": 0.04,
        "warmup_teacher_epochs": 50,
        "frozen_prototypes_epochs": 1,
        "base_tau": 0.9995,
        "final_tau": 1.0,
    }
    SCALED: ClassVar[dict[str, str]] = {
        "lr": "fourth root of steps",
        "projector_hidden": "width",
        "projector_out": "width",
        "prototypes": "width",
        "warmup_teacher_epochs": "part of the run",
        "frozen_prototypes_epochs": "part of the run",
        "base_tau": "epochs of memory",
        "final_tau": "epochs of memory",
    }
    projector: DINOHead

    def __init__(self, encoder: Encoder, n_classes: int, epochs: int, hyper: Hyper):
        super().__init__(encoder, n_classes, epochs, hyper)
        widths = (int(hyper[name]) for name in ("projector_hidden", "projector_out", "prototypes"))
        self.projector = DINOHead(encoder.features_dim, *widths)
        self._start_averages(encoder)
        self.criterion = self.solo_loss(
            int(hyper["prototypes"]),
            hyper["warmup_teacher_temperature"],
            hyper["teacher_temperature"],
            min(int(hyper["warmup_teacher_epochs"]), epochs),
            epochs,
            hyper["student_temperature"],
        )

    def begin_epoch(self, epoch: int) -> None:
        """Set the teacher's temperature."""
        self.criterion.epoch = epoch

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the cross-entropy between the teacher's view and the student's other one, and move the centre."""
        student = torch.cat([self.projector(f) for f in features])
        return self.criterion(student, torch.cat([self.momentum_projector(t) for t in targets]))

    def after_backward(self, epoch: int) -> None:
        """Keep the prototypes as they are in the first epochs."""
        if epoch < self.hyper["frozen_prototypes_epochs"]:
            self.projector.prototypes.weight.grad = None


METHODS: dict[str, type[Method]] = {
    "simclr": SimCLR,
    "byol": BYOL,
    "barlow": BarlowTwins,
    "vicreg": VICReg,
    "dino": DINO,
    "moco": MoCo,
    "supervised": Supervised,
}
