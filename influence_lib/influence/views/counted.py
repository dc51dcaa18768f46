"""Which layers count: those whose gradient is seen, and the share of the whole gradient that they hold.

What is recorded at a layer's calls is the gradient of its weight only if the weight is used there and nowhere else, as
a plain layer uses it. That is not looked up but tried: on a few images, what was recorded has to be autograd's
gradient. It is tried on a random projection of one image's representations, whose two views do not cancel, so that
rounding cannot hide what is missing, and in a batch with other images, to which nothing of it may belong.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from influence_lib.device import without_onednn
from influence_lib.errors import InputError
from influence_lib.influence.views.gradients import (
    Objective,
    differentiable,
    factors_of_calls,
    gradients_wanted,
    in_weight_order,
    recorded,
)
from influence_lib.influence.views.layers import (
    Layer,
    Layers,
    counted_parameters,
    inside,
    refuse_layers,
    tracked_layers,
)
from influence_lib.influence.views.losses import Loss
from influence_lib.influence.views.pairs import PairBatch, Pairs

__all__ = ["counted_layers", "gradient_shares", "verified_layers"]

FEW = 4  # images on which it is tried
TOLERANCE = 1e-3  # of the gradient's length; rounding stays far below
ROUNDING = 64  # times the precision, of the lengths that add up to the gradient
MISSED = 0.01  # a share outside up to which nothing is said
NORMALISATIONS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
COUNTED, LEFT_OUT, NORMS = "counted", "other Linear and Conv2d layers", "normalisations"


def counted_layers(
    encoder: nn.Module, asked: Sequence[str] | None, frozen: bool, pairs: Pairs, loss: Loss
) -> tuple[dict[str, Layer], float | None]:
    """Return the layers that count, and their share of the squared gradient norm.

    Parameters
    ----------
    encoder : nn.Module
        From `prepare`.
    asked : sequence of str or None
        Names of modules, as in `tracked_layers`.
    frozen : bool
        Whether frozen layers count, whose parameters then require a gradient.
    pairs : Pairs
        Of the views, a few of which are looked at.
    loss : Loss
        Whose gradient is shared out.

    Returns
    -------
    layers : dict of str to module
        Those on whose weights the representations depend.
    share : float or None
        From 0 to 1; None where the gradient is zero or not finite.

    Raises
    ------
    InputError
        If the encoder has no gradient, that of a layer is not seen, or none is left of what was asked for.

    Warns
    -----
    UserWarning
        If over 1 % of the squared norm lies outside, not counting normalisations and what `asked` leaves out.
    """
    tracked = tracked_layers(encoder, asked, frozen)
    batch = pairs.batch(torch.linspace(0, len(pairs.images) - 1, FEW).long())
    try:
        with _watched(tracked) as calls:
            layers = verified_layers(encoder, tracked, batch.left, batch.right)
        shares = gradient_shares(encoder, layers, batch, partial(pairs.objective, loss))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        first = str(error).splitlines()[0].removesuffix(".")
        raise InputError(f"encoder cannot be differentiated ({type(error).__name__}: {first}).") from error
    for name, graded in calls.items():
        if frozen and graded and not any(graded):
            raise InputError(
                f"encoder calls its layer {name!r} under torch.no_grad() or inference_mode(), so that frozen = True"
                " cannot count it: change its forward, or name the other layers in layers=…."
            )
        if not graded:
            tracked[name].register_forward_pre_hook(_refusal(name))
    for wanted in asked or [""]:
        if not any(inside(name, wanted) for name in layers):
            where = f"{wanted!r} of layers" if wanted else "encoder"
            raise InputError(f"{where} has no layer on whose weights the representations depend.")
    _say(shares)
    return layers, shares.get(COUNTED)


def verified_layers(encoder: nn.Module, layers: Layers, left: Tensor, right: Tensor) -> dict[str, Layer]:
    """Return those of some layers on whose weights the representations depend.

    Parameters
    ----------
    encoder : nn.Module
        As in `layer_factors`.
    layers : mapping of str to module
        Layers whose parameters require a gradient.
    left, right : Tensor
        The two views of some images, B×3×H×W each.

    Raises
    ------
    InputError
        If what is recorded at a layer's calls is not autograd's gradient of its weight and bias.
    """
    reasons: dict[str, str] = {}
    with recorded(layers, 2 * len(left), reasons) as records:
        total, gradients = _parameter_gradients(encoder, left, right, _projected)
    if not all(torch.isfinite(value).all() for value in (total, *gradients.values())):
        return dict(layers)  # the passes name what is to blame
    found = {
        name: layer
        for name, layer in layers.items()
        if records[name] or any(p in gradients for p in counted_parameters(layer).values())
    }
    for name, layer in found.items():
        if name not in reasons and not _is_seen(layer, records[name], gradients):
            reasons[name] = _reason(encoder, name, layer, called=bool(records[name]))
    refuse_layers(found, {name: reason for name, reason in reasons.items() if name in found})
    return found


def gradient_shares(
    encoder: nn.Module, layers: Layers, batch: PairBatch, objective: Callable[[Tensor], Objective]
) -> dict[str, float]:
    """Return the shares of kinds of parameters in the squared gradient norm of some images, as autograd has it.

    Parameters
    ----------
    encoder : nn.Module
        Of its parameters, those that require a gradient are looked at.
    layers : mapping of str to module
        Those that count.
    batch : PairBatch
        The images, which are looked at one at a time.
    objective : callable
        Maps indices of pairs to their objective.

    Returns
    -------
    dict of str to float
        They add up to 1; the layers that count are called `COUNTED`, normalisations `NORMS`, other Linear and Conv2d
        layers `LEFT_OUT`. Empty where the gradient is zero or not finite.
    """
    ours = {id(p) for layer in layers.values() for p in counted_parameters(layer).values()}
    kinds: dict[nn.Parameter, str] = {}
    for module in encoder.modules():
        for name, p in module.named_parameters(recurse=False):
            if p.requires_grad:
                kinds.setdefault(p, COUNTED if id(p) in ours else _kind(module, name))
    sums = dict.fromkeys(kinds.values(), 0.0)
    for i in range(len(batch.ids)):
        one = slice(i, i + 1)
        of_one = objective(batch.indices[one])
        _, gradients = _parameter_gradients(encoder, batch.left[one], batch.right[one], of_one)
        for p, gradient in gradients.items():
            sums[kinds[p]] += float(torch.linalg.vector_norm(gradient)) ** 2
    whole = sum(sums.values())
    return {kind: part / whole for kind, part in sums.items()} if 0 < whole < float("inf") else {}


def _parameter_gradients(
    encoder: nn.Module, left: Tensor, right: Tensor, objective: Objective
) -> tuple[Tensor, dict[nn.Parameter, Tensor]]:
    """Return the sum of an objective, and the gradient of every parameter on which it depends."""
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    with gradients_wanted(), without_onednn():
        total = differentiable(encoder, left, right, objective)
        total.backward()  # and not autograd.grad, which does not see into reentrant checkpoints
    gradients = {p: p.grad for p in parameters if p.grad is not None}
    for p in parameters:
        p.grad = None
    return total.detach(), gradients


def _projected(left: Tensor, right: Tensor) -> Tensor:
    """Return a random projection of the first image's two representations."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, left.shape[1], generator=generator, dtype=torch.float32).to(left)
    return (weights * torch.stack([left[0], right[0]])).sum()


