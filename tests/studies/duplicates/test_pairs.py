import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib import data
from influence_lib.errors import InputError
from influence_lib.studies.duplicates import FOUND_BY, judged_pairs, near_pairs, originals, planted_pairs, planted_truth
from tests.images import noise_images


@pytest.fixture(scope="module")
def planted():
    return data.plant(data.load("controlled", n=40), exact=0.1, near=0.1, outliers=0.1)


def flat(images):
    return images.images.flatten(1).float() / 255


def test_the_truth_holds_copies_and_originals_and_outliers_apart(planted):
    truth = planted_truth(planted)
    assert truth["duplicate"].sum() == 16
    assert truth["duplicate"][40:].tolist() == [True] * 8 + [False] * 4
    assert truth["outlier"].tolist() == [False] * 48 + [True] * 4
    attributes = planted.attributes
    copied = set(attributes["source_id"][attributes["planted"].isin(["exact", "near"])])
    assert set(planted.ids[:40][truth["duplicate"][:40]].tolist()) == copied


def test_copies_of_one_image_are_pairs_too(planted):
    assert len(planted_pairs(planted)) == 8
    twice = data.plant(noise_images(2), exact=1.0, near=1.0)  # each image is copied twice
    first = sorted(pair for pair in planted_pairs(twice) if 5 in pair)
    assert len(planted_pairs(twice)) == 6
    assert len(first) == 2
    with pytest.raises(InputError, match="images holds nothing planted"):
        planted_pairs(noise_images(3))


def test_originals_are_those_of_the_attributes(planted):
    found = originals(planted)
    assert sorted(found) == planted.ids[40:48].tolist()
    assert {tuple(sorted(pair)) for pair in found.items()} == planted_pairs(planted)


def test_exact_copies_are_found_by_both_and_come_first(planted):
    pairs = near_pairs(planted, flat(planted))
    exact = planted.attributes["planted"].to_numpy() == "exact"
    expected = {
        (int(source), int(own))
        for source, own in zip(
            planted.attributes["source_id"][exact], planted.ids[torch.from_numpy(exact)], strict=True
        )
    }
    head = pairs.iloc[:4]
    assert set(zip(head["a"], head["b"], strict=True)) == expected
    assert (head["found by"] == "both").all()
    assert (head["cosine distance"] == 0).all()
    assert (head["hash distance"] == 0).all()
    assert (pairs["a"] < pairs["b"]).all()
    assert not pairs.duplicated(["a", "b"]).any()
    assert (pairs["confirmed"] == "").all()
    assert pairs["found by"].cat.codes.is_monotonic_increasing


def test_limits_decide_what_is_listed(planted):
    pairs = near_pairs(planted, flat(planted), cosine=0.01, hamming=2)
    assert (pairs.loc[pairs["found by"] != "hash", "cosine distance"] <= 0.01).all()
    assert (pairs.loc[pairs["found by"] != "embedding", "hash distance"] <= 2).all()
    assert set(pairs["found by"]) <= set(FOUND_BY)
    least = near_pairs(planted, flat(planted), hamming=0)
    assert (least["found by"] != "hash").sum() == 20


def test_pairs_are_judged_against_the_truth():
    twice = data.plant(noise_images(10), exact=0.2)
    (a, b), other = sorted(planted_pairs(twice)), (5, 8)
    listed = pd.DataFrame([(*a, "both"), (*b, "hash"), (*other, "hash")], columns=["a", "b", "found by"])
    found = judged_pairs(listed, twice)
    assert (found.loc["hash", "precision"].value, found.loc["hash", "recall"].value) == (pytest.approx(2 / 3), 1)
    assert (found.loc["embedding", "precision"].value, found.loc["embedding", "recall"].value) == (1, 0.5)
    assert found.loc["hash", "precision"].unit == "pair"
    other_way = judged_pairs(listed, twice, {"another": pd.DataFrame([a], columns=["a", "b"])}).loc["another"]
    assert (other_way["precision"].value, other_way["recall"].value) == (1, 0.5)
    nothing = judged_pairs(listed[listed["found by"] == "hash"], twice).loc["both"]
    assert np.isnan(nothing["precision"].value)
    assert nothing["recall"].value == 0


def test_wrong_input_is_one_sentence(planted):
    features = flat(planted)
    for changed, said in (
        ({"features": features[1:]}, "the number of representations is 51, but it must be 52, one for each image"),
        ({"cosine": -1}, "cosine is -1, but it must be a number at least 0 and at most 2"),
        ({"hamming": 65}, "hamming is 65, but it must be a whole number from 0 to 64"),
        ({"images": noise_images(1)}, "the number of images in images is 1"),
    ):
        with pytest.raises(InputError, match=said):
            near_pairs(**({"images": planted, "features": features} | changed))
    uncopied = data.plant(noise_images(10), outliers=0.1)
    with pytest.raises(InputError, match="the number of planted copies is 0, but it must be 1 or more"):
        judged_pairs(near_pairs(uncopied, flat(uncopied)), uncopied)
