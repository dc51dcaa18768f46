"""Images of another size, with the same pixels on every machine."""

import numpy as np
import torch
from PIL import Image

__all__ = ["central_square", "resized"]


def resized(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return a uint8 image 3×H×W in another size, bilinear and antialiased.

    By Pillow, which computes in whole numbers: what PyTorch makes of the same pixels depends on the processor's vector
    instructions, and image sets are told apart by their pixels.
    """
    if image.shape[1:] == (height, width):
        return image
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    pixels = np.array(picture.resize((width, height), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def central_square(image: torch.Tensor) -> torch.Tensor:
    """Return the largest square in the middle of an image 3×H×W."""
    height, width = image.shape[1:]
    side = min(height, width)
    # the places that torchvision's center_crop takes
    top, left = round((height - side) / 2), round((width - side) / 2)
    return image[:, top : top + side, left : left + side]
