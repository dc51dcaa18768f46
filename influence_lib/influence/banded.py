"""EK-FAC in two passes: a truncated eigenbasis and eigenvalues in bands.

Exact EK-FAC (`influence_lib.influence.curvature`) goes over the images three times, and spends most of the time on
rotating every gradient into thousands of directions of which few matter: where an eigenvalue lies far below the damping
λ, the weight 1/(Λ + λ) of its direction is 1/λ whatever the direction. Two approximations use that.

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
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_lib.device import autocast_dtype
from influence_lib.influence.curvature import MEAN_SHARE, Fit, chunks, eigh, gradient_shape, inverse, rotate
from influence_lib.influence.gradients import Factors
from influence_lib.influence.pairs import PairBatch
from influence_lib.influence.passes import LayerFactors, Totals

__all__ = ["banded_forms"]

BANDS = 16  # on either side of a layer
OVERSAMPLING = 32  # directions of the randomised eigensolver beyond those asked for
ITERATIONS = 3  # of the randomised eigensolver


@dataclass(frozen=True)
class BandedBasis:
    """The leading eigenvectors of one layer, and the bands that they are put into.

    Attributes
    ----------
    inputs : Tensor
        groups×in×r: the leading eigenvectors of A, the first first.
    outputs : Tensor
        groups×out×out: all eigenvectors of S, the first first.
    tail : Tensor
        groups×t: how the mass of the tail spreads over its eigenvalues; adds up to 1, and t is 0 where r is all.
    rows, columns : Tensor
        out×(bands) and (r + 1)×(bands + 1): 1 where a coordinate is in a band. The last column is the tail.
    """

    inputs: Tensor
    outputs: Tensor
    tail: Tensor
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, A: Tensor, S: Tensor, rank: int) -> "BandedBasis":
        """Return the basis from the covariances of a layer, groups×in×in and groups×out×out."""
        inputs, tail = leading(A, rank)
        outputs = eigh(S)[1].flip(2)
        rows, columns = bands(S.shape[1]), torch.block_diag(bands(inputs.shape[2]), torch.ones(1, 1))
        return cls(inputs, outputs, tail, rows.to(A), columns.to(A))

    def squares(self, factors: Factors) -> Iterator[Tensor]:
        """Yield the squared coordinates of chunks of images, groups×b×out×(r + 1), the tail's mass last."""
        gradients = rotate(factors.gradients, self.outputs)
        for part in chunks(Factors(factors.activations, gradients)):
            coordinates, lengths = self._coordinates(part)
            head = coordinates.square_()
            tail = (lengths - head.sum(3)).clamp_(min=0) if self.tail.shape[1] else torch.zeros_like(lengths)
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
        """Return 1/(Λ + λ) of each coordinate, groups×out×(r + 1), from Λ; for the tail, its mean."""
        mean = moments.sum() / (len(moments) * moments.shape[1] * self.inputs.shape[1])
        damped = MEAN_SHARE * mean if damping is None else damping
        head = inverse(moments[..., :-1] + damped)
        spread = moments[..., -1:] * self.tail[:, None]
        tail = (self.tail[:, None] * inverse(spread + damped)).sum(2, keepdim=True)
        return torch.cat([head, tail], dim=2)


def bands(count: int) -> Tensor:
    """Return which of `BANDS` bands each of the coordinates is in, count×bands: each band a constant factor wider."""
    edges = torch.logspace(0, math.log10(count + 1), BANDS + 1, dtype=torch.float64).round().long().unique() - 1
    band = torch.bucketize(torch.arange(count), edges[1:-1], right=True)
    return torch.nn.functional.one_hot(band, len(edges) - 1).float()


