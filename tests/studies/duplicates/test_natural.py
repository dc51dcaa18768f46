import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib import data
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from influence_lib.studies.duplicates import (
    aligned_pairs,
    among_the_lowest,
    class_beside_others,
    groups_of_pairs,
    judged_strata,
    natural_in_words,
    pairs_to_judge,
    rows_of_groups,
    stored_judgements,
    stored_pairs,
    within_groups,
)

PAIRS = pd.DataFrame({"a": [1, 2, 4, 6], "b": [2, 3, 5, 7], "correlation": [0.99, 0.97, 0.93, 0.91]})


@pytest.fixture(scope="module")
def images():
    return data.load("controlled", n=40)


def with_changed(images, change):
    """Return images of which the second is the first one, changed."""
    pixels = images.images.clone()
    pixels[1] = change(pixels[0].float()).round().clamp(0, 255).to(torch.uint8)
    return data.ImageSet(
        pixels, images.labels, images.ids, images.attributes, images.name, images.split, images.class_names
    )


CHANGES = {
    "none": (lambda x: x, (0, 0, False)),
    "darker": (lambda x: 0.5 * x + 20, (0, 0, False)),
    "mirrored": (lambda x: x.flip(-1), (0, 0, True)),
    "moved": (lambda x: x.roll((-2, 1), (1, 2)), (2, -1, False)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_picture_in_another_shape_is_found_and_how(images, change):
    changed, (down, right, mirrored) = CHANGES[change]
    some = with_changed(images, changed)
    table = aligned_pairs(some, least=0.98)
    (found,) = table[(table["a"] == some.ids[0].item()) & (table["b"] == some.ids[1].item())].to_dict("records")
    assert (found["down"], found["right"], found["mirrored"]) == (down, right, mirrored)
    assert found["correlation"] > 0.995


def test_the_correlation_is_numpys(images):
    table = aligned_pairs(images, least=0.3, preselected=0.3, shift=0)
    pixels = {i: image.double().numpy() for i, image in zip(images.ids.tolist(), images.images, strict=True)}
    assert len(table) > 20
    for row in table.head(20).itertuples():
        second = pixels[row.b][..., ::-1] if row.mirrored else pixels[row.b]
        assert row.correlation == pytest.approx(np.corrcoef(pixels[row.a].ravel(), second.ravel())[0, 1], abs=1e-5)
    assert table["correlation"].is_monotonic_decreasing
    assert not table.duplicated(["a", "b"]).any()
    assert (table["a"] < table["b"]).all()


def test_the_move_is_told_of_the_image_with_the_larger_id(images):
    some = with_changed(images, lambda x: x.roll((-2, 1), (1, 2)))
    turned = some.subset(torch.arange(39, -1, -1))
    for table in (aligned_pairs(some, least=0.98), aligned_pairs(turned, least=0.98)):
        (found,) = table[(table["a"] == some.ids[0].item()) & (table["b"] == some.ids[1].item())].to_dict("records")
        assert (found["down"], found["right"]) == (2, -1)


def test_images_of_one_grey_level_are_in_no_pair(images):
    pixels = images.images.clone()
    pixels[:2] = 90
    flat = data.ImageSet(
        pixels, images.labels, images.ids, images.attributes, images.name, images.split, images.class_names
    )
    table = aligned_pairs(flat, least=0.99)
    assert not set(flat.ids[:2].tolist()) & set(table["a"]) | set(flat.ids[:2].tolist()) & set(table["b"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"least": 2}, "least is 2"), ({"preselected": "a"}, "preselected is 'a'"), ({"shift": 9}, "shift is 9")],
)
def test_what_is_not_allowed_is_said(images, wrong, said):
    with pytest.raises(InputError, match=said):
        aligned_pairs(images, **wrong)


def test_groups_are_what_pairs_tie_together():
    assert groups_of_pairs(PAIRS) == [[1, 2, 3], [4, 5], [6, 7]]
    assert groups_of_pairs(PAIRS.iloc[:0]) == []


def test_a_person_sees_some_pairs_of_each_range():
    many = pd.DataFrame({"a": range(100), "b": range(100, 200), "correlation": np.linspace(0.8, 1, 100)})
    drawn = pairs_to_judge(many, [0.8, 0.9, 0.95], each=10, seed=1)
    assert drawn["from"].value_counts().to_dict() == {0.8: 10, 0.9: 10, 0.95: 10}
    assert (drawn["correlation"] >= drawn["from"]).all()
    assert drawn.equals(pairs_to_judge(many, [0.8, 0.9, 0.95], each=10, seed=1))
    with pytest.raises(InputError, match="edges is"):
        pairs_to_judge(many, [0.9, 0.8])


