from dataclasses import replace

import pandas as pd
import pytest
import torch

from influence_lib import store
from influence_lib.errors import InputError
from influence_lib.pretrain import Recipe, knn_accuracy, stored_untrained
from influence_lib.studies.bridges import BridgeExperiment, background_of
from influence_lib.studies.bridges.experiment import _repainted
from tests.studies.scores import scores_of

RECIPE = Recipe("simclr", "controlled", n=50, width=2, epochs=1, batch_size=10, precision="fp32")
TINY = BridgeExperiment(RECIPE, uniform=(0.0, 1.0), amount=0.2, trainings=2, factor_pairs=20)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    return tmp_path


def test_tables_are_computed_once(repository, monkeypatch):
    first = [table(progress=False) for table in (TINY.by_part, TINY.removal, TINY.mediation)]
    parts, removal, mediation = first
    assert parts[["uniform", "training"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert removal.groupby("arm")["training"].apply(list).map(lambda seeds: seeds == [0, 1]).all()
    assert removal["removed"].tolist() == [0, 10, 10, 10, 10] * 2
    assert mediation["training"].tolist() == [0, 1]
    assert parts[["bridges", "other links", "accuracy"]].stack().between(0, 1).all()
    assert sum(entry.kind == "bridges" for entry in store.entries()) == 3
    monkeypatch.setattr(BridgeExperiment, "_encoder", None)
    again = [table(progress=False) for table in (TINY.by_part, TINY.removal, TINY.mediation)]
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_controls_are_random_weights_and_labels(repository):
    found = TINY.controls(device="cpu", progress=False)
    assert list(found) == ["own", "random weights", "supervised"]
    images, test = TINY._painted(0.5), _repainted(None, 0.5, "test")
    assert found["random weights"] == knn_accuracy(stored_untrained(2), images, test)
    assert TINY.controls(device="cpu", progress=False) == found


def test_each_arm_leaves_out_what_it_says():
    images = TINY._painted(0.5)
    scores = scores_of(torch.arange(50.0))
    removed = TINY._removed(images, scores, seed=0)
    uniform = background_of(images).isin(["white", "black"]).to_numpy().nonzero()[0].tolist()
    assert removed["nothing"].tolist() == []
    assert sorted(removed["highest uniform"].tolist()) == uniform[-10:]
    assert sorted(removed["lowest uniform"].tolist()) == uniform[:10]
    assert set(removed["random uniform"].tolist()) < set(uniform)
    classes = [
        images.labels[removed[arm]].sort().values.tolist() for arm in ("highest uniform", "random, same classes")
    ]
    assert classes[0] == classes[1]
    assert all(len(set(each.tolist())) == len(each) for each in removed.values())


def test_without_images_it_takes_as_many_steps(repository, monkeypatch):
    asked = []
    monkeypatch.setattr(Recipe, "encoder", lambda self, *rest: asked.append((self.epochs, len(rest[-1]))))
    longer = replace(TINY, recipe=replace(RECIPE, epochs=8))
    images = longer._painted(0.5)
    longer._encoder(images, 0, "cpu", False)
    longer._encoder(images.subset(range(40)), 0, "cpu", False)
    assert asked == [(8, 50), (10, 40)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"amount": 0.5}, "amount is 0.5, but it must be below 0.5"),
        ({"amount": 0.0}, "amount is 0"),
        ({"trainings": 1}, "trainings is 1"),
        ({"k": 0}, "k is 0"),
        ({"recipe": replace(RECIPE, dataset="cifar10")}, "dataset is 'cifar10', but it must be one of 'controlled'"),
    ],
)
def test_a_wrong_value_is_one_sentence(changed, said):
    with pytest.raises(InputError, match=said):
        replace(TINY, **changed)
