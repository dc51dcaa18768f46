"""The curvature of an encoder that is small enough for the exact matrix, and what the approximations make of it.

Everything here takes a `Scorer`, whose draws of the images are those that the gradients and the matrices are of. The
loss is the cosine distance of two views. What the studies use of the inside of `influence` is all in this module.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.errors import check_choice
from influence_lib.influence.curvature.damping import resolved_damping
from influence_lib.influence.curvature.exact import WHOLE, dense, exact_matrices
from influence_lib.influence.curvature.kronecker import BlockCurvature, fit
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.scores import Scores, rank_correlation
from influence_lib.influence.views.gradients import (
    Factors,
    Layer,
    Objective,
    factors_of_calls,
    per_sample_gradients,
    recorded_calls,
    tracked_layers,
)
from influence_lib.influence.views.losses import two_view_loss
from influence_lib.influence.views.source import GradientSource, gradient_source
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.studies.scorer import Scorer

__all__ = [
    "CurvatureMatrices",
    "Spectra",
    "ViewGradients",
    "curvature_matrices",
    "default_damping",
    "mean_eigenvalue",
    "scored_weights",
    "spectra",
    "trace_ratio",
    "trace_ratios",
    "view_gradients",
]

Array = npt.NDArray[np.float64]
Calls = Sequence[tuple[Tensor, Tensor]]
APPROXIMATIONS = {"EK-FAC": "ekfac", "K-FAC": "kfac", "diagonal": "diagonal"}


@dataclass(frozen=True)
class ViewGradients:
    """How the gradients through the two views of an image, g_x and g_x̂, go together.

    Attributes
    ----------
    cosine : float
        Between the two, the median over images and draws; −1 where they cancel but for their lengths.
    length_ratio : float
        ‖g_x̂‖ / ‖g_x + g_x̂‖, the median.
    rank_correlation : float
        Of ‖g_x̂‖² with ‖g_x + g_x̂‖², each averaged over the draws.
    """

    cosine: float
    length_ratio: float
    rank_correlation: float

    @property
    def nearly_cancel(self) -> bool:
        """Whether the two point nearly opposite ways."""
        return self.cosine < -0.8


@dataclass(frozen=True)
class Spectra:
    """Eigenvalues of three matrices of one layer.

    Attributes
    ----------
    layer : str
        Its name.
    eigenvalues : dict of str to array
        Of ``"Hessian"``, ``"Gauss–Newton"`` and ``"empirical Fisher"``, each ascending.
    """

    layer: str
    eigenvalues: dict[str, Array]

    @property
    def negative_share(self) -> float:
        """Of the sum of the magnitudes of the Hessian's eigenvalues, the part of the negative ones."""
        values = self.eigenvalues["Hessian"]
        return float(-values[values < 0].sum() / np.abs(values).sum())

    @property
    def trace_ratio(self) -> float:
        """The trace of the Gauss–Newton matrix over that of the empirical Fisher matrix."""
        return float(self.eigenvalues["Gauss–Newton"].sum() / self.eigenvalues["empirical Fisher"].sum())


@dataclass(frozen=True)
class CurvatureMatrices:
    """The empirical Fisher matrix of an encoder, and its approximations layer by layer.

    Attributes
    ----------
    whole : array
        p×p, of all p weights.
    blocks : dict of str to array
        Layer → its block on the diagonal, in the order of `whole`.
    approximations : dict of str to dict of str to array
        EK-FAC, K-FAC and the diagonal → layer → what stands for its block.
    """

    whole: Array
    blocks: dict[str, Array]
    approximations: dict[str, dict[str, Array]]

    @property
    def edges(self) -> list[int]:
        """Where one layer's block ends and the next begins."""
        return [int(end) for end in np.cumsum([len(block) for block in self.blocks.values()])[:-1]]

    @property
    def share_between_layers(self) -> float:
        """Of the squared entries of the whole matrix, the part outside the layers' blocks."""
        return float(1 - sum((block**2).sum() for block in self.blocks.values()) / (self.whole**2).sum())

    @property
    def distances(self) -> pd.DataFrame:
        """The relative Frobenius distance from the exact block, one row a layer and one column an approximation.

        1 is the distance of a matrix of zeros.
        """
        norm = np.linalg.norm
        return pd.DataFrame(
            {
                name: {layer: norm(matrices[layer] - block) / norm(block) for layer, block in self.blocks.items()}
                for name, matrices in self.approximations.items()
            }
        )

    def nearest_everywhere(self, name: str) -> bool:
        """Return whether no other approximation is nearer to the exact block, in any layer."""
        distances = self.distances
        return bool((distances[name] <= distances.min(axis=1) + 1e-9).all())

    def worse_than_zeros(self, name: str) -> list[str]:
        """Return the layers in which an approximation is farther from the exact block than a matrix of zeros."""
        column = self.distances[name]
        return [str(layer) for layer in column.index[column > 1]]

    def of_layer(self, layer: str) -> dict[str, Array]:
        """Return a layer's exact block and its approximations by name."""
        return {f"{layer}, exact": self.blocks[layer]} | {n: parts[layer] for n, parts in self.approximations.items()}


