import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from influence_lib.errors import InputError
from influence_lib.studies.patterns import NEIGHBOURS, neighbour_statistics, neighbourhoods
from tests.studies.scores import scores_of

N = 600


def flat(dimension, n=N, within=20, seed=0, spread=0.3):
    """Return points whose directions lie on a smooth surface of some dimension."""
    rng = np.random.default_rng(seed)
    points = np.zeros((n, within))
    points[:, 0], points[:, 1 : 1 + dimension] = 1, spread * rng.uniform(-1, 1, (n, dimension))
    return torch.from_numpy(points).float()


@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_the_dimension_of_a_surface_is_found(dimension):
    table = neighbour_statistics(flat(dimension, 2000), torch.zeros(2000, dtype=torch.int64), k=10)
    assert 1 / table["inverse dimension"].mean() == pytest.approx(dimension, rel=0.25)


def test_the_numbers_are_those_of_the_sorted_distances():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(30, 5)), torch.from_numpy(rng.integers(2, size=30))
    table = neighbour_statistics(torch.from_numpy(points), labels, k=4)
    distance = cdist(points, points, "cosine")
    np.fill_diagonal(distance, np.inf)
    order = distance.argsort(axis=1)[:, :4]
    nearest = np.take_along_axis(distance, order, axis=1)
    np.testing.assert_allclose(table["neighbour distance"], nearest.mean(axis=1))
    np.testing.assert_allclose(table["label purity"], (labels.numpy()[order] == labels.numpy()[:, None]).mean(axis=1))
    radii = np.sqrt(2 * nearest)
    np.testing.assert_allclose(table["inverse dimension"], np.log(radii[:, 3:] / radii[:, :3]).mean(axis=1))


def test_copies_take_no_part_in_the_dimension():
    points = flat(2, 300)
    labels = torch.zeros(300, dtype=torch.int64)
    once = neighbour_statistics(points, labels, k=10)["inverse dimension"]
    copied = torch.cat([points, points[:1] * (1 + 1e-7)])
    twice = neighbour_statistics(copied, torch.zeros(301, dtype=torch.int64), k=11)["inverse dimension"]
    assert twice[0] == pytest.approx(once[0], rel=1e-4)
    assert twice[300] == pytest.approx(once[0], rel=1e-4)
    assert neighbour_statistics(points[[0, 0, 0]], labels[:3], k=2)["inverse dimension"].isna().all()


def test_images_without_a_label_have_no_purity():
    table = neighbour_statistics(flat(2, 10), torch.tensor([-1] * 5 + [0] * 5), k=3)
    assert table["label purity"].isna().tolist() == [True] * 5 + [False] * 5


@pytest.fixture(scope="module")
def clusters():
    """Return points, labels and a score: the low ones in two tight clusters of one class each, the high ones apart."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 16))
    low = np.repeat(centres, 50, axis=0) + 0.02 * rng.normal(size=(100, 16))
    points = np.concatenate([low, rng.normal(size=(200, 16))])
    labels = np.concatenate([np.repeat([0, 1], 50), rng.integers(2, size=200)])
    return torch.from_numpy(points).float(), torch.from_numpy(labels), scores_of(np.arange(300.0))


def test_tight_clusters_are_found(clusters):
    features, labels, scores = clusters
    found = neighbourhoods([features], [scores], labels, size=100, k=10)
    assert list(found.table) == list(NEIGHBOURS) == list(found.apart)
    assert list(found.table.index) == ["lowest", "highest", "random"]
    for name in ("neighbour distance", "distance within the set"):
        assert found.apart[name].above(0)
        lowest, highest, random = found.table[name]
        assert lowest.value < random.value < highest.value
    assert found.apart["label purity"].below(0)
    assert found.table.loc["lowest", "label purity"].value == 1
    for name in NEIGHBOURS:
        lowest, highest = found.table.loc["lowest", name], found.table.loc["highest", name]
        assert found.apart[name].value == pytest.approx(highest.value - lowest.value)
    assert found.table.loc["lowest", "label purity"].unit == "image"


def test_random_scores_find_nothing(clusters):
    features, labels, _ = clusters
    rng = np.random.default_rng(1)
    found = neighbourhoods([features] * 8, [scores_of(rng.random(300)) for _ in range(8)], labels, size=60, k=10)
    assert (found.apart["neighbour distance"].n, found.apart["neighbour distance"].unit) == (8, "training")
    assert not found.apart["neighbour distance"].above(0)
    assert not found.apart["neighbour distance"].below(0)


def test_what_does_not_fit_is_one_sentence(clusters):
    features, labels, scores = clusters
    given = {"features": [features], "scores": [scores], "labels": labels, "size": 50}
    for changed, said in (
        ({"scores": []}, "the number of scores is 0, but it must be 1, one for each training's representations"),
        ({"features": [], "scores": []}, "the number of scores is 0, but it must be 1"),
        ({"size": 2}, "size is 2, but it must be a whole number from 3 to 300"),
        ({"size": 301}, "size is 301"),
        ({"k": 1}, "k is 1, but it must be a whole number, 2 or more"),
        ({"k": 300}, "k is 300, but it must be a whole number from 1 to 299"),
        ({"labels": labels[:-1]}, "there are 300 scores and 300 representations of 299 images"),
        ({"seed": -1}, "seed is -1"),
    ):
        with pytest.raises(InputError, match=said):
            neighbourhoods(**(given | changed))
    with pytest.raises(InputError, match="the number of labels is 2, but it must be 300"):
        neighbour_statistics(features, labels[:2])
