"""How scores move when the data change: an encoder learns some classes, then others."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from influence_lib import influence, store
from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, reject
from influence_lib.influence import GaussianNoise, Perturbation, Scores, nearest_others
from influence_lib.pretrain import Encoder, Recipe, embed, knn_accuracy, stored_encoder, stored_untrained
from influence_lib.replication import over_trainings

__all__ = ["AFTER", "ContinualExperiment", "forgetting_in_words", "moves", "own_class", "two_phases"]

AFTER = ("other classes", "the same classes")
"""What an encoder goes on with; the second is the control, in which the data do not change."""
KINDS = ("EK-FAC", "raw loss")
REVISION = 1  # see `store.revision`


def two_phases(images: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Return the images of the first half of the classes, and those of the second.

    Raises
    ------
    InputError
        If there are fewer than four classes, of which each half has two.

    Examples
    --------
    >>> [len(phase.labels.unique()) for phase in two_phases(images)]
    [5, 5]
    """
    classes = images.labels.unique()
    classes = classes[classes >= 0]
    if len(classes) < 4:
        reject("the number of classes", len(classes), "4 or more")
    early = torch.isin(images.labels, classes[: len(classes) // 2])
    return images.subset(early), images.subset(~early & (images.labels >= 0))


def own_class(encoder: Encoder, images: ImageSet, k: int = 10, device: str = "auto") -> np.ndarray:
    """Return for each image which part of its nearest neighbours among the others is of its class, float64 in [0, 1].

    Raises
    ------
    InputError
        If `k` is not allowed.

    Examples
    --------
    >>> own_class(encoder, images, k=5).shape
    (60,)
    """
    _, others = nearest_others(embed(encoder, images, device=device), check_integer("k", k), device)
    return (images.labels[others] == images.labels[:, None]).double().mean(dim=1).numpy()


def moves(before: Scores, after: Scores, lost: np.ndarray) -> dict[str, float]:
    """Return how far a score moves, and whether images that move are those that are lost.

    Parameters
    ----------
    before, after : Scores
        Of the same images in the same order, by the encoder before and after.
    lost : array
        Of each image, `own_class` before less after.

    Returns
    -------
    dict of str to float
        Rank correlations in [−1, 1]: ``"stays"``, of before and after; ``"with loss"``, of the change in rank (up is
        positive) with what is lost; NaN where nothing varies.

    Raises
    ------
    InputError
        If the scores are of other images.

    Examples
    --------
    >>> sorted(moves(scores, loss, np.zeros(len(scores.ids))))
    ['stays', 'with loss']
    """
    moved = influence.percentile_difference(after, before).values.numpy()
    stays = influence.rank_agreement(before, after).value
    varies = np.ptp(moved) > 0 and np.ptp(lost) > 0
    return {"stays": stays, "with loss": float(spearmanr(moved, lost).statistic) if varies else float("nan")}


@dataclass(frozen=True)
class ContinualExperiment:
    """Encoders that learn one half of the classes, and then the other half or the same one again.

    Parameters
    ----------
    recipe : Recipe
        Method and images; each phase has its epochs. Its seed is the first.
    trainings : int
        How many, each with both continuations.
    k : int
        Neighbours of `own_class`.
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
    >>> recipe = pretrain.Recipe("simclr", "controlled", n=60, width=2, epochs=1, batch_size=10, precision="fp32")
    >>> ContinualExperiment(recipe, trainings=2, factor_pairs=20).table()["accuracy after"].between(0, 1).all()
    np.True_
    """

    recipe: Recipe
    trainings: int = 5
    k: int = 10
    perturbation: Perturbation = GaussianNoise(0.05, 0.2)  # noqa: RUF009 - frozen
    draws: int = 2
    factor_pairs: int | None = None

    def __post_init__(self) -> None:
        check_integer("trainings", self.trainings, 2)
        check_integer("k", self.k)

    def table(self, place: str = "artifacts", device: str = "auto", progress: bool = True) -> pd.DataFrame:
        """Return what happens to the images of the first phase, computed once.

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
            A row for each training and continuation: ``training`` (its seed), ``then`` (one of `AFTER`), the kNN
            accuracy on held-out images of the first classes ``accuracy of random weights``, ``accuracy before`` and
            ``accuracy after``, and for each kind of score of the training images what `moves` returns, as in ``EK-FAC,
            stays``.
        """

        def compute() -> dict[str, pd.DataFrame]:
            seeds = range(self.recipe.seed, self.recipe.seed + self.trainings)
            return {"table": pd.DataFrame([row for seed in seeds for row in self._rows(seed, device, progress)])}

        training = self.recipe.described(device=device)
        settings = {
            "kind": "continual",
            "name": training.pop("name"),
            "training": {key: value for key, value in training.items() if key != "kind"},
            "trainings": self.trainings,
            "k": self.k,
            "perturbation": self.perturbation.describe(),
            "draws": self.draws,
            "factor_pairs": self.factor_pairs,
            **store.revision(REVISION),
        }
        found: pd.DataFrame = store.get(settings, compute, place)["table"]
        return found

    def encoders(self, seed: int, device: str = "auto", progress: bool = True) -> dict[str, Encoder]:
        """Return the encoder after the first phase, as ``"before"``, and after each continuation."""
        early, late = two_phases(self.recipe.images())
        recipe = replace(self.recipe, seed=seed)

        def trained(images: ImageSet, what: str, **start: Any) -> Encoder:
            arguments = recipe.arguments(images, device) | {"name": f"{recipe.name}-{what}"}
            return stored_encoder(images, progress=progress, **arguments, **start)

        before = trained(early, "early")
        after = (trained(late, "late", start=before), trained(early, "early-again", start=before))
        return {"before": before, **dict(zip(AFTER, after, strict=True))}

    def scores(
        self, encoder: Encoder, images: ImageSet, device: str = "auto", progress: bool = True
    ) -> dict[str, Scores]:
        """Return the scores of some images by each kind."""
        shared: dict[str, Any] = {"perturbation": self.perturbation, "draws": self.draws, "device": device}
        shared["progress"] = progress
        ekfac = influence.self_influence(encoder, images, factor_pairs=self.factor_pairs, **shared)
        return dict(zip(KINDS, (ekfac, influence.raw_loss(encoder, images, **shared)), strict=True))

    def _rows(self, seed: int, device: str, progress: bool) -> list[dict[str, Any]]:
        images, _ = two_phases(self.recipe.images())
        test, _ = two_phases(self.recipe.held_out())
        encoders = self.encoders(seed, device, progress)
        before = encoders.pop("before")
        known, first = own_class(before, images, self.k, device), self.scores(before, images, device, progress)
        accuracy = knn_accuracy(before, images, test, device=device).value
        random = knn_accuracy(stored_untrained(self.recipe.width, seed), images, test, device=device).value
        rows = []
        for then, encoder in encoders.items():
            lost = known - own_class(encoder, images, self.k, device)
            later = self.scores(encoder, images, device, progress)
            found = {kind: moves(first[kind], later[kind], lost) for kind in KINDS}
            rows.append(
                {
                    "training": seed,
                    "then": then,
                    "accuracy of random weights": random,
                    "accuracy before": accuracy,
                    "accuracy after": knn_accuracy(encoder, images, test, device=device).value,
                    **{f"{kind}, {name}": value for kind, each in found.items() for name, value in each.items()},
                }
            )
        return rows


def forgetting_in_words(table: pd.DataFrame) -> str:
    """Return what is forgotten, how far the scores move, and whether that goes together.

    Parameters
    ----------
    table : DataFrame
        As `ContinualExperiment.table` returns it.

    Examples
    --------
    >>> recipe = pretrain.Recipe("simclr", "controlled", n=60, width=2, epochs=1, batch_size=10, precision="fp32")
    >>> forgetting_in_words(ContinualExperiment(recipe, trainings=2, factor_pairs=20).table())
    """
    by_then = {then: table[table["then"] == then] for then in AFTER}
    other, same = (by_then[then] for then in AFTER)
    gained = {then: t["accuracy after"] - t["accuracy before"] for then, t in by_then.items()}
    lost = {then: over_trainings(each.to_list()).scaled(100) for then, each in gained.items()}
    stays = {then: over_trainings(t["EK-FAC, stays"].to_list(), -1, 1) for then, t in by_then.items()}
    with_loss = {kind: over_trainings(other[f"{kind}, with loss"].to_list(), -1, 1) for kind in KINDS}
    told = {
        "above": "images that rise in the ranking are those that are lost",
        "below": "images that fall in the ranking are those that are lost",
    }.get(with_loss["EK-FAC"].compared(0), "where an image moves says nothing clear about whether it is lost")
    return (
        f"The accuracy on the first classes changes by {lost[AFTER[0]]:+.1f} points while the other classes are"
        f" learned, and by {lost[AFTER[1]]:+.1f} where the first ones are learned on ({len(same)} trainings)."
        f" EK-FAC before and after has a rank correlation of {stays[AFTER[0]]:.2f} and {stays[AFTER[1]]:.2f}. Its"
        f" change in rank goes with what an image loses with {with_loss['EK-FAC']:.2f}, that of the raw loss with"
        f" {with_loss['raw loss']:.2f}: {told}."
    )
