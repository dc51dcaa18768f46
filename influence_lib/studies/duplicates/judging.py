"""How far a criterion for duplicates can be trusted: a person looks at some pairs from each range."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, check_number, reject
from influence_lib.studies.duplicates.natural import groups_of_pairs
from influence_lib.studies.duplicates.pairs import share_of

__all__ = ["EDGES", "judged_strata", "pairs_to_judge", "stored_judgements"]


EDGES = (0.8, 0.83, 0.86, 0.89, 0.91, 0.93, 0.95)
"""Correlations from which a range of pairs to judge begins, by default."""


def pairs_to_judge(pairs: pd.DataFrame, edges: Sequence[float] = EDGES, each: int = 24, seed: int = 0) -> pd.DataFrame:
    """Return some pairs at random from each range of their correlation, for a person to look at.

    Parameters
    ----------
    pairs : DataFrame
        As `aligned_pairs` returns them.
    edges : sequence of float
        Where ranges end, ascending; the last holds all above the last edge.
    each : int
        Pairs from each range, all where there are fewer.
    seed : int
        Of the draw.

    Returns
    -------
    DataFrame
        The rows of `pairs` that were drawn, with the lower end of their range in ``"from"`` and an empty ``"same"``,
        for True or False.

    Raises
    ------
    InputError
        If there are no edges, they do not ascend, or a number is not allowed.

    Examples
    --------
    >>> len(pairs_to_judge(aligned_pairs(data.plant(images, exact=0.1)), [0.9, 0.95], each=2))
    2
    """
    limits = _ascending(edges)
    each, rng = check_integer("each", each), np.random.default_rng(check_integer("seed", seed, 0))
    within = _ranges(pairs, limits)
    drawn = [_some(pairs[within == i], each, rng).assign(**{"from": limit}) for i, limit in enumerate(limits)]
    return pd.concat(drawn).assign(same="").reset_index(drop=True)


def stored_judgements(sample: pd.DataFrame, images: ImageSet, place: str = "artifacts") -> pd.DataFrame | None:
    """Return what a person said of drawn pairs, from the stored results; None where nobody has looked at any.

    Parameters
    ----------
    sample : DataFrame
        As `pairs_to_judge` draws it; with True or False in every ``"same"`` it is stored.
    images : ImageSet
        What the pairs are of.
    place : {"artifacts", "results"}
        Where new answers are stored.

    Examples
    --------
    >>> sample = pairs_to_judge(aligned_pairs(data.plant(images, exact=0.1)), [0.9], each=2)
    >>> stored_judgements(sample, images) is None
    True
    """
    drawn = sample[["a", "b"]].astype(int).to_numpy().tolist()
    settings = {"kind": "judgements", "name": images.name, "data": images.describe(), "drawn": drawn}
    answered = len(sample) > 0 and bool(sample["same"].isin([True, False]).all())
    if store.find(settings) is None and not answered:
        return None
    answers = {"same": [bool(answer) for answer in sample["same"]]}
    return sample.assign(same=store.get(settings, lambda: answers, place)["same"])


def judged_strata(
    pairs: pd.DataFrame, judged: pd.DataFrame, least: float, edges: Sequence[float] = EDGES
) -> pd.DataFrame:
    """Return for each range of the correlation how many pairs show one picture, and how many of those groups hold.

    Parameters
    ----------
    pairs : DataFrame
        As `aligned_pairs` returns them.
    judged : DataFrame
        Some of them, as `pairs_to_judge` draws them, with True or False in ``"same"``.
    least : float
        The correlation from which a pair counts; `groups_of_pairs` of these are what a criterion finds.
    edges : sequence of float
        Those that the sample was drawn with.

    Returns
    -------
    DataFrame
        A row for each range, by its lower end: ``"pairs"``, how many there are; ``"same"``, an Estimate over judged
        pairs of the share that shows one picture; and ``"of these in one group"``, an Estimate of the share of those
        whose two images the criterion puts together. NaN where none was judged.

    Raises
    ------
    InputError
        If edges do not ascend, or an answer is neither True nor False.

    Examples
    --------
    >>> pairs = aligned_pairs(data.plant(images, exact=0.1))
    >>> sample = pairs_to_judge(pairs, [0.9, 0.95], each=2).assign(same=True)
    >>> judged_strata(pairs, sample, 0.95, [0.9, 0.95]).loc[0.95, "same"].value
    1.0
    """
    limits = _ascending(edges)
    if not judged["same"].isin([True, False]).all():
        reject("same", sorted(set(map(str, judged["same"]))), "True or False in every row")
    groups = groups_of_pairs(pairs[pairs["correlation"] >= least])
    group_of = {image: number for number, group in enumerate(groups) for image in group}
    together = np.array(
        [group_of.get(a, -1) == group_of.get(b, -2) for a, b in zip(judged["a"], judged["b"], strict=True)]
    )
    sizes, within = np.bincount(_ranges(pairs, limits) + 1, minlength=len(limits) + 1)[1:], _ranges(judged, limits)
    same = judged["same"].to_numpy(dtype=bool)
    rows = {
        limit: {
            "pairs": int(sizes[i]),
            "same": share_of(same[within == i]),
            "of these in one group": share_of(together[(within == i) & same]),
        }
        for i, limit in enumerate(limits)
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _ascending(edges: Sequence[float]) -> list[float]:
    limits = [check_number("an edge", edge, least=-1, most=1) for edge in edges]
    if not limits or sorted(set(limits)) != limits:
        reject("edges", list(edges), "one number or more, ascending")
    return limits


def _ranges(pairs: pd.DataFrame, limits: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return for each pair the number of the last edge that its correlation reaches, -1 below all."""
    return np.searchsorted(np.array(limits), pairs["correlation"].to_numpy(), side="right") - 1


def _some(pairs: pd.DataFrame, most: int, rng: np.random.Generator) -> pd.DataFrame:
    return pairs.iloc[np.sort(rng.choice(len(pairs), min(most, len(pairs)), replace=False))]
