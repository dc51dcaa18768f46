"""Views that agree have no influence, on any processor and through every curvature; views that differ keep theirs.

What rounds is not in a test's hands, so views that agree are made in every way that leaves a rounding behind.
"""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.influence import (
    Augmentations,
    GaussianNoise,
    Perturbation,
    RandomCrop,
    cross_influence,
    raw_loss,
    self_influence,
)
from influence_lib.influence.curvature.approximations import APPROXIMATIONS as CURVATURES
from influence_lib.influence.curvature.approximations import FITTED as OWN
from influence_lib.influence.views.losses import COSINE, MSE, agree
from influence_lib.pretrain import build_encoder
from tests.images import noise_images
from tests.influence.conftest import normal, small_net, twice_net

EPS = torch.finfo(torch.float32).eps
ASKED: list[dict[str, Any]] = [
    *({"curvature": curvature} for curvature in OWN),
    {"rank": 3},
    {"tolerance": 0.1},
    {"fisher": "sampled"},
    {"curvature": "exact", "fisher": "sampled"},
    {"damping": 1e-12},
    {"precision": "bf16"},
    {"precision": "fp64"},
]
FINE = [asked for asked in ASKED if asked.get("precision") != "bf16"]  # representations that agree are told by float32


def names(asked: list[dict[str, Any]]) -> list[str]:
    return [",".join(map(str, each.values())) for each in asked]


LAYERS = [*ASKED, {"curvature": "kronfluence"}]
every_way = pytest.mark.parametrize("asked", ASKED, ids=names(ASKED))
every_curvature = pytest.mark.parametrize("curvature", CURVATURES)
squared = pytest.mark.parametrize("loss", ["cosine", "mse"])


@dataclass(frozen=True)
class Changed:
    """Every pixel, or one of those of the images in which it is below a half, is changed."""

    ulps: int = 0
    grey_levels: int = 0
    everywhere: bool = True

    def __call__(self, pixels: Tensor, rng: Any) -> Tensor:
        changed = pixels + self.grey_levels / 255
        for _ in range(self.ulps):
            changed = torch.nextafter(changed, torch.tensor(2.0))
        if self.everywhere:
            return changed
        one = torch.zeros_like(pixels, dtype=torch.bool)
        one[0, 3, 3] = pixels[0, 3, 3] < 0.5
        return torch.where(one, changed, pixels)

    def describe(self) -> dict[str, Any]:
        return {"kind": "changed", **vars(self)}


def scores(encoder: nn.Module, images: ImageSet, perturbation: Perturbation = GaussianNoise(), **asked: Any) -> Any:  # noqa: B008
    return self_influence(encoder, images, perturbation, progress=False, **asked)


