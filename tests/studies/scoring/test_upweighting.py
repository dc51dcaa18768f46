import numpy as np
import pytest

from influence_lib.errors import InputError
from influence_lib.studies.scoring import upweight

TARGETS = np.array([-1.0, -0.6, -0.2, 0.1, 0.6, 2.5])


def test_the_tangent_is_the_derivative_of_the_minimum():
    toy = upweight(TARGETS, np.array([-1e-4, 0.0, 1e-4]))
    slope = (toy.minima[2] - toy.minima[0]) / 2e-4
    assert slope == pytest.approx(-toy.gradient / toy.curvature, rel=1e-6)
    np.testing.assert_allclose(toy.tangent, toy.minimum + slope * toy.weights, rtol=1e-6)
    assert toy.minima[1] == toy.minimum


def test_gradient_and_curvature_are_derivatives_of_the_losses():
    toy, h = upweight(TARGETS, np.zeros(1)), 1e-4
    near = toy.minimum + np.array([-h, 0, h])
    below, at, above = toy.objective(near)
    assert (above - 2 * at + below) / h**2 == pytest.approx(toy.curvature, rel=1e-5)
    below, _, above = toy.objective(near, 1.0) - toy.objective(near)
    assert (above - below) / (2 * h) == pytest.approx(toy.gradient, rel=1e-6)


def test_leaving_out_gives_the_minimum_of_the_others():
    toy = upweight(np.array([-1.0, 0.0, 1.0]), np.array([-1 / 3]))
    assert toy.minimum == pytest.approx(0, abs=1e-9)  # by symmetry
    assert toy.minima[0] == pytest.approx(-0.5)
    assert toy.left_out[0] == pytest.approx(-0.5)
    assert toy.rise[0] == pytest.approx(np.log(np.cosh(1.5) / np.cosh(1)))
    assert toy.left_out[1] == pytest.approx(-np.tanh(1) / (1 + 2 / np.cosh(1) ** 2))
    assert toy.rise[1] == pytest.approx(np.tanh(1) ** 2 / (1 + 2 / np.cosh(1) ** 2))


def test_the_first_order_is_right_among_many_examples():
    toy = upweight(np.append(np.linspace(-1, 1, 2000), 2.0), np.zeros(1))
    for exact, first_order in (toy.left_out, toy.rise):
        assert first_order == pytest.approx(exact, rel=2e-3)


def test_the_objective_is_a_mean_plus_a_weighted_loss():
    toy = upweight(TARGETS, np.zeros(1))
    θ = np.array([-2.0, 0.3])
    losses = np.log(np.cosh(θ[:, None] - TARGETS))
    np.testing.assert_allclose(toy.objective(θ, 0.4), losses.mean(1) + 0.4 * losses[:, -1])
    assert np.isfinite(toy.objective(np.array([1e4])))


def test_one_target_many_times_stays_the_minimum():
    toy = upweight(np.full(4, 0.7), np.array([-0.25, 3.0]))
    np.testing.assert_allclose(toy.minima, 0.7)


@pytest.mark.parametrize(
    ("targets", "weights", "said"),
    [
        ([1.0], [0.0], r"targets is \[1.0\], but it must be two finite numbers or more"),
        ([1.0, np.nan], [0.0], "targets is .*nan"),
        ([[1.0, 2.0]], [0.0], "targets is"),
        ([0.0, 1.0], [-0.6], r"weights is \[-0.6\], but it must be finite and at least -1/2"),
        ([0.0, 1.0], [np.inf], "weights is"),
        ([0.0, 1.0], [np.nan], "weights is"),
    ],
)
def test_wrong_input(targets, weights, said):
    with pytest.raises(InputError, match=said):
        upweight(np.array(targets), np.array(weights))
