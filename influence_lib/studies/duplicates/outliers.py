"""What people use to find outliers among representations."""

import numpy as np
import torch
from sklearn.ensemble import IsolationForest
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, reject
from influence_lib.influence import Scores

__all__ = ["isolation_score"]


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
