"""What a computation is said to cost, against counted operations."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from influence_lib.errors import InputError
from influence_lib.influence import self_influence
from influence_lib.influence.curvature import cost
from influence_lib.influence.curvature.cost import LayerSize, Plan, layer_sizes, matmul_rate, operations
from influence_lib.influence.curvature.kronecker import KroneckerBasis
from influence_lib.influence.curvature.problem import add_covariance
from influence_lib.influence.curvature.truncated import TruncatedBasis
from influence_lib.influence.views.gradients import Factors
from influence_lib.influence.views.source import gradient_source
from influence_lib.influence.views.two_views import TwoViews

IMAGES = 3
SIZES = [LayerSize(1, 8, 20, 5), LayerSize(1, 8, 20, 30), LayerSize(1, 30, 20, 25), LayerSize(1, 6, 64, 200)]


def counted(work) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def factors_of(size: LayerSize) -> Factors:
    shape = (size.groups, IMAGES, size.positions)
    return Factors(torch.randn(*shape, size.width), torch.randn(*shape, size.height))


@pytest.mark.parametrize("size", SIZES)
def test_rotations_are_counted(size):
    basis = KroneckerBasis(torch.eye(size.width)[None], torch.eye(size.height)[None])
    found = counted(lambda: list(basis.coordinates(factors_of(size))))
    assert found == IMAGES * operations(size)["scores"] == IMAGES * operations(size)["second moments"]


@pytest.mark.parametrize("size", SIZES)
def test_truncated_coordinates_are_counted(size):
    basis = TruncatedBasis.of(torch.eye(size.width)[None], torch.eye(size.height)[None], 4)
    rank = basis.inputs.shape[2]
    found = counted(lambda: list(basis.squares(factors_of(size))))
    assert found == IMAGES * operations(size, rank)["scores"]


@pytest.mark.parametrize("size", SIZES)
def test_covariances_are_counted(size):
    factors = factors_of(size)

    def work():
        add_covariance(torch.zeros(1, size.width, size.width), factors.activations, 1.0, None)
        add_covariance(torch.zeros(1, size.height, size.height), factors.gradients, 1.0, None)

    # up to the last strip, which is narrower where the size is no multiple of their number
    assert counted(work) == pytest.approx(IMAGES * operations(size)["covariances"], rel=0.12)


def test_sizes_are_those_of_the_factors(grouped_net, images):
    source = gradient_source(grouped_net, images, TwoViews(), device="cpu")
    sizes = layer_sizes(source)
    batch = source.pairs.batch(torch.arange(2))
    for name, (activations, gradients) in source.factors(batch):
        size = sizes[name]
        assert activations.shape == (size.groups, 2, size.positions, size.width)
        assert gradients.shape == (size.groups, 2, size.positions, size.height)


def test_the_line_says_time_and_memory_before_the_passes(net, images, capsys):
    self_influence(net, images, progress=True)
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith("12 pairs of views: about ")
    assert "GiB that are free" in line


def test_the_line_is_for_those_who_watch(net, images, capsys):
    self_influence(net, images, progress=False)
    assert capsys.readouterr().err == ""


def test_what_does_not_fit_is_refused_before_the_passes(net, images, monkeypatch):
    monkeypatch.setattr(cost, "_available", lambda device: 1000)
    with pytest.raises(InputError, match=r"curvature is 'ekfac', which needs about 0.0 GiB .* where 0.0 GiB are free"):
        self_influence(net, images, progress=False)


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1 s"), (89, "89 s"), (600, "10 min"), (4 * 3600, "4.0 h")])
def test_durations_are_said_in_suitable_units(seconds, said):
    assert f"about {said} and 2.0 GiB of the 4.0 GiB" in str(Plan(10, seconds, 2 * cost.GIB, 4 * cost.GIB))


def test_the_rate_of_products_is_that_of_a_product(monkeypatch):
    monkeypatch.setattr(cost, "RATE_SIZE", 64)
    assert 1e6 < matmul_rate(torch.device("cpu")) < 1e15
