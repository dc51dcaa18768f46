"""EK-FAC, K-FAC and the diagonal against dense matrices."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from influence_lib.influence import Augmentations, GaussianNoise, self_influence
from influence_lib.influence.curvature import kronecker as module
from influence_lib.influence.curvature.kronecker import (
    KINDS,
    KroneckerBasis,
    LayerCurvature,
    ParameterBasis,
    chunks,
    fit,
)
from influence_lib.influence.curvature.problem import FitProblem, gradient_shape
from influence_lib.influence.views.gradients import Factors
from influence_lib.influence.views.losses import COSINE, NTXent
from influence_lib.influence.views.source import GradientSource
from influence_lib.influence.views.two_views import TwoViews
from tests.images import noise_images
from tests.influence.conftest import (
    DoublePairs,
    autograd_gradients,
    dense_basis,
    dense_curvature,
    double_source,
    gauss_newton,
    normal,
    normal_factors,
    small_net,
    twice_net,
)

DAMPING = 1e-3
NETS = {"plain": lambda: small_net(1), "groups": lambda: small_net(2), "called twice": twice_net}
every_net = pytest.mark.parametrize("build", NETS.values(), ids=NETS)
every_fit = pytest.mark.parametrize("curvature", KINDS)


@dataclass(frozen=True)
class Designed(GradientSource):
    """A source whose one layer, linear and without bias, has factors that are given."""

    rows: Factors = field(kw_only=True)

    @classmethod
    def of(cls, activations: Tensor, gradients: Tensor) -> "Designed":
        """Return the source of B×P×in inputs and B×P×out output gradients."""
        layer = nn.Linear(activations.shape[2], gradients.shape[2], bias=False).double()
        images = noise_images(len(activations), size=1)
        pairs = DoublePairs(images, TwoViews(GaussianNoise(), views="one", draws=1, seed=0), torch.device("cpu"))
        return cls(layer, {"layer": layer}, pairs, COSINE, rows=Factors(activations[None], gradients[None]))

    def factors(self, batch, fisher="empirical"):
        yield "layer", Factors(*(part[:, batch.indices] for part in self.rows))

    def gradients(self) -> Tensor:
        """Return the gradients as vectors, B×(out·in)."""
        return self.rows.product()[0].flatten(1)


def problem_of(source: GradientSource, fisher: str = "empirical") -> FitProblem:
    return FitProblem(source, source.pairs.spaced(None), fisher)


def all_factors(source: GradientSource, fisher: str = "empirical") -> dict[str, Factors]:
    """Return the factors of all pairs, one draw after the other."""
    batches = [dict(source.factors(batch, fisher)) for batch in source.pairs.batches(source.pairs.spaced(None))]
    return {
        name: Factors(*(torch.cat(f, dim=1) for f in zip(*(b[name] for b in batches), strict=True)))
        for name in batches[0]
    }


def dense_forms(layer: LayerCurvature, factors: Factors, damping: float) -> Tensor:
    """Return gᵀ(H + λI)⁻¹g' of all pairs of images, from matrices."""
    gradients, total = factors.product(), torch.zeros(())
    for group in range(len(gradients)):
        H, g = dense_curvature(layer, group), gradients[group].flatten(1)
        total = total + g @ torch.linalg.solve(H + damping * torch.eye(len(H)).double(), g.T)
    return total


@every_net
@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
def test_covariances_are_sums_over_positions(build, fisher, monkeypatch):
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 4)
    source = double_source(build(), noise_images(5), draws=2)
    found = problem_of(source, fisher).covariances()
    for name, (a, g) in all_factors(source, fisher).items():
        positions = a.shape[2]
        torch.testing.assert_close(found[name][0], torch.einsum("gbpi,gbpj->gij", a, a) / 10)
        torch.testing.assert_close(found[name][1], torch.einsum("gbpi,gbpj->gij", g, g) / (10 * positions))
        assert all(torch.equal(M, M.mT) for M in found[name])


@every_net
def test_second_moments_in_the_layers_own_parameters_are_mean_squares(build):
    source = double_source(build(), noise_images(5), draws=2)
    found = problem_of(source).second_moments(dict.fromkeys(source.layers, ParameterBasis()))
    for name, factors in all_factors(source).items():
        assert found[name].shape == gradient_shape(source.layers[name])
        torch.testing.assert_close(found[name], factors.product().square().mean(dim=1))