def leading(A: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the leading eigenvectors of matrices, the first first, and the other eigenvalues divided by their sum.

    Parameters
    ----------
    A : Tensor
        groups×n×n, symmetric, positive semi-definite.
    rank : int
        How many eigenvectors; all where it is not well below n.

    Returns
    -------
    vectors : Tensor
        groups×n×r.
    tail : Tensor
        groups×(n − r), at least 0.
    """
    if rank + OVERSAMPLING >= A.shape[1]:
        return eigh(A)[1].flip(2), A.new_zeros(len(A), 0)
    with torch.random.fork_rng(devices=[A.device] if A.device.type == "cuda" else []):
        torch.manual_seed(0)
        vectors = torch.svd_lowrank(A, q=rank + OVERSAMPLING, niter=ITERATIONS)[0][..., :rank]
    rest = torch.linalg.eigvalsh(A)[:, :-rank].clamp(min=0)
    return vectors, rest / rest.sum(1, keepdim=True).clamp(min=torch.finfo(A.dtype).tiny)


def banded_forms(problem: Fit, scored: Tensor, rank: int, damping: float | None) -> dict[str, Tensor]:
    """Return gᵀ(H + λI)⁻¹g of the pairs with these indices by layer, each as long as `scored`.

    Parameters
    ----------
    problem : Fit
        On what H is fitted. If it is fitted on the loss gradients of the same pairs, one pass fits and scores.
    scored : Tensor
        Indices of the pairs to score, ascending.
    rank : int
        Leading eigenvectors of each layer's input covariance.
    damping : float or None
        λ; None is 0.1 × the mean eigenvalue of each layer.
    """
    # which eigenvectors lead is not a question of the last digits
    fast = autocast_dtype("auto", problem.source.pairs.device) is torch.bfloat16
    covariances = problem.covariances(torch.bfloat16 if fast else None)
    bases = {name: BandedBasis.of(*covariances.pop(name), rank) for name in list(covariances)}
    apart = problem.fisher != "empirical" or not torch.equal(problem.indices, scored)
    fitted = _add_up(problem, "second moments", problem.indices, bases) if apart else {}
    totals = _add_up(problem, "scores", scored, bases, scoring=True)
    forms = {}
    for name, basis in bases.items():
        mass, masses = totals[f"{name}/moments"], totals[f"{name}/masses"]
        weights = basis.weights(fitted.get(f"{name}/moments", mass), damping)
        in_bands = basis.rows.T @ mass @ basis.columns
        # a band without any mass has no weight, and no image needs one
        by_band = basis.rows.T @ (mass * weights) @ basis.columns / in_bands.clamp(min=torch.finfo(mass.dtype).tiny)
        forms[name] = torch.einsum("gpij,gij->p", masses, by_band)
    return forms


def _add_up(problem: Fit, stage: str, indices: Tensor, bases: dict[str, BandedBasis], scoring: bool = False) -> Totals:
    """Return the mean squared coordinates of the pairs and, for scores, the squared length of each in each band."""
    totals = {}
    for name, layer in problem.source.layers.items():
        groups, height, _ = gradient_shape(layer)
        (_, n_rows), (n_coordinates, n_columns) = bases[name].rows.shape, bases[name].columns.shape
        totals[f"{name}/moments"] = layer.weight.new_zeros(groups, height, n_coordinates)
        if scoring:
            totals[f"{name}/masses"] = layer.weight.new_zeros(groups, len(indices), n_rows, n_columns)

    def step(totals: Totals, batch: PairBatch, layers: LayerFactors) -> None:
        first = int(torch.searchsorted(indices, batch.indices[0]))
        for name, factors in layers:
            basis, at = bases[name], first
            for squares in basis.squares(factors):
                totals[f"{name}/moments"] += squares.sum(1)
                if scoring:
                    end = at + squares.shape[1]
                    totals[f"{name}/masses"][:, at:end] = basis.rows.T @ (squares @ basis.columns)
                    at = end

    problem.add_up(stage, totals, step, indices, "empirical" if scoring else problem.fisher)
    for name in bases:
        totals[f"{name}/moments"] /= len(indices)
    return totals
