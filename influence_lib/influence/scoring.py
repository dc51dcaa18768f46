"""Self-influence: which curvature is fitted, and the quadratic form of every image in it.

Sign: the paper's influence is −gᵀH⁻¹g, which is never positive for a positive definite H. The values here are
the magnitude gᵀ(H + λI)⁻¹g ≥ 0, and "high influence" means a large magnitude. There is no factor 1/N.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.errors import check_choice, check_strings, reject
from influence_lib.influence.banded import RANKS, banded_forms, least_rank
from influence_lib.influence.cost import preflight
from influence_lib.influence.curvature import FITTED, Curvature, Fit, fit
from influence_lib.influence.exact import fit_exact
from influence_lib.influence.layers import NAMES
from influence_lib.influence.logra import RANK, fit_logra
from influence_lib.influence.pairs import FISHERS, PairBatch
from influence_lib.influence.passes import (
    LayerFactors,
    Totals,
    Unfinished,
    gradient_source,
)
from influence_lib.influence.perturbations import GaussianNoise, Perturbation
from influence_lib.influence.reference import kronfluence_scores
from influence_lib.influence.scores import Scores, checked, score_settings

__all__ = ["CURVATURES", "check_fit", "fit_curvature", "quadratic_forms", "self_influence"]

LOGRA = {"logra": "random", "logra-pca": "pca"}  # curvature → how the projections are initialised
EXACT = {"exact": False, "exact-blocks": True}  # curvature → whether terms between layers are left out
OWN = (*FITTED, *LOGRA, *EXACT)
CURVATURES = (*OWN, "kronfluence")


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
) -> Scores:
    """Return the self-influence of every image: gᵀ(H + λI)⁻¹g ≥ 0 (paper, Eq. 6, without its minus sign).

    Here g is the gradient of the loss of an image's two views with respect to the weights and biases of its Linear and
    Conv2d layers.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D; B×D×1×1 is flattened. A copy is scored, in eval mode; weights in half
        precision become float32 in it, and those in float64 stay.
    images : ImageSet
        The images to score; H is fitted on the same images and draws, or on some of them.
    perturbation : Perturbation
        What makes x̂ from x.
    loss : {"cosine", "mse", "ntxent"}
        What is differentiated: the papers' cosine distance, the mean squared difference of the representations, or
        SimCLR's loss of the pair among fixed negatives (`influence_lib.influence.losses.NTXent`).
    views : {"one", "two"}
        Compare (x, x̂), as the papers do, or two perturbed copies (x̂, x̂').
    curvature : str
        ``"ekfac"``, ``"kfac"`` or ``"diagonal"``: approximations of H in an eigenbasis, layer by layer
        (`influence_lib.influence.curvature`). ``"identity"``: H + λI replaced by the identity, the squared norm ‖g‖².
        ``"logra"`` and ``"logra-pca"``: gradients projected at random or onto principal components
        (`influence_lib.influence.logra`). ``"exact"`` and ``"exact-blocks"``, for small encoders: H itself, with or
        without the terms between layers (`influence_lib.influence.exact`). ``"kronfluence"``: EK-FAC through that
        library.
    fisher : {"empirical", "sampled"}
        H is the second moment of the loss gradients, or the Gauss–Newton matrix through sampled targets.
        Ignored, as `damping` and `factor_pairs` are, with ``curvature="identity"``.
    damping : float, optional
        λ, in units of H's eigenvalues. None is 0.1 × the mean eigenvalue of each layer.
    factor_pairs : int, optional
        H is fitted on this many of the ``draws × N`` pairs of views, evenly spaced over them. None is all.
    rank : int, optional
        With ``"ekfac"``, how many leading eigenvectors of the widest layer's input covariance are kept, and of the
        others the same share: the fast mode (`influence_lib.influence.banded`), whose error is estimated on a few
        pairs. None keeps all and is exact. With LoGra, the rank of either projection.
    tolerance : float, optional
        The fast mode with the least rank whose estimated median relative error on some of the pairs is within this.
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
    precision : {"fp32", "bf16", "fp16", "auto"}
        Of the encoder's forward and backward pass. The gradients of the two views nearly cancel, which makes the
        rounding of a lower precision several times larger in the result.
    unfinished : path, optional
        A folder for the finished batches: a run that was killed goes on there when it is started once more.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    Scores
        `values` is float32, N, in the units of the loss for a curvature and of its squared gradient for
        ``"identity"``; `by_layer` holds the parts of the layers, except with ``"kronfluence"``, `deviation` how far
        the fast mode is estimated to be from exact scores, and `share` how much of the squared gradient norm the layers
        hold.

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
    """
    if curvature not in CURVATURES:
        reject("curvature", curvature, CURVATURES)
    check_choice("frozen", frozen, (False, True))
    check_fit(curvature, fisher, damping, factor_pairs, rank, tolerance)
    settings = score_settings(images, perturbation, loss, views, draws, seed, curvature=curvature)
    chosen = {"fisher": fisher, "damping": damping, "factor_pairs": factor_pairs, "rank": rank, "tolerance": tolerance}
    settings |= {} if curvature == "identity" else chosen
    named = {} if layers is None else {"layers": check_strings("layers", layers, NAMES)}
    settings |= {"precision": precision} | named | ({"frozen": True} if frozen else {})
    source = gradient_source(encoder, images, perturbation, loss, views, layers, draws, seed, device, precision, frozen)
    pairs, everything = source.pairs, source.pairs.spaced(None)
    if curvature == "kronfluence":
        if source.autocast is not None:
            reject("precision", precision, "'fp32' with curvature = 'kronfluence', which has no other")
        flat = kronfluence_scores(source, pairs.spaced(factor_pairs), fisher, damping, progress)
        return checked(flat.view(draws, -1), images, settings, share=source.share)
    kept = Unfinished.of(unfinished, settings, source)
    problem = Fit(source, pairs.spaced(factor_pairs), fisher, kept, progress)
    fast = curvature == "ekfac" and (rank is not None or tolerance is not None)
    preflight(problem, len(everything), curvature, (rank or RANKS[-1]) if fast else None)
    deviation = None
    if fast:
        if tolerance is not None:
            rank = least_rank(problem, tolerance, damping)
        assert rank is not None
        flat_by_layer, deviation = banded_forms(problem, everything, rank, damping)
    else:
        flat_by_layer = quadratic_forms(problem, fit_curvature(problem, curvature, damping, rank, seed), everything)
    kept.clear()
    by_layer = {name: values.float().cpu().view(draws, -1) for name, values in flat_by_layer.items()}
    return checked(torch.stack(list(by_layer.values())).sum(0), images, settings, by_layer, deviation, source.share)


def check_fit(
    curvature: str,
    fisher: str,
    damping: float | None,
    factor_pairs: int | None,
    rank: int | None,
    tolerance: float | None,
) -> None:
    """Reject values of the fit that are not allowed."""
    if fisher not in FISHERS:
        reject("fisher", fisher, FISHERS)
    if damping is not None and not damping > 0:
        reject("damping", damping, "positive, or None for 0.1 × the mean eigenvalue of each layer")
    if factor_pairs is not None and (not isinstance(factor_pairs, int) or factor_pairs < 1):
        reject("factor_pairs", factor_pairs, "a positive integer, or None for all pairs")
    if rank is not None and (not isinstance(rank, int) or rank < 1 or curvature not in ("ekfac", *LOGRA)):
        reject("rank", rank, f"a positive integer with curvature = 'ekfac' or LoGra, and None with {curvature!r}")
    if tolerance is not None and (not tolerance > 0 or curvature != "ekfac" or rank is not None):
        reject("tolerance", tolerance, "positive, with curvature = 'ekfac' and without a rank")


def fit_curvature(problem: Fit, curvature: str, damping: float | None, rank: int | None, seed: int) -> Curvature:
    """Return the curvature of a name, fitted."""
    if curvature in LOGRA:
        return fit_logra(problem, rank or RANK, LOGRA[curvature], seed, damping)
    if curvature in EXACT:
        return fit_exact(problem, damping, blocks=EXACT[curvature])
    return fit(problem, curvature, damping)


def quadratic_forms(problem: Fit, curvature: Curvature, scored: Tensor) -> dict[str, Tensor]:
    """Return the quadratic form of the pairs with these indices by layer."""
    source = problem.source
    totals = {name: torch.zeros(len(scored), device=source.pairs.device) for name in source.layers}

    def step(totals: Totals, batch: PairBatch, layers: LayerFactors) -> None:
        first = int(torch.searchsorted(scored, batch.indices[0]))
        for name, values in curvature.forms(layers):
            totals[name][first : first + len(values)] = values.to(totals[name])

    problem.add_up("scores", totals, step, scored, "empirical")
    return totals
