import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2_contingency

from influence_lib import data
from influence_lib.data.backgrounds import BACKGROUNDS, TEXTURES
from influence_lib.data.controlled import CLASS_NAMES, Scene, render, scene
from influence_lib.errors import InputError


@pytest.fixture(scope="module")
def plain() -> Scene:
    """Return a scene on white without occlusion and noise."""
    return dataclasses.replace(scene(0), background="white", occluder="none", noise=0.0)


def test_the_drawings_are_the_same_on_every_machine():
    # written down once: results that were made with these images stay comparable as long as it holds
    assert data.load("controlled", n=40).fingerprint == "d836805170e59a56"


def test_an_image_does_not_depend_on_how_many_there_are():
    small, large = data.load("controlled", n=20), data.load("controlled", n=50)
    assert torch.equal(small.images, large.images[:20])
    pd.testing.assert_frame_equal(small.attributes, large.attributes[:20])


def test_classes_are_balanced_and_can_be_chosen():
    whole = data.load("controlled", n=30)
    assert whole.labels.tolist() == [i % 10 for i in range(30)]
    assert whole.attributes["class_name"].tolist() == [CLASS_NAMES[label] for label in whole.labels]
    part = data.load("controlled", n=6, classes=["boat", 3])
    assert part.ids.tolist() == [1, 3, 11, 13, 21, 23]
    assert torch.equal(part.images, whole.images[part.ids])


def test_seeds_and_splits_are_other_sets():
    prints = {data.load("controlled", s, n=10, seed=k).fingerprint for s in ("train", "test") for k in (0, 1)}
    assert len(prints) == 4


def test_the_default_sizes():
    assert len(data.load("controlled", split="test")) == 1000


def test_the_background_is_independent_of_the_class():
    scenes = [scene(i) for i in range(2000)]
    counts = pd.crosstab([s.class_name for s in scenes], [s.background for s in scenes])
    assert chi2_contingency(counts).pvalue > 0.01
    shares = counts.sum() / 2000
    assert all(abs(shares[kind] - share) < 0.04 for kind, share in BACKGROUNDS.items())
    assert {s.texture for s in scenes} == {"", *TEXTURES}


@pytest.mark.parametrize(("kind", "value"), [("white", 255), ("black", 0)])
def test_plain_backgrounds_are_plain(plain, kind, value):
    image, _ = render(dataclasses.replace(plain, background=kind, x=0.7, y=0.7, scale=0.4))
    assert (image[:, :8, :8] == value).all()


@pytest.mark.parametrize("kind", ["gradient", "texture"])
def test_other_backgrounds_vary(plain, kind):
    for texture in TEXTURES:
        image, _ = render(dataclasses.replace(plain, background=kind, texture=texture, scale=0.01))
        assert image.reshape(3, -1).std(axis=1).max() > 5, texture


def test_changing_the_background_leaves_the_object_alone(plain):
    white, black, coloured = (
        render(dataclasses.replace(plain, background=kind))[0].astype(int) for kind in ("white", "black", "colour")
    )
    inside = (white == black).all(axis=0)
    assert 40 < inside.sum() < 700
    assert (white[:, inside] == coloured[:, inside]).all()


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_every_class_is_drawn_and_differs_from_the_others(plain, name):
    own, _ = render(dataclasses.replace(plain, class_name=name))
    covered = (own < 250).any(axis=0).mean()
    assert 0.08 < covered < 0.7
    for other in set(CLASS_NAMES) - {name}:
        drawn, _ = render(dataclasses.replace(plain, class_name=other))
        assert np.abs(own.astype(int) - drawn).mean() > 8, other


def test_pose_does_what_it_says(plain):
    def darkness(**changes: Any) -> np.ndarray:
        shape = dataclasses.replace(plain, class_name="boat", x=0.5, y=0.5, scale=0.6, rotation=0.0, flip=False)
        # light from above keeps the shading and the shadow symmetric
        image, _ = render(dataclasses.replace(shape, light_angle=270.0, **changes))
        return 255 - image.astype(float).mean(axis=0)

    def centre(dark: np.ndarray) -> np.ndarray:
        return np.array([np.average(grid, weights=dark) for grid in np.mgrid[:32, :32]])

    middle = centre(darkness())
    assert centre(darkness(x=0.625)) - middle == pytest.approx([0, 4], abs=0.2)
    assert centre(darkness(y=0.375)) - middle == pytest.approx([-4, 0], abs=0.4)
    assert (darkness(scale=0.8) > 10).sum() > 1.4 * (darkness() > 10).sum()
    assert np.abs(darkness(flip=True)[:, ::-1] - darkness()).mean() < 6
    assert np.abs(darkness(flip=True) - darkness()).mean() > 6
    tall = darkness(rotation=90.0)
    assert (tall > 10).any(axis=0).sum() >= (darkness() > 10).any(axis=1).sum() - 3


def test_light_and_shadow(plain):
    dark, bright = (
        render(dataclasses.replace(plain, background="black", brightness=b))[0].mean() for b in (0.75, 1.15)
    )
    assert bright > 1.2 * dark
    cold, warm = (render(dataclasses.replace(plain, background="colour", temperature=t))[0] for t in (-1.0, 1.0))
    assert warm[0].mean() > cold[0].mean()
    assert warm[2].mean() < cold[2].mean()


def test_occlusion_is_measured(plain):
    for kind in ("bar", "blob"):
        s = dataclasses.replace(plain, occluder=kind, occluder_x=plain.x, occluder_y=plain.y, occluder_size=0.15)
        _, fraction = render(s)
        assert 0.05 < fraction < 0.8
        _, more = render(dataclasses.replace(s, occluder_size=0.25))
        assert more > fraction
    assert render(plain)[1] == 0
    _, everything = render(dataclasses.replace(s, occluder="blob", occluder_size=1.5))
    assert everything == pytest.approx(1)


def test_noise_has_the_stated_size(plain):
    s = dataclasses.replace(plain, background="colour", brightness=1.0)
    clean, noisy = (render(dataclasses.replace(s, noise=v))[0].astype(float) for v in (0.0, 0.02))
    assert (noisy - clean).std() / 255 == pytest.approx(0.02, rel=0.1)


def test_all_factors_are_attributes():
    images = data.load("controlled", n=200)
    factors = {field.name for field in dataclasses.fields(Scene)}
    assert set(images.attributes) == {*factors, "occlusion"}
    occluded = images.attributes["occluder"] != "none"
    assert (images.attributes["occlusion"][~occluded] == 0).all()
    assert (images.attributes["occlusion"][occluded] > 0).mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"split": "val"}, "split is 'val', but it must be one of 'train', 'test'"),
        ({"n": 15}, "n is 15, but it must be a multiple of 10"),
        ({"n": 0}, "n is 0"),
        ({"classes": ["frog"]}, "'frog'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_arguments_are_rejected(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        data.load("controlled", **arguments)
