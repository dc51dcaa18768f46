"""Checkpoints: safetensors for the weights, JSON for everything else, one folder an epoch.

An ``epoch-0012`` folder is written under a temporary name and renamed, so a run that is killed leaves the
last complete one.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from influence_lib import store
from influence_lib.errors import InputError, reject
from influence_lib.pretrain.encoders import Encoder, build_encoder
from influence_lib.pretrain.interchange import load_solo_learn

__all__ = ["encoder_from_state", "load_checkpoint"]

ENCODER, TRAINING, META = "encoder.safetensors", "training.safetensors", "checkpoint.json"
WRITING = ".writing"  # one process at a time writes: `pretrain` holds a lock


@dataclass(frozen=True)
class TrainingState:
    """What a run needs to go on: the weights, the rest of the training's tensors, and its JSON values."""

    encoder: dict[str, Tensor]
    training: dict[str, Tensor]
    meta: dict[str, Any]


def save_state(folder: Path, state: TrainingState) -> None:
    """Write the state of ``state.meta["epoch"]`` into an existing `folder`, and drop everything before it.

    Raises
    ------
    InputError
        If it cannot be written, on a full disk for instance; what was there is kept.
    """
    final = folder / f"epoch-{state.meta['epoch']:04d}"
    temporary = folder / WRITING
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # a killed run's
        temporary.mkdir()
        save_file(_contiguous(state.encoder), temporary / ENCODER)
        save_file(_contiguous(state.training), temporary / TRAINING)
        (temporary / META).write_text(json.dumps(state.meta, indent=1))
        temporary.rename(final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise InputError(
            f"checkpoint {str(final)!r} cannot be written ({error}): make room or name another folder; the run then"
            " goes on from the last one that was."
        ) from error
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


def load_checkpoint(path_or_name: str | os.PathLike[str], projector: bool = False) -> Encoder:
    """Load a trained encoder.

    Parameters
    ----------
    path_or_name : str or path
        A folder that `pretrain` wrote, a solo-learn checkpoint (``.ckpt`` of a ResNet-18 with CIFAR stem,
        read with ``weights_only=True``), or the name of an encoder among the stored results
        (``python -m influence_lib encoders`` lists those that ship).
    projector : bool
        Whether the encoder ends with the projector of the solo-learn checkpoint, so that scores are those of the
        projections. Other encoders are stored without theirs.

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
        return load_solo_learn(path, projector)
    if projector:
        reject("projector", projector, "False for an encoder that is no solo-learn checkpoint")
    if path.is_dir():
        state = load_state(path)
        if state is None:
            raise InputError(f"checkpoint {str(path)!r} holds no epoch-… folder written by pretrain.")
        return encoder_from_state(state.encoder, state.meta["settings"], state.meta["history"])
    stored = [e for e in store.entries() if (e.kind, e.name) == ("encoder", str(path_or_name))]
    stored = [e for e in stored if e.folder.startswith("results/")] or stored  # those that ship come first
    if len(stored) != 1:
        found = "no encoder" if not stored else f"{len(stored)} encoders"
        raise InputError(
            f"path_or_name is {str(path_or_name)!r}: no such folder or .ckpt file, and {found} of that name among the"
            " stored results (python -m influence_lib results --kind encoder lists them)."
        )
    result = store.load(store.repository() / stored[0].folder)
    settings = {"kind": "encoder", "name": stored[0].name, **stored[0].settings}
    return encoder_from_state(result["encoder"], settings, result["history"])


def _epochs(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*")) if folder.is_dir() else []


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
