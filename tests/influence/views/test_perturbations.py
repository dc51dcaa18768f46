import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import rgb_to_hsv
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest, kstest
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from influence_lib.errors import InputError
from influence_lib.influence.views.perturbations import (
    TABLE_4,
    Augmentations,
    ContrastNoise,
    GaussianNoise,
    RandomCrop,
    SharedDraws,
    perturb,
    view_pair,
)
from influence_lib.pretrain import AugmentationSettings

PIXELS = torch.full((6, 3, 8, 8), 0.5)
LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]

every_perturbation = pytest.mark.parametrize("perturbation", TABLE_4.values(), ids=TABLE_4)


def images_of(height, width, low=0.0, high=1.0, n=6):
    generator = torch.Generator().manual_seed(0)
    return low + (high - low) * torch.rand(n, 3, height, width, generator=generator)


IMAGES = images_of(7, 9)


def test_noise_has_the_stated_distribution():
    noise = perturb(torch.zeros(40, 3, 16, 16), range(40), GaussianNoise(0.05, 0.2), seed=0, draw=0)
    assert kstest((noise.flatten().numpy() - 0.05) / 0.2, "norm").pvalue > 0.01


@every_perturbation
@settings(max_examples=20)
@given(order=st.permutations(range(6)))
def test_copy_of_an_image_does_not_depend_on_batch_or_order(perturbation, order):
    together = perturb(IMAGES, range(6), perturbation, seed=3, draw=1)
    shuffled = perturb(IMAGES[list(order)], order, perturbation, seed=3, draw=1)
    alone = perturb(IMAGES[order[:1]], order[:1], perturbation, seed=3, draw=1)
    assert torch.equal(shuffled, together[list(order)])
    assert torch.equal(alone[0], together[order[0]])


@every_perturbation
@pytest.mark.parametrize("change", [{"seed": 1}, {"draw": 1}, {"view": 1}])
def test_same_key_gives_the_same_copy_and_another_key_another(perturbation, change):
    base = {"seed": 0, "draw": 0, "view": 0}
    pixels = images_of(32, 32)
    one = perturb(pixels, range(6), perturbation, **base)
    assert torch.equal(one, perturb(pixels, range(6), perturbation, **base))
    other = perturb(pixels, range(6), perturbation, **{**base, **change})
    assert all(not torch.equal(a, b) for a, b in zip(one, other, strict=True))
    other_ids = perturb(pixels, range(6, 12), perturbation, **base)
    assert all(not torch.equal(a, b) for a, b in zip(one, other_ids, strict=True))


@pytest.mark.parametrize("change", [{"seed": 1}, {"draw": 1}, {"view": 1}])
def test_every_key_draws_independent_noise(change):
    base = {"seed": 0, "draw": 0, "view": 0}
    one = perturb(PIXELS, range(6), GaussianNoise(), **base)
    other = perturb(PIXELS, range(6), GaussianNoise(), **{**base, **change})
    assert abs(np.corrcoef(one.flatten(), other.flatten())[0, 1]) < 0.1


def test_images_get_independent_noise():
    noise = perturb(PIXELS[:2], [0, 1], GaussianNoise(), seed=0, draw=0).flatten(1)
    assert abs(torch.corrcoef(noise)[0, 1]) < 0.2


def test_clamping_is_a_choice():
    white = torch.ones(1, 3, 8, 8)
    assert perturb(white, [0], GaussianNoise(), seed=0, draw=0).max() > 1
    clamped = perturb(white, [0], GaussianNoise(clamp=True), seed=0, draw=0)
    assert clamped.max() == 1
    assert clamped.min() < 1


@every_perturbation
def test_one_view_keeps_the_image_and_two_views_perturb_both(perturbation):
    left, right = view_pair(IMAGES, range(6), perturbation, "one", seed=0, draw=0)
    assert left is IMAGES
    both_left, both_right = view_pair(IMAGES, range(6), perturbation, "two", seed=0, draw=0)
    assert torch.equal(both_right, right)
    assert not torch.equal(both_left, IMAGES)
    assert not torch.equal(both_left, both_right)


@every_perturbation
@pytest.mark.parametrize("size", [(2, 2), (2, 13), (13, 3), (32, 32)])
def test_copies_keep_shape_and_dtype_and_leave_the_pixels_alone(perturbation, size):
    pixels = images_of(*size)
    before = pixels.clone()
    copies = perturb(pixels, range(6), perturbation, seed=0, draw=0)
    assert copies.shape == pixels.shape
    assert copies.dtype == torch.float32
    assert torch.isfinite(copies).all()
    assert torch.equal(pixels, before)
    copies[0].fill_(0)
    perturbation(pixels[0], np.random.default_rng(0)).fill_(0)  # a copy of its own, not a view
    assert torch.equal(pixels, before)


