import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from influence_lib.errors import InputError
from influence_lib.studies.removal import effects, paired_difference, power_table, trainings_needed

NAMES = ["nothing", "random", "highest by EK-FAC", "random, classes as highest by EK-FAC"]


def table(trainings=6, seed=0, **shifts):
    """Return made-up accuracies: a part of each training, a part of each arm, and noise."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0.5, 0.05, trainings)
    rows = []
    for name, (i, of_training) in itertools.product(NAMES, enumerate(own)):
        noise = rng.normal(0, 0.01, 2)
        linear = of_training + shifts.get(name, 0.0) + noise[0]
        rows.append(
            {
                "method": "SimCLR",
                "ranked by": "SimCLR",
                "amount": 0.0 if name == "nothing" else 0.3,
                "left out": name,
                "length": "steps",
                "training": i,
                "knn": linear - 0.1 + noise[1],
                "linear": linear,
            }
        )
    return pd.DataFrame(rows)


def test_a_difference_is_that_of_a_paired_test():
    found = table()
    wide = found.pivot(index="training", columns="left out", values="linear")
    ours = paired_difference(found, NAMES[2], "random")
    theirs = ttest_rel(wide[NAMES[2]], wide["random"])
    interval = theirs.confidence_interval(0.95)
    assert ours.value == pytest.approx((wide[NAMES[2]] - wide["random"]).mean())
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert (ours.n, ours.unit) == (6, "training")


def test_a_shift_is_found_against_each_control():
    row = effects(table(**{NAMES[2]: 0.1, NAMES[3]: 0.1})).loc[("SimCLR", "SimCLR", "steps", 0.3, NAMES[2])]
    assert row["to random"].above(0.05)
    assert row["to all images"].above(0.05)
    assert abs(row["to its classes"].value) < 0.02  # the control with its classes is as good, but for noise


def test_a_control_that_is_not_there_is_none():
    found = table()
    rows = effects(found[~found["left out"].isin(["random", NAMES[3]])])
    assert list(rows.index.get_level_values("left out")) == [NAMES[2]]
    assert rows.iloc[0]["to random"] is None
    assert rows.iloc[0]["to its classes"] is None
    assert effects(found).loc[("SimCLR", "SimCLR", "steps", 0.3, "random"), "to random"] is None


def test_trainings_are_compared_only_where_both_are_done():
    found = table()
    some = found[~((found["left out"] == "random") & (found["training"] > 1))]
    assert paired_difference(some, NAMES[2], "random").n == 2
    one = found[~((found["left out"] == "random") & (found["training"] > 0))]
    alone = paired_difference(one, NAMES[2], "random")
    assert alone.n == 1
    assert np.isnan(alone.low)
    assert alone.compared(0) == "not clearly different from"


def test_nothing_done_is_an_empty_table():
    assert effects(table().iloc[:0]).empty


def test_trainings_needed_are_those_of_the_t_test():
    statsmodels = pytest.importorskip("statsmodels.stats.power")
    for deviation, effect in itertools.product((0.5, 1.5, 3.0), (1.0, 2.3)):
        exact = statsmodels.TTestPower().solve_power(effect / deviation, alpha=0.05, power=0.8)
        assert trainings_needed(deviation, effect) in (max(2, int(np.ceil(exact))), max(2, int(np.floor(exact)) + 1))
    with pytest.raises(InputError, match="effect is 1e-06"):
        trainings_needed(1.0, 1e-6)
    with pytest.raises(InputError, match="deviation is 0"):
        trainings_needed(0, 1)


def test_power_is_that_of_what_was_run():
    found = power_table(table(), {"large": 0.1, "small": 0.002})
    assert found.loc["large", "power"] > 0.99
    assert found.loc["small", "power"] < 0.1
    assert found.loc["small", "needed"] > 100
    wide = table().pivot(index="training", columns="left out", values="linear")
    spread = wide.drop(columns="random").sub(wide["random"], axis=0).std()
    assert found.loc["large", "deviation"] == pytest.approx(np.sqrt((spread**2).mean()))
    with pytest.raises(InputError, match="the number of trainings with a random control is 1"):
        power_table(table(trainings=1), {"large": 0.1})


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="measure is 'speed'"):
        effects(table(), "speed")
    with pytest.raises(InputError, match="left out is 'some'"):
        paired_difference(table(), "some", "random")
