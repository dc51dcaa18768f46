"""Findings over several trainings of one setting, with intervals over trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from influence_lib.estimate import Estimate
from influence_lib.finding import Finding, Trend
from influence_lib.influence import TABLE_4, GaussianNoise, Scores
from influence_lib.pretrain import Recipe
from influence_lib.studies.findings.committed import KINDS, METHODS, NOISE, Results
from influence_lib.studies.stability import agreement_of_trainings, along_trainings, correlation_with, shift

__all__ = ["EPOCHS", "SEEDS", "replication", "trained"]

SEEDS = (0, 1, 2)  # of the trainings on 50,000 images
EPOCHS: tuple[float, ...] = (5, 10, 20)  # after which they are compared


def replication(results: Results) -> dict[str, Finding]:
    """Return what three trainings on all images say, method by method, after the epochs at which all are scored."""
    found: dict[str, Finding] = {}
    for method in METHODS:
        names = {epoch: [trained(method, seed, epoch) for seed in SEEDS] for epoch in EPOCHS}
        scored = {e: each for e, each in names.items() if all(results.has_scores(n, k) for n in each for k in KINDS)}
        if scored:
            found |= {f"{key}.{method}": finding for key, finding in _of_method(results, scored).items()}
    return found


def trained(method: str, seed: int, epoch: float) -> str:
    """Return the name of a training after some epochs."""
    stop_at = None if epoch == EPOCHS[-1] else int(epoch)
    return Recipe(method, "cifar10", n=50_000, epochs=int(EPOCHS[-1]), seed=seed, stop_at=stop_at).name


def _of_method(results: Results, names: Mapping[float, Sequence[str]]) -> dict[str, Finding]:
    """Return what trainings say, by the names of their encoders after growing numbers of epochs."""
    last = names[max(names)]
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
        "epochs": Finding({"": Estimate.stated(float(max(names)))}, len(SEEDS), gate),
        **pairs,
        "score_and_loss": finding(along.with_loss),
        "high_scores": finding(along.high),
        "skewness": finding(along.tail),
        **{key: Finding(values, len(SEEDS), gate) for key, values in _perturbed(results, last).items()},
    }


def _perturbed(results: Results, names: Sequence[str]) -> dict[str, dict[str, Estimate]]:
    """Return what another perturbation does to the scores of some trainings; draws differ from the default's."""

    def by_each(**options: Any) -> list[Scores]:
        return [results.scores(name, **options) for name in names]

    if not all(results.has_scores(name, seed=1) for name in names):
        return {}  # under another perturbation they are scored last
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
