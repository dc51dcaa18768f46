import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from influence_lib import data
from influence_lib.errors import InputError
from tests.images import noise_images

shares = st.sampled_from([0.0, 0.1, 0.25, 1.0])


@pytest.fixture(scope="module")
def base() -> data.ImageSet:
    return data.load("controlled", n=40)


@pytest.fixture(scope="module")
def planted(base) -> data.ImageSet:
    return data.plant(base, exact=0.1, near=0.4, outliers=0.3, seed=1)


@settings(max_examples=15, deadline=None)
@given(shares, shares, shares, st.integers(0, 3))
def test_counts_ids_and_the_original_part(exact, near, outliers, seed):
    base = noise_images(20)
    planted = data.plant(base, exact, near, outliers, seed)
    counts = planted.attributes["planted"].value_counts()
    assert counts.to_dict() == {"none": 20, "exact": 20 * exact, "near": 20 * near, "outlier": 20 * outliers}
    assert planted.subset(range(20)).fingerprint == base.fingerprint
    extra = planted.ids[20:] - base.ids.max()
    assert extra.tolist() == list(range(1, len(extra) + 1))


def test_exact_copies_are_exact(base, planted):
    where = np.flatnonzero(planted.attributes["planted"] == "exact")
    for row in where:
        source = int((base.ids == planted.attributes["source_id"][row]).nonzero())
        assert torch.equal(planted.images[row], base.images[source])
        assert planted.labels[row] == base.labels[source]
        assert planted.attributes["body_colour"][row] == base.attributes["body_colour"][source]
    assert len(where) == 4


def test_near_copies_resemble_their_original_most(base, planted):
    rows = planted.attributes.query("planted == 'near'")
    assert rows["planted_kind"].value_counts().to_dict() == {"shift": 4, "crop": 4, "brightness": 4, "jpeg": 4}

    def centred(images: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.avg_pool2d(images.float(), 4).flatten(1)
        return torch.nn.functional.normalize(pooled - pooled.mean(1, keepdim=True))

    likeness = centred(planted.images[list(rows.index)]) @ centred(base.images).T
    nearest = base.ids[likeness.argmax(1)]
    assert (nearest.numpy() == rows["source_id"].to_numpy()).mean() > 0.9
    for row, source in rows["source_id"].items():
        assert not torch.equal(planted.images[row], base.images[source])


def test_near_copies_do_what_their_name_says(base, planted):
    rows = planted.attributes.query("planted == 'near'")
    for kind, group in rows.groupby("planted_kind"):
        for row, source in group["source_id"].items():
            copy, original = planted.images[row].float(), base.images[source].float()
            if kind == "shift":
                errors = [
                    (copy - original.roll((dy, dx), (1, 2)))[:, 4:-4, 4:-4].abs().max()
                    for dy in range(-4, 5)
                    for dx in range(-4, 5)
                    if dx and dy
                ]
                assert min(errors) == 0
            elif kind == "brightness":
                lit = (original > 60) & (copy < 255)
                ratio = copy[lit] / original[lit]
                assert ratio.std() < 0.02
                assert abs(ratio.mean() - 1) > 0.1
            elif kind == "jpeg":
                assert (copy - original).abs().mean() < 15


def test_outliers(base, planted):
    rows = planted.attributes.query("planted == 'outlier'")
    assert rows["planted_kind"].tolist() == ["noise", "inverted", "foreign"] * 4
    inverted = rows.query("planted_kind == 'inverted'")
    for row, source in inverted["source_id"].items():
        assert torch.equal(planted.images[row], 255 - base.images[source])
        assert planted.labels[row] == base.labels[source]
    drawn = rows.drop(inverted.index)
    assert (drawn["source_id"] == -1).all()
    assert drawn["background"].isna().all()
    assert drawn["flip"].isna().all()
    assert all(0 <= planted.labels[row] < 10 for row in drawn.index)
    noise = planted.images[list(rows.query("planted_kind == 'noise'").index)].float()
    assert noise.mean().item() == pytest.approx(127.5, abs=2)


def test_foreign_images_come_from_another_set(base, planted):
    mosaic = planted.images[list(planted.attributes.query("planted_kind == 'foreign'").index)]
    assert all(len(image.flatten(1).unique(dim=1).T) <= 24 for image in mosaic)
    other = data.plant(noise_images(9, size=48), outliers=1.0)
    scenes = other.images[list(other.attributes.query("planted_kind == 'foreign'").index)].float()
    assert scenes.shape == (3, 3, 48, 48)
    # enlarged drawings are smooth, noise is not
    assert (scenes[..., 1:] - scenes[..., :-1]).abs().mean() < 15


def test_whole_numbers_and_booleans_keep_their_types(planted):
    kept = planted.attributes[["flip", "noise_seed", "rotation"]]
    assert [str(kind) for kind in kept.dtypes] == ["boolean", "Int64", "float64"]
    assert pd.isna(kept["flip"].iloc[-1])


def test_originals_differ_while_there_are_enough(planted):
    sources = planted.attributes["source_id"].iloc[40:]
    assert sources[sources >= 0].is_unique


def test_the_same_seed_plants_the_same(base, planted):
    again = data.plant(base, exact=0.1, near=0.4, outliers=0.3, seed=1)
    assert again.fingerprint == planted.fingerprint
    pd.testing.assert_frame_equal(again.attributes, planted.attributes)
    assert data.plant(base, exact=0.1, near=0.4, outliers=0.3, seed=2).fingerprint != planted.fingerprint


def test_unlabelled_sets_stay_unlabelled(tmp_path, save_image):
    for i in range(4):
        save_image(tmp_path / f"{i}.png", colour=(60 * i, 90, 20))
    planted = data.plant(data.load("folder", root=tmp_path), exact=0.5, near=1.0, outliers=1.0)
    assert planted.labels.tolist() == [-1] * 14


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"exact": -0.1}, "exact is -0.1, but it must be a number at least 0 and at most 1"),
        ({"near": 1.5}, "near is 1.5"),
        ({"outliers": float("nan")}, "outliers is nan"),
        ({"outliers": "many"}, "outliers is 'many'"),
        ({"exact": True}, "exact is True"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_arguments_are_rejected(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        data.plant(noise_images(10), **arguments)


def test_planting_twice_and_in_nothing_is_rejected(planted):
    with pytest.raises(InputError, match="already holds planted images"):
        data.plant(planted, exact=0.1)
    with pytest.raises(InputError, match="images is empty"):
        data.plant(noise_images(4).subset([]), exact=0.1)
