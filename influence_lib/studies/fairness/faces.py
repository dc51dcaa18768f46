"""What photographs of faces differ in, as far as pixels tell it: light, sharpness, pose."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from influence_lib.data import ImageSet, image_statistics
from influence_lib.errors import reject

__all__ = ["FACES", "face_statistics"]

FACES = (
    "face luminance",
    "ground luminance",
    "contrast",
    "sharpness",
    "JPEG size",
    "mirror correlation",
    "left-right difference",
    "skin area",
)
"""The columns of `face_statistics`."""
HEIGHT, WIDTH = 0.4, 0.3  # half axes of the ellipse in which a face is expected, as parts of the sides
LEAST = 8  # pixels, the smallest side
CHUNK = 1000


def face_statistics(images: ImageSet, progress: bool = False) -> pd.DataFrame:
    """Return what can be measured of photographs with a face in their middle.

    No face is looked for: the face region is an ellipse of 60 by 80 % of the sides, the ground is what lies outside.

    Parameters
    ----------
    images : ImageSet
        N images with sides of 8 pixels or more.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    DataFrame
        N rows, indexed by the images' ids, with the columns `FACES`, float64:

        - ``"face luminance"`` and ``"ground luminance"``: mean luma in and outside the face region, in [0, 1];
        - ``"contrast"``: standard deviation of the luma in the face region;
        - ``"sharpness"``: logarithm of the mean squared Laplacian of the luma in the face region;
        - ``"JPEG size"``: logarithm of the bytes at quality 75;
        - ``"mirror correlation"``: correlation of the luma in the face region with its mirror image, high for a frontal
          face in even light, 0 where there is one luma;
        - ``"left-right difference"``: absolute difference of the mean luma of the region's halves, light from a side;
        - ``"skin area"``: part of the face region in the usual range of the chroma of skin, Cb of 77 to 127 and Cr of
          133 to 173 (Chai and Ngan 1999), which does not hold for all skin in all light.

    Raises
    ------
    InputError
        If there are no images, or they are too small.

    Examples
    --------
    >>> face_statistics(images)["face luminance"].between(0, 1).all()
    np.True_
    """
    height, width = images.images.shape[-2:]
    if min(height, width) < LEAST:
        reject("the side of images", min(height, width), f"{LEAST} pixels or more")
    bytes_ = image_statistics(images, progress)["jpeg_bytes"]
    inside = _ellipse(height, width)
    parts = [_of_pixels(chunk.float() / 255, inside) for chunk in images.images.split(CHUNK)]
    table = {name: torch.cat([part[name] for part in parts]).double().numpy() for name in parts[0]}
    return pd.DataFrame(table | {"JPEG size": np.log(bytes_.to_numpy())}, index=bytes_.index)[list(FACES)]


def _ellipse(height: int, width: int) -> Tensor:
    """Return which pixels are in the face region: bool, H×W, the same on both sides."""
    y, x = ((torch.arange(side) + 0.5) / side - 0.5 for side in (height, width))
    return (y[:, None] / HEIGHT) ** 2 + (x / WIDTH) ** 2 <= 1


def _of_pixels(pixels: Tensor, inside: Tensor) -> dict[str, Tensor]:
    """Return the statistics of B×3×H×W pixels in [0, 1], each B."""
    luma = F.rgb_to_grayscale(pixels)[:, 0]
    face, half = luma[:, inside], torch.arange(luma.shape[2]) < luma.shape[2] / 2
    left, right = (luma[:, inside & side].mean(dim=1) for side in (half, ~half))
    return {
        "face luminance": face.mean(dim=1),
        "ground luminance": luma[:, ~inside].mean(dim=1),
        "contrast": face.std(dim=1, correction=0),
        "sharpness": _laplacian(luma)[:, inside].square().mean(dim=1).clamp(min=1e-8).log(),
        "mirror correlation": _correlation(face, luma.flip(-1)[:, inside]),
        "left-right difference": (left - right).abs(),
        "skin area": _skin(pixels)[:, inside].double().mean(dim=1),
    }


def _laplacian(luma: Tensor) -> Tensor:
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    padded = torch.nn.functional.pad(luma[:, None], (1, 1, 1, 1), mode="replicate")
    return torch.nn.functional.conv2d(padded, kernel[None, None])[:, 0]


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    first, second = (each - each.mean(dim=1, keepdim=True) for each in (first, second))
    lengths = first.norm(dim=1) * second.norm(dim=1)
    return torch.where(lengths > 1e-6, (first * second).sum(dim=1) / lengths.clamp(min=1e-6), 0)


def _skin(pixels: Tensor) -> Tensor:
    red, green, blue = (255 * pixels).unbind(dim=1)
    cb = 128 - 0.168736 * red - 0.331264 * green + 0.5 * blue
    cr = 128 + 0.5 * red - 0.418688 * green - 0.081312 * blue
    return (cb >= 77) & (cb <= 127) & (cr >= 133) & (cr <= 173)
