"""LoGra: the gradients of each layer projected to few dimensions, and their curvature there (Choe et al. 2024).

A layer's gradient Σ_t g_t a_tᵀ is projected on both sides to Σ_t (Cᵀg_t)(A a_t)ᵀ, with A of r×in and C of out×r: it is
the gradient of a matrix B, held at zero, in a bypass C·B·A beside the layer. A and C are random, or the leading
eigenvectors of the covariances of activations and output gradients. H is the second moment of the r² numbers, a dense
matrix for each layer, so that within the projection nothing is approximated.

As in LogIX, the authors' library, the weights count and not the biases, a convolution's kernel is in A, and C acts on
each position by itself. Unlike there, the channel groups of a convolution have projections and blocks of their own, and
a side of fewer than r dimensions keeps them all, where LogIX cuts both sides to the fewest channels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.device import doubled
from influence_lib.errors import InputError, check_choice, check_integer
from influence_lib.influence.curvature.kronecker import (
    BlockCurvature,
    LayerCurvature,
    chunks,
    rotate,
)
from influence_lib.influence.curvature.passes import Totals
from influence_lib.influence.curvature.problem import FitProblem, gradient_shape
from influence_lib.influence.views.gradients import Factors, Layer
from influence_lib.influence.views.layers import input_sizes
from influence_lib.influence.views.pairs import PairBatch
from influence_lib.influence.views.source import LayerFactors

__all__ = ["INITIALISATIONS", "RANK", "Projection", "fit_logra", "principal_projections", "random_projections"]

INITIALISATIONS = ("random", "pca")
RANK = 16
LARGEST_RANK = 64  # a matrix of 4,096² numbers a layer, whose eigendecomposition takes half a minute on one core


@dataclass(frozen=True)
class Projection:
    """The projection of one layer's gradients.

    Attributes
    ----------
    inputs : Tensor
        Aᵀ, groups×in×r; its row for the bias is zero.
    outputs : Tensor
        C, groups×out×r.
    """

    inputs: Tensor
    outputs: Tensor

    def coordinates(self, factors: Factors) -> Iterator[Tensor]:
        """Yield the projected gradients of chunks of images, groups×b×1×k, output dimensions first."""
        activations, gradients = rotate(factors.activations, self.inputs), rotate(factors.gradients, self.outputs)
        for part in chunks(Factors(activations, gradients)):
            yield part.product().flatten(2)[:, :, None]


@dataclass(frozen=True)
class ProjectedBasis:
    """The eigenbasis of H in a projection.

    Attributes
    ----------
    projection : Projection
        Of the gradients.
    vectors : Tensor
        groups×k×k, with eigenvectors as columns.
    """

    projection: Projection
    vectors: Tensor

    def coordinates(self, factors: Factors) -> Iterator[Tensor]:
        """Yield the projected gradients in this basis, groups×b×1×k."""
        return (rotate(part, self.vectors) for part in self.projection.coordinates(factors))


def random_projections(layers: Mapping[str, Layer], rank: int, seed: int) -> dict[str, Projection]:
    """Return projections drawn as PyTorch draws weights: uniform within ±1/√n, where a row of A or of C has n entries.

    Parameters
    ----------
    layers : mapping of str to module
        Which layers; what is drawn for one depends on those before it, and not on the device.
    rank : int
        r: each side is projected to ``min(rank, dimensions)``.
    seed : int
        Of the draw.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(rows: int, columns: int) -> Tensor:
        return nn.init.kaiming_uniform_(torch.empty(rows, columns), a=5**0.5, generator=generator)

    projections = {}
    for name, layer in layers.items():
        groups, height, _ = gradient_shape(layer)
        width, _ = input_sizes(layer)
        A = torch.stack([draw(min(rank, width), width) for _ in range(groups)])
        C = torch.stack([draw(height, min(rank, height)) for _ in range(groups)])
        projections[name] = _without_bias(layer, A.mT, C)
    return projections


def principal_projections(problem: FitProblem, rank: int) -> dict[str, Projection]:
    """Return projections on the leading eigenvectors of the covariances of activations and of output gradients.

    Parameters
    ----------
    problem : FitProblem
        On what the covariances are fitted.
    rank : int
        r: each side is projected to ``min(rank, dimensions)``.
    """
    projections = {}
    for name, (A, S) in problem.covariances().items():
        layer = problem.source.layers[name]
        width, _ = input_sizes(layer)
        projections[name] = _without_bias(layer, _leading(A[:, :width, :width], rank), _leading(S, rank))
    return projections


def _leading(covariance: Tensor, rank: int) -> Tensor:
    """Return the eigenvectors of the largest eigenvalues, groups×n×r."""
    return torch.linalg.eigh(doubled(covariance)).eigenvectors[..., -rank:].to(covariance)


def _without_bias(layer: Layer, inputs: Tensor, outputs: Tensor) -> Projection:
    """Return the projection in which the bias, the last input where there is one, does not count."""
    return Projection(F.pad(inputs, (0, 0, 0, input_sizes(layer)[1])).to(layer.weight), outputs.to(layer.weight))


def fit_logra(problem: FitProblem, rank: int, init: str, seed: int, damping: float | None) -> BlockCurvature:
    """Return the curvature of every layer in a projection of its gradients.

    Parameters
    ----------
    problem : FitProblem
        On what it is fitted.
    rank : int
        r, from 1 to 64: a layer's H has r⁴ entries. A side of fewer dimensions is not projected to fewer.
    init : {"random", "pca"}
        Random projections, or the leading eigenvectors of the covariances, for which there is one more pass.
    seed : int
        Of the random projections.
    damping : float or None
        λ, in units of the projected gradients' second moment; None is 0.1 × its mean eigenvalue in each layer, with
        which the score does not depend on the scale of the projection.

    Raises
    ------
    InputError
        If `rank` or `init` is not allowed.
    """
    check_choice("init", init, INITIALISATIONS)
    rank = check_integer("rank", rank, most=LARGEST_RANK)
    layers = problem.source.layers
    for name, layer in layers.items():
        if not input_sizes(layer)[0]:
            raise InputError(f"encoder has a layer {name!r} with a frozen weight, and biases do not count in LoGra.")
    projections = principal_projections(problem, rank) if init == "pca" else random_projections(layers, rank, seed)
    fitted = {}
    for name, H in _second_moments(problem, projections).items():
        eigenvalues, vectors = torch.linalg.eigh(doubled(H))
        basis = ProjectedBasis(projections[name], vectors.to(H))
        fitted[name] = LayerCurvature(basis, eigenvalues.clamp(min=0).to(H)[:, None], damping)
    return BlockCurvature(fitted)


def _second_moments(problem: FitProblem, projections: Mapping[str, Projection]) -> dict[str, Tensor]:
    """Return the mean over images of the outer product of the projected gradient with itself, groups×k×k a layer."""
    totals = {}
    for name, projection in projections.items():
        groups, size = len(projection.inputs), projection.inputs.shape[2] * projection.outputs.shape[2]
        totals[name] = projection.inputs.new_zeros(groups, size, size)

    def step(totals: Totals, batch: PairBatch, layers: LayerFactors) -> None:
        for name, factors in layers:
            for coordinates in projections[name].coordinates(factors):
                rows = coordinates.flatten(1, 2)
                totals[name].baddbmm_(rows.mT, rows)

    problem.add_up("projected second moments", totals, step, problem.indices, problem.fisher)
    return {name: total.div_(len(problem.indices)) for name, total in totals.items()}
