"""LoGra against the bypass it is defined by, differentiated by autograd, and against dense matrices."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.errors import InputError
from influence_lib.influence.curvature import kronecker as curvature
from influence_lib.influence.curvature import logra as module
from influence_lib.influence.curvature.exact import exact_matrices
from influence_lib.influence.curvature.kronecker import BlockCurvature
from influence_lib.influence.curvature.logra import (
    INITIALISATIONS,
    Projection,
    fit_logra,
    principal_projections,
    random_projections,
)
from influence_lib.influence.curvature.problem import FitProblem, gradient_shape
from influence_lib.influence.views.gradients import tracked_layers
from tests.images import noise_images
from tests.influence.conftest import double_source, small_net

EVERY_NET = pytest.mark.parametrize("groups", [1, 2])
EVERY_INIT = pytest.mark.parametrize("init", INITIALISATIONS)
RANK = 3


class Bypass(nn.Module):
    """A layer with C·B·A beside it, where B is zero: the gradient of B is the projected gradient."""

    def __init__(self, layer, projection):
        super().__init__()
        self.layer, self.C = layer, projection.outputs
        self.A = projection.inputs[:, : layer.weight[0].numel()].mT
        self.B = nn.Parameter(self.A.new_zeros(len(self.A), self.C.shape[2], self.A.shape[1]))

    def forward(self, x):
        if isinstance(self.layer, nn.Linear):
            return self.layer(x) + x @ self.A[0].T @ self.B[0].T @ self.C[0].T
        groups, inner, size = self.layer.groups, self.layer.weight.shape[1], self.layer.kernel_size
        # positions in the kernel come before channels in the factors, and after them in a convolution's weight
        kernel = self.A.unflatten(2, (*size, inner)).permute(0, 1, 4, 2, 3).flatten(0, 1)
        beside = F.conv2d(x, kernel, None, self.layer.stride, self.layer.padding, self.layer.dilation, groups)
        for matrix in (self.B, self.C):
            beside = F.conv2d(beside, matrix.flatten(0, 1)[:, :, None, None], groups=groups)
        return self.layer(x) + beside


def projected_gradients(source, name: str, projection: Projection, fisher: str = "empirical") -> Tensor:
    """Return the gradients of B of one layer, one image at a time: groups×pairs×k."""
    layer = source.layers[name]
    bypass = Bypass(layer, projection)
    setattr(source.encoder, name, bypass)
    rows = []
    for index in source.pairs.spaced(None)[:, None]:
        left, right, *_ = source.pairs.batch(index)
        objective = source.pairs.objective(source.loss, index, fisher)
        (gradient,) = torch.autograd.grad(objective(source.encoder(left), source.encoder(right)).sum(), bypass.B)
        rows.append(gradient.flatten(1))
    setattr(source.encoder, name, layer)
    return torch.stack(rows, dim=1)


def problem_of(source, fisher="empirical") -> FitProblem:
    return FitProblem(source, source.pairs.spaced(None), fisher)


def projections_of(problem, init: str, seed: int = 0, rank: int = RANK) -> dict[str, Projection]:
    if init == "pca":
        return principal_projections(problem, rank)
    return random_projections(problem.source.layers, rank, seed)


def cross_of(source, fitted: BlockCurvature) -> dict[str, Tensor]:
    """Return the inner products of all pairs' halves in each layer."""
    (batch,) = source.pairs.batches(source.pairs.spaced(None))
    return {n: h @ h.T for n, h in zip(source.layers, fitted.halves(source.factors(batch)), strict=True)}


@pytest.mark.parametrize(("damping", "loss"), [(None, "cosine"), (1e-5, "ntxent"), (None, "mse")])
@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
@EVERY_INIT
@EVERY_NET
def test_scores_equal_the_bypass_and_dense_matrices(groups, init, damping, fisher, loss):
    source = double_source(small_net(groups), noise_images(9), loss)
    problem = problem_of(source, fisher)
    fitted = fit_logra(problem, RANK, init, 0, damping)
    expected = {}
    for name, projection in projections_of(problem, init).items():
        fit_on, scored = (projected_gradients(source, name, projection, kind) for kind in (fisher, "empirical"))
        H = torch.einsum("gnk,gnl->gkl", fit_on, fit_on) / 9
        λ = 0.1 * H.diagonal(dim1=1, dim2=2).mean() if damping is None else damping
        solved = torch.linalg.solve(H + λ * torch.eye(H.shape[1]).double(), scored.mT)
        expected[name] = (scored @ solved).sum(0)
    torch.testing.assert_close(cross_of(source, fitted), expected)
    (batch,) = source.pairs.batches(problem.indices)
    forms = dict(fitted.forms(source.factors(batch)))
    torch.testing.assert_close(forms, {name: matrix.diagonal() for name, matrix in expected.items()})


