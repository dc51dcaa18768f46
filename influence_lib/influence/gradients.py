"""Per-sample gradients of a two-view loss, layer by layer.

Both views pass through the network in one stacked batch, so each layer sees 2B inputs. The gradient of image i
is the sum over its two rows, i and B + i: the fold. The two terms nearly cancel (they pull the representations
of the two views in opposite directions), so a gradient that misses one of them is another quantity altogether.

Linear and Conv2d layers are tracked, weight and bias, as kronfluence does; batch normalisation runs with its
stored statistics and its affine parameters are left out, here and everywhere in this library.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.errors import InputError
from influence_lib.influence.losses import two_view_loss

__all__ = ["Factors", "layer_factors", "per_sample_gradients", "tracked_layers"]

Layer = nn.Linear | nn.Conv2d


def tracked_layers(encoder: nn.Module) -> dict[str, Layer]:
    """Return the layers whose parameters the scores are about, by name.

    Raises
    ------
    InputError
        If the encoder has none.
    """
    layers = {name: m for name, m in encoder.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    if not layers:
        raise InputError("encoder has no Linear and no Conv2d layer, so there is nothing to score.")
    return layers


class Factors(NamedTuple):
    """What a layer's per-sample gradients are made of: Σ over the positions of an outer product.

    Attributes
    ----------
    activations : Tensor
        B×groups×in×P, where ``in`` counts the kernel's positions and, last, the bias where the layer has one, and P
        the positions of the layer's output in both views and in all of its calls.
    gradients : Tensor
        B×groups×out×P: the derivative of the image's loss with respect to the layer's outputs.
    """

    activations: Tensor
    gradients: Tensor

    def product(self) -> Tensor:
        """Return the per-sample gradients, B×groups×out×in."""
        return self.gradients @ self.activations.mT


Objective = Callable[[Tensor, Tensor], Tensor]


def layer_factors(
    encoder: nn.Module, left: Tensor, right: Tensor, objective: Objective = two_view_loss
) -> Iterator[tuple[str, Factors]]:
    """Yield the factors of each image's gradient with respect to one layer after the other.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D; put into eval mode by the caller.
    left, right : Tensor
        The two views, B×3×H×W each, on the encoder's device.
    objective : callable
        Maps the representations of the two views, B×D each, to B values, one an image.

    Yields
    ------
    name : str
        The layer.
    factors : Factors
        Of all its calls; a layer that was not called is left out.
    """
    layers = tracked_layers(encoder)
    with _recorded(layers) as records, _frozen(encoder), torch.enable_grad():
        stacked = torch.cat([left, right]).requires_grad_()  # so that gradients reach every layer's output
        z_left, z_right = encoder(stacked).chunk(2)
        objective(z_left, z_right).sum().backward()
    for name, layer in layers.items():
        if records[name]:
            calls = [_factors(layer, *record) for record in records.pop(name)]
            yield name, Factors(*(torch.cat(parts, dim=3) for parts in zip(*calls, strict=True)))


def per_sample_gradients(encoder: nn.Module, left: Tensor, right: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield each layer with the gradient of each image's two-view loss: B×(groups·out)×in, see `layer_factors`."""
    for name, factors in layer_factors(encoder, left, right):
        yield name, factors.product().flatten(1, 2)


def _factors(layer: Layer, activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Return a call's activations (B×groups×in×2T) and output gradients (B×groups×out×2T)."""
    if isinstance(layer, nn.Conv2d):
        activations, groups = _unfold(layer, activations), layer.groups
        gradients = gradients.flatten(2)
    else:
        groups = 1
        activations = activations.reshape(len(activations), -1, layer.in_features).transpose(1, 2)
        gradients = gradients.reshape(len(gradients), -1, layer.out_features).transpose(1, 2)
    activations, gradients = activations.unflatten(1, (groups, -1)), gradients.unflatten(1, (groups, -1))
    if layer.bias is not None:
        activations = torch.cat([activations, torch.ones_like(activations[:, :, :1])], dim=2)
    return _fold(activations), _fold(gradients)


def _fold(rows: Tensor) -> Tensor:
    """Return B×…×2T from the 2B×…×T of the stacked views: the second view's positions follow the first's."""
    return torch.cat(rows.chunk(2), dim=-1)


def _unfold(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Return the patches that a convolution multiplies with its kernel: 2B×(channels·kernel)×T."""
    left_right_top_bottom = layer._reversed_padding_repeated_twice
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = F.pad(x, left_right_top_bottom, mode=mode)
    return F.unfold(x, layer.kernel_size, dilation=layer.dilation, stride=layer.stride)


@contextmanager
def _recorded(layers: dict[str, Layer]) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Record the input and the output gradient of every call of every layer."""
    records: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            activations = inputs[0].detach()
            output.register_hook(lambda gradient: records[name].append((activations, gradient)))

        return hook

    handles = [layer.register_forward_hook(record(name)) for name, layer in layers.items()]
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
