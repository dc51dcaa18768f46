"""Where per-sample gradients of two views come from: an encoder, its layers, the pairs and the loss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from influence_lib.data import ImageSet
from influence_lib.device import computing_dtypes, keep_freed_memory, resolve_device
from influence_lib.influence.views.counted import counted_layers
from influence_lib.influence.views.gradients import Factors, Layer, layer_factors
from influence_lib.influence.views.losses import CrossEntropy, Loss
from influence_lib.influence.views.pairs import PairBatch, Pairs, build_loss
from influence_lib.influence.views.perturbations import Perturbation
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain.representations import prepare

__all__ = ["GradientSource", "LayerFactors", "gradient_source"]

LayerFactors = Iterator[tuple[str, Factors]]


@dataclass(frozen=True)
class GradientSource:
    """Where per-sample gradients come from.

    Attributes
    ----------
    encoder : nn.Module
        In eval mode, on the device of the pairs.
    layers : dict of str to module
        Those of its layers that are scored.
    pairs : Pairs
        The images' views.
    loss : Loss
        What is differentiated.
    autocast : torch.dtype or None
        Of the encoder's two passes; None is the encoder's own precision.
    share : float or None
        How much of the squared gradient norm the layers hold; None where that was not measured.
    """

    encoder: nn.Module
    layers: dict[str, Layer]
    pairs: Pairs
    loss: Loss
    autocast: torch.dtype | None = None
    share: float | None = None

    def with_images(self, images: ImageSet) -> "GradientSource":
        """Return the same source for other images, whose labels are their own."""
        loss = CrossEntropy(images.ids, images.labels) if isinstance(self.loss, CrossEntropy) else self.loss
        return replace(self, pairs=replace(self.pairs, images=images), loss=loss)

    def with_perturbation(self, perturbation: Perturbation) -> "GradientSource":
        """Return the same source for views by another perturbation."""
        views = replace(self.pairs.views, perturbation=perturbation)
        return replace(self, pairs=replace(self.pairs, views=views))

    def factors(self, batch: PairBatch, fisher: str = "empirical") -> LayerFactors:
        """Yield the factors of each layer's gradients of a batch, see `layer_factors`."""
        objective = self.pairs.objective(self.loss, batch.indices, fisher)
        yield from layer_factors(self.encoder, self.layers, batch.left, batch.right, objective, self.autocast)


def gradient_source(
    encoder: nn.Module,
    images: ImageSet,
    views: TwoViews,
    layers: Sequence[str] | None = None,
    frozen: bool = False,
    device: str | torch.device = "auto",
    precision: str = "fp32",
) -> GradientSource:
    """Return the source of the gradients of two views, with a copy of the encoder.

    The parameters are those of `self_influence`.

    Raises
    ------
    InputError
        If the encoder is not what `prepare` allows, or the gradient of a layer is not seen (`counted_layers`).
    """
    target = resolve_device(device)
    dtype, autocast = computing_dtypes(precision, target)
    if target.type == "cpu":
        keep_freed_memory()
    model = prepare(encoder, images, target)
    if dtype is torch.float64:
        model = model.double()
    elif any(p.dtype is torch.float64 for p in model.parameters()):
        dtype = torch.float64
    for value in (*model.parameters(), *model.buffers()):
        if value.ndim == 4:  # channels last is the order in which the patches are copied
            value.data = value.data.contiguous(memory_format=torch.channels_last)
    if frozen:
        for p in model.parameters():
            p.requires_grad_(p.is_floating_point())
    pairs = Pairs(images, views, target, dtype)
    form = build_loss(views.loss, model, images, views.seed, target, dtype)
    found, share = counted_layers(model, layers, frozen, pairs, form)
    return GradientSource(model, found, pairs, form, autocast, share)
