"""Findings made from committed scores and accuracies and the registry of the theory: no images, no training."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from influence_lib import theory
from influence_lib.estimate import Estimate, mean, share
from influence_lib.influence import TABLE_4, GaussianNoise, Scores, rank_agreement
from influence_lib.pretrain import Recipe
from influence_lib.studies.committed import DATASETS, KINDS, METHODS, NOISE, Finding, Results
from influence_lib.studies.stability import (
    agreement_of_trainings,
    along_trainings,
    correlation_with,
    shift,
    two_readings,
)
from influence_lib.studies.trend import Trend, over_scales, score_and_loss_over_scales
from influence_lib.theory.statement import OURS

__all__ = ["STUDIES"]

ALONG: dict[float, str] = {
    6: "simclr-cifar10-epoch6",
    24: "simclr-cifar10-epoch24",
    60: "simclr-cifar10",
}  # epochs of one training
HIGH = 0.9  # the quantile of the first epoch's scores above which a score is called high


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


SEEDS = (0, 1, 2)  # of the trainings on 50,000 images
EPOCHS: tuple[float, ...] = (5, 10, 20)  # after which they are compared


def replication(results: Results) -> dict[str, Finding]:
    """Return what three trainings on all images say, method by method, where all three are there."""
    found: dict[str, Finding] = {}
    for method in METHODS:
        if {_trained(method, seed, EPOCHS[-1]) for seed in SEEDS} <= set(results.encoders):
            found |= {f"{key}.{method}": finding for key, finding in _of_method(results, method).items()}
    return found


def _trained(method: str, seed: int, epoch: float) -> str:
    """Return the name of a training after some epochs."""
    stop_at = None if epoch == EPOCHS[-1] else int(epoch)
    return Recipe(method, "cifar10", n=50_000, epochs=int(EPOCHS[-1]), seed=seed, stop_at=stop_at).name


def _of_method(results: Results, method: str) -> dict[str, Finding]:
    names = {epoch: [_trained(method, seed, epoch) for seed in SEEDS] for epoch in EPOCHS}
    last = names[EPOCHS[-1]]
    gate = results.gate(*last)
    scores = {e: [{kind: results.scores(name, kind) for kind in KINDS} for name in each] for e, each in names.items()}
    along = along_trainings(scores, "ekfac", "raw_loss")

    def finding(trend: Trend) -> Finding:
        return Finding({name: each[-1] for name, each in trend.series.items()}, len(SEEDS), gate, trend)

    pairs = {
        f"two_trainings.{kind}": finding(replace(along.between, series={"": each}))
        for kind, each in along.between.series.items()
    }
    return {
        **pairs,
        "score_and_loss": finding(along.with_loss),
        "high_scores": finding(along.high),
        **{key: Finding(values, len(SEEDS), gate) for key, values in _perturbed(results, last).items()},
    }


def _perturbed(results: Results, names: Sequence[str]) -> dict[str, dict[str, Estimate]]:
    """Return what another perturbation does to the scores of some trainings; draws differ from the default's."""

    def by_each(**options: Any) -> list[Scores]:
        return [results.scores(name, **options) for name in names]

    default = by_each()
    stronger = GaussianNoise(NOISE.mean, 0.3)
    strong = by_each(perturbation=stronger, seed=2)
    # with H kept as it is for .2: fitted anew, it grows with the gradients and hides the shift
    kept = by_each(perturbation=stronger, seed=2, fit_perturbation=NOISE)
    under = {name: default if each == NOISE else by_each(perturbation=each) for name, each in TABLE_4.items()}
    redrawn = {name: by_each(seed=1) if each == NOISE else under[name] for name, each in TABLE_4.items()}
    return {
        "strength.correlation": {"": correlation_with(strong, default)},
        "strength.shift": {"": shift(by_each(seed=2), kept)},
        "table4.with_default": {name: correlation_with(each, default) for name, each in redrawn.items()},
        "table4.between_trainings": {name: agreement_of_trainings(each) for name, each in under.items()},
    }


def of_theory(_: Results) -> dict[str, Finding]:
    """Return how many of the paper's statements have each verdict."""
    verdicts = Counter(entry.verdict for entry in theory.STATEMENTS.values() if entry.place != OURS)
    counts: dict[str, Estimate] = {name: Estimate.stated(float(number)) for name, number in verdicts.items()}
    return {"verdicts": Finding(values={"all": Estimate.stated(float(verdicts.total())), **counts}, trainings=0)}


STUDIES = {"pretraining": pretraining, "replication": replication, "stability": stability, "theory": of_theory}
"""Study → what makes its findings, for ``ledger --update``."""
