"""Counterfactual trainings: which images they see, what they give, and that each is run once."""

from dataclasses import replace

import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.pretrain import embed
from influence_lib.studies.attribution import Counterfactual, Halves, margins
from influence_lib.studies.fanout import run_all


def test_margins_are_to_the_highest_other_logit():
    logits = torch.tensor([[[3.0, 1.0, 2.0], [0.0, 5.0, -1.0]], [[1.0, 1.0, 1.0], [2.0, 0.0, 9.0]]])
    assert margins(logits, torch.tensor([0, 2])).tolist() == [[1.0, -6.0], [0.0, 7.0]]


def test_targets_are_as_many_of_each_class_and_none_is_trained_on(recipe):
    targets = replace(recipe, targets_of_class=3).targets()
    assert targets.split != recipe.images().split
    assert torch.bincount(targets.labels).tolist() == [3] * len(recipe.images().class_names)
    fewer = recipe.targets()
    assert set(fewer.ids.tolist()) <= set(targets.ids.tolist())


def test_images_are_left_out_and_relabelled(recipe):
    every = recipe.images()
    gone, changed = every.ids[[0, 7]], every.ids[[3, 4]]
    seen = Counterfactual(recipe, tuple(gone.tolist()), tuple(changed.tolist()), label=2).images()
    kept = ~torch.isin(every.ids, gone)
    assert torch.equal(seen.ids, every.ids[kept])
    expected = every.labels.clone()
    expected[[3, 4]] = 2
    assert torch.equal(seen.labels, expected[kept])
    assert torch.equal(Counterfactual(recipe).images().labels, every.labels)


def test_it_is_the_classifier_on_the_targets_and_is_trained_once(recipe, monkeypatch):
    task = Counterfactual(recipe, left_out=(int(recipe.images().ids[5]),), seed=3)
    assert task.stored() is None
    logits = task.run()
    torch.testing.assert_close(logits, embed(task.model(), recipe.targets()))
    monkeypatch.setattr("influence_lib.studies.attribution.training.train_classifier", None)
    assert torch.equal(task.run(), logits)
    with pytest.raises(TypeError):
        replace(task, seed=4).run()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"left_out": (10**6,)}, "left_out has the id 1000000, but no image of the recipe has it"),
        ({"relabelled": (10**6,), "label": 0}, "relabelled has the id 1000000"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_trainings_are_refused(recipe, changed, message):
    with pytest.raises(InputError, match=message):
        Counterfactual(recipe, **changed).run()


def test_a_label_that_is_no_class_is_refused(recipe):
    with pytest.raises(InputError, match="label is 99"):
        Counterfactual(recipe, relabelled=(int(recipe.images().ids[0]),), label=99).run()


def test_more_targets_than_there_are_are_refused(recipe):
    with pytest.raises(InputError, match="targets_of_class is 100000, but it must be at most"):
        replace(recipe, targets_of_class=100_000).targets()


def test_halves_are_random_halves_that_do_not_depend_on_their_number(recipe):
    many, few = Halves(recipe, 40), Halves(recipe, 3)
    assert many.kept.shape == (40, 60)
    assert (many.kept.sum(1) == 30).all()
    assert torch.equal(many.kept[:3], few.kept)
    assert 8 < float(many.kept.sum(0).double().mean()) < 32
    agreement = (many.kept[:, None] == many.kept[None]).double().mean(2)
    assert agreement[~torch.eye(40, dtype=torch.bool)].mean() == pytest.approx(0.5, abs=0.03)


def test_outputs_and_repetitions_are_the_margins_of_their_trainings(recipe):
    halves = Halves(recipe, subsets=3, repeated=2, times=2)
    tasks = halves.trainings()
    assert len(set(tasks)) == len(tasks) == 5
    assert len({task.seed for task in tasks}) == 5
    assert run_all(tasks, progress=False) == []
    assert halves.stored() is None
    labels = recipe.targets().labels
    outputs, again = halves.outputs(), halves.repetitions()
    assert halves.stored() is not None
    for subset in range(3):
        torch.testing.assert_close(outputs[subset], margins(halves.training(subset).run(), labels))
    assert again.shape == (2, 2, len(labels))
    for subset in range(2):
        for time in range(2):
            torch.testing.assert_close(again[subset, time], margins(halves.training(subset, time).run(), labels))
    assert Halves(recipe, 3).repetitions().shape == (0, 1, len(labels))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"subsets": 1}, "subsets is 1"),
        ({"subsets": 3, "repeated": 4}, "repeated is 4"),
        ({"subsets": 3, "times": 0}, "times is 0"),
    ],
)
def test_wrong_halves_are_refused(recipe, asked, message):
    with pytest.raises(InputError, match=message):
        Halves(recipe, **asked)
