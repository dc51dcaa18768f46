"""Pairs of images that may show one picture, for a person to look at, and how many of them do."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, check_number, reject
from influence_lib.estimate import Estimate, share
from influence_lib.influence import nearest_others
from influence_lib.pretrain.evaluate import check_images
from influence_lib.studies.duplicates.hashes import image_hashes, pairs_within
from influence_lib.studies.duplicates.planted import planted_pairs

__all__ = ["FOUND_BY", "judged_pairs", "near_pairs"]

FOUND_BY = ("both", "embedding", "hash")
"""What brings a pair into the list of `near_pairs`."""
NEIGHBOURS = 10  # of each image that are looked at; more copies than that bring each other in
LEAST = 20  # pairs by the embedding


def near_pairs(
    images: ImageSet,
    features: Tensor,
    cosine: float | None = None,
    hamming: int = 6,
    device: str | torch.device = "auto",
) -> pd.DataFrame:
    """Return the pairs of images that lie nearest together, by an encoder or by their perceptual hashes.

    Parameters
    ----------
    images : ImageSet
        N images, 2 or more.
    features : Tensor
        N×D, their representations, as `pretrain.embed` returns them.
    cosine : float, optional
        The largest cosine distance of a pair; the ten nearest neighbours of each image are looked at. By default as
        many pairs as the hashes find, and twenty at least, so that neither way has more tries.
    hamming : int
        In how many of the 64 bits the pHashes of a pair differ at most.
    device : str or torch.device
        ``"auto"`` or a torch device.

    Returns
    -------
    DataFrame
        A row for each pair: ``"a"`` and ``"b"``, the ids, the smaller first; ``"cosine distance"`` (float64); ``"hash
        distance"`` (int64); ``"found by"``, one of `FOUND_BY`; and ``"confirmed"``, empty, for the person who looks.
        Pairs that both ways find come first, the nearest by the embedding first.

    Raises
    ------
    InputError
        If there are not as many representations as images, or a limit is not allowed.

    Examples
    --------
    >>> near_pairs(images, pretrain.embed(encoder, images))[["a", "b", "found by"]].head()
    """
    check_images("images", images, least=2)
    if len(features) != len(images):
        reject("the number of representations", len(features), f"{len(images)}, one for each image")
    own = image_hashes(images)
    by_hash = pairs_within(own, check_integer("hamming", hamming, 0, 64))
    distances, positions = nearest_others(features, min(NEIGHBOURS, len(images) - 1), device)
    by_embedding = _nearest_pairs(distances, positions, cosine, most=max(LEAST, len(by_hash)))
    pairs = np.unique(np.concatenate([by_hash, by_embedding]), axis=0)
    first, second = pairs.T
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    in_either = [_members(pairs, each) for each in (by_hash, by_embedding)]
    table = pd.DataFrame(
        {
            "a": images.ids.numpy()[first],
            "b": images.ids.numpy()[second],
            "cosine distance": 0.5 * (unit[first] - unit[second]).square().sum(dim=1).numpy(),
            "hash distance": np.bitwise_count(own[first] ^ own[second]).astype(np.int64),
            "found by": np.select([in_either[0] & in_either[1], in_either[1]], FOUND_BY[:2], FOUND_BY[2]),
            "confirmed": "",
        }
    )
    table = table.assign(a=table[["a", "b"]].min(axis=1), b=table[["a", "b"]].max(axis=1))
    table["found by"] = pd.Categorical(table["found by"], FOUND_BY)
    return table.sort_values(["found by", "cosine distance", "a", "b"], ignore_index=True)


def judged_pairs(
    pairs: pd.DataFrame, images: ImageSet, others: Mapping[str, pd.DataFrame] | None = None
) -> pd.DataFrame:
    """Return how many of the listed pairs show one picture, and how many of those that do are listed.

    Parameters
    ----------
    pairs : DataFrame
        As `near_pairs` returns it.
    images : ImageSet
        With what was planted, which is taken for the whole truth: pairs that were alike before count as wrong.
    others : mapping of str to DataFrame, optional
        Name → pairs that another way has found, with ``"a"`` and ``"b"``, the smaller id first.

    Returns
    -------
    DataFrame of Estimate
        Rows ``"embedding"``, ``"hash"``, ``"both"`` and those of the others, columns ``"precision"`` and ``"recall"``
        with their intervals over pairs; a precision of no pairs is NaN.

    Raises
    ------
    InputError
        If nothing was copied.

    Examples
    --------
    >>> planted = data.plant(images, exact=0.1)
    >>> judged_pairs(near_pairs(planted, pretrain.embed(encoder, planted)), planted).loc["hash", "recall"].value
    1.0
    """
    truth = planted_pairs(images)
    if not truth:
        reject("the number of planted copies", 0, "1 or more, as of data.plant(images, exact=0.1)")
    by = {"embedding": ["both", "embedding"], "hash": ["both", "hash"], "both": ["both"]}
    own = {name: pairs[pairs["found by"].isin(ways)] for name, ways in by.items()}
    rows = {}
    for name, some in (own | dict(others or {})).items():
        listed = set(zip(some["a"].tolist(), some["b"].tolist(), strict=True))
        rows[name] = {
            "precision": share_of([pair in truth for pair in sorted(listed)]),
            "recall": share_of([pair in listed for pair in sorted(truth)]),
        }
    return pd.DataFrame.from_dict(rows, orient="index", dtype=object)


def share_of(hits: Sequence[bool] | npt.NDArray[np.bool_]) -> Estimate:
    """Return the share of pairs that are hits, NaN of none."""
    nothing = float("nan")
    return share(np.array(hits), "pair") if len(hits) else Estimate(nothing, nothing, nothing, 0, "pair")


def _nearest_pairs(distances: Tensor, positions: Tensor, cosine: float | None, most: int) -> npt.NDArray[np.int64]:
    """Return pairs of neighbours, P×2, the smaller position first: those within a distance, or the nearest."""
    limit = None if cosine is None else check_number("cosine", cosine, least=0, most=2)
    own = torch.arange(len(positions)).repeat_interleave(positions.shape[1])
    pairs = torch.stack([own, positions.flatten()], dim=1).sort(dim=1).values.numpy()
    pairs, first = np.unique(pairs, axis=0, return_index=True)
    distance = distances.flatten().numpy()[first]
    order = np.argsort(distance, kind="stable")
    return pairs[order[:most]] if limit is None else pairs[distance <= limit]


def _members(pairs: npt.NDArray[np.int64], some: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which of the pairs are among some of them."""
    known = set(map(tuple, some.tolist()))
    return np.array([tuple(pair) in known for pair in pairs.tolist()], dtype=bool)
