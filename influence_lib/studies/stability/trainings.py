"""How far two trainings that differ in what is arbitrary agree, and how much of it simpler numbers know."""

from collections.abc import Mapping, Sequence

import pandas as pd

from influence_lib.errors import check_choice, reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores, corrected_agreement, partial_agreement, rank_agreement
from influence_lib.influence.agreement import check_several

__all__ = ["between_trainings", "left_between_trainings"]

AS_IT_IS, ALL = "as it is", "all of these"


def between_trainings(
    pairs: Mapping[str, Mapping[str, tuple[Scores, Scores]]], corrected: str, seed: int = 0
) -> pd.DataFrame:
    """Return the rank correlations of the scores of two trainings.

    Parameters
    ----------
    pairs : mapping of str to mapping of str to (Scores, Scores)
        Name of a pair of trainings → kind of score → the scores by one and by the other, of the same images and draws.
    corrected : str
        The kind of score for which the noise of the draws is taken out, too (`corrected_agreement`).
    seed : int
        Of the bootstrap over images.

    Returns
    -------
    DataFrame of Estimate
        A row for each pair, a column for each kind, and a last one, ``"…, without noise ρ*"``.

    Raises
    ------
    InputError
        If there are no pairs, one has no scores of the kind `corrected`, or scores do not belong together.

    Examples
    --------
    >>> between_trainings({"SimCLR": {"raw loss": (first, second)}}, corrected="raw loss")
    """
    if not pairs:
        reject("the number of pairs", 0, "1 or more")
    rows = {}
    for name, kinds in pairs.items():
        check_choice("corrected", corrected, list(kinds))
        rows[name] = {kind: rank_agreement(*pair, seed) for kind, pair in kinds.items()} | {
            f"{corrected}, without noise ρ*": corrected_agreement(*kinds[corrected], seed)
        }
    return pd.DataFrame.from_dict(rows, orient="index", dtype=object)


def left_between_trainings(
    pair: tuple[Scores, Scores], known: Mapping[str, Sequence[Scores]], seed: int = 0
) -> dict[str, Estimate]:
    """Return what is left of the agreement of two trainings when simpler scores of the images are known.

    Parameters
    ----------
    pair : (Scores, Scores)
        The scores by one training and by the other.
    known : mapping of str to sequence of Scores
        Name → scores that are taken out together, of the same images.
    seed : int
        Of the bootstrap over images.

    Returns
    -------
    dict of str to Estimate
        Partial rank correlations: ``"as it is"``, each of `known` taken out, and ``"all of these"``.

    Raises
    ------
    InputError
        If scores are of different images, or nothing is left to correlate.

    Examples
    --------
    >>> left_between_trainings((first, second), {"both raw losses": [first_loss, second_loss]})["all of these"]
    """
    for name, scores in known.items():
        check_several(f"known[{name!r}]", scores)
    everything = [score for scores in known.values() for score in scores]
    given = {AS_IT_IS: [], **known, ALL: everything}
    return {name: partial_agreement(*pair, list(scores), seed) for name, scores in given.items()}
