"""Encoders of other projects: checkpoints read, and weights written in solo-learn's layout.

A ResNet-18 is found by the names that torchvision gives its parameters, wherever in a checkpoint they are. solo-learn
has them under ``encoder.`` (1.0.2) or ``backbone.`` (1.0.6), and what follows the encoder under ``projector.``, or
``head.mlp.`` for DINO.
"""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from influence_lib.errors import InputError, check_choice, reject
from influence_lib.pretrain.encoders import NORMALISATIONS, Encoder, ResNet18, check_normalisation
from influence_lib.pretrain.weightfiles import read_content, refuse, tensors_by_name

__all__ = ["export_solo_learn", "load_foreign"]

PREFIXES = {"1.0.6": "backbone.", "1.0.2": "encoder."}
PROJECTORS = {  # prefix → what lies between the linear layers
    "projector.": nn.ReLU,
    "projection_head.": nn.ReLU,
    "fc.": nn.ReLU,
    "head.mlp.": nn.GELU,
}
BLOCK = "layer1.0.conv1.weight"  # every ResNet has this convolution
TRUNK = re.compile(r"(conv|bn|layer)\d*\.")  # what belongs to a ResNet itself, and not to what follows it
AVERAGES = {"average", "averaged", "ema", "k", "key", "momentum", "target", "teacher"}
WRAPPERS = {"_orig_mod", "model", "module", "state_dict"}  # of a network as it is: compiled, in parallel, in Lightning
COUNTER = "num_batches_tracked"  # of batch normalisation; nothing reads it in eval mode
BATCH_NORM = {"running_mean", "running_var", COUNTER}
OTHER_NETWORKS = (
    "only a ResNet-18 with a 3×3 first convolution is read here, and any other network can be scored as an nn.Module"
    " that returns B×D"
)
SOLO_PADDING = 2

Normalisation = str | tuple[Sequence[float], Sequence[float]]


def load_foreign(
    path: Path, projector: bool = False, normalisation: Normalisation | None = None, stem_padding: int | None = None
) -> Encoder:
    """Return the encoder of a checkpoint that another project wrote; see `load_checkpoint`."""
    content = read_content(path)
    tensors = tensors_by_name(content)
    prefix = _find_network(path, tensors)
    weights = _under(prefix, tensors)
    named = normalisation if normalisation is not None else _trained_on(path, content, prefix)
    mean, std = check_normalisation(named)
    if stem_padding is None:
        stem_padding = _default_padding(path, prefix)
    width = len(weights["conv1.weight"])
    with torch.device("meta"):
        backbone = ResNet18(width, stem_padding)
    _fill(path, backbone, weights, prefix)
    encoder = Encoder(backbone, mean, std)
    encoder.settings = {
        "width": width,
        "stem_padding": stem_padding,
        "method": "checkpoint",
        "file": path.name,
        "prefix": prefix,
        "normalisation": {"mean": list(mean), "std": list(std)},
    }
    if projector:
        under, encoder.projector = _load_projector(path, tensors, prefix, encoder.features_dim)
        encoder.settings["projector"] = under
    return encoder.eval()


def export_solo_learn(encoder: Encoder, path: str | Path, version: str = "1.0.6") -> None:
    """Write an encoder's weights under solo-learn's names, as safetensors.

    solo-learn's own checkpoints are pickles, which are not written here. With `safetensors.torch.load_file` the
    file becomes what solo-learn finds under ``state_dict`` in a checkpoint::

        model.load_state_dict(load_file("simclr.safetensors"), strict=False)

    solo-learn's CIFAR stem has padding 2, so an encoder with ``stem_padding=1`` gives other features there, and is
    refused. Its normalisation is part of the data pipeline and not of the file: give the encoder's there, and to
    `load_checkpoint` where it is not CIFAR-10's.

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
        If a value is not allowed, or the file cannot be written.

    Examples
    --------
    >>> encoder = build_encoder(16, stem_padding=2)
    >>> export_solo_learn(encoder, "simclr.safetensors")
    """
    if not isinstance(encoder, Encoder):
        reject("encoder", type(encoder).__name__, "an Encoder, as build_encoder, pretrain and load_checkpoint return")
    if not isinstance(path, str | Path) or Path(path).suffix != ".safetensors":
        reject("path", str(path), "a file name that ends in .safetensors")
    prefix = PREFIXES[check_choice("version", version, list(PREFIXES))]
    padding = encoder.settings.get("stem_padding")
    if padding != SOLO_PADDING:
        reject("stem_padding of the encoder", padding, "2, as solo-learn's networks have")
    named = {prefix + name: value for name, value in encoder.backbone.state_dict().items()}
    if encoder.projector is not None:
        named |= {f"projector.{name}": value for name, value in encoder.projector.state_dict().items()}
    try:
        save_file({name: value.cpu().contiguous() for name, value in named.items()}, path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"path is {str(path)!r}, which cannot be written ({error}).") from error


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _parent(prefix: str) -> str:
    """Return ``a.b.`` of ``a.b.c.``."""
    return prefix[: prefix[:-1].rfind(".") + 1]


