"""EK-FAC, K-FAC and the diagonal: curvature in an eigenbasis, layer by layer.

For each layer the curvature is H ≈ Q diag(Λ) Qᵀ with an orthogonal Q. EK-FAC and K-FAC take Q = Q_S ⊗ Q_A from the
covariances A of the layer's inputs and S of its output gradients (workshop paper, Eq. 5 to 8); the diagonal takes
Q = I. EK-FAC and the diagonal measure Λ as the second moment of the gradient's coordinates in that basis (George et al.
2018), K-FAC takes the products of the eigenvalues of S and A. Channel groups of a convolution are blocks of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from influence_lib.device import doubled
from influence_lib.influence.curvature.damping import inverse, resolved_damping
from influence_lib.influence.curvature.problem import Basis, FitProblem, gradient_shape
from influence_lib.influence.views.gradients import Factors
from influence_lib.influence.views.source import LayerFactors

__all__ = [
    "KINDS",
    "Basis",
    "BlockCurvature",
    "Curvature",
    "KroneckerBasis",
    "LayerCurvature",
    "ParameterBasis",
    "fit",
]

KINDS = ("ekfac", "kfac", "diagonal", "identity")
# entries of per-sample gradients that are held at once, 16 MiB in float32: they stay in the processor's cache
ENTRIES_AT_ONCE = 2**22


class ParameterBasis:
    """The layer's own parameters as coordinates."""

    def coordinates(self, factors: Factors) -> Iterator[Tensor]:
        """Yield the gradients themselves."""
        return (part.product() for part in chunks(factors))


@dataclass(frozen=True)
class KroneckerBasis:
    """The eigenbasis of one layer, Q_S ⊗ Q_A.

    Attributes
    ----------
    inputs, outputs : Tensor
        groups×in×in and groups×out×out, with eigenvectors as columns.
    """

    inputs: Tensor
    outputs: Tensor

    def coordinates(self, factors: Factors) -> Iterator[Tensor]:
        """Yield the gradients in this basis.

        On either side the factors are rotated or their product, whichever has fewer rows.
        """
        activations, gradients = factors
        positions, width, height = activations.shape[2], activations.shape[3], gradients.shape[3]
        early_inputs, early_outputs = positions < height, positions < width
        if early_inputs:
            activations = rotate(activations, self.inputs)
        if early_outputs:
            gradients = rotate(gradients, self.outputs)
        for part in chunks(Factors(activations, gradients)):
            product = part.product()
            if not early_outputs:
                product = rotate(product.mT, self.outputs).mT
            yield product if early_inputs else rotate(product, self.inputs)


def rotate(rows: Tensor, vectors: Tensor) -> Tensor:
    """Return groups×b×p×k from rows groups×b×p×n and groups×n×k vectors, as one large product a group."""
    return (rows.flatten(1, 2) @ vectors).unflatten(1, rows.shape[1:3])


