"""`decode`: the pixels of an encoded image as a viewer shows them, the same for every reader."""

import io
import warnings

import numpy as np
import torch
from PIL import Image, ImageCms, UnidentifiedImageError

__all__ = ["UnreadableError", "decode"]

ORIENTATION, PHOTOMETRIC, WHITE_IS_ZERO = 0x0112, 0x0106, 0  # tags of EXIF and TIFF, and a value of the second

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what turns the pixels upright."""

NO_IMAGES = {b"version https://git-lfs": "a Git LFS pointer, run git lfs pull", b"<": "a web page or other markup"}
"""How files begin that often stand where an image should → what they are."""


class UnreadableError(ValueError):
    """An image that cannot be read; the message says why."""


def decode(encoded: bytes) -> torch.Tensor:
    """Return the pixels of an image in any format that Pillow reads.

    They are what a viewer shows: turned upright by EXIF, transparent parts on white, of an animation the first frame.
    Grey values of 16 bits are divided by 257 and rounded, never clipped. Whole numbers of 32 bits and floats have no
    range of their own: they are scaled from the smallest of 0 to 1 (floats only), 0 to 255 and 0 to 65,535 that holds
    them all, else from their minimum and maximum; what is not finite counts as 0. Colour profiles are not applied.

    Parameters
    ----------
    encoded : bytes
        The content of an image file.

    Returns
    -------
    torch.Tensor of uint8, shape (3, H, W)
        Red, green, blue, 0 to 255.

    Raises
    ------
    UnreadableError
        If it is no image, is damaged, or has so many pixels that Pillow takes it for an attack.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> Image.new("RGBA", (2, 1), (0, 0, 0, 0)).save(file, "PNG")
    >>> decode(file.getvalue()).shape, int(decode(file.getvalue()).min())
    (torch.Size([3, 1, 2]), 255)
    """
    if not encoded:
        raise UnreadableError("it is empty")
    # Pillow would try forty other formats before this one, at more cost than the decoding of a small image
    formats = ["WEBP"] if encoded[8:12] == b"WEBP" else None
    try:
        # Pillow warns of odd metadata, which does not concern the pixels
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(encoded), formats=formats) as image:
            image.load()
            turn = UPRIGHT.get(_orientation(image))
            coloured = _to_rgb(image)
            pixels = np.array(coloured if turn is None else coloured.transpose(turn))
    except Exception as error:  # damaged bytes make Pillow raise nearly every type
        raise UnreadableError(_reason(encoded, error)) from error
    if not pixels.size:
        raise UnreadableError("it has no pixels")
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1, upright, where it cannot be read or means nothing."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # a broken tag is no reason to refuse good pixels, and Pillow raises nearly every type
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode in RGB, its transparent parts on white."""
    if image.mode.startswith(("I", "F")):
        return _from_deep(image).convert("RGB")
    if image.mode == "LAB":
        spaces = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(*spaces, "LAB", "RGB")
        return transform.point(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:
        # of 16 bits, while Pillow keeps only the upper byte of each value
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    if image.mode == "La":
        image = image.convert("LA")
    opaque = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque).convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """Return a grey image of more than 8 bits, or of floats, in 8 bits."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    for top in _ranges(image):
        if low >= 0 and high <= top:
            low, high = 0.0, top
            break
    scaled = (values - low) * (255 / max(high - low, np.finfo(np.float64).tiny))
    if image.mode.startswith("I;16"):
        if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
            scaled = 255 - scaled
        if "transparency" in image.info:
            scaled[values == image.info["transparency"]] = 255
    return Image.fromarray(scaled.round().astype(np.uint8))


def _ranges(image: Image.Image) -> list[float]:
    """Return the largest values that a grey image of more than 8 bits may be meant to have, the smallest first."""
    if image.mode == "F":
        return [1.0, 255.0, 65535.0]
    # Pillow has scaled those of a PGM to 16 bits
    return [65535.0] if image.mode.startswith("I;16") or image.format == "PPM" else [255.0, 65535.0]


def _reason(encoded: bytes, error: Exception) -> str:
    """Return why an image cannot be read, without a full stop."""
    if isinstance(error, UnidentifiedImageError):
        beginning = encoded[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
        for start, what in NO_IMAGES.items():
            if beginning.startswith(start):
                return f"it is {what}"
        return "it is in no format that Pillow reads"
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