def scored_weights(encoder: nn.Module) -> int:
    """Return how many weights a score is over: those of the linear layers and convolutions, biases counted.

    Examples
    --------
    >>> scored_weights(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    112
    """
    return sum(p.numel() for layer in tracked_layers(encoder).values() for p in layer.parameters())


def mean_eigenvalue(squared_norm: Scores, encoder: nn.Module) -> float:
    """Return the mean eigenvalue of the empirical Fisher matrix, whose trace is the mean of ‖g‖².

    Parameters
    ----------
    squared_norm : Scores
        ‖g‖² of every image, which is `self_influence` with ``curvature="identity"``.
    encoder : nn.Module
        Of which g is the gradient.
    """
    return float(squared_norm.values.mean()) / scored_weights(encoder)


def default_damping(squared_norm: Scores, encoder: nn.Module) -> float:
    """Return the damping that `self_influence` takes with the exact matrix; the parameters are `mean_eigenvalue`'s."""
    return float(resolved_damping(None, mean_eigenvalue(squared_norm, encoder)))


def view_gradients(scorer: Scorer, images: ImageSet) -> ViewGradients:
    """Return how the gradients through an image's two views go together.

    Examples
    --------
    >>> view_gradients(Scorer(encoder, influence.GaussianNoise()), images).cosine
    """
    source = _source(scorer, images)
    left, right = _all_views(source)

    def gradients(objective: Objective) -> Tensor:
        layers = per_sample_gradients(source.encoder, left, right, objective)
        return torch.cat([gradient.flatten(1) for _, gradient in layers], dim=1)

    of_x, of_x_hat = gradients(_through_the_first), gradients(_through_the_second)
    both = of_x + of_x_hat
    one_part, sums = ((part**2).sum(1).view(scorer.draws, -1).mean(0).cpu() for part in (of_x_hat, both))
    return ViewGradients(
        cosine=float(F.cosine_similarity(of_x, of_x_hat).median()),
        length_ratio=float((of_x_hat.norm(dim=1) / both.norm(dim=1)).median()),
        rank_correlation=rank_correlation(one_part, sums),
    )


def spectra(scorer: Scorer, images: ImageSet, layer: str) -> Spectra:
    """Return the eigenvalues of three matrices over the weights of one layer.

    Parameters
    ----------
    scorer : Scorer
        With a small encoder.
    images : ImageSet
        Over which the matrices are means.
    layer : str
        The layer, by its name in the encoder.

    Raises
    ------
    InputError
        If there is no such layer, or its matrix is too large.

    Examples
    --------
    >>> spectra(Scorer(encoder, influence.GaussianNoise()), images, "conv2").negative_share
    """
    source = _source(scorer, images)
    check_choice("layer", layer, list(source.layers))
    everything = source.pairs.spaced(None)
    matrices = {
        "Hessian": _hessian(source, layer),
        "Gauss–Newton": exact_matrices(FitProblem(source, everything, "sampled"), blocks=True)[layer],
        "empirical Fisher": exact_matrices(FitProblem(source, everything), blocks=True)[layer],
    }
    return Spectra(layer, {name: torch.linalg.eigvalsh(M.double()).cpu().numpy() for name, M in matrices.items()})


def curvature_matrices(scorer: Scorer, images: ImageSet) -> CurvatureMatrices:
    """Return the empirical Fisher matrix of a small encoder beside its approximations.

    Parameters
    ----------
    scorer : Scorer
        With a small encoder.
    images : ImageSet
        Over which the matrices are means.

    Raises
    ------
    InputError
        If the encoder has too many weights for the matrix.

    Examples
    --------
    >>> curvature_matrices(Scorer(encoder, influence.GaussianNoise()), images).distances
    """
    source = _source(scorer, images)
    problem = FitProblem(source, source.pairs.spaced(None))
    whole = exact_matrices(problem, blocks=False)[WHOLE]
    blocks = exact_matrices(problem, blocks=True)
    approximations = {}
    for name, curvature in APPROXIMATIONS.items():
        fitted = fit(problem, curvature, None)
        assert isinstance(fitted, BlockCurvature)
        approximations[name] = {layer: dense(fitted.layers[layer], source.layers[layer]) for layer in blocks}
    return CurvatureMatrices(
        whole.cpu().numpy(),
        _as_arrays(blocks),
        {name: _as_arrays(matrices) for name, matrices in approximations.items()},
    )


