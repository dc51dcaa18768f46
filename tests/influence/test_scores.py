import inspect

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from influence_lib.errors import InputError
from influence_lib.influence import (
    GaussianNoise,
    Scores,
    random_score,
    raw_loss,
    self_influence,
    stored_scores,
)
from influence_lib.influence.gradients import per_sample_gradients
from influence_lib.influence.losses import two_view_loss
from influence_lib.influence.perturbations import view_pair
from influence_lib.influence.reference import PairDataset, kronfluence_scores
from influence_lib.pretrain import build_encoder
from tests.images import noise_images

CPU = torch.device("cpu")


def pairs_of(images, draw=0, views="one"):
    pixels = images.images.float() / 255
    return view_pair(pixels, images.ids.tolist(), GaussianNoise(), views, 0, draw)


@pytest.mark.parametrize("views", ["one", "two"])
def test_raw_loss_is_the_loss_of_the_stated_pairs(net, images, views):
    scores = raw_loss(net, images, views=views, draws=2, progress=False)
    for draw in range(2):
        left, right = pairs_of(images, draw, views)
        with torch.no_grad():
            torch.testing.assert_close(scores.by_draw[draw], two_view_loss(net(left), net(right)))
    torch.testing.assert_close(scores.values, scores.by_draw.mean(0))
    assert torch.equal(scores.ids, images.ids)


def test_identity_is_the_squared_gradient_norm(net, images):
    scores = self_influence(net, images, curvature="identity", progress=False)
    gradients = dict(per_sample_gradients(net, *pairs_of(images)))
    expected = sum(g.square().sum(dim=(1, 2)) for g in gradients.values())
    torch.testing.assert_close(scores.values, expected)


def test_identity_equals_kronfluence(net, images):
    ours = self_influence(net, images, curvature="identity", draws=2, progress=False)
    pairs = PairDataset(images, GaussianNoise(), "one", draws=2, seed=0)
    theirs = kronfluence_scores(net, pairs, "identity", "empirical", None, None, 0, CPU, progress=False)
    torch.testing.assert_close(theirs.view(2, -1), ours.by_draw, rtol=1e-4, atol=0)


def test_layers_that_kronfluence_gets_wrong_are_refused(grouped_net, images):
    with pytest.raises(InputError, match=r"layer 'conv2' with groups = 2"):
        self_influence(grouped_net, images, curvature="kronfluence", progress=False)
    assert (self_influence(grouped_net, images, curvature="identity", progress=False).values > 0).all()


def ekfac_by_hand(net, images, damping_scale=0.1):
    """EK-FAC for two views from its definition, with dense matrices, for the last layer (no weight sharing)."""
    left, right = pairs_of(images)
    recorded = {}
    handle = net.head.register_forward_hook(lambda m, inputs, output: recorded.update(a=inputs[0], z=output))
    z_left, z_right = net(torch.cat([left, right])).chunk(2)
    handle.remove()
    (g,) = torch.autograd.grad(two_view_loss(z_left, z_right).sum(), recorded["z"])
    a = torch.cat([recorded["a"], torch.ones(len(g), 1)], dim=1).detach().double()
    g = g.double()
    _, eigen_a = torch.linalg.eigh(a.T @ a / len(a))
    _, eigen_g = torch.linalg.eigh(g.T @ g / len(g))
    rows = torch.einsum("bo,bi->boi", g @ eigen_g, a @ eigen_a)
    folded = rows[: len(left)] + rows[len(left) :]
    eigenvalues = folded.square().mean(0)
    return (folded.square() / (eigenvalues + damping_scale * eigenvalues.mean())).sum(dim=(1, 2))


def test_kronfluence_back_end_is_ekfac_of_the_folded_gradient(net, images):
    class HeadOnly(torch.nn.Module):
        """The same network with only its last layer tracked."""

        def __init__(self):
            super().__init__()
            self.head = net.head

        def forward(self, x):
            with torch.no_grad():
                features = torch.tanh(net.conv2(torch.tanh(net.norm(net.conv1(x))))).mean(dim=(2, 3))
            return self.head(features)

    scores = self_influence(HeadOnly(), images, curvature="kronfluence", progress=False)
    torch.testing.assert_close(scores.values, ekfac_by_hand(net, images).float(), rtol=1e-3, atol=0)