def _is_seen(layer: Layer, calls: Sequence[tuple[Tensor, Tensor]], gradients: Mapping[nn.Parameter, Tensor]) -> bool:
    """Return whether what was recorded of the first image is the gradient of the layer's parameters."""
    parts = [gradients.get(p, torch.zeros_like(p)) for p in counted_parameters(layer).values()]
    wanted = torch.cat([part.reshape(len(part), -1) for part in parts], dim=1)
    if not calls:
        return not wanted.any()
    try:
        factors = factors_of_calls(layer, [(inputs[:2], outputs[:2]) for inputs, outputs in calls])
        got = in_weight_order(layer, factors.product())[0]
    except RuntimeError:  # the sizes do not fit: the layer did something else with its input
        return False
    lengths = [torch.linalg.vector_norm(part, dim=3) for part in factors]
    rounding = ROUNDING * torch.finfo(got.dtype).eps * (lengths[0] * lengths[1]).sum()
    # the encoder may have an autocast of its own
    coarsest = max(torch.finfo(outputs.dtype).eps for _, outputs in calls)
    return bool((got - wanted).norm() <= max(TOLERANCE, 8 * coarsest) * wanted.norm() + rounding)


def _reason(encoder: nn.Module, name: str, layer: Layer, called: bool) -> str:
    """Return a phrase that completes "encoder …"."""
    for other, module in encoder.named_modules():
        shared = {id(p) for p in module._parameters.values()} & {id(p) for p in counted_parameters(layer).values()}
        if module is not layer and shared:
            return f"has a layer {name!r} that shares a parameter with {other!r}"
    if not called:
        return f"uses the weight of its layer {name!r} without a call (as nn.MultiheadAttention does)"
    plain = "Conv2d" if isinstance(layer, nn.Conv2d) else "Linear"
    return (
        f"has a layer {name!r} that is not a plain {plain} in its forward (it pads, or changes its weight or output),"
        " or uses its weight elsewhere, too"
    )


def _kind(module: nn.Module, name: str) -> str:
    """Return how a parameter that does not count is called."""
    if isinstance(module, nn.Linear | nn.Conv2d) and name in ("weight", "bias"):
        return LEFT_OUT
    return NORMS if isinstance(module, NORMALISATIONS) else f"{type(module).__name__}.{name}"


def _say(shares: Mapping[str, float]) -> None:
    """Warn where parameters of other kinds hold more than is passed over."""
    others = {kind: share for kind, share in shares.items() if kind != COUNTED}
    if sum(share for kind, share in others.items() if kind not in (NORMS, LEFT_OUT)) <= MISSED:
        return
    largest = sorted(others, key=lambda kind: -others[kind])[:FEW]
    listed = ", ".join(f"{kind} {others[kind]:.1%}" for kind in largest)
    warnings.warn(
        f"the layers that count, Linear and Conv2d, hold {shares[COUNTED]:.1%} of the squared gradient norm; outside"
        f" are {listed}{' and more' if len(others) > FEW else ''}.",
        stacklevel=2,
    )


def _refusal(name: str) -> Callable[..., None]:
    def hook(*_: object) -> None:
        raise InputError(f"encoder calls its layer {name!r} for some images and not for others.")

    return hook


@contextmanager
def _watched(layers: Layers) -> Iterator[dict[str, list[bool]]]:
    """Note at every call of every layer whether autograd is on."""
    calls: dict[str, list[bool]] = {name: [] for name in layers}

    def note(name: str) -> Callable[..., None]:
        return lambda *_: calls[name].append(torch.is_grad_enabled())

    handles = [layer.register_forward_pre_hook(note(name)) for name, layer in layers.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
