"""Trainings on random halves of the images: what LDS, its ceiling and Datamodels are made of."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from influence_lib import store
from influence_lib.errors import check_integer
from influence_lib.studies.attribution.training import ClassifierRecipe, Counterfactual, margins

__all__ = ["Halves"]

REVISION = 1  # of which halves are drawn; see `store.revision`


@dataclass(frozen=True)
class Halves:
    """Trainings on random halves of a recipe's images, some of them several times.

    Attributes
    ----------
    recipe : ClassifierRecipe
        What is trained.
    subsets : int
        Halves; each has a training with a seed of its own.
    repeated : int
        The first of them are trained several times.
    times : int
        How often.

    Raises
    ------
    InputError
        If a number is not allowed.

    Examples
    --------
    >>> halves = Halves(recipe, subsets=4, repeated=2, times=2)
    >>> halves.kept.shape, len(halves.trainings())
    (torch.Size([4, 60]), 6)
    """

    recipe: ClassifierRecipe
    subsets: int
    repeated: int = 0
    times: int = 1

    def __post_init__(self) -> None:
        check_integer("subsets", self.subsets, 2)
        check_integer("repeated", self.repeated, 0, self.subsets, f"a whole number up to subsets, {self.subsets}")
        check_integer("times", self.times)

    @cached_property
    def kept(self) -> Tensor:
        """Boolean, subsets×N: which images are in a half. A half does not depend on how many there are."""
        n = len(self.recipe.images())
        kept = torch.zeros(self.subsets, n, dtype=torch.bool)
        for subset in range(self.subsets):
            chosen = np.random.default_rng([subset, n]).permutation(n)[: n // 2]
            kept[subset, torch.from_numpy(chosen)] = True
        return kept

    def training(self, subset: int, time: int = 0) -> Counterfactual:
        """Return the training on a half, or one of its repetitions."""
        left_out = self.recipe.images().ids[~self.kept[subset]]
        return Counterfactual(self.recipe, tuple(left_out.tolist()), seed=subset * self.times + time)

    def trainings(self) -> list[Counterfactual]:
        """Return all trainings: one of each half first, then the repetitions."""
        again = [(subset, time) for time in range(1, self.times) for subset in range(self.repeated)]
        return [self.training(subset, time) for subset, time in [*((s, 0) for s in range(self.subsets)), *again]]

    def stored(self, device: str = "auto") -> Path | None:
        """Return the folder of all logits, or None where they are not stored together."""
        return store.find(self._settings(device))

    def logits(self, place: str = "artifacts", device: str = "auto") -> Tensor:
        """Return the logits of the targets, float32, trainings×T×C, in the order of `trainings`.

        Parameters
        ----------
        place : {"artifacts", "results"}
            Where they are stored together. The trainings one by one stay among the artifacts.
        device : str
            ``"auto"`` or a torch device.
        """

        def compute() -> dict[str, Any]:
            return {"logits": {"values": torch.stack([each.run("artifacts", device) for each in self.trainings()])}}

        return store.get(self._settings(device), compute, place)["logits"]["values"]

    def outputs(self, place: str = "artifacts", device: str = "auto") -> Tensor:
        """Return the margins of the targets, float32, subsets×T; the parameters are those of `logits`."""
        return self._margins(place, device)[: self.subsets]

    def repetitions(self, place: str = "artifacts", device: str = "auto") -> Tensor:
        """Return the margins of the halves that were trained several times, float32, repeated×times×T."""
        found = self._margins(place, device)
        again = found[self.subsets :].unflatten(0, (self.times - 1, self.repeated)) if self.times > 1 else found[:0]
        first = found[: self.repeated][None]
        return (torch.cat([first, again]) if self.times > 1 else first).transpose(0, 1)

    def _margins(self, place: str, device: str) -> Tensor:
        return margins(self.logits(place, device), self.recipe.targets().labels)

    def _settings(self, device: str) -> dict[str, Any]:
        return {
            "kind": "halves",
            "name": self.recipe.name,
            "images": self.recipe.images().describe(),
            "targets": self.recipe.targets().describe(),
            "subsets": self.subsets,
            "repeated": self.repeated,
            "times": self.times,
            **self.recipe.describe(device),
            **store.revision(REVISION),
        }
