"""Scores: one number an image in each draw, and what they were made from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain.evaluate import check_images

__all__ = ["Deviation", "Scores", "checked", "rank_correlation", "score_settings"]

SPLITS = 20


@dataclass(frozen=True)
class Deviation:
    """How far truncated EK-FAC is estimated to be from exact scores (`influence_lib.influence.curvature.truncated`).

    Attributes
    ----------
    relative : float
        Median over some pairs of the relative difference between the scores with bands at half the rank and without
        bands at the rank.
    spearman : float
        Rank correlation of the two; NaN where all are equal.
    rank : int
        Leading eigenvectors that were kept.
    pairs : int
        On how many pairs they were compared.
    """

    relative: float
    spearman: float
    rank: int
    pairs: int


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
    by_layer : mapping of str to Tensor
        Layer → its part of the score, float32, D×N; they add up to `by_draw`. Empty where a score has no such parts.
    deviation : Deviation, optional
        Of truncated EK-FAC from exact scores.
    share : float, optional
        Of the squared gradient norm, the part that the layers hold which count, measured on a few images. The rest
        belongs to other parameters: those of normalisations (5 to 10 % in the ResNets of the book), attention's input
        projections, other kinds of convolution, embeddings, class tokens. None where it was not measured, as in stored
        scores.
    """

    by_draw: Tensor
    ids: Tensor
    settings: Mapping[str, Any]
    by_layer: Mapping[str, Tensor] = field(default_factory=dict)
    deviation: Deviation | None = None
    share: float | None = None

    @property
    def values(self) -> Tensor:
        """The scores averaged over the draws: float32, N."""
        return self.by_draw.mean(dim=0)

    @property
    def digest(self) -> str:
        """The first 16 hex digits of a SHA-256 over the scores and the ids: equal scores have equal ones."""
        values = self.by_draw.cpu().contiguous().numpy().tobytes()
        return hashlib.sha256(values + self.ids.to(torch.int64).numpy().tobytes()).hexdigest()[:16]

    @property
    def reliability(self) -> float | None:
        """Spearman correlation between the averages over two disjoint halves of the draws.

        The mean over random splits into halves (a draw that is left over takes no part). It is the reliability
        of a score with half the draws, so that of `values` is somewhat higher. None for a single draw, and NaN
        where the scores are constant.
        """
        halves = self._halves()
        return float(np.mean([rank_correlation(a.values, b.values) for a, b in halves])) if halves else None

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

    def subset(self, positions: Tensor | np.ndarray | Sequence[int]) -> "Scores":
        """Return the scores of some images, in the order asked for, without the parts of the layers."""
        chosen = torch.as_tensor(positions)
        return Scores(self.by_draw[:, chosen], self.ids[chosen], self.settings)

    def __len__(self) -> int:
        return len(self.ids)


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Return the Spearman correlation of two vectors, NaN where one of them is constant."""
    if (a == a[0]).all() or (b == b[0]).all():
        return float("nan")
    return float(spearmanr(a, b).statistic)


def score_settings(images: ImageSet, views: TwoViews, **more: Any) -> dict[str, Any]:
    """Return the settings of a score as JSON-able values.

    Raises
    ------
    InputError
        If there are no images.
    """
    check_images("images", images)
    return {**views.describe(), "data": images.describe(), **more}


def checked(
    by_draw: Tensor,
    images: ImageSet,
    settings: dict[str, Any],
    by_layer: Mapping[str, Tensor] | None = None,
    deviation: Deviation | None = None,
    share: float | None = None,
) -> Scores:
    """Return the scores, or raise a FloatingPointError that names the first image whose score is not finite."""
    bad = ~torch.isfinite(by_draw).all(dim=0)
    if bad.any():
        raise FloatingPointError(
            f"the scores of {int(bad.sum())} images are not finite, the first of them id {int(images.ids[bad][0])}."
        )
    return Scores(by_draw, images.ids, settings, by_layer or {}, deviation, share)
