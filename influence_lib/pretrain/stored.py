"""Encoders among the stored results: made once, then read."""

import shutil
from pathlib import Path
from typing import Any

import torch

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.errors import check_integer
from influence_lib.pretrain.checkpoints import encoder_from_state
from influence_lib.pretrain.encoders import Encoder, build_encoder
from influence_lib.pretrain.loop import pretrain, pretrain_settings

__all__ = ["described", "stored_encoder", "stored_untrained"]

REVISION = 1  # of what training does with its settings; see `store.revision`


def stored_encoder(
    images: ImageSet,
    place: str = "artifacts",
    name: str | None = None,
    stop_at: int | None = None,
    progress: bool = True,
    **arguments: Any,
) -> Encoder:
    """Return the stored encoder of these settings, training it first if there is none.

    The weights are stored in half precision, and what is returned is what was stored. A run that is killed goes
    on at its last epoch when it is asked for again.

    Parameters
    ----------
    images : ImageSet
        The training images.
    place : {"artifacts", "results"}
        Where a new encoder is stored.
    name : str, optional
        The label by which `load_checkpoint` finds it; by default method and image set, as in ``simclr-cifar10``.
    stop_at : int, optional
        That of `pretrain`: the encoder along its training. Asked for in ascending order, such encoders cost one
        run together.
    progress : bool
        Whether to show a progress bar.
    **arguments
        Those of `pretrain`, except ``checkpoint``.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> stored_encoder(images, method="simclr", width=2, epochs=1, batch_size=20)
    """
    settings, training = described(images, name, stop_at, **arguments)
    stopped = {"stop_at": settings["stop_at"]} if "stop_at" in settings else {}

    def compute() -> dict[str, Any]:
        encoder = pretrain(images, checkpoint=training, progress=progress, **stopped, **arguments)
        weights = {
            key: value.to(torch.float16) if value.is_floating_point() else value
            for key, value in encoder.state_dict().items()
        }
        return {"encoder": weights, "history": encoder.history}

    result = store.get(settings, compute, place)
    if not stopped:
        shutil.rmtree(training, ignore_errors=True)
    return encoder_from_state(result["encoder"], settings, result["history"])


def described(
    images: ImageSet, name: str | None = None, stop_at: int | None = None, **arguments: Any
) -> tuple[dict[str, Any], Path]:
    """Return the settings that identify a stored encoder, and the folder in which its training is kept until then.

    The parameters are those of `stored_encoder`.

    Raises
    ------
    InputError
        If a value is not allowed.
    """
    run = pretrain_settings(images, **arguments)
    stopped: dict[str, Any] = {} if stop_at in (None, run["epochs"]) else {"stop_at": stop_at}
    run |= store.revision(REVISION)
    settings = {"kind": "encoder", "name": name or f"{run['method']}-{images.name}", **run, **stopped}
    return settings, store.repository() / "artifacts" / "training" / store.digest({"kind": "training", **run})[:10]


def stored_untrained(width: int = 16, seed: int = 0, place: str = "artifacts") -> Encoder:
    """Return the stored encoder with random weights: the control of every claim about trained ones.

    Stored, in float32, because the same seed gives slightly different random weights on processors with other vector
    instructions, and results belong to weights.

    Parameters
    ----------
    width : int
        That of `build_encoder`.
    seed : int
        Of the weights.
    place : {"artifacts", "results"}
        Where a new encoder is stored.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> stored_untrained(width=2).features_dim
    16
    """
    seed = check_integer("seed", seed, least=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = build_encoder(width)
    label = f"untrained-width{width}" + (f"-seed{seed}" if seed else "")
    settings = {"kind": "encoder", "name": label, "method": "untrained", "seed": seed, **encoder.settings}
    result = store.get(settings, lambda: {"encoder": dict(encoder.state_dict()), "history": []}, place)
    return encoder_from_state(result["encoder"], settings, result["history"])
