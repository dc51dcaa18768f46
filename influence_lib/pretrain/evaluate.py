"""How good a representation is: linear and weighted-kNN accuracy, with intervals."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from tqdm import tqdm

from influence_lib.data import ImageSet
from influence_lib.device import resolve_device
from influence_lib.errors import InputError, check_integer, reject
from influence_lib.estimate import Estimate, share
from influence_lib.pretrain.representations import prepare, represent

__all__ = ["both_accuracies", "check_images", "embed", "knn_accuracy", "linear_accuracy"]

KNN_TEMPERATURE = 0.07
NEIGHBOURS = 20


@torch.no_grad()
def embed(
    encoder: nn.Module,
    images: ImageSet,
    batch_size: int = 500,
    device: str | torch.device = "auto",
    progress: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return the representations of unperturbed images.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D; B×D×1×1 is flattened. Used in eval mode; its own mode and device stay as
        they are.
    images : ImageSet
        N images.
    batch_size : int
        How many pass at once.
    device : str or torch.device
        ``"auto"`` or a torch device.
    progress : bool
        Whether to show a progress bar.
    dtype : torch.dtype
        Of the result.

    Returns
    -------
    Tensor
        N×D, on the CPU.

    Raises
    ------
    InputError
        If a value is not allowed, the encoder returns anything else, or cannot take the images.
    FloatingPointError
        If a representation is not finite; the sentence names the first image.

    Examples
    --------
    >>> embed(build_encoder(2), images).shape  # of 60 images
    torch.Size([60, 16])
    """
    check_images("images", images)
    target = resolve_device(device)
    batches = images.images.split(check_integer("batch_size", batch_size))
    encoder = prepare(encoder, images, target)
    passes = tqdm(batches, desc="representations", disable=not progress)
    features = torch.cat([represent(encoder, batch.to(target).float() / 255).to(dtype).cpu() for batch in passes])
    bad = ~torch.isfinite(features).all(dim=1)
    if bad.any():
        raise FloatingPointError(
            f"the representations of {int(bad.sum())} images are not finite,"
            f" the first of them id {int(images.ids[bad][0])}."
        )
    return features


def check_images(name: str, images: object, least: int = 1) -> None:
    """Refuse what is no image set, and one of too few images.

    Raises
    ------
    InputError
        If it is.
    """
    if not isinstance(images, ImageSet):
        reject(name, type(images).__name__, "an ImageSet, as data.load returns it")
    if len(images) < least:
        reject(f"the number of images in {name}", len(images), f"{least} or more")


def knn_accuracy(
    encoder: nn.Module, train: ImageSet, test: ImageSet, k: int = NEIGHBOURS, device: str | torch.device = "auto"
) -> Estimate:
    """Return the accuracy of a kNN classifier on cosine similarity s, with votes weighted by exp(s / 0.07).

    In [0, 1]; the interval is over the test images and says nothing about other trainings.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D; B×D×1×1 is flattened.
    train, test : ImageSet
        Labelled images of the same classes.
    k : int
        Number of neighbours; all training images where there are fewer.
    device : str or torch.device
        Where to compute the representations.

    Raises
    ------
    InputError
        If a value is not allowed, an image has no label, or the two sets have other classes.
    FloatingPointError
        If a representation is not finite.

    Examples
    --------
    >>> knn_accuracy(encoder, data.load("cifar10"), data.load("cifar10", split="test")).value
    """
    k = check_integer("k", k)
    _check_labelled(train, test)
    return _fit_and_test(_by_neighbours(k, train), train, test, *_features(encoder, train, test, device))


def linear_accuracy(
    encoder: nn.Module, train: ImageSet, test: ImageSet, device: str | torch.device = "auto"
) -> Estimate:
    """Return the accuracy of multinomial logistic regression on standardised, frozen representations.

    In [0, 1]; the interval is over the test images and says nothing about other trainings.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D; B×D×1×1 is flattened.
    train, test : ImageSet
        Labelled images of the same classes, two or more in `train`.
    device : str or torch.device
        Where to compute the representations.

    Raises
    ------
    InputError
        If an image has no label, or the two sets have other classes.
    FloatingPointError
        If a representation is not finite.

    Examples
    --------
    >>> linear_accuracy(encoder, data.load("cifar10"), data.load("cifar10", split="test")).value
    """
    _check_labelled(train, test)
    return _fit_and_test(_linear(train), train, test, *_features(encoder, train, test, device))


def both_accuracies(
    encoder: nn.Module, train: ImageSet, test: ImageSet, device: str | torch.device = "auto"
) -> dict[str, Estimate]:
    """Return `knn_accuracy` and `linear_accuracy`, as ``"knn"`` and ``"linear"``, from one pass over the images.

    Parameters and errors are those of `linear_accuracy`.

    Examples
    --------
    >>> both_accuracies(encoder, data.load("cifar10"), data.load("cifar10", split="test"))["knn"].value
    """
    _check_labelled(train, test)
    classifiers = {"knn": _by_neighbours(NEIGHBOURS, train), "linear": _linear(train)}
    features = _features(encoder, train, test, device)
    return {name: _fit_and_test(classifier, train, test, *features) for name, classifier in classifiers.items()}


def _by_neighbours(k: int, train: ImageSet) -> KNeighborsClassifier:
    return KNeighborsClassifier(
        n_neighbors=min(k, len(train)),
        metric="cosine",
        weights=lambda distance: np.exp(-distance / KNN_TEMPERATURE),
    )


def _linear(train: ImageSet) -> Pipeline:
    if len(train.labels.unique()) < 2:
        only = train.class_names[int(train.labels[0])]
        raise InputError(f"all images of train are of class {only!r}, but a linear classifier needs 2 classes or more.")
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def _check_labelled(train: ImageSet, test: ImageSet) -> None:
    """Refuse image sets between which there is no accuracy."""
    for name, images in (("train", train), ("test", test)):
        check_images(name, images)
        unlabelled = int((images.labels < 0).sum())
        if unlabelled:
            raise InputError(f"{unlabelled} of the {len(images)} images of {name} have no label: there is no accuracy.")
    a, b = train.class_names, test.class_names
    if a != b:
        pairs = [(i, one, other) for i, (one, other) in enumerate(zip(a, b, strict=False)) if one != other]
        differs = "class {} is {!r} and {!r}".format(*pairs[0]) if pairs else f"{len(a)} and {len(b)} classes"
        raise InputError(f"train and test have other classes ({differs}): load both from one image set.")


def _features(
    encoder: nn.Module, train: ImageSet, test: ImageSet, device: str | torch.device
) -> tuple[np.ndarray, np.ndarray]:
    known, asked = (embed(encoder, images, device=device).numpy() for images in (train, test))
    return known, asked


def _fit_and_test(
    classifier: KNeighborsClassifier | Pipeline, train: ImageSet, test: ImageSet, known: np.ndarray, asked: np.ndarray
) -> Estimate:
    classifier.fit(known, train.labels.numpy())
    return share(classifier.predict(asked) == test.labels.numpy())
