"""The parameters that chapters share, and what is made of them."""

from typing import Any

import pytest
import torch

from influence_lib import influence, pretrain, store
from influence_lib.data import Collection
from influence_lib.errors import InputError
from influence_lib.notebook import (
    Epochs,
    LongerParameters,
    Method,
    Methods,
    ScoreParameters,
    TrainingsParameters,
)


class Settings(ScoreParameters):
    method: Method
    methods: Methods
    along: Epochs


GIVEN = {
    "dataset": "controlled",
    "folder": "",
    "size": 32,
    "damaged": "error",
    "seed": 0,
    "n": 50,
    "width": 2,
    "epochs": 1,
    "batch_size": 25,
    "precision": "fp32",
    "device": "cpu",
    "place": "artifacts",
    "noise_mean": 0.05,
    "noise_std": 0.2,
    "draws": 2,
    "factor_pairs": 20,
    "method": "byol",
    "methods": " simclr,byol ,",
    "along": "3, 1,3",
}


def test_lists_are_tuples() -> None:
    settings = Settings.check(GIVEN)
    assert (settings.methods, settings.along) == (("simclr", "byol"), (1, 3))
    assert Settings.check(GIVEN | {"along": ""}).along == ()
    assert Settings.check(GIVEN | {"along": 3}).along == (3,)  # what papermill makes of `-p along 3`


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dataset": "folder"}, "folder is '', but it must be a directory of images."),
        ({"dataset": "folder", "folder": "/nowhere"}, "folder is '/nowhere', but it must be a directory of images."),
        ({"dataset": "folder", "folder": __file__}, f"folder is {__file__!r}, but it must be a directory of images."),
        ({"folder": "x"}, "folder is 'x', but dataset is 'controlled': give the dataset 'folder'."),
        ({"damaged": "ignore"}, "damaged is 'ignore', but it must be 'error' or 'skip'."),
        ({"method": "mars"}, "method is 'mars', but it must be one of simclr, byol, "),
        ({"methods": "simclr, mars"}, "methods is 'simclr, mars', but it must be some of simclr, byol, "),
        ({"methods": "simclr, simclr"}, "methods is 'simclr, simclr', but it must be some of simclr, byol, "),
        ({"methods": ""}, "methods is '', but it must be some of simclr, byol, "),
        ({"methods": 3}, "methods is 3, but it must be a valid tuple."),
        ({"along": "1, x"}, "along is '1, x', but it must be whole numbers from 1 on, separated by commas."),
        ({"along": True}, "along is True, but it must be whole numbers from 1 on, separated by commas."),
        ({"along": "0"}, "along[0] is '0', but it must be greater than or equal to 1."),
        ({"factor_pairs": True}, "factor_pairs is True, but it must be a number."),
    ],
)
def test_a_wrong_value_is_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        Settings.check(GIVEN | given)
    assert str(error.value).startswith(said)
    assert str(error.value).count(". ") == 0


def test_a_recipe_has_what_the_chapter_says() -> None:
    settings = Settings.check(GIVEN | {"seed": 3})
    expected = pretrain.Recipe("byol", "controlled", n=50, width=2, epochs=1, batch_size=25, seed=3, precision="fp32")
    assert settings.recipe("byol") == expected
    assert settings.recipe("byol", seed=1, stop_at=4).name == "byol-controlled-seed1-epoch4"


def test_another_data_set_has_no_folder(tmp_path: Any) -> None:
    settings = Settings.check(GIVEN | {"dataset": "folder", "folder": str(tmp_path)})
    assert settings.recipe("byol").collection == Collection("folder", str(tmp_path))
    assert settings.recipe("byol", dataset="cifar100").collection == Collection("cifar100")


def test_images_do_not_depend_on_the_seed() -> None:
    one, other = (Settings.check(GIVEN | {"seed": seed}).some_images(20) for seed in (0, 1))
    assert one.fingerprint == other.fingerprint
    assert Settings.check(GIVEN).some_images(10, size=16).images.shape == (10, 3, 16, 16)


