"""Per-sample gradients of a two-view loss, layer by layer.

Both views pass through the network in one stacked batch, the two views of an image next to each other, so each layer
sees 2B inputs. The gradient of an image is the sum over its two rows: the fold. The two terms nearly cancel (they pull
the representations of the two views in opposite directions), so a gradient that misses one of them is another quantity
altogether.

Linear and Conv2d layers are tracked, weight and bias, as kronfluence does; batch normalisation runs with its
stored statistics and its affine parameters are left out, here and everywhere in this library.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.device import cudnn_settings
from influence_lib.errors import InputError, reject
from influence_lib.influence.losses import agree, one_for_equal_views, two_view_loss

__all__ = ["Factors", "layer_factors", "per_sample_gradients", "tracked_layers"]

Layer = nn.Linear | nn.Conv2d
Layers = Mapping[str, Layer]
Objective = Callable[[Tensor, Tensor], Tensor]


def tracked_layers(encoder: nn.Module, layers: Sequence[str] | None = None) -> dict[str, Layer]:
    """Return the layers whose parameters the scores are about, by name.

    Parameters
    ----------
    encoder : nn.Module
        Where to look for Linear and Conv2d layers.
    layers : sequence of str, optional
        Names of modules; each stands for itself and all layers inside. None is every layer.

    Raises
    ------
    InputError
        If the encoder has no such layer, a name stands for none, or a normalisation has no statistics of its own.
    """
    for name, module in encoder.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise InputError(f"encoder has a normalisation {name!r} without stored statistics, which mixes the images.")
    found = {name: m for name, m in encoder.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    if not found:
        raise InputError("encoder has no Linear and no Conv2d layer, so there is nothing to score.")
    if layers is None:
        return found
    if isinstance(layers, str) or not layers:
        reject("layers", layers, "a list of names of modules, or None for all layers")
    for wanted in layers:
        if not any(_inside(name, wanted) for name in found):
            reject(
                "layers", wanted, f"names of Linear or Conv2d layers or of modules that hold some: {', '.join(found)}"
            )
    return {name: m for name, m in found.items() if any(_inside(name, wanted) for wanted in layers)}


def _inside(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


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
    # TF32, with which a GPU convolves by default, rounds as coarsely as a half precision
    exact = cudnn_settings(allow_tf32=False)
    with _recorded(layers, 2 * len(left)) as records, _frozen(encoder), exact, torch.enable_grad():
        # the images need a gradient so that one reaches every layer's output
        stacked = torch.stack([left, right], dim=1).flatten(0, 1).requires_grad_()
        with torch.autocast(stacked.device.type, autocast) if autocast else nullcontext():
            representations = encoder(stacked)
        z_left, z_right = representations.to(stacked.dtype).unflatten(0, (-1, 2)).unbind(1)
        objective(*one_for_equal_views(left, right, z_left, z_right)).sum().backward()
    for name, layer in layers.items():
        if records[name]:
            calls = [_factors(layer, *record) for record in records.pop(name)]
            (only, *more) = calls
            yield name, Factors(*(torch.cat(parts, dim=2) for parts in zip(*calls, strict=True))) if more else only


def per_sample_gradients(
    encoder: nn.Module, left: Tensor, right: Tensor, objective: Objective = two_view_loss
) -> Iterator[tuple[str, Tensor]]:
    """Yield each layer with the gradient of each image's loss, B×out×in in the order of the layer's own weight.

    ``in`` is the flattened kernel, channels first, and last the bias; with channel groups it is that of one group.
    """
    layers = tracked_layers(encoder)
    for name, factors in layer_factors(encoder, layers, left, right, objective):
        gradients = factors.product().transpose(0, 1).flatten(1, 2)
        layer = layers[name]
        if isinstance(layer, nn.Conv2d):
            size = layer.weight[0].numel()
            kernel = gradients[..., :size].unflatten(-1, (-1, layer.weight.shape[1])).mT.flatten(-2)
            gradients = torch.cat([kernel, gradients[..., size:]], dim=-1)
        yield name, gradients


def _factors(layer: Layer, activations: Tensor, gradients: Tensor) -> Factors:
    """Return the factors of one call, from the 2B inputs and the 2B gradients of the outputs."""
    gradients = _without_cancelled(activations, gradients)
    if isinstance(layer, nn.Conv2d):
        rows, groups = _patches(layer, activations.to(layer.weight.dtype)), layer.groups
        gradients = gradients.movedim(1, -1)
    else:
        rows, groups = activations.reshape(1, len(activations), -1, layer.in_features), 1
    gradients = gradients.reshape(len(gradients), -1, groups, layer.weight.shape[0] // groups).movedim(2, 0)
    if layer.bias is not None:
        rows = torch.cat([rows, torch.ones_like(rows[..., :1])], dim=-1)
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
def _recorded(layers: Layers, rows: int) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Record the input and the output gradient of every call of every layer, which is given this many rows."""
    records: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], dict[str, Tensor], Tensor], Tensor | None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor) -> Tensor | None:
            if not torch.is_grad_enabled():  # the loss does not move with this call
                return None
            if not output.requires_grad:  # behind such a call
                output = output.detach().requires_grad_()
            (given,) = inputs or named.values()
            if len(given) != rows:
                raise InputError(
                    f"encoder gives its layer {name!r} {len(given)} rows, but it must be one for each view."
                )
            activations, version = given.detach(), given._version

            def keep(gradient: Tensor) -> None:
                if activations._version != version:
                    raise InputError(
                        f"encoder changes the input of its layer {name!r} in place after the layer has read it."
                    )
                records[name].append((activations, gradient))

            output.register_hook(keep)
            return output

        return hook

    handles = [layer.register_forward_hook(record(name), with_kwargs=True) for name, layer in layers.items()]
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


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
