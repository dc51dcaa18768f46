"""What two images have in common whose cross-influence is high."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, reject
from influence_lib.estimate import Estimate, mean
from influence_lib.influence import Scores
from influence_lib.influence.scores import rank_correlation
from influence_lib.pretrain import embed
from influence_lib.studies.scorer import Scorer

__all__ = ["GRADIENT", "NORMALISED", "RAW", "REPRESENTATION", "Partners", "partners", "queries_by_class"]

RAW, NORMALISED = "cross-influence", "cross-influence, normalised"
GRADIENT, REPRESENTATION = "gradient product, normalised", "representations, cosine"


@dataclass(frozen=True)
class Partners:
    """Values of some queries with all images, by several kinds of similarity.

    Attributes
    ----------
    images : ImageSet
        N partners.
    asked : Tensor
        int64, Q: the positions of the queries among them.
    values : dict of str to Tensor
        `RAW`, `NORMALISED`, `GRADIENT` and `REPRESENTATION` → Q×N, the larger the nearer. The second and third are
        divided by the square root of the two self-influences and lie between −1 and 1, as the last does.
    self_error : float
        The largest relative difference of a query's value with itself from its self-influence.
    seed : int
        Of the intervals, which are over the queries.
    """

    images: ImageSet
    asked: Tensor
    values: dict[str, Tensor]
    self_error: float = 0.0
    seed: int = 0

    def best(self, kind: str, k: int, lowest: bool = False) -> Tensor:
        """Return the positions of each query's k partners with the highest or the lowest values, Q×k, without itself.

        Raises
        ------
        InputError
            If there are not as many partners.
        """
        k = check_integer("k", k, 1, len(self.images) - 1)
        values = (-1 if lowest else 1) * self.values[kind]
        return values.masked_fill(self._itself, -torch.inf).argsort(dim=1, descending=True, stable=True)[:, :k]

    def row(self, query: int, k: int, lowest: bool = False) -> Tensor:
        """Return the position of a query and those of its k partners of highest or lowest cross-influence."""
        return torch.cat([self.asked[query : query + 1], self.best(RAW, k, lowest)[query]])

    def between_queries(self) -> dict[str, np.ndarray]:
        """Return the values between the queries, Q×Q, of what lies between −1 and 1."""
        return {kind: values[:, self.asked].numpy() for kind, values in self.values.items() if kind != RAW}

    def mean_magnitude(self, kind: str) -> float:
        """Return the mean magnitude of the values between different queries."""
        different = ~torch.eye(len(self.asked), dtype=torch.bool)
        return float(self.values[kind][:, self.asked][different].abs().mean())

    @property
    def little_in_common(self) -> bool:
        """Whether the curvature leaves different queries less than half of what their gradients have in common."""
        return self.mean_magnitude(NORMALISED) < self.mean_magnitude(GRADIENT) / 2

    def same_class(self, kind: str, k: int) -> Estimate:
        """Return the share of a query's k best partners that are of its class, the mean over the queries."""
        same = self.images.labels[self.best(kind, k)] == self._labels[:, None]
        return mean(same.float().mean(dim=1).numpy(), "query", self.seed)

    @property
    def same_class_by_chance(self) -> float:
        """The share of the other images that are of a query's class, the mean over the queries."""
        same = (self.images.labels == self._labels[:, None]).sum(dim=1)
        return float(((same - 1) / (len(self.images) - 1)).mean())

    def variety(self, kind: str, k: int) -> float:
        """Return how many different images the lists of k best partners hold, as a share of their entries."""
        best = self.best(kind, k)
        return len(best.unique()) / best.numel()

    def variety_by_chance(self, k: int) -> float:
        """Return the share that is expected of random lists."""
        n, q = len(self.images), len(self.asked)
        return n * (1 - (1 - k / n) ** q) / (k * q)

    def likenesses(self) -> dict[str, Tensor]:
        """Return how like each query and partner are in four respects, Q×N each, the larger the more."""
        pixels = self.images.images.float() / 255
        flat, colour = pixels.flatten(1), pixels.mean(dim=(2, 3))
        return {
            "representations": self.values[REPRESENTATION],
            "pixels": -torch.cdist(flat[self.asked], flat),
            "mean colour": -torch.cdist(colour[self.asked], colour),
            "class": (self._labels[:, None] == self.images.labels).float(),
        }

    def along(self, kind: str) -> dict[str, Estimate]:
        """Return the rank correlation of the values with each likeness over the partners, in the mean over the queries.

        It is NaN where a likeness is the same for all partners of a query.
        """
        return {name: self._along(self.values[kind], similar) for name, similar in self.likenesses().items()}

    def _along(self, values: Tensor, similar: Tensor) -> Estimate:
        rows = zip(values, similar, ~self._itself, strict=True)
        return mean(np.array([rank_correlation(v[others], s[others]) for v, s, others in rows]), "query", self.seed)

    @property
    def _labels(self) -> Tensor:
        return self.images.labels[self.asked]

    @property
    def _itself(self) -> Tensor:
        """Q×N, true where the partner is the query."""
        return torch.arange(len(self.images)) == self.asked[:, None]


def queries_by_class(images: ImageSet, count: int) -> Tensor:
    """Return the positions of the first `count` images of each class, or of as many as it has, class by class.

    Raises
    ------
    InputError
        If `count` is no number above 0.

    Examples
    --------
    >>> queries_by_class(data.load("controlled", n=100), 2).shape
    torch.Size([20])
    """
    count = check_integer("count", count)
    return torch.cat([(images.labels == label).nonzero().flatten()[:count] for label in images.labels.unique()])


def partners(scorer: Scorer, images: ImageSet, asked: Tensor, own: Mapping[str, Scores]) -> Partners:
    """Return the cross-influence of some images with all, and what it is compared with.

    Parameters
    ----------
    scorer : Scorer
        The encoder and the draws.
    images : ImageSet
        The partners, on which the curvature is fitted.
    asked : Tensor
        The positions of the queries.
    own : mapping of str to Scores
        Their self-influence with the same draws by ``"EK-FAC"`` and by ``"gradient norm"``, as in `nine_scores`.

    Raises
    ------
    InputError
        If there are no queries.

    Examples
    --------
    >>> found = partners(scorer, images, queries_by_class(images, 2), nine_scores(scorer, images))
    >>> found.same_class(RAW, k=10).above(found.same_class_by_chance)
    """
    if len(asked) == 0:
        reject("the number of queries", 0, "1 or more")
    queries = images.subset(asked)
    ekfac, norm = own["EK-FAC"].values, own["gradient norm"].values
    products = scorer.cross(queries, images)
    unit = F.normalize(embed(scorer.encoder, images, device=scorer.device), dim=1)
    values = {
        RAW: products,
        NORMALISED: _cosines(products, ekfac, asked),
        GRADIENT: _cosines(scorer.cross(queries, images, "identity"), norm, asked),
        REPRESENTATION: unit[asked] @ unit.T,
    }
    itself = products[torch.arange(len(asked)), asked]
    return Partners(images, asked, values, float((itself / ekfac[asked] - 1).abs().max()), scorer.seed)


def _cosines(products: Tensor, own: Tensor, asked: Tensor) -> Tensor:
    """Return products of gradients over the square root of those of either gradient with itself."""
    return products / (own[asked][:, None] * own[None]).sqrt()