def _find_network(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Return the prefix under which a checkpoint has a ResNet-18: the trained one where there are averages of it, too.

    A moving average is known by its name; see `AVERAGES`.
    """
    if not tensors:
        refuse(path, "holds no tensors by name")
    prefixes = sorted(name.removesuffix(BLOCK) for name in tensors if f".{name}".endswith(f".{BLOCK}"))
    if not prefixes:
        first = ", ".join(map(repr, list(tensors)[:3]))
        refuse(path, f"has no weights of a ResNet (nothing ends in {BLOCK}; the first are {first}): {OTHER_NETWORKS}")
    trained = [p for p in prefixes if not AVERAGES & set(re.split(r"[._]", p.lower()))] or prefixes
    problems = {p: _misfit(_under(p, tensors)) for p in trained}
    fitting = [p for p, problem in problems.items() if problem is None]
    if not fitting:
        where = f" under {trained[0]!r}" if trained[0] else ""
        refuse(path, f"is no ResNet-18 with a CIFAR stem{where} ({problems[trained[0]]}): {OTHER_NETWORKS}")
    first, *others = fitting
    if any(not _same_weights(_under(first, tensors), _under(other, tensors)) for other in others):
        names = " and ".join(map(repr, fitting))
        refuse(path, f"has different networks under {names}: keep the weights of one of them")
    return first


def _same_weights(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    pairs = [(value, b[name]) for name, value in a.items() if TRUNK.match(name) and name in b]
    return all(x.dtype == y.dtype and x.layout == y.layout == torch.strided and torch.equal(x, y) for x, y in pairs)


def _misfit(weights: Mapping[str, Tensor]) -> str | None:
    """Return what keeps weights from being those of a ResNet-18 with a 3×3 stem, or None."""
    if any(re.match(r"layer\d+\.\d+\.conv3\.", name) for name in weights):
        return "it has bottleneck blocks, as ResNet-50 has"
    stem = weights.get("conv1.weight")
    if stem is None or stem.ndim != 4 or not len(stem):
        return "conv1.weight is " + ("missing" if stem is None else f"of shape {tuple(stem.shape)}")
    if stem.shape[2:] != (3, 3):
        height, width = stem.shape[2:]
        return f"its first convolution is {height}×{width}, as in networks for large images"
    with torch.device("meta"):
        expected = ResNet18(len(stem), SOLO_PADDING).state_dict()
    unexpected = [name for name in weights if TRUNK.match(name) and name not in expected]
    missing = [name for name in expected if name not in weights and not name.endswith(COUNTER)]
    differing = [
        f"{name} of shape {tuple(weights[name].shape)} in place of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in weights and weights[name].shape != value.shape and not name.endswith(COUNTER)
    ]
    for what, names in (("it has no tensor", missing), ("it also has", unexpected), ("it has", differing)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"{what} {names[0]}{more}"
    return None


def _fill(path: Path, module: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> None:
    """Give a module on the meta device weights of the right names, in float32."""
    checked = {}
    for name, expected in module.state_dict().items():
        if name.endswith(COUNTER):
            checked[name] = torch.zeros((), dtype=torch.long)
            continue
        value = weights[name].detach()
        if not value.is_floating_point() or value.layout != torch.strided:
            refuse(
                path, f"has {prefix}{name} as {value.dtype} ({value.layout}) in place of plain floating-point numbers"
            )
        checked[name] = value.to(expected.dtype).contiguous()
        if not torch.isfinite(checked[name]).all():
            refuse(path, f"has numbers in {prefix}{name} that are not finite in float32")
        if name.endswith("running_var") and bool((checked[name] < 0).any()):
            refuse(path, f"has negative variances in {prefix}{name}")
    module.load_state_dict(checked, assign=True)


def _default_padding(path: Path, prefix: str) -> int:
    """Return the padding of solo-learn's stem, with a warning for a layout that is not solo-learn's."""
    if "".join(f"{part}." for part in prefix.split(".")[:-1] if part not in WRAPPERS) not in PREFIXES.values():
        warnings.warn(
            f"checkpoint {str(path)!r} does not say the padding of its first convolution: 2 is taken, as in"
            " solo-learn's networks, where most others have 1; give stem_padding=1 or 2.",
            UserWarning,
            stacklevel=4,
        )
    return SOLO_PADDING


def _trained_on(path: Path, content: Mapping[str, Any], prefix: str) -> str:
    """Return the image set by whose normalisation a network was trained, CIFAR-10 where nothing says which.

    solo-learn writes its arguments into ``args.json`` beside the checkpoint, Lightning into ``hyper_parameters``.
    """
    arguments = content.get("hyper_parameters")
    beside = path.with_name("args.json")
    if not isinstance(arguments, Mapping) and beside.is_file():
        try:
            arguments = json.loads(beside.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            refuse(path, f"has {str(beside)!r} beside it, which cannot be read ({error}): give the normalisation")
    if not isinstance(arguments, Mapping):
        return "cifar10"
    data = arguments.get("data")
    dataset = data.get("dataset") if isinstance(data, Mapping) else arguments.get("dataset")
    if dataset is None:
        return "cifar10"
    known = {"imagenet100": "imagenet"} | {name: name for name in NORMALISATIONS}
    if dataset not in known:
        refuse(path, f"was trained on {dataset!r}, whose normalisation is not known: give the normalisation")
    if dataset == "cifar100" and prefix.endswith(PREFIXES["1.0.2"]):
        return "cifar10"  # which solo-learn 1.0.2 uses for both
    return known[dataset]


def _load_projector(
    path: Path, tensors: Mapping[str, Tensor], prefix: str, features_dim: int
) -> tuple[str, nn.Sequential]:
    """Return the prefix of what follows the network under `prefix`, and its layers."""
    for parent in (_parent(prefix), prefix):
        for name, activation in PROJECTORS.items():
            weights = _under(parent + name, tensors)
            if weights.keys() <= {"weight", "bias"} and name != "fc.":  # one layer; a ResNet's own is its classifier
                weights = {f"0.{role}": value for role, value in weights.items()}
            if any("." in role for role in weights):
                return parent + name, _projector(path, weights, parent + name, activation, features_dim)
    names = ", ".join(PROJECTORS)
    refuse(path, f"has no projector: load it with projector=False (it is looked for under {names})")


def _projector(
    path: Path, weights: Mapping[str, Tensor], prefix: str, activation: type[nn.Module], features_dim: int
) -> nn.Sequential:
    """Return the projector, whose layers the names and the shapes of its weights tell."""
    unclear = f"has a projector under {prefix!r} whose layers its weights do not tell: load it with projector=False"
    by_place: dict[int, dict[str, Tensor]] = {}
    for name, value in weights.items():
        place, _, role = name.partition(".")
        if not re.fullmatch(r"[0-9]{1,3}", place):
            refuse(path, f"{unclear} ({name})")
        by_place.setdefault(int(place), {})[role] = value
    layers: list[nn.Module] = []
    for i in range(max(by_place) + 1):
        # one without weights is the activation; two of them in a row are not told apart
        layer = activation() if i not in by_place and i - 1 in by_place else _layer(by_place.get(i, {}))
        if layer is None:
            refuse(path, f"{unclear} (layer {i})")
        layers.append(layer)
    projector = nn.Sequential(*layers).eval()
    try:
        projector(torch.empty(1, features_dim, device="meta"))
    except RuntimeError:
        refuse(path, f"has a projector under {prefix!r} that does not fit representations of {features_dim} dimensions")
    _fill(path, projector, weights, prefix)
    return projector


def _layer(roles: Mapping[str, Tensor]) -> nn.Module | None:
    """Return the layer without storage that has these weights, or None if they do not tell it."""
    weight = roles.get("weight")
    if weight is not None and weight.ndim == 2 and roles.keys() <= {"weight", "bias"}:
        return nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in roles, device="meta")
    affine = roles.keys() & {"weight", "bias"}
    if {"running_mean", "running_var"} <= roles.keys() <= BATCH_NORM | {"weight", "bias"} and len(affine) != 1:
        return nn.BatchNorm1d(len(roles["running_mean"]), affine=bool(affine), device="meta")
    return None
