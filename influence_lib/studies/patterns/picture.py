"""Numbers of a picture that the papers speak of: its ground, its colours."""

import numpy as np
import pandas as pd

from influence_lib.data import ImageSet, image_statistics
from influence_lib.data.statistics import border

__all__ = ["PICTURE", "picture_statistics"]

PICTURE = ("border uniformity", "white border", "black border", "colourfulness", "brightness", "contrast")
"""The columns of `picture_statistics`."""
NEAR = 0.1  # of each channel from white or from black


def picture_statistics(images: ImageSet, progress: bool = False) -> pd.DataFrame:
    """Return what the papers describe highest and lowest images by.

    Parameters
    ----------
    images : ImageSet
        N images.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    DataFrame
        N rows, indexed by the images' ids, with the columns `PICTURE`, float64: ``"white border"`` and ``"black
        border"`` are the parts, in [0, 1], of the pixels in the frame along the border whose three channels are all
        within a tenth of white or black; the others are those of `data.image_statistics`.

    Raises
    ------
    InputError
        If there are no images.

    Examples
    --------
    >>> bool(picture_statistics(images)["white border"].between(0, 1).all())
    True
    """
    table = image_statistics(images, progress).rename(columns={"background_uniformity": "border uniformity"})
    table["white border"], table["black border"] = (_part_within(images, white) for white in (True, False))
    return table[list(PICTURE)]


def _part_within(images: ImageSet, white: bool) -> np.ndarray:
    """Return the part of the frame that is near white, or near black, of each image."""
    frame = border(images.images)  # uint8
    inside = (frame >= 255 * (1 - NEAR)) if white else (frame <= 255 * NEAR)
    return inside.all(dim=1).double().mean(dim=1).numpy()
