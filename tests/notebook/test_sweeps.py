import pytest

from influence_lib.errors import InputError
from influence_lib.notebook import SweepParameters
from tests.notebook.test_settings import GIVEN as SHARED

GIVEN = SHARED | {
    "methods": "simclr, supervised",
    "rankings": "raw loss, EK-FAC of two views",
    "amounts": "10, 32",
    "lengths": "steps, epochs",
    "trainings": 3,
    "train": True,
    "group_size": 5,
    "seed": 4,
}


def test_methods_with_labels_are_ranked_by_the_first_method_too():
    sweeps = SweepParameters.check(GIVEN).sweeps()
    names = [(each.name, each.length) for each in sweeps]
    own = ["SimCLR", "supervised, ranked by SimCLR", "supervised"]
    assert names == [(name, length) for length in ("steps", "epochs") for name in own] + [("SimCLR by tenths", "steps")]
    assert {each.trainings for each in sweeps} == {3}
    assert {each.recipe.seed for each in sweeps} == {4}
    assert [each.scored_by.method for each in sweeps[:3]] == ["simclr", "simclr", "supervised"]
    alone = SweepParameters.check(GIVEN | {"methods": "supervised", "lengths": "steps"}).sweeps()
    assert [each.name for each in alone] == ["supervised", "supervised by tenths"]


def test_arms_are_those_of_the_parameters():
    arms = SweepParameters.check(GIVEN).sweeps()[0].arms
    assert {arm.amount for arm in arms} == {0.0, 0.1, 0.32}
    assert {arm.by for arm in arms} == {"", "raw loss", "EK-FAC of two views"}
    assert {arm.by for arm in arms if arm.matched} == {"raw loss"}  # the first


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rankings": "size"}, "rankings is 'size', but it must be some of EK-FAC,"),
        ({"rankings": ""}, "rankings is ''"),
        ({"rankings": "raw loss, raw loss"}, "each once"),
        ({"amounts": ""}, "amounts is ''"),
        ({"amounts": "0.3"}, "amounts is '0.3'"),
        ({"lengths": "hours"}, "lengths"),
        ({"trainings": 1}, "trainings is 1"),
        ({"group_size": 0}, "group_size is 0"),
        ({"train": "maybe"}, "train is 'maybe'"),
    ],
)
def test_a_wrong_value_is_one_sentence(changed, said):
    with pytest.raises(InputError, match=said):
        SweepParameters.check(GIVEN | changed)


def test_a_hundred_percent_cannot_be_left_out():
    with pytest.raises(InputError, match="amount is 1"):
        SweepParameters.check(GIVEN | {"amounts": "100"}).sweeps()
