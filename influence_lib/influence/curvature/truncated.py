"""EK-FAC in two passes: a truncated eigenbasis and eigenvalues in bands.

Exact EK-FAC (`influence_lib.influence.curvature.kronecker`) goes over the images three times, and spends most of the
time on rotating every gradient into thousands of directions of which few matter: where an eigenvalue lies far below the
damping λ, the weight 1/(Λ + λ) of its direction is 1/λ whatever the direction. Two approximations use that.

- **Truncation.** Of the eigenvectors of a layer's input covariance A only the leading ones are kept. Of the rest, the
  tail, each row of the gradient (one a direction of the outputs) contributes its squared length, which costs no
  eigenvectors. How that mass spreads over the tail's eigenvalues is taken from the spectrum of A: Λ_ji ∝ pᵢ with
  p the tail's eigenvalues divided by their sum, as K-FAC has it, with the row's mean mass T_j measured. So the
  tail's weight is Σᵢ pᵢ / (T_j pᵢ + λ), the mean of 1/(Λ + λ) where mass falls on directions in proportion to Λ.
- **Bands.** Neighbouring eigenvectors are put into bands on either side, narrow for the leading ones and each wider by
  a constant factor. A pass keeps the squared length of every gradient in each band, a few hundred numbers a layer,
  beside the second moments Λ of the single coordinates. Once all images have been seen, Λ gives every band the weight
  with which the mean score over the images is exactly that of the single coordinates; only how an image spreads its
  mass within a band is lost. In exchange, the pass that measures Λ is also the one that scores.

**The error** of both is estimated from a few images, whose single coordinates the pass keeps. Their scores without
bands, at the rank that is used, are compared with those in bands at half of it. The effect of the bands is in this
difference as it is, and so is that of the eigenvectors between half the rank and the rank. That about as much is
missing beyond the rank is experience and no bound: ``bench/engine.py`` measures the estimate and the error.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_lib.device import float64_device
from influence_lib.errors import reject
from influence_lib.influence.curvature.damping import inverse, resolved_damping
from influence_lib.influence.curvature.kronecker import chunks, eigh, rotate
from influence_lib.influence.curvature.passes import Totals
from influence_lib.influence.curvature.problem import FitProblem, gradient_shape
from influence_lib.influence.scores import Deviation, rank_correlation
from influence_lib.influence.views.gradients import Factors
from influence_lib.influence.views.pairs import PairBatch
from influence_lib.influence.views.source import LayerFactors

__all__ = ["RANKS", "least_rank", "truncated_forms"]

BANDS = 16  # on either side of a layer
OVERSAMPLING = 32  # directions of the randomised eigensolver beyond those asked for
ITERATIONS = 2  # of the randomised eigensolver, a subspace iteration
CHECKED = 64  # pairs on which the error is estimated
RANKS = (32, 64, 128, 256, 512)  # tried for a tolerance
TRIAL = 256  # pairs on which they are tried


@dataclass(frozen=True)
class TruncatedBasis:
    """The leading eigenvectors of one layer.

    Attributes
    ----------
    inputs : Tensor
        groups×in×r: the leading eigenvectors of A, the first first.
    outputs : Tensor
        groups×out×out: all eigenvectors of S, the first first.
    spectrum : Tensor
        groups×in: all eigenvalues of A, the first first.
    """

    inputs: Tensor
    outputs: Tensor
    spectrum: Tensor

    @classmethod
    def of(cls, A: Tensor, S: Tensor, rank: int) -> "TruncatedBasis":
        """Return the basis from the covariances of a layer, groups×in×in and groups×out×out."""
        inputs, spectrum = leading(A, rank)
        return cls(inputs, eigh(S)[1].flip(2), spectrum)

    def squares(self, factors: Factors) -> Iterator[Tensor]:
        """Yield the squared coordinates of chunks of images, groups×b×out×(r + 1), the tail's mass last."""
        gradients = rotate(factors.gradients, self.outputs)
        _, width, rank = self.inputs.shape
        positions, height = gradients.shape[2:]
        held = height * (width if positions >= height else rank)
        whole = rank == width
        for part in chunks(Factors(factors.activations, gradients), held):
            coordinates, lengths = self._coordinates(part)
            head = coordinates.square_()
            tail = torch.zeros_like(lengths) if whole else (lengths - head.sum(3)).clamp_(min=0)
            yield torch.cat([head, tail[..., None]], dim=3)

    def _coordinates(self, rotated: Factors) -> tuple[Tensor, Tensor]:
        """Return the leading coordinates, groups×b×out×r, and the squared length of each row, groups×b×out.

        With fewer positions than outputs the gradient itself is never formed: the squared lengths of its rows come
        from the inner products of the positions' inputs.
        """
        activations, gradients = rotated
        if activations.shape[2] < gradients.shape[3]:
            inner = activations @ activations.mT
            lengths = (inner @ gradients).mul_(gradients).sum(2)
            return gradients.mT @ rotate(activations, self.inputs), lengths
        product = rotated.product()
        return rotate(product, self.inputs), torch.linalg.vector_norm(product, dim=3).square_()

    def weights(self, moments: Tensor, damping: float | None) -> Tensor:
        """Return 1/(Λ + λ) of each coordinate, groups×out×(k + 1), from Λ of the first k; for the tail, its mean."""
        mean = moments.sum() / (len(moments) * moments.shape[1] * self.inputs.shape[1])
        damped = resolved_damping(damping, mean)
        head = inverse(moments[..., :-1] + damped)
        rest = self.spectrum[:, None, moments.shape[2] - 1 :]
        rest = rest / rest.sum(2, keepdim=True).clamp(min=torch.finfo(rest.dtype).tiny)
        tail = (rest * inverse(moments[..., -1:] * rest + damped)).sum(2, keepdim=True)
        return torch.cat([head, tail], dim=2)


