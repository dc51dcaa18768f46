"""One interface for every way to say which training images a prediction depends on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.errors import InputError, check_choice, check_integer, check_number, reject
from influence_lib.influence import GaussianNoise
from influence_lib.pretrain import embed
from influence_lib.pretrain.classifiers import Classifier
from influence_lib.studies.attribution.halves import Halves
from influence_lib.studies.attribution.models import datamodels, influence_function, trak
from influence_lib.studies.attribution.similarity import between_directions, euclidean, exemplar_distance

__all__ = ["METHODS", "Method", "attribute", "signed_and_sparse", "strongest"]

NOISE = GaussianNoise(0.05, 0.2)  # the papers'
KEPT = 0.05  # of the images that have a score when a distance is made one


@dataclass(frozen=True)
class Method:
    """A way to attribute.

    Attributes
    ----------
    compute : callable
        From ``(models, train, targets, seed, device)`` and options to T×N.
    needs : {"encoder", "classifiers", "halves", "nothing"}
        What `models` is: an encoder, classifiers, `Halves`, or nothing.
    distance : bool
        Whether the numbers are distances, of which small ones mean much.
    """

    compute: Callable[..., Tensor]
    needs: str
    distance: bool = False


def _by_distance(between: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def compute(models: Sequence[nn.Module], train: ImageSet, targets: ImageSet, seed: int, device: str) -> Tensor:
        represented = [_represented(models, each, device) for each in (targets, train)]
        return between(*represented).float()

    return compute


def _represented(models: Sequence[nn.Module], images: ImageSet, device: str) -> Tensor:
    """Return the representations: a classifier's are what its last layer reads, without a model the pixels."""
    if not models:
        return images.images.flatten(1).float() / 255
    (model,) = models
    return embed(_Features(model) if isinstance(model, Classifier) else model, images, device=device)


