"""Trainings on drawn images with known backgrounds, without some of them, stored as tables."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from influence_lib import influence, store
from influence_lib.data import ImageSet, load
from influence_lib.errors import InputError, check_choice, check_integer, check_number
from influence_lib.estimate import Estimate
from influence_lib.influence import GaussianNoise, Perturbation, Scores
from influence_lib.pretrain import Encoder, Recipe, embed, knn_accuracy, stored_untrained
from influence_lib.studies.bridges.backgrounds import UNIFORM, background_of, repainted
from influence_lib.studies.bridges.links import links, links_against_score
from influence_lib.studies.removal import as_many_of_each_class

__all__ = ["ARMS", "MIXED", "BridgeExperiment"]

ARMS = ("nothing", "highest uniform", "lowest uniform", "random uniform", "random, same classes")
"""What is left out; the last has the classes of the highest uniform ones."""
MIXED = 0.5  # the part of uniform backgrounds where images are removed, and in the images that are judged
REVISION = 1  # see `store.revision`


@dataclass(frozen=True)
class BridgeExperiment:
    """What uniform backgrounds do to the links between classes, and what removal of such images does.

    All is judged on test images of which half have a uniform background, by `links`.

    Parameters
    ----------
    recipe : Recipe
        Of the encoders, on ``controlled``; its seed is the first.
    uniform : tuple of float
        Parts of training images with a uniform background, a training of each part and seed.
    amount : float
        The part of training images that is removed, in (0, 1/2).
    trainings : int
        Of each part and each arm.
    k : int
        Neighbours that count as links.
    perturbation : Perturbation
        Of the scores.
    draws : int
        Independent perturbations of each image.
    factor_pairs : int, optional
        Pairs of views on which the curvature is fitted; None is all.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> recipe = pretrain.Recipe("simclr", "controlled", n=50, width=2, epochs=1, batch_size=10, precision="fp32")
    >>> experiment = BridgeExperiment(recipe, uniform=(0.0, 1.0), amount=0.2, trainings=2)
    >>> experiment.by_part().groupby("uniform")["bridges"].mean()
    """

    recipe: Recipe
    uniform: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    amount: float = 0.15
    trainings: int = 5
    k: int = 10
    perturbation: Perturbation = GaussianNoise(0.05, 0.2)  # noqa: RUF009 - frozen
    draws: int = 2
    factor_pairs: int | None = None

    def __post_init__(self) -> None:
        check_choice("dataset", self.recipe.dataset, ["controlled"])
        check_number("amount", self.amount, above=0)
        if self.amount >= MIXED:
            raise InputError(f"amount is {self.amount:g}, but it must be below {MIXED}, the part that is uniform.")
        check_integer("trainings", self.trainings, 2)
        check_integer("k", self.k)

    def by_part(self, place: str = "artifacts", device: str = "auto", progress: bool = True) -> pd.DataFrame:
        """Return the outcomes of trainings on images with more and more uniform backgrounds.

        Parameters
        ----------
        place : {"artifacts", "results"}
            Where a new table is stored. The encoders are kept among the artifacts.
        device : str
            ``"auto"`` or a torch device.
        progress : bool
            Whether to show progress bars.

        Returns
        -------
        DataFrame
            A row for each part and training: ``uniform``, ``training`` (its seed), ``bridges``, ``other links``,
            ``accuracy``, all in [0, 1].
        """

        def rows() -> list[dict[str, Any]]:
            return [
                {"uniform": part, "training": seed}
                | self._outcomes(self._encoder(self._painted(part), seed, device, progress), device)
                for part in self.uniform
                for seed in self._seeds
            ]

        return self._table("parts", {"uniform": list(self.uniform)}, rows, place, device)

    def removal(self, place: str = "artifacts", device: str = "auto", progress: bool = True) -> pd.DataFrame:
        """Return the outcomes of trainings without some of the images; parameters as in `by_part`.

        Every training is ranked by the EK-FAC scores of the encoder of its seed that has seen all images, and takes as
        many steps as that one.

        Returns
        -------
        DataFrame
            A row for each arm and training: ``arm``, ``training``, ``removed`` images, and the outcomes.
        """

        def rows() -> list[dict[str, Any]]:
            images = self._painted(MIXED)
            return [
                {"arm": arm, "training": seed, "removed": len(removed)}
                | self._outcomes(self._encoder(_without(images, removed), seed, device, progress), device)
                for seed in self._seeds
                for arm, removed in self._removed(images, self._scores(images, seed, device, progress), seed).items()
            ]

        return self._table("removal", {"amount": self.amount} | self._scored, rows, place, device)

    def mediation(self, place: str = "artifacts", device: str = "auto", progress: bool = True) -> pd.DataFrame:
        """Return how far the scores of training images go with their links; parameters as in `by_part`.

        Returns
        -------
        DataFrame
            A row for each training: ``training``, and of `links_against_score` ``overall`` and ``within backgrounds``.
        """

        def rows() -> list[dict[str, Any]]:
            images = self._painted(MIXED)
            backgrounds = background_of(images).tolist()
            found = []
            for seed in self._seeds:
                features = embed(self._encoder(images, seed, device, progress), images, device=device)
                own = links(features, images.labels, backgrounds, self.k, device)
                scores = self._scores(images, seed, device, progress)
                found.append({"training": seed} | links_against_score(own, scores, backgrounds))
            return found

        return self._table("mediation", self._scored, rows, place, device)

    def controls(self, place: str = "artifacts", device: str = "auto", progress: bool = True) -> dict[str, Estimate]:
        """Return the kNN accuracy of the first encoder and of its two controls; parameters as in `by_part`.

        Returns
        -------
        dict of str to Estimate
            ``"own"``, ``"random weights"`` and ``"supervised"``, trained on the same images; the intervals are over
            test images. `studies.has_learned` says of them whether the encoder has learned.
        """
        images, test = self._painted(MIXED), _repainted(None, MIXED, "test")

        def rows() -> list[dict[str, Any]]:
            seed, supervised = self.recipe.seed, replace(self.recipe, method="supervised")
            encoders = {
                "own": self._encoder(images, seed, device, progress),
                "random weights": stored_untrained(self.recipe.width, seed),
                "supervised": supervised.encoder("artifacts", device, progress, images),
            }
            return [
                {"encoder": name} | knn_accuracy(encoder, images, test, device=device).describe()
                for name, encoder in encoders.items()
            ]

        found = self._table("controls", {}, rows, place, device).set_index("encoder")
        return {str(name): Estimate(**row) for name, row in found.to_dict("index").items()}

    @property
    def _seeds(self) -> range:
        return range(self.recipe.seed, self.recipe.seed + self.trainings)

    @property
    def _scored(self) -> dict[str, Any]:
        return {
            "perturbation": self.perturbation.describe(),
            "draws": self.draws,
            "factor_pairs": self.factor_pairs,
        }

    def _painted(self, part: float) -> ImageSet:
        return _repainted(self.recipe.n, part, "train")

    def _encoder(self, images: ImageSet, seed: int, device: str, progress: bool) -> Encoder:
        """Return the encoder of some of the images, after as many steps as one of all takes."""
        size = self.recipe.batch_size
        batches = len(self._painted(MIXED)) // size
        epochs = round(self.recipe.epochs * batches / (len(images) // size))
        return replace(self.recipe, seed=seed, epochs=epochs).encoder("artifacts", device, progress, images)

    def _scores(self, images: ImageSet, seed: int, device: str, progress: bool) -> Scores:
        return influence.self_influence(
            self._encoder(images, seed, device, progress),
            images,
            perturbation=self.perturbation,
            draws=self.draws,
            factor_pairs=self.factor_pairs,
            device=device,
            progress=progress,
        )

    def _removed(self, images: ImageSet, scores: Scores, seed: int) -> dict[str, Tensor]:
        """Return the positions of what each arm leaves out."""
        n, rng = round(self.amount * len(images)), np.random.default_rng(seed)
        uniform = torch.from_numpy(np.flatnonzero(background_of(images).isin(UNIFORM)))
        order = uniform[scores.values[uniform].argsort(stable=True)]
        highest = order.flip(0)[:n]
        same = as_many_of_each_class(images, highest.numpy(), rng)
        drawn = rng.permutation(uniform.numpy())[:n]
        removed = (
            torch.tensor([], dtype=torch.int64),
            highest,
            order[:n],
            torch.from_numpy(drawn),
            torch.from_numpy(same),
        )
        return dict(zip(ARMS, removed, strict=True))

    def _outcomes(self, encoder: Encoder, device: str) -> dict[str, float]:
        test = _repainted(None, MIXED, "test")
        features = embed(encoder, test, device=device)
        found = links(features, test.labels, background_of(test).tolist(), self.k, device).mean()
        accuracy = knn_accuracy(encoder, self._painted(MIXED), test, device=device).value
        return {"bridges": found["bridges"], "other links": found["other links"], "accuracy": accuracy}

    def _table(
        self, what: str, changed: dict[str, Any], rows: Callable[[], list[dict[str, Any]]], place: str, device: str
    ) -> pd.DataFrame:
        """Return a stored table, computed first if it is not there."""
        training = self.recipe.described(device=device)
        settings = {
            "kind": "bridges",
            "name": f"{what}-{training.pop('name')}",
            "what": what,
            "training": {key: value for key, value in training.items() if key != "kind"},
            "trainings": self.trainings,
            "k": self.k,
            **changed,
            **store.revision(REVISION),
        }
        found: pd.DataFrame = store.get(settings, lambda: {"table": pd.DataFrame(rows())}, place)["table"]
        return found


@lru_cache(maxsize=8)
def _repainted(n: int | None, part: float, split: str) -> ImageSet:
    return repainted(load("controlled", split=split, n=n), part)


def _without(images: ImageSet, removed: Tensor) -> ImageSet:
    return images.subset(~torch.isin(torch.arange(len(images)), removed))
