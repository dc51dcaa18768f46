from dataclasses import replace

import pytest
import torch

from influence_lib import pretrain, store
from influence_lib.errors import InputError
from influence_lib.influence import GaussianNoise, raw_loss
from influence_lib.pretrain import Recipe, knn_accuracy, linear_accuracy
from influence_lib.studies.removal import Arm, Retraining

RECIPE = Recipe("simclr", "controlled", n=60, width=2, epochs=6, batch_size=10, precision="fp32")
IDS = tuple(RECIPE.images().ids.tolist())


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    return tmp_path


def test_steps_or_epochs_stay_equal():
    whole = Retraining(RECIPE)
    assert (whole.epochs, whole.steps) == (6, 36)
    half = Retraining(RECIPE, IDS[:30])
    assert (half.epochs, half.steps) == (12, 36)
    third = Retraining(RECIPE, IDS[:19])  # 4 batches of 10 in an epoch, where all images have 6
    assert (third.epochs, third.steps) == (9, 36)
    shorter = replace(half, length="epochs")
    assert (shorter.epochs, shorter.steps) == (6, 18)


def test_it_is_a_training_on_the_images_that_are_kept(repository):
    left_out = Retraining(replace(RECIPE, epochs=2, seed=4), IDS[5:25])
    images = left_out.images()
    assert images.ids.tolist() == [*IDS[:5], *IDS[25:]]
    found = left_out.run(device="cpu")
    recipe = replace(RECIPE, epochs=3, seed=4)
    encoder = pretrain.pretrain(
        images,
        "simclr",
        width=2,
        epochs=3,
        batch_size=10,
        seed=4,
        precision="fp32",
        progress=False,
        **pretrain.scaled_hyper("simclr", 2, 40, 3, 10),
    )
    reference, test = recipe.reference(), recipe.held_out()
    assert len(reference) == 60  # accuracies rest on the images that were left out, too
    assert found["knn"] == knn_accuracy(encoder, reference, test)
    assert found["linear"] == linear_accuracy(encoder, reference, test)
    assert found["loss"] == encoder.history[-1]["loss"]
    assert found["steps"] == 12
    every = recipe.images()  # those that were left out, too
    expected = raw_loss(encoder, every, GaussianNoise(0.05, 0.2), draws=2, progress=False).values
    torch.testing.assert_close(found["losses"], expected)


def test_it_runs_once_and_keeps_nothing_else(repository, monkeypatch):
    one = Retraining(replace(RECIPE, epochs=1), IDS[:10], arm=Arm(1 / 6, "raw loss"), ranked_by="simclr")
    assert one.stored() is None
    found = one.run("results", "cpu")
    assert one.stored().parent == repository / "results" / "retraining"
    assert one.stored().name.startswith("simclr-controlled-without-17-highest-by-raw-loss-")
    assert store.load(one.stored())["arm"] == {
        "amount": 1 / 6,
        "by": "raw loss",
        "end": "highest",
        "matched": False,
        "tenth": 0,
    }
    asked = {"recipe": "simclr-controlled", "ranked_by": "simclr", "length": "steps"}
    assert store.load(one.stored())["asked"] == asked
    assert [entry.kind for entry in store.entries()] == ["retraining"]
    assert not list((repository / "artifacts" / "training").iterdir())
    monkeypatch.setattr("influence_lib.studies.removal.retraining.pretrain", None)
    again = Retraining(one.recipe, IDS[:10][::-1]).run("results", "cpu")  # the same images, whatever for
    assert torch.equal(again.pop("losses"), found.pop("losses"))
    assert again == found


def test_what_is_left_out_and_how_long_it_lasts_make_another_result(repository):
    one = Retraining(replace(RECIPE, epochs=2), IDS[:30])
    folders = {
        each.training()
        for each in (one, replace(one, left_out=IDS[30:]), replace(one, length="epochs"), Retraining(one.recipe))
    }
    assert len(folders) == 4


def test_it_goes_on_where_it_was_stopped(repository, monkeypatch):
    one = Retraining(replace(RECIPE, epochs=3), IDS[:30])
    monkeypatch.setattr("influence_lib.pretrain.loop.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    images = one.images()
    pretrain.pretrain(images, checkpoint=one.training(), stop_at=2, progress=False, **one._arguments(images, "cpu"))
    assert one.epochs_done() == 2
    undisturbed = pretrain.pretrain(images, progress=False, **one._arguments(images, "cpu"))
    assert one.run()["loss"] == undisturbed.history[-1]["loss"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"left_out": (10**6,)}, "left_out has the id 1000000, but no image of the recipe has it"),
        ({"left_out": IDS[:51]}, "fewer are kept than are in a batch, 10"),
    ],
)
def test_ids_that_do_not_fit_are_one_sentence(changed, said):
    with pytest.raises(InputError, match=said):
        Retraining(RECIPE, **changed).run()


def test_an_unknown_length_is_refused():
    with pytest.raises(InputError, match="length is 'hours', but it must be"):
        Retraining(RECIPE, length="hours")


def test_the_images_of_several_seeds_are_read_once(monkeypatch):
    from influence_lib.studies.removal import retraining

    retraining._every_image.cache_clear()
    asked = []
    monkeypatch.setattr(Recipe, "images", lambda self: asked.append(self) or self.collection.images(self.n))
    for seed in range(3):
        assert torch.equal(Retraining(replace(RECIPE, seed=seed)).images().ids, torch.tensor(IDS))
    assert len(asked) == 1
    retraining._every_image.cache_clear()