class _Features(nn.Module):
    def __init__(self, classifier: Classifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier.features(x)


def _trak(
    models: Sequence[nn.Module], train: ImageSet, targets: ImageSet, seed: int, device: str, **options: Any
) -> Tensor:
    return trak(models, train, targets, seed=seed, device=device, **options)


def _ekfac(
    models: Sequence[nn.Module], train: ImageSet, targets: ImageSet, seed: int, device: str, **options: Any
) -> Tensor:
    return influence_function(models, train, targets, device=device, **options)


def _two_views(
    models: Sequence[nn.Module], train: ImageSet, targets: ImageSet, seed: int, device: str, **options: Any
) -> Tensor:
    return influence_function(models, train, targets, "cosine", device=device, **{"perturbation": NOISE, **options})


def _datamodels(halves: Halves, train: ImageSet, targets: ImageSet, seed: int, device: str, **options: Any) -> Tensor:
    return datamodels(halves.kept, halves.outputs(device=device), **options)


def _random(models: object, train: ImageSet, targets: ImageSet, seed: int, device: str) -> Tensor:
    return torch.rand(len(targets), len(train), generator=torch.Generator().manual_seed(seed))


def _same_class(models: object, train: ImageSet, targets: ImageSet, seed: int, device: str) -> Tensor:
    """Return random scores of the images of the target's class, and 0 for all others."""
    own = targets.labels[:, None] == train.labels[None]
    return torch.where(own, _random(models, train, targets, seed, device), 0)


METHODS: dict[str, Method] = {
    "exemplar SVM": Method(_by_distance(exemplar_distance), "encoder", distance=True),
    "Euclidean": Method(_by_distance(euclidean), "encoder", distance=True),
    "cosine": Method(_by_distance(between_directions), "encoder", distance=True),
    "TRAK": Method(_trak, "classifiers"),
    "Datamodels": Method(_datamodels, "halves"),
    "EK-FAC": Method(_ekfac, "classifiers"),
    "two views": Method(_two_views, "encoder"),
    "same class": Method(_same_class, "nothing"),
    "random": Method(_random, "nothing"),
}
"""Name → how it is computed and from what. Without a model the distances are those of pixels."""


def attribute(
    method: str,
    models: Sequence[nn.Module] | Halves,
    train: ImageSet,
    targets: ImageSet,
    seed: int = 0,
    device: str = "auto",
    same_class: bool = False,
    **options: Any,
) -> Tensor:
    """Return how much each training image speaks for each target's own class, by one method.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    models : sequence of nn.Module or Halves
        What the method looks at: one encoder or classifier for a distance (of which its last representation counts; an
        empty sequence is pixels), one or more classifiers for TRAK and EK-FAC, `Halves` for Datamodels.
    train : ImageSet
        N images.
    targets : ImageSet
        T images.
    seed : int
        Of random projections and scores.
    device : str
        ``"auto"`` or a torch device.
    same_class : bool
        Whether an exemplar SVM tells its target from the images of the target's class alone, as the attribution
        baseline has it. Which images of other methods are candidates is for `strongest` to say.
    **options
        Further ones of the method: ``dimension`` of TRAK, ``factor_pairs``, ``draws``, ``perturbation`` of influence
        functions, ``held_out`` of Datamodels.

    Returns
    -------
    Tensor
        float32, T×N: high where the image supports the target's class. Of a distance it is minus the distance.

    Raises
    ------
    InputError
        If a value is not allowed, models are missing, or a target's class is not among the training images.

    Examples
    --------
    >>> attribute("cosine", [encoder], images, targets).shape
    torch.Size([10, 60])
    """
    chosen = METHODS[check_choice("method", method, list(METHODS))]
    _check_models(method, chosen, models)
    if missing := set(targets.labels.tolist()) - set(train.labels.tolist()):
        name = targets.class_names[min(missing)] if targets.class_names else min(missing)
        raise InputError(f"targets has an image of the class {name!r}, of which there is no training image.")
    if not same_class:
        scores = chosen.compute(models, train, targets, seed, device, **options)
    elif not chosen.distance:
        reject("same_class", same_class, f"False for {method!r}, which looks at no other images")
    else:
        scores = _by_class(chosen, models, train, targets, seed, device)
    return -scores if chosen.distance else scores


def _by_class(chosen: Method, models: Any, train: ImageSet, targets: ImageSet, seed: int, device: str) -> Tensor:
    """Return distances that are computed among the images of each target's class; others are infinitely far."""
    found = torch.full((len(targets), len(train)), torch.inf)
    for label in targets.labels.unique():
        rows, columns = (each.labels == label for each in (targets, train))
        among = chosen.compute(models, train.subset(columns), targets.subset(rows), seed, device)
        found[rows.nonzero(), columns.nonzero().T] = among
    return found


def _check_models(method: str, chosen: Method, models: object) -> None:
    if chosen.needs == "halves":
        if not isinstance(models, Halves):
            reject("models", type(models).__name__, f"Halves for {method!r}, which needs trainings on many subsets")
        return
    if isinstance(models, Halves) or not isinstance(models, Sequence):
        reject("models", type(models).__name__, f"a sequence of modules for {method!r}")
    if chosen.needs == "classifiers" and not models:
        reject("the number of models", 0, f"at least 1 for {method!r}")
    if chosen.needs == "encoder" and len(models) > 1:
        reject("the number of models", len(models), f"1 for {method!r}, or 0 for pixels")
    if method == "two views" and not models:
        reject("the number of models", 0, f"1 for {method!r}")


def strongest(
    scores: Tensor, train: ImageSet, targets: ImageSet, most: int | None = None, same_class: bool = True
) -> list[tuple[int, ...]]:
    """Return the ids of the images that speak most for each target, the strongest first.

    Parameters
    ----------
    scores : Tensor
        T×N, as `attribute` returns them.
    train, targets : ImageSet
        N and T images.
    most : int, optional
        How many; by default all candidates.
    same_class : bool
        Whether only images of the target's class are candidates.

    Raises
    ------
    InputError
        If the shape is another, a candidate's score is not a number, or a target has fewer candidates than `most`.

    Examples
    --------
    >>> strongest(scores, images, targets, most=5)[0]
    """
    if scores.shape != (len(targets), len(train)):
        reject("the shape of scores", tuple(scores.shape), f"{(len(targets), len(train))}, targets and images")
    found = []
    for row, label in zip(scores, targets.labels, strict=True):
        candidates = (train.labels == label).nonzero().flatten() if same_class else torch.arange(len(train))
        if bool(row[candidates].isnan().any()):
            raise InputError("scores holds a value that is not a number.")
        if most is not None and len(candidates) < most:
            reject("most", most, f"at most {len(candidates)}, the candidates of a target")
        order = row[candidates].argsort(descending=True, stable=True)[:most]
        found.append(tuple(train.ids[candidates[order]].tolist()))
    return found


def signed_and_sparse(scores: Tensor, train: ImageSet, targets: ImageSet, kept: float = KEPT) -> Tensor:
    """Return scores that add up, of a method that only ranks: 1/distance, signed by the class, of the nearest.

    The attribution baseline's rule for LDS (its appendix A.5): the score is one over the distance, negative for an
    image of another class, and 0 but for the 5 % of the images with the largest magnitude.

    Parameters
    ----------
    scores : Tensor
        T×N, minus distances, as `attribute` returns them of all images.
    train, targets : ImageSet
        N and T images.
    kept : float
        The part of the images that keeps a score, in (0, 1].

    Examples
    --------
    >>> signed_and_sparse(attribute("Euclidean", [encoder], images, targets), images, targets)
    """
    check_number("kept", kept, above=0, most=1)
    nearness = 1 / (-scores).clamp_min(1e-6)
    count = max(1, round(kept * len(train)))
    cutoff = nearness.topk(check_integer("the number of images", count), dim=1).values[:, -1:]
    sign = torch.where(targets.labels[:, None] == train.labels[None], 1.0, -1.0)
    return torch.where(nearness >= cutoff, sign * nearness, 0)
