"""What the two ends of several rankings are like, in the picture and among their neighbours, as one stored table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores, embedding_norm, knn_distance, random_score
from influence_lib.pretrain import Encoder, embed, fingerprint
from influence_lib.studies.comparison import top_size
from influence_lib.studies.patterns.controls import AGAINST, differences
from influence_lib.studies.patterns.neighbours import neighbourhoods
from influence_lib.studies.patterns.picture import picture_statistics

__all__ = ["BESIDE", "stored_ends"]

BESIDE = {"controls": "highest less controls", "rest": "highest less rest", "other end": "highest less lowest"}
"""What the highest are compared with, by the names in `AGAINST` → the first level of the rows of `stored_ends`."""
KEPT = ["beside", "statistic", "score"]
REVISION = 1  # of what is measured; see `store.revision`


def stored_ends(
    encoders: Sequence[Encoder],
    scores: Mapping[str, Sequence[Scores]],
    images: ImageSet,
    k: int | None = None,
    neighbours: int = 20,
    seed: int = 0,
    device: str = "auto",
    place: str = "artifacts",
) -> pd.DataFrame:
    """Return what the images at the two ends of several rankings are like, computed once.

    Three baselines that need no gradient are ranked as well: ``"distance of neighbours"`` (`influence.knn_distance`),
    ``"length of representation"`` (`influence.embedding_norm`) and ``"random"``.

    Parameters
    ----------
    encoders : sequence of Encoder
        Trainings of one kind.
    scores : mapping of str to sequence of Scores
        Name → the scores by each of the trainings, of these images.
    images : ImageSet
        What was scored.
    k : int, optional
        How many images count as an end, 3 or more; by default `studies.comparison.top_size`.
    neighbours : int
        How many nearest others of each image are looked at.
    seed : int
        Of the bootstrap, and of what is random.
    device : str
        ``"auto"`` or a torch device.
    place : {"artifacts", "results"}
        Where a new result is stored.

    Returns
    -------
    DataFrame of Estimate
        A column for each name, and two levels of rows. ``"highest less controls"``, ``"highest less rest"`` and
        ``"highest less lowest"`` hold the `PICTURE` (`differences`), the last also the `NEIGHBOURS`; ``"lowest"``,
        ``"highest"`` and ``"random"`` hold the `NEIGHBOURS` (`neighbourhoods`). Baselines have no neighbours: NaN.
        Intervals are over trainings where there are several, else over images.

    Raises
    ------
    InputError
        If there is no encoder, a name has not one score of each, or a value is not allowed.

    Examples
    --------
    >>> ends = stored_ends([encoder], {"EK-FAC": [scores]}, images, k=5, neighbours=5)
    >>> ends.loc[("highest less controls", "border uniformity"), "EK-FAC"].above(0)
    """
    k = top_size(len(images)) if k is None else check_integer("k", k, 3, len(images) // 2)
    if not encoders:
        reject("the number of encoders", 0, "1 or more")
    for name, several in scores.items():
        if len(several) != len(encoders):
            reject(f"the number of scores[{name!r}]", len(several), f"{len(encoders)}, one by each encoder")
    settings = {
        "kind": "patterns-table",
        "name": str(encoders[0].settings.get("name", images.name)),
        "encoders": [fingerprint(each) for each in encoders],
        "data": images.describe(),
        "scores": {name: [each.digest for each in several] for name, several in scores.items()},
        "k": k,
        "neighbours": check_integer("neighbours", neighbours, 2, len(images) - 1),
        "seed": check_integer("seed", seed, 0),
        **store.revision(REVISION),
    }

    def compute() -> dict[str, Any]:
        baselines = _baselines(encoders, images, neighbours, seed, device)
        rows = [
            *_in_the_picture({**scores, **baselines}, images, k, seed),
            *_among_neighbours(encoders, scores, images, k, neighbours, seed, device),
        ]
        return {"table": pd.DataFrame(rows)}

    return _as_estimates(store.get(settings, compute, place)["table"])


def _baselines(
    encoders: Sequence[Encoder], images: ImageSet, neighbours: int, seed: int, device: str
) -> dict[str, list[Scores]]:
    return {
        "distance of neighbours": [knn_distance(each, images, neighbours, device, False) for each in encoders],
        "length of representation": [embedding_norm(each, images, device, False) for each in encoders],
        "random": [random_score(images, seed=seed + i) for i in range(len(encoders))],
    }


def _in_the_picture(
    scores: Mapping[str, Sequence[Scores]], images: ImageSet, k: int, seed: int
) -> Iterator[dict[str, Any]]:
    statistics = picture_statistics(images)
    for against in AGAINST:
        found = differences(scores, statistics, images, against, k=k, seed=seed)
        for name in found:
            yield from (_row(BESIDE[against], str(row), str(name), each) for row, each in found[name].items())


def _among_neighbours(
    encoders: Sequence[Encoder],
    scores: Mapping[str, Sequence[Scores]],
    images: ImageSet,
    k: int,
    neighbours: int,
    seed: int,
    device: str,
) -> Iterator[dict[str, Any]]:
    features = [embed(each, images, device=device) for each in encoders]
    for name, several in scores.items():
        near = neighbourhoods(features, several, images.labels, k, neighbours, seed, device)
        yield from (_row(BESIDE["other end"], row, name, each) for row, each in near.apart.items())
        for part, found in near.table.iterrows():
            yield from (_row(str(part), str(row), name, each) for row, each in found.items())


def _row(beside: str, statistic: str, score: str, estimate: Estimate) -> dict[str, Any]:
    return dict(zip(KEPT, (beside, statistic, score), strict=True)) | estimate.describe()


def _as_estimates(table: pd.DataFrame) -> pd.DataFrame:
    """Return the stored rows as Estimates, a column for each score in the order in which they came."""
    found = table[KEPT].assign(found=[Estimate(**row) for row in table.drop(columns=KEPT).to_dict("records")])
    wide = found.pivot(index=KEPT[:2], columns=KEPT[2], values="found")
    rows = pd.MultiIndex.from_frame(table[KEPT[:2]].drop_duplicates())
    return wide.reindex(index=rows, columns=pd.Index(table["score"].unique())).astype(object)
