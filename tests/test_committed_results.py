"""The committed results: whole, found, and tied to encoders and images that are known."""

import pytest

from influence_lib import store
from influence_lib.influence import stored
from influence_lib.pretrain import SHIPPED, fingerprint, load_checkpoint
from influence_lib.pretrain import recipes as recipes_module

ENTRIES = [entry for entry in store.entries() if entry.folder.startswith("results/")]


def of_kind(*kinds):
    return [entry for entry in ENTRIES if entry.kind in kinds]


@pytest.fixture(scope="module")
def encoders():
    return {fingerprint(load_checkpoint(entry.name)): entry.name for entry in of_kind("encoder")}


def test_every_result_is_whole_and_found_by_its_settings():
    assert {"encoder", "accuracy", "scores"} <= {entry.kind for entry in ENTRIES}
    for entry in ENTRIES:
        folder = store.repository() / entry.folder
        assert store.load(folder)
        assert store.find({"kind": entry.kind, **entry.settings}) == folder


def test_accuracies_and_scores_belong_to_encoders_that_are_here(encoders):
    assert len(encoders) == len(of_kind("encoder"))
    for entry in of_kind("accuracy", "scores", "cross-influence"):
        assert encoders[entry.settings["encoder"]] in entry.name


def test_scores_are_those_of_the_rules_of_today():
    for entry in of_kind("scores", "cross-influence"):
        assert entry.settings.get("revision", 1) == stored.REVISIONS[entry.settings["score"]]
        assert ("damping" in entry.settings) == (entry.settings.get("curvature", "identity") != "identity")


@pytest.mark.images
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "fairface"])
def test_accuracies_that_are_here_are_found_without_computing(dataset, real_images, monkeypatch):
    real_images(dataset)
    monkeypatch.setattr(recipes_module, "both_accuracies", None)
    here = {entry.name for entry in of_kind("accuracy")}
    recipe = next(recipe for recipe in SHIPPED if recipe.dataset == dataset and recipe.name in here)
    assert recipe.accuracy(load_checkpoint(recipe.name))["knn"].n > 2000
