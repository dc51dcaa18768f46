import pandas as pd

from influence_lib.estimate import Estimate
from influence_lib.studies.findings.groups import fairness


def table(value):
    rows = {
        ("highest", "class", "Black"): value,
        ("highest", "class", "White"): value + 1,
        ("lowest", "class", "White"): value + 2,
        ("highest", "gender", "Female"): value + 3,
        ("highest less lowest", "photograph", "left-right difference"): value + 4,
    }
    return pd.DataFrame(
        [
            dict(zip(("of", "attribute", "name"), row, strict=True))
            | {"score": score, **Estimate(number + shift, 0.0, 1.0, 3, "training").describe()}
            for score, shift in (("EK-FAC", 0.0), ("raw loss", 100.0), ("random", 1000.0))
            for row, number in rows.items()
        ]
    )


class Known:
    """Stands for committed results: of BYOL's trainings on FairFace."""

    def __init__(self, *names):
        self.names = names

    def table(self, kind, name):
        assert kind == "fairness-table"
        if name not in self.names:
            return None
        return table(10.0 * len(name)), {"scores": {"EK-FAC": ["a", "b"], "raw loss": ["c", "d"]}}

    def gate(self, *names):
        self.asked = names
        return True


def test_each_number_is_that_of_its_group_or_measure():
    results = Known("byol-fairface")
    found, base = fairness(results), 10.0 * len("byol-fairface")
    assert set(found) == {f"{what}.{kind}" for what in ("class", "gender", "left_right_difference") for kind in KINDS}
    assert {k: v.value for k, v in found["class.ekfac"].values.items()} == {"Black": base, "White": base + 1}
    assert found["gender.raw_loss"].values["Female"].value == base + 103
    assert found["left_right_difference.ekfac"].values[""].value == base + 4
    assert (found["class.ekfac"].trainings, found["class.ekfac"].gate) == (2, True)
    assert results.asked == ("byol-fairface", "byol-fairface-seed1")


def test_the_larger_training_counts_and_nothing_is_said_without_one():
    found = fairness(Known("byol-fairface", "byol-fairface-10.5k"))
    assert found["class.ekfac"].values["Black"].value == 10.0 * len("byol-fairface-10.5k")
    assert fairness(Known("simclr-fairface-10.5k")) == {}


KINDS = ("ekfac", "raw_loss")
