"""Checkpoints: safetensors for the weights, JSON for everything else, one folder an epoch.

An ``epoch-0012`` folder is written under a temporary name and renamed, so a run that is killed leaves the
last complete one.
"""

import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from influence_lib import store
from influence_lib.errors import InputError
from influence_lib.pretrain.encoders import Encoder, build_encoder

__all__ = ["encoder_from_state", "load_checkpoint"]

ENCODER, TRAINING, META = "encoder.safetensors", "training.safetensors", "checkpoint.json"
SOLO_PREFIXES = ("backbone.", "encoder.")  # solo-learn 1.0.6 and 1.0.2


@dataclass(frozen=True)
class TrainingState:
    """What a run needs to go on: the weights, the rest of the training's tensors, and its JSON values."""

    encoder: dict[str, Tensor]
    training: dict[str, Tensor]
    meta: dict[str, Any]


def save_state(folder: Path, state: TrainingState) -> None:
    """Write the state of ``state.meta["epoch"]`` into `folder` and drop the epochs before it."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"epoch-{state.meta['epoch']:04d}"
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        save_file(_contiguous(state.encoder), temporary / ENCODER)
        save_file(_contiguous(state.training), temporary / TRAINING)
        (temporary / META).write_text(json.dumps(state.meta, indent=1))
        if not final.exists():  # another process with the same settings may have been first
            temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for older in _epochs(folder):
        if older.name < final.name:
            shutil.rmtree(older, ignore_errors=True)


def load_state(folder: Path) -> TrainingState | None:
    """Return the latest state in `folder`, or None where there is none.

    Raises
    ------
    InputError
        If the latest state cannot be read.
    """
    epochs = _epochs(folder)
    if not epochs:
        return None
    latest = epochs[-1]
    try:
        meta = json.loads((latest / META).read_text())
        return TrainingState(load_file(latest / ENCODER), load_file(latest / TRAINING), meta)
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"checkpoint {str(latest)!r} is damaged ({error}): delete this folder.") from error


def encoder_from_state(weights: Mapping[str, Tensor], settings: Mapping[str, Any], history: list) -> Encoder:
    """Return the encoder that `settings` (``width``, ``stem_padding``) describes, with `weights`, in eval mode."""
    with torch.random.fork_rng():  # the first weights are drawn and thrown away
        encoder = build_encoder(settings["width"], settings["stem_padding"])
    encoder.load_state_dict({name: value.to(encoder.state_dict()[name].dtype) for name, value in weights.items()})
    encoder.settings, encoder.history = dict(settings), list(history)
    return encoder.eval()


def load_checkpoint(path_or_name: str | os.PathLike[str]) -> Encoder:
    """Load a trained encoder.

    Parameters
    ----------
    path_or_name : str or path
        A folder that `pretrain` wrote, a solo-learn checkpoint (``.ckpt`` of a ResNet-18 with CIFAR stem,
        read with ``weights_only=True``), or the name of an encoder among the stored results
        (``python -m influence_lib results --kind encoder`` lists them).

    Returns
    -------
    Encoder
        In eval mode, on the CPU, float32.

    Raises
    ------
    InputError
        If there is no such checkpoint, or it cannot be read or does not fit.
    """
    path = Path(path_or_name)
    if path.suffix == ".ckpt":
        return _load_solo_learn(path)
    if path.is_dir():
        state = load_state(path)
        if state is None:
            raise InputError(f"checkpoint {str(path)!r} holds no epoch-… folder written by pretrain.")
        return encoder_from_state(state.encoder, state.meta["settings"], state.meta["history"])
    stored = [e for e in store.entries() if (e.kind, e.name) == ("encoder", str(path_or_name))]
    if len(stored) != 1:
        found = "no encoder" if not stored else f"{len(stored)} encoders"
        raise InputError(
            f"path_or_name is {str(path_or_name)!r}: no such folder or .ckpt file, and {found} of that name among the"
            " stored results (python -m influence_lib results --kind encoder)."
        )
    result = store.load(store.repository() / stored[0].folder)
    settings = {"kind": "encoder", "name": stored[0].name, **stored[0].settings}
    return encoder_from_state(result["encoder"], settings, result["history"])


def _load_solo_learn(path: Path) -> Encoder:
    if not path.is_file():
        raise InputError(f"checkpoint {str(path)!r} does not exist.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True).get("state_dict", {})
    except pickle.UnpicklingError as error:
        raise InputError(f"checkpoint {str(path)!r} holds more than tensors, and is not read for safety.") from error
    for prefix in SOLO_PREFIXES:
        weights = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if "conv1.weight" in weights:
            break
    else:
        raise InputError(f"checkpoint {str(path)!r} has no weights that start with {' or '.join(SOLO_PREFIXES)}.")
    encoder = build_encoder(weights["conv1.weight"].shape[0], stem_padding=2)
    missing, unexpected = encoder.backbone.load_state_dict(weights, strict=False)
    if missing or unexpected:
        raise InputError(
            f"checkpoint {str(path)!r} is no ResNet-18 with a CIFAR stem: missing {missing}, unexpected {unexpected}."
        )
    encoder.settings |= {"method": "solo-learn checkpoint", "file": path.name}
    return encoder.eval()


def _epochs(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*")) if folder.is_dir() else []


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
