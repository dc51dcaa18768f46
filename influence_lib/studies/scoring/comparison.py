"""Which scores rank the images alike, how far that is noise, and about which images they disagree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from influence_lib.data import ImageSet
from influence_lib.estimate import Estimate
from influence_lib.influence import (
    Scores,
    corrected_agreement,
    embedding_norm,
    knn_distance,
    percentile_difference,
    random_score,
    rank_agreement,
    raw_loss,
    self_influence,
)
from influence_lib.studies.scorer import Scorer

__all__ = [
    "COMPARED",
    "Comparison",
    "beside",
    "clearest",
    "compare",
    "nine_scores",
]

Pair = tuple[str, str]
CURVATURES = {
    "EK-FAC": "ekfac",
    "K-FAC": "kfac",
    "diagonal": "diagonal",
    "LoGra": "logra",
    "gradient norm": "identity",
}
COMPARED: tuple[Pair, ...] = (
    ("EK-FAC", "raw loss"),
    ("EK-FAC", "gradient norm"),
    ("gradient norm", "raw loss"),
    ("EK-FAC", "K-FAC"),
    ("EK-FAC", "diagonal"),
    ("EK-FAC", "LoGra"),
)
"""Pairs of `nine_scores` that say what the curvature and its approximations change."""


@dataclass(frozen=True)
class Comparison:
    """Two scores of the same images and draws.

    Attributes
    ----------
    same_draws : Estimate
        Their rank correlation.
    corrected : Estimate
        ρ*, their rank correlation without the noise of the draws (`influence.corrected_agreement`).
    difference : Scores
        By how many percentiles each image ranks higher by the first (`influence.percentile_difference`).
    """

    same_draws: Estimate
    corrected: Estimate
    difference: Scores

    @property
    def differs(self) -> bool:
        """Whether the two rankings differ by more than noise, which is where the interval of ρ* lies below 1."""
        return self.corrected.below(1)

    @property
    def explained(self) -> Estimate:
        """The part ρ*² of the variance of one ranking without noise that the other explains, in [0, 1]."""
        r = self.corrected
        value, low, high = np.minimum(1, np.square([r.value, r.low, r.high]))
        least = 0.0 if r.low < 0 < r.high else np.minimum(low, high)
        return Estimate(float(value), float(least), float(np.maximum(low, high)), r.n, r.unit)

    @property
    def unexplained(self) -> Estimate:
        """The part that is left, 1 − ρ*²."""
        part = self.explained
        return Estimate(1 - part.value, 1 - part.high, 1 - part.low, part.n, part.unit)

    @property
    def median_difference(self) -> float:
        """By how many percentiles the two ranks of an image differ, the median over the images."""
        return float(self.difference.values.abs().median())


def nine_scores(scorer: Scorer, images: ImageSet) -> dict[str, Scores]:
    """Return self-influence by four curvatures, and five scores that need none.

    Parameters
    ----------
    scorer : Scorer
        The encoder and the draws.
    images : ImageSet
        What is scored, and on what the curvature is fitted; 21 or more.

    Examples
    --------
    >>> nine_scores(Scorer(encoder, influence.GaussianNoise()), images)["EK-FAC"].highest(10)
    """
    encoder, device = scorer.encoder, scorer.device
    return {name: scorer.scores(self_influence, images, curvature=kind) for name, kind in CURVATURES.items()} | {
        "raw loss": scorer.scores(raw_loss, images),
        "embedding norm": embedding_norm(encoder, images, device=device, progress=False),
        "kNN distance": knn_distance(encoder, images, device=device, progress=False),
        "random": random_score(images, draws=scorer.draws, seed=scorer.seed),
    }


def beside(reference: Scores, scores: Mapping[str, Scores], same_units: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Return the agreement of scores with a reference, their ratio to it and their reliability.

    Parameters
    ----------
    reference : Scores
        What they are held against.
    scores : mapping of str to Scores
        Of the same images.
    same_units : sequence of str
        Which of them have the reference's units.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        One row a score: ``"agreement"``, an `Estimate` of the rank correlation; ``"ratio"``, the median over the
        images, NaN for other units; ``"reliability"``, NaN for a single draw.

    Examples
    --------
    >>> beside(exact, {"EK-FAC": ekfac, "raw loss": loss}, same_units=["EK-FAC"])
    """
    ratios = {name: float((scores[name].values / reference.values).median()) for name in same_units}
    return pd.DataFrame(
        {
            "agreement": {name: rank_agreement(reference, score, seed) for name, score in scores.items()},
            "ratio": {name: ratios.get(name, np.nan) for name in scores},
            "reliability": pd.Series({name: score.reliability for name, score in scores.items()}, dtype=np.float64),
        }
    )


def compare(scores: Mapping[str, Scores], pairs: Sequence[Pair] = COMPARED, seed: int = 0) -> dict[Pair, Comparison]:
    """Return the comparison of some pairs of scores.

    Parameters
    ----------
    scores : mapping of str to Scores
        Name → score; of the same images and of the same two draws or more.
    pairs : sequence of (str, str)
        Names.
    seed : int
        Of the bootstrap over images.

    Raises
    ------
    InputError
        If two scores are of different images or draws, or one is only noise.

    Examples
    --------
    >>> pairs = [("EK-FAC", "raw loss")]
    >>> compare({"EK-FAC": ekfac, "raw loss": loss}, pairs)["EK-FAC", "raw loss"].differs
    """
    return {(a, b): _comparison(scores[a], scores[b], seed) for a, b in pairs}


def _comparison(a: Scores, b: Scores, seed: int) -> Comparison:
    return Comparison(rank_agreement(a, b, seed), corrected_agreement(a, b, seed), percentile_difference(a, b))


def clearest(found: Mapping[str, Estimate]) -> str | None:
    """Return the name of the largest magnitude among the estimates whose intervals do not hold 0, if there is one.

    Examples
    --------
    >>> clearest({"a": Estimate(0.2, 0.1, 0.3, 50), "b": Estimate(-0.4, -0.9, 0.1, 50)})
    'a'
    """
    clear = [name for name, value in found.items() if value.above(0) or value.below(0)]
    return max(clear, key=lambda name: abs(found[name].value), default=None)
