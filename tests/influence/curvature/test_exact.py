"""The exact curvature against Jacobians by autograd, and the approximations against the exact curvature."""

import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.errors import InputError
from influence_lib.influence.curvature import exact as module
from influence_lib.influence.curvature.exact import WHOLE, dense, exact_matrices, fit_exact
from influence_lib.influence.curvature.kronecker import KroneckerBasis, fit
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.views.gradients import tracked_layers
from influence_lib.influence.views.losses import LOSSES
from tests.images import noise_images
from tests.influence.conftest import double_source, gauss_newton, small_net

EVERY_NET = pytest.mark.parametrize("groups", [1, 2])


def problem_of(source, fisher="empirical") -> FitProblem:
    return FitProblem(source, source.pairs.spaced(None), fisher)


def parameters_of(net: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of the tracked layers, weight and bias of one after those of the other."""
    names = [f"{layer}.{name}" for layer, m in tracked_layers(net).items() for name, _ in m.named_parameters()]
    return {name: net.get_parameter(name) for name in names}


def ordered(derivatives: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return …×p for each layer from the derivatives by its weight and bias: outputs, kernel, channels, bias."""
    rows = {}
    for name in dict.fromkeys(key.rpartition(".")[0] for key in derivatives):
        weight = derivatives[f"{name}.weight"]
        if name.startswith("conv"):
            weight = weight.movedim(-3, -1).flatten(-3)
        if f"{name}.bias" in derivatives:
            weight = torch.cat([weight, derivatives[f"{name}.bias"][..., None]], dim=-1)
        rows[name] = weight.flatten(-2)
    return rows


def jacobian(source, function) -> dict[str, Tensor]:
    """Return the Jacobian of a function of the two representations over all pairs: pairs×K×p for each layer."""
    parameters = {name: p.detach() for name, p in parameters_of(source.encoder).items()}
    batches = []
    for batch in source.pairs.batches(source.pairs.spaced(None)):

        def outputs(values, batch=batch):
            left, right = (torch.func.functional_call(source.encoder, values, (x,)) for x in (batch.left, batch.right))
            return function(left, right)

        batches.append(ordered(torch.func.jacrev(outputs)(parameters)))
    return {name: torch.cat([b[name] for b in batches]).detach() for name in batches[0]}


def cosine_distance(left: Tensor, right: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(left, right)


@EVERY_NET
def test_empirical_fisher_equals_autograd(groups):
    source = double_source(small_net(groups), noise_images(7), draws=2)
    J = jacobian(source, cosine_distance)
    blocks = exact_matrices(problem_of(source), blocks=True)
    assert blocks.keys() == source.layers.keys()
    for name, g in J.items():
        torch.testing.assert_close(blocks[name], g.T @ g / 14)
    g = torch.cat(list(J.values()), dim=1)
    torch.testing.assert_close(exact_matrices(problem_of(source), blocks=False), {WHOLE: g.T @ g / 14})


@EVERY_NET
@pytest.mark.parametrize("loss", LOSSES)
def test_gauss_newton_equals_jacobians(loss, groups):
    source = double_source(small_net(groups), noise_images(6), loss)
    J = torch.cat(list(jacobian(source, lambda left, right: torch.cat([left, right], dim=1)).values()), dim=2)
    (batch,) = source.pairs.batches(source.pairs.spaced(None))
    representations = zip(source.encoder(batch.left), source.encoder(batch.right), batch.ids, strict=True)
    outer = torch.stack([gauss_newton(source.loss, left, right, own).detach() for left, right, own in representations])
    expected = (J.mT @ outer @ J).mean(0)
    torch.testing.assert_close(exact_matrices(problem_of(source, "sampled"), blocks=False), {WHOLE: expected})
    start = 0
    for block in exact_matrices(problem_of(source, "sampled"), blocks=True).values():
        place = slice(start, start := start + len(block))
        torch.testing.assert_close(block, expected[place, place])
    assert start == len(expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_sampled_targets_tend_to_the_gauss_newton_matrix(loss):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Tanh(), nn.Linear(3, 4))
    source = double_source(net, noise_images(32, size=2), loss, draws=50)
    if loss == "ntxent":  # few classes, as there is one backward pass for each
        few = replace(source.loss, negatives=source.loss.negatives[:5], negative_ids=source.loss.negative_ids[:5])
        source = replace(source, loss=few)
    matrices = exact_matrices(problem_of(source, "sampled"), blocks=True)
    for name, layer in fit(problem_of(source, "sampled"), "diagonal", None).layers.items():
        sampled, exact = layer.eigenvalues.flatten(), matrices[name].diagonal()
        assert float((sampled - exact).norm() / exact.norm()) < 0.1


@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
@pytest.mark.parametrize("damping", [None, 1e-3])
@EVERY_NET
def test_forms_and_halves_equal_linear_solves(groups, damping, fisher):
    source = double_source(small_net(groups), noise_images(9))
    problem = problem_of(source, fisher)
    gradients = jacobian(source, cosine_distance)

    def inverse_times(H: Tensor, g: Tensor) -> Tensor:
        shift = H.trace() / len(H) / 10 if damping is None else damping
        return torch.linalg.solve(H + shift * torch.eye(len(H)).double(), g.T).T

    whole = torch.cat(list(gradients.values()), dim=1)
    solved = inverse_times(exact_matrices(problem, blocks=False)[WHOLE], whole)
    parts = solved.split([g.shape[1] for g in gradients.values()], dim=1)
    by_layer = {name: (g * part).sum(1) for (name, g), part in zip(gradients.items(), parts, strict=True)}
    check(source, fit_exact(problem, damping, blocks=False), by_layer, whole @ solved.T)

    blocks = exact_matrices(problem, blocks=True)
    cross = {name: g @ inverse_times(blocks[name], g).T for name, g in gradients.items()}
    by_layer = {name: matrix.diagonal() for name, matrix in cross.items()}
    check(source, fit_exact(problem, damping, blocks=True), by_layer, sum(cross.values()))


def check(source, curvature, by_layer, cross):
    batch = next(source.pairs.batches(source.pairs.spaced(None)))
    torch.testing.assert_close(dict(curvature.forms(source.factors(batch))), by_layer)
    torch.testing.assert_close(sum(h @ h.T for h in curvature.halves(source.factors(batch))), cross)


@pytest.mark.parametrize("blocks", [True, False])
def test_matrices_do_not_depend_on_batches_or_order(net, blocks, monkeypatch):
    images = noise_images(11)
    whole = exact_matrices(problem_of(double_source(net, images, draws=2)), blocks)
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 4)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        exact_matrices(problem_of(double_source(net, images.subset(order), draws=2)), blocks), whole
    )


