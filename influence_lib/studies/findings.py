"""Findings made from committed scores and accuracies and the registry of the theory: no images, no training."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from influence_lib import store, theory
from influence_lib.errors import InputError, check_integer, check_number, reject
from influence_lib.estimate import Estimate, mean, share
from influence_lib.influence import TABLE_4, GaussianNoise, Perturbation, Scores, rank_agreement
from influence_lib.studies.stability import two_readings
from influence_lib.studies.trend import Trend, over_scales, score_and_loss_over_scales
from influence_lib.theory.statement import OURS

__all__ = ["STUDIES", "Finding", "Results"]

METHODS = ("simclr", "byol", "barlow")  # those that the paper compares
DATASETS = ("cifar10", "cifar100")
ALONG: dict[float, str] = {
    6: "simclr-cifar10-epoch6",
    24: "simclr-cifar10-epoch24",
    60: "simclr-cifar10",
}  # epochs of one training
NOISE = GaussianNoise(0.05, 0.2)
THIRD = 1 / 3  # of the gap from random weights to the supervised control, which the gate asks for
HIGH = 0.9  # the quantile of the first epoch's scores above which a score is called high
SCORED, DRAWS = 1000, 4  # images and draws of the scores that are compared
KINDS: dict[str, dict[str, Any]] = {
    "ekfac": {"score": "self_influence", "curvature": "ekfac", "fisher": "empirical", "factor_pairs": 1000},
    "raw_loss": {"score": "raw_loss"},
}


@dataclass(frozen=True)
class Finding:
    """What a study found, as ``results/findings/`` holds it.

    Attributes
    ----------
    values : dict of str to Estimate
        Name → number; a single number has the name ``""``.
    trainings : int
        Independent trainings, or pairs of them where two are compared; 0 where no encoder was trained.
    gate : bool, optional
        Whether all encoders learned something, by the rule of the ledger; None where that was not measured.
    power : float, optional
        The chance that the test would have seen what the papers state, in [0, 1].
    trend : Trend, optional
        The same at other scales.

    Raises
    ------
    InputError
        If there are no values, or a number is not allowed.
    """

    values: dict[str, Estimate]
    trainings: int
    gate: bool | None = None
    power: float | None = None
    trend: Trend | None = None

    def __post_init__(self) -> None:
        if not self.values:
            reject("the number of values", 0, "1 or more")
        check_integer("trainings", self.trainings, least=0)
        if self.power is not None:
            check_number("power", self.power, least=0, most=1)


class Results:
    """The committed scores and accuracies of a checkout, found by the names of encoders."""

    def __init__(self, root: Path) -> None:
        entries = [entry for entry in store.entries(root) if entry.folder.startswith("results/")]
        self._root = root
        self._accuracies = {entry.name: entry for entry in entries if entry.kind == "accuracy"}
        self._scores = [entry for entry in entries if entry.kind == "scores"]
        self._found: dict[str, Scores] = {}

    @property
    def encoders(self) -> list[str]:
        """The names of the encoders whose accuracies are committed."""
        return list(self._accuracies)

    def accuracy(self, name: str) -> Estimate | None:
        """Return the kNN accuracy of an encoder, or None where it was not measured."""
        entry = self._accuracies.get(name)
        return None if entry is None else Estimate(**store.load(self._root / entry.folder)["knn"])

    def scores(
        self,
        encoder: str,
        kind: str = "ekfac",
        perturbation: Perturbation = NOISE,
        seed: int = 0,
        fit_perturbation: Perturbation | None = None,
    ) -> Scores:
        """Return an encoder's scores with the cosine loss and one perturbed view."""
        wanted = KINDS[kind] | {
            "encoder": self._accuracies[encoder].settings["encoder"],
            "perturbation": json.loads(json.dumps(perturbation.describe())),
            "fit_perturbation": None if fit_perturbation is None else fit_perturbation.describe(),
            **{"loss": "cosine", "views": "one", "seed": seed, "draws": DRAWS},
        }
        of_images = [entry for entry in self._scores if entry.settings["data"].get("n") == SCORED]
        found = [e for e in of_images if all(e.settings.get(key) == value for key, value in wanted.items())]
        if len(found) != 1:
            raise InputError(f"there are {len(found)} committed scores of {encoder} with {wanted}, but it must be 1.")
        folder = found[0].folder
        if folder not in self._found:
            stored = store.load(self._root / folder)["scores"]
            self._found[folder] = Scores(stored["by_draw"], stored["ids"], {"data": found[0].settings["data"]})
        return self._found[folder]

    def gate(self, *encoders: str) -> bool | None:
        """Return whether all encoders learned something, by the rule of the ledger; None where that is not known."""
        passed = [self._passes(encoder) for encoder in encoders]
        return False if False in passed else None if None in passed else True

    def _passes(self, encoder: str) -> bool | None:
        dataset = encoder.split("-")[1]
        own, control = self.accuracy(encoder), self.accuracy(f"supervised-{dataset}")
        untrained = self.accuracy(f"untrained-width16-{dataset}")
        if own is None or control is None or untrained is None:
            return None
        return own.above(untrained) and own.value >= untrained.value + THIRD * (control.value - untrained.value)