def test_copies_share_no_memory():
    image = IMAGES[0].clone()
    unflipped = Augmentations(flip_probability=1e-9)(image, np.random.default_rng(0))
    assert torch.equal(unflipped, image)
    unflipped.fill_(0)
    assert torch.equal(image, IMAGES[0])
    gray = Augmentations(grayscale=True)(image, np.random.default_rng(0))
    gray[0].fill_(0)
    assert (gray[1] > 0).all()


@every_perturbation
def test_no_image_is_paired_with_itself(perturbation):
    for size in ((2, 2), (5, 4)):
        pixels = images_of(*size, n=300)
        copies = perturb(pixels, range(300), perturbation, seed=0, draw=0)
        assert (copies - pixels).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_clamping_leaves_the_pixels_alone():
    before = PIXELS.clone()
    perturb(PIXELS, range(6), GaussianNoise(clamp=True), seed=0, draw=0)
    assert torch.equal(PIXELS, before)


@pytest.mark.parametrize("name", [name for name in TABLE_4 if name != "Gaussian noise"])
def test_all_but_noise_stay_within_black_and_white(name):
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    pixels = torch.stack([board, 1 - board, board.roll(8)]).float().expand(40, 3, 16, 16)
    copies = perturb(pixels, range(40), TABLE_4[name], seed=0, draw=0)
    assert copies.min() >= 0
    assert copies.max() <= 1


def test_table_4_has_the_rows_of_the_paper():
    assert all(row.flip_probability == 1 for row in TABLE_4.values() if isinstance(row, Augmentations))
    applied = {
        name: [key for key, value in row.describe().items() if value is True]
        for name, row in TABLE_4.items()
        if isinstance(row, Augmentations)
    }
    assert applied == {
        "flip + grayscale + blur": ["grayscale", "blur"],
        "flip + colour jitter + grayscale": ["jitter", "grayscale"],
        "flip + colour jitter + blur": ["jitter", "blur"],
        "flip + blur": ["blur"],
    }
    assert TABLE_4["random crop"] == RandomCrop()
    assert TABLE_4["Gaussian noise"] == GaussianNoise()


def test_strengths_default_to_those_of_training():
    ours, training = Augmentations(blur=True), AugmentationSettings()
    for name in ("brightness", "contrast", "saturation", "hue", "blur_sigma"):
        assert getattr(ours, name) == getattr(training, name)


BASE = Augmentations(flip_probability=0.5)
OTHER = {
    "flip_probability": 0.25,
    "jitter": True,
    "grayscale": True,
    "blur": True,
    "brightness": 0.1,
    "contrast": 0.1,
    "saturation": 0.1,
    "hue": 0.1,
    "blur_sigma": (0.1, 1.0),
}


def test_descriptions_are_json_and_tell_every_setting_apart():
    assert set(OTHER) == {field.name for field in fields(Augmentations)}
    different = [
        *TABLE_4.values(),
        BASE,
        *(replace(BASE, **{name: value}) for name, value in OTHER.items()),
        RandomCrop(scale=(0.08, 1.0)),
        RandomCrop(ratio=(1.0, 1.0)),
    ]
    texts = [json.dumps(perturbation.describe(), sort_keys=True) for perturbation in different]
    assert len(set(texts)) == len(texts)
    assert all(json.loads(text) == p.describe() for text, p in zip(texts, different, strict=True))


def test_flip_mirrors_left_and_right():
    flipped = perturb(IMAGES, range(6), Augmentations(flip_probability=1.0), seed=0, draw=0)
    assert torch.equal(flipped, IMAGES[..., range(8, -1, -1)])


def test_flip_probability_is_how_often_an_image_is_flipped():
    pixels = images_of(2, 2, n=1).expand(400, 3, 2, 2)
    copies = perturb(pixels, range(400), Augmentations(flip_probability=0.3), seed=0, draw=0)
    flipped = (copies == pixels.flip(3)).all(dim=(1, 2, 3))
    assert (copies[~flipped] == pixels[0]).all()
    assert binomtest(int(flipped.sum()), 400, 0.3).pvalue > 0.01