def test_curvature_changes_the_scores_and_draws_are_averaged(net, images):
    scores = self_influence(net, images, draws=2, progress=False)
    assert scores.by_draw.shape == (2, len(images))
    assert (scores.values > 0).all()
    again = self_influence(net, images, draws=2, progress=False)
    assert torch.equal(again.values, scores.values)
    sampled = self_influence(net, images, fisher="sampled", draws=2, progress=False)
    few = self_influence(net, images, factor_pairs=6, draws=2, progress=False)
    for other in (sampled, few):
        assert not torch.allclose(other.values, scores.values, rtol=0.01)


def test_scores_do_not_depend_on_order_or_batch(net, monkeypatch):
    images = noise_images(9)
    whole = self_influence(net, images, curvature="identity", progress=False)
    monkeypatch.setattr("influence_lib.influence.pairs.BATCH_SIZE", 4)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    shuffled = self_influence(net, images.subset(order), curvature="identity", progress=False)
    torch.testing.assert_close(shuffled.values, whole.values[order])


def test_the_model_and_its_mode_are_left_as_they_were(net, images):
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for curvature in ("identity", "kronfluence", "ekfac"):
        self_influence(net, images, curvature=curvature, progress=False)
    raw_loss(net, images, progress=False)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert type(net.conv1) is torch.nn.Conv2d


def test_reliability_is_the_correlation_of_disjoint_halves():
    by_draw = torch.rand(2, 30, generator=torch.Generator().manual_seed(0))
    scores = Scores(by_draw, torch.arange(30), {})
    assert scores.reliability == pytest.approx(spearmanr(by_draw[0], by_draw[1]).statistic)
    assert Scores(by_draw[:1], torch.arange(30), {}).reliability is None
    same = Scores(by_draw[:1].repeat(5, 1), torch.arange(30), {})
    assert same.reliability == pytest.approx(1)


def test_top_reliability_counts_what_two_halves_share():
    scores = Scores(torch.tensor([[4.0, 3.0, 2.0, 1.0], [4.0, 1.0, 3.0, 2.0]]), torch.arange(4), {})
    assert scores.top_reliability(1) == 1
    assert scores.top_reliability(2) == 0.5
    assert Scores(scores.by_draw[:1], scores.ids, {}).top_reliability(2) is None


def test_reliability_grows_with_draws():
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(size=400), rng.normal(size=(16, 400))
    by_draw = torch.from_numpy((truth + 2 * noise).astype(np.float32))
    few, many = (Scores(by_draw[:n], torch.arange(400), {}).reliability for n in (2, 16))
    # correlation of averages over m draws of signal 1 and noise variance 4: 1 / (1 + 4 / m)
    assert few == pytest.approx(1 / 5, abs=0.1)
    assert many == pytest.approx(1 / 1.5, abs=0.1)


def test_highest_and_lowest_start_at_their_end():
    scores = Scores(torch.tensor([[0.2, 0.9, 0.1, 0.5]]), torch.arange(4), {})
    assert scores.highest(3).tolist() == [1, 3, 0]
    assert scores.lowest(2).tolist() == [2, 0]
    assert len(scores) == 4


def test_random_score_is_reproducible_and_uniform(images):
    one, same, other = (random_score(images, draws=2, seed=s) for s in (0, 0, 1))
    assert torch.equal(one.by_draw, same.by_draw)
    assert not torch.equal(one.by_draw, other.by_draw)
    assert one.by_draw.min() >= 0
    assert one.by_draw.max() < 1


def test_a_score_that_is_not_finite_names_the_image(net, images):
    with torch.no_grad():
        net.head.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="12 images are not finite, the first of them id 5"):
        raw_loss(net, images, progress=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"curvature": "hessian"}, "curvature is 'hessian'"),
        ({"fisher": "true"}, "fisher is 'true'"),
        ({"loss": "l1"}, "loss is 'l1'"),
        ({"views": "both"}, "views is 'both'"),
        ({"draws": 0}, "draws is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"damping": -0.5}, "damping is -0.5"),
        ({"factor_pairs": 0}, "factor_pairs is 0"),
    ],
)
def test_bad_input_is_named(net, images, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        self_influence(net, images, progress=False, **arguments)


def test_stored_scores_are_computed_once(images, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    torch.manual_seed(0)
    encoder = build_encoder(2).eval()
    calls = []

    def counted(*args, **kwargs):
        calls.append(1)
        return raw_loss(*args, **kwargs)

    counted.__signature__ = inspect.signature(raw_loss)
    first = stored_scores(counted, encoder, images, draws=2, progress=False)
    second = stored_scores(counted, encoder, images, draws=2, progress=False)
    assert len(calls) == 1
    assert torch.equal(first.by_draw, second.by_draw)
    stored_scores(counted, encoder, images, draws=2, seed=1, progress=False)
    assert len(calls) == 2
