"""solo-learn's own classes, run in a process of their own: ``python -m tests.pretrain.solo_reference FOLDER``.

solo-learn 1.0.2 needs the PyTorch Lightning of 2021 to be imported. Its method classes use little of it: a module
with a place to log. So stand-ins for the old libraries are registered here, which is why this runs in another process.
For every method the folder gets ``METHOD.safetensors`` (weights, features of two views, loss, gradients), and of
SimCLR a checkpoint, ``simclr.ckpt``, as Lightning would write it, with what its encoder and projector return.
With ``--load FILE`` the process instead loads that file into solo-learn's SimCLR and writes what its encoder returns.
"""

import argparse
import sys
import types
import warnings
from pathlib import Path
from unittest.mock import MagicMock

import torch
from safetensors.torch import load_file, save_file
from torch import nn

SIZES = {"proj_output_dim": 6, "proj_hidden_dim": 10}
BATCH, EPOCHS = 8, 20
CLASSES = {
    "simclr": ("simclr", "SimCLR", {"temperature": 0.3}),
    "byol": ("byol", "BYOL", {"pred_hidden_dim": 9}),
    "barlow": ("barlow_twins", "BarlowTwins", {"lamb": 0.02, "scale_loss": 0.1}),
    "vicreg": ("vicreg", "VICReg", {"sim_loss_weight": 20.0, "var_loss_weight": 15.0, "cov_loss_weight": 2.0}),
    "dino": (
        "dino",
        "DINO",
        {
            "num_prototypes": 12,
            "use_bn_in_head": False,
            "norm_last_layer": True,
            "clip_grad": 0,
            "freeze_last_layer": 1,
            "student_temperature": 0.1,
            "teacher_temperature": 0.07,
            "warmup_teacher_temperature": 0.04,
            "warmup_teacher_temperature_epochs": 5,
        },
    ),
    "moco": ("mocov2plus", "MoCoV2Plus", {"temperature": 0.2, "queue_size": 16}),
}
COMMON = {
    "encoder": "resnet18",
    "num_classes": 3,
    "backbone_args": {"cifar": True, "zero_init_residual": False},
    "max_epochs": EPOCHS,
    "batch_size": BATCH,
    "optimizer": "sgd",
    "lars": True,
    "lr": 0.3,
    "weight_decay": 1e-4,
    "classifier_lr": 0.1,
    "exclude_bias_n_norm": True,
    "accumulate_grad_batches": 1,
    "extra_optimizer_args": {},
    "scheduler": "none",
    "min_lr": 0.0,
    "warmup_start_lr": 0.003,
    "warmup_epochs": 10,
    "num_large_crops": 2,
    "num_small_crops": 0,
    "base_tau_momentum": 0.99,
    "final_tau_momentum": 1.0,
    "momentum_classifier": False,
}


class Module(nn.Module):
    """What the method classes need of a LightningModule."""

    current_epoch = 3
    device = torch.device("cpu")

    def log(self, *args, **kwargs):
        pass

    log_dict = log


def stand_in(name, **contents):
    module = types.ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module


def solo_class(method):
    from influence_lib.pretrain.solo import _import_bare

    stand_in("pytorch_lightning", LightningModule=Module)
    stand_in("torchmetrics")
    stand_in("torchmetrics.metric", Metric=nn.Module)
    for name in ("timm", "timm.models", "pl_bolts", "pl_bolts.optimizers", "einops"):
        sys.modules[name] = MagicMock()
    stand_in("pl_bolts.optimizers.lr_scheduler", LinearWarmupCosineAnnealingLR=None)
    for name in ("swin_transformer", "vision_transformer"):
        sys.modules[f"timm.models.{name}"] = MagicMock()
    _import_bare("solo.utils.lars")  # so that solo.utils is there without what it imports
    file, name, arguments = CLASSES[method]
    return getattr(_import_bare(f"solo.methods.{file}"), name), arguments


def build(method):
    cls, arguments = solo_class(method)
    torch.manual_seed(len(method))
    return cls(**COMMON, **SIZES, **arguments)


def reference(method, folder):
    """Write what a training step of solo-learn's class returns for given features, and its gradients."""
    model = build(method)
    features = [torch.randn(BATCH, model.features_dim).requires_grad_() for _ in range(2)]
    targets = [torch.randn(BATCH, model.features_dim) for _ in range(2)]
    before = {f"state.{name}": value.clone() for name, value in model.state_dict().items() if keep(name)}
    outputs = {"loss": 0.0, "feats": features, "momentum_feats": targets}
    for base in type(model).__mro__[1:3]:  # the encoder's passes are not what is compared
        base.training_step = lambda self, batch, index: outputs
    if method == "dino":
        model.on_train_epoch_start()
    loss = model.training_step([torch.arange(BATCH), None, torch.zeros(BATCH)], 0)
    loss.backward()
    gradients = {f"gradient.{n}": p.grad for n, p in model.named_parameters() if p.grad is not None and keep(n)}
    after = {f"after.{n}": v.clone() for n, v in model.state_dict().items() if n in ("queue", "dino_loss_func.center")}
    views = {
        f"{kind}.{i}": x.detach()
        for kind, xs in {"features": features, "targets": targets}.items()
        for i, x in enumerate(xs)
    }
    slopes = {f"slope.{i}": x.grad for i, x in enumerate(features)}
    save_file(
        {**before, **gradients, **after, **views, **slopes, "loss": loss.detach()}, folder / f"{method}.safetensors"
    )


def keep(name):
    return not name.startswith(("encoder.", "momentum_encoder.", "classifier."))


def checkpoint(folder):
    """Write a checkpoint of solo-learn's SimCLR, with what its encoder and its projector return."""
    model = build("simclr").eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        features = model.encoder(images)
        save_file(
            {"images": images, "features": features, "z": model.projector(features)}, folder / "outputs.safetensors"
        )
    torch.save({"state_dict": model.state_dict(), "epoch": 999}, folder / "simclr.ckpt")


def loaded(file, folder):
    """Load exported weights into solo-learn's SimCLR and write what its encoder returns."""
    model = build("simclr").eval()
    missing, unexpected = model.load_state_dict(load_file(file), strict=False)
    assert not unexpected, unexpected
    assert not [name for name in missing if name.startswith("encoder.")], missing
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        save_file({"images": images, "features": model.encoder(images)}, folder / "loaded.safetensors")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--load", type=Path)
    options = parser.parse_args()
    if options.load is not None:
        loaded(options.load, options.folder)
    else:
        for each in CLASSES:
            reference(each, options.folder)
        checkpoint(options.folder)