def trace_ratios(scorer: Scorer, images: ImageSet) -> pd.DataFrame:
    """Return the trace of K-FAC's matrix over the exact one, layer by layer.

    Returns
    -------
    DataFrame
        One row a layer; ``"both views"`` for the gradient of the loss, ``"second view"`` for the part of it that goes
        through x̂, with the positions of x̂ alone.

    Examples
    --------
    >>> trace_ratios(Scorer(encoder, influence.GaussianNoise()), images)["both views"].max()
    """
    source = _source(scorer, images)
    both, second = _calls(source, two_view_loss), _calls(source, _through_the_second)
    return pd.DataFrame(
        {
            "both views": {name: trace_ratio(factors_of_calls(layer, calls)) for name, layer, calls in both},
            "second view": {name: trace_ratio(_of_second_view(layer, calls)) for name, layer, calls in second},
        }
    )


def trace_ratio(factors: Factors) -> float:
    """Return the trace of K-FAC's S ⊗ A over that of the second moment of the gradients, of one layer.

    Parameters
    ----------
    factors : Factors
        Of all images.

    Returns
    -------
    float
        Of a single image 1 where the inputs at different positions are orthogonal, 1/P where all P positions are alike.

    Examples
    --------
    >>> trace_ratio(Factors(torch.ones(1, 1, 4, 3), torch.ones(1, 1, 4, 2)))
    0.25
    """
    activations, gradients = factors
    A = activations.square().sum((2, 3)).mean(1)
    S = gradients.square().mean(2).sum(2).mean(1)
    return float((A * S).sum() / factors.product().square().sum((0, 2, 3)).mean())


def _source(scorer: Scorer, images: ImageSet) -> GradientSource:
    views = TwoViews(scorer.perturbation, draws=scorer.draws, seed=scorer.seed)
    return gradient_source(scorer.encoder, images, views, device=scorer.device)


def _all_views(source: GradientSource) -> tuple[Tensor, Tensor]:
    """Return the two views of every image in every draw, one draw after the other."""
    pairs = source.pairs
    batches = [pairs.batch(draw) for draw in pairs.spaced(None).split(len(pairs.images))]
    return torch.cat([batch.left for batch in batches]), torch.cat([batch.right for batch in batches])


def _through_the_first(z: Tensor, z_hat: Tensor) -> Tensor:
    return two_view_loss(z, z_hat.detach())


def _through_the_second(z: Tensor, z_hat: Tensor) -> Tensor:
    return two_view_loss(z.detach(), z_hat)


def _hessian(source: GradientSource, name: str) -> Tensor:
    """Return the matrix of second derivatives of the mean loss with respect to one layer's parameters."""
    left, right = _all_views(source)
    values = {key: value.detach() for key, value in source.encoder.named_parameters()}
    own = {f"{name}.{key}": value.detach() for key, value in source.layers[name].named_parameters()}

    def mean_loss(vector: Tensor) -> Tensor:
        parts = vector.split([value.numel() for value in own.values()])
        changed = {key: part.view(value.shape) for (key, value), part in zip(own.items(), parts, strict=True)}
        views = (torch.func.functional_call(source.encoder, values | changed, view) for view in (left, right))
        return two_view_loss(*(view.flatten(1) for view in views)).mean()

    start = torch.cat([value.flatten() for value in own.values()])
    return torch.func.jacrev(torch.func.grad(mean_loss))(start)


def _calls(source: GradientSource, objective: Objective) -> Iterator[tuple[str, Layer, Calls]]:
    """Yield each layer with the inputs and output gradients of its calls."""
    records = recorded_calls(source.encoder, source.layers, *_all_views(source), objective)
    for name, layer in source.layers.items():
        yield name, layer, records[name]


def _of_second_view(layer: Layer, calls: Calls) -> Factors:
    """Return the factors of the second views' positions, which follow those of the first in every call."""
    parts = [[part.chunk(2, dim=2)[1] for part in factors_of_calls(layer, [call])] for call in calls]
    return Factors(*(torch.cat(part, dim=2) for part in zip(*parts, strict=True)))


def _as_arrays(matrices: dict[str, Tensor]) -> dict[str, Array]:
    return {name: matrix.cpu().numpy() for name, matrix in matrices.items()}
