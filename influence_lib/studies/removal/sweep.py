"""The sweep: trainings without some of the images, over arms and seeds, each a stored result."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import pandas as pd

from influence_lib import influence, store
from influence_lib.errors import check_choice, check_integer, reject
from influence_lib.influence import GaussianNoise, Perturbation, Scores
from influence_lib.pretrain import METHODS, Encoder, Recipe
from influence_lib.studies.removal.arms import Arm
from influence_lib.studies.removal.retraining import Retraining
from influence_lib.studies.scorer import Scorer

__all__ = ["COLUMNS", "RANKINGS", "Sweep"]

COLUMNS = ("method", "ranked by", "amount", "left out", "length", "training")
REST = ("loss", "effective_rank", "steps")
VARIANTS: dict[str, dict[str, str]] = {
    "EK-FAC of two views": {"views": "two"},
    "EK-FAC of MSE": {"loss": "mse"},
    "EK-FAC of SimCLR's loss": {"loss": "ntxent"},
}
RANKINGS: dict[str, Any] = {
    **dict.fromkeys(("EK-FAC", *VARIANTS), influence.self_influence),
    "raw loss": influence.raw_loss,
    "JPEG size": influence.statistic_scores,
}
"""Rankings by which images can be left out, and what computes them; the last is of the pixels alone."""


@dataclass(frozen=True)
class Sweep:
    """Trainings of one recipe without some of its images, several of each arm.

    Attributes
    ----------
    recipe : Recipe
        What is trained; its seed is that of the first training.
    arms : tuple of Arm
        What is left out, an arm after the other.
    trainings : int
        Of each arm. Those with one seed are compared with each other.
    scored_by : Recipe
        Of the encoder that ranks the images, trained on all of them. Often the same as `recipe`.
    length : {"steps", "epochs"}
        That of `Retraining`.
    noise : Perturbation
        Of the scores.
    draws : int
        Independent perturbations of each image.
    factor_pairs : int, optional
        Pairs of views on which the curvature is fitted; None is all.

    Raises
    ------
    InputError
        If a value is not allowed, or the encoder that ranks has other images.

    Examples
    --------
    >>> recipe = Recipe("simclr", "controlled", n=50, width=2, epochs=1, batch_size=10, precision="fp32")
    >>> sweep = Sweep(recipe, arms(("raw loss",), (0.2,)), trainings=2, scored_by=recipe)
    >>> len(sweep.retrainings())
    8
    """

    recipe: Recipe
    arms: tuple[Arm, ...]
    trainings: int
    scored_by: Recipe
    length: str = "steps"
    noise: Perturbation = GaussianNoise(0.05, 0.2)  # noqa: RUF009 - frozen
    draws: int = 2
    factor_pairs: int | None = None

    def __post_init__(self) -> None:
        check_integer("trainings", self.trainings)
        for arm in self.arms:
            if arm.by:
                check_choice("by", arm.by, list(RANKINGS))
        if self.scored_by.collection != self.recipe.collection or self.scored_by.n != self.recipe.n:
            reject("scored_by", self.scored_by.name, "a recipe with the same images")

    @property
    def name(self) -> str:
        """The method that is trained and, where it is another, the one whose scores rank the images."""
        trained, ranks = (METHODS[recipe.method].TITLE for recipe in (self.recipe, self.scored_by))
        named = trained if trained == ranks else f"{trained}, ranked by {ranks}"
        return f"{named} by tenths" if any(arm.tenth for arm in self.arms) else named

    def rankings(self, place: str = "artifacts", device: str = "auto") -> dict[str, Scores]:
        """Return the scores that the arms need, from the stored results where they are there: name → scores."""
        images = self.recipe.images()
        found = {}
        for name in self._needed:
            if name == "JPEG size":
                found[name] = influence.statistic_scores(images, progress=False)["jpeg_bytes"]
            else:
                scorer = self._scorer(self.scored_by.encoder(place, device), place, device)
                found[name] = scorer.scores(RANKINGS[name], images, **self._fitted(name))
        return found

    def is_ranked(self, device: str = "auto") -> bool:
        """Return whether the rankings are there, so that nothing must be computed to know what is left out."""
        if not set(self._needed) - {"JPEG size"}:
            return True
        if store.find(self.scored_by.described(device=device)) is None:
            return False
        images, scorer = self.recipe.images(), self._scorer(self.scored_by.encoder(device=device), "artifacts", device)
        scored = (name for name in self._needed if name != "JPEG size")
        return all(scorer.knows(RANKINGS[name], images, **self._fitted(name)) for name in scored)

    @property
    def _needed(self) -> list[str]:
        """The rankings that an arm asks for."""
        return [name for name in RANKINGS if any(arm.by == name for arm in self.arms)]

    def _scorer(self, encoder: Encoder, place: str, device: str) -> Scorer:
        return Scorer(encoder, self.noise, self.draws, self.scored_by.seed, device, place)

    def _fitted(self, name: str) -> dict[str, Any]:
        return {} if name == "raw loss" else {"factor_pairs": self.factor_pairs} | VARIANTS.get(name, {})

    def retrainings(self, place: str = "artifacts", device: str = "auto") -> list[Retraining]:
        """Return the trainings: all arms with one seed, then all with the next, so that what is done is comparable.

        The parameters are those of `rankings`, which are computed first where they are not there.
        """
        images, rankings = self.recipe.images(), _rankings(self, place, device)
        return [
            Retraining(
                replace(self.recipe, seed=seed),
                tuple(arm.left_out(images, rankings, seed).tolist()),
                self.length,
                arm,
                self.scored_by.method,
            )
            for seed in range(self.recipe.seed, self.recipe.seed + self.trainings)
            for arm in self.arms
        ]

    def table(self, place: str = "artifacts", device: str = "auto") -> pd.DataFrame:
        """Return what the trainings that are done are worth.

        Parameters
        ----------
        place, device : str
            Those of `rankings`.

        Returns
        -------
        DataFrame
            A row for each training that is done, in the order of `retrainings`: ``method`` and ``ranked by`` (titles),
            ``amount``, ``left out`` (`Arm.name`), ``length``, ``training`` (its seed), the accuracies ``knn`` and
            ``linear`` in [0, 1], and ``loss``, ``effective_rank``, ``steps``.
        """
        titles = [METHODS[recipe.method].TITLE for recipe in (self.recipe, self.scored_by)]
        rows = []
        for each in self.retrainings(place, device):
            if each.stored(device) is None:
                continue
            found = each.run(place, device)
            named = (*titles, each.arm.amount, each.arm.name, self.length, each.recipe.seed)
            worth = {name: found[name].value for name in ("knn", "linear")}
            rest = {name: found[name] for name in REST}
            rows.append(dict(zip(COLUMNS, named, strict=True)) | worth | rest)
        return pd.DataFrame(rows, columns=[*COLUMNS, "knn", "linear", *REST])


@lru_cache(maxsize=16)
def _rankings(sweep: Sweep, place: str, device: str) -> dict[str, Scores]:
    """Return the rankings of a sweep, read once by a process."""
    return sweep.rankings(place, device)
