import pytest
import torch
from PIL import Image

from influence_lib import data, store
from influence_lib.cli import main
from influence_lib.errors import InputError
from influence_lib.pretrain import SHIPPED, Recipe, load_checkpoint, shipped
from influence_lib.pretrain import commands as commands_module
from influence_lib.pretrain import loop as loop_module

TINY = Recipe("simclr", "controlled", n=40, width=2, epochs=3, batch_size=20, precision="fp32")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    return tmp_path


@pytest.fixture
def tiny(repository, monkeypatch):
    monkeypatch.setattr(commands_module, "SHIPPED", (TINY,))
    monkeypatch.setattr(commands_module, "shipped", lambda name: TINY)
    monkeypatch.setattr(Recipe, "held_out", lambda self: data.load("controlled", split="test", n=20))


def test_names_are_unique_and_say_what_differs():
    names = [recipe.name for recipe in SHIPPED]
    assert len(set(names)) == len(names)
    assert {"simclr-cifar10", "simclr-cifar10-seed1", "simclr-cifar10-epoch6", "byol-fairface"} <= set(names)
    assert {"simclr-cifar10-50k-seed2", "byol-fairface-10.5k", "barlow-cifar100-15k"} <= set(names)
    assert shipped("byol-cifar100") == next(r for r in SHIPPED if r.name == "byol-cifar100")
    with pytest.raises(InputError, match="name is 'byol-mars'"):
        shipped("byol-mars")


def test_what_the_book_needs_ships():
    by_set = {dataset: {r.method for r in SHIPPED if r.dataset == dataset} for dataset in ("cifar10", "cifar100")}
    assert by_set["cifar10"] == {"simclr", "byol", "barlow", "vicreg", "dino", "moco", "supervised"}
    assert by_set["cifar100"] == {"simclr", "byol", "barlow", "supervised"}
    for dataset in ("cifar10", "cifar100"):
        of_set = [r for r in SHIPPED if r.dataset == dataset]
        for method in ("simclr", "byol", "barlow"):
            assert {r.seed for r in of_set if r.method == method and r.n == 5000} >= {0, 1}
            assert {r.seed for r in of_set if r.method == method and r.n > 5000} == {0, 1, 2}
    small = [r for r in SHIPPED if r.n == 5000]
    along = [r.stop_at or r.epochs for r in small if r.method == "simclr" and r.dataset == "cifar10" and not r.seed]
    assert along == sorted(along)
    assert len(along) == 3


def test_encoders_along_a_training_cost_one_run(repository, monkeypatch):
    epochs = []
    original = loop_module._Run.train_epoch
    monkeypatch.setattr(loop_module._Run, "train_epoch", lambda run, *a: (epochs.append(run.epoch), original(run, *a)))
    early = Recipe(**{**vars(TINY), "stop_at": 1}).encoder(progress=False)
    whole = TINY.encoder(progress=False)
    assert epochs == [0, 1, 2]
    assert (len(early.history), len(whole.history)) == (1, 3)
    assert (early.settings["name"], early.settings["stop_at"]) == ("simclr-controlled-epoch1", 1)
    assert not list((repository / "artifacts" / "training").iterdir())
    loaded = load_checkpoint("simclr-controlled-epoch1")
    pairs = zip(loaded.state_dict().values(), early.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_those_in_results_come_first_by_name(repository):
    TINY.encoder("results", progress=False)
    Recipe(**{**vars(TINY), "epochs": 2}).encoder("artifacts", progress=False)
    assert load_checkpoint("simclr-controlled").settings["epochs"] == 3


def test_the_command_lists_trains_and_measures(tiny, capsys):
    assert main(["encoders"]) == 0
    assert "simclr-controlled      40      2     3/3  not there" in capsys.readouterr().out
    assert main(["encoders", "simclr-controlled", "--train", "--place", "results"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.count("%") == 2
    kinds = sorted((entry.kind, entry.folder.split("/")[0]) for entry in store.entries())
    assert kinds == [("accuracy", "results"), ("encoder", "results")]
    accuracy = TINY.accuracy(load_checkpoint("simclr-controlled"))
    assert f"{accuracy['knn'].value:.1%}" in line
    assert accuracy["linear"].n == 20


def test_an_unknown_name_is_refused(capsys):
    assert main(["encoders", "byol-mars"]) == 2
    assert (
        "name is 'byol-mars', but it must be one of 'simclr-controlled', 'simclr-cifar10-epoch6'"
        in capsys.readouterr().err
    )


@pytest.fixture
def photos(tmp_path):
    """Return a function that makes a folder of two classes, with some images held out if wanted."""

    def make(*splits):
        pixels = torch.randint(0, 256, (9, 9, 3), dtype=torch.uint8).numpy()
        for split in splits:
            for name in ("cat/a.png", "cat/b.png", "dog/c.png"):
                (tmp_path / split / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / split / name)
        return Recipe("supervised", "folder", width=2, epochs=1, precision="fp32", size=16, folder=str(tmp_path))

    return make


def test_images_of_ones_own_are_trained_on_and_measured(repository, photos):
    recipe = photos("train", "test")
    encoder = recipe.encoder(progress=False)
    assert (encoder.settings["name"], encoder.settings["batch_size"]) == ("supervised-folder", 3)
    assert recipe.measurable()
    assert recipe.accuracy(encoder)["knn"].n == 3


def test_without_labels_held_out_there_is_no_accuracy(repository, photos):
    recipe = photos("train")
    assert not recipe.measurable()
    with pytest.raises(InputError, match=r"folder is .*, but it must be one with folders train and test"):
        recipe.held_out()
    assert TINY.measurable()