class Unused(nn.Module):
    """Has a layer between two others that it never calls."""

    def __init__(self):
        super().__init__()
        self.first, self.unused, self.last = nn.Linear(12, 2), nn.Linear(3, 1), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x.flatten(1))))


def test_a_layer_that_is_not_called_has_no_curvature_and_no_part():
    torch.manual_seed(0)
    source = double_source(Unused(), noise_images(5, size=2))
    problem = problem_of(source)
    H = exact_matrices(problem, blocks=False)[WHOLE]
    blocks = exact_matrices(problem, blocks=True)
    torch.testing.assert_close(H[:26, :26], blocks["first"])
    torch.testing.assert_close(H[30:, 30:], blocks["last"])
    assert not H[26:30].any()
    assert not blocks["unused"].any()
    batch = next(source.pairs.batches(problem.indices))
    assert not dict(fit_exact(problem, 1e-3, blocks=False).forms(source.factors(batch)))["unused"].any()


@pytest.mark.parametrize(
    ("blocks", "limit", "what"),
    [
        (False, 362, "'exact', but the scored layers have 363 parameters, and a matrix takes at most 362."),
        (True, 215, "'exact-blocks', but layer 'conv2' has 216 parameters, and a matrix takes at most 215."),
    ],
)
def test_too_many_parameters_are_refused(net, blocks, limit, what, monkeypatch):
    monkeypatch.setattr(module, "LIMIT", limit)
    problem = problem_of(double_source(net, noise_images(3)))
    with pytest.raises(InputError, match=re.escape(f"curvature is {what}")):
        fit_exact(problem, None, blocks)
    monkeypatch.setattr(module, "LIMIT", limit + 1)
    fit_exact(problem, None, blocks)


def fitted_layers(problem):
    return {kind: fit(problem, kind, None).layers for kind in ("ekfac", "kfac", "diagonal")}


