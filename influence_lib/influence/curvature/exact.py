"""The curvature of a small encoder as an explicit matrix, over all of its parameters or over those of each layer.

It is the empirical Fisher matrix, the mean of ggᵀ over the gradients g of the loss, or the Gauss–Newton matrix itself:
where the approximations draw targets, here the mean over all targets is taken. The approximations are held against it.

The parameters are ordered layer by layer, as in the encoder; those of one layer by output channel, and those of one
output as in `Factors`: by position in the kernel, then by input channel, and last the bias.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from influence_lib.device import doubled, float64_device
from influence_lib.errors import InputError
from influence_lib.influence.curvature.kronecker import BlockCurvature, Curvature, LayerCurvature
from influence_lib.influence.curvature.passes import Totals
from influence_lib.influence.curvature.problem import FitProblem, gradient_shape
from influence_lib.influence.views.gradients import Factors, Layer, layer_factors
from influence_lib.influence.views.pairs import PairBatch
from influence_lib.influence.views.source import GradientSource, LayerFactors
from influence_lib.pretrain.representations import represent

__all__ = ["LIMIT", "WHOLE", "DenseBasis", "FullCurvature", "dense", "exact_matrices", "fit_exact"]

LIMIT = 10_000  # parameters in one matrix: 0.8 GB in float64, and the eigendecomposition holds a few of that size
WHOLE = "encoder"  # name of the matrix over all parameters

Places = dict[str, slice]


@dataclass(frozen=True)
class DenseBasis:
    """Any orthogonal basis of one layer's parameters.

    Attributes
    ----------
    vectors : Tensor
        float64, p×p, with eigenvectors as columns.
    """

    vectors: Tensor

    def coordinates(self, factors: Factors) -> Iterator[Tensor]:
        """Yield the gradients of all images in this basis, 1×B×1×p."""
        yield (flat(factors) @ self.vectors)[None, :, None]


@dataclass(frozen=True)
class FullCurvature:
    """A curvature with terms between layers.

    Attributes
    ----------
    places : dict of str to slice
        Where the parameters of each layer are.
    vectors : Tensor
        float64, p×p, with eigenvectors of H as columns.
    weights : Tensor
        float64, p: the eigenvalues of (H + λI)⁻¹.
    """

    places: Places
    vectors: Tensor
    weights: Tensor

    def forms(self, layers: LayerFactors) -> Iterator[tuple[str, Tensor]]:
        """Yield each layer's part g_l·((H + λI)⁻¹g)_l, B values; one may be negative, their sum is not."""
        gradients = joined(flattened(layers), self.places)
        solved = (gradients @ self.vectors * self.weights) @ self.vectors.T
        for name, place in self.places.items():
            yield name, (gradients[:, place] * solved[:, place]).sum(1)

    def halves(self, layers: LayerFactors) -> Iterator[Tensor]:
        """Yield (H + λI)^(−½)g in the basis of the eigenvectors, B×p, in one piece."""
        yield joined(flattened(layers), self.places) @ self.vectors * self.weights.sqrt()


def flat(factors: Factors) -> Tensor:
    """Return the gradients of one layer in the order of its parameters: float64, B×p."""
    return doubled(factors.product().transpose(0, 1).flatten(1))


def flattened(layers: LayerFactors) -> dict[str, Tensor]:
    """Return the gradients of every layer that was called, B×p each."""
    return {name: flat(factors) for name, factors in layers}


def joined(gradients: Mapping[str, Tensor], places: Places) -> Tensor:
    """Return the gradients of some layers side by side, zero for those that were not called: B×p."""
    known = next(iter(gradients.values()))
    rows = known.new_zeros(len(known), _size(places))
    for name in places.keys() & gradients.keys():
        rows[:, places[name]] = gradients[name]
    return rows


def parameter_places(layers: Mapping[str, Layer]) -> Places:
    """Return where the parameters of each layer are in the order of all."""
    places, start = {}, 0
    for name, layer in layers.items():
        groups, height, width = gradient_shape(layer)
        places[name] = slice(start, start + groups * height * width)
        start = places[name].stop
    return places


def fit_exact(problem: FitProblem, damping: float | None, blocks: bool) -> Curvature:
    """Return the exact curvature of an encoder.

    Parameters
    ----------
    problem : FitProblem
        On what it is fitted, see `exact_matrices`.
    damping : float or None
        λ; None is 0.1 × the mean eigenvalue, of each layer's matrix or of the one for all.
    blocks : bool
        One matrix for each layer, without terms between layers, or one for all.

    Raises
    ------
    InputError
        If a matrix would have more than `LIMIT` rows.
    """
    eigen = {name: torch.linalg.eigh(H) for name, H in exact_matrices(problem, blocks).items()}
    fitted = {n: LayerCurvature(DenseBasis(Q), Λ.clamp(min=0)[None, None], damping) for n, (Λ, Q) in eigen.items()}
    if blocks:
        return BlockCurvature(fitted)
    places = parameter_places(problem.source.layers)
    return FullCurvature(places, eigen[WHOLE].eigenvectors, fitted[WHOLE].weights.flatten())