def test_what_a_person_saw_says_what_a_criterion_misses():
    judged = PAIRS.assign(same=[True, True, False, True])
    table = judged_strata(PAIRS, judged, 0.95, [0.9, 0.95])
    assert table["pairs"].to_dict() == {0.9: 2, 0.95: 2}
    assert table.loc[0.95, "same"].value == 1
    assert table.loc[0.9, "same"].value == 0.5
    # the pair (6, 7) shows one picture, but is below the criterion and in none of its groups
    assert table.loc[0.9, "of these in one group"].value == 0
    assert table.loc[0.95, "of these in one group"].value == 1
    empty = judged_strata(PAIRS, judged.iloc[:1], 0.95, [0.9, 0.95])
    assert np.isnan(empty.loc[0.9, "same"].value)
    with pytest.raises(InputError, match="same is"):
        judged_strata(PAIRS, PAIRS.assign(same=""), 0.95, [0.9])


def test_pairs_and_answers_are_stored(images, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    first = stored_pairs(images, least=0.5, preselected=0.5, progress=False)
    assert len(first) > 5
    monkeypatch.setattr("influence_lib.studies.duplicates.natural.aligned_pairs", None)
    pd.testing.assert_frame_equal(stored_pairs(images, least=0.5, preselected=0.5, progress=False), first)
    sample = pairs_to_judge(first, [0.5], each=4)
    assert stored_judgements(sample, images) is None
    assert stored_judgements(sample.head(0), images) is None  # nobody has judged anything
    answered = sample.assign(same=[True, False, True, True])
    assert stored_judgements(answered, images)["same"].tolist() == [True, False, True, True]
    assert stored_judgements(sample, images)["same"].tolist() == [True, False, True, True]


def test_a_class_is_scored_beside_some_of_the_others(images):
    name = images.class_names[3]
    some, own = class_beside_others(images, name, others=10)
    assert set(some.ids[own].tolist()) == set(images.ids[images.labels == 3].tolist())
    assert (~own).sum() == 10
    assert some.ids.tolist() == sorted(some.ids.tolist())
    assert len(set(some.labels[~own].tolist())) >= 5  # evenly from all
    alone, all_own = class_beside_others(images, "", others=0)
    assert all_own.all()
    assert set(alone.labels.tolist()) == {0}
    assert len(class_beside_others(images, name, others=10_000)[0]) == len(images)
    with pytest.raises(InputError, match="name is 'mars'"):
        class_beside_others(images, "mars", others=1)
    with pytest.raises(InputError, match="others is -1"):
        class_beside_others(images, name, others=-1)


def test_images_of_pairs_are_those_that_have_a_copy(images):
    ids = images.ids.tolist()
    pairs = pd.DataFrame({"a": [ids[0], ids[5]], "b": [ids[5], ids[9]]})
    assert np.flatnonzero(within_groups(pairs, images)).tolist() == [0, 5, 9]
    assert not within_groups(pairs.iloc[:0], images).any()


def test_the_lowest_are_counted_for_each_amount(images):
    scores = Scores(torch.arange(40.0)[None], images.ids, {})
    truth = np.isin(np.arange(40), [0, 1, 3, 30])
    table = among_the_lowest({"a": [scores]}, truth, [2, 4, 40])
    assert [each.value for each in table.loc["a"]] == pytest.approx([1, 0.75, 0.1])
    with pytest.raises(InputError, match="the number of amounts is 0"):
        among_the_lowest({"a": [scores]}, truth, [])


def test_the_sentence_says_whether_copies_are_only_easy():
    shares = pd.DataFrame({5: {"EK-FAC": Estimate(0.8, 0.6, 1.0, 5)}, 50: {"EK-FAC": Estimate(0.1, 0.02, 0.2, 50)}})
    said = natural_in_words(shares, Estimate(0.7, 0.6, 0.8, 40), "EK-FAC", 0.05)
    assert said.startswith("Of the 5 lowest 80% [60%, 100%] (above the 5.0% of all), of the 50 lowest 10% [2%, 20%] (")
    assert said.endswith("above one half: so the score says more than that they are easy.")
    easy = natural_in_words(shares, Estimate(0.5, 0.4, 0.6, 40), "EK-FAC", 0.05)
    assert easy.endswith("so no more can be said than that they are easy.")
    assert "so the loss ranks copies lower" in natural_in_words(shares, Estimate(0.3, 0.2, 0.4, 40), "EK-FAC", 0.05)
    with pytest.raises(InputError, match="own is 'b'"):
        natural_in_words(shares, Estimate(0.3, 0.2, 0.4, 40), "b", 0.05)


def test_groups_are_shown_in_rows(images):
    ids = images.ids.tolist()
    rows = rows_of_groups([ids[3:9], ids[:2]], images, rows=5, most=4)
    assert {name: row.tolist() for name, row in rows.items()} == {"1: 6 images": [3, 4, 5, 6], "2: 2 images": [0, 1]}
    with pytest.raises(InputError, match="the number of groups is 0"):
        rows_of_groups([], images, rows=5, most=4)
