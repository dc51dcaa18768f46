"""Cross-influence against self-influence and against explicit gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from influence_lib.errors import InputError
from influence_lib.influence import CrossInfluence, cross, cross_influence, self_influence, stored_cross_influence
from influence_lib.influence.curvature.approximations import FITTED as OWN
from influence_lib.influence.views.gradients import per_sample_gradients
from influence_lib.influence.views.pairs import Pairs
from influence_lib.influence.views.perturbations import GaussianNoise
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain import build_encoder
from tests.images import noise_images


@pytest.mark.parametrize("curvature", OWN)
@pytest.mark.parametrize("draws", [1, 2])
def test_the_matrix_of_all_with_all_is_symmetric_and_its_diagonal_self_influence(net, images, curvature, draws):
    asked = {"curvature": curvature, "draws": draws, "precision": "fp64", "progress": False}
    matrix = cross_influence(net, images, images, **asked).values
    scores = self_influence(net, images, **asked)
    assert matrix.shape == (12, 12)
    assert matrix.dtype == torch.float32
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-6, atol=1e-6 * float(matrix.abs().max()))
    torch.testing.assert_close(matrix.diagonal(), scores.values, rtol=1e-6, atol=0)
    # a rounding of every entry to float32 moves an eigenvalue by 12 of them at most
    assert torch.linalg.eigvalsh(matrix.double()).min() > -1e-6 * float(matrix.max())


def test_without_curvature_it_is_the_product_of_the_gradients(grouped_net, images):
    pairs = Pairs(images, TwoViews(GaussianNoise(), views="one", draws=1, seed=0), torch.device("cpu"))
    batch = next(pairs.batches(pairs.spaced(None)))
    flat = torch.cat([g.flatten(1) for _, g in per_sample_gradients(grouped_net, batch.left, batch.right)], dim=1)
    expected = flat[[7, 2]] @ flat.T
    found = cross_influence(grouped_net, images.subset([7, 2]), images, curvature="identity", progress=False)
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-4 * float(expected.max()))
    assert found.query_ids.tolist() == images.ids[[7, 2]].tolist()
    assert torch.equal(found.ids, images.ids)
    assert found.highest(0, 1).tolist() == [int((flat[7] @ flat.T).argmax())]


@pytest.mark.parametrize("curvature", ["ekfac", "exact"])
def test_queries_from_elsewhere_meet_the_curvature_of_the_images(net, images, curvature):
    """Scaled to one more image, a query does not change what others get."""
    elsewhere = noise_images(3, seed=9)
    alone = cross_influence(net, elsewhere.subset([1]), images, curvature=curvature, progress=False)
    together = cross_influence(net, elsewhere, images, curvature=curvature, progress=False)
    torch.testing.assert_close(
        alone.values[0], together.values[1], rtol=1e-4, atol=1e-4 * float(together.values[1].abs().max())
    )


def test_of_a_classifier_it_is_the_influence_function_of_koh_and_liang():
    """∇L(query)ᵀ (F + λI)⁻¹ ∇L(image) of the cross-entropies, with their own labels, by autograd and a dense matrix."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).eval()
    images, queries = noise_images(20, size=2), noise_images(5, size=2, seed=1)
    queries = replace(queries, labels=1 - queries.labels)  # the same ids with other labels

    def gradients(each):
        losses = F.cross_entropy(net(each.images.double() / 255), each.labels, reduction="none")
        return torch.stack(
            [
                torch.cat([g.flatten() for g in torch.autograd.grad(x, net.parameters(), retain_graph=True)])
                for x in losses
            ]
        )

    net.double()
    g, asked = gradients(images), gradients(queries)
    damped = g.T @ g / len(g) + 0.1 * torch.eye(g.shape[1], dtype=g.dtype)
    found = cross_influence(
        net, queries, images, GaussianNoise(0, 0), "cross_entropy", curvature="exact", damping=0.1, progress=False
    )
    torch.testing.assert_close(found.values.double(), asked @ torch.linalg.solve(damped, g.T), rtol=1e-4, atol=1e-5)


def test_a_classifier_needs_a_logit_for_every_label(net, images):
    wrong = replace(images, labels=images.labels + 5, class_names=tuple("abcdefg"))
    with pytest.raises(InputError, match="the range of labels is 'from 5 to 6', but it must be within 0 to 4"):
        cross_influence(net, wrong, wrong, loss="cross_entropy", progress=False)


