import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from influence_lib import data
from influence_lib.errors import InputError
from tests.data.conftest import encode, random_images, write_parquet


def test_pixels_labels_and_ids_come_back(cifar10, pixels):
    images = data.load("cifar10", root=cifar10)
    assert np.array_equal(images.images.permute(0, 2, 3, 1).numpy(), pixels)
    assert images.labels.tolist() == [i % 10 for i in range(40)]
    assert images.ids.tolist() == list(range(40))
    assert (images.name, images.split, images.class_names[3]) == ("cifar10", "train", "cat")
    assert images.images.is_contiguous()


def test_a_subset_is_a_part_of_the_whole(cifar10):
    whole, part = data.load("cifar10", root=cifar10), data.load("cifar10", root=cifar10, n=20, seed=3)
    assert part.labels.bincount().tolist() == [2] * 10
    assert part.fingerprint == whole.subset(part.ids).fingerprint


def test_only_the_chosen_images_are_decoded(cifar10, pixels):
    chosen = data.load("cifar10", split="test", root=cifar10, classes=["bird"])
    assert chosen.ids.tolist() == [2]
    encoded = [encode(image) if i == 2 else b"broken" for i, image in enumerate(pixels[:10])]
    write_parquet(cifar10 / "cifar10/test-00000-of-00001.parquet", [*encoded], label=list(range(10)))
    again = data.load("cifar10", split="test", root=cifar10, classes=["bird"])
    assert again.fingerprint == chosen.fingerprint
    with pytest.raises(InputError, match=r"row 0 of .*test-00000-of-00001.parquet holds no readable image"):
        data.load("cifar10", split="test", root=cifar10)


def test_a_copy_of_the_hub_repository_is_read(cifar10):
    expected = data.load("cifar10", root=cifar10).fingerprint
    deeper = cifar10 / "copy/cifar10/plain_text"
    deeper.parent.parent.mkdir()
    (cifar10 / "cifar10").rename(cifar10 / "moved")
    deeper.parent.mkdir()
    (cifar10 / "moved").rename(deeper)
    assert data.load("cifar10", root=cifar10 / "copy").fingerprint == expected


def test_the_environment_names_the_root(cifar10, monkeypatch):
    monkeypatch.setenv("INFLUENCE_DATA", str(cifar10))
    assert len(data.load("cifar10")) == 40


def write_fairface(path: Path, n: int = 14, **columns: list) -> None:
    images: list[bytes | None] = [encode(image, "jpeg") for image in random_images(n)]
    columns |= {column: [i % k for i in range(n)] for column, k in (("race", 7), ("age", 9), ("gender", 2))}
    write_parquet(path, images, image="image", names=None, service_test=[i % 3 == 0 for i in range(n)], **columns)


def test_fairface_from_the_hub_has_suffixes_and_no_file_column(tmp_path):
    write_fairface(tmp_path / "fairface/0.25/validation-00000-of-00001-951dbd63c8724ee1.parquet")
    faces = data.load("fairface", split="val", root=tmp_path)
    assert faces.class_names[0] == "East Asian"
    assert faces.ids.tolist() == list(range(14))
    assert list(faces.attributes) == ["age", "gender", "service_test"]
    assert faces.attributes["age"].tolist()[8:10] == ["more than 70", "0-2"]
    assert faces.attributes["gender"].cat.codes.tolist()[:3] == [0, 1, 0]


def test_a_file_column_says_which_image_of_the_split_a_row_is(tmp_path):
    files = [f"train/{3 * i + 1}.jpg" for i in range(14)]
    write_fairface(tmp_path / "fairface/train-00000-of-00001.parquet", file=files)
    faces = data.load("fairface", root=tmp_path)
    assert faces.ids.tolist() == [3 * i for i in range(14)]
    assert faces.attributes["file"].tolist() == files


