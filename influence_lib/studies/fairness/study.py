"""What came out for groups and photographs over several trainings, as one stored table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from influence_lib.replication import combined
from influence_lib.studies.fairness.audit import ENDS, audit
from influence_lib.studies.fairness.faces import face_statistics
from influence_lib.studies.patterns import differences

__all__ = ["PHOTOGRAPH", "stored_ratios"]

PHOTOGRAPH = "photograph"
KEPT = ["of", "attribute", "name", "score"]
REVISION = 1  # of what is measured; see `store.revision`


def stored_ratios(
    name: str,
    scores: Mapping[str, Sequence[Scores]],
    groups: pd.DataFrame,
    images: ImageSet,
    k: int,
    seed: int = 0,
    place: str = "artifacts",
) -> pd.DataFrame:
    """Return the representation ratios of groups at the ends of several scores, and what the photographs differ in.

    Parameters
    ----------
    name : str
        Of the first encoder.
    scores : mapping of str to sequence of Scores
        Name of a score → its values by each of some trainings, of these images.
    groups : DataFrame
        N rows of text, a column for each attribute, as `groups_of` returns them.
    images : ImageSet
        What was scored.
    k : int
        Images that count as an end.
    seed : int
        Of the order of equal scores, and of the bootstrap.
    place : {"artifacts", "results"}
        Where a new result is stored.

    Returns
    -------
    DataFrame of Estimate
        A column for each score. Rows ``("highest", attribute, group)`` and ``("lowest", attribute, group)``: share of
        the end over share of all, 1 by chance. Rows ``("highest less lowest", "photograph", statistic)``: the mean
        difference in each of `FACES`, in standard deviations over all images. Intervals are over trainings where there
        are several, else those of `audit` and of `patterns.differences`.

    Raises
    ------
    InputError
        If a value is not allowed, or scores, groups and images do not belong together.

    Examples
    --------
    >>> groups = groups_of(images, ["background"])
    >>> ratios = stored_ratios("simclr", {"EK-FAC": [scores]}, groups, images, k=5)
    >>> ratios.loc["highest", "EK-FAC"].map("{:.2f}".format)
    """
    if not scores or not all(scores.values()):
        reject("the number of scores", 0, "1 or more of each name")
    settings = {
        "kind": "fairness-table",
        "name": name,
        "data": images.describe(),
        "attributes": list(groups),
        "scores": {score: [each.digest for each in several] for score, several in scores.items()},
        "k": check_integer("k", k, 3, len(images) // 2),
        "seed": check_integer("seed", seed, 0),
        **store.revision(REVISION),
    }

    def compute() -> dict[str, Any]:
        photographs = differences(scores, face_statistics(images), images, "other end", k=k, seed=seed)
        rows = [*_of_groups(scores, groups, k, seed), *_of_photographs(photographs)]
        return {"table": pd.DataFrame(rows)}

    table = store.get(settings, compute, place)["table"]
    found = table[KEPT].assign(found=[Estimate(**row) for row in table.drop(columns=KEPT).to_dict("records")])
    return found.pivot(index=KEPT[:3], columns=KEPT[3], values="found")[list(scores)]


def _of_groups(
    scores: Mapping[str, Sequence[Scores]], groups: pd.DataFrame, k: int, seed: int
) -> Iterator[dict[str, Any]]:
    for score, several in scores.items():
        found = [audit(each.values.numpy(), groups, k, seed=seed).groups["ratio"] for each in several]
        for of, attribute, group in found[0].index:
            estimate = combined(each[of, attribute, group] for each in found)
            yield _row(of, attribute, group, score, estimate)


def _of_photographs(differ: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for score in differ:
        for statistic, estimate in differ[score].items():
            yield _row(f"{ENDS[0]} less {ENDS[1]}", PHOTOGRAPH, str(statistic), str(score), estimate)


def _row(of: str, attribute: str, name: str, score: str, estimate: Estimate) -> dict[str, Any]:
    return dict(zip(KEPT, (of, attribute, name, score), strict=True)) | estimate.describe()