def exact_matrices(problem: FitProblem, blocks: bool) -> dict[str, Tensor]:
    """Return the empirical Fisher or the Gauss–Newton matrix, without damping.

    Parameters
    ----------
    problem : FitProblem
        On what it is fitted. With ``fisher="sampled"`` nothing is sampled: there is one backward pass a batch for each
        dimension of the representation, or for each view and class of SimCLR's loss.
    blocks : bool
        One matrix for each layer, or one for all.

    Returns
    -------
    dict of str to Tensor
        float64, p×p, by the layer's name; the one for all is called `WHOLE`. The module says how p is ordered.

    Raises
    ------
    InputError
        If a matrix would have more than `LIMIT` rows.
    """
    source = problem.source
    wanted = _wanted(source.layers, blocks)

    def step(totals: Totals, batch: PairBatch, layers: LayerFactors) -> None:
        for each in [layers] if problem.fisher == "empirical" else _residual_factors(source, batch):
            gradients = flattened(each)
            for name, places in wanted.items():
                rows = joined(gradients, places)
                totals[name].addmm_(rows.T, rows)

    sizes = {name: _size(places) for name, places in wanted.items()}
    device = float64_device(source.pairs.device)
    totals = {n: torch.zeros(p, p, dtype=torch.float64, device=device) for n, p in sizes.items()}
    problem.add_up("exact curvature", totals, step, problem.indices, problem.fisher)
    return {name: total.div_(len(problem.indices)) for name, total in totals.items()}


def _wanted(layers: Mapping[str, Layer], blocks: bool) -> dict[str, Places]:
    """Return the matrices by name, and which layers are where in each."""
    wanted = {n: parameter_places({n: m}) for n, m in layers.items()} if blocks else {WHOLE: parameter_places(layers)}
    for name, places in wanted.items():
        if _size(places) > LIMIT:
            kind, what = ("exact-blocks", f"layer {name!r} has") if blocks else ("exact", "the scored layers have")
            raise InputError(
                f"curvature is {kind!r}, but {what} {_size(places):,} parameters, and a matrix takes at most {LIMIT:,}."
            )
    return wanted


def _size(places: Places) -> int:
    return max(place.stop for place in places.values())


def _residual_factors(source: GradientSource, batch: PairBatch) -> Iterator[LayerFactors]:
    """Yield the factors of the gradients of each coordinate of the loss's residual."""

    def coordinate(k: int, left: Tensor, right: Tensor) -> Tensor:
        return source.loss.residual(left, right, batch.ids)[:, k]

    with torch.no_grad():
        representations = represent(source.encoder, batch.left)
    count = source.loss.residual(representations, representations, batch.ids).shape[1]
    for k in range(count):
        objective = partial(coordinate, k)
        yield layer_factors(source.encoder, source.layers, batch.left, batch.right, objective, source.autocast)


def dense(curvature: LayerCurvature, layer: Layer) -> Tensor:
    """Return the matrix that a curvature stands for, without damping: H = Q diag(Λ) Qᵀ.

    Parameters
    ----------
    curvature : LayerCurvature
        EK-FAC, K-FAC, the diagonal or a block of the exact curvature.
    layer : nn.Module
        Whose curvature it is.

    Returns
    -------
    Tensor
        float64, p×p, comparable with the layer's matrix of `exact_matrices`.
    """
    groups, height, width = gradient_shape(layer)
    parameters = torch.arange(groups * height * width, device=layer.weight.device)
    group, output, place = torch.unravel_index(parameters, (groups, height, width))
    # as many gradients as parameters, each 1 at its own: their coordinates are the rows of Q
    activations = layer.weight.new_zeros(groups, len(parameters), 1, width)
    gradients = layer.weight.new_zeros(groups, len(parameters), 1, height)
    activations[group, parameters, 0, place] = 1
    gradients[group, parameters, 0, output] = 1
    units = curvature.basis.coordinates(Factors(activations, gradients))
    Q = doubled(torch.cat([coordinates.transpose(0, 1).flatten(1) for coordinates in units]))
    return (Q * doubled(curvature.eigenvalues.flatten())) @ Q.T