def test_batches_and_order_do_not_matter(net, images, monkeypatch):
    asked = {"draws": 2, "progress": False}
    whole = cross_influence(net, images.subset([4, 0, 9]), images, **asked).values
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 5)
    monkeypatch.setattr("influence_lib.influence.curvature.kronecker.ENTRIES_AT_ONCE", 1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    shuffled = cross_influence(net, images.subset([0, 9, 4]), images.subset(order), **asked).values
    torch.testing.assert_close(shuffled, whole[[1, 2, 0]][:, order], rtol=1e-3, atol=1e-4 * float(whole.abs().max()))


def test_an_interrupted_run_goes_on(net, images, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.influence.curvature.passes.SAVE_SECONDS", -1)
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 4)
    asked = {"queries": images.subset([1, 2]), "images": images, "progress": False}
    expected = cross_influence(net, **asked).values
    made, batch = [], Pairs.batch

    def failing(self, indices):
        made.append(len(indices))
        if len(made) == limit:
            raise KeyboardInterrupt
        return batch(self, indices)

    monkeypatch.setattr(Pairs, "batch", failing)
    limit = 10_000
    cross_influence(net, **asked, unfinished=tmp_path)
    complete, limit = len(made), len(made) - 1
    made.clear()
    with pytest.raises(KeyboardInterrupt):
        cross_influence(net, **asked, unfinished=tmp_path)
    made.clear()
    limit = 10_000
    found = cross_influence(net, **asked, unfinished=tmp_path).values
    torch.testing.assert_close(found, expected)
    assert len(made) < complete - 3
    assert not any(tmp_path.iterdir())


def test_queries_that_do_not_fit_are_refused(net, images, monkeypatch):
    monkeypatch.setattr(cross, "QUERY_BYTES", 1000)
    with pytest.raises(InputError, match="the number of queries is 12, whose gradients in 2 draws take"):
        cross_influence(net, images, images, draws=2, progress=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"curvature": "kronfluence"}, "curvature is 'kronfluence'"),
        ({"rank": 8}, "rank is 8, but it must be None with curvature = 'ekfac'"),
        ({"rank": 8, "curvature": "diagonal"}, "rank is 8"),
        ({"damping": 0}, "damping is 0"),
        ({"fisher": "none"}, "fisher is 'none'"),
    ],
)
def test_bad_input_is_named(net, images, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        cross_influence(net, images, images, progress=False, **arguments)


def test_a_stored_matrix_is_computed_once(images, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    torch.manual_seed(0)
    encoder, queries = build_encoder(2).eval(), images.subset([3, 1])
    asked = {"curvature": "identity", "progress": False}
    expected = cross_influence(encoder, queries, images, **asked)
    made, batch = [], Pairs.batch
    monkeypatch.setattr(Pairs, "batch", lambda self, indices: made.append(1) or batch(self, indices))
    first = stored_cross_influence(encoder, queries, images, **asked)
    assert made
    made.clear()
    second = stored_cross_influence(encoder, queries, images, **asked)
    assert not made
    for found in (first, second):
        assert all(torch.equal(getattr(found, name), value) for name, value in vars(expected).items())
    stored_cross_influence(encoder, images.subset([2]), images, **asked)
    assert made


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"queries": noise_images(4).subset([])}, "number of images in queries is 0"),
        ({"queries": noise_images(2, size=9)}, r"the size of queries is \(9, 9\), but it must be that of the images"),
        ({"images": "cifar10"}, "images is 'str', but it must be an ImageSet"),
        ({"curvature": ["ekfac"]}, r"curvature is \['ekfac'\]"),
        ({"curvature": None}, "curvature is None"),
    ],
)
def test_wrong_sets_and_curvatures_are_named(net, images, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        cross_influence(net, **{"queries": images, "images": images, **arguments})


@pytest.mark.parametrize(
    ("query", "k", "sentence"),
    [
        (2, 1, "query is 2, but it must be a whole number from 0 to 1"),
        (-1, 1, "query is -1"),
        (0, 0, "k is 0, but it must be a whole number from 1 to 3, the number of images"),
        (0, 4, "k is 4"),
        (0, 1.5, "k is 1.5"),
    ],
)
def test_the_highest_are_of_a_query_that_is_there(query, k, sentence):
    result = CrossInfluence(torch.tensor([[1.0, 3.0, 2.0], [0.0, 1.0, 2.0]]), torch.arange(2), torch.arange(3))
    assert result.highest(np.int64(1), np.int64(2)).tolist() == [2, 1]
    with pytest.raises(InputError, match=sentence):
        result.highest(query, k)
