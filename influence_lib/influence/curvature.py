"""EK-FAC, K-FAC and the diagonal: curvature in an eigenbasis, layer by layer.

For each layer the curvature is H ≈ Q diag(Λ) Qᵀ with an orthogonal Q. EK-FAC and K-FAC take Q = Q_S ⊗ Q_A from the
covariances A of the layer's inputs and S of its output gradients (workshop paper, Eq. 5 to 8); the diagonal takes
Q = I. EK-FAC and the diagonal measure Λ as the second moment of the gradient's coordinates in that basis (George et al.
2018), K-FAC takes the products of the eigenvalues of S and A. Channel groups of a convolution are blocks of their own.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from influence_lib.influence.gradients import Factors, Objective, layer_factors

__all__ = ["CURVATURES", "LayerCurvature", "fit", "quadratic_forms"]

CURVATURES = ("ekfac", "kfac", "diagonal")
# entries of per-sample gradients that are held at once: 64 MiB in float32
HELD = 2**24
MEAN_SHARE = 0.1  # of the mean eigenvalue, the default damping

Batch = tuple[Tensor, Tensor, Objective]
Batches = Callable[[], Iterable[Batch]]


@dataclass(frozen=True)
class Basis:
    """The eigenbasis of one layer, Q_S ⊗ Q_A.

    Attributes
    ----------
    inputs, outputs : Tensor
        groups×in×in and groups×out×out, with eigenvectors as columns.
    """

    inputs: Tensor
    outputs: Tensor

    def rotated(self, factors: Factors) -> Iterator[Tensor]:
        """Yield chunks of the per-sample gradients in this basis, b×groups×out×in each.

        Whatever costs fewer operations is rotated: the factors, at P·(in² + out²) an image, or their product, at
        in·out·(in + out).
        """
        positions = factors.activations.shape[3]
        width, height = self.inputs.shape[1], self.outputs.shape[1]
        early = positions * (width**2 + height**2) < width * height * (width + height)
        for part in _chunks(factors):
            if early:
                yield Factors(self.inputs.mT @ part.activations, self.outputs.mT @ part.gradients).product()
            else:
                yield self.outputs.mT @ part.product() @ self.inputs


@dataclass(frozen=True)
class LayerCurvature:
    """The curvature of one layer.

    Attributes
    ----------
    basis : Basis or None
        None is the basis of the parameters.
    eigenvalues : Tensor
        groups×out×in, at least 0.
    """

    basis: Basis | None
    eigenvalues: Tensor

    def quadratic_form(self, factors: Factors, damping: float | None) -> Tensor:
        """Return gᵀ(H + λI)⁻¹g of this layer's gradients, B values.

        Parameters
        ----------
        factors : Factors
            Of B images.
        damping : float or None
            λ; None is 0.1 × the mean eigenvalue.
        """
        weights = 1 / (self.eigenvalues + (MEAN_SHARE * self.eigenvalues.mean() if damping is None else damping))
        return torch.cat([(g.square() * weights).sum(dim=(1, 2, 3)) for g in _coordinates(self.basis, factors)])


def _coordinates(basis: Basis | None, factors: Factors) -> Iterator[Tensor]:
    return (part.product() for part in _chunks(factors)) if basis is None else basis.rotated(factors)


def _chunks(factors: Factors) -> Iterator[Factors]:
    """Yield the factors of so many images at a time that their gradients stay within `HELD` entries."""
    _, groups, width, _ = factors.activations.shape
    images = max(1, HELD // (groups * width * factors.gradients.shape[2]))
    for activations, gradients in zip(factors.activations.split(images), factors.gradients.split(images), strict=True):
        yield Factors(activations, gradients)


def fit(encoder: nn.Module, batches: Batches, curvature: str) -> dict[str, LayerCurvature]:
    """Return the curvature of every layer.

    Parameters
    ----------
    encoder : nn.Module
        In eval mode, on the device of the batches.
    batches : callable
        Called once for each pass; returns batch by batch the two views, B×3×H×W each, and the objective whose
        gradients H is the second moment of (`Pairs.objective`).
    curvature : {"ekfac", "kfac", "diagonal"}
        Which approximation.
    """
    if curvature == "diagonal":
        return {name: LayerCurvature(None, e) for name, e in _second_moments(encoder, batches(), {}).items()}
    covariances = _covariances(encoder, batches())
    eigen = {name: (_eigh(A), _eigh(S)) for name, (A, S) in covariances.items()}
    bases = {name: Basis(A[1], S[1]) for name, (A, S) in eigen.items()}
    if curvature == "kfac":
        products = {name: S[0][:, :, None] * A[0][:, None, :] for name, (A, S) in eigen.items()}
        return {name: LayerCurvature(bases[name], e) for name, e in products.items()}
    corrected = _second_moments(encoder, batches(), bases)
    return {name: LayerCurvature(bases[name], e) for name, e in corrected.items()}


def quadratic_forms(
    encoder: nn.Module, left: Tensor, right: Tensor, curvature: dict[str, LayerCurvature], damping: float | None
) -> Tensor:
    """Return gᵀ(H + λI)⁻¹g of each image of a batch, summed over the layers."""
    layers = layer_factors(encoder, left, right)
    return torch.stack([curvature[name].quadratic_form(factors, damping) for name, factors in layers]).sum(0)


def _covariances(encoder: nn.Module, batches: Iterable[Batch]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return A and S of each layer: the sum over positions of aaᵀ and the mean over positions of ggᵀ, a mean image.

    With S a mean and A a sum, S ⊗ A is the second moment of the gradient where positions are independent.
    """
    totals: dict[str, tuple[Tensor, Tensor]] = {}
    count = 0
    for batch in batches:
        count += len(batch[0])
        for name, (a, g) in layer_factors(encoder, *batch):
            positions = a.shape[3]
            A, S = _covariance(a), _covariance(g) / positions
            totals[name] = (totals[name][0] + A, totals[name][1] + S) if name in totals else (A, S)
    return {name: (A / count, S / count) for name, (A, S) in totals.items()}


def _covariance(rows: Tensor) -> Tensor:
    """Return Σ over images and positions of the outer products of B×groups×n×P: groups×n×n."""
    flat = rows.permute(1, 2, 0, 3).flatten(2)
    return flat @ flat.mT


def _eigh(M: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, not below 0, and eigenvectors; in float64, as small eigenvalues decide."""
    values, vectors = torch.linalg.eigh(M.double())
    return values.clamp(min=0).to(M), vectors.to(M)


def _second_moments(encoder: nn.Module, batches: Iterable[Batch], bases: dict[str, Basis]) -> dict[str, Tensor]:
    """Return the mean over images of the squared coordinates of the gradient, groups×out×in a layer."""
    totals: dict[str, Tensor] = {}
    count = 0
    for batch in batches:
        count += len(batch[0])
        for name, factors in layer_factors(encoder, *batch):
            for coordinates in _coordinates(bases.get(name), factors):
                square = coordinates.square().sum(0)
                totals[name] = totals[name] + square if name in totals else square
    return {name: total / count for name, total in totals.items()}
