import numpy as np
import pandas as pd
import pytest

from influence_lib import store
from influence_lib.estimate import Estimate
from influence_lib.studies.continual import AFTER
from influence_lib.studies.findings import Results
from influence_lib.studies.findings.experiments import attribution, bridges, continual, removal

RNG = np.random.default_rng(0)


class Known:
    """Stands for committed results: tables by kind, and trainings without some of their images."""

    def __init__(self, tables=None, retrainings=None):
        self.tables = tables or {}
        self.rows = retrainings

    def table(self, kind, what=""):
        found = self.tables.get((kind, what))
        return None if found is None else (found, {"judged": 60})

    def retrainings(self):
        return self.rows

    def gate(self, *encoders):
        assert encoders in {("simclr-cifar10",), ("simclr-cifar10-50k",)}
        return True


def outcomes(**shared):
    return {"bridges": 0.3, "other links": 0.2, "accuracy": 0.4} | shared


def of_bridges(learned=0.5):
    arms = {"nothing": 0.3, "highest uniform": 0.25, "lowest uniform": 0.31, "random, same classes": 0.3}
    removed = [
        {"arm": arm, "training": i} | outcomes(bridges=value + 0.001 * (i * len(arm) % 3))
        for i in range(3)
        for arm, value in arms.items()
    ]
    parts = [
        {"uniform": part, "training": i} | outcomes(bridges=0.2 + 0.2 * part + 0.01 * i * part)
        for part in (0.0, 0.5, 1.0)
        for i in range(3)
    ]
    mediation = [{"training": i, "overall": 0.4 + 0.01 * i, "within backgrounds": 0.01 * (i - 1)} for i in range(3)]
    controls = [
        {"encoder": name} | Estimate(value, value - 0.02, value + 0.02, 1000).describe()
        for name, value in (("own", learned), ("random weights", 0.2), ("supervised", 0.8))
    ]
    tables = {"removal": removed, "parts": parts, "mediation": mediation, "controls": controls}
    return Known({("bridges", what): pd.DataFrame(rows) for what, rows in tables.items()})


def test_bridges_are_found_where_all_tables_are_there():
    found = bridges(of_bridges())
    assert found["made"].values[""].value == pytest.approx(100 * 0.21)
    assert found["without_highest"].values["bridges"].below(-4)
    assert found["highest_or_lowest"].values["bridges"].value == pytest.approx(-6, abs=0.3)
    assert found["score"].values["within backgrounds"].compared(0) == "not clearly different from"
    assert {(each.trainings, each.gate) for each in found.values()} == {(3, True)}
    assert bridges(of_bridges(learned=0.25))["made"].gate is False
    some = of_bridges()
    del some.tables["bridges", "mediation"]
    assert bridges(some) == {}


def test_what_moves_and_what_is_lost_is_found():
    rows = [
        {
            "training": i,
            "then": then,
            "accuracy before": 0.5,
            "accuracy after": 0.4 if then == AFTER[0] else 0.5 + 0.01 * i,
            "EK-FAC, stays": 0.7,
            "EK-FAC, with loss": 0.3 + 0.01 * i,
            "raw loss, with loss": 0.1 + 0.01 * i,
        }
        for i in range(3)
        for then in AFTER
    ]
    found = continual(Known({("continual", ""): pd.DataFrame(rows)}))
    assert found["lost"].values[AFTER[0]].value == pytest.approx(-10)
    assert found["with_loss"].values["EK-FAC"].above(0.2)
    assert found["stays"].trainings == 3
    assert continual(Known()) == {}


def retrained(trainings=3):
    arms = {
        ("nothing", 0.0, ""): 0.5,
        ("random", 0.3, ""): 0.48,
        ("highest by EK-FAC", 0.3, "simclr"): 0.51,
        ("random, classes as highest by EK-FAC", 0.3, "simclr"): 0.50,
        ("lowest by raw loss", 0.3, "simclr"): 0.45,
    }
    return pd.DataFrame(
        [
            {
                "recipe": "simclr-cifar10",
                "ranked by": ranked_by,
                "amount": amount,
                "left out": arm,
                "length": "steps",
                "training": i,
                "knn": 0.4,
                "linear": value + 0.01 * i + RNG.normal(0, 1e-4),
            }
            for i in range(trainings)
            for (arm, amount, ranked_by), value in arms.items()
        ]
    )


