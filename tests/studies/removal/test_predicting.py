from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from influence_lib import store
from influence_lib.pretrain import Recipe
from influence_lib.studies.fanout import run_all
from influence_lib.studies.removal import Sweep, group_changes, predictions, predictions_in_words, tenths

RECIPE = Recipe("simclr", "controlled", n=60, width=2, epochs=1, batch_size=10, precision="fp32")


def made_up(trainings, predictor, measured="loss of the group", noise=0.0):
    rng = np.random.default_rng(0)
    rows = []
    for training in range(trainings):
        for tenth in range(1, 11):
            row = {name: rng.normal() for name in ("score", "raw loss")}
            moved = {name: rng.normal() for name in ("loss of the group", "loss of the others", "knn", "linear")}
            moved[measured] = row[predictor] + noise * rng.normal()
            rows.append({"training": training, "tenth": tenth} | row | moved)
    return pd.DataFrame(rows)


@pytest.mark.parametrize("predictor", ["score", "raw loss"])
def test_what_predicts_is_found(predictor):
    found = predictions(made_up(5, predictor, noise=0.2))
    other = {"score": "raw loss", "raw loss": "score"}[predictor]
    assert found.loc[predictor, "loss of the group"].above(0.7)
    assert not found.loc[other, "loss of the group"].above(0.4)
    assert not found.loc[predictor, "linear"].above(0.4)
    assert found.loc[predictor, "loss of the group"].n == 5


def test_what_came_out_is_said():
    said = predictions_in_words(predictions(made_up(4, "score")))
    assert said.startswith("Over 4 trainings the mean score of a group has a rank correlation of 1.00 [1.00, 1.00]")
    assert "(above 0; the raw loss:" in said
    for few in (made_up(1, "score"), made_up(3, "score").groupby("training").head(2)):
        assert predictions_in_words(predictions(few)).startswith("Too few of the trainings")


def test_changes_are_those_between_two_trainings(tmp_path, monkeypatch):
    from influence_lib.studies.removal import sweep as module

    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    module._rankings.cache_clear()
    arms = tenths("JPEG size", 0.05)
    sweep = Sweep(RECIPE, (arms[0], arms[1], arms[10]), 1, RECIPE)
    assert group_changes(sweep).empty
    whole, lowest, highest = sweep.retrainings()
    run_all([lowest], progress=False)
    assert group_changes(sweep).empty  # nothing to compare with
    run_all([whole, highest], progress=False)
    found = group_changes(sweep)
    assert found["tenth"].tolist() == [1, 10]
    assert found["score"].is_monotonic_increasing
    before, after = whole.run(), highest.run()
    own = np.isin(RECIPE.images().ids.numpy(), highest.left_out)
    assert own.sum() == 3
    moved = (after["losses"] - before["losses"]).numpy()
    row = found.iloc[1]
    assert row["loss of the group"] == pytest.approx(moved[own].mean(), rel=1e-4)
    assert row["loss of the others"] == pytest.approx(moved[~own].mean(), rel=1e-4)
    assert row["linear"] == after["linear"].value - before["linear"].value
    module._rankings.cache_clear()
    assert replace(sweep, trainings=2).name == "SimCLR by tenths"
