"""Small image sets made from nothing, for tests that do not care what the images show."""

import pandas as pd
import torch

from influence_lib.data import ImageSet


def noise_images(n: int, size: int = 8, seed: int = 0) -> ImageSet:
    """Return n images of uniform noise in two classes, with ids 5, 8, 11, …"""
    generator = torch.Generator().manual_seed(seed)
    return ImageSet(
        images=torch.randint(0, 256, (n, 3, size, size), generator=generator, dtype=torch.uint8),
        labels=torch.arange(n) % 2,
        ids=torch.arange(n) * 3 + 5,
        attributes=pd.DataFrame(index=pd.RangeIndex(n)),
        name="noise",
        split="train",
        class_names=("even", "odd"),
    )


def two_colours(n: int, seed: int = 0, size: int = 8) -> ImageSet:
    """Return n noisy images of two classes that a colour tells apart."""
    base = noise_images(n, size, seed)
    images = base.images // 4
    images[base.labels == 0, 0] += 150
    images[base.labels == 1, 2] += 150
    return ImageSet(images, base.labels, base.ids, base.attributes, "colours", "train", ("red", "blue"))