def test_class_names_written_in_the_file_count(tmp_path):
    path = tmp_path / "cifar10/train-00000-of-00001.parquet"
    write_parquet(path, [encode(image) for image in random_images(2)], names={"label": ["x", "y"]}, label=[1, 0])
    assert data.load("cifar10", root=tmp_path).class_names == ("x", "y")


def test_cifar100_has_coarse_labels(tmp_path):
    path = tmp_path / "cifar100/train-00000-of-00001.parquet"
    write_parquet(path, [encode(image) for image in random_images(2)], fine_label=[0, 99], coarse_label=[4, 13])
    images = data.load("cifar100", root=tmp_path)
    assert [images.class_names[label] for label in images.labels] == ["apple", "worm"]
    assert images.attributes["coarse_label"].tolist() == ["fruit_and_vegetables", "non-insect_invertebrates"]


def test_size_resizes(cifar10):
    assert data.load("cifar10", root=cifar10, n=10, size=5).images.shape == (10, 3, 5, 5)


def test_images_of_unequal_size_are_named(tmp_path):
    images: list[bytes | None] = [encode(random_images(1, side)[0]) for side in (8, 9)]
    write_parquet(tmp_path / "cifar10/train-00000-of-00001.parquet", images, label=[0, 1])
    with pytest.raises(InputError, match=r"row 0 of .* has 8×8 pixels and row 1 of .* has 9×9.*give size="):
        data.load("cifar10", root=tmp_path)
    assert data.load("cifar10", root=tmp_path, size=8).images.shape == (2, 3, 8, 8)


def test_images_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (8, 6)).save(file, "JPEG", exif=exif)
    write_parquet(tmp_path / "cifar10/train-00000-of-00001.parquet", [file.getvalue()], label=[0])
    assert data.load("cifar10", root=tmp_path).images.shape == (1, 3, 8, 6)


def test_all_damaged_rows_are_named_or_left_out(cifar10, pixels):
    broken = {0: None, 3: b"", 7: b"<html>"}
    images = [broken.get(i, encode(image)) for i, image in enumerate(pixels[:10])]
    path = write_parquet(cifar10 / "cifar10/test-00000-of-00001.parquet", images, label=list(range(10)))
    said = (
        rf"row 0 of {path} holds no image.*; row 3 of {path} holds no image.*; row 7 of {path} holds no readable image"
    )
    with pytest.raises(InputError, match=said):
        data.load("cifar10", split="test", root=cifar10)
    with pytest.warns(UserWarning, match=said):
        left = data.load("cifar10", split="test", root=cifar10, damaged="skip")
    assert left.ids.tolist() == left.labels.tolist() == [1, 2, 4, 5, 6, 8, 9]
    assert len(left.layout.skipped) == 3


def test_all_wrong_labels_are_named(cifar10):
    path = cifar10 / "cifar10/test-00000-of-00001.parquet"
    for labels, said in (([0, None, None], "row 1 .*; row 2 .* has no 'label'"), ([0, 10, -2], "label 10; .*label -2")):
        write_parquet(path, [b""] * 3, label=labels)
        with pytest.raises(InputError, match=said):
            data.load("cifar10", split="test", root=cifar10)


def test_a_missing_set_says_how_to_get_it(tmp_path):
    with pytest.raises(InputError, match=r"not in .*INFLUENCE_DATA.*python -m influence_lib data get cifar10") as error:
        data.load("cifar10", root=tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_missing_part_is_named(cifar10):
    (cifar10 / "cifar10/train-00001-of-00002.parquet").unlink()
    with pytest.raises(InputError, match=r"lacks train-00001-of-00002.parquet"):
        data.load("cifar10", root=cifar10)
    assert len(data.load("cifar10", split="test", root=cifar10)) == 10


def test_two_editions_in_one_folder_are_rejected(cifar10):
    path = cifar10 / "cifar10/train-00000-of-00001.parquet"
    (cifar10 / "cifar10/train-00000-of-00002.parquet").rename(path)
    with pytest.raises(InputError, match="mixes the files of two editions"):
        data.load("cifar10", root=cifar10)


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.9])
def test_a_truncated_file_is_named(cifar10, keep):
    path = cifar10 / "cifar10/train-00001-of-00002.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else keep])
    with pytest.raises(InputError, match=r"train-00001-of-00002.parquet cannot be read as parquet"):
        data.load("cifar10", root=cifar10)


