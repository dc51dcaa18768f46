"""Where t-SNE draws images: a picture of their neighbourhoods, which decides nothing."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from influence_lib.errors import InputError, check_integer, reject
from influence_lib.optional import needed

__all__ = ["layout"]

PERPLEXITY = 30.0
LEAST = 10  # images, below which there are no neighbourhoods to draw


def layout(representations: Tensor, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return a position in the plane for each image, by t-SNE on the cosine distance of representations.

    From openTSNE, begun at the first two principal components, with a perplexity of 30 or a third of the images. How
    far apart groups lie, how large they are drawn and that there are gaps says nothing (arXiv 2510.07746); that two
    images are drawn beside each other says that they are neighbours in most cases. `neighbourhoods` measures.

    Parameters
    ----------
    representations : Tensor
        N×D, of 10 images or more.
    seed : int
        Of the random numbers that t-SNE draws.

    Returns
    -------
    array
        float64, N×2, centred, with a standard deviation of 1 along the wider axis.

    Raises
    ------
    InputError
        If there are too few images, or a representation is not finite or zero.

    Examples
    --------
    >>> layout(features).shape
    (60, 2)
    """
    if representations.ndim != 2 or len(representations) < LEAST:
        reject("the shape of representations", tuple(representations.shape), f"(N, D) with N of {LEAST} or more")
    with needed("A t-SNE layout", "run `pip install openTSNE`"):  # a second of import that only this needs
        from openTSNE import TSNE
    points = representations.detach().cpu().double()
    if not bool(torch.isfinite(points).all()) or not bool((points.norm(dim=1) > 0).all()):
        raise InputError("representations has a row that is zero or not finite, which has no direction.")
    unit = torch.nn.functional.normalize(points).numpy()
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    # the Euclidean distance of unit vectors goes with their cosine distance, and all methods know it
    found = TSNE(perplexity=perplexity, random_state=check_integer("seed", seed, 0), n_jobs=1).fit(unit)
    placed = np.asarray(found, dtype=np.float64)
    placed -= placed.mean(axis=0)
    return placed / placed.std(axis=0).max()