@EVERY_NET
def test_dense_matrices_equal_kronecker_products(groups):
    source = double_source(small_net(groups), noise_images(6))
    layers = fitted_layers(problem_of(source))
    for name, layer in source.layers.items():
        for kind in ("ekfac", "kfac"):
            fitted = layers[kind][name]
            assert isinstance(fitted.basis, KroneckerBasis)
            parts = zip(fitted.basis.outputs, fitted.basis.inputs, fitted.eigenvalues, strict=True)
            bases = [(torch.kron(outputs, inputs), values.flatten()) for outputs, inputs, values in parts]
            expected = torch.block_diag(*[Q @ torch.diag(values) @ Q.T for Q, values in bases])
            torch.testing.assert_close(dense(fitted, layer), expected)
        torch.testing.assert_close(
            dense(layers["diagonal"][name], layer), torch.diag(layers["diagonal"][name].eigenvalues.flatten())
        )


@EVERY_NET
def test_dense_matrix_of_an_exact_block_is_the_block(groups):
    source = double_source(small_net(groups), noise_images(6))
    fitted, blocks = fit_exact(problem_of(source), None, blocks=True), exact_matrices(problem_of(source), blocks=True)
    for name, layer in source.layers.items():
        torch.testing.assert_close(dense(fitted.layers[name], layer), blocks[name])


@pytest.mark.parametrize("loss", LOSSES)
@EVERY_NET
def test_ekfac_is_closer_than_kfac(groups, loss):
    """In the same basis the second moments are the closest diagonal to the matrix (George et al. 2018)."""
    problem = problem_of(double_source(small_net(groups), noise_images(12), loss, draws=2))
    blocks, layers = exact_matrices(problem, blocks=True), fitted_layers(problem)
    for name, layer in problem.source.layers.items():
        ekfac, kfac = (float((dense(layers[kind][name], layer) - blocks[name]).norm()) for kind in ("ekfac", "kfac"))
        assert ekfac < kfac


class Black:
    """In place of the image nothing, so that of a layer's two inputs one is zero."""

    def __call__(self, pixels, rng):
        return torch.zeros_like(pixels)

    def describe(self):
        return {"kind": "black"}


class Projected:
    """A loss that is linear in the difference of the views, in a random direction for each image."""

    def values(self, left, right, ids):
        generators = [torch.Generator().manual_seed(i) for i in ids]
        directions = torch.stack([torch.randn(left.shape[1], generator=g, dtype=left.dtype) for g in generators])
        return (directions * (left - right)).sum(1)


class OneLinear(nn.Module):
    def __init__(self, outputs: int):
        super().__init__()
        self.layer = nn.Linear(12, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))


def one_linear_layer(outputs, images):
    source = double_source(OneLinear(outputs), noise_images(images, size=2), perturbation=Black())
    return problem_of(replace(source, loss=Projected()))


def test_where_gradients_do_not_depend_on_inputs_kfac_is_closer_than_the_diagonal():
    """H tends to S ⊗ A, which K-FAC is, while the inputs are far from uncorrelated, as the diagonal has them."""
    problem = one_linear_layer(outputs=4, images=300)
    (H,) = exact_matrices(problem, blocks=True).values()
    layers = fitted_layers(problem)
    distances = {k: float((dense(layers[k]["layer"], problem.source.layers["layer"]) - H).norm()) for k in layers}
    assert distances["ekfac"] < distances["kfac"] < 0.5 * distances["diagonal"]


def test_ekfac_is_exact_for_one_linear_output():
    """The gradient is the input times a number, so that A and the mean of ggᵀ have the same eigenvectors."""
    problem = one_linear_layer(outputs=1, images=40)
    problem = replace(problem, source=replace(problem.source, loss=Signed()))
    (H,) = exact_matrices(problem, blocks=True).values()
    layers, layer = fitted_layers(problem), problem.source.layers["layer"]
    torch.testing.assert_close(dense(layers["ekfac"]["layer"], layer), H)
    assert (dense(layers["diagonal"]["layer"], layer) - H).norm() > 0.5 * H.norm()


class Signed:
    """A loss whose gradient is the input of the left view less that of the right, up to the sign."""

    def values(self, left, right, ids):
        return (-1.0) ** torch.tensor(ids, dtype=left.dtype) * (left - right)[:, 0]
