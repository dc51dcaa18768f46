"""Trials: short trainings with something changed, judged on training images that they do not see."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.pretrain.augment import AugmentationSettings
from influence_lib.pretrain.evaluate import knn_accuracy
from influence_lib.pretrain.loop import pretrain
from influence_lib.pretrain.methods import METHODS
from influence_lib.pretrain.recipes import Recipe
from influence_lib.pretrain.scaling import scaled_hyper
from influence_lib.pretrain.stored import described

__all__ = ["Trial", "trials"]

AS_TRAINED = "as trained here"
REVISION = 1  # of how a trial is judged; see `store.revision`
WEAK = AugmentationSettings(min_scale=0.3, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
ENDS = ("loss", "spread", "effective_rank")


@dataclass(frozen=True)
class Trial:
    """A training of a recipe with something changed.

    Parameters
    ----------
    recipe : Recipe
        What is trained otherwise, on `n` images. As many others of the same set judge it.
    hyper : mapping of str to float
        Hyper-parameter → its value in place of that of `scaled_hyper`.
    augmentation : AugmentationSettings, optional
        In place of the papers'.

    Examples
    --------
    >>> recipe = Recipe("byol", "controlled", n=40, width=2, epochs=1, batch_size=20, precision="fp32")
    >>> Trial(recipe, {"lr": 1.0}).run()["knn"].value
    """

    recipe: Recipe
    hyper: Mapping[str, float] = field(default_factory=dict)
    augmentation: AugmentationSettings | None = None

    def run(self, place: str = "artifacts", device: str = "auto", progress: bool = True) -> dict[str, Any]:
        """Return how the training ended, from the stored results where it is there.

        Parameters
        ----------
        place : {"artifacts", "results"}
            Where a new result is stored; the encoder is not kept.
        device : str
            ``"auto"`` or a torch device.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        dict
            ``"knn"``, an Estimate of the accuracy by nearest neighbours on the images that judge it, in [0, 1] and with
            the interval over these images, and ``loss``, ``spread`` and ``effective_rank`` of the last epoch.

        Raises
        ------
        InputError
            If the set has no other images, or a value is not allowed.
        """
        images, judges = self.recipe.images(), self.judges()
        arguments = self.recipe.arguments(images, device) | dict(self.hyper) | {"augmentation": self.augmentation}
        settings, training = described(images, **arguments | {"name": f"{self.recipe.name}-trial"})
        settings |= {"kind": "trial", "judged_on": judges.describe()} | store.revision(REVISION)

        def compute() -> dict[str, Any]:
            trained = {key: value for key, value in arguments.items() if key != "name"}
            encoder = pretrain(images, checkpoint=training, progress=progress, **trained)
            knn = knn_accuracy(encoder, images, judges, device=device)
            return {"knn": knn.describe(), **{end: encoder.history[-1][end] for end in ENDS}}

        found = store.get(settings, compute, place)
        shutil.rmtree(training, ignore_errors=True)
        return {**found, "knn": Estimate(**found["knn"])}

    def judges(self) -> ImageSet:
        """Return the images that judge a trial: training images of the set that are not trained on.

        Not the held-out images: what is chosen by trials would then be chosen on what accuracies are measured on.

        Raises
        ------
        InputError
            If the set has no such images.
        """
        images = self.recipe.images()
        more = self.recipe.collection.images(2 * len(images))
        others = more.subset(~torch.isin(more.ids, images.ids))
        if not len(others):
            raise InputError(
                f"n is {len(images)}, but trials are judged on other images of the set: it must be smaller."
            )
        return others


def trials(recipe: Recipe) -> dict[str, Trial]:
    """Return what is tried for a method: all as it is trained here, other rates, a weaker augmentation, and its own.

    A method whose rate goes with the fourth root of the number of steps is tried with the papers' rate and with one
    that goes with the square root, any other with twice and half the rate. `Method.TRIED` has what is its own.

    Parameters
    ----------
    recipe : Recipe
        Method, images and length of the trials.

    Returns
    -------
    dict of str to Trial
        What is changed → trial; ``"as trained here"`` is the first.

    Raises
    ------
    InputError
        If `scaled_hyper` refuses the recipe's size.

    Examples
    --------
    >>> list(trials(Recipe("byol", "controlled", n=40, width=2, epochs=1, batch_size=20)))[:2]
    ['as trained here', "the papers' rate"]
    """
    method = METHODS[recipe.method]
    scaled = scaled_hyper(recipe.method, recipe.width, len(recipe.images()), recipe.epochs, recipe.batch_size)
    papers, here = method.DEFAULTS["lr"], scaled["lr"]
    rates = {"twice the rate": 2 * here, "half the rate": here / 2}
    if "lr" in method.SCALED:
        rates = {"the papers' rate": papers, "rate by the square root of steps": here**2 / papers}
    changed: dict[str, dict[str, float]] = {name: {"lr": rate} for name, rate in rates.items()}
    for name, factors in method.TRIED.items():
        changed[name] = {key: type(scaled[key])(scaled[key] * factor) for key, factor in factors.items()}
    found = {AS_TRAINED: Trial(recipe)}
    found |= {name: Trial(recipe, hyper) for name, hyper in changed.items()}
    return found | {"a weaker augmentation": Trial(recipe, augmentation=WEAK)}