@pytest.mark.parametrize("damping", [None, 1e-4])
def test_pca_without_reduction_is_the_exact_fisher_of_the_weights(net, damping):
    source = double_source(net, noise_images(9))
    problem = problem_of(source)
    crosses = cross_of(source, fit_logra(problem, 64, "pca", 0, damping))
    (batch,) = source.pairs.batches(problem.indices)
    gradients, blocks = dict(source.factors(batch)), exact_matrices(problem, blocks=True)
    for name, layer in source.layers.items():
        _, height, width = gradient_shape(layer)
        weights = (torch.arange(height * width).view(height, width) % width < layer.weight[0].numel()).flatten()
        g, H = gradients[name].product()[0].flatten(1)[:, weights], blocks[name][weights][:, weights]
        λ = H.trace() / len(H) / 10 if damping is None else damping
        torch.testing.assert_close(crosses[name], g @ torch.linalg.solve(H + λ * torch.eye(len(H)).double(), g.T))


@EVERY_NET
def test_principal_projections_are_the_leading_singular_vectors(groups):
    problem = problem_of(double_source(small_net(groups), noise_images(9)))
    (batch,) = problem.source.pairs.batches(problem.indices)
    projections = principal_projections(problem, RANK)
    for name, (activations, gradients) in problem.source.factors(batch):
        inputs, outputs = projections[name].inputs, projections[name].outputs
        weights = problem.source.layers[name].weight[0].numel()
        assert not inputs[:, weights:].any()
        for vectors, rows in ((inputs[:, :weights], activations[..., :weights]), (outputs, gradients)):
            expected = torch.linalg.svd(rows.flatten(1, 2), full_matrices=False).Vh[:, :RANK]
            torch.testing.assert_close(vectors.mT @ vectors, torch.eye(RANK).double().expand(len(vectors), -1, -1))
            torch.testing.assert_close(vectors @ vectors.mT, expected.mT @ expected)


def test_random_projections_are_drawn_as_layers_are(net):
    projections = random_projections(tracked_layers(net), RANK, seed=7)
    torch.manual_seed(7)
    for name, layer in tracked_layers(net).items():
        _, height, width = gradient_shape(layer)
        bias = int(layer.bias is not None)
        encoder = nn.Linear(width - bias, RANK, bias=False)
        decoder = nn.Linear(RANK, height, bias=False)
        torch.testing.assert_close(projections[name].inputs[0], F.pad(encoder.weight.T, (0, 0, 0, bias)))
        torch.testing.assert_close(projections[name].outputs[0], decoder.weight)


def test_groups_have_projections_of_their_own(grouped_net):
    projection = random_projections(tracked_layers(grouped_net), RANK, seed=0)["conv2"]
    assert projection.inputs.shape == (2, 18, RANK)
    assert projection.outputs.shape == (2, 3, RANK)
    assert not torch.equal(projection.inputs[0], projection.inputs[1])
    assert not torch.equal(projection.outputs[0], projection.outputs[1])


@EVERY_INIT
def test_a_side_with_fewer_dimensions_keeps_them_all(net, init):
    problem = problem_of(double_source(net, noise_images(5)))
    sizes = {n: (p.inputs.shape[2], p.outputs.shape[2]) for n, p in projections_of(problem, init, rank=20).items()}
    assert sizes == {"conv1": (20, 4), "conv2": (20, 6), "head": (6, 5)}


def test_default_damping_makes_the_scale_of_the_projection_irrelevant(net, monkeypatch):
    source = double_source(net, noise_images(6))
    before = cross_of(source, fit_logra(problem_of(source), RANK, "random", 0, None))
    drawn = module.random_projections

    def scaled(*arguments):
        return {name: Projection(3 * p.inputs, 2 * p.outputs) for name, p in drawn(*arguments).items()}

    monkeypatch.setattr(module, "random_projections", scaled)
    torch.testing.assert_close(cross_of(source, fit_logra(problem_of(source), RANK, "random", 0, None)), before)


def test_the_seed_decides_the_random_projections_alone(net):
    source = double_source(net, noise_images(6))

    def scores(init, seed):
        return cross_of(source, fit_logra(problem_of(source), RANK, init, seed, None))["conv1"].diagonal()

    assert torch.equal(scores("random", 0), scores("random", 0))
    assert not torch.allclose(scores("random", 0), scores("random", 1), rtol=0.01)
    assert torch.equal(scores("pca", 0), scores("pca", 1))


@EVERY_INIT
def test_scores_do_not_depend_on_batches_chunks_or_order(net, init, monkeypatch):
    images = noise_images(11)

    def scores(images):
        source = double_source(net, images)
        fitted = fit_logra(problem_of(source), RANK, init, 0, None)
        batches = source.pairs.batches(source.pairs.spaced(None))
        return torch.cat([sum(dict(fitted.forms(source.factors(batch))).values()) for batch in batches])

    whole = scores(images)
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 4)
    monkeypatch.setattr(curvature, "ENTRIES_AT_ONCE", 1)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(scores(images.subset(order)), whole[order])


@pytest.mark.parametrize(
    ("rank", "init", "sentence"),
    [
        (0, "random", "rank is 0, but it must be a whole number from 1 to 64"),
        (65, "pca", "rank is 65, but it must be a whole number from 1 to 64"),
        (2.0, "random", "rank is 2.0, but it must be a whole number from 1 to 64"),
        (8, "svd", "init is 'svd', but it must be one of 'random', 'pca'"),
    ],
)
def test_bad_input_is_refused(net, rank, init, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_logra(problem_of(double_source(net, noise_images(3))), rank, init, 0, None)