@dataclass(frozen=True)
class Bands:
    """Which coordinates of a layer are in one band.

    Attributes
    ----------
    rows, columns : Tensor
        out×bands and (k + 1)×(bands + 1): 1 where a coordinate is in a band. The last column is the tail.
    """

    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, moments: Tensor) -> "Bands":
        """Return the bands of coordinates, groups×out×(k + 1)."""
        columns = torch.block_diag(bands(moments.shape[2] - 1), torch.ones(1, 1))
        return cls(bands(moments.shape[1]).to(moments), columns.to(moments))

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sums in each band of …×out×(k + 1)."""
        return self.rows.T @ (values @ self.columns)

    def weights(self, moments: Tensor, weights: Tensor) -> Tensor:
        """Return the weight of each band with which the mean score is that of the single coordinates."""
        # a band without any mass has no weight, and no image needs one
        return self.add_up(moments * weights) / self.add_up(moments).clamp(min=torch.finfo(moments.dtype).tiny)


def bands(count: int) -> Tensor:
    """Return which of `BANDS` bands each of the coordinates is in, count×bands: each band a constant factor wider."""
    edges = torch.logspace(0, math.log10(count + 1), BANDS + 1, dtype=torch.float64).round().long().unique() - 1
    band = torch.bucketize(torch.arange(count), edges[1:-1], right=True)
    return torch.nn.functional.one_hot(band, len(edges) - 1).float()


def layer_ranks(sizes: Mapping[str, int], rank: int) -> dict[str, int]:
    """Return how many eigenvectors of each layer are kept, from the sizes of their input covariances.

    The rank is that of the widest layer. The others keep the same share of theirs: the error comes from the wide ones.
    All are kept where there are hardly more.
    """
    ranks = {name: max(1, round(rank * size / max(sizes.values()))) for name, size in sizes.items()}
    return {name: size if ranks[name] + OVERSAMPLING >= size else ranks[name] for name, size in sizes.items()}


def leading(A: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the leading eigenvectors of matrices and all eigenvalues, the first first.

    Parameters
    ----------
    A : Tensor
        groups×n×n, symmetric, positive semi-definite.
    rank : int
        How many eigenvectors.

    Returns
    -------
    vectors : Tensor
        groups×n×r.
    values : Tensor
        groups×n, at least 0.
    """
    if rank >= A.shape[1]:
        values, vectors = eigh(A)
        return vectors.flip(2), values.flip(1)
    given, A = A, A.to(float64_device(A.device))
    generator = torch.Generator().manual_seed(0)
    subspace = torch.randn(*A.shape[:2], rank + OVERSAMPLING, generator=generator).to(A)
    for _ in range(1 + ITERATIONS):
        subspace = torch.linalg.qr(A @ subspace).Q
    rotation = torch.linalg.eigh(subspace.mT @ A @ subspace).eigenvectors
    vectors = (subspace @ rotation).flip(2)[..., :rank]
    return vectors.to(given), torch.linalg.eigvalsh(A).flip(1).clamp(min=0).to(given)


def truncated_forms(
    problem: FitProblem, scored: Tensor, rank: int, damping: float | None
) -> tuple[dict[str, Tensor], Deviation]:
    """Return gᵀ(H + λI)⁻¹g of the pairs with these indices by layer, each as long as `scored`, and their error.

    Parameters
    ----------
    problem : Fit
        On what H is fitted. If it is fitted on the loss gradients of the same pairs, one pass fits and scores.
    scored : Tensor
        Indices of the pairs to score, ascending.
    rank : int
        Leading eigenvectors of the widest layer's input covariance.
    damping : float or None
        λ; None is 0.1 × the mean eigenvalue of each layer.
    """
    bases = _bases(problem, rank)
    fitted, totals = _second_moments_and_masses(problem, scored, bases)
    forms = {}
    for name, basis in bases.items():
        moments, mass = fitted[f"{name}/moments"], totals[f"{name}/moments"]
        by_band = Bands.of(mass).weights(mass, basis.weights(moments, damping))
        forms[name] = torch.einsum("gpij,gij->p", totals[f"{name}/masses"], by_band)
    return forms, _deviation(*_compared(bases, fitted, totals, rank, damping), rank)


