"""The effect of copies with encoders of a recipe: trained once, stored as a table."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
from torch import nn

from influence_lib import influence, store
from influence_lib.data import ImageSet
from influence_lib.errors import check_integer
from influence_lib.influence import GaussianNoise, Perturbation, Scores
from influence_lib.pretrain import Recipe
from influence_lib.studies.duplicates.copies import copy_changes, plan_copies

__all__ = ["CopyExperiment"]

REVISION = 1  # see `store.revision`


@dataclass(frozen=True)
class CopyExperiment:
    """What `copy_changes` takes, with encoders of a recipe, and the scores EK-FAC, squared gradient norm and raw loss.

    Parameters
    ----------
    recipe : Recipe
        Of the encoders without copies; its seed is the first.
    copies, each, trainings
        Those of `copy_changes`.
    perturbation : Perturbation
        Of the scores. A copy has an id of its own, and with it noise of its own.
    draws : int
        Independent perturbations of each image.
    factor_pairs : int, optional
        Pairs of views on which the curvature is fitted, copies among them; None is all.

    Examples
    --------
    >>> recipe = pretrain.Recipe("simclr", "controlled", n=50, width=2, epochs=1, batch_size=50, precision="fp32")
    >>> changes = CopyExperiment(recipe, copies=(1, 2), each=4, trainings=2, draws=2).changes()
    >>> copy_effects(changes)
    """

    recipe: Recipe
    copies: tuple[int, ...] = (1, 2, 4, 8)
    each: int = 10
    trainings: int = 5
    perturbation: Perturbation = GaussianNoise(0.05, 0.2)  # noqa: RUF009 - frozen
    draws: int = 4
    factor_pairs: int | None = None

    def changes(self, place: str = "artifacts", device: str = "auto", progress: bool = True) -> pd.DataFrame:
        """Return the table of `copy_changes`, computed first if it is not among the stored results.

        Parameters
        ----------
        place : {"artifacts", "results"}
            Where a new table is stored. The encoders, two a training, are kept among the artifacts.
        device : str
            ``"auto"`` or a torch device.
        progress : bool
            Whether to show progress bars.

        Raises
        ------
        InputError
            If a value is not allowed.
        """
        images = self.recipe.images()
        plan_copies(images, self.copies, self.each)  # wrong numbers are told of before a training
        check_integer("trainings", self.trainings)

        def train(own: ImageSet, seed: int) -> nn.Module:
            return replace(self.recipe, seed=seed).encoder("artifacts", device, progress, own)

        def compute() -> dict[str, pd.DataFrame]:
            numbers = (self.copies, self.each, self.trainings, self.recipe.seed)
            return {"changes": copy_changes(images, train, self._scores(device, progress), *numbers)}

        found: pd.DataFrame = store.get(self._settings(device), compute, place)["changes"]
        return found

    def _scores(self, device: str, progress: bool) -> dict[str, Callable[[nn.Module, ImageSet], Scores]]:
        shared: dict[str, Any] = {"perturbation": self.perturbation, "draws": self.draws}
        shared |= {"device": device, "progress": progress}
        own = partial(influence.self_influence, **shared)
        return {
            "EK-FAC": partial(own, factor_pairs=self.factor_pairs),
            "gradient norm": partial(own, curvature="identity"),
            "raw loss": partial(influence.raw_loss, **shared),
        }

    def _settings(self, device: str) -> dict[str, Any]:
        training = self.recipe.described(device=device)
        return {
            "kind": "copies",
            "name": training.pop("name"),
            "training": {key: value for key, value in training.items() if key != "kind"},
            "copies": list(self.copies),
            "each": self.each,
            "trainings": self.trainings,
            "perturbation": self.perturbation.describe(),
            "draws": self.draws,
            "factor_pairs": self.factor_pairs,
            **store.revision(REVISION),
        }