@every_net
@every_fit
@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
def test_forms_and_halves_equal_dense_matrices(build, curvature, fisher):
    source = double_source(build(), noise_images(9))
    fitted = fit(problem_of(source, fisher), curvature, DAMPING)
    factors = all_factors(source)
    expected = {
        name: dense_forms(fitted.layers[name], part, 1.0 if curvature == "identity" else DAMPING)
        for name, part in factors.items()
    }
    for layer in fitted.layers.values():
        assert (layer.eigenvalues >= 0).all()
        for group in range(len(layer.eigenvalues)):
            Q = dense_basis(layer, group)
            torch.testing.assert_close(Q.T @ Q, torch.eye(len(Q)).double())
    forms = dict(fitted.forms(iter(factors.items())))
    torch.testing.assert_close(forms, {name: matrix.diagonal() for name, matrix in expected.items()})
    for half, matrix in zip(fitted.halves(iter(factors.items())), expected.values(), strict=True):
        torch.testing.assert_close(half @ half.T, matrix)


@every_net
def test_identity_and_diagonal_are_those_of_autograds_gradients(build):
    """The two that do not depend on a basis, straight from their definition."""
    source = double_source(build(), noise_images(5))
    (batch,) = source.pairs.batches(torch.arange(5))
    gradients = autograd_gradients(
        source.encoder, source.pairs.objective(COSINE, batch.indices), batch.left, batch.right
    )
    squares = {name: g.square() for name, g in gradients.items()}
    for curvature in ("identity", "diagonal"):
        found = dict(fit(problem_of(source), curvature, None).forms(source.factors(batch)))
        for name, square in squares.items():
            moment = square.mean(0)
            weights = 1.0 if curvature == "identity" else 1 / (moment + 0.1 * moment.mean())
            torch.testing.assert_close(found[name], (square * weights).sum(dim=(1, 2)))


@every_net
def test_ekfac_follows_from_its_definition(build):
    """From the covariances by eigendecomposition, one image and one eigenvector after the other."""
    source = double_source(build(), noise_images(6))
    covariances, factors = problem_of(source).covariances(), all_factors(source)
    found = dict(fit(problem_of(source), "ekfac", None).forms(iter(factors.items())))
    for name, part in factors.items():
        coordinates = []
        for group, gradients in enumerate(part.product()):
            Q_A, Q_S = (torch.linalg.eigh(M[group])[1] for M in covariances[name])
            coordinates.append(
                torch.stack([torch.outer(u, v).flatten() for u in Q_S.T for v in Q_A.T]) @ gradients.flatten(1).T
            )
        squares = torch.cat(coordinates).square()
        moments = squares.mean(dim=1, keepdim=True)
        torch.testing.assert_close(found[name], (squares / (moments + 0.1 * moments.mean())).sum(0))


def test_kfac_of_one_position_is_the_product_of_the_covariances(net):
    source = double_source(net, noise_images(9))
    fitted = fit(problem_of(source), "kfac", None).layers["head"]
    a, g = (rows[0].flatten(0, 1) for rows in all_factors(source)["head"])  # (images · 2 views) × n
    torch.testing.assert_close(dense_curvature(fitted), torch.kron(g.T @ g / 18, a.T @ a / 9))


@every_net
@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
def test_ekfac_is_closer_to_the_curvature_than_kfac(build, fisher):
    """It is the best diagonal in the basis that they share (George et al. 2018)."""
    source = double_source(build(), noise_images(12), draws=2)
    fitted = {kind: fit(problem_of(source, fisher), kind, None).layers for kind in ("ekfac", "kfac")}
    for name, factors in all_factors(source, fisher).items():
        for group, gradients in enumerate(factors.product()):
            exact = gradients.flatten(1).T @ gradients.flatten(1) / 24
            ekfac, kfac = (float((dense_curvature(fitted[k][name], group) - exact).norm()) for k in ("ekfac", "kfac"))
            assert ekfac < kfac


def test_kfac_and_ekfac_are_exact_where_inputs_and_gradients_are_independent():
    """Every input with every output gradient: the curvature is S ⊗ A, which no diagonal of parameters is."""
    inputs, gradients = normal(6, 1, 4), normal(5, 1, 3, seed=1)
    source = Designed.of(inputs.repeat(5, 1, 1), gradients.repeat_interleave(6, dim=0))
    check_exactness(source, kfac=True)


def test_kfac_and_ekfac_are_exact_for_several_independent_positions():
    """Positions alike and uncorrelated: the sum of their curvatures, with A a sum and S a mean over positions."""
    inputs, gradients = normal(6, 4), normal(5, 3, seed=1)
    pairs = torch.cartesian_prod(torch.arange(6), torch.arange(6), torch.arange(5), torch.arange(5), torch.arange(2))
    signs = torch.stack([torch.ones(len(pairs)), 2.0 * pairs[:, 4] - 1], dim=1).double()
    check_exactness(Designed.of(inputs[pairs[:, :2]], gradients[pairs[:, 2:4]] * signs[..., None]), kfac=True)


