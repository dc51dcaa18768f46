"""The losses of solo-learn, imported when they are used.

solo-learn 1.0.2 imports the PyTorch Lightning of 2021 when its package is imported. Its losses are pure torch, so its
packages are registered without running their ``__init__``; nothing else in this project knows that. Nor can it be a
dependency of this library, since it pins the torch of 2021.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from influence_lib.optional import needed

LOSSES = {
    "simclr_loss_func": "solo.losses.simclr",
    "byol_loss_func": "solo.losses.byol",
    "barlow_loss_func": "solo.losses.barlow",
    "vicreg_loss_func": "solo.losses.vicreg",
    "moco_loss_func": "solo.losses.moco",
    "DINOLoss": "solo.losses.dino",
}
INSTALL = "run `pip install --no-deps solo-learn==1.0.2`"


def __getattr__(name: str) -> Any:
    """Return one of solo-learn's `LOSSES`; an `InputError` says how to install solo-learn where it is missing."""
    if name not in LOSSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needed("Training without labels", INSTALL):
        return getattr(_import_bare(LOSSES[name]), name)


def _import_bare(name: str) -> ModuleType:
    """Import ``name``, with its parent packages registered by their path alone."""
    parts = name.split(".")
    for depth in range(1, len(parts)):
        package = ".".join(parts[:depth])
        if package not in sys.modules:
            spec = importlib.util.find_spec(package)
            if spec is None:
                raise ModuleNotFoundError(f"No module named {package!r}", name="solo-learn")
            sys.modules[package] = importlib.util.module_from_spec(spec)
    return importlib.import_module(name)
