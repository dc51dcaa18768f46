"""Copies of the targets: what is planted, and who names them."""

import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.pretrain import Schedule
from influence_lib.studies.attribution import (
    Halves,
    PlantedRecipe,
    Question,
    Way,
    attribute,
    copies_named,
    planted_table,
    signed_and_sparse,
)

SCHEDULE = Schedule(epochs=1, batch_size=20, precision="fp32")


@pytest.fixture
def planted(recipe):
    """Store in the folder of the test, by the fixture that is asked for."""
    return PlantedRecipe("controlled", 60, 1, width=2, schedule=SCHEDULE, copies=2)


def test_every_target_has_its_copies_and_every_second_a_wrong_label(planted):
    train, targets, truth = planted.images(), planted.targets(), planted.truth()
    assert len(train) == 60 + 2 * 10
    assert truth.abs().sum(1).tolist() == [2] * 10
    for target in range(10):
        own = truth[target].nonzero().flatten()
        assert torch.equal(train.images[own], targets.images[[target, target]])
        same = train.labels[own] == targets.labels[target]
        assert (truth[target, own] == (1 if same.all() else -1)).all()
        assert same.all() == (target % 2 == 0)
    assert (truth[:, :60] == 0).all()


def test_shares_are_of_the_highest_for_and_the_lowest_against():
    truth = torch.tensor([[1, 1, 0, 0], [0, -1, 0, -1], [1, 0, 0, 0]])
    scores = torch.tensor([[4.0, 1.0, 3.0, 0.0], [3.0, -2.0, 0.0, -1.0], [1.0, 2.0, 3.0, 4.0]])
    for_it, against_it = copies_named(scores, truth)
    assert for_it.tolist() == [0.5, 0.0]
    assert against_it.tolist() == [1.0]
    assert len(copies_named(scores[:1], truth[:1])[1]) == 0


def test_pixels_name_every_copy_for_and_against(planted):
    train, targets = planted.images(), planted.targets()
    scores = signed_and_sparse(attribute("Euclidean", [], train, targets), train, targets)
    for_it, against_it = copies_named(scores, planted.truth())
    assert for_it.tolist() == against_it.tolist() == [1.0] * 5


def test_the_table_is_stored_and_has_a_row_for_each_way(planted, monkeypatch):
    question = Question(Halves(planted, 5), judged=4, dimension=8)
    ways = (Way("Euclidean"), Way("random"), Way("TRAK"))
    table = planted_table(question, ways, {})
    assert list(table.index) == ["Euclidean (pixels)", "random", "TRAK"]
    assert table.loc["Euclidean (pixels)", "copies for it"].value == 1.0
    assert table.loc["random", "copies for it"].value < 0.5
    assert (table.loc["random", "LDS"].n, table.loc["random", "LDS"].unit) == (4, "training")
    monkeypatch.setattr(Question, "scores", None)
    again = planted_table(question, ways, {})
    assert again.equals(table) or str(again) == str(table)


def test_another_recipe_is_refused(recipe):
    with pytest.raises(
        InputError, match="the recipe of question is 'ClassifierRecipe', but it must be a PlantedRecipe"
    ):
        planted_table(Question(Halves(recipe, 5), judged=4), (Way("random"),), {})


def test_a_copy_at_least(planted):
    with pytest.raises(InputError, match="copies is 0"):
        PlantedRecipe("controlled", 60, 1, width=2, schedule=SCHEDULE, copies=0).images()
