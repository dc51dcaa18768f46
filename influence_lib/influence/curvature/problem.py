"""What a curvature is fitted on, and the moments that the approximations need of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from influence_lib.device import autocast_dtype
from influence_lib.influence.curvature.passes import Step, Totals, Unfinished, accumulate
from influence_lib.influence.views.gradients import Factors, Layer
from influence_lib.influence.views.layers import input_sizes
from influence_lib.influence.views.pairs import PairBatch
from influence_lib.influence.views.source import GradientSource, LayerFactors

__all__ = ["MANY", "SPACING", "STRIPS", "Basis", "FitProblem", "gradient_shape"]

MANY, SPACING = 128, 3  # with so many positions in an image, every third one is enough to find leading eigenvectors
STRIPS = 4  # of a covariance matrix, of which each is computed from its block on the diagonal on


class Basis(Protocol):
    """Coordinates for the gradients of one layer."""

    def coordinates(self, factors: Factors) -> Iterator[Tensor]:
        """Yield the coordinates of chunks of images, groups×b×out×in; the caller may overwrite them."""


@dataclass(frozen=True)
class FitProblem:
    """On what the curvature is fitted, and how.

    Attributes
    ----------
    source : GradientSource
        Of the gradients.
    indices : Tensor
        Of the pairs of views.
    fisher : {"empirical", "sampled"}
        H is the second moment of the loss gradients, or the Gauss–Newton matrix through sampled targets.
    unfinished : Unfinished
        Where interrupted passes are kept.
    progress : bool
        Whether to show progress bars.
    others : GradientSource, optional
        Of the gradients that are scored, where they are not those of `source`.
    """

    source: GradientSource
    indices: Tensor
    fisher: str = "empirical"
    unfinished: Unfinished = field(default_factory=Unfinished)
    progress: bool = False
    others: GradientSource | None = None

    @property
    def scored(self) -> GradientSource:
        """Where the gradients come from that are scored."""
        return self.others or self.source

    def covariances(self, fast: bool = False) -> dict[str, tuple[Tensor, Tensor]]:
        """Return A and S of each layer: Σ aaᵀ over the positions and the mean of ggᵀ over them, for a mean image.

        With S a mean and A a sum, S ⊗ A is the second moment of the gradient where positions are independent.

        Parameters
        ----------
        fast : bool
            Whether to multiply in bfloat16 where the hardware does, and to leave two of three positions out of A where
            a layer has `MANY`: enough to tell which eigenvectors lead.
        """
        pairs = self.source.pairs
        bf16 = fast and pairs.dtype is torch.float32 and autocast_dtype("auto", pairs.device) is torch.bfloat16
        dtype, totals = torch.bfloat16 if bf16 else None, {}
        for name, layer in self.source.layers.items():
            groups, height, width = gradient_shape(layer)
            totals[f"{name}/A"] = layer.weight.new_zeros(groups, width, width)
            totals[f"{name}/S"] = layer.weight.new_zeros(groups, height, height)

        def step(totals: Totals, batch: PairBatch, layers: LayerFactors) -> None:
            for name, (activations, gradients) in layers:
                positions = activations.shape[2]
                some = activations[:, :, :: SPACING if fast and positions >= MANY else 1]
                add_covariance(totals[f"{name}/A"], some, positions / some.shape[2], dtype)
                add_covariance(totals[f"{name}/S"], gradients, 1 / positions, dtype)

        self.add_up("covariances", totals, step, self.indices, self.fisher)
        for upper in totals.values():
            upper.div_(len(self.indices)).triu_().add_(upper.triu(1).mT)
        return {name: (totals[f"{name}/A"], totals[f"{name}/S"]) for name in self.source.layers}

    def second_moments(self, bases: dict[str, Basis]) -> dict[str, Tensor]:
        """Return the mean over images of the squared coordinates of the gradient, groups×out×in a layer."""
        layers = self.source.layers
        totals = {name: layer.weight.new_zeros(gradient_shape(layer)) for name, layer in layers.items()}

        def step(totals: Totals, batch: PairBatch, layers: LayerFactors) -> None:
            for name, factors in layers:
                for coordinates in bases[name].coordinates(factors):
                    totals[name] += coordinates.square_().sum(1)

        self.add_up("second moments", totals, step, self.indices, self.fisher)
        return {name: total.div_(len(self.indices)) for name, total in totals.items()}

    def add_up(
        self, stage: str, totals: Totals, step: Step, indices: Tensor, fisher: str, source: GradientSource | None = None
    ) -> None:
        """Make one pass over pairs, those of the fit by default, see `accumulate`."""
        accumulate(source or self.source, stage, indices, totals, step, fisher, self.unfinished, self.progress)


def gradient_shape(layer: Layer) -> tuple[int, int, int]:
    """Return groups, out and in of a layer's gradients, the bias counted in the last."""
    groups = getattr(layer, "groups", 1)
    return groups, layer.weight.shape[0] // groups, sum(input_sizes(layer))


def add_covariance(total: Tensor, rows: Tensor, weight: float, dtype: torch.dtype | None) -> None:
    """Add the weighted sum of the outer products of rows groups×B×P×n to the upper triangle of groups×n×n."""
    size = rows.shape[3]
    # bfloat16 kernels reorder what they multiply, which for strips costs more than the half that is left out saves
    width = size if dtype is torch.bfloat16 else -(-size // STRIPS)
    for of_group, flat in zip(total, rows.flatten(1, 2), strict=True):
        flat = flat.to(dtype or flat.dtype)
        for start in range(0, size, width):
            end = start + width
            of_group[start:end, start:].add_(flat[:, start:end].mT @ flat[:, start:], alpha=weight)