def test_gains_over_controls_are_found_by_key():
    found = removal(Known(retrainings=retrained()))
    assert set(found) == {
        "highest.ekfac.random.30.steps.simclr-cifar10",
        "highest.ekfac.classes.30.steps.simclr-cifar10",
        "lowest.raw_loss.random.30.steps.simclr-cifar10",
    }
    gain = found["highest.ekfac.random.30.steps.simclr-cifar10"]
    assert gain.values[""].value == pytest.approx(3, abs=0.1)
    assert (gain.trainings, gain.gate, gain.values[""].unit) == (3, True, "training")
    assert removal(Known(retrainings=retrained(trainings=1))) == {}
    other = retrained().replace({"recipe": {"simclr-cifar10": "supervised-cifar10-made-up"}})
    assert all(key.endswith(".supervised-cifar10-made-up.simclr") for key in removal(Known(retrainings=other)))


def test_committed_tables_and_trainings_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    table = pd.DataFrame({"training": [0, 1], "overall": [0.1, 0.2]})
    store.get({"kind": "bridges", "name": "ours", "what": "mediation", "k": 5}, lambda: {"table": table}, "results")
    values = {
        "knn": Estimate(0.4, 0.3, 0.5, 100).describe(),
        "linear": Estimate(0.5, 0.4, 0.6, 100).describe(),
        "arm": {"amount": 0.3, "by": "EK-FAC", "end": "highest", "matched": True, "tenth": 0},
        "asked": {"recipe": "simclr-cifar10", "ranked_by": "simclr", "length": "steps"},
    }
    store.get({"kind": "retraining", "name": "one", "seed": 4}, lambda: values, "results")
    results = Results(tmp_path)
    found, settings = results.table("bridges", what="mediation")
    pd.testing.assert_frame_equal(found, table)
    assert settings["k"] == 5
    assert results.table("bridges", what="parts") is None
    assert results.table("bridges", name="ours") is not None
    assert results.table("bridges", name="others") is None
    (row,) = results.retrainings().to_dict("records")
    assert row == {
        "recipe": "simclr-cifar10",
        "ranked by": "simclr",
        "amount": 0.3,
        "left out": "random, classes as highest by EK-FAC",
        "length": "steps",
        "training": 4,
        "knn": 0.4,
        "linear": 0.5,
    }


def test_attribution_has_a_finding_for_lds_for_seconds_and_for_each_change():
    rows = [
        {"what": what, "way": way, "value": value, "low": value - 0.1, "high": value + 0.1, "n": 100, "unit": "target"}
        for what in ("LDS", "removal")
        for way, value in (("TRAK", 0.3), ("exemplar SVM (SimCLR, 50k)", 0.1))
    ]
    rows += [
        {"what": "seconds", "way": "TRAK", **Estimate.stated(3.0).describe()},
        {"what": "seconds", "way": "ceiling", **Estimate.stated(float("nan")).describe()},
    ]
    found = attribution(Known({("attribution-table", ""): pd.DataFrame(rows)}))
    assert found.pop("seconds").values == {"TRAK": Estimate.stated(3.0)}
    assert found.pop("seconds.trak").values[""].n is None
    alone = {f"{what}.{way}" for what in ("lds", "removal") for way in ("trak", "exemplar_svm_simclr_50k")}
    assert set(found) == {"lds", "removal"} | alone
    assert found["removal.exemplar_svm_simclr_50k"].values[""].value == 0.1
    trak = found["lds"].values["TRAK"]
    assert (trak.value, trak.low, trak.high, trak.n) == pytest.approx((0.3, 0.2, 0.4, 100))
    assert (found["removal"].trainings, found["removal"].gate) == (60, True)
    assert attribution(Known()) == {}
