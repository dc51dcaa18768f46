"""What is committed under ``results/``, found by the names of encoders, and the findings that are made of it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from influence_lib import store
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import GaussianNoise, Scores
from influence_lib.pretrain import SHIPPED, shipped
from influence_lib.studies.pretraining import has_learned
from influence_lib.studies.removal import Arm

__all__ = ["DATASETS", "KINDS", "METHODS", "NOISE", "WITHOUT_LABELS", "Results"]

METHODS = ("simclr", "byol", "barlow")  # those that the paper compares
WITHOUT_LABELS = (*METHODS, "vicreg", "dino", "moco")
DATASETS = ("cifar10", "cifar100")
NOISE = GaussianNoise(0.05, 0.2)
SCORED, DRAWS = 1000, 4  # images and draws of the scores that are compared
KINDS: dict[str, dict[str, Any]] = {
    "ekfac": {"score": "self_influence", "curvature": "ekfac", "fisher": "empirical", "factor_pairs": 1000},
    "gradient_norm": {"score": "self_influence", "curvature": "identity"},
    "raw_loss": {"score": "raw_loss"},
}


class Results:
    """The committed scores and accuracies of a checkout, found by the names of encoders."""

    def __init__(self, root: Path) -> None:
        entries = [entry for entry in store.entries(root) if entry.folder.startswith("results/")]
        self._root = root
        self._accuracies = {entry.name: entry for entry in entries if entry.kind == "accuracy"}
        self._scores = [entry for entry in entries if entry.kind == "scores"]
        self._entries = entries
        self._pairs = [entry for entry in entries if entry.kind == "pairs"]
        self._found: dict[str, Scores] = {}

    @property
    def encoders(self) -> list[str]:
        """The names of the encoders whose accuracies are committed."""
        return list(self._accuracies)

    def accuracy(self, name: str, kind: str = "knn") -> Estimate | None:
        """Return an encoder's accuracy, ``"knn"`` or ``"linear"``, or None where it was not measured."""
        entry = self._accuracies.get(name)
        return None if entry is None else Estimate(**store.load(self._root / entry.folder)[kind])

    def scores(self, encoder: str, kind: str = "ekfac", **changed: Any) -> Scores:
        """Return an encoder's scores, by default those under the papers' noise.

        Parameters
        ----------
        encoder : str
            Its name.
        kind : str
            One of `KINDS`.
        **changed
            Arguments of `influence.self_influence` that are not the default's: perturbation, fit_perturbation, seed,
            loss, views, draws; and `n`, how many images.

        Raises
        ------
        InputError
            If there are none, or several.
        """
        wanted, found = self._matching(encoder, kind, changed)
        if len(found) != 1:
            raise InputError(f"there are {len(found)} committed scores of {encoder} with {wanted}, but it must be 1.")
        folder = found[0].folder
        if folder not in self._found:
            stored = store.load(self._root / folder)["scores"]
            self._found[folder] = Scores(stored["by_draw"], stored["ids"], {"data": found[0].settings["data"]})
        return self._found[folder]

    def has_scores(self, encoder: str, kind: str = "ekfac", **changed: Any) -> bool:
        """Return whether `scores` finds any."""
        return encoder in self._accuracies and len(self._matching(encoder, kind, changed)[1]) == 1

    def _matching(
        self, encoder: str, kind: str, changed: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[store.Entry]]:
        """Return the settings that are asked for, and the entries that have them."""
        default = {"loss": "cosine", "views": "one", "seed": 0, "perturbation": NOISE, "fit_perturbation": None}
        asked: dict[str, Any] = {**default, "draws": DRAWS, "n": SCORED, **changed}
        n = asked.pop("n")
        described = {
            key: json.loads(json.dumps(value.describe())) if hasattr(value, "describe") else value
            for key, value in asked.items()
        }
        wanted = KINDS[kind] | {"encoder": self._accuracies[encoder].settings["encoder"]} | described
        of_images = [entry for entry in self._scores if entry.settings["data"].get("n") == n]
        return wanted, [e for e in of_images if all(e.settings.get(key) == value for key, value in wanted.items())]

    def pairs(self, name: str, n: int) -> tuple[list[int], pd.DataFrame] | None:
        """Return the ids of n images of a set among which pairs were looked for, and the pairs; None where not here."""
        found = [entry for entry in self._pairs if entry.name == name and entry.settings["data"]["n"] == n]
        if len(found) != 1:
            return None
        stored = store.load(self._root / found[0].folder)
        return stored["ids"], stored["pairs"]

    def table(self, kind: str, **settings: Any) -> tuple[pd.DataFrame, dict[str, Any]] | None:
        """Return the one committed table of a kind with these settings, or name, and all its settings; None if none.

        Raises
        ------
        InputError
            If there are several.
        """
        every = [(entry, {"name": entry.name, **entry.settings}) for entry in self._entries if entry.kind == kind]
        found = [entry for entry, own in every if all(own.get(key) == each for key, each in settings.items())]
        if len(found) > 1:
            raise InputError(f"there are {len(found)} committed tables of {kind} with {settings}, but it must be 1.")
        return (store.load(self._root / found[0].folder)["table"], found[0].settings) if found else None

    def retrainings(self) -> pd.DataFrame:
        """Return every committed training without some of its images, with the columns of `removal.Sweep.table`.

        ``recipe`` names what is trained; ``ranked by`` is nothing where no ranking decided what is left out.
        """
        rows = []
        for entry in (entry for entry in self._entries if entry.kind == "retraining"):
            stored = store.load(self._root / entry.folder)
            arm, asked = Arm(**stored["arm"]), stored["asked"]
            rows.append(
                {
                    "recipe": asked["recipe"],
                    "ranked by": asked["ranked_by"],
                    "amount": arm.amount,
                    "left out": arm.name,
                    "length": asked["length"],
                    "training": entry.settings["seed"],
                    **{name: stored[name]["value"] for name in ("knn", "linear")},
                }
            )
        columns = ["recipe", "ranked by", "amount", "left out", "length", "training", "knn", "linear"]
        return pd.DataFrame(rows, columns=columns)

    def gate(self, *encoders: str) -> bool | None:
        """Return whether all encoders learned something, by the rule of the ledger; None where that is not known."""
        passed = [self._passes(encoder) for encoder in encoders]
        return False if False in passed else None if None in passed else True

    def _passes(self, encoder: str) -> bool | None:
        own, control, untrained = (self.accuracy(name) for name in (encoder, *_controls(encoder)))
        if own is None or untrained is None:
            return None
        return has_learned(own, untrained, control)


def _controls(encoder: str) -> tuple[str, str]:
    """Return the names of the supervised control, of the same width and images, and of that with random weights."""
    if encoder not in {recipe.name for recipe in SHIPPED}:
        return "", ""
    recipe = shipped(encoder)
    supervised = replace(recipe, method="supervised", seed=0, stop_at=None)
    return supervised.name, f"untrained-width{recipe.width}-{recipe.dataset}"