def test_grayscale_makes_the_channels_the_luma():
    gray = perturb(IMAGES, range(6), Augmentations(grayscale=True), seed=0, draw=0)
    torch.testing.assert_close(gray, (LUMA * IMAGES).sum(1, keepdim=True).expand_as(IMAGES), atol=2e-4, rtol=0)
    assert torch.equal(gray[:, 0], gray[:, 1])
    assert torch.equal(gray[:, 0], gray[:, 2])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [(20, 24), (3, 24), (24, 2)])
def test_blur_is_a_gaussian_filter_of_the_drawn_deviation(seed, size):
    image = images_of(*size)[0]
    sigma = np.random.default_rng(seed).uniform(0.1, 2.0)
    radius = [min(int(np.ceil(3 * sigma)), side - 1) for side in size]
    # scipy's mirror is torch's reflect: the border pixel is not repeated
    expected = gaussian_filter(image.numpy(), (0, sigma, sigma), mode="mirror", radius=[0, *radius])
    blurred = Augmentations(blur=True)(image, np.random.default_rng(seed))
    np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-5)


def jitter_alone(**strength):
    return Augmentations(jitter=True, **{"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, **strength})


def constant_factor(changed, original, atol=1e-5):
    """Return the one factor of each image by which its values differ from the original's."""
    factors = (changed * original).sum(dim=(1, 2, 3)) / original.square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(changed, factors[:, None, None, None] * original, atol=atol, rtol=0)
    return factors


def test_brightness_scales_the_pixels_and_cuts_at_white():
    pixels = images_of(3, 4, low=0.1, high=0.5, n=200)
    factors = constant_factor(perturb(pixels, range(200), jitter_alone(brightness=0.8), seed=0, draw=0), pixels)
    assert kstest(factors.numpy(), "uniform", args=(0.2, 1.6)).pvalue > 0.01
    light = perturb(1 - pixels, range(200), jitter_alone(brightness=0.8), seed=0, draw=0)
    expected = (factors[:, None, None, None] * (1 - pixels)).clamp(max=1)
    torch.testing.assert_close(light, expected, atol=1e-5, rtol=0)


def test_contrast_scales_the_deviation_from_the_mean_luma():
    pixels = images_of(3, 4, low=0.35, high=0.65, n=200)
    mean = (LUMA * pixels).sum(1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    copies = perturb(pixels, range(200), jitter_alone(contrast=0.6), seed=0, draw=0)
    # torchvision's weights of the luma have four digits and sum to 0.9999
    factors = constant_factor(copies - mean, pixels - mean, atol=1e-4)
    assert kstest(factors.numpy(), "uniform", args=(0.4, 1.2)).pvalue > 0.01


def test_saturation_scales_the_deviation_from_the_luma():
    pixels = images_of(3, 4, low=0.35, high=0.65, n=200)
    luma = (LUMA * pixels).sum(1, keepdim=True)
    copies = perturb(pixels, range(200), jitter_alone(saturation=0.6), seed=0, draw=0)
    factors = constant_factor(copies - luma, pixels - luma, atol=1e-4)
    assert kstest(factors.numpy(), "uniform", args=(0.4, 1.2)).pvalue > 0.01


def test_strengths_above_one_do_not_reverse_the_image():
    pixels = images_of(3, 4, high=0.2, n=200)
    factors = constant_factor(perturb(pixels, range(200), jitter_alone(brightness=3), seed=0, draw=0), pixels)
    assert kstest(factors.numpy(), "uniform", args=(0, 4)).pvalue > 0.01


def test_hue_is_turned_by_the_same_angle_everywhere():
    pixels = images_of(3, 4, low=0.1, n=200)
    copies = perturb(pixels, range(200), jitter_alone(hue=0.2), seed=0, draw=0)
    before, after = (rgb_to_hsv(images.permute(0, 2, 3, 1).numpy()).reshape(200, -1, 3) for images in (pixels, copies))
    np.testing.assert_allclose(after[..., 1:], before[..., 1:], atol=1e-4)
    turn = (after[..., 0] - before[..., 0] + 0.5) % 1 - 0.5
    np.testing.assert_allclose(turn, np.broadcast_to(turn[:, :1], turn.shape), atol=1e-3)
    assert kstest(turn[:, 0], "uniform", args=(-0.2, 0.4)).pvalue > 0.01


@pytest.mark.parametrize("seed", range(6))
def test_operations_follow_each_other_with_the_drawn_parameters(seed):
    everything = Augmentations(flip_probability=0.5, jitter=True, grayscale=True, blur=True)
    rng = np.random.default_rng(seed)
    factors = [*(rng.uniform(0.2, 1.8) for _ in range(3)), rng.uniform(-0.2, 0.2)]
    changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    expected = IMAGES[0]
    for i in rng.permutation(4):
        expected = changes[i](expected, factors[i])
    expected = F.rgb_to_grayscale(expected, num_output_channels=3)
    sigma = rng.uniform(0.1, 2.0)
    kernel = [2 * min(int(np.ceil(3 * sigma)), side - 1) + 1 for side in (9, 7)]
    expected = F.gaussian_blur(expected, kernel, sigma)
    if rng.random() < 0.5:
        expected = F.horizontal_flip(expected)
    torch.testing.assert_close(everything(IMAGES[0], np.random.default_rng(seed)), expected)


@pytest.mark.parametrize("size", [(8, 8), (5, 12), (2, 2)])
def test_crop_of_everything_is_the_image(size):
    pixels = images_of(*size)
    whole = perturb(pixels, range(6), RandomCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0)), seed=0, draw=0)
    torch.testing.assert_close(whole, pixels, atol=1e-6, rtol=0)
    # no other shape has the whole area either
    assert torch.equal(perturb(pixels, range(6), RandomCrop(scale=(1.0, 1.0)), seed=0, draw=0), whole)


def crop_boxes(crop, height, width, n=400):
    """Return the boxes (top, left, height, width) of n crops, read off the crops of two ramps."""
    down, right = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    ramps = torch.stack([down, right, right]).expand(n, 3, height, width)
    crops = perturb(ramps, range(n), crop, seed=0, draw=0).double()
    sides, starts = [], []
    for values, side in ((crops[:, 0, :, 0], height), (crops[:, 1, 0], width)):
        # resizing keeps a ramp a ramp, but for the two pixels at each end where it has no neighbours
        inner = values[:, side // 2 - 1 : side // 2 + 1] * side
        slope = inner[:, 1] - inner[:, 0]
        sides.append(slope * side)
        starts.append(inner[:, 0] - (slope * (side / 2 - 0.5) - 0.5))
    boxes = torch.stack([*starts, *sides], dim=1)
    torch.testing.assert_close(boxes, boxes.round(), atol=1e-2, rtol=0)
    return boxes.round().long().T


@pytest.mark.parametrize("crop", [RandomCrop(), RandomCrop((0.08, 1.0)), RandomCrop((0.5, 0.6), (0.5, 1.2))])
@pytest.mark.parametrize("size", [(40, 40), (30, 60)])
def test_crops_have_the_stated_area_shape_and_place(crop, size):
    height, width = size
    top, left, h, w = crop_boxes(crop, *size)
    assert (h * w).max() < height * width
    low, high = crop.scale
    assert (h * w <= high * height * width).all()
    assert ((h + 1) * (w + 1) > low * height * width).all()
    assert ((w / width) / ((h + 1) / height) < crop.ratio[1]).all()
    assert (((w + 1) / width) / (h / height) > crop.ratio[0]).all()
    middle = (h + 0.5) * (w + 0.5) / (height * width)  # of what the sides were before they were rounded down
    assert kstest(middle, "uniform", args=(low, high - low)).pvalue > 0.01
    for start, room in ((top, height - h), (left, width - w)):
        assert ((start >= 0) & (start <= room)).all()
        jittered = (start + np.random.default_rng(0).random(len(start))) / (room + 1)
        assert kstest(jittered, "uniform").pvalue > 0.01


def test_crop_equals_torchvision_on_its_box():
    top, left, h, w = (values.tolist() for values in crop_boxes(RandomCrop(), 20, 30, n=6))
    pixels = images_of(20, 30)
    copies = perturb(pixels, range(6), RandomCrop(), seed=0, draw=0)
    for i in range(6):
        expected = F.resized_crop(pixels[i], top[i], left[i], h[i], w[i], [20, 30], InterpolationMode.BICUBIC)
        torch.testing.assert_close(copies[i], expected.clamp(0, 1))


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({}, "every operation is 'off'"),
        ({"flip_probability": 1.5}, "flip_probability is 1.5"),
        ({"flip_probability": float("nan")}, "flip_probability is nan"),
        ({"jitter": 0.8}, "jitter is 0.8"),
        ({"grayscale": "yes"}, "grayscale is 'yes'"),
        ({"blur": 1}, "blur is 1"),
        ({"jitter": True, "brightness": -0.1}, "brightness is -0.1"),
        ({"jitter": True, "contrast": float("inf")}, "contrast is inf"),
        ({"jitter": True, "saturation": float("nan")}, "saturation is nan"),
        ({"jitter": True, "hue": 0.6}, "hue is 0.6"),
        ({"blur": True, "blur_sigma": (0, 2.0)}, r"blur_sigma is \(0, 2.0\)"),
        ({"blur": True, "blur_sigma": (2.0, 1.0)}, r"blur_sigma is \(2.0, 1.0\)"),
        ({"blur": True, "blur_sigma": 1.0}, "blur_sigma is 1.0"),
        ({"blur": True, "blur_sigma": (1.0, float("inf"))}, r"blur_sigma is \(1.0, inf\)"),
    ],
)
def test_bad_augmentations_are_named(bad, named):
    with pytest.raises(InputError, match=named):
        Augmentations(**bad)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"scale": (0.0, 1.0)}, r"scale is \(0.0, 1.0\)"),
        ({"scale": (0.5, 1.1)}, r"scale is \(0.5, 1.1\)"),
        ({"scale": (0.9, 0.5)}, r"scale is \(0.9, 0.5\)"),
        ({"scale": 0.5}, "scale is 0.5"),
        ({"scale": ("a", "b")}, "scale is "),
        ({"ratio": (1.1, 1.3)}, r"ratio is \(1.1, 1.3\)"),
        ({"ratio": (0.5, 0.9)}, r"ratio is \(0.5, 0.9\)"),
        ({"ratio": (0.0, 1.0)}, r"ratio is \(0.0, 1.0\)"),
    ],
)
def test_bad_crops_are_named(bad, named):
    with pytest.raises(InputError, match=named):
        RandomCrop(**bad)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="std is -1"):
        GaussianNoise(std=-1)
    with pytest.raises(InputError, match="views is 'three'"):
        view_pair(PIXELS, range(6), GaussianNoise(), "three", seed=0, draw=0)


