"""EK-FAC, K-FAC and the diagonal against kronfluence and against dense matrices."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from influence_lib.influence import GaussianNoise, self_influence
from influence_lib.influence import curvature as module
from influence_lib.influence.curvature import CURVATURES, Basis, fit, quadratic_forms
from influence_lib.influence.gradients import layer_factors, per_sample_gradients
from influence_lib.influence.losses import two_view_loss
from influence_lib.influence.pairs import Pairs
from tests.images import noise_images
from tests.influence.conftest import small_net

DAMPING = 1e-3


class Weighty(nn.Module):
    """One layer called twice, on a network that is otherwise smooth."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3 * 8 * 8, 6)
        self.shared = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(torch.tanh(self.shared(torch.tanh(self.first(x.flatten(1))))))


def pairs_of(images, draws=1, views="one") -> Pairs:
    return Pairs(images, GaussianNoise(), views, draws, 0, torch.device("cpu"))


def doubled(images, draws=1):
    return [(b.left.double(), b.right.double(), two_view_loss) for b in pairs_of(images, draws).batches()]


@pytest.mark.parametrize("arguments", [{}, {"damping": 1e-4}, {"views": "two", "draws": 2}, {"factor_pairs": 7}])
def test_ekfac_equals_kronfluence(net, images, arguments):
    ours = self_influence(net, images, curvature="ekfac", progress=False, **arguments)
    theirs = self_influence(net, images, curvature="kronfluence", progress=False, **arguments)
    torch.testing.assert_close(ours.by_draw, theirs.by_draw, rtol=1e-4, atol=0)


@pytest.mark.parametrize("encoder", [small_net(1), small_net(2), Weighty()], ids=["plain", "groups", "called twice"])
@pytest.mark.parametrize("curvature", CURVATURES)
def test_forms_equal_dense_matrices(encoder, curvature):
    encoder = copy.deepcopy(encoder).double().eval()
    batches = doubled(noise_images(9))
    fitted = fit(encoder, lambda: batches, curvature)
    ((left, right, _),) = batches
    expected = torch.zeros(9, dtype=torch.float64)
    for name, gradients in per_sample_gradients(encoder, left, right):
        layer = fitted[name]
        groups, height, width = layer.eigenvalues.shape
        rows = gradients.unflatten(1, (groups, height))
        for group in range(groups):
            Q = torch.eye(height * width).double()
            if layer.basis is not None:
                Q = torch.kron(layer.basis.outputs[group], layer.basis.inputs[group])
            torch.testing.assert_close(Q.T @ Q, torch.eye(height * width).double())
            H = Q @ torch.diag(layer.eigenvalues[group].flatten()) @ Q.T
            damped = H + DAMPING * torch.eye(height * width).double()
            flat = rows[:, group].flatten(1)
            expected += (flat * torch.linalg.solve(damped, flat.T).T).sum(1)
    torch.testing.assert_close(quadratic_forms(encoder, left, right, fitted, DAMPING), expected)


def test_kfac_of_one_position_is_the_product_of_the_covariances(net):
    net = net.double()
    batches = doubled(noise_images(9))
    fitted = fit(net, lambda: batches, "kfac")["head"]
    factors = dict(layer_factors(net, *batches[0]))["head"]
    a, g = (rows[:, 0].permute(1, 0, 2).flatten(1) for rows in factors)  # n × (images · 2 views)
    A, S = a @ a.T / 9, g @ g.T / 18
    Q = torch.kron(fitted.basis.outputs[0], fitted.basis.inputs[0])
    H = Q @ torch.diag(fitted.eigenvalues[0].flatten()) @ Q.T
    torch.testing.assert_close(H, torch.kron(S, A))


def test_corrected_eigenvalues_are_closest_to_the_fisher(net):
    """EK-FAC is the best diagonal in its basis (George et al. 2018), so it is closer than K-FAC in the same basis."""
    net = net.double()
    batches = doubled(noise_images(12), draws=2)
    fitted = {kind: fit(net, lambda: batches, kind) for kind in CURVATURES}
    gradients: dict[str, list[Tensor]] = {}
    for left, right, _ in batches:
        for name, g in per_sample_gradients(net, left, right):
            gradients.setdefault(name, []).append(g.flatten(1))
    for name, parts in gradients.items():
        rows = torch.cat(parts)
        fisher = rows.T @ rows / len(rows)

        def distance(kind, name=name, fisher=fisher):
            layer = fitted[kind][name]
            Q = torch.eye(len(fisher)).double()
            if layer.basis is not None:
                Q = torch.kron(layer.basis.outputs[0], layer.basis.inputs[0])
            return float((Q @ torch.diag(layer.eigenvalues[0].flatten()) @ Q.T - fisher).norm())

        assert distance("ekfac") <= distance("kfac") * (1 + 1e-9)


