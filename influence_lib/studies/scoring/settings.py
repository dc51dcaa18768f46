"""What a ranking depends on besides the image: damping, matrix, projection, draws, loss and views."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, check_number, reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Deviation, Scores, rank_agreement, raw_loss, self_influence
from influence_lib.studies.comparison import all_agreements
from influence_lib.studies.scorer import Scorer
from influence_lib.studies.scoring.comparison import Pair, beside
from influence_lib.studies.scoring.matrices import mean_eigenvalue

__all__ = [
    "SAMPLED",
    "TRUNCATED",
    "DampingCurves",
    "LossesAndViews",
    "OtherMatrices",
    "damping_curves",
    "draws_needed",
    "losses_and_views",
    "other_matrices",
    "reliability_by_draws",
    "spearman_brown",
]

Array = npt.NDArray[np.float64]
DEFAULT = "default (0.1 × each layer's mean)"
MULTIPLES = (1e-4, 1e-2, 1.0, 1e2, 1e4)  # dampings, in units of the mean eigenvalue
LOSSES = {"cosine": "cosine", "mse": "squared error", "ntxent": "SimCLR's loss"}
SAMPLED, TRUNCATED = "Gauss–Newton matrix (sampled targets)", "truncated EK-FAC, rank 64"


@dataclass(frozen=True)
class DampingCurves:
    """How the ranking by EK-FAC depends on the damping.

    Attributes
    ----------
    multiples : array
        The dampings, in units of the mean eigenvalue of the empirical Fisher matrix.
    curves : dict of str to array
        The rank correlation of the damped score with `DEFAULT`, the score with a tenth of each layer's own mean, with
        ``"gradient norm"`` and with ``"raw loss"``, and its reliability, ``"itself in other draws"``.
    """

    multiples: Array
    curves: dict[str, Array]

    @property
    def decades(self) -> float:
        """How many powers of ten the dampings span."""
        return float(np.log10(self.multiples.max() / self.multiples.min()))

    @property
    def lowest(self) -> float:
        """The lowest rank correlation with the default."""
        return float(self.curves[DEFAULT].min())


@dataclass(frozen=True)
class OtherMatrices:
    """EK-FAC with another matrix than the default, and LoGra.

    Attributes
    ----------
    table : DataFrame
        One row a setting, with the columns of `beside`; the reference is EK-FAC.
    deviation : Deviation
        How far truncated EK-FAC estimates itself to be from EK-FAC.
    measured : float
        How far it is: the median over the images of the relative difference.
    """

    table: pd.DataFrame
    deviation: Deviation
    measured: float


@dataclass(frozen=True)
class LossesAndViews:
    """EK-FAC scores with three losses and one or two perturbed views.

    Attributes
    ----------
    scores : dict of str to Scores
        Name → score, the papers' default first.
    agreements : dict of (str, str) to Estimate
        The rank correlation of every two.
    """

    scores: dict[str, Scores]
    agreements: dict[Pair, Estimate]

    @property
    def default(self) -> str:
        """The name of the papers' default."""
        return next(iter(self.scores))

    @property
    def with_default(self) -> dict[str, Estimate]:
        """The rank correlations of the others with the default, the lowest first."""
        found = {b: agreement for (a, b), agreement in self.agreements.items() if a == self.default}
        return dict(sorted(found.items(), key=lambda entry: entry[1].value))

    @property
    def farthest(self) -> Pair:
        """The two that agree least."""
        return min(self.agreements, key=lambda pair: self.agreements[pair].value)

    @property
    def least_reliable(self) -> str:
        """The one that agrees least with itself in other draws."""
        return min(self.scores, key=lambda name: self.scores[name].reliability or 0.0)

    def median(self, same_views: bool) -> float:
        """Return the median rank correlation between losses with as many noisy views, or between one view and two."""
        views = {name: score.settings["views"] for name, score in self.scores.items()}
        pairs = [pair for pair in self.agreements if (views[pair[0]] == views[pair[1]]) == same_views]
        return float(np.median([self.agreements[pair].value for pair in pairs]))


def damping_curves(scorer: Scorer, images: ImageSet, multiples: Sequence[float] = MULTIPLES) -> DampingCurves:
    """Return how the ranking by EK-FAC depends on the damping.

    Parameters
    ----------
    scorer : Scorer
        The encoder and the draws.
    images : ImageSet
        What is scored, and on what the curvature is fitted.
    multiples : sequence of float
        The dampings, in units of the mean eigenvalue of the empirical Fisher matrix.

    Raises
    ------
    InputError
        If a damping is not above 0.

    Examples
    --------
    >>> damping_curves(Scorer(encoder, influence.GaussianNoise()), images).lowest
    """
    others = {
        DEFAULT: scorer.scores(self_influence, images, curvature="ekfac"),
        "gradient norm": scorer.scores(self_influence, images, curvature="identity"),
        "raw loss": scorer.scores(raw_loss, images),
    }
    unit = mean_eigenvalue(others["gradient norm"], scorer.encoder)
    damped = [scorer.scores(self_influence, images, curvature="ekfac", damping=m * unit) for m in multiples]
    curves = {
        name: np.array([rank_agreement(score, other, scorer.seed).value for score in damped])
        for name, other in others.items()
    }
    curves["itself in other draws"] = np.array([score.reliability for score in damped], dtype=np.float64)
    return DampingCurves(np.array(multiples, dtype=np.float64), curves)


