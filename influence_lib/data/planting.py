"""`plant`: add duplicates and outliers whose truth is known to a set."""

import io
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from PIL import Image

from influence_lib.data import controlled
from influence_lib.data.imageset import ImageSet
from influence_lib.data.resizing import resized
from influence_lib.data.subset import shuffled
from influence_lib.errors import InputError, check_integer, check_number

__all__ = ["plant"]

PLANTED = ["none", "exact", "near", "outlier"]


def _shift(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Move the image by 1/16 to 1/8 of its side along both axes; the edge is repeated."""
    side = min(image.shape[1:])
    down, right = (int(rng.choice([-1, 1])) * max(1, round(side * rng.uniform(1 / 16, 1 / 8))) for _ in range(2))
    rows = (torch.arange(image.shape[1]) - down).clamp(0, image.shape[1] - 1)
    columns = (torch.arange(image.shape[2]) - right).clamp(0, image.shape[2] - 1)
    return image[:, rows][:, :, columns]


def _crop(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Cut out 80 to 92 % of each side and resize it back."""
    height, width = image.shape[1:]
    share = rng.uniform(0.80, 0.92)
    h, w = max(1, round(share * height)), max(1, round(share * width))
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    return resized(image[:, top : top + h, left : left + w], height, width)


def _brightness(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Multiply all values by 0.65 to 0.85 or by 1.18 to 1.54."""
    factor = rng.uniform(0.65, 0.85)
    if rng.random() < 0.5:
        factor = 1 / factor
    return (image * factor).round().clamp(0, 255).to(torch.uint8)


def _jpeg(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Store the image as a JPEG of quality 30 to 60 and read it again."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=int(rng.integers(30, 61)))
    with Image.open(file) as stored:
        return torch.from_numpy(np.array(stored)).permute(2, 0, 1)


NEAR: dict[str, Callable[[torch.Tensor, np.random.Generator], torch.Tensor]] = {
    "shift": _shift,
    "crop": _crop,
    "brightness": _brightness,
    "jpeg": _jpeg,
}


def _noise(image: torch.Tensor, name: str, rng: np.random.Generator) -> torch.Tensor:
    """Return independent uniform noise in every pixel and channel."""
    return torch.from_numpy(rng.integers(0, 256, image.shape, dtype=np.uint8))


def _inverted(image: torch.Tensor, name: str, rng: np.random.Generator) -> torch.Tensor:
    """Return the negative of the image."""
    return 255 - image


def _foreign(image: torch.Tensor, name: str, rng: np.random.Generator) -> torch.Tensor:
    """Return an image of another set: a controlled scene, or a mosaic where the set itself is controlled."""
    height, width = image.shape[1:]
    if name == "controlled":
        return _mosaic(height, width, rng)
    scene = controlled.scene(int(rng.integers(controlled.SPLITS["train"])), seed=int(rng.integers(2**31)))
    drawn = torch.from_numpy(controlled.render(scene)[0])
    return resized(drawn, height, width)


def _mosaic(height: int, width: int, rng: np.random.Generator) -> torch.Tensor:
    """Return a mosaic of random colours: every pixel has the colour of the nearest of 24 points."""
    points, colours = rng.random((24, 2)), rng.integers(0, 256, (24, 3), dtype=np.uint8)
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    distance = (y[:, :, None] - points[:, 0]) ** 2 + (x[:, :, None] - points[:, 1]) ** 2
    return torch.from_numpy(colours[distance.argmin(axis=2)]).permute(2, 0, 1)


OUTLIERS: dict[str, Callable[[torch.Tensor, str, np.random.Generator], torch.Tensor]] = {
    "noise": _noise,
    "inverted": _inverted,
    "foreign": _foreign,
}


def _count(name: str, share: float, total: int) -> int:
    """Return how many images a fraction is."""
    return math.floor(check_number(name, share, least=0, most=1) * total + 0.5)


def plant(images: ImageSet, exact: float = 0.0, near: float = 0.0, outliers: float = 0.0, seed: int = 0) -> ImageSet:
    """Append copies of some images, altered copies and outliers at the end of a set.

    Parameters
    ----------
    images : ImageSet
        The set; it stays first and unchanged.
    exact : float
        How many exact copies to add, as a fraction of the set, 0 to 1 (rounded).
    near : float
        How many altered copies: in turn shifted, cropped, of another brightness, stored as JPEG.
    outliers : float
        How many outliers: in turn uniform noise, the negative of an image, and an image from another set (a
        controlled scene, or a mosaic where the set is controlled).
    seed : int
        Which images are copied, and all random choices.

    Returns
    -------
    ImageSet
        Ids of what was planted go on after the largest id. A copy and a negative have the label and the
        attributes of their original; other outliers have a label drawn from the classes, since in real data
        an outlier has one too, and missing attributes. Three attributes are new: ``planted`` ("none",
        "exact", "near", "outlier"), ``planted_kind`` ("shift", "crop", "brightness", "jpeg", "noise",
        "inverted", "foreign", or "") and ``source_id`` (the id of the original, -1 where there is none). No
        original serves twice unless more is planted than there are images.

    Raises
    ------
    InputError
        If a fraction is outside 0 to 1, or the set is empty or already holds something planted.

    Examples
    --------
    >>> len(plant(images, exact=0.05)) - len(images)
    3
    """
    if "planted" in images.attributes:
        raise InputError("images already holds planted images: plant everything in one call on the original set.")
    if len(images) == 0:
        raise InputError("images is empty, so there is nothing to copy: give a set with at least one image.")
    seed, total = check_integer("seed", seed, least=0), len(images)
    counts = {
        "exact": _count("exact", exact, total),
        "near": _count("near", near, total),
        "outlier": _count("outliers", outliers, total),
    }
    planted = [kind for kind, count in counts.items() for _ in range(count)]
    order = shuffled(images.ids.tolist(), f"plant:{seed}")
    # one walk through the shuffled set serves all kinds, so their originals differ while there are enough
    sources = order[np.arange(len(planted)) % total]
    kinds, pictures, labels = [], [], []
    turns = dict.fromkeys(PLANTED, 0)
    for what, source in zip(planted, sources, strict=True):
        rng = np.random.default_rng((seed, PLANTED.index(what), turns[what]))
        kind, picture = _make(what, turns[what], images.images[source], images.name, rng)
        turns[what] += 1
        own = kind in ("noise", "foreign") and len(images.class_names) > 0
        kinds.append(kind)
        pictures.append(picture)
        labels.append(int(rng.integers(len(images.class_names))) if own else int(images.labels[source]))
    return _append(images, planted, kinds, sources, pictures, labels)


def _make(what: str, turn: int, image: torch.Tensor, name: str, rng: np.random.Generator) -> tuple[str, torch.Tensor]:
    """Return the kind and the pixels of one planted image."""
    if what == "exact":
        return "", image
    if what == "near":
        kind = list(NEAR)[turn % len(NEAR)]
        return kind, NEAR[kind](image, rng)
    kind = list(OUTLIERS)[turn % len(OUTLIERS)]
    return kind, OUTLIERS[kind](image, name, rng)


def _append(
    images: ImageSet,
    planted: list[str],
    kinds: list[str],
    sources: np.ndarray,
    pictures: list[torch.Tensor],
    labels: list[int],
) -> ImageSet:
    """Return the set with what was planted at its end."""
    total = len(images)
    orphan = np.isin(kinds, ["noise", "foreign"])
    # nullable types keep whole numbers and booleans where an outlier has no value
    known = images.attributes.convert_dtypes(convert_floating=False)
    attributes = known.iloc[np.concatenate([np.arange(total), sources])].reset_index(drop=True)
    attributes.loc[total + np.flatnonzero(orphan)] = pd.NA
    attributes["planted"] = pd.Categorical(["none"] * total + planted, categories=PLANTED)
    attributes["planted_kind"] = [""] * total + kinds
    originals = np.where(orphan, -1, images.ids.numpy()[sources])
    attributes["source_id"] = np.concatenate([np.full(total, -1), originals])
    start = int(images.ids.max()) + 1
    return ImageSet(
        images=torch.cat([images.images, *(picture[None] for picture in pictures)]),
        labels=torch.cat([images.labels, torch.tensor(labels, dtype=torch.int64)]),
        ids=torch.cat([images.ids, torch.arange(start, start + len(planted))]),
        attributes=attributes,
        name=images.name,
        split=images.split,
        class_names=images.class_names,
    )