def test_contrast_noise_has_one_signal_to_noise_for_all_images():
    quiet, loud = IMAGES[:1] * 0.2 + 0.4, IMAGES[:1]
    noise = [perturb(each, [7], ContrastNoise(0.05, 0.2), seed=0, draw=0) - each for each in (quiet, loud)]
    torch.testing.assert_close(noise[0], 0.2 * noise[1], rtol=1e-4, atol=1e-6)
    contrast = float((LUMA * loud[0]).sum(0).std(correction=0))
    plain = perturb(loud, [7], GaussianNoise(0.05, 0.2), seed=0, draw=0) - loud
    torch.testing.assert_close(noise[1], plain * contrast / 0.2, rtol=2e-3, atol=1e-5)


def test_an_image_of_one_colour_stays_as_it_is():
    assert torch.equal(perturb(PIXELS, range(6), ContrastNoise(), seed=0, draw=0), PIXELS)


@pytest.mark.parametrize(("changed", "said"), [({"std": -1}, "std is -1"), ({"reference": 0}, "reference is 0")])
def test_contrast_noise_refuses_what_is_none(changed, said):
    with pytest.raises(InputError, match=said):
        ContrastNoise(**changed)
    assert json.dumps(ContrastNoise().describe()) != json.dumps(GaussianNoise().describe())


def test_a_copy_has_the_draws_of_its_original_and_others_have_their_own():
    shared, same = SharedDraws(GaussianNoise(), {3: 0, 5: 0}), IMAGES[:1].expand(6, -1, -1, -1)
    found = perturb(same, range(6), shared, seed=0, draw=1)
    own = perturb(same, range(6), GaussianNoise(), seed=0, draw=1)
    assert torch.equal(found[[0, 3, 5]], own[[0, 0, 0]])
    assert torch.equal(found[[1, 2, 4]], own[[1, 2, 4]])
    left, right = view_pair(same, range(6), shared, "two", seed=0, draw=0)
    assert torch.equal(left[3], left[0])
    assert not torch.equal(left[0], right[0])


def test_shared_draws_are_told_apart_by_whom_they_are_shared():
    described = [json.dumps(SharedDraws(GaussianNoise(), drawn_as).describe()) for drawn_as in ({3: 0}, {3: 1}, {})]
    assert len(set(described)) == 3
    assert (
        SharedDraws(GaussianNoise(), {5: 1, 3: 0}).describe() == SharedDraws(GaussianNoise(), {3: 0, 5: 1}).describe()
    )
    with pytest.raises(InputError, match="perturbation is 3"):
        SharedDraws(3, {})
