from dataclasses import replace

import pandas as pd
import pytest

from influence_lib import pretrain, store
from influence_lib.errors import InputError
from influence_lib.studies.duplicates import CopyExperiment, copy_effects

RECIPE = pretrain.Recipe("simclr", "controlled", n=50, width=2, epochs=1, batch_size=25, precision="fp32")
TINY = CopyExperiment(RECIPE, copies=(1, 2), each=2, trainings=2, draws=2, factor_pairs=20)


@pytest.fixture
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    return tmp_path


def test_a_tiny_experiment_runs_once(in_a_folder, monkeypatch):
    found = TINY.changes("results", "cpu", progress=False)
    effects = copy_effects(found)
    assert list(effects.index.unique("score")) == ["EK-FAC", "gradient norm", "raw loss"]
    assert list(effects.columns) == ["training 0", "training 1", "effect"]
    assert {each.unit for each in effects["effect"]} == {"training"}
    kinds = [entry.folder.split("/")[:2] for entry in store.entries(in_a_folder)]
    assert kinds.count(["results", "copies"]) == 1
    assert kinds.count(["artifacts", "encoder"]) == 4
    monkeypatch.setattr("influence_lib.studies.duplicates.experiment.copy_changes", None)
    pd.testing.assert_frame_equal(TINY.changes("results", "cpu", progress=False), found)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"each": 20}, "the number of images is 50, but it must be 120 or more"),
        ({"copies": ()}, r"copies is \[\]"),
        ({"trainings": 0}, "trainings is 0"),
    ],
)
def test_a_wrong_number_is_told_before_a_training(in_a_folder, changed, said):
    with pytest.raises(InputError, match=said):
        replace(TINY, **changed).changes(progress=False)
    assert store.entries(in_a_folder) == []