def chunks(factors: Factors, held: int | None = None) -> Iterator[Factors]:
    """Yield the factors of so many images at a time that what is held of them stays within `ENTRIES_AT_ONCE` entries.

    Of each image and group that is `held` entries; None is those of the gradient.
    """
    groups, _, _, width = factors.activations.shape
    images = max(1, ENTRIES_AT_ONCE // (groups * (held or width * factors.gradients.shape[3])))
    for parts in zip(factors.activations.split(images, 1), factors.gradients.split(images, 1), strict=True):
        yield Factors(*parts)


@dataclass(frozen=True)
class LayerCurvature:
    """The curvature of one layer, H = Q diag(Λ) Qᵀ.

    Attributes
    ----------
    basis : Basis
        Q.
    eigenvalues : Tensor
        Λ, at least 0: the shape of the coordinates without their dimension of images.
    damping : float or None
        λ; None is 0.1 × the mean eigenvalue.
    """

    basis: Basis
    eigenvalues: Tensor
    damping: float | None = None

    @cached_property
    def weights(self) -> Tensor:
        """The eigenvalues of (H + λI)⁻¹; 0 in a layer in which no gradient was seen, which counts for nothing."""
        return inverse(self.eigenvalues + resolved_damping(self.damping, self.eigenvalues.mean()))

    def quadratic_form(self, factors: Factors) -> Tensor:
        """Return gᵀ(H + λI)⁻¹g of B images."""
        weights = self.weights.flatten(1)[:, :, None]
        return torch.cat([(c.square_().flatten(2) @ weights).sum(dim=(0, 2)) for c in self.basis.coordinates(factors)])

    def half(self, factors: Factors) -> Tensor:
        """Return (H + λI)^(−½)g of B images in the coordinates of the basis: B×k."""
        root = self.weights.sqrt()[:, None]
        return torch.cat([(c * root).transpose(0, 1).flatten(1) for c in self.basis.coordinates(factors)])


class Curvature(Protocol):
    """The curvature H + λI of all scored layers together."""

    def forms(self, layers: LayerFactors) -> Iterator[tuple[str, Tensor]]:
        """Yield each layer's part of gᵀ(H + λI)⁻¹g, B values."""

    def halves(self, layers: LayerFactors) -> Iterator[Tensor]:
        """Yield pieces, B×k each, of vectors h with hₐ·h_b = gₐᵀ(H + λI)⁻¹g_b."""


@dataclass(frozen=True)
class BlockCurvature:
    """A curvature without terms between layers.

    Attributes
    ----------
    layers : dict of str to LayerCurvature
        The blocks.
    """

    layers: dict[str, LayerCurvature]

    def forms(self, layers: LayerFactors) -> Iterator[tuple[str, Tensor]]:
        """Yield each layer's gᵀ(H + λI)⁻¹g, B values."""
        for name, factors in layers:
            yield name, self.layers[name].quadratic_form(factors)

    def halves(self, layers: LayerFactors) -> Iterator[Tensor]:
        """Yield each layer's (H + λI)^(−½)g, B×k."""
        for name, factors in layers:
            yield self.layers[name].half(factors)


def fit(problem: FitProblem, curvature: str, damping: float | None) -> Curvature:
    """Return the curvature of every layer.

    Parameters
    ----------
    problem : FitProblem
        On what it is fitted.
    curvature : {"ekfac", "kfac", "diagonal", "identity"}
        Which approximation; the identity needs no fit.
    damping : float or None
        λ; None is 0.1 × the mean eigenvalue of each layer.
    """
    layers = problem.source.layers
    bases: dict[str, Basis] = dict.fromkeys(layers, ParameterBasis())
    if curvature == "identity":
        nothing = {name: layer.weight.new_zeros(gradient_shape(layer)) for name, layer in layers.items()}
        return _blocks(bases, nothing, damping=1.0)
    if curvature == "diagonal":
        return _blocks(bases, problem.second_moments(bases), damping)
    eigen = {name: (eigh(A), eigh(S)) for name, (A, S) in problem.covariances().items()}
    bases = {name: KroneckerBasis(A[1], S[1]) for name, (A, S) in eigen.items()}
    if curvature == "kfac":
        return _blocks(bases, {n: S[0][:, :, None] * A[0][:, None] for n, (A, S) in eigen.items()}, damping)
    return _blocks(bases, problem.second_moments(bases), damping)


def _blocks(bases: dict[str, Basis], eigenvalues: dict[str, Tensor], damping: float | None) -> "BlockCurvature":
    return BlockCurvature({name: LayerCurvature(basis, eigenvalues[name], damping) for name, basis in bases.items()})


def eigh(M: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, not below 0, and eigenvectors; in float64, as small eigenvalues decide."""
    values, vectors = torch.linalg.eigh(doubled(M))
    return values.clamp(min=0).to(M), vectors.to(M)
