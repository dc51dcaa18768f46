"""Findings on duplicates that nobody planted: the automobiles of CIFAR-10, over trainings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from influence_lib.estimate import Estimate, share
from influence_lib.finding import Finding
from influence_lib.influence import Scores
from influence_lib.studies.duplicates import ALIKE, among_the_lowest, beyond_matched, detection, groups_of_pairs
from influence_lib.studies.findings.committed import METHODS, Results
from influence_lib.studies.findings.several import EPOCHS, SEEDS, trained

__all__ = ["duplicates"]

SCORED = {"n": 6000, "draws": 2}  # all images of the class and 1,000 others
CARS, ALL, BEES = 5000, 50_000, 115  # automobiles, images of CIFAR-10, and bees of CIFAR-100 that are here
FEW, MORE = 5, 18  # of the paper's Figs. 4 and 12
PAPERS = ("ekfac", "raw_loss")


def duplicates(results: Results) -> dict[str, Finding]:
    """Return whether the lowest automobiles have copies, for each method of which three trainings have scored them."""
    pairs = results.pairs("cifar10", CARS)
    if pairs is None:
        return {}
    ids, table = pairs
    counted = table[table["correlation"] >= ALIKE]
    copied = _copied(ids, table)
    two_largest = sum(map(len, groups_of_pairs(counted)[:2]))
    counts = {"alike": ALIKE, "looked_through": len(ids), "have_a_copy": copied.sum(), "two_largest": two_largest}
    for key, dataset, n in (("everywhere", "cifar10", ALL), ("bees", "cifar100", BEES)):
        if (others := results.pairs(dataset, n)) is not None:
            counts |= {f"{key}.looked_through": len(others[0]), f"{key}.have_a_copy": _copied(*others).sum()}
    found = {key: Finding({"": Estimate.stated(float(value))}, 0) for key, value in counts.items()}
    lowest, compared = {}, []
    for method in METHODS:
        names = _scored(results, method)
        if not names:
            continue
        scores = {kind: [_of_class(results.scores(name, kind, **SCORED), ids) for name in names] for kind in PAPERS}
        gate = results.gate(*names)
        found |= {
            f"{key}.{method}": Finding(each, len(names), gate) for key, each in _of_method(scores, copied).items()
        }
        lowest[method] = among_the_lowest({"": scores["ekfac"]}, copied, [FEW, MORE]).loc[""]
        compared += names
    if len(lowest) == len(METHODS):  # an order of methods needs all of them
        gate = results.gate(*compared)
        for k in (FEW, MORE):
            values = {m: _of_few(row[k], k).scaled(k) for m, row in lowest.items()}
            found[f"lowest_{k}"] = Finding(values, len(SEEDS), gate)
    return found


def _copied(ids: Sequence[int], pairs: pd.DataFrame) -> np.ndarray:
    """Return which of the images have a copy, bool."""
    return np.isin(ids, np.unique(pairs.loc[pairs["correlation"] >= ALIKE, ["a", "b"]].to_numpy()))


def _scored(results: Results, method: str) -> list[str]:
    """Return the names of a method's trainings after the most epochs at which all have scored the class, if any."""
    for epoch in reversed(EPOCHS):
        names = [trained(method, seed, epoch) for seed in SEEDS]
        if all(results.has_scores(name, kind, **SCORED) for name in names for kind in PAPERS):
            return names
    return []


def _of_method(scores: dict[str, list[Scores]], copied: np.ndarray) -> dict[str, dict[str, Estimate]]:
    base, hundredth = float(copied.mean()), len(copied) // 100
    shares = among_the_lowest(scores, copied, [FEW, MORE, hundredth])
    names = {FEW: "lowest 5", MORE: "lowest 18", hundredth: "lowest hundredth"}
    matched = list(zip(scores["ekfac"], scores["raw_loss"], strict=True))
    one_class = np.zeros(len(copied), dtype=np.int64)
    return {
        **{
            f"more_than_all.{kind}": {
                name: _shifted(_of_few(shares.loc[kind, k], k), -base) for k, name in names.items()
            }
            for kind in scores
        },
        "beyond_easy": {"": beyond_matched(matched, copied, one_class)},
        "auroc": detection(scores, copied, "lowest")["AUROC"].to_dict(),
    }


def _of_class(scores: Scores, ids: Sequence[int]) -> Scores:
    """Return the scores of the images of the class, in the order of the ids."""
    places = {image: place for place, image in enumerate(scores.ids.tolist())}
    return scores.subset([places[image] for image in ids])


def _of_few(value: Estimate, k: int) -> Estimate:
    """Return a share of k images with an interval that is no narrower than Wilson's over as many images.

    Where all trainings have no copy among five, the interval over trainings has no width, and five images say little.
    """
    over_images = share(np.arange(k) < round(value.value * k))
    low, high = min(value.low, over_images.low), max(value.high, over_images.high)
    return replace(value, low=max(low, 0.0), high=min(high, 1.0))


def _shifted(value: Estimate, by: float) -> Estimate:
    return replace(value, value=value.value + by, low=value.low + by, high=value.high + by)
