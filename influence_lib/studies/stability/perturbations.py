"""How the scores of an encoder change with the perturbation, its strength, the loss and the views."""

from collections.abc import Mapping

import pandas as pd

from influence_lib.errors import InputError
from influence_lib.influence import GaussianNoise, Scores, rank_agreement

__all__ = ["PAPER_DEFAULTS", "PAPER_TABLE_4", "STRENGTHS", "two_readings"]

PAPER_TABLE_4 = {
    "flip + grayscale + blur": 0.7197,
    "flip + colour jitter + grayscale": 0.7234,
    "flip + colour jitter + blur": 0.7422,
    "flip + blur": 0.7447,
    "random crop": 0.9509,
    "Gaussian noise": 0.9745,
}
"""The paper's Table 4: row, as in `influence.TABLE_4` → correlation."""

STRENGTHS = tuple(
    GaussianNoise(mean, std)
    for mean, std in ((0.05, 0.1), (0.05, 0.2), (0.05, 0.3), (0.05, 0.4), (0.01, 0.2), (0.01, 0.3))
)
"""The strengths of the noise in the paper's Figs. 10 and 11."""

PAPER_DEFAULTS = (GaussianNoise(0.05, 0.2), GaussianNoise(0.01, 0.2))
"""What the paper states as its default, in one place and in another."""


def two_readings(
    first: Mapping[str, Scores],
    second: Mapping[str, Scores],
    default: Scores,
    redrawn: Mapping[str, Scores] | None = None,
    losses: Mapping[str, Scores] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return both readings of a correlation "with the default" for variants of a score.

    Parameters
    ----------
    first, second : mapping of str to Scores
        Name of a variant → its scores by one training and by another, of the same images.
    default : Scores
        Of the first training, which the variants are compared with.
    redrawn : mapping of str to Scores, optional
        Name of a variant that *is* the default → its scores by the first training in other draws, which are compared
        with the default in its place: with its own draws it would be compared with itself.
    losses : mapping of str to Scores, optional
        Name of a variant → the raw loss of the first training, with the variant's perturbation.
    seed : int
        Of the bootstrap over images.

    Returns
    -------
    DataFrame
        A row for each variant; columns ``"with the default"`` and ``"between two trainings"`` (rank correlations, each
        an `Estimate`), ``"reliability"`` of the first (float64), and ``"with the raw loss"`` where `losses` are given.

    Raises
    ------
    InputError
        If the mappings have other names, or scores are of different images.

    Examples
    --------
    >>> two_readings({"crop": crop}, {"crop": crop_again}, default)["with the default"]["crop"].value
    """
    if unknown := (redrawn or {}).keys() - first.keys():
        raise InputError(f"{min(unknown)!r} is in redrawn, but must be one of first.")
    for name, other in (("second", second), ("losses", first if losses is None else losses)):
        if different := first.keys() ^ other.keys():
            raise InputError(f"{min(different)!r} is in one of first and {name}, but must be in both.")
    rows = {
        name: {
            "with the default": rank_agreement((redrawn or {}).get(name, score), default, seed),
            "between two trainings": rank_agreement(score, second[name], seed),
            "reliability": score.reliability,
        }
        | ({} if losses is None else {"with the raw loss": rank_agreement(score, losses[name], seed)})
        for name, score in first.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").astype({"reliability": float})
