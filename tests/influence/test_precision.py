"""The float32 engine against float64, and float64 against kronfluence's.

The relative error of a float32 score is the machine precision, 1.2e-7, times how far the gradients of the two views
cancel: about 1e-6 where the pixels are normalised, 1e-4 where they enter as they are, in [0, 1], and the more the
closer the views are. The tolerances are about ten times what was seen.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.device import computing_dtypes
from influence_lib.errors import InputError
from influence_lib.influence import GaussianNoise, self_influence
from influence_lib.influence.curvature import problem
from influence_lib.influence.curvature.approximations import FITTED as OWN
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.views.source import gradient_source
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain import build_encoder
from tests.images import noise_images
from tests.influence.conftest import Options, small_net, twice_net

CLOSE = 1e-3
TRUNCATED = 0.05  # where the covariances are multiplied in bfloat16; seen were 1 % to 3 %
NORMALISED = 1e-4
ENGINES: list[dict[str, Any]] = [
    *({"curvature": curvature} for curvature in OWN),
    {"fisher": "sampled"},
    {"rank": 3},
    {"rank": 100},
    {"damping": 1e-3},
]
NETS = {"small": lambda: small_net(1), "groups": lambda: small_net(2), "called twice": twice_net}


class Normalised(nn.Module):
    """Normalises the pixels, as an encoder should."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder((x - 0.5) / 0.25)


