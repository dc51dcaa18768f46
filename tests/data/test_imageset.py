import dataclasses
import json

import pandas as pd
import pytest
import torch

from influence_lib.data import ImageSet
from influence_lib.errors import InputError
from tests.images import noise_images


def test_a_frozen_set_says_what_it_is():
    images = noise_images(4)
    assert len(images) == 4
    assert repr(images) == "ImageSet(noise train: 4 images of 3×8×8, 2 classes)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        images.name = "other"


@pytest.mark.parametrize("indices", [[3, 0], torch.tensor([3, 0]), torch.tensor([3, 0]).numpy()])
def test_subset_keeps_ids_labels_and_attributes_together(indices):
    images = dataclasses.replace(noise_images(4), attributes=pd.DataFrame({"x": [0, 1, 2, 3]}))
    part = images.subset(indices)
    assert part.ids.tolist() == [14, 5]
    assert part.labels.tolist() == [1, 0]
    assert part.attributes["x"].tolist() == [3, 0]
    assert torch.equal(part.images, images.images[[3, 0]])


def test_subset_by_mask():
    images = noise_images(4)
    assert images.subset(images.labels == 1).ids.tolist() == [8, 14]
    assert len(images.subset(torch.zeros(4, dtype=torch.bool))) == 0
    assert len(images.subset([])) == 0


@pytest.mark.parametrize(
    ("indices", "sentence"),
    [
        ([4], "an index is 4, but it must be from 0 to 3"),
        ([-1], "an index is -1"),
        ([1, 1], "ids holds 8 more than once"),
        ([0.5], "the dtype of indices"),
        ([True, False], "the length of the mask is 2, but it must be 4"),
    ],
)
def test_wrong_subsets_are_rejected(indices, sentence):
    with pytest.raises(InputError, match=sentence):
        noise_images(4).subset(indices)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"images": torch.zeros(4, 3, 8, 8)}, "images is .*float32"),
        ({"images": [[1]]}, "images is 'list', but it must be a tensor"),
        ({"labels": torch.zeros(4).numpy()}, "labels is 'ndarray', but it must be a tensor"),
        ({"images": torch.zeros(4, 1, 8, 8, dtype=torch.uint8)}, "images is .*1, 8, 8"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, r"labels is .*int64 of shape \(4,\)"),
        ({"labels": torch.zeros(4, dtype=torch.int32)}, "labels is .*int32"),
        ({"labels": torch.tensor([0, 1, 2, 0])}, "the range of labels is 'from 0 to 2'"),
        ({"labels": torch.tensor([0, 1, -2, 0])}, "the range of labels is 'from -2 to 1'"),
        ({"ids": torch.tensor([1, 2, 3, 2])}, "ids holds 2 more than once"),
        ({"attributes": pd.DataFrame(index=range(3))}, "rows of attributes is 3"),
        ({"attributes": pd.DataFrame(index=[3, 2, 1, 0])}, "index of attributes"),
    ],
)
def test_wrong_parts_are_rejected(change, sentence):
    with pytest.raises(InputError, match=sentence):
        dataclasses.replace(noise_images(4), **change)


def test_images_are_contiguous():
    images = noise_images(4)
    strided = dataclasses.replace(images, images=images.images.to(memory_format=torch.channels_last))
    assert strided.images.is_contiguous()
    assert strided.fingerprint == images.fingerprint


def test_the_fingerprint_depends_on_pixels_labels_ids_and_shape():
    images = noise_images(4)
    changed = images.images.clone()
    changed[2, 1, 3, 3] ^= 1
    others = [
        dataclasses.replace(images, images=changed),
        dataclasses.replace(images, images=images.images.reshape(4, 3, 4, 16)),
        dataclasses.replace(images, labels=torch.zeros(4, dtype=torch.int64)),
        dataclasses.replace(images, ids=torch.arange(4)),
        images.subset([1, 0, 2, 3]),
    ]
    assert len({images.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert dataclasses.replace(images, name="renamed").fingerprint == images.fingerprint


def test_describe_is_json():
    images = noise_images(4)
    described = images.describe()
    assert json.loads(json.dumps(described)) == described
    assert described == {"name": "noise", "split": "train", "n": 4, "fingerprint": images.fingerprint}
    assert len(images.fingerprint) == 16


def test_labels_without_classes_must_be_missing():
    with pytest.raises(InputError, match="within -1 to -1"):
        ImageSet(*(getattr(noise_images(4), f) for f in ("images", "labels", "ids", "attributes")), "x", "train")