def one_colour_images(n: int, size: int = 8) -> ImageSet:
    images = noise_images(n, size)
    images.images[:] = (torch.arange(n) * 255 // n).to(torch.uint8).view(n, 1, 1, 1)
    return images


@every_way
@squared
@pytest.mark.parametrize("build", [lambda: small_net(1), twice_net], ids=["small", "called twice"])
def test_the_same_picture_twice_has_no_influence(build, loss, asked):
    found = scores(build(), noise_images(12), GaussianNoise(0, 0), loss=loss, **asked)
    assert not found.by_draw.any()
    assert not any(part.any() for part in found.by_layer.values())


@pytest.mark.parametrize("ulps", [1, 3])
@every_way
def test_pixels_that_differ_by_rounding_are_the_same_picture(ulps, asked):
    assert not scores(small_net(1), noise_images(12), Changed(ulps), **asked).by_draw.any()


def test_a_sensitive_encoder_does_not_blow_rounding_up():
    """A network whose representation moves by many roundings when its input moves by one."""
    net = small_net(1)
    with torch.no_grad():
        net.conv1.weight *= 100
    assert not scores(net, noise_images(12), Changed(1)).by_draw.any()


@pytest.mark.parametrize("perturbation", [Augmentations(blur=True), RandomCrop(), Augmentations(flip_probability=1.0)])
def test_an_image_of_one_colour_is_not_changed_by_blur_crop_and_flip(perturbation):
    assert not scores(small_net(1), one_colour_images(12), perturbation, draws=2).by_draw.any()


@pytest.mark.parametrize("everywhere", [True, False])
@squared
def test_one_grey_level_is_no_rounding(loss, everywhere):
    """The score is that of float64, of which float32 keeps the first digit: one pixel is some 20 roundings."""
    images, changed = noise_images(12), Changed(grey_levels=1, everywhere=everywhere)
    moved = torch.ones(12, dtype=torch.bool) if everywhere else images.images[:, 0, 3, 3] < 127.5
    assert moved.sum() >= 4
    for encoder in (small_net(1), small_net(2), build_encoder(2)):
        found, exact = (scores(encoder, images, changed, loss=loss, precision=p).values for p in ("fp32", "fp64"))
        assert (found[moved] > 0).all()
        assert not found[~moved].any()
        torch.testing.assert_close(found, exact, rtol=0.5, atol=0)


@pytest.mark.usefixtures("little_garbage")
@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
@squared
@pytest.mark.parametrize("damping", [None, 1e-3])
def test_kronfluence_decides_as_we_do(loss, fisher, damping):
    """Also where its relative damping is 0, in a layer or in all."""
    asked = {"curvature": "kronfluence", "loss": loss, "fisher": fisher, "damping": damping}
    assert not scores(small_net(1), noise_images(5), GaussianNoise(0, 0), **asked).by_draw.any()
    torch.manual_seed(0)
    assert not scores(MeanColour(), noise_images(5), Augmentations(flip_probability=1.0), **asked).by_draw.any()


@pytest.mark.parametrize("curvature", ["diagonal", "identity", "logra", "exact", "exact-blocks"])
def test_the_other_images_keep_their_influence(curvature):
    """Images that agree enter H as zeros, as if the mean were over more images.

    The bases of the others are those of the inputs, of these images, too.
    """
    images, changed = noise_images(12), Changed(grey_levels=64, everywhere=False)
    moved = images.images[:, 0, 3, 3] < 127.5
    asked = {"curvature": curvature, "damping": 1e-9}
    found = scores(small_net(1), images, changed, **asked)
    assert not found.values[~moved].any()
    alone = scores(small_net(1), images.subset(moved), changed, **asked | {"damping": 1e-9 * 12 / int(moved.sum())})
    more = 1 if curvature == "identity" else 12 / int(moved.sum())
    torch.testing.assert_close(found.values[moved], more * alone.values, rtol=1e-3, atol=0)


@pytest.mark.parametrize("curvature", OWN)
def test_images_that_agree_have_no_cross_influence(curvature):
    images, changed = noise_images(12), Changed(grey_levels=64, everywhere=False)
    moved = images.images[:, 0, 3, 3] < 127.5
    found = cross_influence(small_net(1), images, images, changed, curvature=curvature, progress=False).values
    assert not found[~moved].any()
    assert not found[:, ~moved].any()
    assert (found[moved][:, moved].diagonal() > 0).all()


class MeanColour(nn.Module):
    """Sees the mean of the pixels alone, which a flip changes by rounding."""

    def __init__(self, outputs: int = 4):
        super().__init__()
        self.first, self.last = nn.Linear(3, 5), nn.Linear(5, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x.mean(dim=(2, 3)))))