class Raw(Options):
    """Takes the pixels as they are."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(0.25 * x + 0.5)


def in_both(encoder: nn.Module, images: ImageSet, **asked: Any) -> Any:
    return (self_influence(encoder, images, precision=p, progress=False, **asked) for p in ("fp32", "fp64"))


@pytest.fixture
def no_bfloat16(monkeypatch):
    """Truncated EK-FAC multiplies in bfloat16 where the processor does; here it is float32 everywhere."""
    monkeypatch.setattr(problem, "autocast_dtype", lambda *_: None)


@pytest.mark.usefixtures("no_bfloat16")
@pytest.mark.parametrize("asked", ENGINES, ids=[",".join(map(str, asked.values())) for asked in ENGINES])
@pytest.mark.parametrize("loss", ["cosine", "mse", "ntxent"])
@pytest.mark.parametrize("net", NETS)
def test_float32_scores_are_close_to_float64(net, loss, asked):
    single, double = in_both(NETS[net](), noise_images(12), loss=loss, **asked)
    torch.testing.assert_close(single.by_draw, double.by_draw, rtol=CLOSE, atol=0)
    for name, part in double.by_layer.items():
        # a part of the exact curvature may cancel: the scale is the score
        torch.testing.assert_close(
            single.by_layer[name], part, rtol=CLOSE, atol=CLOSE * float(double.by_draw.max()) / 10
        )
    if double.deviation:
        assert single.deviation.relative == pytest.approx(double.deviation.relative, rel=CLOSE, abs=CLOSE)


@pytest.mark.parametrize("curvature", ["ekfac", "kfac", "diagonal", "logra", "exact-blocks"])
@pytest.mark.parametrize("views", ["one", "two"])
def test_normalised_pixels_cost_fewer_digits(curvature, views):
    single, double = in_both(Normalised(small_net(1)), noise_images(12), views=views, curvature=curvature)
    torch.testing.assert_close(single.by_draw, double.by_draw, rtol=NORMALISED, atol=0)


@pytest.mark.parametrize("curvature", ["ekfac", "kfac", "diagonal", "logra", "exact", "exact-blocks"])
@pytest.mark.parametrize("std", [0.2, 0.05, 0.01])
def test_the_closer_the_views_the_more_digits_cancel(std, curvature):
    """With pixels in [0, 1]: seen were 1.4e-4, 1.2e-3 and 7e-3."""
    torch.manual_seed(0)
    single, double = in_both(Raw(), noise_images(12), perturbation=GaussianNoise(0, std), curvature=curvature)
    torch.testing.assert_close(single.by_draw, double.by_draw, rtol=4e-4 / std, atol=0)


@pytest.mark.parametrize("net", NETS)
def test_bfloat16_in_the_covariances_costs_a_few_percent(net, monkeypatch):
    """Of small networks in float32, as a processor with bfloat16 computes them."""
    monkeypatch.setattr(problem, "autocast_dtype", lambda *_: torch.bfloat16)
    for rank in (3, 100):
        single, double = in_both(NETS[net](), noise_images(12), rank=rank)
        torch.testing.assert_close(single.by_draw, double.by_draw, rtol=TRUNCATED, atol=0)
        assert not torch.equal(single.by_draw, double.by_draw)


@pytest.mark.usefixtures("no_bfloat16")
def test_float32_scores_of_a_resnet_are_close_to_float64():
    torch.manual_seed(0)
    for asked in ({}, {"rank": 8}, {"curvature": "logra"}):
        single, double = in_both(build_encoder(2), noise_images(12, size=16), draws=2, **asked)
        torch.testing.assert_close(single.by_draw, double.by_draw, rtol=CLOSE, atol=0)


@pytest.mark.usefixtures("little_garbage")
@pytest.mark.parametrize("loss", ["cosine", "mse", "ntxent"])
@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
def test_float64_is_kronfluences(loss, fisher):
    """Two implementations that share no more than the gradient's definition; what differs is the final float32."""
    asked = {"loss": loss, "fisher": fisher, "precision": "fp64", "progress": False}
    for encoder in (small_net(1), twice_net()):
        ours, theirs = (
            self_influence(encoder, noise_images(9), curvature=curvature, **asked)
            for curvature in ("ekfac", "kronfluence")
        )
        torch.testing.assert_close(ours.by_draw, theirs.by_draw, rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", ["cosine", "ntxent"])
def test_everything_is_computed_in_float64(loss):
    source = gradient_source(small_net(1), noise_images(3), TwoViews(loss=loss), device="cpu", precision="fp64")
    (batch,) = source.pairs.batches(torch.arange(3))
    assert batch.left.dtype == batch.right.dtype == torch.float64
    for _, factors in source.factors(batch):
        assert {part.dtype for part in factors} == {torch.float64}
    covariances = FitProblem(source, torch.arange(3)).covariances(fast=True)
    assert {M.dtype for pair in covariances.values() for M in pair} == {torch.float64}
    if loss == "ntxent":
        assert source.loss.negatives.dtype == torch.float64
        pixels = noise_images(3).images.float().double() / 255
        (row,) = (source.loss.negative_ids == 5).nonzero()[0]
        # the pixels are rounded to float32, as those of the views
        torch.testing.assert_close(source.loss.negatives[row], source.encoder(pixels)[0].detach(), rtol=1e-6, atol=1e-6)


def test_the_views_are_those_of_float32():
    single, double = (
        gradient_source(
            small_net(1), noise_images(3), TwoViews(loss="mse", views="two"), device="cpu", precision=p
        ).pairs
        for p in ("fp32", "fp64")
    )
    for one, other in zip(single.batch(torch.arange(3))[:2], double.batch(torch.arange(3))[:2], strict=True):
        assert torch.equal(one.double(), other)


def test_the_encoder_stays_in_float32_and_so_do_the_scores(net, images):
    scores = self_influence(net, images, precision="fp64", progress=False)
    assert scores.by_draw.dtype == torch.float32
    assert {part.dtype for part in scores.by_layer.values()} == {torch.float32}
    assert scores.settings["precision"] == "fp64"
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_dtypes_of_a_precision():
    cpu = torch.device("cpu")
    assert computing_dtypes("fp64", cpu) == (torch.float64, None)
    assert computing_dtypes("fp32", cpu) == (torch.float32, None)
    assert computing_dtypes("bf16", cpu) == (torch.float32, torch.bfloat16)
    with pytest.raises(InputError, match=r"precision is 'fp64', but the device is 'mps', .*: take device='cpu'\."):
        computing_dtypes("fp64", torch.device("mps"))
    for wrong in ("int8", "fp128", 64, None):
        with pytest.raises(InputError, match=r"precision is .*, but it must be one of .*'fp64'"):
            computing_dtypes(wrong, cpu)
