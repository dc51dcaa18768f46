import pandas as pd
import pytest

from influence_lib.estimate import Estimate
from influence_lib.studies.findings.ends import patterns


def table(shift, scores=("EK-FAC", "raw loss", "EK-FAC, scaled noise")):
    """Return a stored table in which every number says which row it is."""
    rows = []
    for s, score in enumerate(scores):
        statistics = {
            ("highest less lowest", "border uniformity"): 1,
            ("highest less controls", "border uniformity"): 2,
            ("highest less rest", "border uniformity"): 7,
            ("highest less lowest", "colourfulness"): -3,
            ("highest less lowest", "neighbour distance"): 4,
            ("highest less lowest", "label purity"): 6,
            ("highest less lowest", "distance within the set"): 5,
        }
        for (beside, statistic), value in statistics.items():
            estimate = Estimate(value + shift + 100 * s, 0.0, 1.0, 3, "training")
            rows.append({"beside": beside, "statistic": statistic, "score": score, **estimate.describe()})
    return pd.DataFrame(rows)


class Known:
    """Stands for committed results: three trainings of SimCLR to the end, three of BYOL to half, one with labels."""

    def __init__(self):
        self.asked = []
        self.tables = {
            "simclr-cifar10-50k": (table(0.0), {"encoders": ["a", "b", "c"]}),
            "byol-cifar10-50k-epoch10": (table(0.25), {"encoders": ["d", "e", "f"]}),
            "byol-cifar10-50k-epoch5": (table(0.5), {"encoders": ["g"]}),
            "supervised-cifar10-50k": (table(0.75), {"encoders": ["h"]}),
            "simclr-cifar100": (table(0.125), {"encoders": ["i", "j"]}),
        }

    def table(self, kind, name):
        assert kind == "patterns-table"
        return self.tables.get(name)

    def gate(self, *encoders):
        self.asked.append(encoders)
        return "supervised" not in encoders[0]


def test_each_number_is_that_of_its_row():
    found = patterns(Known())
    assert found["uniform.ekfac.simclr"].values[""].value == 1
    assert found["uniform_beside_controls.raw_loss.simclr"].values[""].value == 102
    assert found["uniform_beside_controls.scaled.simclr"].values[""].value == 202
    assert found["colourful.ekfac.simclr"].values[""].value == -3
    assert {k: v.value for k, v in found["clusters.raw_loss.simclr"].values.items()} == {
        "among all": 104,
        "within the set": 105,
    }
    assert found["purity.ekfac.simclr"].values[""].value == 6
    assert not any("barlow" in key for key in found)


def test_the_longest_trainings_count_and_their_gate():
    results = Known()
    found = patterns(results)
    assert found["uniform.ekfac.byol"].values[""].value == pytest.approx(1.25)
    assert (found["uniform.ekfac.byol"].trainings, found["uniform.ekfac.byol"].gate) == (3, True)
    assert (found["uniform.ekfac.supervised"].trainings, found["uniform.ekfac.supervised"].gate) == (1, False)
    assert found["uniform_beside_rest.ekfac.simclr-cifar100"].values[""].value == 7.125
    assert ("simclr-cifar100", "simclr-cifar100-seed1") in results.asked
    assert tuple(f"byol-cifar10-50k{seed}-epoch10" for seed in ("", "-seed1", "-seed2")) in results.asked


def test_what_is_stored_after_fewer_epochs_makes_a_trend():
    found = patterns(Known())
    trend = found["clusters.raw_loss.byol"].trend
    assert (trend.over, trend.at) == ("epochs", (5, 10))
    assert [value.value for value in trend.series["among all"]] == [104.5, 104.25]
    assert found["uniform.ekfac.simclr"].trend is None
