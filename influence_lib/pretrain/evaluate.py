"""How good a representation is: linear and weighted-kNN accuracy, with intervals."""

import copy
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from tqdm import tqdm

from influence_lib.data import ImageSet
from influence_lib.device import resolve_device

__all__ = ["Accuracy", "embed", "knn_accuracy", "linear_accuracy"]

KNN_TEMPERATURE = 0.07


@dataclass(frozen=True)
class Accuracy:
    """A fraction of correct test images, with Wilson's 95 % interval.

    Parameters
    ----------
    value, low, high : float
        In [0, 1]. The interval is over test images; it says nothing about other training seeds.
    n : int
        Number of test images.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, correct: np.ndarray) -> "Accuracy":
        """Return the accuracy of a boolean array, one entry a test image."""
        interval = binomtest(int(correct.sum()), len(correct)).proportion_ci(method="wilson")
        return cls(float(correct.mean()), float(interval.low), float(interval.high), len(correct))

    def describe(self) -> dict[str, float]:
        """Return the fields as JSON-able values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


@torch.no_grad()
def embed(
    encoder: nn.Module,
    images: ImageSet,
    batch_size: int = 500,
    device: str | torch.device = "auto",
    progress: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return the representations of unperturbed images: N×D in the dtype of the weights, on the CPU, in eval mode."""
    target = resolve_device(device)
    encoder = copy.deepcopy(encoder).to(target).eval()  # the caller's keeps its device and mode
    batches = tqdm(images.images.split(batch_size), desc="representations", disable=not progress)
    return torch.cat([encoder((batch.to(target).float() / 255).to(dtype)).to(dtype).cpu() for batch in batches])


def knn_accuracy(
    encoder: nn.Module, train: ImageSet, test: ImageSet, k: int = 20, device: str | torch.device = "auto"
) -> Accuracy:
    """Return the accuracy of a kNN classifier on cosine similarity s, with votes weighted by exp(s / 0.07).

    Parameters
    ----------
    encoder : nn.Module
        Maps N×3×H×W pixels in [0, 1] to N×D.
    train, test : ImageSet
        Labelled images.
    k : int
        Number of neighbours; all training images where there are fewer.
    device : str or torch.device
        Where to compute the representations.
    """
    classifier = KNeighborsClassifier(
        n_neighbors=min(k, len(train)),
        metric="cosine",
        weights=lambda distance: np.exp(-distance / KNN_TEMPERATURE),
    )
    return _fit_and_test(classifier, encoder, train, test, device)


def linear_accuracy(
    encoder: nn.Module, train: ImageSet, test: ImageSet, device: str | torch.device = "auto"
) -> Accuracy:
    """Return the accuracy of multinomial logistic regression on standardised, frozen representations.

    Parameters
    ----------
    encoder : nn.Module
        Maps N×3×H×W pixels in [0, 1] to N×D.
    train, test : ImageSet
        Labelled images.
    device : str or torch.device
        Where to compute the representations.
    """
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return _fit_and_test(classifier, encoder, train, test, device)


def _fit_and_test(
    classifier: KNeighborsClassifier,
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    device: str | torch.device,
) -> Accuracy:
    classifier.fit(embed(encoder, train, device=device).numpy(), train.labels.numpy())
    return Accuracy.of(classifier.predict(embed(encoder, test, device=device).numpy()) == test.labels.numpy())
