from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.studies.patterns import differences, ends_of, matched_controls
from tests.images import noise_images
from tests.studies.scores import scores_of

N = 400


def test_controls_are_of_the_class_and_together_the_nearest():
    rng = np.random.default_rng(0)
    labels, values = rng.integers(2, size=14), rng.random(14)
    chosen = np.flatnonzero(labels == 0)[:3]
    free = np.flatnonzero(labels == 0)[3:]
    found = matched_controls(chosen, labels, values)
    assert set(found.chosen) == set(chosen)
    assert set(found.controls) <= set(free)
    assert len(set(found.controls)) == 3
    least = min(np.abs(values[chosen] - values[list(each)]).mean() for each in permutations(free, 3))
    assert found.distance == pytest.approx(least)


def test_a_class_without_others_leaves_images_out():
    found = matched_controls([0, 1, 2], labels=[0, 0, 1, 0, 2], values=np.zeros(5))
    assert found.controls.tolist() == [3]
    assert found.left_out == 2
    assert matched_controls([0], labels=[0, 1], values=np.zeros(2)).left_out == 1
    assert np.isnan(matched_controls([0], labels=[0, 1], values=np.zeros(2)).distance)


def test_controls_that_are_not_near_count_for_nothing():
    near = matched_controls([0, 1], labels=[0] * 4, values=[0.0, 1.0, 0.1, 3.0], within=0.5)
    assert (near.chosen.tolist(), near.controls.tolist(), near.left_out) == ([0], [2], 1)
    assert near.distance == pytest.approx(0.1)
    with pytest.raises(InputError, match="within is -1, but it must be a number at least 0"):
        matched_controls([0], [0, 0], [0.0, 0.0], within=-1)


@pytest.mark.parametrize(
    ("chosen", "values", "said"),
    [
        ([], np.zeros(3), "the number of chosen images is 0"),
        ([0, 0], np.zeros(3), r"chosen is \[0, 0\], but it must be positions from 0 to 2, each once"),
        ([3], np.zeros(3), r"chosen is \[3\]"),
        ([0], np.zeros(2), "the number of values is 2, but it must be 3, one for each label"),
    ],
)
def test_wrong_choices_are_one_sentence(chosen, values, said):
    with pytest.raises(InputError, match=said):
        matched_controls(chosen, [0, 1, 1], values)


@pytest.fixture(scope="module")
def world():
    """Return images, statistics and scores: brightness makes the score, and uniformity follows the brightness."""
    rng = np.random.default_rng(0)
    images = noise_images(N, 2)
    brightness = rng.random(N)
    table = pd.DataFrame(
        {
            "brightness": brightness,
            "uniformity": brightness + 0.1 * rng.normal(size=N),
            "own": rng.normal(size=N),
            "constant": np.ones(N),
        },
        index=images.ids.tolist(),
    )
    # the second half of the scale is decided by a number of its own
    scores = scores_of(np.round(brightness, 1) + 0.04 * table["own"].to_numpy(), ids=images.ids)
    return images, table, scores


def test_controls_take_out_what_follows_from_brightness_and_leave_the_rest(world):
    images, table, scores = world
    rest, controls = (
        differences({"s": [scores]}, table, images, against=against, k=40)["s"] for against in ("rest", "controls")
    )
    spread = table.std(ddof=0)
    top = scores.highest(40).numpy()
    for name in ("uniformity", "own"):
        expected = table[name].iloc[top].mean() - table[name].drop(index=table.index[top]).mean()
        assert rest[name].value == pytest.approx(expected / spread[name])
    assert rest["uniformity"].above(1)
    assert abs(controls["uniformity"].value) < 0.5 * rest["uniformity"].value
    assert controls["own"].above(0)
    assert controls["own"].unit == "image"
    assert rest["constant"].value == controls["constant"].value == 0


def test_the_other_end_has_the_opposite_sign(world):
    images, table, scores = world
    high, low = (
        differences({"s": [scores]}, table, images, "other end", end, k=30)["s"] for end in ("highest", "lowest")
    )
    for name in ("uniformity", "own"):
        assert high[name].value == pytest.approx(-low[name].value)
    ends = ends_of(scores, 30)
    expected = table["own"].iloc[ends["highest"]].mean() - table["own"].iloc[ends["lowest"]].mean()
    assert high["own"].value == pytest.approx(expected / table["own"].std(ddof=0))


def test_several_trainings_have_an_interval_over_trainings(world):
    images, table, scores = world
    again = scores_of(scores.values.numpy() + 0.02 * np.arange(N) / N, ids=images.ids)
    both = differences({"s": [scores, again]}, table, images, k=40).loc["own", "s"]
    single = [differences({"s": [each]}, table, images, k=40).loc["own", "s"].value for each in (scores, again)]
    assert (both.n, both.unit) == (2, "training")
    assert both.value == pytest.approx(np.mean(single))


def test_random_images_are_like_their_controls(world):
    images, table, _ = world
    rng = np.random.default_rng(3)
    several = [scores_of(rng.random(N), ids=images.ids) for _ in range(10)]
    found = differences({"random": several}, table, images, k=40)["random"]
    assert abs(found["own"].value) < 0.2
    assert abs(found["brightness"].value) < 0.05


def test_wrong_input_is_one_sentence(world):
    images, table, scores = world
    given = {"scores": {"s": [scores]}, "statistics": table, "images": images}
    for changed, said in (
        ({"scores": {}}, "the number of scores is 0"),
        ({"scores": {"s": []}}, "the number of trainings in scores.'s'. is 0"),
        ({"scores": {"s": scores}}, "scores.'s'. is 'Scores', but it must be a list of Scores"),
        ({"scores": {"s": [scores, scores_of(np.ones(N))]}}, "different images"),
        ({"images": noise_images(3)}, "the ids of images is '3 others', but it must be those of the scores"),
        ({"statistics": table.reset_index(drop=True)}, "the ids of statistics"),
        ({"statistics": table[["own"]]}, "the columns of statistics is .* 'brightness', by which is matched"),
        ({"against": "all"}, "against is 'all', but it must be one of 'rest', 'controls', 'other end'"),
        ({"end": "top"}, "end is 'top', but it must be one of 'highest', 'lowest'"),
        ({"k": N + 1}, f"k is {N + 1}, but it must be a whole number from 1 to {N}"),
        ({"k": N // 2 + 1, "against": "other end"}, f"from 1 to {N // 2}"),
        ({"k": N}, f"k is {N}, but it must be less: no image has another of its class"),
    ):
        with pytest.raises(InputError, match=said):
            differences(**(given | changed))


def test_images_without_labels_are_one_class(world):
    images, table, scores = world
    unlabelled = replace(images, labels=-torch.ones(N, dtype=torch.int64))
    found = differences({"s": [scores]}, table, unlabelled, k=40)["s"]
    assert abs(found["brightness"].value) < 0.5