def pretraining(results: Results) -> dict[str, Finding]:
    """Return the kNN accuracies of the gate, and who passes it."""
    found = {}
    for name in results.encoders:
        value = results.accuracy(name)
        if value is not None:
            found[f"knn.{name}"] = Finding(values={"": value}, trainings=1, gate=results.gate(name))
    return found


def stability(results: Results) -> dict[str, Finding]:
    """Return what chapter 6 compares."""
    two = {
        f"two_trainings.{method}-{dataset}.{kind}": _two_trainings(results, f"{method}-{dataset}", kind)
        for method in METHODS
        for dataset in DATASETS
        for kind in KINDS
    }
    logs = {f"log_mean.{dataset}": _log_means(results, dataset) for dataset in DATASETS}
    return two | logs | _perturbations(results) | _strengths(results) | _along(results) | _score_and_loss(results)


def _two_trainings(results: Results, name: str, kind: str) -> Finding:
    agreement = rank_agreement(results.scores(name, kind), results.scores(f"{name}-seed1", kind))
    return Finding(values={"": agreement}, trainings=1, gate=results.gate(name, f"{name}-seed1"))


def _log_means(results: Results, dataset: str) -> Finding:
    encoders = {method: f"{method}-{dataset}" for method in METHODS}
    values = {m: mean(np.log(results.scores(e).values.double().numpy()), "image") for m, e in encoders.items()}
    return Finding(values=values, trainings=1, gate=results.gate(*encoders.values()))


def _perturbations(results: Results) -> dict[str, Finding]:
    """Return both readings of Table 4: with the default scores, and between two trainings."""
    one, other = "simclr-cifar10", "simclr-cifar10-seed1"
    first, second = (
        {name: results.scores(encoder, perturbation=each) for name, each in TABLE_4.items()} for encoder in (one, other)
    )
    table = two_readings(first, second, results.scores(one), {"Gaussian noise": results.scores(one, seed=1)})
    columns = {"with_default": "with the default", "between_trainings": "between two trainings"}
    gate = results.gate(one, other)
    return {f"table4.{key}": Finding(table[column].to_dict(), 1, gate) for key, column in columns.items()}


def _strengths(results: Results) -> dict[str, Finding]:
    """Return what a stronger noise does, in other draws than the default's."""
    encoder = "simclr-cifar10"
    gate = results.gate(encoder)
    default = results.scores(encoder, seed=3)
    scores = {std: results.scores(encoder, perturbation=GaussianNoise(0.05, std), seed=2) for std in (0.2, 0.3)}
    # with H kept as it is for .2: fitted anew, it grows with the gradients and hides the shift
    kept = results.scores(encoder, perturbation=GaussianNoise(0.05, 0.3), seed=2, fit_perturbation=NOISE)
    logs = [np.log(each.values.double().numpy()) for each in (scores[0.2], kept)]
    return {
        "strength.correlation": Finding(values={"": rank_agreement(scores[0.3], default)}, trainings=1, gate=gate),
        "strength.shift": Finding(values={"": mean(logs[1] - logs[0], "image")}, trainings=1, gate=gate),
    }


def _along(results: Results) -> dict[str, Finding]:
    """Return how the share of high scores moves with the epochs of one training."""
    values = {epoch: results.scores(name).values.double().numpy() for epoch, name in ALONG.items()}
    limit = np.quantile(values[6], HIGH)
    high = {epoch: each > limit for epoch, each in values.items()}
    change: dict[float, Estimate] = {epoch: mean(high[epoch].astype(float) - high[6], "image") for epoch in (24, 60)}
    named = {f"after {epoch} epochs": share(each) for epoch, each in high.items()}
    gate = results.gate("simclr-cifar10")
    return {
        "high_scores.change": Finding({"": change[60]}, 1, gate, trend=over_scales("epochs", {"": change})),
        "high_scores.share": Finding(named, 1, gate),
    }


def _score_and_loss(results: Results) -> dict[str, Finding]:
    """Return how the score agrees with the raw loss, over all images and at the top; of SimCLR along its training."""
    found, followed = {}, {"simclr": ALONG, "vicreg": {60.0: "vicreg-cifar10"}}
    for method, epochs in followed.items():
        trend = score_and_loss_over_scales(
            "epochs",
            {epoch: (results.scores(name), results.scores(name, "raw_loss")) for epoch, name in epochs.items()},
        )
        values = {name: series[-1] for name, series in trend.series.items()}
        gate = results.gate(epochs[60])
        found[f"score_and_loss.{method}"] = Finding(values, 1, gate, trend=trend if len(epochs) > 1 else None)
    return found


def of_theory(_: Results) -> dict[str, Finding]:
    """Return how many of the paper's statements have each verdict."""
    verdicts = Counter(entry.verdict for entry in theory.STATEMENTS.values() if entry.place != OURS)
    counts: dict[str, Estimate] = {name: Estimate.stated(float(number)) for name, number in verdicts.items()}
    return {"verdicts": Finding(values={"all": Estimate.stated(float(verdicts.total())), **counts}, trainings=0)}


STUDIES = {"pretraining": pretraining, "stability": stability, "theory": of_theory}
"""Study → what makes its findings, for ``ledger --update``."""