def test_scores_are_stored_as_stored_scores_does(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    settings = Settings.check(GIVEN)
    encoder, images = settings.untrained(), settings.some_images(20)
    assert encoder.settings["name"] == "untrained-width2"
    found = settings.scores(encoder, images)
    assert list(found) == ["EK-FAC", "gradient norm", "raw loss"]
    noise = influence.GaussianNoise(0.05, 0.2)
    expected = influence.self_influence(encoder, images, noise, factor_pairs=20, draws=2, device="cpu", progress=False)
    assert torch.equal(found["EK-FAC"].by_draw, expected.by_draw)
    settings.ekfac(encoder, images)
    settings.raw_loss(encoder, images, seed=1)
    assert len(store.entries(tmp_path)) == 5  # the encoder and four scores: nothing was computed twice


class Longer(LongerParameters, ScoreParameters):
    pass


LONGER = {name: value for name, value in GIVEN.items() if name not in ("method", "methods", "along")} | {
    "replicated": "simclr",
    "trainings": 3,
    "longer_n": 60,
    "longer_epochs": 2,
    "longer_at": "1, 2",
}


def test_longer_trainings_are_those_of_other_seeds_along_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes: list[pretrain.Recipe] = []

    def kept(recipe: pretrain.Recipe, *_: str) -> pretrain.Recipe:
        recipes.append(recipe)
        return recipe

    monkeypatch.setattr(pretrain.Recipe, "encoder", kept)
    found = Longer.check(LONGER | {"seed": 5}).along_trainings("byol")
    assert list(found) == [1, 2]
    expected = [(60, 2, seed, stop) for stop in (1, None) for seed in (5, 6, 7)]
    assert [(each.n, each.epochs, each.seed, each.stop_at) for each in recipes] == expected
    assert found[1] + found[2] == recipes


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trainings": 2}, "trainings is 2, but it must be greater than or equal to 3."),
        ({"longer_at": "1, 3"}, "longer_at ends with 3, but it must end with longer_epochs, 2, or before."),
        ({"longer_at": ""}, "longer_at is ''"),
        ({"replicated": "mars"}, "replicated is 'mars', but it must be some of simclr, "),
    ],
)
def test_wrong_longer_trainings_are_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        Longer.check(LONGER | given)
    assert str(error.value).startswith(said)


def test_trainings_that_differ_in_the_seed_belong_together(tmp_path: Any, monkeypatch: Any) -> None:
    shipped: dict[str, Any] = {}
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    monkeypatch.setattr(pretrain, "load_checkpoint", lambda name: shipped.setdefault(name, pretrain.build_encoder(2)))
    names = "simclr, byol-cifar10-50k, simclr-seed2,byol-cifar10-50k-seed1, simclr-controlled, untrained"
    given = {name: value for name, value in GIVEN.items() if name not in ("method", "methods", "along")}
    found = TrainingsParameters.check(given | {"encoders": names}).trainings()
    assert {title: len(group) for title, group in found.items()} == {
        "SimCLR": 3,
        "BYOL, cifar10, 50k": 2,
        "untrained": 1,
    }
    assert [each.settings.get("seed") for each in found["SimCLR"][:2]] == [0, 2]
    assert list(shipped) == ["byol-cifar10-50k", "byol-cifar10-50k-seed1", "simclr-controlled"]
    assert found["untrained"][0].settings["name"] == "untrained-width2"


def test_trainings_are_looked_at_as_they_were_before(monkeypatch) -> None:
    given = {name: value for name, value in GIVEN.items() if name not in ("method", "methods", "along")}
    asked = []
    monkeypatch.setattr(pretrain, "load_checkpoint", lambda name: asked.append(name))
    names = "simclr, simclr-seed2, byol-cifar10-50k, byol-cifar10-50k-seed1"
    settings = TrainingsParameters.check(given | {"encoders": names, "epochs": 2})
    own = settings.after(1, "SimCLR")
    assert [len(each.history) for each in own] == [1, 1]
    assert [each.settings["seed"] for each in own] == [0, 2]
    settings.after(10, "BYOL, cifar10, 50k")
    assert asked == ["byol-cifar10-50k-epoch10", "byol-cifar10-50k-seed1-epoch10"]


@pytest.mark.parametrize("names", ["", "simclr, simclr", ","])
def test_encoders_are_named_each_once(names: str) -> None:
    given = {name: value for name, value in GIVEN.items() if name not in ("method", "methods", "along")}
    with pytest.raises(InputError, match=r"encoders is .* must be one name or more, each once, separated by commas"):
        TrainingsParameters.check(given | {"encoders": names})
