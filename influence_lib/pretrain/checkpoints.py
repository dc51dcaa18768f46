"""Checkpoints: safetensors for the weights, JSON for everything else, one folder an epoch.

An ``epoch-0012`` folder is written under a temporary name and renamed, so a run that is killed leaves the
last complete one.
"""

import hashlib
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
from influence_lib.atomic import written_whole
from influence_lib.errors import InputError, check_choice, check_integer, reject
from influence_lib.pretrain.encoders import Encoder, build_encoder
from influence_lib.pretrain.interchange import Normalisation, load_foreign

__all__ = ["TrainingState", "encoder_from_state", "epochs_kept", "load_checkpoint", "load_state", "save_state"]

ENCODER, TRAINING, META = "encoder.safetensors", "training.safetensors", "checkpoint.json"
OF_RESULTS = "manifest.json"  # beside an encoder among the stored results
FILES = {".ckpt", ".pt", ".pth", ".tar", ".bin", ".safetensors"}  # what names of files of weights end in
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
    try:
        with written_whole(final, folder / WRITING) as partial:
            partial.mkdir()
            save_file(_contiguous(state.encoder), partial / ENCODER)
            save_file(_contiguous(state.training), partial / TRAINING)
            sums = {name: _checksum(partial / name) for name in (ENCODER, TRAINING)}
            (partial / META).write_text(json.dumps({**state.meta, "sha256": sums}, indent=1))
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"checkpoint {str(final)!r} cannot be written ({error}): make room or name another folder; the run then"
            " goes on from the last one that was."
        ) from error
    epochs = _epochs(folder)
    for older in epochs[: epochs.index(final)]:
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
        meta = json.loads((latest / META).read_text(encoding="utf-8"))
        if missing := {"epoch", "settings", "history", "scaler"} - set(meta):
            raise ValueError(f"{META} has no {min(missing)}")
        for name, expected in meta.get("sha256", {}).items():  # not in what was written before there were any
            if _checksum(latest / name) != expected:
                raise ValueError(f"{name} differs from its checksum")
        return TrainingState(load_file(latest / ENCODER), load_file(latest / TRAINING), meta)
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(latest, error) from error


def encoder_from_state(weights: Mapping[str, Tensor], settings: Mapping[str, Any], history: list) -> Encoder:
    """Return the encoder that `settings` (``width``, ``stem_padding``) describes, with `weights`, in eval mode."""
    with torch.random.fork_rng():  # the first weights are drawn and thrown away
        encoder = build_encoder(settings["width"], settings["stem_padding"])
    encoder.load_state_dict({name: value.to(encoder.state_dict()[name].dtype) for name, value in weights.items()})
    encoder.settings, encoder.history = dict(settings), list(history)
    return encoder.eval()


