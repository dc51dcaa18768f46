"""The gradient of the loss of two views in its parts: the two representations, the two Jacobians, their sum.

With z and ẑ the representations of an image and of its noisy copy, L = 1 − cos(z, ẑ) has the gradients

    ∂L/∂z = −(ẑ/‖ẑ‖ − cos · z/‖z‖) / ‖z‖, of squared length (1 − cos²)/‖z‖² = L(2 − L)/‖z‖²,

and the same with z and ẑ exchanged; their cosine is −cos = L − 1. The gradient with respect to the weights is
g = g_x + g_x̂ with g_x = J_xᵀ ∂L/∂z and g_x̂ = J_x̂ᵀ ∂L/∂ẑ. If both Jacobians are one and the same multiple of an
isometry, and both representations have one length, then ‖g‖² ∝ L · L(2 − L)/‖z‖², which is highest at L = 4/3.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.influence.views.gradients import Factors, Layer, Records, factors_of_calls, recorded_calls
from influence_lib.influence.views.losses import two_view_loss
from influence_lib.influence.views.pairs import PairBatch
from influence_lib.influence.views.source import GradientSource, gradient_source
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain import fingerprint
from influence_lib.studies.scorer import Scorer

__all__ = ["GradientParts", "gradient_parts"]

REVISION = 1  # see `store.revision`
WHOLE = ("loss", "length", "length_hat", "through_x", "through_x_hat", "product")
LAYER = "layer:"  # marks the layers among the stored tensors


@dataclass(frozen=True)
class GradientParts:
    """The parts of the gradient of every image in every draw, D×N float32 each.

    Attributes
    ----------
    ids : Tensor
        int64, N: the images' ids.
    loss : Tensor
        L, in [0, 2].
    length, length_hat : Tensor
        ‖z‖ and ‖ẑ‖.
    through_x, through_x_hat : Tensor
        ‖g_x‖² and ‖g_x̂‖², over the weights and biases of the Linear and Conv2d layers.
    product : Tensor
        g_x · g_x̂.
    by_layer : dict of str to Tensor
        Layer → its part of ‖g‖², float32, N: the mean over the draws.
    """

    ids: Tensor
    loss: Tensor
    length: Tensor
    length_hat: Tensor
    through_x: Tensor
    through_x_hat: Tensor
    product: Tensor
    by_layer: dict[str, Tensor]

    @property
    def of_representations(self) -> Tensor:
        """‖∂L/∂z‖² + ‖∂L/∂ẑ‖² = L(2 − L)(1/‖z‖² + 1/‖ẑ‖²), D×N."""
        return self.loss * (2 - self.loss) * (self.length**-2 + self.length_hat**-2)

    @property
    def squared_norm(self) -> Tensor:
        """‖g‖² = ‖g_x‖² + ‖g_x̂‖² + 2 g_x · g_x̂, D×N; the mean over the draws is the sum of `by_layer`."""
        return self.through_x + self.through_x_hat + 2 * self.product

    @property
    def cosine(self) -> Tensor:
        """The cosine of g_x and g_x̂, D×N; NaN where one of them is 0."""
        return self.product / (self.through_x * self.through_x_hat).sqrt()


def gradient_parts(scorer: Scorer, images: ImageSet) -> GradientParts:
    """Return the parts of the gradient of each image, stored or computed.

    Parameters
    ----------
    scorer : Scorer
        The encoder and the draws; `scorer.place` says whether the result is stored, and where.
    images : ImageSet
        N images.

    Raises
    ------
    InputError
        If the encoder or the images are not what `influence.self_influence` takes.

    Examples
    --------
    >>> gradient_parts(Scorer(encoder, influence.GaussianNoise()), images).cosine.median()
    """
    if scorer.place is None:
        return _gathered(images.ids, _computed(scorer, images))
    views = _views(scorer)
    settings = {
        "kind": "bend",
        "name": getattr(scorer.encoder, "settings", {}).get("name", "encoder"),
        "encoder": fingerprint(scorer.encoder),
        "data": images.describe(),
        **views.describe(),
        **store.revision(REVISION),
    }
    return _gathered(
        images.ids, store.get(settings, lambda: {"parts": _computed(scorer, images)}, scorer.place)["parts"]
    )


def _views(scorer: Scorer) -> TwoViews:
    return TwoViews(scorer.perturbation, draws=scorer.draws, seed=scorer.seed)


def _gathered(ids: Tensor, parts: dict[str, Tensor]) -> GradientParts:
    layers = {name.removeprefix(LAYER): values for name, values in parts.items() if name.startswith(LAYER)}
    return GradientParts(ids, **{name: parts[name] for name in WHOLE}, by_layer=layers)


@torch.inference_mode(False)
def _computed(scorer: Scorer, images: ImageSet) -> dict[str, Tensor]:
    source = gradient_source(scorer.encoder, images, _views(scorer), device=scorer.device)
    batches = [_of_batch(source, batch) for batch in source.pairs.batches(source.pairs.spaced(None))]
    parts = {
        name: torch.cat([batch[name] for batch in batches]).view(scorer.draws, -1).float().cpu() for name in batches[0]
    }
    return {name: values.mean(dim=0) if name.startswith(LAYER) else values for name, values in parts.items()}


def _of_batch(source: GradientSource, batch: PairBatch) -> dict[str, Tensor]:
    """Return the parts of one batch, B values each."""
    objective = source.pairs.objective(source.loss, batch.indices)
    seen: dict[str, Tensor] = {}

    def looked_at(z: Tensor, z_hat: Tensor) -> Tensor:
        with torch.no_grad():
            seen.update(loss=two_view_loss(z, z_hat), length=z.norm(dim=1), length_hat=z_hat.norm(dim=1))
        return objective(z, z_hat)

    records = recorded_calls(source.encoder, source.layers, batch.left, batch.right, looked_at)
    sums = torch.zeros(3, len(batch.ids), dtype=torch.float64, device=batch.left.device)
    by_layer = {}
    for name, a, b in _through_views(source.layers, records):
        sums += torch.stack([(left * right).flatten(1).sum(dim=1) for left, right in ((a, a), (b, b), (a, b))])
        by_layer[LAYER + name] = (a + b).square().flatten(1).sum(dim=1)
    return seen | dict(zip(WHOLE[3:], sums, strict=True)) | by_layer


def _through_views(layers: dict[str, Layer], records: Records) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield each layer with its gradients through x and through x̂, B images each."""
    for name, layer in layers.items():
        calls = [_halves(factors_of_calls(layer, [call])) for call in records.pop(name)]
        if calls:
            through_x, through_x_hat = (sum(half.product() for half in halves) for halves in zip(*calls, strict=True))
            yield name, through_x.transpose(0, 1), through_x_hat.transpose(0, 1)


def _halves(factors: Factors) -> tuple[Factors, Factors]:
    """Return the factors of one call through either view: the positions of the first come first."""
    halves = zip(*(rows.chunk(2, dim=2) for rows in factors), strict=True)
    first, second = (Factors(*half) for half in halves)
    return first, second
