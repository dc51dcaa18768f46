"""One training without some of the images, and what it is worth: a stored result."""

import shutil
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.errors import InputError, check_choice
from influence_lib.estimate import Estimate
from influence_lib.influence import GaussianNoise, raw_loss
from influence_lib.pretrain import Recipe, both_accuracies, pretrain
from influence_lib.pretrain.checkpoints import epochs_kept
from influence_lib.pretrain.stored import described
from influence_lib.studies.removal.arms import Arm

__all__ = ["LENGTHS", "Retraining"]

LENGTHS = ("steps", "epochs")
ENDS = ("loss", "spread", "effective_rank")  # of the last epoch
NOISE, DRAWS = GaussianNoise(0.05, 0.2), 2  # of the losses
REVISION = 1  # of how a retraining is judged; see `store.revision`


@lru_cache(maxsize=4)
def _every_image(recipe: Recipe) -> ImageSet:
    """Return a recipe's images, which the trainings of a sweep have in common."""
    return recipe.images()


@dataclass(frozen=True)
class Retraining:
    """A training of a recipe from scratch, with some of its images left out.

    Attributes
    ----------
    recipe : Recipe
        What is trained otherwise; its seed is that of this training.
    left_out : tuple of int
        Ids of the images that are left out.
    length : {"steps", "epochs"}
        What stays equal to a training on all images: the number of steps, so that fewer images are seen more often, or
        the number of epochs, so that the encoder takes fewer steps.
    arm : Arm
        Why these images; stored with the result, which it does not identify.
    ranked_by : str
        The method whose encoder ranks the images, where the arm has a ranking; as `arm`.

    Examples
    --------
    >>> recipe = Recipe("simclr", "controlled", n=50, width=2, epochs=2, batch_size=10, precision="fp32")
    >>> Retraining(recipe, (0, 1, 2)).run()["knn"].value
    """

    recipe: Recipe
    left_out: tuple[int, ...] = ()
    length: str = "steps"
    arm: Arm = field(default=Arm(), compare=False)
    ranked_by: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_choice("length", self.length, LENGTHS)

    def images(self) -> ImageSet:
        """Return the images that are trained on.

        Raises
        ------
        InputError
            If an id is none of the recipe's, or fewer images are left than are in a batch.
        """
        every = _every_image(replace(self.recipe, seed=0))
        out = torch.tensor(self.left_out, dtype=torch.int64)
        if len(unknown := out[~torch.isin(out, every.ids)]):
            raise InputError(f"left_out has the id {int(unknown[0])}, but no image of the recipe has it.")
        kept = every.subset(~torch.isin(every.ids, out))
        if len(kept) < self.recipe.batch_size:
            raise InputError(
                f"left_out has {len(out):,} of {len(every):,} images: fewer are kept than are in a batch,"
                f" {self.recipe.batch_size}."
            )
        return kept

    @property
    def epochs(self) -> int:
        """Passes over the images that are kept."""
        if self.length == "epochs":
            return self.recipe.epochs
        every = len(_every_image(replace(self.recipe, seed=0)))
        return round(self.recipe.epochs * self._batches(every) / self._batches(every - len(self.left_out)))

    @property
    def steps(self) -> int:
        """Batches in all epochs."""
        every = len(_every_image(replace(self.recipe, seed=0)))
        return self.epochs * self._batches(every - len(self.left_out))

    def _batches(self, images: int) -> int:
        """Return the batches of an epoch."""
        return images // self.recipe.batch_size

    def stored(self, device: str = "auto") -> Path | None:
        """Return the folder of the stored result, or None where there is none."""
        return store.find(self._described(device)[0])

    def epochs_done(self, device: str = "auto") -> int:
        """Return after how many epochs an interrupted training would go on."""
        return epochs_kept(self.training(device))

    def training(self, device: str = "auto") -> Path:
        """Return the folder in which the training is kept until it is done."""
        return self._described(device)[1]

    def run(self, place: str = "artifacts", device: str = "auto", progress: bool = False) -> dict[str, Any]:
        """Return what the training is worth, from the stored results where it is there.

        An interrupted one goes on after its last epoch that was kept. The encoder is not stored.

        Parameters
        ----------
        place : {"artifacts", "results"}
            Where a new result is stored.
        device : str
            ``"auto"`` or a torch device.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        dict
            ``"knn"`` and ``"linear"``: Estimates of the accuracy on all held-out images, in [0, 1], their intervals
            over these images. What they learn from are the recipe's `reference` images, those that were left out among
            them, so that arms differ in the representation alone. ``"losses"``: a tensor, float32, of the raw loss of
            every image of the recipe, those that were left out among them, under the papers' noise, which is the same
            in all trainings. And ``steps``, and ``loss``, ``spread`` and ``effective_rank`` of the last epoch.

        Raises
        ------
        InputError
            If a value is not allowed.
        """
        settings, training = self._described(device)

        def compute() -> dict[str, Any]:
            images = self.images()
            encoder = pretrain(images, checkpoint=training, progress=progress, **self._arguments(images, device))
            train, test = self.recipe.reference(), self.recipe.held_out()
            losses = raw_loss(encoder, self.recipe.images(), NOISE, draws=DRAWS, device=device, progress=False)
            return {
                "losses": {"values": losses.values},
                **{name: each.describe() for name, each in both_accuracies(encoder, train, test, device).items()},
                "steps": self.steps,
                "arm": asdict(self.arm),
                "asked": {
                    "recipe": replace(self.recipe, seed=0).name,
                    "ranked_by": self.ranked_by if self.arm.by else "",
                    "length": self.length,
                },
                "ends": {name: encoder.history[-1][name] for name in ENDS},
            }

        found = store.get(settings, compute, place)
        shutil.rmtree(training, ignore_errors=True)
        estimates = {name: Estimate(**found[name]) for name in ("knn", "linear")}
        return {**estimates, "losses": found["losses"]["values"], "steps": found["steps"], **found["ends"]}

    def _arguments(self, images: ImageSet, device: str) -> dict[str, Any]:
        """Return the arguments of `pretrain`."""
        arguments = replace(self.recipe, epochs=self.epochs).arguments(images, device)
        return {name: value for name, value in arguments.items() if name not in ("name", "stop_at")}

    def _described(self, device: str) -> tuple[dict[str, Any], Path]:
        """Return the settings that identify the result, and the folder in which the training is kept until then."""
        images, name = self.images(), f"{self.recipe.name}-{self.arm.label}"
        settings, training = described(images, name, **self._arguments(images, device))
        settings |= {
            "kind": "retraining",
            "measured_with": self.recipe.reference().describe(),
            "measured_on": self.recipe.held_out().describe(),
            **store.revision(REVISION),
        }
        # a folder of its own: an encoder with these settings, once stored, removes the one that it was trained in
        return settings, training.with_name(store.digest(settings)[:10])
