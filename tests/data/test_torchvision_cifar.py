import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision

from influence_lib import data
from influence_lib.errors import InputError
from tests.data.conftest import encode, random_images, write_parquet

LABELS = [i % 10 for i in range(20)]


def write_pickle(path: Path, content: dict) -> str:
    """Write a pickle the way Python 2's numpy did, and return its MD5 sum."""
    written = pickle.dumps(content, protocol=2)
    # numpy 1 under Python 2 stored the arguments of the dtype as the numbers 0 and 1
    written = written.replace(b"u1q\x05\x89\x88\x87", b"u1q\x05K\x00K\x01\x87")
    path.write_bytes(written)
    return hashlib.md5(written).hexdigest()


@pytest.fixture
def pixels():
    return random_images(20, side=32)


@pytest.fixture
def folder(tmp_path, pixels, monkeypatch):
    """Return torchvision's folder of a CIFAR-10 with twenty images, whose MD5 sums torchvision knows."""
    dataset = torchvision.datasets.CIFAR10
    place = tmp_path / dataset.base_folder
    place.mkdir()
    flat = pixels.transpose(0, 3, 1, 2).reshape(20, -1)
    train = [
        [f"data_batch_{k}", write_pickle(place / f"data_batch_{k}", {"data": flat[rows], "labels": LABELS[rows]})]
        for k, rows in enumerate((slice(0, 10), slice(10, 20)), start=1)
    ]
    test = [["test_batch", write_pickle(place / "test_batch", {"data": flat[:10], "labels": LABELS[:10]})]]
    names = {"label_names": [str(i) for i in range(10)]}
    monkeypatch.setattr(dataset, "train_list", train)
    monkeypatch.setattr(dataset, "test_list", test)
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": write_pickle(place / "batches.meta", names)})
    return place


def test_the_fingerprint_is_that_of_the_parquet_files(tmp_path, folder, pixels):
    write_parquet(tmp_path / "hub/cifar10/train-00000-of-00001.parquet", [encode(i) for i in pixels], label=LABELS)
    ours, hub = data.load("cifar10", root=tmp_path), data.load("cifar10", root=tmp_path / "hub")
    assert np.array_equal(ours.images.permute(0, 2, 3, 1).numpy(), pixels)
    assert ours.fingerprint == hub.fingerprint
    assert ours.class_names == hub.class_names


def test_splits_and_subsets(tmp_path, folder):
    assert len(data.load("cifar10", split="test", root=tmp_path)) == 10
    assert data.load("cifar10", root=tmp_path, n=10).labels.bincount().tolist() == [1] * 10


def test_cifar100_gets_its_coarse_labels(tmp_path, pixels, monkeypatch):
    dataset = torchvision.datasets.CIFAR100
    place = tmp_path / dataset.base_folder
    place.mkdir()
    flat, fine = pixels.transpose(0, 3, 1, 2).reshape(20, -1), [5 * i for i in range(20)]
    content = {"data": flat, "fine_labels": fine}
    for part in ("train", "test"):
        monkeypatch.setattr(dataset, f"{part}_list", [[part, write_pickle(place / part, content)]])
    md5 = write_pickle(place / "meta", {"fine_label_names": []})
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5})
    images = data.load("cifar100", root=tmp_path)
    assert images.labels.tolist() == fine
    assert images.attributes["coarse_label"].tolist()[:2] == ["fruit_and_vegetables", "household_furniture"]


def test_another_pickle_is_never_opened(tmp_path, folder):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    (folder / "data_batch_2").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match=r"data_batch_2 is not the official file .* not opened"):
        data.load("cifar10", root=tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
def test_a_missing_file_is_named(tmp_path, folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing: extract cifar-10-python.tar.gz"):
        data.load("cifar10", root=tmp_path)


def test_the_list_counts_its_images(tmp_path, folder):
    sets = data.available(tmp_path).set_index(["name", "split"])
    assert sets.loc[("cifar10", "train"), "images"] == 20
    assert sets.loc[("cifar10", "test"), "where"] == str(folder)
