import pandas as pd
import pytest
import torch

from influence_lib.data import ImageSet
from influence_lib.influence import GaussianNoise, Scores
from influence_lib.studies import Scorer
from tests.images import noise_images
from tests.influence.conftest import small_net


def scores_of(by_draw, **settings):
    """Return scores D×N of images with ids 0, 1, …"""
    by_draw = torch.as_tensor(by_draw, dtype=torch.float32)
    by_draw = by_draw[None] if by_draw.ndim == 1 else by_draw
    return Scores(by_draw, torch.arange(by_draw.shape[1]), settings)


def image_set(pixels, labels):
    labels = torch.as_tensor(labels)
    n = len(labels)
    names = tuple(f"class {i}" for i in range(int(labels.max()) + 1))
    return ImageSet(pixels, labels, torch.arange(n), pd.DataFrame(index=pd.RangeIndex(n)), "made", "train", names)


@pytest.fixture(scope="session")
def images():
    return noise_images(24)


@pytest.fixture(scope="session")
def scorer():
    """A float64 encoder with a grouped convolution and batch normalisation, in two draws."""
    return Scorer(small_net(groups=2).double(), GaussianNoise(0.05, 0.3), draws=2)
