import numpy as np
import pandas as pd
import pytest

from influence_lib import data
from influence_lib.errors import InputError
from influence_lib.pretrain import Recipe
from influence_lib.studies.removal import (
    Arm,
    Retraining,
    class_balance,
    drawn,
    effects,
    gains_in_words,
    missing_in_words,
    power_in_words,
    power_table,
)
from tests.studies.removal.test_effects import NAMES, table


def test_gains_are_said_with_their_trainings():
    found = effects(table(**{NAMES[2]: 0.1}))
    assert gains_in_words(found, "EK-FAC").startswith("- SimCLR, 30%, equal steps: without the highest by EK-FAC +")
    assert "in 6 trainings, better; without the lowest by EK-FAC not done yet." in gains_in_words(found, "EK-FAC")
    assert "in 6 trainings, worse" in gains_in_words(effects(table(**{NAMES[2]: -0.1})), "EK-FAC", "to random")
    same = effects(table(**{NAMES[2]: 0.1, NAMES[3]: 0.1}, seed=5))
    assert "in 6 trainings, not clearly different" in gains_in_words(same, "EK-FAC")
    with pytest.raises(InputError, match="column is 'accuracy'"):
        gains_in_words(found, "EK-FAC", "accuracy")


def test_a_single_training_is_said_to_be_one():
    found = table(trainings=1)
    assert "in a single training" in gains_in_words(effects(found), "EK-FAC")
    alone = found[found["left out"].isin(["nothing", NAMES[2]])]
    assert "without the highest by EK-FAC not done yet" in gains_in_words(effects(alone), "EK-FAC")
    assert gains_in_words(effects(found.iloc[:0]), "EK-FAC").startswith("- No training without")


def test_what_is_drawn_is_what_all_sweeps_have():
    two = pd.concat([table(), table(seed=1).assign(method="supervised")])
    series = drawn(effects(two))
    assert list(series) == ["SimCLR, 30%, equal steps", "supervised, ranked by SimCLR, 30%, equal steps"]
    assert [list(values) for values in series.values()] == [[NAMES[2], NAMES[3]]] * 2
    some = two[~((two["method"] == "supervised") & (two["left out"] == NAMES[3]))]
    assert [list(values) for values in drawn(effects(some)).values()] == [[NAMES[2]]] * 2
    assert list(drawn(effects(two.iloc[:0]))) == ["no training is done"]
    with pytest.raises(InputError, match="column is 'accuracy'"):
        drawn(effects(two), "accuracy")


def test_power_is_said_with_what_it_takes():
    said = power_in_words(power_table(table(), {"a gain": 0.023}))
    assert said.startswith("With 6 trainings and a standard deviation of 1.")
    assert "a gain of 2.3 points would be seen with a chance of" in said


def test_the_classes_of_what_is_left_out():
    images = data.load("controlled", n=50)
    recipe = Recipe("simclr", "controlled", n=50, width=2, epochs=1, batch_size=10)
    of_first = tuple(images.ids[images.labels == 0].tolist())
    found = class_balance([Retraining(recipe), Retraining(recipe, of_first, arm=Arm(0.1, "raw loss"))], images)
    assert list(found.index) == ["highest by raw loss"]
    assert found.loc["highest by raw loss", "largest"] == 1
    assert found.loc["highest by raw loss", images.class_names[0]] == 1
    assert np.isclose(found.drop(columns="largest").sum(axis=1), 1).all()


def test_what_is_missing_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    recipe = Recipe("simclr", "controlled", n=50, width=2, epochs=1, batch_size=10)
    some = [Retraining(recipe, (i,)) for i in data.load("controlled", n=50).ids[:2].tolist()]
    assert missing_in_words([*some, some[0]]) == "None of the 2 trainings is done."
    some[0].run()
    assert missing_in_words(some) == "1 of the 2 trainings is done."
    some[1].run()
    assert missing_in_words(some) == "All of the 2 trainings are done."
