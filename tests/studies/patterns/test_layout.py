import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from influence_lib.errors import InputError
from influence_lib.studies.patterns import layout


def test_groups_that_are_apart_are_drawn_apart_and_always_the_same():
    centres = torch.eye(3, 8) * 10
    points = (centres.repeat_interleave(20, dim=0) + 0.3 * torch.randn(60, 8)).float()
    places = layout(points)
    groups = np.arange(60) // 20
    near = NearestNeighbors(n_neighbors=6).fit(places).kneighbors(places, return_distance=False)[:, 1:]
    assert (groups[near] == groups[:, None]).mean() > 0.95
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-9)
    assert places.std(axis=0).max() == pytest.approx(1)
    assert np.array_equal(layout(points), places)


def test_lengths_do_not_count():
    points = torch.randn(30, 5)
    lengths = torch.rand(30, 1) + 0.5
    near = [set(np.argsort(np.linalg.norm(p - p[0], axis=1))[:5]) for p in (layout(points), layout(points * lengths))]
    assert len(near[0] & near[1]) >= 4


@pytest.mark.parametrize("representations", [torch.randn(9, 3), torch.randn(20), torch.zeros(20, 3)])
def test_what_has_no_layout_is_refused(representations):
    with pytest.raises(InputError, match="representations"):
        layout(representations)
