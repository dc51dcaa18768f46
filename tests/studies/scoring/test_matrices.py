import numpy as np
import pytest
import torch
from torch import nn

from influence_lib.errors import InputError
from influence_lib.influence import GaussianNoise, self_influence
from influence_lib.influence.views.gradients import Factors, tracked_layers
from influence_lib.influence.views.losses import two_view_loss
from influence_lib.influence.views.perturbations import view_pair
from influence_lib.studies import Scorer
from influence_lib.studies.scoring import (
    CurvatureMatrices,
    Spectra,
    curvature_matrices,
    scored_weights,
    spectra,
    trace_ratio,
    trace_ratios,
    view_gradients,
)
from influence_lib.studies.scoring.matrices import default_damping, mean_eigenvalue
from tests.images import noise_images
from tests.influence.conftest import autograd_gradients, twice_net


def views(scorer, images):
    """Return the two views of all images, draw after draw, in float64."""
    pixels, ids = images.images.float() / 255, images.ids.tolist()
    pairs = [view_pair(pixels, ids, scorer.perturbation, "one", scorer.seed, draw) for draw in range(scorer.draws)]
    return (torch.cat(view).double() for view in zip(*pairs, strict=True))


def flat_gradients(scorer, images, objective):
    found = autograd_gradients(scorer.encoder, objective, *views(scorer, images))
    return torch.cat([gradient.flatten(1) for gradient in found.values()], dim=1)


def test_the_parts_through_the_two_views_are_those_of_autograd(scorer, images):
    first = flat_gradients(scorer, images, lambda z, z_hat: two_view_loss(z, z_hat.detach()))
    second = flat_gradients(scorer, images, lambda z, z_hat: two_view_loss(z.detach(), z_hat))
    both, found = first + second, view_gradients(scorer, images)
    assert found.cosine == pytest.approx(float(torch.cosine_similarity(first, second).median()), rel=1e-6)
    assert found.length_ratio == pytest.approx(float((second.norm(dim=1) / both.norm(dim=1)).median()), rel=1e-6)
    means = [(part**2).sum(1).view(2, -1).mean(0) for part in (second, both)]
    ranks = np.stack([mean.argsort().argsort().numpy() for mean in means])
    assert found.rank_correlation == pytest.approx(np.corrcoef(ranks)[0, 1])


def test_of_views_that_hardly_differ_the_gradients_cancel(scorer, images):
    near = view_gradients(Scorer(scorer.encoder, GaussianNoise(0, 1e-3), draws=1), images)
    far = view_gradients(Scorer(scorer.encoder, GaussianNoise(0, 2), draws=1), images)
    assert near.cosine < -0.999
    assert near.nearly_cancel
    assert near.length_ratio > 10
    assert far.cosine > near.cosine


def test_negative_share_and_trace_ratio_of_known_eigenvalues():
    values = {"Hessian": [-1.0, 0.0, 3.0], "Gauss–Newton": [1.0, 2.0, 7.0], "empirical Fisher": [0.0, 0.0, 4.0]}
    found = Spectra("head", {name: np.array(v) for name, v in values.items()})
    assert (found.negative_share, found.trace_ratio) == (0.25, 2.5)


@pytest.mark.parametrize("layer", ["conv1", "conv2", "head"])
def test_the_hessian_is_that_of_finite_differences(scorer, images, layer):
    """Its trace is the sum of the second differences of the mean loss over the layer's own weights."""
    found = spectra(scorer, images, layer).eigenvalues["Hessian"]
    left, right = views(scorer, images)
    parameters = list(tracked_layers(scorer.encoder)[layer].parameters())
    assert len(found) == sum(p.numel() for p in parameters)

    @torch.no_grad()
    def loss():
        return float(two_view_loss(scorer.encoder(left), scorer.encoder(right)).mean())

    at, h, trace = loss(), 1e-3, 0.0
    for p in parameters:
        flat = p.data.view(-1)
        for i in range(len(flat)):
            value = float(flat[i])
            around = []
            for step in (-h, h):
                flat[i] = value + step
                around.append(loss())
            flat[i] = value
            trace += (sum(around) - 2 * at) / h**2
    assert found.sum() == pytest.approx(trace, rel=1e-3, abs=1e-6)


def test_the_trace_of_the_fisher_matrix_is_the_mean_squared_norm(scorer, images):
    norm = self_influence(scorer.encoder, images, scorer.perturbation, curvature="identity", draws=2, progress=False)
    for layer, part in norm.by_layer.items():
        found = spectra(scorer, images, layer).eigenvalues
        assert found["empirical Fisher"].sum() == pytest.approx(float(part.mean()), rel=1e-5)
        assert min(found["empirical Fisher"].min(), found["Gauss–Newton"].min()) > -1e-12
    trace = np.trace(curvature_matrices(scorer, images).whole)
    assert mean_eigenvalue(norm, scorer.encoder) == pytest.approx(trace / scored_weights(scorer.encoder), rel=1e-5)
    assert default_damping(norm, scorer.encoder) == pytest.approx(0.1 * mean_eigenvalue(norm, scorer.encoder))


def test_an_unknown_layer_is_named(scorer, images):
    with pytest.raises(InputError, match="layer is 'norm', but it must be one of 'conv1', 'conv2', 'head'"):
        spectra(scorer, images, "norm")


