"""Data support: how few images, left out or relabelled, turn a prediction (attribution baseline, Algorithm 1)."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from influence_lib import store
from influence_lib.errors import InputError, check_choice, check_integer
from influence_lib.studies.attribution.training import ClassifierRecipe, Counterfactual, margins

__all__ = ["CHANGES", "Found", "Support", "bisected"]

CHANGES = ("removal", "mislabelling")
REVISION = 1  # of how a support is looked for; see `store.revision`
FRESH = 1000  # the first seed of trainings that confirm


@dataclass(frozen=True)
class Found:
    """The support of a prediction.

    Attributes
    ----------
    size : int or None
        Images; None where even all candidates do not turn the prediction, 0 where it is wrong with all images.
    most : int
        Candidates.
    tested : dict of int to float
        Images changed → the share of the trainings that classify the target right; it stops being counted once it is
        clear on which side of one half it will be.
    confirmed : float
        The same at the support for trainings with other seeds: a search that stops at the first success is too
        optimistic. NaN where there is no support.
    """

    size: int | None
    most: int
    tested: dict[int, float]
    confirmed: float


def bisected(is_right: Any, most: int, budget: int) -> tuple[int | None, dict[int, float]]:
    """Return the smallest number of changes that turns a prediction, by Algorithm 1, and what was tested.

    Parameters
    ----------
    is_right : callable
        From a number of changes to the share of trainings that are right.
    most : int
        Changes of the first test.
    budget : int
        Tests after it. The search ends sooner where no number is left in between.

    Examples
    --------
    >>> bisected(lambda changed: float(changed < 37), most=128, budget=7)[0]
    37
    """
    tested = {most: is_right(most)}
    if tested[most] > 0.5:
        return None, tested
    low, high = 0, most
    while budget > 0 and high - low > 1:
        budget -= 1
        middle = (low + high) // 2
        tested[middle] = is_right(middle)
        low, high = (middle, high) if tested[middle] > 0.5 else (low, middle)
    return high, tested


@dataclass(frozen=True)
class Support:
    """The search for the support of one target by one ranking of the training images.

    Attributes
    ----------
    recipe : ClassifierRecipe
        What is trained.
    target : int
        Position among the recipe's targets.
    ranked : tuple of int
        Ids of the candidates, as `strongest` returns them; all of them are changed in the first test.
    change : {"removal", "mislabelling"}
        What is done to them. Another label is that of the highest wrong logit, on average over trainings on all images.
    budget : int
        Tests after the first; the paper's 7.
    trainings : int
        Trainings a test; the paper's 5. As many confirm.
    method : str
        What ranked; stored with the result, which it does not identify.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> Support(recipe, 0, strongest(scores, images, targets)[0], budget=3, trainings=1).run().size
    """

    recipe: ClassifierRecipe
    target: int
    ranked: tuple[int, ...]
    change: str = "removal"
    budget: int = 7
    trainings: int = 5
    method: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_choice("change", self.change, CHANGES)
        check_integer("budget", self.budget)
        check_integer("trainings", self.trainings)
        check_integer("target", self.target, least=0)
        if not self.ranked:
            raise InputError("ranked holds no candidate.")

    def stored(self, device: str = "auto") -> Path | None:
        """Return the folder of the stored result, or None where there is none."""
        return store.find(self._settings(device))

    def run(self, place: str = "artifacts", device: str = "auto") -> Found:
        """Return what was found, from the stored results where it is there.

        Its trainings are kept one by one among the artifacts, so that a search that is interrupted goes on, and tests
        that several rankings have in common are run once.

        Parameters
        ----------
        place : {"artifacts", "results"}
            Where a new result is stored.
        device : str
            ``"auto"`` or a torch device.
        """
        found = store.get(self._settings(device), partial(self._search, device), place)["found"]
        tested = {int(size): share for size, share in found["tested"].items()}
        return Found(
            found["size"], found["most"], tested, torch.nan if found["confirmed"] is None else found["confirmed"]
        )

    def _search(self, device: str) -> dict[str, Any]:
        check_integer("target", self.target, 0, len(self.recipe.targets()) - 1)
        label = self._wrong_label(device)
        right = partial(self._right, label=label, device=device)
        whole = right(0)
        size, tested = bisected(right, len(self.ranked), self.budget)
        size, tested = (0, {0: whole}) if whole <= 0.5 else (size, {0: whole, **tested})
        confirmed = None if size is None else right(size, first=FRESH)
        shares = {str(changed): share for changed, share in sorted(tested.items())}
        result = {"size": size, "most": len(self.ranked), "tested": shares, "confirmed": confirmed}
        return {"found": result, "method": self.method}

    def _right(self, changed: int, label: int, device: str, first: int = 0) -> float:
        """Return the share of the trainings that are right; no training more than it takes to know its half."""
        own = self.recipe.targets().labels[self.target]
        right, enough = 0, self.trainings / 2
        for done in range(1, self.trainings + 1):
            logits = self._training(changed, label, first + done - 1).run("artifacts", device)[self.target]
            right += int(margins(logits[None], own[None])[0] > 0)
            if right > enough or done - right >= enough:
                break
        return right / done

    def _training(self, changed: int, label: int, seed: int) -> Counterfactual:
        ids = tuple(sorted(self.ranked[:changed]))
        if not ids:
            return Counterfactual(self.recipe, seed=seed)
        if self.change == "removal":
            return Counterfactual(self.recipe, left_out=ids, seed=seed)
        return Counterfactual(self.recipe, relabelled=ids, label=label, seed=seed)

    def _wrong_label(self, device: str) -> int:
        """Return the class of the highest wrong logit, on average over trainings on all images."""
        if self.change == "removal":
            return -1
        whole = [Counterfactual(self.recipe, seed=seed).run("artifacts", device) for seed in range(self.trainings)]
        logits = torch.stack(whole).mean(0)[self.target]
        logits[self.recipe.targets().labels[self.target]] = -torch.inf
        return int(logits.argmax())

    def _settings(self, device: str) -> dict[str, Any]:
        return {
            "kind": "support",
            "name": f"{self.recipe.name}-{self.change}",
            "images": self.recipe.images().describe(),
            "targets": self.recipe.targets().describe(),
            "target": self.target,
            "ranked": store.digest({"kind": "ranking", "ids": list(self.ranked)})[:16],
            "change": self.change,
            "budget": self.budget,
            "trainings": self.trainings,
            **self.recipe.describe(device),
            **store.revision(REVISION),
        }