def least_rank(problem: FitProblem, tolerance: float, damping: float | None) -> int:
    """Return the least of `RANKS` whose estimated error on some of the pairs is within a tolerance.

    Raises
    ------
    InputError
        If there is none.
    """
    few = FitProblem(problem.source, problem.source.pairs.spaced(TRIAL), problem.fisher, progress=problem.progress)
    bases = _bases(few, RANKS[-1])
    fitted, totals = _second_moments_and_masses(few, few.indices, bases)
    for rank in RANKS:
        relative = _deviation(*_compared(bases, fitted, totals, rank, damping), rank).relative
        if relative <= tolerance:
            return rank
    reject("tolerance", tolerance, f"at least {relative:.2g}, which rank {rank} reaches, or None for exact scores")


def _bases(problem: FitProblem, rank: int) -> dict[str, TruncatedBasis]:
    covariances = problem.covariances(fast=True)
    ranks = layer_ranks({name: len(A[0]) for name, (A, _) in covariances.items()}, rank)
    return {name: TruncatedBasis.of(*covariances.pop(name), rank) for name, rank in ranks.items()}


def _second_moments_and_masses(
    problem: FitProblem, scored: Tensor, bases: dict[str, TruncatedBasis]
) -> tuple[Totals, Totals]:
    """Return what H is made of, and what the scores are made of; one pass where that is the same."""
    totals = _add_up(problem, "scores", scored, bases, scoring=True)
    if problem.fisher == "empirical" and torch.equal(problem.indices, scored):
        return totals, totals
    return _add_up(problem, "second moments", problem.indices, bases), totals


def _add_up(
    problem: FitProblem, stage: str, indices: Tensor, bases: dict[str, TruncatedBasis], scoring: bool = False
) -> Totals:
    """Return the mean squared coordinates of the pairs and, for scores, the squared length of each in each band.

    For scores also the squared coordinates of `CHECKED` pairs.
    """
    totals, members = {}, {}
    checked = range(0, len(indices), max(1, -(-len(indices) // CHECKED)))  # positions in `indices`
    for name, layer in problem.source.layers.items():
        groups, height, _ = gradient_shape(layer)
        coordinates = bases[name].inputs.shape[2] + 1
        moments = totals[f"{name}/moments"] = layer.weight.new_zeros(groups, height, coordinates)
        members[name] = Bands.of(moments)
        if scoring:
            (_, rows), (_, columns) = members[name].rows.shape, members[name].columns.shape
            totals[f"{name}/masses"] = moments.new_zeros(groups, len(indices), rows, columns)
            totals[f"{name}/checked"] = moments.new_zeros(groups, len(checked), height, coordinates)

    def step(totals: Totals, batch: PairBatch, layers: LayerFactors) -> None:
        first = int(torch.searchsorted(indices, batch.indices[0]))
        for name, factors in layers:
            at = first
            for squares in bases[name].squares(factors):
                totals[f"{name}/moments"] += squares.sum(1)
                if scoring:
                    end = at + squares.shape[1]
                    totals[f"{name}/masses"][:, at:end] = members[name].add_up(squares)
                    low, high = bisect_left(checked, at), bisect_left(checked, end)
                    totals[f"{name}/checked"][:, low:high] = squares[:, [i - at for i in checked[low:high]]]
                    at = end

    problem.add_up(stage, totals, step, indices, "empirical" if scoring else problem.fisher)
    for name in bases:
        totals[f"{name}/moments"] /= len(indices)
    return totals


def _compared(
    bases: dict[str, TruncatedBasis], fitted: Totals, totals: Totals, rank: int, damping: float | None
) -> tuple[Tensor, Tensor]:
    """Return scores with bands at half a rank and with single coordinates at the rank, of the checked pairs."""
    sizes = {name: basis.inputs.shape[1] for name, basis in bases.items()}
    whole, half = layer_ranks(sizes, rank), layer_ranks(sizes, max(1, rank // 2))
    single, banded = torch.zeros(()), torch.zeros(())
    for name, basis in bases.items():
        parts = fitted[f"{name}/moments"], totals[f"{name}/moments"], totals[f"{name}/checked"]
        moments, _, squares = (_merged(values, whole[name]) for values in parts)
        single = single.to(squares) + torch.einsum("gpij,gij->p", squares, basis.weights(moments, damping))
        moments, mass, squares = (_merged(values, half[name]) for values in parts)
        members = Bands.of(mass)
        by_band = members.weights(mass, basis.weights(moments, damping))
        banded = banded.to(squares) + torch.einsum("gpij,gij->p", members.add_up(squares), by_band)
    return banded, single


def _deviation(banded: Tensor, single: Tensor, rank: int) -> Deviation:
    """Return how far scores in bands are from those of single coordinates; a score of 0 is 0 in both."""
    influential = single > 0
    relative = (banded / single - 1)[influential].abs()
    error = float(relative.median()) if len(relative) else 0.0
    return Deviation(error, rank_correlation(banded.cpu(), single.cpu()), rank, len(single))


def _merged(values: Tensor, rank: int) -> Tensor:
    """Return …×(rank + 1) from …×(r + 1), what lies between the two ranks being put into the tail."""
    if rank + 1 >= values.shape[-1]:
        return values
    return torch.cat([values[..., :rank], values[..., rank:].sum(-1, keepdim=True)], dim=-1)