def test_ekfac_is_exact_for_one_linear_output():
    """One linear output whose gradient is the input: the Fisher is A, and its eigenbasis that of EK-FAC."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 1, bias=False).double()
    x = torch.randn(50, 4, dtype=torch.float64)

    def objective(left: Tensor, right: Tensor) -> Tensor:
        return left[:, 0]  # the gradient is x itself, for the left view alone

    batches = [(x, torch.zeros_like(x), objective)]
    fitted = fit(layer, lambda: batches, "ekfac")
    factors = dict(layer_factors(layer, *batches[0]))[""]
    exact = (x * torch.linalg.solve(x.T @ x / 50 + DAMPING * torch.eye(4).double(), x.T).T).sum(1)
    torch.testing.assert_close(fitted[""].quadratic_form(factors, DAMPING), exact)


@given(
    images=st.integers(1, 5),
    groups=st.integers(1, 2),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    positions=st.integers(1, 12),
)
@settings(max_examples=40, deadline=None)
def test_either_way_of_rotating_gives_the_same(images, groups, width, height, positions):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    factors = module.Factors(normal(images, groups, width, positions), normal(images, groups, height, positions))
    basis = Basis(torch.linalg.qr(normal(groups, width, width)).Q, torch.linalg.qr(normal(groups, height, height)).Q)
    expected = torch.einsum("kpo,bkpq,kqi->bkoi", basis.outputs, factors.product(), basis.inputs)
    torch.testing.assert_close(torch.cat(list(basis.rotated(factors))), expected)


@pytest.mark.parametrize("curvature", CURVATURES)
def test_scores_do_not_depend_on_batches_chunks_or_order(net, curvature, monkeypatch):
    images = noise_images(11)
    whole = self_influence(net, images, curvature=curvature, fisher="sampled", draws=2, progress=False)
    monkeypatch.setattr("influence_lib.influence.pairs.BATCH_SIZE", 4)
    monkeypatch.setattr(module, "HELD", 1)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    shuffled = self_influence(net, images.subset(order), curvature=curvature, fisher="sampled", draws=2, progress=False)
    torch.testing.assert_close(shuffled.by_draw, whole.by_draw[:, order], rtol=1e-3, atol=0)


def test_default_damping_is_a_tenth_of_the_mean_eigenvalue(net):
    batches = doubled(noise_images(6))
    layer = fit(net.double(), lambda: batches, "ekfac")["head"]
    factors = dict(layer_factors(net, *batches[0]))["head"]
    explicit = layer.quadratic_form(factors, float(layer.eigenvalues.mean()) / 10)
    torch.testing.assert_close(layer.quadratic_form(factors, None), explicit)


def test_sampled_targets_give_the_gauss_newton_matrix(net):
    """Over many targets the Fisher's diagonal tends to that of JᵀJ, with J of the difference of the views."""
    net, pairs = net.double(), pairs_of(noise_images(3))
    batch = next(pairs.batches())
    left, right = batch.left.double(), batch.right.double()
    targets = [(left, right, pairs.objective(batch._replace(draw=draw), "sampled")) for draw in range(400)]
    sampled = fit(net, lambda: targets, "diagonal")["head"].eigenvalues[0, :, :-1]
    J = torch.func.jacrev(lambda W: difference(net, W, left, right))(net.head.weight.detach())
    exact = J.detach().square().sum(dim=(0, 1)) / 3
    assert float((sampled - exact).norm() / exact.norm()) < 0.1


def difference(net, W: Tensor, left: Tensor, right: Tensor) -> Tensor:
    outputs = [torch.func.functional_call(net, {"head.weight": W}, (x,)) for x in (left, right)]
    return nn.functional.normalize(outputs[0], dim=1) - nn.functional.normalize(outputs[1], dim=1)
