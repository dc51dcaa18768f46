"""Self-influence and the scores it has to be compared with.

Sign: the paper's influence is −gᵀH⁻¹g, which is never positive for a positive definite H. The values here are
the magnitude gᵀ(H + λI)⁻¹g ≥ 0, and "high influence" means a large magnitude. There is no factor 1/N.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from tqdm import tqdm

from influence_lib.data import ImageSet
from influence_lib.device import resolve_device
from influence_lib.errors import reject
from influence_lib.influence.curvature import CURVATURES as FITTED
from influence_lib.influence.curvature import Batch, fit, quadratic_forms
from influence_lib.influence.gradients import per_sample_gradients
from influence_lib.influence.losses import check_loss, two_view_loss
from influence_lib.influence.pairs import FISHERS, Pairs
from influence_lib.influence.perturbations import VIEWS, GaussianNoise, Perturbation
from influence_lib.influence.reference import PairDataset, kronfluence_scores

__all__ = ["Scores", "random_score", "raw_loss", "score_settings", "self_influence"]

CURVATURES = (*FITTED, "kronfluence", "identity")
SPLITS = 20


@dataclass(frozen=True)
class Scores:
    """One score an image, and what it was made from.

    Parameters
    ----------
    by_draw : Tensor
        float32, D×N: the score of each image in each draw of the perturbation.
    ids : Tensor
        int64, N: the images' ids, in the order of the image set.
    settings : mapping
        What determines the scores, as JSON-able values.
    """

    by_draw: Tensor
    ids: Tensor
    settings: Mapping[str, Any]

    @property
    def values(self) -> Tensor:
        """The scores averaged over the draws: float32, N."""
        return self.by_draw.mean(dim=0)

    @property
    def reliability(self) -> float | None:
        """Spearman correlation between the averages over two disjoint halves of the draws.

        The mean over random splits into halves (a draw that is left over takes no part). It is the reliability
        of a score with half the draws, so that of `values` is somewhat higher. None for a single draw, and NaN
        where the scores are constant.
        """
        halves = self._halves()
        return float(np.mean([spearmanr(a.values, b.values).statistic for a, b in halves])) if halves else None

    def top_reliability(self, k: int) -> float | None:
        """Return the fraction of the k highest images that two disjoint halves of the draws share.

        The mean over the splits of `reliability`; None for a single draw.
        """
        halves = self._halves()
        return (
            float(np.mean([torch.isin(a.highest(k), b.highest(k)).float().mean() for a, b in halves]))
            if halves
            else None
        )

    def _halves(self) -> list[tuple["Scores", "Scores"]]:
        draws = len(self.by_draw)
        half = draws // 2
        if half == 0:
            return []
        rng = np.random.default_rng(0)
        orders = [rng.permutation(draws) for _ in range(SPLITS if draws > 2 else 1)]
        return [
            (
                Scores(self.by_draw[order[:half]], self.ids, self.settings),
                Scores(self.by_draw[order[half : 2 * half]], self.ids, self.settings),
            )
            for order in orders
        ]

    def highest(self, k: int) -> Tensor:
        """Return the positions of the k images with the highest scores, the highest first."""
        return torch.argsort(self.values, descending=True, stable=True)[:k]

    def lowest(self, k: int) -> Tensor:
        """Return the positions of the k images with the lowest scores, the lowest first."""
        return torch.argsort(self.values, stable=True)[:k]

    def __len__(self) -> int:
        return len(self.ids)


def score_settings(
    images: ImageSet,
    perturbation: Perturbation,
    loss: str = "cosine",
    views: str = "one",
    draws: int = 1,
    seed: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """Return the validated settings of a score as JSON-able values.

    Raises
    ------
    InputError
        If a value is not allowed; the sentence names the parameter.
    """
    check_loss(loss)
    if views not in VIEWS:
        reject("views", views, VIEWS)
    if not isinstance(draws, int) or draws < 1:
        reject("draws", draws, "a positive integer")
    if not isinstance(seed, int) or seed < 0:
        reject("seed", seed, "zero or a positive integer")
    return {
        "loss": loss,
        "views": views,
        "perturbation": perturbation.describe(),
        "draws": draws,
        "seed": seed,
        "data": images.describe(),
        **more,
    }


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
    draws: int = 1,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: bool = True,
) -> Scores:
    """Return the self-influence of every image: gᵀ(H + λI)⁻¹g ≥ 0 (paper, Eq. 6, without its minus sign).

    Here g is the gradient of the cosine distance between the representations of an image's two views, with
    respect to all weights and biases of Linear and Conv2d layers.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D. Scored in eval mode.
    images : ImageSet
        The images to score; H is fitted on the same images and draws, or on some of them.
    perturbation : Perturbation
        What makes x̂ from x.
    loss : {"cosine"}
        What is differentiated.
    views : {"one", "two"}
        Compare (x, x̂), as the papers do, or two perturbed copies (x̂, x̂').
    curvature : {"ekfac", "kfac", "diagonal", "kronfluence", "identity"}
        EK-FAC, K-FAC or the diagonal of H (`influence_lib.influence.curvature`), EK-FAC through the kronfluence
        library, or H + λI replaced by the identity: the squared norm ‖g‖².
    fisher : {"empirical", "sampled"}
        H is the second moment of the loss gradients, or the Gauss–Newton matrix through sampled targets.
        Ignored, as `damping` and `factor_pairs` are, with ``curvature="identity"``.
    damping : float, optional
        λ, in units of H's eigenvalues. None is 0.1 × the mean eigenvalue of each layer.
    factor_pairs : int, optional
        H is fitted on this many of the ``draws × N`` pairs of views, evenly spaced over them. None is all.
    draws : int
        Independent perturbations of each image, over which the score is averaged.
    seed : int
        Of the perturbations and of the sampled targets.
    device : str or torch.device
        ``"auto"`` or a torch device.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    Scores
        `values` is float32, N, in the units of the loss for a curvature and of its squared gradient for
        ``"identity"``.

    Raises
    ------
    InputError
        If a value is not allowed.
    FloatingPointError
        If a score is not finite; the sentence names the first image.
    """
    if curvature not in CURVATURES:
        reject("curvature", curvature, CURVATURES)
    if fisher not in FISHERS:
        reject("fisher", fisher, FISHERS)
    if damping is not None and not damping > 0:
        reject("damping", damping, "positive, or None for 0.1 × the mean eigenvalue of each layer")
    if factor_pairs is not None and (not isinstance(factor_pairs, int) or factor_pairs < 1):
        reject("factor_pairs", factor_pairs, "a positive integer, or None for all pairs")
    settings = score_settings(images, perturbation, loss, views, draws, seed, curvature=curvature)
    target = resolve_device(device)
    if curvature == "identity":
        return _by_batch(encoder, images, perturbation, settings, _squared_norms, target, progress)
    settings |= {"fisher": fisher, "damping": damping, "factor_pairs": factor_pairs}
    if curvature in FITTED:
        pairs = Pairs(images, perturbation, views, draws, seed, target)
        score = _fitted(encoder, pairs, curvature, fisher, damping, factor_pairs, progress)
        return _by_batch(encoder, images, perturbation, settings, score, target, progress)
    dataset = PairDataset(images, perturbation, views, draws, seed)
    flat = kronfluence_scores(encoder, dataset, "ekfac", fisher, damping, factor_pairs, seed, target, progress)
    return _checked(flat.view(draws, -1), images, settings)


def raw_loss(
    encoder: nn.Module,
    images: ImageSet,
    perturbation: Perturbation = GaussianNoise(0.05, 0.2),  # noqa: B008 - frozen
    loss: str = "cosine",
    views: str = "one",
    draws: int = 1,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: bool = True,
) -> Scores:
    """Return the loss itself of every image: the baseline with no gradient and no curvature.

    The parameters are those of `self_influence`, and the same seed gives the same perturbed images.
    """
    settings = score_settings(images, perturbation, loss, views, draws, seed, score="raw loss")
    return _by_batch(encoder, images, perturbation, settings, _losses, resolve_device(device), progress)


def random_score(images: ImageSet, draws: int = 1, seed: int = 0) -> Scores:
    """Return a uniform random score in [0, 1): the baseline that knows nothing.

    Parameters
    ----------
    images : ImageSet
        The images; only their number and ids matter.
    draws : int
        How many independent scores are averaged, as in `self_influence`.
    seed : int
        Of the scores.
    """
    rng = np.random.default_rng([seed, 1])
    by_draw = torch.from_numpy(rng.random((draws, len(images)), dtype=np.float32))
    return Scores(by_draw, images.ids, {"score": "random", "draws": draws, "seed": seed, "data": images.describe()})


PairScore = Callable[[nn.Module, Tensor, Tensor], Tensor]


def _fitted(
    encoder: nn.Module,
    pairs: Pairs,
    curvature: str,
    fisher: str,
    damping: float | None,
    factor_pairs: int | None,
    progress: bool,
) -> PairScore:
    """Fit the curvature on the pairs, or on some of them, and return the score that it gives."""
    model = copy.deepcopy(encoder).to(pairs.device).eval()
    wanted = len(pairs) if factor_pairs is None else min(factor_pairs, len(pairs))

    def batches() -> Iterator[Batch]:
        with tqdm(total=wanted, unit="pair", desc=curvature, disable=not progress) as bar:
            for batch in pairs.batches(factor_pairs):
                yield batch.left, batch.right, pairs.objective(batch, fisher)
                bar.update(len(batch.ids))

    return partial(quadratic_forms, curvature=fit(model, batches, curvature), damping=damping)


def _by_batch(
    encoder: nn.Module,
    images: ImageSet,
    perturbation: Perturbation,
    settings: dict[str, Any],
    score: PairScore,
    device: torch.device,
    progress: bool,
) -> Scores:
    """Score the view pairs of all draws batch by batch, in eval mode."""
    encoder = copy.deepcopy(encoder).to(device).eval()  # the caller's keeps its device and mode
    pairs = Pairs(images, perturbation, settings["views"], settings["draws"], settings["seed"], device)
    rows = []
    with tqdm(total=len(pairs), unit="pair", desc="scores", disable=not progress) as bar:
        for batch in pairs.batches():
            rows.append(score(encoder, batch.left, batch.right).cpu())
            bar.update(len(batch.ids))
    return _checked(torch.cat(rows).view(settings["draws"], -1), images, settings)


@torch.no_grad()
def _losses(encoder: nn.Module, left: Tensor, right: Tensor) -> Tensor:
    return two_view_loss(encoder(left).float(), encoder(right).float())


def _squared_norms(encoder: nn.Module, left: Tensor, right: Tensor) -> Tensor:
    return torch.stack([g.square().sum(dim=(1, 2)) for _, g in per_sample_gradients(encoder, left, right)]).sum(0)


def _checked(by_draw: Tensor, images: ImageSet, settings: dict[str, Any]) -> Scores:
    bad = ~torch.isfinite(by_draw).all(dim=0)
    if bad.any():
        raise FloatingPointError(
            f"the scores of {int(bad.sum())} images are not finite, the first of them id {int(images.ids[bad][0])}."
        )
    return Scores(by_draw, images.ids, settings)