def load_checkpoint(
    path_or_name: str | os.PathLike[str],
    projector: bool = False,
    normalisation: Normalisation | None = None,
    stem_padding: int | None = None,
) -> Encoder:
    """Load a trained encoder.

    Of other projects' checkpoints a ResNet-18 of any width with a 3×3 first convolution and torchvision's names is
    read: solo-learn's, and every other that has these names under some prefix, in a file of ``torch.save``
    (``weights_only=True``: nothing in it is run) or of safetensors. Where a checkpoint has moving averages of the
    network, too (momentum, target, teacher, key, EMA), the trained network is taken, and the average where it is alone.

    Parameters
    ----------
    path_or_name : str or path
        A folder that `pretrain` wrote, a file that another project wrote, or the name of an encoder among the stored
        results (``python -m influence_lib encoders`` lists those that ship).
    projector : bool
        Whether the encoder ends with the projector of the file, so that scores are those of the projections. Other
        encoders are stored without theirs.
    normalisation : {"cifar10", "cifar100", "imagenet"} or (mean, std), optional
        Of a file: what the network was trained with, three means and three standard deviations of pixels in [0, 1].
        By default that of the image set that the checkpoint, or solo-learn's ``args.json`` beside it, names, and
        CIFAR-10's where neither names one.
    stem_padding : {1, 2}, optional
        Of a file: see `build_encoder`. The weights do not tell it. By default 2, as in solo-learn's networks, with a
        warning where the names are not solo-learn's.

    Returns
    -------
    Encoder
        In eval mode, on the CPU, float32. Of a file its `settings` say what was taken: ``prefix``, ``normalisation``,
        ``stem_padding``.

    Raises
    ------
    InputError
        If there is no such checkpoint, it cannot be read, or is of another network.

    Examples
    --------
    >>> encoder = load_checkpoint("simclr-cifar10")
    >>> encoder = load_checkpoint("barlow.ckpt", normalisation="cifar100")
    """
    check_choice("projector", projector, (False, True))
    if stem_padding is not None:
        stem_padding = check_integer("stem_padding", stem_padding, 1, 2)
    path = _as_path(path_or_name)
    if path.is_file():
        if path.name == ENCODER and any((path.parent / name).is_file() for name in (META, OF_RESULTS)):
            raise InputError(f"checkpoint {str(path)!r} is a part of what is kept: give the run's folder, or its name.")
        return load_foreign(path, projector, normalisation, stem_padding)
    if projector:
        reject("projector", projector, "False for an encoder of this library, which is kept without")
    for name, value in {"normalisation": normalisation, "stem_padding": stem_padding}.items():
        if value is not None:
            reject(name, value, "left out for an encoder of this library, which keeps its own")
    return _load_folder(path) if path.is_dir() else _load_stored(path, str(path_or_name))


def _as_path(path_or_name: object) -> Path:
    """Return a path that can be looked up."""
    if not isinstance(path_or_name, str | os.PathLike) or not str(path_or_name):
        reject("path_or_name", path_or_name, "a path or a name")
    path = Path(path_or_name)
    try:
        path.is_file()
    except OSError as error:
        raise InputError(f"path_or_name is {str(path)!r}, which cannot be looked up ({error.strerror}).") from error
    return path


def _load_folder(path: Path) -> Encoder:
    """Return the encoder that `pretrain` kept in a folder."""
    state = load_state(path)
    if state is None:
        raise InputError(f"checkpoint {str(path)!r} holds no epoch-… folder written by pretrain.")
    try:
        return encoder_from_state(state.encoder, state.meta["settings"], state.meta["history"])
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise _damaged(_epochs(path)[-1], error) from error


def _load_stored(path: Path, name: str) -> Encoder:
    """Return an encoder among the stored results."""
    stored = [e for e in store.entries() if (e.kind, e.name) == ("encoder", name)]
    stored = [e for e in stored if e.folder.startswith("results/")] or stored  # those that ship come first
    if not stored and path.suffix in FILES:
        raise InputError(f"checkpoint {name!r} does not exist.")
    if len(stored) != 1:
        found = "no encoder" if not stored else f"{len(stored)} encoders"
        raise InputError(
            f"path_or_name is {name!r}: no such folder or file, and {found} of that name among the stored results"
            " (python -m influence_lib results --kind encoder lists them)."
        )
    result = store.load(store.repository() / stored[0].folder)
    settings = {"kind": "encoder", "name": stored[0].name, **stored[0].settings}
    return encoder_from_state(result["encoder"], settings, result["history"])


def _damaged(folder: Path, error: Exception) -> InputError:
    """Return the error of a checkpoint that cannot be read."""
    reason = " ".join(str(error).split())
    return InputError(f"checkpoint {str(folder)!r} is damaged ({type(error).__name__}: {reason}): delete this folder.")


def _epochs(folder: Path) -> list[Path]:
    """Return the folders of all epochs, the last one last."""
    found = folder.glob("epoch-*") if folder.is_dir() else ()
    return sorted(found, key=lambda path: (len(path.name), path.name))


def epochs_kept(folder: Path) -> int:
    """Return after how many epochs a training whose state is in a folder goes on; 0 where there is none."""
    epochs = _epochs(folder)
    return int(epochs[-1].name.removeprefix("epoch-")) if epochs else 0


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
