import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from influence_lib import data
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.pretrain import METHODS, Recipe, build_encoder
from influence_lib.pretrain.collapse import MIN_SPREAD
from influence_lib.replication import over_trainings
from influence_lib.studies import (
    accuracies,
    accuracies_along,
    augmented,
    collapse,
    examples,
    has_learned,
    hyper_parameters,
    loss_directions,
    pairs_in_the_plane,
    trials_sentence,
    tried,
)


@pytest.fixture(scope="module")
def images():
    return data.load("controlled", n=20)


def test_examples_are_spread_over_the_classes(images):
    assert images.labels[examples(images, 10)].tolist() == list(range(10))
    assert len(examples(images, 3)) == 3
    assert sorted(examples(images, 50).tolist()) == list(range(20))
    with pytest.raises(InputError, match="n is 0"):
        examples(images, 0)


def test_views_are_random_but_the_same_for_a_seed(images):
    few = images.subset([0, 1])
    before = torch.get_rng_state()
    pixels, views = augmented(few, 3, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(pixels, few.images.float() / 255)
    assert views.shape == (2, 3, 3, 32, 32)
    assert 0 <= views.min() < views.max() <= 1
    assert torch.equal(augmented(few, 3, seed=1)[1], views)
    assert not torch.equal(augmented(few, 3, seed=2)[1], views)
    with pytest.raises(InputError, match="number is 0"):
        augmented(few, 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_falls_where_its_arrows_point(method):
    points = pairs_in_the_plane()
    directions = loss_directions(method, points)
    assert directions.shape == (2, 6, 2)
    assert np.abs(directions).max() > 0
    if method not in ("simclr", "moco", "byol", "dino"):
        return
    # only directions count where representations are normalised: the arrows are perpendicular to the points
    along = (torch.from_numpy(directions) * points).sum(dim=2)
    assert along.abs().max() < 1e-5 * np.abs(directions).max()


def test_byol_only_attracts_and_its_gradient_has_a_closed_form():
    points = pairs_in_the_plane().double().requires_grad_()
    cosines = F.cosine_similarity(points[0], points[1].detach()) + F.cosine_similarity(points[1], points[0].detach())
    (2 * cosines.mean()).backward()
    np.testing.assert_allclose(loss_directions("byol", points.detach().float()), points.grad, atol=1e-6)


def test_points_that_are_no_pairs_are_refused():
    with pytest.raises(InputError, match=r"the shape of points is \(6, 2\)"):
        loss_directions("simclr", pairs_in_the_plane()[0])
    with pytest.raises(InputError, match="method is 'mars'"):
        loss_directions("mars", pairs_in_the_plane())


def test_at_the_papers_scale_the_hyper_parameters_are_the_papers():
    table = hyper_parameters(list(METHODS), width=64, n_images=50_000, epochs=1000)
    np.testing.assert_allclose(table["here"], table["papers'"], rtol=0.01)
    small = hyper_parameters(["byol"], width=16, n_images=5000, epochs=60)
    assert small.loc[("BYOL", "projector hidden"), "here"] == 1024
    with pytest.raises(InputError, match="methods is 'byol'"):
        hyper_parameters("byol", 16, 5000, 60)


def test_the_end_of_a_training_says_whether_it_collapsed():
    fine, gone = {"spread": 0.9, "effective_rank": 20.0}, {"spread": MIN_SPREAD / 2, "effective_rank": 20.0}
    table = collapse({"fine": [gone, fine], "gone": [fine, gone]})
    assert table["collapsed"].to_dict() == {"fine": False, "gone": True}
    assert table.loc["fine", "effective_rank"] == 20
    with pytest.raises(InputError, match="the history of 'untrained' has no epoch"):
        collapse({"untrained": []})
    with pytest.raises(InputError, match="the number of histories is 0"):
        collapse({})


def test_accuracies_are_those_of_the_recipe_and_computed_once(tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    held_out = data.load("controlled", split="test", n=20)
    monkeypatch.setattr(Recipe, "held_out", lambda self: held_out)
    recipe = Recipe("simclr", "controlled", n=40, width=2)
    encoder = build_encoder(2)
    table = accuracies(recipe, {"one": encoder})
    found = recipe.accuracy(encoder)
    assert table.loc["one"].to_dict() == {"nearest neighbours": found["knn"], "linear": found["linear"]}
    assert len(list((tmp_path / "artifacts" / "accuracy").iterdir())) == 1
    with pytest.raises(InputError, match="the number of encoders is 0"):
        accuracies(recipe, {})


@pytest.mark.parametrize(
    ("own", "learned"),
    [
        (Estimate(0.46, 0.45, 0.47, 10_000), True),
        (Estimate(0.44, 0.43, 0.45, 10_000), False),  # less than a third of the way
        (Estimate(0.46, 0.29, 0.63, 10), False),  # not clearly better than random weights
    ],
)
def test_the_gate_asks_for_both(own, learned):
    assert has_learned(own, Estimate(0.3, 0.29, 0.31, 10_000), Estimate.stated(0.75)) is learned


def test_without_a_supervised_control_the_gate_is_open_unless_random_weights_are_as_good():
    untrained = Estimate(0.3, 0.29, 0.31, 10_000)
    assert has_learned(Estimate(0.46, 0.45, 0.47, 10_000), untrained, None) is None
    assert has_learned(Estimate(0.31, 0.3, 0.32, 10_000), untrained, None) is False


def test_accuracies_along_have_intervals_over_trainings(monkeypatch):
    def accuracy(self, encoder, place, device):
        return {"knn": Estimate.stated(encoder), "linear": Estimate.stated(encoder + 0.1)}

    monkeypatch.setattr(Recipe, "accuracy", accuracy)
    found = accuracies_along(Recipe("simclr", "controlled"), {10: [0.5, 0.6], 5: [0.3, 0.5]})
    assert found.at == (5, 10)
    assert found.series["nearest neighbours"] == (over_trainings([0.3, 0.5], 0, 1), over_trainings([0.5, 0.6], 0, 1))
    assert found.series["linear"][1] == over_trainings([0.6, 0.7], 0, 1)


def test_what_was_tried_has_a_row_for_each_change(tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    recipe = Recipe("barlow", "controlled", n=40, width=2, epochs=1, batch_size=20, precision="fp32")
    table = tried([recipe])
    assert set(table.loc["Barlow Twins"].index) >= {"as trained here", "a projector four times as wide"}
    assert list(table) == ["nearest neighbours", "effective rank", "spread", "collapsed"]
    assert {value.n for value in table["nearest neighbours"]} == {40}
    assert trials_sentence("Barlow Twins", table.loc["Barlow Twins"]).startswith("Barlow Twins reaches ")
    with pytest.raises(InputError, match="the number of recipes is 0"):
        tried([])


def test_the_sentence_on_trials_names_what_is_clear():
    def ended(**accuracies):
        knn = {name: Estimate(value, value - 0.02, value + 0.02, 100) for name, value in accuracies.items()}
        return pd.DataFrame({"nearest neighbours": knn, "effective rank": 7.0})

    own = {"as trained here": 0.4}
    said = trials_sentence("BYOL", ended(**own, fast=0.3, slow=0.41, wide=0.5))
    assert said.startswith("BYOL reaches 40.0% [38.0%, 42.0%] as it is trained here, with an effective rank of 7.0: ")
    assert said.endswith("clearly better with wide; clearly worse with fast.")
    assert trials_sentence("BYOL", ended(**own, slow=0.41)).endswith("no change makes a clear difference.")
    with pytest.raises(InputError, match="the index of found"):
        trials_sentence("BYOL", ended(slow=0.41))
