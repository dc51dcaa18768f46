"""Self-influence: which curvature is fitted, and the quadratic form of every image in it.

Sign: the paper's influence is −gᵀH⁻¹g, which is never positive for a positive definite H. The values here are
the magnitude gᵀ(H + λI)⁻¹g ≥ 0, and "high influence" means a large magnitude. There is no factor 1/N.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from influence_lib.data import ImageSet
from influence_lib.device import resolved_precision
from influence_lib.errors import reject
from influence_lib.influence.curvature.approximations import FitOptions
from influence_lib.influence.curvature.cost import preflight
from influence_lib.influence.curvature.passes import Unfinished
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.scores import Scores, checked, score_settings
from influence_lib.influence.views.perturbations import GaussianNoise, Perturbation, check_perturbation
from influence_lib.influence.views.source import gradient_source
from influence_lib.influence.views.two_views import TwoViews

__all__ = ["self_influence"]


@torch.inference_mode(False)
def self_influence(
    encoder: nn.Module,
    images: ImageSet,
    perturbation: Perturbation = GaussianNoise(0.05, 0.2),  # noqa: B008 - frozen
    loss: str = "cosine",
    views: str = "one",
    curvature: str = "ekfac",
    fisher: str = "empirical",
    damping: float | None = None,
    factor_pairs: int | None = None,
    rank: int | None = None,
    tolerance: float | None = None,
    layers: Sequence[str] | None = None,
    frozen: bool = False,
    draws: int = 1,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str = "fp32",
    unfinished: str | Path | None = None,
    progress: bool = True,
    fit_perturbation: Perturbation | None = None,
) -> Scores:
    """Return the self-influence of every image: gᵀ(H + λI)⁻¹g ≥ 0 (paper, Eq. 6, without its minus sign).

    Here g is the gradient of the loss of an image's two views with respect to the weights and biases of its Linear and
    Conv2d layers.

    Views that agree have no influence. An image whose two views are the same picture, or have representations that are
    the same (for the cosine also opposite) but for rounding, has a score of exactly 0 and no part in the empirical H,
    and so has a layer in which inputs and output gradients of both views cancel but for rounding. Otherwise their
    rounding would be scored: where all images agree, H is made of rounding too, and a damping relative to its mean
    eigenvalue would scale it up to a large score, another one on every processor. One grey level in one pixel is far
    above that. With SimCLR's loss such an image keeps its score: the negatives move both views alike.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D; B×D×1×1 is flattened. A copy is scored, in eval mode; weights in half
        precision become float32 in it, and those in float64 stay.
    images : ImageSet
        The images to score; H is fitted on the same images and draws, or on some of them.
    perturbation : Perturbation
        What makes x̂ from x.
    loss : {"cosine", "mse", "ntxent", "cross_entropy"}
        What is differentiated: the papers' cosine distance, the mean squared difference of the representations,
        SimCLR's loss of the pair among fixed negatives (`influence_lib.influence.views.losses.NTXent`), or, where the
        encoder is a classifier that returns logits, the mean of its losses at both views. With a `GaussianNoise(0, 0)`
        that is the loss of the image itself, of which Koh and Liang (2017) wrote.
    views : {"one", "two"}
        Compare (x, x̂), as the papers do, or two perturbed copies (x̂, x̂').
    curvature : str
        ``"ekfac"``, ``"kfac"`` or ``"diagonal"``: approximations of H in an eigenbasis, layer by layer
        (`influence_lib.influence.curvature.kronecker`). ``"identity"``: H + λI replaced by the identity, the squared
        norm ‖g‖². ``"logra"`` and ``"logra-pca"``: gradients projected at random or onto principal components
        (`influence_lib.influence.curvature.logra`). ``"exact"`` and ``"exact-blocks"``, for small encoders: H itself,
        with or without the terms between layers (`influence_lib.influence.curvature.exact`). ``"kronfluence"``: EK-FAC
        through that library.
    fisher : {"empirical", "sampled"}
        H is the second moment of the loss gradients, or the Gauss–Newton matrix through sampled targets.
        Ignored, as `damping` and `factor_pairs` are, with ``curvature="identity"``.
    damping : float, optional
        λ, in units of H's eigenvalues. None is 0.1 × the mean eigenvalue of each layer.
    factor_pairs : int, optional
        H is fitted on this many of the ``draws × N`` pairs of views, evenly spaced over them. None is all.
    rank : int, optional
        With ``"ekfac"``, how many leading eigenvectors of the widest layer's input covariance are kept, and of the
        others the same share: truncated EK-FAC, whose error is estimated on a few pairs
        (`influence_lib.influence.curvature.truncated`). It multiplies in bfloat16 where the hardware does, so that
        processors differ by a percent or so. None keeps all and is exact. With LoGra, the rank of either projection.
    tolerance : float, optional
        Truncated EK-FAC with the least rank whose estimated median relative error on some of the pairs is within this.
    layers : sequence of str, optional
        Names of the layers, or of modules that hold them, whose weights count. None is all. A layer that the encoder
        does not call counts for nothing and is left out. One whose gradient is not seen at its calls is refused: as
        with tied weights, weight normalisation, or a weight that is used outside of its layer's plain forward.
    frozen : bool
        Whether parameters with ``requires_grad=False`` count, which are left out otherwise.
    draws : int
        Independent perturbations of each image, over which the score is averaged.
    seed : int
        Of the perturbations and of the sampled targets.
    device : str or torch.device
        ``"auto"`` or a torch device.
    precision : {"fp32", "fp64", "bf16", "fp16", "auto"}
        Of the encoder's forward and backward pass; the curvature is computed in float32. The gradients of the two views
        nearly cancel, which makes the rounding of a lower precision several times larger in the result. ``"fp64"``, for
        small encoders, is float64 throughout, of the same views: it says how much of a score is rounding. In float32
        that is a part of about 1e-5, more where the views are closer: 1e-2 with a noise of 0.01 and pixels that are not
        normalised. Apple's MPS has no float64.
    unfinished : path, optional
        A folder for the finished batches: a run that was killed goes on there when it is started once more.
    progress : bool
        Whether to show progress bars.
    fit_perturbation : Perturbation, optional
        Of the views on which H is fitted; None is `perturbation`. With H fitted anew for each strength of a noise the
        scores can hardly shift, since a larger gradient makes a larger H.

    Returns
    -------
    Scores
        `values` is float32, N, in the units of the loss for a curvature and of its squared gradient for
        ``"identity"``; `by_layer` holds the parts of the layers, except with ``"kronfluence"``, `deviation` how far
        truncated EK-FAC is estimated to be from exact scores, and `share` how much of the squared gradient norm the
        layers hold.

    Raises
    ------
    InputError
        If a value is not allowed, the encoder returns anything but B×D, or the gradient of a layer is not seen.
    FloatingPointError
        If a score is not finite; the sentence names the layer and the images.

    Warns
    -----
    UserWarning
        If parameters other than those of Linear and Conv2d layers and of normalisations hold more than 1 % of the
        squared gradient norm.

    Examples
    --------
    >>> scores = self_influence(encoder, images, draws=2, progress=False)
    >>> scores.highest(10), scores.reliability
    """
    two_views = TwoViews(perturbation, loss, views, draws, seed)
    options = FitOptions(curvature, fisher, damping, factor_pairs, rank, tolerance, layers, frozen)
    settings = score_settings(images, two_views, **options.describe())
    settings |= {"precision": resolved_precision(precision, device)}
    if fit_perturbation is not None:
        settings["fit_perturbation"] = check_perturbation("fit_perturbation", fit_perturbation).describe()
    source = gradient_source(encoder, images, two_views, layers, frozen, device, precision)
    kept = Unfinished.of(unfinished, settings, source)
    approximation = options.approximation
    fitted = source
    if fit_perturbation is not None:
        if approximation.fit is None or not approximation.has_matrix:
            reject("fit_perturbation", fit_perturbation, "None with this curvature, rank or tolerance")
        fitted = source.with_perturbation(fit_perturbation)
    problem = FitProblem(fitted, source.pairs.spaced(factor_pairs), fisher, kept, progress, source)
    preflight(problem, len(source.pairs), curvature, approximation.cost, options.largest_rank)
    found = approximation.forms(problem, options)
    kept.clear()
    by_layer = {name: values.float().cpu().view(draws, -1) for name, values in found.by_layer.items()}
    return checked(found.total.float().cpu().view(draws, -1), images, settings, by_layer, found.deviation, source.share)
