"""Recipes: the encoders that ship with the book, and everything that it takes to make them again."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from influence_lib import store
from influence_lib.data import Collection, ImageSet
from influence_lib.errors import reject
from influence_lib.estimate import Estimate
from influence_lib.pretrain.checkpoints import epochs_kept
from influence_lib.pretrain.encoders import Encoder
from influence_lib.pretrain.evaluate import both_accuracies
from influence_lib.pretrain.identity import fingerprint
from influence_lib.pretrain.scaling import scaled_hyper
from influence_lib.pretrain.stored import described, stored_encoder

__all__ = ["SHIPPED", "Recipe", "shipped"]

ACCURACY_REVISION = 1  # see `store.revision`
SMALL = {"fairface": 7000}  # training images of the small encoders, where they are not 5,000


@dataclass(frozen=True)
class Recipe:
    """An encoder by what it is made from; hyper-parameters are those of `scaled_hyper`.

    Parameters
    ----------
    method, dataset : str
        What is optimised, and on which image set.
    n : int, optional
        Number of training images, balanced over the classes, of a folder at most; None for all.
    width, epochs, batch_size, seed : int
        Those of `pretrain`. The images do not change with the seed. Of a folder with fewer images than a batch all are
        in one.
    stop_at : int, optional
        The epoch after which the training stops, for an encoder along its training.
    precision : str
        Of the training.
    size, folder, damaged
        Those of `data.Collection`: the side that larger images are resized to, and where images of one's own are.

    Examples
    --------
    >>> Recipe("byol", "controlled", n=200, width=4, epochs=5, batch_size=50, precision="fp32").encoder()
    """

    method: str
    dataset: str
    n: int | None = 5000
    width: int = 16
    epochs: int = 60
    batch_size: int = 256
    seed: int = 0
    stop_at: int | None = None
    precision: str = "bf16"
    size: int = 32
    folder: str = ""
    damaged: str = "error"

    @property
    def name(self) -> str:
        """The name by which `load_checkpoint` finds the encoder, as in ``simclr-cifar10-50k-seed1``.

        Thousands of images are named where there are more than the small encoders have.
        """
        many = f"-{self.n / 1000:g}k" if self.n is not None and self.n > SMALL.get(self.dataset, 5000) else ""
        seed = f"-seed{self.seed}" if self.seed else ""
        return f"{self.method}-{self.dataset}{many}{seed}" + (f"-epoch{self.stop_at}" if self.stop_at else "")

    @property
    def collection(self) -> Collection:
        """Where the images come from."""
        return Collection(self.dataset, self.folder, self.size, self.damaged)

    def images(self) -> ImageSet:
        """Return the training images."""
        return self.collection.images(self.n)

    def reference(self) -> ImageSet:
        """Return the labelled images that accuracies rest on: as many for all encoders of an image set."""
        most = SMALL.get(self.dataset, 5000)
        return self.collection.images(most if self.n is None else min(self.n, most))

    def measurable(self) -> bool:
        """Return whether there are labelled images of two classes or more, and others held out, for an accuracy."""
        if not self.folder:
            return True
        train, test = self.reference().labels, self.collection.held_out()
        return test is not None and min(int(train.min()), int(test.labels.min())) >= 0 and len(train.unique()) > 1

    def held_out(self) -> ImageSet:
        """Return the images for the accuracy: all of the test split, or of fairface's val.

        Raises
        ------
        InputError
            If there are none that are labelled, as in a folder of one class.
        """
        found = self.collection.held_out()
        if found is None or not self.measurable():
            allowed = "one with folders train and test, each with a subfolder of images for every class"
            reject("folder", self.folder, f"{allowed}, where accuracies are measured")
        return found

    def encoder(
        self,
        place: str = "artifacts",
        device: str = "auto",
        progress: bool = True,
        images: ImageSet | None = None,
    ) -> Encoder:
        """Return the encoder, trained first if it is not among the stored results.

        Other `images` take the place of the recipe's own, such as the same with some of them copied.
        """
        own = self.images() if images is None else images
        training = self.arguments(own, device) | ({} if images is None else {"name": f"{self.name}-changed"})
        return stored_encoder(own, place=place, progress=progress, **training)

    def described(self, images: ImageSet | None = None, device: str = "auto") -> dict[str, Any]:
        """Return the settings that identify the encoder, with all defaults resolved; `images` as in `encoder`."""
        own = self.images() if images is None else images
        return described(own, **self.arguments(own, device))[0]

    def state(self, device: str = "auto") -> tuple[bool, Path, int]:
        """Return whether the encoder and its accuracy are stored, where its training is kept, and its epochs so far."""
        images = self.images()
        settings, training = described(images, **self.arguments(images, device))
        if store.find(settings) is None:
            return False, training, epochs_kept(training)
        encoder = self.encoder(device=device, progress=False)
        return store.find(self._measurement(encoder)) is not None, training, self.stop_at or self.epochs

    def arguments(self, images: ImageSet, device: str = "auto") -> dict[str, Any]:
        """Return the arguments of `stored_encoder` that say what is trained, on these images."""
        batch_size = min(self.batch_size, len(images)) if self.folder else self.batch_size
        return {
            "name": self.name,
            "stop_at": self.stop_at,
            "device": device,
            "method": self.method,
            "width": self.width,
            "epochs": self.epochs,
            "batch_size": batch_size,
            "seed": self.seed,
            "precision": self.precision,
            **scaled_hyper(self.method, self.width, len(images), self.epochs, batch_size),
        }

    def accuracy(self, encoder: Encoder, place: str = "artifacts", device: str = "auto") -> dict[str, Estimate]:
        """Return an encoder's kNN and linear accuracy on this recipe's held-out images, computed once."""
        train, test = self.reference(), self.held_out()

        def compute() -> dict[str, Any]:
            found = both_accuracies(encoder, train, test, device)
            return {name: value.describe() for name, value in found.items()}

        found = store.get(self._measurement(encoder), compute, place)
        return {name: Estimate(**value) for name, value in found.items()}

    def _measurement(self, encoder: Encoder) -> dict[str, Any]:
        """Return the settings that identify the accuracy of an encoder."""
        name = encoder.settings.get("name", self.name)
        return {
            "kind": "accuracy",
            "name": f"{name}-{self.dataset}" if encoder.settings.get("method") == "untrained" else name,
            "encoder": fingerprint(encoder),
            "train": self.reference().describe(),
            "test": self.held_out().describe(),
            **store.revision(ACCURACY_REVISION),
        }


def _small() -> Iterable[Recipe]:
    """Yield the recipes of the small encoders: 5,000 images, about 1,100 steps."""
    cifar10 = partial(Recipe, dataset="cifar10")
    yield from (cifar10("simclr", stop_at=epoch) for epoch in (6, 24, None))
    yield from (cifar10(method) for method in ("byol", "barlow", "supervised", "vicreg", "dino", "moco"))
    yield from (cifar10(method, seed=1) for method in ("simclr", "byol", "barlow"))
    yield from (Recipe(method, "cifar100") for method in ("simclr", "byol", "barlow", "supervised"))
    yield Recipe("byol", "fairface", n=7000)
    yield from (Recipe(method, "cifar100", seed=1) for method in ("simclr", "byol", "barlow"))


def _large() -> Iterable[Recipe]:
    """Yield the recipes of the encoders that are to learn something, what decides most first.

    About 3,900 steps each on CIFAR-10 and -100; three trainings of each method that the papers compare, a method after
    the other, since two trainings decide nothing. They are kept along the way, so that every claim has a trend.
    """
    cifar10 = partial(Recipe, dataset="cifar10", n=50_000, epochs=20)
    cifar100 = partial(Recipe, dataset="cifar100", n=15_000, epochs=67)
    fairface = partial(Recipe, dataset="fairface", n=10_500, epochs=90)
    compared = ("simclr", "byol", "barlow")
    yield from (cifar10("simclr", stop_at=epoch) for epoch in (5, 10, None))
    yield cifar10("supervised")
    yield from (cifar10("simclr", seed=seed, stop_at=epoch) for seed in (1, 2) for epoch in (5, 10, None))
    yield from (
        cifar10(method, seed=seed, stop_at=epoch)
        for method in ("byol", "barlow")
        for seed in (0, 1, 2)
        for epoch in (5, 10, None)
    )
    yield cifar10("supervised", seed=1)
    yield from (cifar10(method) for method in ("vicreg", "dino", "moco"))
    yield from (cifar100(method) for method in (*compared, "supervised"))
    yield from (cifar100(method, seed=seed) for seed in (1, 2) for method in compared)
    yield from (fairface("byol", seed=seed) for seed in (0, 1, 2))
    yield fairface("simclr")


DRAWN = Recipe("simclr", "controlled", n=1000, width=8, epochs=200, batch_size=100, precision="fp32")
"""The encoder of the images that the library draws, for the tour without a network."""

SHIPPED = (DRAWN, *_small(), *_large())
"""The encoders under ``results/``."""


def shipped(name: str) -> Recipe:
    """Return the recipe of an encoder that ships.

    Raises
    ------
    InputError
        If there is none of this name.

    Examples
    --------
    >>> shipped("simclr-cifar10").epochs
    60
    """
    by_name = {recipe.name: recipe for recipe in SHIPPED}
    if name not in by_name:
        reject("name", name, list(by_name))
    return by_name[name]
