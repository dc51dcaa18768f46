"""Which views are compared, in which batches and against which targets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from influence_lib.errors import InputError
from influence_lib.influence import GaussianNoise, RandomCrop
from influence_lib.influence.views import pairs as module
from influence_lib.influence.views.losses import COSINE, MSE, NTXent
from influence_lib.influence.views.pairs import Pairs, build_loss
from influence_lib.influence.views.perturbations import view_pair
from influence_lib.influence.views.two_views import TwoViews
from tests.images import noise_images

CPU = torch.device("cpu")
NOISE = GaussianNoise()


def pairs_of(n=5, draws=3, views="one", perturbation=NOISE, seed=0) -> Pairs:
    return Pairs(noise_images(n), TwoViews(perturbation, views=views, draws=draws, seed=seed), CPU)


@pytest.fixture
def losses(net):
    return [COSINE, MSE, build_loss("ntxent", net, noise_images(5), 0, CPU)]


@pytest.fixture
def representations():
    return torch.randn(2, 15, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 32])
def test_batches_hold_all_pairs_in_order_and_one_draw_each(batch_size, monkeypatch):
    monkeypatch.setattr(module, "BATCH_SIZE", batch_size)
    pairs = pairs_of()
    assert len(pairs) == 15
    batches = list(pairs.batches(pairs.spaced(None)))
    assert torch.cat([batch.indices for batch in batches]).tolist() == list(range(15))
    assert len(batches) == 3 * -(-5 // batch_size)
    for batch in batches:
        assert 1 <= len(batch.indices) == len(batch.ids) == len(batch.left) == len(batch.right) <= batch_size
        assert len(set((batch.indices // 5).tolist())) == 1
        assert batch.ids == [5 + 3 * (int(i) % 5) for i in batch.indices]


@pytest.mark.parametrize("indices", [[0], [4, 5], [14], [1, 3, 4, 6, 11, 13], [7, 6, 5, 2, 9]])
def test_batches_of_some_pairs_are_those_pairs(indices):
    pairs = pairs_of()
    everything = pairs.batch(torch.arange(5)), pairs.batch(torch.arange(5, 10)), pairs.batch(torch.arange(10, 15))
    left, right = (torch.cat([batch[i] for batch in everything]) for i in range(2))
    batches = list(pairs.batches(torch.tensor(indices)))
    assert torch.cat([batch.indices for batch in batches]).tolist() == indices
    assert all(len(set((batch.indices // 5).tolist())) == 1 for batch in batches)
    assert torch.equal(torch.cat([batch.left for batch in batches]), left[indices])
    assert torch.equal(torch.cat([batch.right for batch in batches]), right[indices])


@pytest.mark.parametrize("start", range(10))
def test_batches_start_where_they_are_told(start, monkeypatch):
    monkeypatch.setattr(module, "BATCH_SIZE", 2)
    pairs = pairs_of()
    whole = list(pairs.batches(pairs.spaced(None)))
    rest = list(pairs.batches(pairs.spaced(None), start))
    assert len(rest) == 9 - start
    for got, expected in zip(rest, whole[start:], strict=True):
        assert got.ids == expected.ids
        assert all(torch.equal(a, b) for a, b in zip(got[:3], expected[:3], strict=True))


def test_batches_before_the_start_are_not_made(monkeypatch):
    monkeypatch.setattr(module, "BATCH_SIZE", 2)
    pairs, made = pairs_of(), []
    monkeypatch.setattr(module, "view_pair", lambda *args: made.append(args[1]) or view_pair(*args))
    next(pairs.batches(pairs.spaced(None), 4))
    assert made == [[11, 14]]


@given(n=st.integers(1, 400), draws=st.integers(1, 4), count=st.integers(1, 2000))
@settings(max_examples=100)
def test_spaced_pairs_are_even_and_distinct(n, draws, count):
    pairs = Pairs(noise_images(n, size=1), TwoViews(NOISE, views="one", draws=draws, seed=0), CPU)
    chosen = pairs.spaced(count)
    assert chosen.dtype == torch.int64
    assert len(chosen) == min(count, n * draws)
    assert chosen[0] == 0
    gaps = chosen.diff()
    if len(gaps):
        assert chosen[-1] == n * draws - 1
        assert 1 <= gaps.min() <= gaps.max() <= gaps.min() + 1
    assert torch.equal(pairs.spaced(None), torch.arange(n * draws))


@pytest.mark.parametrize("views", ["one", "two"])
@pytest.mark.parametrize("perturbation", [NOISE, RandomCrop()], ids=["noise", "crop"])
def test_pairs_are_the_stated_views(views, perturbation):
    pairs = pairs_of(views=views, perturbation=perturbation, seed=3)
    pixels = pairs.images.images.float() / 255
    for draw in range(3):
        batch = pairs.batch(torch.arange(5) + 5 * draw)
        left, right = view_pair(pixels, pairs.images.ids.tolist(), perturbation, views, 3, draw)
        assert torch.equal(batch.left, left)
        assert torch.equal(batch.right, right)
        assert torch.equal(batch.left, pixels) == (views == "one")
        assert batch.left.dtype == torch.float32
        assert batch.left.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("views", ["one", "two"])
def test_an_images_views_depend_on_seed_id_and_draw_alone(views):
    pairs = pairs_of(n=7, views=views)
    order = torch.tensor([6, 2, 0, 5])
    shuffled = Pairs(pairs.images.subset(order), TwoViews(NOISE, views=views, draws=2, seed=0), CPU)
    for draw in range(2):
        whole, some = pairs.batch(torch.arange(7) + 7 * draw), shuffled.batch(torch.arange(4) + 4 * draw)
        assert torch.equal(some.left, whole.left[order])
        assert torch.equal(some.right, whole.right[order])
    one = torch.tensor([3])
    first = pairs.batch(one)
    for other in (pairs.batch(one + 7), pairs_of(n=7, views=views, seed=1).batch(one)):
        assert not torch.isclose(other.right, first.right).any()
        assert torch.equal(other.left, first.left) == (views == "one")


def test_pairs_are_identified_by_id_and_draw():
    assert pairs_of().identify(torch.tensor([0, 4, 5, 14])) == ([5, 17, 5, 17], [0, 0, 1, 2])


def test_the_empirical_objective_is_the_loss(losses, representations):
    pairs, indices = pairs_of(), torch.arange(15)
    ids, _ = pairs.identify(indices)
    for loss in losses:
        assert torch.equal(pairs.objective(loss, indices)(*representations), loss.values(*representations, ids))


def test_a_pairs_target_is_the_same_in_every_batch(losses, representations):
    pairs = pairs_of()
    order = torch.tensor([11, 3, 14, 0, 6])
    shuffled = Pairs(pairs.images.subset([4, 0, 2]), TwoViews(NOISE, views="one", draws=3, seed=0), CPU)
    for loss in losses:
        whole = pairs.objective(loss, torch.arange(15), "sampled")(*representations)
        again = pairs.objective(loss, torch.arange(15), "sampled")(*representations)
        assert torch.equal(whole, again)
        some = pairs.objective(loss, order, "sampled")(*(z[order] for z in representations))
        torch.testing.assert_close(some, whole[order])
        # pair 4 of three images shows image 0 in draw 1, which is pair 5 of five images
        one = shuffled.objective(loss, torch.tensor([4]), "sampled")(*(z[5:6] for z in representations))
        torch.testing.assert_close(one, whole[5:6])


def test_targets_differ_between_images_draws_and_seeds(losses):
    """All pairs with the same two representations: what differs is the target."""
    left, right = (z.expand(15, -1) for z in torch.randn(2, 1, 5, generator=torch.Generator().manual_seed(0)))
    for loss in losses[:2]:
        values = pairs_of().objective(loss, torch.arange(15), "sampled")(left, right)
        other = pairs_of(seed=1).objective(loss, torch.arange(15), "sampled")(left, right)
        assert len(set(torch.cat([values, other]).tolist())) == 30
        assert not torch.allclose(values, loss.values(left, right, []))


@pytest.mark.parametrize(("name", "loss"), [("cosine", COSINE), ("mse", MSE)])
def test_losses_of_pairs_need_no_negatives(net, name, loss):
    assert build_loss(name, net, noise_images(1), 0, CPU) is loss


def test_negatives_are_the_representations_of_the_images(net, images):
    net.train()
    loss = build_loss("ntxent", net, images, 0, CPU)
    assert net.training
    assert isinstance(loss, NTXent)
    assert sorted(loss.negative_ids.tolist()) == images.ids.tolist()
    pixels = images.images[(loss.negative_ids - 5) // 3].float() / 255
    with torch.no_grad():
        torch.testing.assert_close(loss.negatives, net.eval()(pixels))
    assert not loss.negatives.requires_grad


def test_negatives_are_a_draw_from_the_ids(net, monkeypatch):
    images = noise_images(40)
    monkeypatch.setattr(module, "NEGATIVES", 9)
    first, again, other = (build_loss("ntxent", net, images, seed, CPU) for seed in (0, 0, 1))
    assert len(set(first.negative_ids.tolist())) == 9
    assert torch.equal(first.negative_ids, again.negative_ids)
    assert set(first.negative_ids.tolist()) != set(other.negative_ids.tolist())
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    shuffled = build_loss("ntxent", net, images.subset(order), 0, CPU)
    assert torch.equal(shuffled.negative_ids, first.negative_ids)
    torch.testing.assert_close(shuffled.negatives, first.negatives)


def test_a_single_image_has_no_negatives():
    with pytest.raises(InputError, match="the number of images is 1, but it must be at least 2 with loss = 'ntxent'"):
        build_loss("ntxent", nn.Flatten(), noise_images(1), 0, CPU)
