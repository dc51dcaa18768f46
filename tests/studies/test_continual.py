from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib import data, pretrain, store
from influence_lib.errors import InputError
from influence_lib.pretrain import Recipe
from influence_lib.studies.continual import (
    AFTER,
    ContinualExperiment,
    forgetting_in_words,
    moves,
    own_class,
    two_phases,
)
from tests.studies.scores import scores_of

RECIPE = Recipe("simclr", "controlled", n=60, width=2, epochs=1, batch_size=10, precision="fp32")
TINY = ContinualExperiment(RECIPE, trainings=2, k=5, factor_pairs=20)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    return tmp_path


def test_each_phase_has_half_of_the_classes():
    images = data.load("controlled", n=60)
    early, late = two_phases(images)
    assert early.labels.unique().tolist() == [0, 1, 2, 3, 4]
    assert late.labels.unique().tolist() == [5, 6, 7, 8, 9]
    assert sorted([*early.ids.tolist(), *late.ids.tolist()]) == sorted(images.ids.tolist())
    odd, rest = two_phases(images.subset(images.labels < 7))
    assert (len(odd.labels.unique()), len(rest.labels.unique())) == (3, 4)
    with pytest.raises(InputError, match="the number of classes is 3"):
        two_phases(images.subset(images.labels < 3))


def test_the_second_phase_goes_on_from_the_first(repository):
    encoders = TINY.encoders(seed=0, device="cpu", progress=False)
    early, late = two_phases(RECIPE.images())
    arguments = {**RECIPE.arguments(late), "progress": False}
    del arguments["name"]
    by_hand = pretrain.pretrain(late, start=encoders["before"], **arguments)
    found = encoders["other classes"].state_dict()
    assert all(torch.equal(value.half().float(), found[key].float()) for key, value in by_hand.state_dict().items())
    afresh = pretrain.pretrain(late, **arguments).state_dict()
    assert any(not torch.equal(value.half().float(), found[key].float()) for key, value in afresh.items())
    assert encoders["the same classes"].settings["data"] == early.describe()


def test_a_score_that_rises_with_what_is_lost_is_found():
    rng = np.random.default_rng(0)
    lost, base = rng.normal(size=100), rng.permutation(100).astype(float)
    found = moves(scores_of(base), scores_of(base + 30 * lost), lost)
    assert found["with loss"] > 0.8
    assert 0 < found["stays"] < 0.95
    assert moves(scores_of(base), scores_of(base - 30 * lost), lost)["with loss"] < -0.8
    still = moves(scores_of(base), scores_of(base), lost)
    assert still["stays"] == pytest.approx(1)
    assert np.isnan(still["with loss"])


def test_own_class_counts_neighbours(monkeypatch):
    images = data.load("controlled", n=20)
    monkeypatch.setattr(
        "influence_lib.studies.continual.embed",
        lambda *a, **k: torch.eye(10)[images.labels] + 0.01 * torch.rand(20, 10),
    )
    assert own_class(pretrain.build_encoder(2), images, k=1).tolist() == [1.0] * 20
    assert own_class(pretrain.build_encoder(2), images, k=4).tolist() == [0.25] * 20  # one other of two


def test_the_table_is_computed_once(repository, monkeypatch):
    first = TINY.table(device="cpu", progress=False)
    assert first[["training", "then"]].to_numpy().tolist() == [[seed, then] for seed in (0, 1) for then in AFTER]
    assert first["accuracy before"].nunique() <= 2
    assert sum(entry.kind == "encoder" for entry in store.entries()) == 8  # two of random weights
    monkeypatch.setattr(ContinualExperiment, "_rows", None)
    pd.testing.assert_frame_equal(TINY.table(device="cpu", progress=False), first)


def test_what_came_out_is_said():
    rows = [
        {
            "training": i,
            "then": then,
            "accuracy before": 0.5 + 0.01 * i,
            "accuracy after": (0.4 if then == AFTER[0] else 0.52) + 0.01 * i,
            "EK-FAC, stays": 0.6 + 0.01 * i,
            "raw loss, stays": 0.8,
            "EK-FAC, with loss": 0.3 + 0.02 * i,
            "raw loss, with loss": 0.1,
        }
        for i in range(3)
        for then in AFTER
    ]
    said = forgetting_in_words(pd.DataFrame(rows))
    assert "changes by -10.0 [-10.0, -10.0] points while the other classes are learned" in said
    assert "and by +2.0 [+2.0, +2.0] where the first ones are learned on (3 trainings)" in said
    assert said.endswith("images that rise in the ranking are those that are lost.")


@pytest.mark.parametrize(("changed", "said"), [({"trainings": 1}, "trainings is 1"), ({"k": 0}, "k is 0")])
def test_a_wrong_value_is_one_sentence(changed, said):
    with pytest.raises(InputError, match=said):
        replace(TINY, **changed)