def test_ekfac_is_exact_for_one_output():
    """The curvature of one output of constant gradient is A; K-FAC's S makes it the same."""
    signs = normal(50, 1, 1, seed=1).sign()
    check_exactness(Designed.of(normal(50, 1, 4), 2 * signs), kfac=True)


def test_ekfac_is_exact_where_the_eigenvectors_are_and_kfac_is_not():
    """Coordinates uncorrelated but of second moments that are no product."""
    inputs, gradients = torch.linalg.qr(normal(4, 4)).Q, torch.linalg.qr(normal(3, 3, seed=1)).Q
    rows, columns = torch.cartesian_prod(torch.arange(3), torch.arange(4)).T
    lengths, scales = normal(12, seed=2).abs() + 0.5, torch.tensor([1.0, 2.0, 3.0]).double()[rows, None]
    check_exactness(
        Designed.of((inputs[columns] * lengths[:, None])[:, None], (gradients[rows] * scales)[:, None]), kfac=False
    )


def check_exactness(source, kfac):
    gradients = source.gradients()
    exact = gradients.T @ gradients / len(gradients)
    fitted = {kind: fit(problem_of(source), kind, DAMPING).layers["layer"] for kind in ("ekfac", "kfac", "diagonal")}
    torch.testing.assert_close(dense_curvature(fitted["ekfac"]), exact)
    assert torch.allclose(dense_curvature(fitted["kfac"]), exact) == kfac
    torch.testing.assert_close(fitted["diagonal"].eigenvalues.flatten(), exact.diagonal())
    assert (dense_curvature(fitted["diagonal"]) - exact).norm() > 0.1 * exact.norm()
    solved = torch.linalg.solve(exact + DAMPING * torch.eye(len(exact)).double(), gradients.T)
    torch.testing.assert_close(fitted["ekfac"].quadratic_form(source.rows), (gradients * solved.T).sum(1))


