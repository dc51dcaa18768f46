import builtins

import imagehash
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.sparse.csgraph import connected_components

from influence_lib import data
from influence_lib.errors import InputError
from influence_lib.studies.duplicates import (
    HASHES,
    cleanvision_pairs,
    hash_distance,
    image_hashes,
    isolation_score,
    linkage_score,
    planted_pairs,
)
from influence_lib.studies.duplicates.hashes import pairs_within
from tests.images import noise_images


@pytest.mark.parametrize("kind", HASHES)
def test_distances_are_those_of_imagehash(kind):
    images = data.load("controlled", n=20)
    found = [getattr(imagehash, kind)(Image.fromarray(each.permute(1, 2, 0).numpy())) for each in images.images]
    expected = [min(a - b for j, b in enumerate(found) if j != i) for i, a in enumerate(found)]
    assert hash_distance(images, kind).values.tolist() == expected


@pytest.mark.parametrize("kind", HASHES)
def test_a_copy_is_at_no_distance(kind):
    planted = data.plant(data.load("controlled", n=20), exact=0.1)
    distance = hash_distance(planted, kind)
    assert (distance.values[20:] == 0).all()
    assert torch.equal(distance.ids, planted.ids)


@pytest.mark.parametrize("held", [1, 100, 10**6])
def test_pairs_are_all_pairs_whatever_is_held_at_once(held, monkeypatch):
    own = np.random.default_rng(0).integers(2**63, size=50).astype(np.uint64)
    own[7] = own[3] ^ np.uint64(5)
    monkeypatch.setattr("influence_lib.studies.duplicates.hashes.AT_ONCE", held)
    bits = (own[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    differ = (bits[:, None] != bits).sum(axis=2)
    for most in (0, 2, 28):
        expected = [[i, j] for i in range(50) for j in range(i + 1, 50) if differ[i, j] <= most]
        assert pairs_within(own, most).tolist() == expected


def test_wrong_input_of_hashes_is_one_sentence(monkeypatch):
    with pytest.raises(InputError, match="kind is 'ahash', but it must be one of 'phash', 'dhash'"):
        image_hashes(noise_images(2), "ahash")
    with pytest.raises(InputError, match="the number of images in images is 1, but it must be 2 or more"):
        hash_distance(noise_images(1))
    imported = builtins.__import__

    def without(name, *arguments, **more):
        if name == "imagehash":
            raise ModuleNotFoundError("no", name=name)
        return imported(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="A perceptual hash needs imagehash, which is not installed: run `pip install"):
        image_hashes(noise_images(2))


def test_an_isolated_representation_scores_high():
    features = torch.randn(60, 4)
    features[17] = 8.0
    scores = isolation_score(noise_images(60), features)
    assert scores.highest(1).item() == 17
    assert torch.equal(scores.values, isolation_score(noise_images(60), features).values)
    with pytest.raises(InputError, match="the number of representations is 60, but it must be 3, one for each image"):
        isolation_score(noise_images(3), features)


def test_the_linkage_score_is_the_least_distance_that_ties_an_image_to_most_others():
    """Oracle: the components of the graph of all pairs that are no further apart, for every distance in turn."""
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(24, 3))).double()
    unit = torch.nn.functional.normalize(features, dim=1)
    distances = (1 - unit @ unit.T).numpy()
    np.fill_diagonal(distances, 0)
    expected = np.full(24, np.inf)
    for limit in np.sort(distances[np.triu_indices(24, 1)]):
        _, groups = connected_components(distances <= limit + 1e-12)
        sizes = np.bincount(groups)
        inside = (sizes[groups] > 12) & np.isinf(expected)
        expected[inside] = limit
    scores = linkage_score(noise_images(24), features)
    assert scores.values.numpy() == pytest.approx(expected, abs=1e-6)
    assert scores.values.unique().numel() > 3


def test_a_small_group_far_away_scores_as_one_image_far_away_does():
    features = torch.eye(8)[[0] * 20] + 0.05 * torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    features[:3] = torch.eye(8)[1]
    scores = linkage_score(noise_images(20), features)
    assert sorted(scores.highest(3).tolist()) == [0, 1, 2]
    assert scores.values[:3].unique().numel() == 1


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (torch.ones(4, 2), "the number of representations is 4, but it must be 3"),
        (torch.zeros(3, 2), "features has a row that is zero or not finite"),
        (torch.tensor([[1.0], [2.0], [torch.nan]]), "features has a row that is zero or not finite"),
    ],
)
def test_wrong_representations_have_no_linkage(features, said):
    with pytest.raises(InputError, match=said):
        linkage_score(noise_images(3), features)


def test_cleanvision_names_exact_copies_by_their_ids():
    planted = data.plant(data.load("controlled", n=30), exact=0.2)
    found = cleanvision_pairs(planted)
    assert planted_pairs(planted) <= set(zip(found["a"], found["b"], strict=True))
    assert (found["a"] < found["b"]).all()
    alone = cleanvision_pairs(noise_images(6, 32))
    assert (len(alone), list(alone), alone["a"].dtype) == (0, ["a", "b"], np.int64)
    with pytest.raises(InputError, match="the number of images in images is 1"):
        cleanvision_pairs(noise_images(1))
