"""Which layers of an encoder are scored: its Linear and Conv2d layers, by name."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

import torch
from torch import nn

from influence_lib.errors import InputError, check_strings, reject

__all__ = ["NAMES", "Layer", "Layers", "counted_parameters", "input_sizes", "inside", "refuse_layers", "tracked_layers"]

Layer = nn.Linear | nn.Conv2d
Layers = Mapping[str, Layer]

NAMES = "a list of names of modules, or None for all layers"  # what the argument `layers` may be
COMPUTED = "has a layer {!r} whose weight is computed (until remove_parametrizations or prune.remove)"


def tracked_layers(encoder: nn.Module, layers: Sequence[str] | None = None, frozen: bool = False) -> dict[str, Layer]:
    """Return the layers whose parameters the scores are about, by name.

    Parameters
    ----------
    encoder : nn.Module
        Where to look for Linear and Conv2d layers.
    layers : sequence of str, optional
        Names of modules; each stands for itself and all layers inside. None is every layer.
    frozen : bool
        Whether layers with ``requires_grad=False`` count, too.

    Raises
    ------
    InputError
        If the encoder has no such layer, a name stands for none, all are frozen, one is quantised or computes its
        weight from other parameters, or a normalisation has no statistics of its own.
    """
    for name, module in encoder.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise InputError(f"encoder has a normalisation {name!r} without stored statistics, which mixes the images.")
        if ".quantized." in type(module).__module__:
            raise InputError(f"encoder has a quantised layer {name!r}, through which no gradient passes.")
        if isinstance(module, torch.jit.ScriptModule) and any(True for _ in module.parameters()):
            where = f"a ScriptModule {name!r}" if name else "its layers in a ScriptModule"
            raise InputError(f"encoder has {where}, which cannot be followed: give the module that it was made from.")
    found = {name: m for name, m in encoder.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    if not found:
        raise InputError("encoder has no Linear and no Conv2d layer, so there is nothing to score.")
    chosen = found if layers is None else _chosen(found, layers)
    refuse_layers(chosen, {name: COMPUTED.format(name) for name, layer in chosen.items() if not _is_plain(layer)})
    counted = {
        name: layer
        for name, layer in chosen.items()
        if frozen or any(p.requires_grad for p in _own_parameters(layer).values())
    }
    for wanted in layers or [""]:
        if not any(inside(name, wanted) for name in counted):
            where = f"{wanted!r} of layers" if wanted else "encoder"
            raise InputError(
                f"{where} has only frozen parameters (requires_grad = False), which do not count:"
                " frozen=True counts them."
            )
    return counted


def refuse_layers(chosen: Iterable[str], reasons: Mapping[str, str]) -> None:
    """Raise for layers whose gradient cannot be followed, and say which of those chosen are left.

    Parameters
    ----------
    chosen : iterable of str
        Names of layers.
    reasons : mapping of str to str
        Names of those that are refused → a phrase that completes "encoder …"; empty where all are right.

    Raises
    ------
    InputError
        If there is one.
    """
    if not reasons:
        return
    rest: list[str] = []
    for name in chosen:
        if name not in reasons and not any(inside(name, taken) for taken in rest):
            modules = accumulate(name.split("."), "{}.{}".format)  # from the outermost on
            rest += [m for m in modules if not any(inside(refused, m) for refused in reasons)][:1]
    reason, *others = reasons.values()
    more = f" (and {len(others)} more layers are refused, up to {list(reasons)[-1]!r})" if others else ""
    way_out = f"leave it out with layers={rest}" if rest else "no layer is left to score"
    raise InputError(f"encoder {reason}{more}, so its gradient is not seen: {way_out}.")


def inside(name: str, module: str) -> bool:
    """Return whether a module is another, whose name may be that of the encoder, or lies inside it."""
    return not module or name == module or name.startswith(f"{module}.")


def counted_parameters(layer: Layer) -> dict[str, nn.Parameter]:
    """Return those of a layer's weight and bias that count: both, unless only the other one is frozen."""
    own = _own_parameters(layer)
    return {name: p for name, p in own.items() if p.requires_grad} or own


def input_sizes(layer: Layer) -> tuple[int, int]:
    """Return how many entries of a row of the gradient are the weight's, and how many (0 or 1) are the bias's."""
    counted = counted_parameters(layer)
    return layer.weight[0].numel() if "weight" in counted else 0, int("bias" in counted)


def _chosen(found: Layers, layers: Sequence[str]) -> dict[str, Layer]:
    """Return those of the layers found that the names stand for."""
    for wanted in check_strings("layers", layers, NAMES):
        if not any(inside(name, wanted) for name in found):
            reject(
                "layers", wanted, f"names of Linear or Conv2d layers or of modules that hold some: {', '.join(found)}"
            )
    return {name: layer for name, layer in found.items() if any(inside(name, wanted) for wanted in layers)}


def _own_parameters(layer: Layer) -> dict[str, nn.Parameter]:
    """Return the weight and the bias of a layer, as far as they are parameters of its own."""
    return {name: p for name in ("weight", "bias") if (p := layer._parameters.get(name)) is not None}


def _is_plain(layer: Layer) -> bool:
    """Return whether weight and bias are parameters that can be differentiated."""
    used = {name for name in ("weight", "bias") if getattr(layer, name, None) is not None}
    own = _own_parameters(layer)
    return "weight" in used and used == set(own) and all(p.is_floating_point() for p in own.values())
