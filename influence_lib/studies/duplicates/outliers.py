"""What people use to find outliers among representations."""

import numpy as np
import torch
from scipy.cluster.hierarchy import linkage
from sklearn.ensemble import IsolationForest
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.errors import InputError, check_integer, reject
from influence_lib.influence import Scores

__all__ = ["isolation_score", "linkage_score"]


def isolation_score(images: ImageSet, features: Tensor, seed: int = 0) -> Scores:
    """Return how soon random cuts set a representation apart, by scikit-learn's Isolation Forest: high for outliers.

    Parameters
    ----------
    images : ImageSet
        N images.
    features : Tensor
        N×D, their representations, as `pretrain.embed` returns them.
    seed : int
        Of the cuts.

    Returns
    -------
    Scores
        One draw: float32, 1×N, in (0, 1].

    Raises
    ------
    InputError
        If there are not as many representations as images.

    Examples
    --------
    >>> isolation_score(images, pretrain.embed(encoder, images)).highest(10)
    """
    if len(features) != len(images) or len(images) == 0:
        reject("the number of representations", len(features), f"{max(1, len(images))}, one for each image")
    forest = IsolationForest(random_state=check_integer("seed", seed, 0, 2**32 - 1)).fit(features.numpy())
    values = -forest.score_samples(features.numpy())
    settings = {"score": "isolation forest", "seed": seed, "data": images.describe()}
    return Scores(torch.from_numpy(values.astype(np.float32))[None], images.ids, settings)


def linkage_score(images: ImageSet, features: Tensor) -> Scores:
    """Return the distance at which an image joins most of the others by single linkage: high for outliers.

    The idea of SelfClean (Gröger et al. 2024): images that have little to do with a set hang together with the bulk of
    it by a long link only, alone or in a small group. Links are cosine distances between representations.

    Parameters
    ----------
    images : ImageSet
        N images, 2 or more.
    features : Tensor
        N×D, their representations, as `pretrain.embed` returns them; all N² distances are held at once.

    Returns
    -------
    Scores
        One draw: float32, 1×N, in [0, 2]. Images that are of the bulk when it first holds more than half of all have
        the distance at which it does.

    Raises
    ------
    InputError
        If there are not as many representations as images, or one of them is zero or not finite.

    Examples
    --------
    >>> linkage_score(images, pretrain.embed(encoder, images)).highest(10)
    """
    if len(features) != len(images) or len(images) < 2:
        reject("the number of representations", len(features), f"{max(2, len(images))}, one for each image")
    points = features.detach().cpu().double()
    if not bool(torch.isfinite(points).all()) or not bool((points.norm(dim=1) > 0).all()):
        raise InputError("features has a row that is zero or not finite, which has no direction.")
    values = _joining(linkage(points.numpy(), method="single", metric="cosine"), len(points))
    settings = {"score": "single linkage", "data": images.describe()}
    return Scores(torch.from_numpy(values.astype(np.float32))[None], images.ids, settings)


def _joining(merges: np.ndarray, n: int) -> np.ndarray:
    """Return the height at which each of n leaves joins the group that holds more than half, by SciPy's merges."""
    members: dict[int, list[int]] = {leaf: [leaf] for leaf in range(n)}
    values, joined = np.zeros(n), np.zeros(n, dtype=bool)
    for step, (a, b, height, _) in enumerate(merges):
        group = members.pop(int(a)) + members.pop(int(b))
        members[n + step] = group
        if 2 * len(group) > n:
            new = [leaf for leaf in group if not joined[leaf]]
            values[new], joined[new] = max(height, 0.0), True
    return values
