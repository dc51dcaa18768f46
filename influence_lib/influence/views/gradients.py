"""Per-sample gradients of a two-view loss, layer by layer.

Both views pass through the network in one stacked batch, the two views of an image next to each other, so each layer
sees 2B inputs. The gradient of an image is the sum over its two rows: the fold. The two terms nearly cancel (they pull
the representations of the two views in opposite directions), so a gradient that misses one of them is another quantity
altogether.

Linear and Conv2d layers are tracked, weight and bias, as kronfluence does; batch normalisation runs with its
stored statistics and its affine parameters are left out, here and everywhere in this library.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.device import cudnn_settings
from influence_lib.errors import InputError
from influence_lib.influence.views.layers import Layer, Layers, input_sizes, tracked_layers
from influence_lib.influence.views.losses import agree, one_for_equal_views, two_view_loss
from influence_lib.pretrain.representations import represent

__all__ = [
    "Factors",
    "Layer",
    "Layers",
    "Objective",
    "differentiable",
    "factors_of_calls",
    "gradients_wanted",
    "in_weight_order",
    "layer_factors",
    "per_sample_gradients",
    "recorded",
    "recorded_calls",
    "tracked_layers",
]

Objective = Callable[[Tensor, Tensor], Tensor]
Records = dict[str, list[tuple[Tensor, Tensor]]]


class Factors(NamedTuple):
    """What a layer's per-sample gradients are made of: Σ over the positions of an outer product.

    Attributes
    ----------
    activations : Tensor
        groups×B×P×in, where P counts the positions of the layer's output in both views and in all of its calls, and
        ``in`` the kernel's positions, at each of them the channels, and last the bias where the layer has one.
    gradients : Tensor
        groups×B×P×out: the derivative of the image's loss with respect to the layer's outputs.
    """

    activations: Tensor
    gradients: Tensor

    def product(self) -> Tensor:
        """Return the per-sample gradients, groups×B×out×in."""
        return self.gradients.mT @ self.activations


def layer_factors(
    encoder: nn.Module,
    layers: Layers,
    left: Tensor,
    right: Tensor,
    objective: Objective = two_view_loss,
    autocast: torch.dtype | None = None,
) -> Iterator[tuple[str, Factors]]:
    """Yield the factors of each image's gradient with respect to one layer after the other.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D; put into eval mode by the caller.
    layers : mapping of str to module
        Which of its layers (`tracked_layers`).
    left, right : Tensor
        The two views, B×3×H×W each, on the encoder's device.
    objective : callable
        Maps the representations of the two views, B×D each, to B values, one an image.
    autocast : torch.dtype, optional
        Of the encoder's forward and backward pass. The gradients of the two views nearly cancel, so that rounding in
        these passes weighs several times more in the result.

    Yields
    ------
    name : str
        The layer.
    factors : Factors
        Of all its calls, in the dtype of its weight; a layer that was not called is left out.
    """
    records = recorded_calls(encoder, layers, left, right, objective, autocast)
    for name, layer in layers.items():
        if records[name]:
            yield name, factors_of_calls(layer, records.pop(name))


def recorded_calls(
    encoder: nn.Module,
    layers: Layers,
    left: Tensor,
    right: Tensor,
    objective: Objective,
    autocast: torch.dtype | None = None,
) -> Records:
    """Return what `recorded` yields of one pass; the parameters are those of `layer_factors`."""
    with recorded(layers, 2 * len(left)) as records, _frozen(encoder), gradients_wanted():
        differentiable(encoder, left, right, objective, autocast).backward()
    return records


@contextmanager
def gradients_wanted() -> Iterator[None]:
    """Switch autograd on, and off what rounds as coarsely as a half precision: TF32, with which a GPU convolves."""
    with cudnn_settings(allow_tf32=False), torch.enable_grad():
        yield


def differentiable(
    encoder: nn.Module, left: Tensor, right: Tensor, objective: Objective, autocast: torch.dtype | None = None
) -> Tensor:
    """Return the sum of an objective over images, for autograd; the parameters are those of `layer_factors`.

    Raises
    ------
    InputError
        If the representations have no gradient.
    """
    # the images need a gradient so that one reaches every layer's output
    stacked = torch.stack([left, right], dim=1).flatten(0, 1).requires_grad_()
    with torch.autocast(stacked.device.type, autocast) if autocast else nullcontext():
        representations = represent(encoder, stacked)
    if not representations.requires_grad:
        raise InputError(
            "encoder returns representations without a gradient (its forward runs under torch.no_grad() or"
            " inference_mode(), or ends with detach()), so there is nothing to score."
        )
    z_left, z_right = representations.unflatten(0, (-1, 2)).unbind(1)
    return objective(*one_for_equal_views(left, right, z_left, z_right)).sum()


def per_sample_gradients(
    encoder: nn.Module, left: Tensor, right: Tensor, objective: Objective = two_view_loss
) -> Iterator[tuple[str, Tensor]]:
    """Yield each layer with the gradient of each image's loss, B×out×in in the order of the layer's own weight.

    ``in`` is the flattened kernel, channels first, and last the bias; with channel groups it is that of one group.
    Frozen layers are among them. That the gradients are all of autograd's is for `counted_layers` to check.

    Examples
    --------
    >>> pixels = images.images.float() / 255
    >>> for name, gradients in per_sample_gradients(encoder, pixels, pixels + 0.1 * torch.randn_like(pixels)):
    ...     print(name, gradients.flatten(1).norm(dim=1))
    """
    layers = tracked_layers(encoder, frozen=True)
    for name, factors in layer_factors(encoder, layers, left, right, objective):
        yield name, in_weight_order(layers[name], factors.product())


def in_weight_order(layer: Layer, gradients: Tensor) -> Tensor:
    """Return gradients groups×B×out×in as B×out×in, in the order of the layer's own weight and last the bias."""
    gradients = gradients.transpose(0, 1).flatten(1, 2)
    size, _ = input_sizes(layer)
    if not isinstance(layer, nn.Conv2d) or not size:
        return gradients
    kernel = gradients[..., :size].unflatten(-1, (-1, layer.weight.shape[1])).mT.flatten(-2)
    return torch.cat([kernel, gradients[..., size:]], dim=-1)


