"""Classifiers trained on a part of the images: what every counterfactual question comes down to."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from influence_lib import store
from influence_lib.data import Collection, ImageSet
from influence_lib.device import resolved_precision
from influence_lib.errors import InputError, check_integer, reject
from influence_lib.pretrain import embed
from influence_lib.pretrain.classifiers import Classifier, Schedule, train_classifier

__all__ = ["ClassifierRecipe", "Counterfactual", "margins"]

REVISION = 1  # of how a classifier is trained and asked; see `store.revision`


@dataclass(frozen=True)
class ClassifierRecipe:
    """What is trained, and the images whose predictions are explained.

    Attributes
    ----------
    dataset : str
        One of `data.load`'s sets, or ``"folder"``.
    n : int, optional
        Training images, balanced over the classes; None is all.
    targets_of_class : int
        Held-out images of each class whose predictions are explained: those with the lowest positions in a fixed
        shuffled order, as `data.load` takes them.
    architecture, width, schedule
        Those of `train_classifier`.
    size, folder, damaged
        Those of `Collection`.

    Examples
    --------
    >>> recipe = ClassifierRecipe("controlled", n=60, targets_of_class=1, width=2, schedule=Schedule(2, 20))
    >>> recipe.targets()
    """

    dataset: str
    n: int | None = None
    targets_of_class: int = 10
    architecture: str = "resnet9"
    width: int = 64
    schedule: Schedule = Schedule()  # noqa: RUF009 - frozen
    size: int = 32
    folder: str = ""
    damaged: str = "error"

    @property
    def name(self) -> str:
        """The label of its results, as in ``resnet9-cifar10``."""
        return f"{self.architecture}-{self.dataset}"

    @property
    def collection(self) -> Collection:
        """Where the images come from."""
        return Collection(self.dataset, self.folder, self.size, self.damaged)

    def images(self) -> ImageSet:
        """Return the training images."""
        return _images(self.collection, self.n)

    def targets(self) -> ImageSet:
        """Return the images whose predictions are explained, a class after the other.

        Raises
        ------
        InputError
            If there are no held-out images with labels, or a class has too few, or none among the training images.
        """
        return _targets(self.collection, self.n, check_integer("targets_of_class", self.targets_of_class))

    def describe(self, device: str = "auto") -> dict[str, Any]:
        """Return what identifies a training, without its images and its seed, as JSON-able values."""
        chosen = self.schedule
        return {
            "architecture": self.architecture,
            "width": self.width,
            "epochs": chosen.epochs,
            "batch_size": chosen.batch_size,
            "lr": chosen.lr,
            "precision": resolved_precision(chosen.precision, device),
        }


@lru_cache(maxsize=4)
def _images(collection: Collection, n: int | None) -> ImageSet:
    return collection.images(n)


@lru_cache(maxsize=4)
def _targets(collection: Collection, n: int | None, of_class: int) -> ImageSet:
    found, train = collection.held_out(), _images(collection, n)
    if found is None or int(found.labels.min()) < 0 or int(train.labels.min()) < 0:
        reject("dataset", collection.name, "one with labels and held-out images")
    chosen = []
    for label in train.labels.unique().tolist():
        own = (found.labels == label).nonzero().flatten()
        if len(own) < of_class:
            name = train.class_names[label]
            reject("targets_of_class", of_class, f"at most {len(own)}, the held-out images of the class {name!r}")
        order = torch.randperm(len(own), generator=torch.Generator().manual_seed(label))
        chosen.append(own[order[:of_class]].sort().values)
    return found.subset(torch.cat(chosen))


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return by how much the logit of each image's class is above the highest other one.

    Parameters
    ----------
    logits : Tensor
        …×T×C.
    labels : Tensor
        int64, T.

    Returns
    -------
    Tensor
        …×T; positive where the image is classified as its label says. The output that Datamodels and LDS are about.

    Examples
    --------
    >>> margins(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([1]))
    tensor([-2.])
    """
    own = labels.expand(logits.shape[:-1])[..., None]
    others = logits.scatter(-1, own, -torch.inf)
    return logits.gather(-1, own)[..., 0] - others.amax(-1)


@dataclass(frozen=True)
class Counterfactual:
    """A training without some of the images, or with other labels for some, and what it says of the targets.

    Attributes
    ----------
    recipe : ClassifierRecipe
        What is trained.
    left_out : tuple of int
        Ids of images that are left out.
    relabelled : tuple of int
        Ids of images that get another label.
    label : int
        That label; not used where there are none.
    seed : int
        Of the training.

    Examples
    --------
    >>> margins(Counterfactual(recipe, left_out=(0, 3)).run(), recipe.targets().labels)
    """

    recipe: ClassifierRecipe
    left_out: tuple[int, ...] = ()
    relabelled: tuple[int, ...] = ()
    label: int = -1
    seed: int = field(default=0)

    def images(self) -> ImageSet:
        """Return the images that are trained on.

        Raises
        ------
        InputError
            If an id is none of the recipe's, or the label none of its classes.
        """
        every = self.recipe.images()
        out, changed = (_known(name, ids, every) for name, ids in self._asked)
        if self.relabelled:
            label = check_integer("label", self.label, 0, len(every.class_names) - 1)
            every = replace(every, labels=torch.where(torch.isin(every.ids, changed), label, every.labels))
        return every.subset(~torch.isin(every.ids, out)) if self.left_out else every

    @property
    def _asked(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return ("left_out", self.left_out), ("relabelled", self.relabelled)

    def stored(self, device: str = "auto") -> Path | None:
        """Return the folder of the stored result, or None where there is none."""
        return store.find(self._settings(device))

    def run(self, place: str = "artifacts", device: str = "auto") -> Tensor:
        """Return the logits of the targets, float32, T×C, from the stored results where they are there.

        Parameters
        ----------
        place : {"artifacts", "results"}
            Where a new result is stored.
        device : str
            ``"auto"`` or a torch device.

        Raises
        ------
        InputError
            If a value is not allowed, or fewer images are left than are in a batch.
        """
        found = store.get(self._settings(device), lambda: {"logits": {"values": self._logits(device)}}, place)
        return found["logits"]["values"]

    def model(self, device: str = "auto") -> Classifier:
        """Return the classifier, trained anew: none is stored."""
        recipe = self.recipe
        return train_classifier(self.images(), recipe.architecture, recipe.width, recipe.schedule, self.seed, device)

    def _logits(self, device: str) -> Tensor:
        return embed(self.model(device), self.recipe.targets(), device=device)

    def _settings(self, device: str) -> dict[str, Any]:
        return {
            "kind": "counterfactual",
            "name": self.recipe.name,
            "images": self.images().describe(),
            "targets": self.recipe.targets().describe(),
            "seed": check_integer("seed", self.seed, least=0),
            **self.recipe.describe(device),
            **store.revision(REVISION),
        }


def _known(name: str, ids: tuple[int, ...], every: ImageSet) -> Tensor:
    """Return ids as a tensor; an id that no image has is refused."""
    asked = torch.tensor(ids, dtype=torch.int64)
    if len(unknown := asked[~torch.isin(asked, every.ids)]):
        raise InputError(f"{name} has the id {int(unknown[0])}, but no image of the recipe has it.")
    return asked
