"""Cross-influence: how the gradients of two images meet in the inverse curvature."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.errors import InputError, check_choice, check_integer, reject
from influence_lib.influence.curvature.approximations import FITTED, FitOptions
from influence_lib.influence.curvature.cost import preflight
from influence_lib.influence.curvature.kronecker import Curvature
from influence_lib.influence.curvature.passes import Totals, Unfinished
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.scores import score_settings
from influence_lib.influence.views.pairs import PairBatch
from influence_lib.influence.views.perturbations import GaussianNoise, Perturbation
from influence_lib.influence.views.source import GradientSource, LayerFactors, gradient_source
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain.evaluate import check_images

__all__ = ["CrossInfluence", "cross_influence"]

QUERY_BYTES = 4 * 2**30  # of the queries' gradients


@dataclass(frozen=True)
class CrossInfluence:
    """The cross-influence of queries and images.

    Attributes
    ----------
    values : Tensor
        float32, Q×N: gₐᵀ(H + λI)⁻¹g_b of query a and image b, averaged over the draws. The paper's influence is
        minus this. Positive where a step that lowers the loss of one image lowers that of the other.
    query_ids, ids : Tensor
        int64, Q and N.
    """

    values: Tensor
    query_ids: Tensor
    ids: Tensor

    def highest(self, query: int, k: int) -> Tensor:
        """Return the positions of the k images with the highest values for the query at this position.

        Raises
        ------
        InputError
            If there is no such query, or `k` is no number of images.
        """
        queries, images = self.values.shape
        query = check_integer("query", query, 0, queries - 1)
        k = check_integer("k", k, 1, images, f"a whole number from 1 to {images}, the number of images")
        return torch.argsort(self.values[query], descending=True, stable=True)[:k]


@torch.inference_mode(False)
def cross_influence(
    encoder: nn.Module,
    queries: ImageSet,
    images: ImageSet,
    perturbation: Perturbation = GaussianNoise(0.05, 0.2),  # noqa: B008 - frozen
    loss: str = "cosine",
    views: str = "one",
    curvature: str = "ekfac",
    fisher: str = "empirical",
    damping: float | None = None,
    factor_pairs: int | None = None,
    rank: int | None = None,
    layers: Sequence[str] | None = None,
    frozen: bool = False,
    draws: int = 1,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str = "fp32",
    unfinished: str | Path | None = None,
    progress: bool = True,
) -> CrossInfluence:
    """Return gₐᵀ(H + λI)⁻¹g_b of every query a and image b.

    Both images of a pair are seen in the same draw, and the products are averaged over the draws, so that an image's
    value with itself is its self-influence.

    Parameters
    ----------
    encoder, perturbation, loss, views, fisher, damping, factor_pairs, layers, frozen, draws, seed, device, precision
        As in `self_influence`.
    queries : ImageSet
        Q images, out of `images` or others of the same size. Their gradients are held in memory.
    images : ImageSet
        N images, on which H is fitted.
    curvature : str
        As in `self_influence`, except ``"kronfluence"``.
    rank : int, optional
        Of LoGra's projections.
    unfinished : path, optional
        A folder for the finished batches: a run that was killed goes on there when it is started once more.
    progress : bool
        Whether to show progress bars.

    Raises
    ------
    InputError
        If a value is not allowed, the encoder is not one that `self_influence` takes, or the queries' gradients do not
        fit.
    FloatingPointError
        If a gradient is not finite.

    Examples
    --------
    >>> cross_influence(encoder, images.subset([3]), images).highest(query=0, k=10)
    """
    for name, each in (("queries", queries), ("images", images)):
        check_images(name, each)
    size, expected = (tuple(each.images.shape[2:]) for each in (queries, images))
    if size != expected:
        reject("the size of queries", size, f"that of the images, {expected}")
    two_views = TwoViews(perturbation, loss, views, draws, seed)
    check_choice("curvature", curvature, FITTED)
    options = FitOptions(curvature, fisher, damping, factor_pairs, rank, None, layers, frozen)
    approximation = options.approximation
    if approximation.fit is None:
        reject("rank", rank, "None with curvature = 'ekfac': truncated EK-FAC keeps squares, which have no signs")
    settings = score_settings(images, two_views, queries=queries.describe(), **options.describe())
    source = gradient_source(encoder, images, two_views, layers, frozen, device, precision)
    kept = Unfinished.of(unfinished, settings, source)
    problem = FitProblem(source, source.pairs.spaced(factor_pairs), fisher, kept, progress)
    preflight(problem, len(source.pairs), curvature, approximation.cost, rank)
    inverse = approximation.fit(problem, options)
    values = _products(problem, inverse, _halves(source, inverse, queries))
    kept.clear()
    return CrossInfluence(values.float().cpu(), queries.ids, images.ids)


def _halves(source: GradientSource, curvature: Curvature, queries: ImageSet) -> list[list[Tensor]]:
    """Return (H + λI)^(−½)g of the queries, Q×k, for each draw and piece."""
    asked = source.with_images(queries)
    first = asked.pairs.batch(torch.tensor([0]))
    held = sum(piece.nbytes for piece in curvature.halves(asked.factors(first))) * len(asked.pairs)
    if held > QUERY_BYTES:
        raise InputError(
            f"the number of queries is {len(queries)}, whose gradients in {asked.pairs.views.draws} draws take"
            f" {held / 2**30:.1f} GiB, but they must fit into {QUERY_BYTES / 2**30:.0f} GiB: ask in parts."
        )
    by_draw = []
    for of_draw in asked.pairs.spaced(None).split(len(queries)):
        parts = [list(curvature.halves(asked.factors(batch))) for batch in asked.pairs.batches(of_draw)]
        by_draw.append([torch.cat(pieces) for pieces in zip(*parts, strict=True)])
    return by_draw


def _products(problem: FitProblem, curvature: Curvature, queries: list[list[Tensor]]) -> Tensor:
    """Return the products of the queries with all images, Q×N, averaged over the draws."""
    pairs = problem.source.pairs
    totals = {"products": queries[0][0].new_zeros(len(queries[0][0]), len(pairs.images))}

    def step(totals: Totals, batch: PairBatch, layers: LayerFactors) -> None:
        draw, first = divmod(int(batch.indices[0]), len(pairs.images))
        for asked, half in zip(queries[draw], curvature.halves(layers), strict=True):
            totals["products"][:, first : first + len(half)] += asked @ half.T

    problem.add_up("products", totals, step, pairs.spaced(None), "empirical", problem.scored)
    return totals["products"] / pairs.views.draws