class Filtered(nn.Module):
    """Filters the image before the mean: a flip leaves the representation alone, but not the filter's derivative."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.conv(x).mean(dim=(2, 3)))


@pytest.mark.parametrize("asked", FINE, ids=names(FINE))
@squared
@pytest.mark.parametrize("build", [MeanColour, Filtered])
def test_representations_that_agree_have_no_influence(build, loss, asked):
    torch.manual_seed(0)
    flip = Augmentations(flip_probability=1.0)
    assert not scores(build(), noise_images(12), flip, loss=loss, **asked).by_draw.any()


@pytest.mark.usefixtures("little_garbage")
@every_curvature
def test_one_dimension_has_no_direction_to_move_in(curvature):
    """Its cosine is 1 or −1 whatever the weights are."""
    torch.manual_seed(0)
    encoder = MeanColour(1)
    with torch.no_grad():
        encoder.last.bias -= encoder(noise_images(12).images / 255).mean()
    assert set(raw_loss(encoder, noise_images(12), progress=False).values.tolist()) == {0, 2}
    assert not scores(encoder, noise_images(12), curvature=curvature).by_draw.any()


class TwoBranches(nn.Module):
    """A branch beside the image's whose input is the same for every image and view."""

    def __init__(self):
        super().__init__()
        self.image, self.constant = nn.Conv2d(3, 4, 3), nn.Linear(6, 4)
        self.place = nn.Parameter(torch.rand(6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.image(x)).mean(dim=(2, 3)) + self.constant(self.place.expand(len(x), -1))


@pytest.mark.usefixtures("little_garbage")
@pytest.mark.parametrize("asked", LAYERS, ids=names(LAYERS))
def test_a_layer_in_which_the_views_cancel_has_no_part(asked):
    """Under the squared error its two gradients are opposite: ±ra, of which a fused product leaves a rounding."""
    torch.manual_seed(0)
    encoder, images = TwoBranches(), noise_images(12)
    found = scores(encoder, images, loss="mse", **asked)
    if found.by_layer:
        assert not found.by_layer["constant"].any()
        if asked.get("curvature") != "exact":  # whose parts are those of one product
            assert (found.by_layer["image"] > 0).all()
    alone = scores(encoder, images, loss="mse", layers=["image"], **asked)
    if asked.get("curvature") == "exact":  # a relative damping is a mean over more parameters
        return
    torch.testing.assert_close(found.by_draw, alone.by_draw, rtol=1e-3, atol=0)
    assert not scores(encoder, images, loss="mse", layers=["constant"], **asked).by_draw.any()


def test_views_that_agree_are_still_told_from_the_negatives():
    found = scores(small_net(1), noise_images(12), GaussianNoise(0, 0), loss="ntxent", precision="fp64")
    assert (found.values > 0).all()
    again = scores(small_net(1), noise_images(12), GaussianNoise(0, 0), loss="ntxent")
    torch.testing.assert_close(again.values, found.values, rtol=1e-3, atol=0)


def test_scores_of_zero_have_no_reliability_and_no_deviation():
    found = scores(small_net(1), noise_images(12), GaussianNoise(0, 0), rank=3, draws=2)
    assert found.deviation.relative == 0
    assert found.deviation.spearman != found.deviation.spearman  # NaN
    assert found.reliability != found.reliability


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_agreement_is_relative_to_the_largest_entries(dtype, scale):
    rows = scale * normal(50, 6).to(dtype)
    eps = torch.finfo(dtype).eps
    assert agree(rows, rows).all()
    assert agree(rows, rows * (1 + eps)).all()
    assert not agree(rows, rows * (1 + 8 * eps)).any()
    assert not agree(rows, -rows).any()
    largest = rows.abs().max(dim=1).values[:, None]
    assert agree(rows, rows + eps * largest).all()
    assert not agree(rows, rows + 16 * eps * largest).any()


def test_agreement_of_zeros_nans_and_half_precision():
    nan, zero = torch.full((1, 3), torch.nan), torch.zeros(1, 3)
    assert agree(zero, zero).all()
    for other in (nan, torch.ones(1, 3)):
        assert not agree(zero, other).any()
    assert not agree(nan, nan).any()
    half = torch.ones(1, 3, dtype=torch.bfloat16)
    assert agree(half, half).all()
    assert not agree(half, half * (1 + 2**-7)).any()


def test_gradients_vanish_where_a_loss_is_stationary():
    """Of the cosine where directions are the same or opposite, of the squared error where vectors are."""
    z = normal(9, 7)
    others = {"same": z, "longer": 3 * z, "opposite": -2 * z, "moved": z + 1e-3 * normal(9, 7, seed=1)}
    expected = {COSINE: [True, True, True, False], MSE: [True, False, False, False]}
    for loss, stationary in expected.items():
        for other, is_stationary in zip(others.values(), stationary, strict=True):
            left, right = (x.clone().requires_grad_() for x in (z, other))
            assert (loss.stationary(left, right) == is_stationary).all()
            loss.values(left, right, range(9)).sum().backward()
            slope = (left.grad.norm(dim=1) + right.grad.norm(dim=1)) * z.norm(dim=1)
            assert ((slope < 1e-12) == is_stationary).all()
