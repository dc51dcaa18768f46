"""The curves against closed forms, numbers worked out by hand and autograd."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from influence_lib.errors import InputError
from influence_lib.theory import curves


def own_and_dataset_influence(directions, encoder):
    """Return gᵀH⁺g for each example, from derivatives, with its own and with the mean Hessian (ε = 1)."""
    delta = torch.tensor(directions)
    w = torch.tensor(encoder)

    def loss(v, one):
        return (one @ v).square()

    gradients = [torch.func.grad(loss)(w, one) for one in delta]
    hessians = [torch.func.jacrev(torch.func.grad(loss))(w, one) for one in delta]
    mean = torch.linalg.pinv(torch.stack(hessians).mean(0), hermitian=True)
    own = [g @ torch.linalg.pinv(H, hermitian=True) @ g for g, H in zip(gradients, hessians, strict=True)]
    return np.array(own), np.array([g @ mean @ g for g in gradients])


def test_minimal_flip_is_what_a_reader_gets_by_hand():
    plane = curves.minimal_flip()
    np.testing.assert_allclose(plane.movement, [16, 16, 9])
    np.testing.assert_allclose(plane.leverage, [1.5, 1.5, 3])
    np.testing.assert_allclose(plane.own, [32, 32, 18])
    np.testing.assert_allclose(plane.dataset, [48, 48, 54])
    np.testing.assert_array_equal(plane.own_rank, [1.5, 1.5, 3])
    np.testing.assert_array_equal(plane.dataset_rank, [2.5, 2.5, 1])
    np.testing.assert_array_equal(plane.flips, [[0, 2], [1, 2]])


@pytest.mark.parametrize(("n", "seed"), [(3, 0), (12, 1), (30, 2)])
def test_plane_agrees_with_derivatives_and_direct_ranks(n, seed):
    plane = curves.leverage_plane(n, encoder=(2.0, -1.0), seed=seed)
    own, dataset = own_and_dataset_influence(plane.directions, plane.encoder)
    np.testing.assert_allclose(np.linalg.norm(plane.directions, axis=1), 1)
    np.testing.assert_allclose(plane.own, own)
    np.testing.assert_allclose(plane.dataset, dataset)
    np.testing.assert_array_equal(plane.own_rank, rankdata(-own))
    np.testing.assert_array_equal(plane.dataset_rank, rankdata(-dataset))
    flips = {(i, j) for i in range(n) for j in range(n) if own[i] > own[j] and dataset[i] < dataset[j]}
    assert {tuple(pair) for pair in plane.flips.tolist()} == flips


def test_most_directions_lie_near_the_first_axis_and_the_others_have_the_leverage():
    plane = curves.leverage_plane(12)
    far = np.abs(plane.directions[:, 1]) > np.abs(plane.directions[:, 0])
    assert far.sum() == 2
    assert plane.leverage[far].min() > 2 > plane.leverage[~far].max()
    assert len(plane.flips) > 0


def test_ellipse_has_the_mean_leverage_which_is_the_dimension():
    plane = curves.leverage_plane(9, seed=3)
    inverse = np.linalg.inv(plane.directions.T @ plane.directions / 9)
    assert plane.leverage.mean() == pytest.approx(2)
    np.testing.assert_allclose(((plane.ellipse @ inverse) * plane.ellipse).sum(1), 2)
    np.testing.assert_allclose(plane.ellipse[0], plane.ellipse[-1], atol=1e-12)


def test_cosine_loss_by_hand():
    right, up = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]).double()
    assert curves.cosine_loss(right, up, 1.0).item() == pytest.approx(1 - 1 / math.sqrt(2))
    assert curves.cosine_loss(right, right, 0.3).item() == 0
    assert curves.cosine_loss(right, -right, 2.0).item() == 2
    assert curves.cosine_loss(right, up - right, 1.0).item() == pytest.approx(1)
    assert curves.cosine_loss(right, up - 2 * right, 1.0).item() == pytest.approx(1 + 1 / math.sqrt(2))


@pytest.mark.parametrize("eps", [1e-9, 1e-6, 1e-3])
def test_cosine_loss_keeps_its_digits(eps):
    # 1 − cos t = 2 sin²(t/2), with the angle t of (1, ε)
    a, u = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]).double()
    assert curves.cosine_loss(a, u, eps).item() == pytest.approx(2 * math.sin(math.atan(eps) / 2) ** 2, rel=1e-12)


def drawn(k, d, n, seed):
    """Return W, unit x (n×d) and δ ⟂ x of `curves.cosine_and_euclidean`, drawn in its order."""
    draws = np.asarray(torch.randn(k + 2 * n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    x = draws[k : k + n] / np.linalg.norm(draws[k : k + n], axis=1, keepdims=True)
    delta = draws[k + n :] - (draws[k + n :] * x).sum(1, keepdims=True) * x
    return draws[:k], x, delta / np.linalg.norm(delta, axis=1, keepdims=True)


def test_cosine_and_euclidean_match_the_definitions():
    k, d, n, eps = 3, 6, 50, 0.1
    result = curves.cosine_and_euclidean(k, d, n, eps, seed=4)
    W, x, delta = drawn(k, d, n, 4)
    x = x * np.geomspace(0.3, 3, n)[:, None] * math.sqrt(d)
    a, b, u = x @ W.T, (x + eps * delta) @ W.T, delta @ W.T
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(result.loss, 1 - cosine, rtol=1e-7)
    np.testing.assert_allclose(result.raw.values, eps**2 * (u**2).sum(1))
    np.testing.assert_allclose(result.printed.values, eps**2 * (u**2).sum(1) / (2 * (a**2).sum(1)))
    sine = 1 - (a * u).sum(1) ** 2 / (a**2).sum(1) / (u**2).sum(1)
    np.testing.assert_allclose(result.corrected.values, result.printed.values * sine)
    for approximation in (result.raw, result.printed, result.corrected):
        assert approximation.spearman == pytest.approx(spearmanr(result.loss, approximation.values).statistic)


def test_only_the_corrected_form_is_the_limit_of_the_cosine_loss():
    result = curves.cosine_and_euclidean(eps=1e-6)
    np.testing.assert_allclose(result.corrected.values, result.loss, rtol=1e-4)
    assert (result.printed.values / result.loss).max() > 2
    assert (result.printed.values >= result.corrected.values).all()
    assert result.raw.spearman < result.printed.spearman < result.corrected.spearman


@pytest.fixture(scope="module")
def orders():
    return curves.orders(k=3, d=4, damping=0.01, seed=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_orders_are_two_without_damping_and_four_with(seed):
    orders = curves.orders(seed=seed)
    for order in (orders.theorem, orders.gauss_newton):
        assert order.slope == pytest.approx(2, abs=0.01)
    for order in (orders.theorem_damped, orders.gauss_newton_damped, orders.cosine_damped):
        assert order.slope == pytest.approx(4, abs=0.02)


def example_of_orders(k, d, seed):
    draws = torch.randn(k + 2, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = draws[k] / draws[k].norm()
    delta = draws[k + 1] - (draws[k + 1] @ x) * x
    return draws[:k] / math.sqrt(d), x, delta / delta.norm()


def test_theorem_is_the_influence_by_derivatives(orders):
    W, _, delta = example_of_orders(3, 4, 0)
    for i in (0, 60, len(orders.eps) - 1):
        eps = orders.eps[i]
        unit = torch.eye(W.numel(), dtype=W.dtype)
        # the loss is quadratic in vec W, with Hessian A and gradient A vec W
        A = 2 * eps**2 * torch.kron(torch.eye(3, dtype=W.dtype), torch.outer(delta, delta))
        g = A @ W.flatten()
        assert orders.theorem_damped.influence[i] == pytest.approx(-(g @ torch.linalg.solve(A + 0.01 * unit, g)).item())
        assert orders.theorem.influence[i] == pytest.approx(-(g @ torch.linalg.pinv(A) @ g).item())


def test_undamped_gauss_newton_influence_is_minus_twice_the_loss(orders):
    W, x, delta = example_of_orders(3, 4, 0)
    loss = [curves.cosine_loss(W @ x, W @ delta, eps).item() for eps in orders.eps]
    np.testing.assert_allclose(orders.gauss_newton.influence, -2 * np.array(loss), rtol=1e-6)


def closed_gradient(W, x, view):
    """Return ∂L_cos/∂W as one writes it by hand, flattened."""
    a, b = W @ x, W @ view
    da = -(b / b.norm() - (a @ b) / (a.norm() * b.norm()) * a / a.norm()) / a.norm()
    db = -(a / a.norm() - (a @ b) / (a.norm() * b.norm()) * b / b.norm()) / b.norm()
    return (torch.outer(da, x) + torch.outer(db, view)).flatten()


def test_cosine_influence_against_a_written_gradient_and_finite_differences(orders):
    W, x, delta = example_of_orders(3, 4, 0)
    i = int(np.argmin(np.abs(orders.eps - 0.5)))
    view = x + orders.eps[i] * delta
    step = 1e-6
    columns = []
    for entry in torch.eye(W.numel(), dtype=W.dtype):
        move = step * entry.view_as(W)
        columns.append((closed_gradient(W + move, x, view) - closed_gradient(W - move, x, view)) / (2 * step))
    damped = torch.stack(columns) + 0.01 * torch.eye(W.numel(), dtype=W.dtype)
    g = closed_gradient(W, x, view)
    assert orders.cosine_damped.influence[i] == pytest.approx(-(g @ torch.linalg.solve(damped, g)).item(), rel=1e-5)


def test_small_eps_loses_no_more_than_six_digits(orders):
    # with φ the angle of the representations a and b, ∂L/∂a = −sin φ e/‖a‖ and ∂L/∂b = −sin φ e′/‖b‖ with unit
    # vectors e·e′ = −cos φ, so the square of the whole gradient is known without the small difference of large terms
    W, x, delta = example_of_orders(3, 4, 0)
    eps = float(orders.eps[0])
    a, u = W @ x, W @ delta
    along = (a @ u) / a.norm() ** 2
    p = u - along * a
    first, second = a.norm(), (a + eps * u).norm()
    sine, cosine = eps * p.norm() / second, (1 + eps * along) * first / second
    # ‖∂L/∂a‖²‖x‖² + ‖∂L/∂b‖²‖x′‖² + 2(∂L/∂a·∂L/∂b)(x·x′) over sin² φ, for ‖x‖ = 1 and x′ = x + εδ with δ ⟂ x
    mended = (1 / first - 1 / second) ** 2 + 2 * (1 - cosine) / (first * second) + eps**2 / second**2
    H = torch.func.jacrev(closed_gradient)(W, x, x + eps * delta).flatten(1)
    g = closed_gradient(W, x, x + eps * delta)
    assert (g @ g).item() == pytest.approx((sine**2 * mended).item(), rel=1e-6)
    unit = torch.eye(W.numel(), dtype=W.dtype)
    expected = -(g @ torch.linalg.solve(H + 0.01 * unit, g)).item()
    assert orders.cosine_damped.influence[0] == pytest.approx(expected, rel=1e-6)


def test_exact_hessian_makes_the_influence_positive_somewhere_and_gauss_newton_never(orders):
    assert (orders.cosine_damped.influence > 0).any()
    assert (orders.gauss_newton_damped.influence < 0).all()
    assert (np.abs(orders.gauss_newton_damped.influence) < np.abs(orders.gauss_newton.influence)).all()


@pytest.fixture(scope="module")
def groups():
    return curves.group_remainder(k=2, d=5, n=12, seed=1)


def test_remainders_are_the_closed_forms(groups):
    draws = torch.randn(2 + 12, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64).numpy()
    W, directions = draws[:2], draws[2:] / np.linalg.norm(draws[2:], axis=1, keepdims=True)
    inner = directions @ W.T @ W @ directions.T
    leverage = directions @ np.linalg.inv(directions.T @ directions) @ directions.T
    upper = np.triu(np.ones((12, 12)), 1)
    printed = [-4 * (upper * inner)[:m, :m].sum() for m in range(2, 13)]
    dataset = [-4 * (upper * inner * leverage)[:m, :m].sum() for m in range(2, 13)]
    np.testing.assert_array_equal(groups.sizes, np.arange(2, 13))
    np.testing.assert_allclose(groups.random.printed, printed)
    np.testing.assert_allclose(groups.random.dataset, dataset)


def test_own_hessians_leave_no_remainder(groups):
    for remainder in (groups.copies, groups.random):
        np.testing.assert_allclose(remainder.own, 0, atol=1e-10)


@pytest.mark.parametrize(("k", "d", "n", "seed"), [(1, 1, 2, 0), (2, 5, 12, 1), (4, 3, 9, 2), (3, 20, 10, 3)])
def test_bounds_hold(k, d, n, seed):
    groups = curves.group_remainder(k, d, n, seed)
    for remainder in (groups.copies, groups.random):
        assert (np.abs(remainder.printed) <= remainder.printed_bound * (1 + 1e-9)).all()
        assert (np.abs(remainder.dataset) <= remainder.dataset_bound * (1 + 1e-9)).all()


def test_copies_reach_the_printed_bound_and_when_alone_the_other(groups):
    np.testing.assert_allclose(groups.copies.printed, -groups.copies.printed_bound)
    assert groups.copies.dataset[-1] == pytest.approx(-groups.copies.dataset_bound[-1])
    assert groups.copies.printed_bound[-1] == pytest.approx(12 * groups.copies.dataset_bound[-1])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: curves.leverage_plane(n=2), "n is 2"),
        (lambda: curves.leverage_plane(encoder=(0.0, 0.0)), "encoder is"),
        (lambda: curves.leverage_plane(encoder=(1.0,)), "encoder is"),
        (lambda: curves.leverage_plane(encoder=(1.0, math.nan)), "encoder is"),
        (lambda: curves.cosine_and_euclidean(k=1), "k is 1"),
        (lambda: curves.cosine_and_euclidean(d=1), "d is 1"),
        (lambda: curves.cosine_and_euclidean(n=1), "n is 1"),
        (lambda: curves.cosine_and_euclidean(eps=0.0), "eps is 0.0"),
        (lambda: curves.cosine_and_euclidean(eps=math.inf), "eps is inf"),
        (lambda: curves.orders(k=1), "k is 1"),
        (lambda: curves.orders(d=1), "d is 1"),
        (lambda: curves.orders(damping=0.0), "damping is 0.0"),
        (lambda: curves.group_remainder(k=0), "k is 0"),
        (lambda: curves.group_remainder(d=0), "d is 0"),
        (lambda: curves.group_remainder(n=1), "n is 1"),
    ],
)
def test_bad_inputs_are_named(call, name):
    with pytest.raises(InputError, match=f"^{name}"):
        call()


@pytest.mark.parametrize(
    "curve", [curves.leverage_plane, curves.cosine_and_euclidean, curves.orders, curves.group_remainder]
)
def test_seed_decides_alone(curve):
    first, again, other = (repr(curve(seed=seed)) for seed in (3, 3, 4))
    assert first == again != other
