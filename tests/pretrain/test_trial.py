import pytest
import torch

from influence_lib import data, store
from influence_lib.errors import InputError
from influence_lib.pretrain import METHODS, Recipe, knn_accuracy, pretrain, scaled_hyper, trials
from influence_lib.pretrain.stored import stored_encoder

TINY = Recipe("byol", "controlled", n=40, width=2, epochs=2, batch_size=20, precision="fp32")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    return tmp_path


@pytest.mark.parametrize("method", METHODS)
def test_each_trial_changes_one_thing_and_is_allowed(method):
    recipe = Recipe(method, "controlled", n=80, width=8, epochs=2, batch_size=40, precision="fp32")
    found = trials(recipe)
    assert next(iter(found)) == "as trained here"
    assert len(found) >= 4
    said = [(tuple(trial.hyper.items()), trial.augmentation) for trial in found.values()]
    assert len(set(said)) == len(said)
    for trial in found.values():
        assert bool(trial.hyper) + (trial.augmentation is not None) <= 1
        stored = recipe.arguments(recipe.images()) | dict(trial.hyper)
        assert {key: type(value) for key, value in trial.hyper.items()} == {
            key: type(stored[key]) for key in trial.hyper
        }


def test_rates_bracket_the_one_that_is_used():
    scaled = scaled_hyper("byol", 2, 40, 2, 20)["lr"]
    found = trials(TINY)
    papers, root = (found[name].hyper["lr"] for name in ("the papers' rate", "rate by the square root of steps"))
    assert root < scaled < papers == METHODS["byol"].DEFAULTS["lr"]
    assert scaled == pytest.approx((root * papers) ** 0.5)  # the fourth root is the middle of 0 and the square root
    simclr = trials(Recipe(**{**vars(TINY), "method": "simclr"}))
    assert simclr["twice the rate"].hyper["lr"] == 4 * simclr["half the rate"].hyper["lr"]


def test_a_trial_is_a_training_judged_on_other_images(repository):
    trial = trials(TINY)["the papers' rate"]
    images, judges = TINY.images(), trial.judges()
    assert len(judges) == 40
    assert not torch.isin(judges.ids, images.ids).any()
    found = trial.run(progress=False)
    arguments = scaled_hyper("byol", 2, 40, 2, 20) | {"lr": 1.0}
    encoder = pretrain(images, "byol", width=2, epochs=2, batch_size=20, precision="fp32", progress=False, **arguments)
    assert found["knn"] == knn_accuracy(encoder, images, judges)
    assert found["effective_rank"] == encoder.history[-1]["effective_rank"]
    assert [entry.kind for entry in store.entries()] == ["trial"]
    assert not list((repository / "artifacts" / "training").iterdir())


def test_a_trial_is_run_once_and_told_from_an_encoder(repository, monkeypatch):
    first = trials(TINY)["as trained here"].run("results", progress=False)
    stored_encoder(TINY.images(), progress=False, **TINY.arguments(TINY.images()))
    monkeypatch.setattr("influence_lib.pretrain.trial.pretrain", None)
    assert trials(TINY)["as trained here"].run(progress=False) == first
    assert sorted(entry.kind for entry in store.entries()) == ["encoder", "trial"]


def test_all_images_leave_none_to_judge(monkeypatch):
    every = data.load("controlled", n=40)
    monkeypatch.setattr(data.Collection, "images", lambda self, n=None, size=None: every)
    with pytest.raises(InputError, match="n is 40, but trials are judged on other images"):
        trials(TINY)["as trained here"].judges()