def test_blocks_are_on_the_diagonal_and_ekfac_is_nearest_to_them(scorer, images):
    found = curvature_matrices(scorer, images)
    ends = [0, *found.edges, len(found.whole)]
    for start, end, block in zip(ends[:-1], ends[1:], found.blocks.values(), strict=True):
        np.testing.assert_allclose(found.whole[start:end, start:end], block, rtol=1e-9, atol=1e-15)
    assert 0 < found.share_between_layers < 1
    assert (found.distances["EK-FAC"] <= found.distances["K-FAC"]).all()
    for layer, block in found.blocks.items():
        for name in ("EK-FAC", "diagonal"):
            assert np.trace(found.approximations[name][layer]) == pytest.approx(np.trace(block), rel=1e-6)
        np.testing.assert_allclose(np.diag(found.approximations["diagonal"][layer]), np.diag(block), rtol=1e-6)


def test_what_is_said_of_known_matrices():
    blocks = {"a": np.diag([3.0, 4.0]), "b": np.array([[2.0]])}
    whole = np.zeros((3, 3))
    whole[:2, :2], whole[2, 2], whole[0, 2], whole[2, 0] = blocks["a"], 2.0, 1.0, 1.0
    near, far = {"a": blocks["a"], "b": np.array([[1.0]])}, {"a": 3 * blocks["a"], "b": np.array([[3.0]])}
    found = CurvatureMatrices(whole, blocks, {"near": near, "far": far})
    assert found.edges == [2]
    assert found.share_between_layers == pytest.approx(2 / 31)
    assert found.distances.loc["a"].to_dict() == pytest.approx({"near": 0, "far": 2})
    assert found.distances.loc["b"].to_dict() == pytest.approx({"near": 0.5, "far": 0.5})
    assert found.nearest_everywhere("near")
    assert not found.nearest_everywhere("far")
    assert (found.worse_than_zeros("near"), found.worse_than_zeros("far")) == ([], ["a"])
    assert list(found.of_layer("b")) == ["b, exact", "near", "far"]


def test_kfacs_trace_is_right_for_orthogonal_inputs_and_wrong_for_equal_positions():
    alike = Factors(torch.ones(1, 1, 4, 3), torch.ones(1, 1, 4, 2))
    assert trace_ratio(alike) == pytest.approx(1 / 4)
    orthogonal = Factors(torch.eye(4)[None, None], torch.ones(1, 1, 4, 2))
    assert trace_ratio(orthogonal) == pytest.approx(1)
    # what nearly cancels: gradients g and −(1 − ε)g at equal inputs
    ε = 0.1
    cancel = Factors(torch.ones(1, 1, 2, 3), torch.tensor([1.0, ε - 1]).view(1, 1, 2, 1))
    assert trace_ratio(cancel) == pytest.approx((1 + (1 - ε) ** 2) / ε**2)


def test_groups_have_traces_of_their_own():
    one = Factors(torch.ones(1, 1, 4, 3), torch.ones(1, 1, 4, 2))
    other = Factors(torch.eye(4)[None, None, :, :3], 2 * torch.ones(1, 1, 4, 2))
    both = Factors(*(torch.cat(parts) for parts in zip(one, other, strict=True)))
    exact = [float(f.product().square().sum()) for f in (one, other)]
    expected = (exact[0] * trace_ratio(one) + exact[1] * trace_ratio(other)) / sum(exact)
    assert trace_ratio(both) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["grouped", "called twice"])
def test_ratios_are_those_of_the_matrices(scorer, images, kind):
    if kind == "called twice":
        scorer = Scorer(twice_net().double(), scorer.perturbation)
    matrices, found = curvature_matrices(scorer, images), trace_ratios(scorer, images)["both views"]
    for layer, block in matrices.blocks.items():
        trace = np.trace(matrices.approximations["K-FAC"][layer])
        assert found[layer] == pytest.approx(trace / np.trace(block), rel=1e-5)


def test_the_second_view_counts_its_own_positions_only():
    images = noise_images(6, size=4)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(48, 3, bias=False)).double()
    scorer = Scorer(encoder, GaussianNoise(0, 0.3), draws=1)
    left, right = views(scorer, images)
    z_hat = encoder(right).detach().requires_grad_()
    (s,) = torch.autograd.grad(two_view_loss(encoder(left).detach(), z_hat).sum(), z_hat)
    a, s = right.flatten(1).square().sum(1), s.square().sum(1)  # one position: the gradient is s aᵀ
    expected = float(a.mean() * s.mean() / (a * s).mean())
    assert trace_ratios(scorer, images).loc["1", "second view"] == pytest.approx(expected, rel=1e-6)


def test_of_a_layer_called_twice_the_second_view_is_found_in_every_call(images):
    """With one image there are as many positions, of which K-FAC's trace is their number times a mean of lengths."""
    net = twice_net().double()
    scorer, one = Scorer(net, GaussianNoise(0, 0.3), draws=1), images.subset(torch.tensor([0]))
    left, right = views(scorer, one)
    inputs, outputs = [], []
    handle = net.shared.register_forward_hook(lambda m, i, o: (inputs.append(i[0]), outputs.append(o))[0] and None)
    loss = two_view_loss(net(left).detach(), net(right)).sum()
    handle.remove()
    a = torch.stack([x[0].detach() for x in inputs[2:]])  # of the second view, in two calls
    s = torch.stack([g[0] for g in torch.autograd.grad(loss, outputs[2:])])
    a = torch.cat([a, torch.ones(2, 1)], dim=1)
    expected = float(a.square().sum() * s.square().sum() / 2 / (s.T @ a).square().sum())
    assert trace_ratios(scorer, one).loc["shared", "second view"] == pytest.approx(expected, rel=1e-6)
