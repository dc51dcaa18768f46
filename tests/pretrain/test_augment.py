from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from influence_lib.errors import InputError
from influence_lib.pretrain.augment import Augmentation, AugmentationSettings

OFF = {
    "jitter_probability": 0.0,
    "gray_probability": 0.0,
    "flip_probability": 0.0,
    "blur_probability": 0.0,
    "solarize_probability": 0.0,
}
WHOLE = {"min_scale": 1.0, "max_scale": 1.0}


def smooth_images(n: int, size: int = 32) -> torch.Tensor:
    """Return images with structure at every scale: random low-resolution images, enlarged."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(n, 3, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(small, size=size, mode="bilinear")


def view(x, seed=0, **settings):
    augment = Augmentation(x.shape[-1], AugmentationSettings(**{**OFF, **settings}))
    torch.manual_seed(seed)
    return augment(x, augment.draw(x.shape))


def test_every_image_of_a_batch_gets_its_own_draw():
    x = smooth_images(1).expand(32, -1, -1, -1)
    views = view(x, min_scale=0.08, jitter_probability=0.8)
    assert len(views.flatten(1).unique(dim=0)) == 32


def test_a_seed_fixes_the_views_and_threads_do_not_change_them():
    x = smooth_images(16)
    augmentations = [Augmentation(32) for _ in range(2)]
    torch.manual_seed(0)
    drawn = [a.draw(x.shape) for a in augmentations]
    in_turn = [a(x, d) for a, d in zip(augmentations, drawn, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda a, d: a(x, d), augmentations, drawn))
    assert all(torch.equal(a, b) for a, b in zip(in_turn, together, strict=True))
    assert not torch.equal(in_turn[0], in_turn[1])


def test_views_stay_in_range_and_the_batch_is_left_alone():
    x = smooth_images(64)
    before = x.clone()
    views = view(x, jitter_probability=1.0, solarize_probability=0.5, blur_probability=0.5, gray_probability=0.2)
    assert torch.equal(x, before)
    assert views.min() >= 0
    assert views.max() <= 1


def test_solarize_inverts_the_bright_half():
    x = smooth_images(4)
    # a crop of the whole image still draws an aspect ratio, so the crop is left out
    step = Augmentation(32, AugmentationSettings(**{**OFF, "solarize_probability": 1.0})).steps[4]
    torch.testing.assert_close(step(x), torch.where(x < 0.5, x, 1 - x))


@pytest.mark.parametrize(("option", "step"), [("gray_probability", 2), ("flip_probability", 5)])
def test_probabilities_are_per_image(option, step):
    x = smooth_images(1).expand(2000, -1, -1, -1)
    torch.manual_seed(0)
    out = Augmentation(32, AugmentationSettings(**{**OFF, option: 0.3})).steps[step](x)
    changed = (out - x).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({**WHOLE, "jitter_probability": 0.8}, v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8)),
        ({**WHOLE, "blur_probability": 0.2}, v2.RandomApply([v2.GaussianBlur(13, (0.1, 2.0))], p=0.2)),
        (
            {},
            v2.RandomResizedCrop(32, scale=(0.08, 1.0), interpolation=v2.InterpolationMode.BICUBIC, antialias=False),
        ),
    ],
    ids=["jitter", "blur", "crop"],
)
def test_distribution_is_torchvisions(settings, reference):
    """Mean, contrast and sharpness of the views agree with torchvision's, image by image."""
    x = smooth_images(1).expand(1500, -1, -1, -1)
    torch.manual_seed(0)
    if "jitter_probability" in settings or "blur_probability" in settings:
        index = 1 if "jitter_probability" in settings else 3
        ours = Augmentation(32, AugmentationSettings(**{**OFF, **settings})).steps[index](x)
    else:
        ours = view(x, **settings)
    theirs = torch.stack([reference(image).clamp(0, 1) for image in x])
    for statistic in (
        lambda v: v.mean(dim=(1, 2, 3)),
        lambda v: v.std(dim=(1, 2, 3)),
        lambda v: v.mean(dim=(2, 3)).std(dim=1),
        lambda v: v.diff(dim=-1).abs().mean(dim=(1, 2, 3)),
    ):
        a, b = statistic(ours), statistic(theirs)
        scale = (a.var() / len(a) + b.var() / len(b)).sqrt()
        assert abs(a.mean() - b.mean()) < 4 * scale
        quantiles = torch.tensor([0.1, 0.5, 0.9])
        spread = b.std().clamp_min(1e-6)
        assert ((a.quantile(quantiles) - b.quantile(quantiles)).abs() / spread).max() < 0.25


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hue", 0.6),
        ("brightness", -0.1),
        ("flip_probability", 1.1),
        ("blur_probability", "0.5"),
        ("jitter_probability", True),
        ("gray_probability", float("nan")),
        ("min_scale", 0),
        ("max_scale", 1.5),
        ("blur_sigma", 0.5),
        ("blur_sigma", (2.0, 1.0)),
        ("blur_sigma", (0.0, 1.0)),
    ],
)
def test_a_wrong_strength_is_named(name, value):
    with pytest.raises(InputError, match=f"{name} is "):
        AugmentationSettings(**{name: value})


def test_settings_of_numpys_numbers_are_the_same():
    plain = AugmentationSettings(hue=0.1, blur_sigma=(0.5, 1.0))
    assert AugmentationSettings(hue=np.float64(0.1), blur_sigma=[np.float64(0.5), 1]) == plain
