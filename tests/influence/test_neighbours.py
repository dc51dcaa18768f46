import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from influence_lib.errors import InputError
from influence_lib.influence import nearest_others


def test_the_nearest_are_those_of_sklearn():
    features = torch.randn(40, 6, dtype=torch.float64)
    distances, positions = nearest_others(features, 5, "cpu")
    search = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute").fit(features.numpy())
    expected, places = search.kneighbors()
    np.testing.assert_allclose(distances, expected, atol=1e-12)
    np.testing.assert_array_equal(positions, places)
    assert distances.dtype == torch.float64


def test_a_copy_is_a_neighbour_and_an_image_is_not_its_own():
    distances, positions = nearest_others(torch.eye(3)[[0, 1, 0, 2]], 1, "cpu")
    assert (positions[0], positions[2]) == (2, 0)
    assert distances.flatten().tolist()[::2] == [0, 0]
    assert distances[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("features", "k", "said"),
    [
        (torch.ones(1, 2), 1, "the number of representations is 1, but it must be 2 or more"),
        (torch.ones(3, 2), 3, "k is 3, but it must be a whole number from 1 to 2, the number of other images"),
        (torch.ones(3, 2, dtype=torch.int64), 1, "features is 'Tensor', but it must be a floating-point tensor N×D"),
        (np.ones((3, 2)), 1, "features is 'ndarray'"),
    ],
)
def test_wrong_representations_are_one_sentence(features, k, said):
    with pytest.raises(InputError, match=said):
        nearest_others(features, k)