def test_damage_in_the_middle_is_named(cifar10):
    path = cifar10 / "cifar10/train-00000-of-00002.parquet"
    whole = bytearray(path.read_bytes())
    whole[4:3000] = bytes(2996)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"train-00000-of-00002.parquet"):
        data.load("cifar10", root=cifar10)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            {"image": [{"bytes": b""}], "label": [0]},
            "no column 'img': it holds image, label, but img, label are needed",
        ),
        ({"img": [{"bytes": b""}], "y": [0]}, "no column 'label'"),
        ({"img": [b""], "label": [0]}, "column 'img' .* must be a struct with 'bytes'"),
        ({"img": [{"bytes": b""}], "label": ["cat"]}, "column 'label' .* must hold whole numbers"),
        ({"img": [{"bytes": b""}] * 2, "label": [0, None]}, "row 1 of .* has no 'label'"),
        ({"img": [{"bytes": b""}] * 2, "label": [0, 10]}, "row 1 .* has label 10, but it must be from 0 to 9"),
        ({"img": [{"bytes": b""}] * 2, "label": [0, 1]}, "row 0 of .* holds no image"),
    ],
)
def test_wrong_columns_and_values_are_named(tmp_path, table, sentence):
    path = tmp_path / "cifar10/train-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table(table), path)
    with pytest.raises(InputError, match=sentence):
        data.load("cifar10", root=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "cifar"}, "name is 'cifar', but it must be one of 'controlled', 'cifar10'"),
        ({"name": "cifar10", "split": "val"}, "split is 'val', but it must be one of 'train', 'test'"),
        ({"name": "fairface", "split": "test"}, "split is 'test', but it must be one of 'train', 'val'"),
        ({"name": "cifar10", "n": 50}, "n is 50, but it must be at most 40"),
        ({"name": "cifar10", "size": 0}, "size is 0"),
        ({"name": "cifar10", "seed": -1}, "seed is -1"),
        ({"name": "cifar10", "classes": ["dodo"]}, "'dodo'"),
    ],
)
def test_wrong_arguments_are_rejected(cifar10, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        data.load(root=cifar10, **arguments)


@pytest.mark.images
@pytest.mark.parametrize(
    ("name", "split", "n"), [("cifar10", "test", 100), ("cifar100", "test", 100), ("fairface", "val", 70)]
)
def test_real_images_look_like_photographs(real_images, name, split, n):
    images = data.load(name, split=split, root=real_images(name), n=n)
    assert images.labels.bincount().tolist() == [n // len(images.class_names)] * len(images.class_names)
    # neighbouring pixels of a photograph are alike, those of a wrongly decoded one are not
    values = images.images.float()
    across, spread = (values[..., 1:] - values[..., :-1]).abs().mean(), values.std()
    assert across < 0.5 * spread


@pytest.mark.images
def test_the_first_image_of_cifar10_is_the_known_one(real_images):
    first = data.load("cifar10", root=real_images("cifar10"), classes=["frog"]).subset([0])
    assert first.ids.tolist() == [0]
    assert first.images[0, :, 0, 0].tolist() == [59, 62, 63]
    assert first.images[0].float().mean().item() == pytest.approx(103.4, abs=0.1)


@pytest.mark.images
def test_the_table_of_coarse_labels_is_that_of_the_files(real_images):
    from influence_lib.data.catalogue import CIFAR100_COARSE_LABELS

    images = data.load("cifar100", split="test", root=real_images("cifar100"))
    expected = torch.tensor(CIFAR100_COARSE_LABELS)[images.labels]
    assert images.attributes["coarse_label"].cat.codes.tolist() == expected.tolist()
