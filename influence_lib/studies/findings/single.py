"""Findings of single trainings, or of one pair: their intervals are over images."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain

import numpy as np
from scipy.stats import skew

from influence_lib import theory
from influence_lib.estimate import Estimate, bootstrapped, mean, share
from influence_lib.finding import Finding
from influence_lib.influence import TABLE_4, GaussianNoise, Scores, partial_agreement, rank_agreement
from influence_lib.studies.findings.committed import (
    DATASETS,
    KINDS,
    METHODS,
    NOISE,
    WITHOUT_LABELS,
    Results,
)
from influence_lib.studies.stability import STRENGTHS, distributions, orders, two_readings
from influence_lib.studies.trend import over_scales, score_and_loss_over_scales
from influence_lib.theory.statement import OURS

__all__ = ["of_theory", "pretraining", "stability"]

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
    left = {
        f"left.{method}-{dataset}": _left(results, f"{method}-{dataset}") for method in METHODS for dataset in DATASETS
    }
    return {
        **two,
        **left,
        **_distributions(results),
        **_perturbations(results),
        **_strengths(results),
        **_losses(results),
        **_along(results),
        **_score_and_loss(results),
    }


def _left(results: Results, name: str) -> Finding:
    """Return what is left of the agreement of two trainings when both raw losses are known."""
    names = (name, f"{name}-seed1")
    a, b = (results.scores(each) for each in names)
    losses = [results.scores(each, "raw_loss") for each in names]
    return Finding({"": partial_agreement(a, b, losses)}, 1, results.gate(*names))


def _two_trainings(results: Results, name: str, kind: str) -> Finding:
    agreement = rank_agreement(results.scores(name, kind), results.scores(f"{name}-seed1", kind))
    return Finding(values={"": agreement}, trainings=1, gate=results.gate(name, f"{name}-seed1"))


def _distributions(results: Results) -> dict[str, Finding]:
    """Return how the scores of the methods are distributed, and whether their means go with the accuracies."""
    compared = {dataset: [f"{method}-{dataset}" for method in METHODS] for dataset in DATASETS}
    every = [f"{method}-cifar10" for method in WITHOUT_LABELS]
    logs = {name: np.log(results.scores(name).values.double().numpy()) for name in {*chain(*compared.values()), *every}}

    def of_methods(encoders: Sequence[str], of: Callable[[str], Estimate]) -> Finding:
        return Finding({name.split("-")[0]: of(name) for name in encoders}, 1, results.gate(*encoders))

    found = {
        f"log_mean.{key}": of_methods(names, lambda name: mean(logs[name], "image")) for key, names in compared.items()
    }
    spread = {
        f"log_spread.{key}": of_methods(names, lambda name: _deviation(logs[name])) for key, names in compared.items()
    }
    order = _orders(results, {f"{key}": names for key, names in compared.items()} | {"six_methods": every})
    return {
        **found,
        **spread,
        **order,
        "log_mean.six_methods": of_methods(every, lambda name: mean(logs[name], "image")),
        "skewness": of_methods(every, lambda name: _skewness(results.scores(name))),
    }


def _deviation(values: np.ndarray) -> Estimate:
    return bootstrapped(np.std, (values,))


def _skewness(scores: Scores) -> Estimate:
    return bootstrapped(partial(skew, bias=False), (scores.values.double().numpy(),))


def _orders(results: Results, encoders: Mapping[str, Sequence[str]]) -> dict[str, Finding]:
    """Return how the order of the mean log scores goes with that of the accuracies, and of the least spread."""
    found = {}
    for key, names in encoders.items():
        accuracies = {name: each for name in names if (each := results.accuracy(name, "linear")) is not None}
        both = orders(distributions({name: results.scores(name) for name in accuracies}), accuracies)
        gate = results.gate(*names)
        for kind, value in (("accuracy", both.with_accuracy), ("least_spread", both.with_least_spread)):
            found[f"mean_and_{kind}.{key}"] = Finding({"": Estimate.stated(value)}, 1, gate)
    return found


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
    others = {p: results.scores(encoder, perturbation=p, seed=2) for p in STRENGTHS}
    by_strength = {f"N({p.mean:g}, {p.std:g})": rank_agreement(each, default) for p, each in others.items()}
    return {
        "strength.correlations": Finding(by_strength, 1, gate),
        "strength.correlation": Finding(values={"": rank_agreement(scores[0.3], default)}, trainings=1, gate=gate),
        "strength.shift": Finding(values={"": mean(logs[1] - logs[0], "image")}, trainings=1, gate=gate),
    }


def _losses(results: Results) -> dict[str, Finding]:
    """Return how two trainings agree by each loss, with one perturbed view and with two."""
    one, other = "simclr-cifar10", "simclr-cifar10-seed1"
    pairs = {
        f"{loss}, {views}": tuple(results.scores(name, loss=loss, views=views) for name in (one, other))
        for loss in ("cosine", "mse", "ntxent")
        for views in ("one", "two")
    }
    values = {name: rank_agreement(a, b) for name, (a, b) in pairs.items()}
    return {"losses.between_trainings": Finding(values, 1, results.gate(one, other))}


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
