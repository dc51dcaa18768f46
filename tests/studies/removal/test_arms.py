import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from influence_lib import data
from influence_lib.errors import InputError
from influence_lib.influence import Scores
from influence_lib.studies.removal import Arm, arms, tenths

IMAGES = data.load("controlled", n=60)


def scores_of(values, images=IMAGES):
    return Scores(torch.as_tensor(values, dtype=torch.float32)[None], images.ids, {"score": "made up"})


RANKED = {"score": scores_of(torch.randperm(60, generator=torch.Generator().manual_seed(3)))}


def test_each_end_of_a_ranking_is_left_out():
    values = RANKED["score"].values
    for end, wanted in (("highest", values >= 54), ("lowest", values < 6)):
        out = Arm(0.1, "score", end).left_out(IMAGES, RANKED)
        assert out.tolist() == sorted(IMAGES.ids[wanted].tolist())


def test_equal_scores_are_taken_in_the_order_of_the_images():
    equal = {"score": scores_of(torch.ones(60))}
    for end in ("highest", "lowest"):
        assert Arm(0.05, "score", end).left_out(IMAGES, equal).tolist() == sorted(IMAGES.ids[:3].tolist())


@given(some.floats(0.02, 0.9), some.integers(0, 50), some.sampled_from(["highest", "lowest"]))
def test_a_matched_control_has_the_classes_of_its_end(amount, seed, end):
    arm = Arm(amount, "score", end)
    labels = dict(zip(IMAGES.ids.tolist(), IMAGES.labels.tolist(), strict=True))
    ranked, matched = (each.left_out(IMAGES, RANKED, seed).tolist() for each in (arm, arm.control))
    assert len(set(matched)) == len(matched) == round(amount * 60)
    assert np.array_equal(*(np.bincount([labels[i] for i in ids], minlength=10) for ids in (ranked, matched)))


def test_random_images_change_with_the_seed_and_grow_with_the_amount():
    few, many = (set(Arm(amount).left_out(IMAGES, {}, seed=1).tolist()) for amount in (0.1, 0.4))
    assert few < many
    assert many != set(Arm(0.4).left_out(IMAGES, {}, seed=2).tolist())


def test_random_images_are_as_often_left_out_as_others():
    counts = torch.zeros(60)
    for seed in range(400):
        counts[torch.isin(IMAGES.ids, Arm(0.25).left_out(IMAGES, {}, seed))] += 1
    assert counts.sum() == 400 * 15
    assert (counts - 100).abs().max() < 40  # 4.6 standard deviations


def test_nothing_is_left_out_of_all_images():
    assert len(Arm().left_out(IMAGES, {})) == 0
    assert Arm().name == "nothing"


def test_arms_are_all_images_both_ends_and_controls():
    names = [(arm.amount, arm.name) for arm in arms(("EK-FAC", "raw loss"), (0.1, 0.3), matched="EK-FAC")]
    assert names[0] == (0, "nothing")
    assert names[1:8] == [
        (0.1, name)
        for name in (
            "random",
            "highest by EK-FAC",
            "lowest by EK-FAC",
            "highest by raw loss",
            "lowest by raw loss",
            "random, classes as highest by EK-FAC",
            "random, classes as lowest by EK-FAC",
        )
    ]
    assert len(names) == 15


def test_each_tenth_is_a_tenth_of_the_ranking():
    values, ids = RANKED["score"].values, IMAGES.ids
    for tenth in (1, 4, 10):
        members = ids[(values >= 6 * (tenth - 1)) & (values < 6 * tenth)].tolist()
        assert Arm(0.1, "score", tenth=tenth).left_out(IMAGES, RANKED).tolist() == sorted(members)
        some = Arm(0.05, "score", tenth=tenth)
        assert set(some.left_out(IMAGES, RANKED, seed=1).tolist()) < set(members)
    names = [arm.name for arm in tenths("score", 0.05)]
    assert names[:2] == ["nothing", "some of tenth 1 by score"]
    assert len(names) == 11


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"amount": -0.1}, "amount is -0.1"),
        ({"amount": 1.0}, "amount is 1.0"),
        ({"amount": float("nan")}, "amount is nan"),
        ({"amount": 0.1, "by": "score", "end": "middle"}, "end is 'middle'"),
        ({"amount": 0.1, "matched": True}, "matched is True, but there is no ranking"),
        ({"amount": 0.1, "tenth": 3}, "tenth is 3, but there is no ranking"),
        ({"amount": 0.1, "by": "score", "tenth": 11}, "tenth is 11"),
        (
            {"amount": 0.2, "by": "score", "tenth": 1},
            r"amount is 0\.2, but a tenth of the images has no more than 0\.1",
        ),
    ],
)
def test_a_wrong_arm_is_one_sentence(changed, said):
    with pytest.raises(InputError, match=said):
        Arm(**changed)


def test_a_ranking_that_is_not_there_or_of_other_images_is_refused():
    with pytest.raises(InputError, match="by is 'loss', but it must be"):
        Arm(0.1, "loss").left_out(IMAGES, RANKED)
    others = IMAGES.subset(torch.arange(59, -1, -1))
    with pytest.raises(InputError, match="are of other images"):
        Arm(0.1, "score").left_out(IMAGES, {"score": scores_of(torch.ones(60), others)})
    with pytest.raises(InputError, match="of 60 images none would be kept"):
        Arm(0.999).left_out(IMAGES, {})