def factors_of_calls(layer: Layer, calls: Sequence[tuple[Tensor, Tensor]]) -> Factors:
    """Return the factors of a layer from the 2B inputs and the 2B gradients of the outputs of each of its calls."""
    (only, *more) = parts = [_factors(layer, *call) for call in calls]
    return Factors(*(torch.cat(part, dim=2) for part in zip(*parts, strict=True))) if more else only


def _factors(layer: Layer, activations: Tensor, gradients: Tensor) -> Factors:
    """Return the factors of one call, from the 2B inputs and the 2B gradients of the outputs."""
    gradients = _without_cancelled(activations, gradients)
    if isinstance(layer, nn.Conv2d):
        rows, groups = _patches(layer, activations.to(layer.weight.dtype)), layer.groups
        gradients = gradients.movedim(1, -1)
    else:
        rows, groups = activations.reshape(1, len(activations), -1, layer.in_features), 1
    gradients = gradients.reshape(len(gradients), -1, groups, layer.weight.shape[0] // groups).movedim(2, 0)
    weight, bias = input_sizes(layer)
    if bias:
        rows = torch.cat([rows, torch.ones_like(rows[..., :1])], dim=-1)
    if not weight:
        rows = rows[..., -1:]
    return Factors(_fold(rows).to(layer.weight.dtype), _fold(gradients).to(layer.weight.dtype))


def _without_cancelled(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the gradients of the outputs, zero for the images whose two views cancel in this layer but for rounding.

    With equal inputs and opposite output gradients ‖g_x + g_x̂‖ is at the rounding level of ‖g_x‖ + ‖g_x̂‖.
    """
    x, x_hat = activations.unflatten(0, (-1, 2)).unbind(1)
    # a part of the inputs tells nearly all; on other devices a look at a value would wait for all that was asked before
    if x.device.type == "cpu" and not agree(x[..., :1], x_hat[..., :1]).any():
        return gradients
    g, g_hat = gradients.unflatten(0, (-1, 2)).unbind(1)
    cancelled = (agree(x, x_hat) & agree(g, -g_hat)).repeat_interleave(2)
    return gradients.masked_fill(cancelled.view(-1, *[1] * (gradients.ndim - 1)), 0)


def _fold(rows: Tensor) -> Tensor:
    """Return groups×B×2T×n from the groups×2B×T×n of the stacked views: an image's positions in both views."""
    groups, _, positions, size = rows.shape
    return rows.reshape(groups, -1, 2 * positions, size)


def _patches(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Return the patches that a convolution multiplies with its kernel: groups×2B×T×(kernel·channels).

    The channels come last, as they lie in memory, so that this is one copy of contiguous pieces.
    """
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    given = layer.padding if mode == "constant" and not isinstance(layer.padding, str) else None
    # torch's own list for "same" and for the other modes
    sides = layer._reversed_padding_repeated_twice if given is None else [p for p in given[::-1] for _ in range(2)]
    x = F.pad(x, sides, mode=mode).movedim(1, -1)
    (images, height, width, channels), (si, sh, sw, sc) = x.shape, x.stride()
    (kh, kw), (dh, dw), (th, tw) = layer.kernel_size, layer.dilation, layer.stride
    rows, columns = (height - dh * (kh - 1) - 1) // th + 1, (width - dw * (kw - 1) - 1) // tw + 1
    inner = channels // layer.groups
    windows = x.as_strided(
        (layer.groups, images, rows, columns, kh, kw, inner),
        (inner * sc, si, th * sh, tw * sw, dh * sh, dw * sw, sc),
        x.storage_offset(),
    )
    return windows.reshape(layer.groups, images, rows * columns, kh * kw * inner)


@contextmanager
def recorded(layers: Layers, rows: int, odd: dict[str, str] | None = None) -> Iterator[Records]:
    """Record the input and the output gradient of every call of every layer, which is given this many rows.

    Parameters
    ----------
    layers : mapping of str to module
        The layers.
    rows : int
        How many rows they are given: one for each view.
    odd : dict of str to str, optional
        Is filled with the layers that are called otherwise → a phrase that completes "encoder …". None raises an
        InputError for the first of them.

    Yields
    ------
    dict of str to list of (Tensor, Tensor)
        Layer → input and gradient of the output of each call, once a backward pass is through.
    """
    records: Records = {name: [] for name in layers}

    def refuse(name: str, phrase: str) -> None:
        if odd is None:
            raise InputError(f"encoder {phrase}, so its gradient is not seen.")
        odd[name] = phrase

    def hook(name: str, inputs: Sequence[Tensor], output: Tensor) -> Tensor | None:
        if not torch.is_grad_enabled():  # the loss does not move with this call
            return None
        if len(inputs) != 1 or not all(isinstance(value, Tensor) for value in (*inputs, output)):
            refuse(name, f"has a layer {name!r} that takes or returns more than one tensor")
            return None
        (given,) = inputs
        if given.shape[:1] != (rows,):
            found = len(given) if given.ndim else "no"
            refuse(name, f"gives its layer {name!r} {found} rows in place of {rows}, one for each view")
            return None
        if not output.requires_grad:  # behind such a call; a copy, since what follows may work in place
            output = output.detach().requires_grad_().clone()
        activations, version = given.detach(), _version(given)

        def keep(gradient: Tensor) -> None:
            if _version(activations) != version:
                refuse(name, f"changes the input of its layer {name!r} in place after the layer has read it")
            records[name].append((activations, gradient))

        output.register_hook(keep)
        return output

    def record(name: str) -> Callable[..., Tensor | None]:
        return lambda _, inputs, named, output: hook(name, [*inputs, *named.values()], output)

    handles = [layer.register_forward_hook(record(name), with_kwargs=True) for name, layer in layers.items()]
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


def _version(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place, which one of inference mode does not count."""
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def _frozen(encoder: nn.Module) -> Iterator[None]:
    """Keep autograd from summing parameter gradients over the batch, which nobody reads."""
    wanted = [p for p in encoder.parameters() if p.requires_grad]
    for p in wanted:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in wanted:
            p.requires_grad_(True)
