"""Simple numbers of an image, which need no encoder: what a score has to say more than."""

import io
import math

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F
from tqdm import tqdm

from influence_lib.data.imageset import ImageSet
from influence_lib.errors import InputError

__all__ = ["border", "image_statistics"]

JPEG_QUALITY = 75
CHUNK = 1000


def image_statistics(images: ImageSet, progress: bool = False) -> pd.DataFrame:
    """Return six statistics of every image.

    Parameters
    ----------
    images : ImageSet
        N images.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    DataFrame
        N rows, indexed by the images' ids, float64:

        - ``brightness``: mean luma, in [0, 1];
        - ``contrast``: standard deviation of the luma over the image, in [0, 0.5];
        - ``edge_energy``: mean squared length of the luma's Sobel gradient, borders replicated, in 1 / pixel²;
        - ``colourfulness``: Hasler and Süsstrunk's (2003), of pixels in [0, 1];
        - ``background_uniformity``: 1 minus the mean distance of the colours in a frame along the border, an eighth of
          the side wide, from their median, as a part of the colour cube's diagonal, in [0, 1];
        - ``jpeg_bytes``: size as a JPEG of quality 75, which grows with detail.

    Raises
    ------
    InputError
        If the set is empty.

    Examples
    --------
    >>> image_statistics(images)["brightness"].between(0, 1).all()
    np.True_
    """
    if not len(images):
        raise InputError("images is empty, but statistics need at least one image.")
    parts = [
        _pixel_statistics(chunk.float() / 255)
        for chunk in tqdm(images.images.split(CHUNK), desc="image statistics", disable=not progress)
    ]
    table = {name: torch.cat([part[name] for part in parts]).double().numpy() for name in parts[0]}
    table["jpeg_bytes"] = np.array([_jpeg_bytes(image) for image in images.images], dtype=np.float64)
    return pd.DataFrame(table, index=pd.Index(images.ids.tolist(), name="id"))


def _pixel_statistics(pixels: Tensor) -> dict[str, Tensor]:
    """Return the statistics of B×3×H×W pixels in [0, 1] that need no encoding, each B."""
    luma = F.rgb_to_grayscale(pixels)[:, 0]
    return {
        "brightness": luma.mean(dim=(1, 2)),
        "contrast": luma.std(dim=(1, 2), correction=0),
        "edge_energy": _edge_energy(luma),
        "colourfulness": _colourfulness(pixels),
        "background_uniformity": _background_uniformity(pixels),
    }


def _edge_energy(luma: Tensor) -> Tensor:
    """Return the mean squared length of the Sobel gradient of B×H×W luma."""
    smooth, slope = torch.tensor([1.0, 2.0, 1.0]) / 4, torch.tensor([-1.0, 0.0, 1.0]) / 2
    kernels = torch.stack([torch.outer(smooth, slope), torch.outer(slope, smooth)])[:, None]
    padded = torch.nn.functional.pad(luma[:, None], (1, 1, 1, 1), mode="replicate")
    return torch.nn.functional.conv2d(padded, kernels).square().sum(dim=1).mean(dim=(1, 2))


def _colourfulness(pixels: Tensor) -> Tensor:
    """Return the spread of the two opponent colours, plus 0.3 of their distance from grey (their equations 1 to 4)."""
    red, green, blue = pixels.unbind(dim=1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])
    spread = opponents.var(dim=(2, 3), correction=0).sum(dim=0).sqrt()
    return spread + 0.3 * opponents.mean(dim=(2, 3)).square().sum(dim=0).sqrt()


def border(pixels: Tensor) -> Tensor:
    """Return the pixels in a frame along the border, an eighth of the side wide: B×3×P of B×3×H×W."""
    height, width = pixels.shape[2:]
    frame = torch.ones(height, width, dtype=torch.bool)
    y, x = max(1, height // 8), max(1, width // 8)
    frame[y : height - y, x : width - x] = False
    return pixels[:, :, frame]


def _background_uniformity(pixels: Tensor) -> Tensor:
    """Return how near the colours in the frame along the border are to their median."""
    colours = border(pixels)
    middle = colours.median(dim=2, keepdim=True).values
    return 1 - (colours - middle).norm(dim=1).mean(dim=1) / math.sqrt(3)


def _jpeg_bytes(image: Tensor) -> int:
    """Return the size of one uint8 image, 3×H×W, as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.tell()