def other_matrices(scorer: Scorer, images: ImageSet) -> OtherMatrices:
    """Return EK-FAC with the Gauss–Newton matrix and truncated, and LoGra, beside EK-FAC.

    Examples
    --------
    >>> other_matrices(Scorer(encoder, influence.GaussianNoise()), images).table
    """

    def score(curvature: str, **more: object) -> Scores:
        return scorer.scores(self_influence, images, curvature=curvature, **more)

    reference, truncated = score("ekfac"), score("ekfac", rank=64)
    scores = {
        SAMPLED: score("ekfac", fisher="sampled"),
        TRUNCATED: truncated,
        "LoGra, random, rank 4": score("logra", rank=4),
        "LoGra, random, rank 16": score("logra", rank=16),
        "LoGra, PCA, rank 16": score("logra-pca", rank=16),
    }
    assert truncated.deviation is not None
    measured = float((truncated.values / reference.values - 1).abs().median())
    return OtherMatrices(beside(reference, scores, [SAMPLED, TRUNCATED], scorer.seed), truncated.deviation, measured)


def reliability_by_draws(score: Scores) -> pd.Series:
    """Return the rank correlation of a score with itself in other draws, by how many draws it is averaged over.

    Parameters
    ----------
    score : Scores
        Of D draws, two or more.

    Returns
    -------
    Series
        1, 2, 4, … draws, as long as twice as many are there → the mean over all disjoint sets of twice as many.

    Raises
    ------
    InputError
        If there is a single draw.

    Examples
    --------
    >>> reliability_by_draws(influence.raw_loss(encoder, images, draws=8)).index.tolist()
    [1, 2, 4]
    """
    total = len(score.by_draw)
    if total < 2:
        reject("the number of draws", total, "2 or more, to compare one with another")
    counts = [2**i for i in range(total.bit_length()) if 2 * 2**i <= total]

    def reliability(start: int, count: int) -> float | None:
        return Scores(score.by_draw[start : start + count], score.ids, score.settings).reliability

    found = [np.mean([reliability(start, 2 * d) for start in range(0, total - 2 * d + 1, 2 * d)]) for d in counts]
    return pd.Series(found, index=pd.Index(counts, name="draws"), dtype=np.float64)


def spearman_brown(reliability: float, draws: Array | float) -> Array:
    """Return the reliability of a mean over d draws from the reliability r of one: d r / (1 + (d − 1) r).

    Examples
    --------
    >>> float(spearman_brown(0.5, 3))
    0.75
    """
    return np.asarray(draws * reliability / (1 + (np.asarray(draws) - 1) * reliability))


def draws_needed(reliability: float, target: float = 0.95) -> int | None:
    """Return over how many draws a score has to be averaged for a reliability, by the formula of `spearman_brown`.

    Parameters
    ----------
    reliability : float
        Of one draw.
    target : float
        Of their mean, between 0 and 1.

    Returns
    -------
    int or None
        None where no number is enough, since the score does not agree with itself.

    Raises
    ------
    InputError
        If `target` is not between 0 and 1.

    Examples
    --------
    >>> draws_needed(0.5, target=0.75)
    3
    """
    if not 0 < check_number("target", target) < 1:
        reject("target", target, "between 0 and 1")
    if not reliability > 0:
        return None
    needed = target / (1 - target) * (1 - reliability) / reliability
    return max(1, int(np.ceil(needed - 1e-9)))  # without what rounding adds to a whole number


def losses_and_views(scorer: Scorer, images: ImageSet) -> LossesAndViews:
    """Return EK-FAC scores with three losses and one or two perturbed views, and how far they agree.

    Raises
    ------
    InputError
        If there is a single draw, with which no reliability can be measured.

    Examples
    --------
    >>> losses_and_views(Scorer(encoder, influence.GaussianNoise()), images).median(same_views=False)
    """
    check_integer("draws", scorer.draws, 2)
    scores = {
        f"{name}, {views} view{'s' if views == 'two' else ''}": scorer.scores(
            self_influence, images, curvature="ekfac", loss=loss, views=views
        )
        for loss, name in LOSSES.items()
        for views in ("one", "two")
    }
    return LossesAndViews(scores, all_agreements(scores, scorer.seed))