@given(
    images=st.integers(1, 5),
    groups=st.integers(1, 2),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    positions=st.integers(1, 12),
    held=st.sampled_from([1, 40, 10**6]),
)
@settings(max_examples=40)
def test_either_way_of_rotating_gives_the_same(images, groups, width, height, positions, held):
    factors = normal_factors(groups, images, positions, width, height)
    basis = KroneckerBasis(
        torch.linalg.qr(normal(groups, width, width, seed=2)).Q,
        torch.linalg.qr(normal(groups, height, height, seed=3)).Q,
    )
    expected = torch.einsum("kpo,kbpq,kqi->kboi", basis.outputs, factors.product(), basis.inputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ENTRIES_AT_ONCE", held)
        torch.testing.assert_close(torch.cat(list(basis.coordinates(factors)), dim=1), expected)
        torch.testing.assert_close(torch.cat(list(ParameterBasis().coordinates(factors)), dim=1), factors.product())


@pytest.mark.parametrize(
    ("held", "images"), [(1, 1), (2 * 3 * 4, 1), (2 * 3 * 4 * 5, 5), (2 * 3 * 4 * 6 - 1, 5), (10**9, 7)]
)
def test_chunks_hold_no_more_than_their_share(held, images, monkeypatch):
    monkeypatch.setattr(module, "ENTRIES_AT_ONCE", held)
    factors = normal_factors(2, 7, 5, 3, 4)
    parts = list(chunks(factors))
    assert [part.activations.shape[1] for part in parts] == ([images] * 7)[: 7 // images] + [7 % images] * (
        7 % images > 0
    )
    assert max(part.product().numel() for part in parts) <= max(held, 24)
    assert all(torch.equal(torch.cat(f, dim=1), g) for f, g in zip(zip(*parts, strict=True), factors, strict=True))


def test_default_damping_is_a_tenth_of_the_mean_eigenvalue(grouped_net):
    source = double_source(grouped_net, noise_images(6))
    factors = all_factors(source)["conv2"]
    layer = fit(problem_of(source), "ekfac", None).layers["conv2"]
    explicit = LayerCurvature(layer.basis, layer.eigenvalues, float(layer.eigenvalues.mean()) / 10)
    torch.testing.assert_close(layer.quadratic_form(factors), explicit.quadratic_form(factors))
    assert layer.damping is None


@pytest.mark.parametrize("curvature", [kind for kind in KINDS if kind != "identity"])
def test_a_layer_without_a_gradient_adds_nothing(images, curvature):
    """As in a residual network whose last normalisation starts at zero: H is 0, and so is every gradient."""

    class Skipped(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3)
            self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
            nn.init.zeros_(self.block[1].weight)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.tanh(self.stem(x))
            return (x + self.block(x)).mean(dim=(2, 3))

    scores = self_influence(Skipped(), images, curvature=curvature, progress=False)
    assert (scores.by_layer["block.0"] == 0).all()
    assert (scores.by_layer["stem"] > 0).all()


@pytest.mark.parametrize("loss", ["cosine", "mse", "ntxent"])
def test_sampled_targets_give_the_gauss_newton_matrix_of_the_weights(net, loss):
    """Three images many times over: the targets alone differ."""
    few, copies = noise_images(3), 600
    images = replace(noise_images(3 * copies), images=few.images.repeat(copies, 1, 1, 1))
    source = double_source(net, images, loss, perturbation=Augmentations(flip_probability=1.0), layers=["head"])
    if isinstance(source.loss, NTXent):  # six negatives, the same for every copy
        source = replace(source, loss=NTXent(source.loss.negatives[:6], -torch.arange(1, 7)))
    rows = all_factors(source, "sampled")["head"].product()[0].flatten(1)
    batch, exact = source.pairs.batch(torch.arange(3)), torch.zeros(35, 35, dtype=torch.float64)
    weights = torch.cat([net.head.weight, net.head.bias[:, None]], dim=1).detach()
    for x, y, own in zip(batch.left, batch.right, batch.ids, strict=True):
        views = torch.stack([x, y])

        def represented(W: Tensor, views: Tensor = views) -> Tensor:
            parameters = {"head.weight": W[:, :-1], "head.bias": W[:, -1]}
            return torch.func.functional_call(net, parameters, (views,)).flatten()

        J = torch.autograd.functional.jacobian(represented, weights).flatten(1)
        exact += J.T @ gauss_newton(source.loss, *represented(weights).view(2, 5), own) @ J / 3
    assert (rows.T @ rows / len(rows) - exact).norm() < 0.1 * exact.norm()
    fitted = fit(problem_of(source, "sampled"), "diagonal", None).layers["head"]
    assert (fitted.eigenvalues.flatten() - exact.diagonal()).norm() < 0.1 * exact.diagonal().norm()


@every_fit
@pytest.mark.parametrize("loss", ["cosine", "mse", "ntxent"])
def test_scores_do_not_depend_on_batches_chunks_or_order(net, curvature, loss, monkeypatch):
    images = noise_images(11)
    arguments = {"curvature": curvature, "loss": loss, "fisher": "sampled", "draws": 2, "progress": False}
    arguments["precision"] = "fp64"  # where what is left is the rounding of the result to float32
    whole = self_influence(net, images, **arguments)
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 4)
    monkeypatch.setattr(module, "ENTRIES_AT_ONCE", 1)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    shuffled = self_influence(net, images.subset(order), **arguments)
    torch.testing.assert_close(shuffled.by_draw, whole.by_draw[:, order], rtol=1e-6, atol=0)


@every_fit
def test_scores_do_not_depend_on_threads(net, images, curvature):
    found, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(self_influence(net, images, curvature=curvature, precision="fp64", progress=False).values)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*found, rtol=1e-6, atol=0)


def test_only_the_pairs_of_the_fit_make_the_curvature(net):
    source = double_source(net, noise_images(6), draws=2)
    indices = torch.tensor([0, 4, 5, 9])
    found = FitProblem(source, indices).covariances()["conv2"]
    a = all_factors(source)["conv2"].activations[:, indices]
    torch.testing.assert_close(found[0], torch.einsum("gbpi,gbpj->gij", a, a) / 4)


def test_fast_covariances_take_every_third_of_many_positions(net, monkeypatch):
    monkeypatch.setattr("influence_lib.influence.curvature.problem.autocast_dtype", lambda *_: None)
    source = double_source(net, noise_images(6))
    whole, fast = (problem_of(source).covariances(fast=fast) for fast in (False, True))
    a = all_factors(source)["conv1"].activations
    assert a.shape[2] == 2 * 8 * 8
    some = a[:, :, ::3]
    torch.testing.assert_close(fast["conv1"][0], torch.einsum("gbpi,gbpj->gij", some, some) / 6 * (128 / 43))
    assert not torch.allclose(fast["conv1"][0], whole["conv1"][0], rtol=1e-3)
    torch.testing.assert_close(fast["conv1"][1], whole["conv1"][1])
    for of_fast, of_whole in zip(fast["conv2"], whole["conv2"], strict=True):
        torch.testing.assert_close(of_fast, of_whole)
