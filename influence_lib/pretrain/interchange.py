"""Encoders in solo-learn's layout: checkpoints read, weights written.

solo-learn names the parameters of the encoder ``encoder.…`` (1.0.2) or ``backbone.…`` (1.0.6), those of the
projector ``projector.…``, or ``head.mlp.…`` for DINO, next to others that are of no use here.
"""

import pickle
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from influence_lib.errors import InputError, reject
from influence_lib.pretrain.encoders import Encoder, build_encoder

__all__ = ["export_solo_learn", "load_solo_learn"]

PREFIXES = {"1.0.6": "backbone.", "1.0.2": "encoder."}
PROJECTORS = {"projector.": nn.ReLU, "head.mlp.": nn.GELU}  # prefix → what lies between the linear layers


def load_solo_learn(path: Path, projector: bool = False) -> Encoder:
    """Return the encoder of a solo-learn checkpoint; see `load_checkpoint`."""
    if not path.is_file():
        raise InputError(f"checkpoint {str(path)!r} does not exist.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True).get("state_dict", {})
    except pickle.UnpicklingError as error:
        raise InputError(f"checkpoint {str(path)!r} holds more than tensors, and is not read for safety.") from error
    for prefix in PREFIXES.values():
        weights = _under(prefix, state)
        if "conv1.weight" in weights:
            break
    else:
        raise InputError(f"checkpoint {str(path)!r} has no weights that start with {' or '.join(PREFIXES.values())}.")
    encoder = build_encoder(weights["conv1.weight"].shape[0], stem_padding=2)
    missing, unexpected = encoder.backbone.load_state_dict(weights, strict=False)
    if missing or unexpected:
        raise InputError(
            f"checkpoint {str(path)!r} is no ResNet-18 with a CIFAR stem: missing {missing}, unexpected {unexpected}."
        )
    if projector:
        encoder.projector = _projector(state, path)
    encoder.settings |= {"method": "solo-learn checkpoint", "file": path.name}
    return encoder.eval()


def export_solo_learn(encoder: Encoder, path: str | Path, version: str = "1.0.6") -> None:
    """Write an encoder's weights under solo-learn's names, as safetensors.

    solo-learn's own checkpoints are pickles, which are not written here. With `safetensors.torch.load_file` the
    file becomes what solo-learn finds under ``state_dict`` in a checkpoint::

        model.load_state_dict(load_file("simclr.safetensors"), strict=False)

    solo-learn's CIFAR stem has padding 2 and its normalisation is part of the data pipeline; so an encoder with
    ``stem_padding=1`` gives other features there, and is refused.

    Parameters
    ----------
    encoder : Encoder
        With ``stem_padding=2``.
    path : path
        A file name that ends in ``.safetensors``.
    version : {"1.0.6", "1.0.2"}
        Whose names to use.

    Raises
    ------
    InputError
        If a value is not allowed.
    """
    path = Path(path)
    if version not in PREFIXES:
        reject("version", version, list(PREFIXES))
    if path.suffix != ".safetensors":
        reject("path", str(path), "a file name that ends in .safetensors")
    if encoder.settings["stem_padding"] != 2:
        reject("stem_padding of the encoder", encoder.settings["stem_padding"], "2, as solo-learn's networks have")
    named = {PREFIXES[version] + name: value for name, value in encoder.backbone.state_dict().items()}
    if encoder.projector is not None:
        named |= {f"projector.{name}": value for name, value in encoder.projector.state_dict().items()}
    save_file({name: value.cpu().contiguous() for name, value in named.items()}, path)


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _projector(state: Mapping[str, Tensor], path: Path) -> nn.Sequential:
    """Return the projector, whose layers the shapes of its weights tell."""
    found = [(_under(prefix, state), activation) for prefix, activation in PROJECTORS.items()]
    weights, activation = next(filter(itemgetter(0), found), ({}, nn.Identity))
    if not weights:
        raise InputError(f"checkpoint {str(path)!r} has no projector: load it with projector=False.")
    last = max(int(name.split(".")[0]) for name in weights)
    layers: list[nn.Module] = []
    for i in range(last + 1):
        weight = weights.get(f"{i}.weight")
        if weight is None:
            layers.append(activation())
        elif f"{i}.running_mean" in weights:
            layers.append(nn.BatchNorm1d(len(weight)))
        else:
            layers.append(nn.Linear(weight.shape[1], weight.shape[0], bias=f"{i}.bias" in weights))
    projector = nn.Sequential(*layers)
    projector.load_state_dict(weights)
    return projector
