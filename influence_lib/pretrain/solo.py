"""The parts of solo-learn that are used here.

solo-learn 1.0.2 imports the PyTorch Lightning of 2021 when its package is imported. Its losses and its LARS
are pure torch, so its packages are registered without running their ``__init__``; nothing else in this
project knows that.
"""

import importlib
import importlib.util
import sys
from types import ModuleType

__all__ = [
    "DINOLoss",
    "LARSWrapper",
    "barlow_loss_func",
    "byol_loss_func",
    "moco_loss_func",
    "simclr_loss_func",
    "vicreg_loss_func",
]


def _import_bare(name: str) -> ModuleType:
    """Import ``name``, with its parent packages registered by their path alone."""
    parts = name.split(".")
    for depth in range(1, len(parts)):
        package = ".".join(parts[:depth])
        if package not in sys.modules:
            spec = importlib.util.find_spec(package)
            if spec is None:
                raise ImportError("solo-learn is not installed: run `make book` or see the README.")
            sys.modules[package] = importlib.util.module_from_spec(spec)
    return importlib.import_module(name)


simclr_loss_func = _import_bare("solo.losses.simclr").simclr_loss_func
byol_loss_func = _import_bare("solo.losses.byol").byol_loss_func
barlow_loss_func = _import_bare("solo.losses.barlow").barlow_loss_func
vicreg_loss_func = _import_bare("solo.losses.vicreg").vicreg_loss_func
moco_loss_func = _import_bare("solo.losses.moco").moco_loss_func
DINOLoss = _import_bare("solo.losses.dino").DINOLoss
LARSWrapper = _import_bare("solo.utils.lars").LARSWrapper
