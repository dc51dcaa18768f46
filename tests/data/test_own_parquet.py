"""Parquet sets of the user's own: files, splits, columns, labels."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from influence_lib import data
from influence_lib.errors import InputError
from tests.data.conftest import encode, random_images, write_parquet


def pictures(n: int) -> list[bytes]:
    """Return n encoded images."""
    return [encode(image) for image in random_images(n)]


def write(path: Path, **columns) -> Path:
    """Write columns as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return path


def load(root: Path, **arguments) -> data.ImageSet:
    return data.load("parquet", root=root, **arguments)


def test_a_file_with_class_names_is_read_by_its_path(tmp_path):
    path = write_parquet(tmp_path / "mine.parquet", pictures(8), "image", {"label": ["cat", "dog"]}, label=[0, 1] * 4)
    images = load(path)
    assert np.array_equal(images.images.permute(0, 2, 3, 1).numpy(), random_images(8))
    assert (images.class_names, images.labels.tolist()) == (("cat", "dog"), [0, 1] * 4)
    assert str(images.layout) == "2 classes, 8 images, split train"
    assert load(tmp_path).fingerprint == load(str(path)).fingerprint == images.fingerprint
    part = load(path, n=4)
    assert part.fingerprint == images.subset(part.ids).fingerprint


def test_a_published_set_is_the_same_by_its_path(cifar10):
    assert load(cifar10 / "cifar10", split="test").fingerprint == (
        data.load("cifar10", root=cifar10, split="test").fingerprint
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [(pa.binary(), pa.string()), (pa.large_binary(), pa.large_string()), (pa.binary_view(), pa.string_view())],
)
def test_plain_bytes_and_texts(tmp_path, kind, text):
    path = write(
        tmp_path / "a.parquet", photo=pa.array(pictures(3), kind), animal=pa.array(["dog", "ant", "dog"], text)
    )
    images = load(path)
    assert (images.class_names, images.labels.tolist()) == (("ant", "dog"), [1, 0, 1])
    assert np.array_equal(images.images.permute(0, 2, 3, 1).numpy(), random_images(3))


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ([0, 2, 1], ("0", "1", "2"), [0, 2, 1]),
        ([7, 3, 7], ("3", "7"), [1, 0, 1]),
        ([10, 9, 10], ("9", "10"), [1, 0, 1]),
        ([True, False, True], ("False", "True"), [1, 0, 1]),
        (pa.array(["u", "v", "u"]).dictionary_encode(), ("u", "v"), [0, 1, 0]),
        ([1.0, 0.0, 1.0], ("0", "1"), [1, 0, 1]),
        (pa.array([None] * 3, pa.int64()), (), [-1] * 3),
        ([-1, -1, -1], (), [-1] * 3),
        ([-1, 1, -1], ("-1", "1"), [0, 1, 0]),
    ],
)
def test_labels_of_many_types(tmp_path, labels, names, expected):
    images = load(write(tmp_path / "a.parquet", image=pictures(3), label=labels))
    assert (images.class_names, images.labels.tolist()) == (names, expected)


def test_pandas_writes_what_is_read(tmp_path):
    frame = pd.DataFrame({"image": pictures(2), "label": pd.Categorical(["u", "v"])}, index=["r", "s"])
    frame.to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path).class_names == ("u", "v")


def test_without_a_label_there_are_no_classes(tmp_path):
    path = write(tmp_path / "a.parquet", image=pictures(2), image_id=[4, 5], file_name=["a", "b"], caption=["x", "y"])
    images = load(path)
    assert (images.class_names, images.labels.tolist()) == ((), [-1, -1])
    assert images.attributes["caption"].tolist() == ["x", "y"]


def test_columns_are_named_where_there_are_several(tmp_path):
    columns = {"left": pictures(2), "right": pictures(2)[::-1], "age": [1, 2], "race": [5, 5]}
    path = write(tmp_path / "a.parquet", **columns)
    with pytest.raises(
        InputError, match=r"image_column is missing: 2 columns .*'left' \(binary\), 'right' \(binary\), 'age'"
    ):
        load(path)
    with pytest.raises(InputError, match=r"label_column is missing: 'age', 'race' could all be .*'left' \(binary\)"):
        load(path, image_column="left")
    images = load(path, image_column="right", label_column="race")
    assert images.class_names == ("5",)
    assert images.attributes["age"].tolist() == [1, 2]
    assert np.array_equal(images.images[0].permute(1, 2, 0).numpy(), random_images(2)[1])
    assert load(path, image_column="left", label_column="").class_names == ()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"image_column": "picture"}, r"image_column is 'picture', .*'image' \(binary\), 'label' \(int64\)"),
        ({"image_column": "label"}, "image_column is 'label'"),
        ({"label_column": "labels"}, r"label_column is 'labels', .*'image' \(binary\), 'label' \(int64\)"),
        ({"label_column": "image"}, "label_column is 'image'"),
        ({"label_column": 3}, "label_column is 3, but it must be the name of a column"),
        ({"split": "test"}, "split is 'test', but it must be one of 'train'"),
        ({"root": None}, "root is missing"),
        ({"root": "/nowhere"}, "root is '/nowhere', but it must be a parquet file"),
    ],
)
def test_wrong_arguments_are_rejected(tmp_path, arguments, sentence):
    path = write(tmp_path / "a.parquet", image=pictures(2), label=[0, 1])
    with pytest.raises(InputError, match=sentence):
        load(**{"root": path, **arguments})


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"x": [1], "label": [0]}, r"no column can hold images, so name one of 'x' \(int64\)"),
        ({"image": [[1, 2]], "label": [0]}, r"no column can hold images, .*'image' \(list"),
        ({"image": [b"x"], "label": [0.5]}, "row 0 of .* has label 0.5, but a label must be"),
        ({"image": pa.array([], pa.binary())}, "holds no image in split train"),
    ],
)
def test_sets_that_are_none_are_rejected(tmp_path, columns, sentence):
    with pytest.raises(InputError, match=sentence):
        load(write(tmp_path / "a.parquet", **columns))


def test_two_columns_of_one_name_are_rejected(tmp_path):
    table = pa.table([pa.array(pictures(1)), pa.array([0]), pa.array([1])], names=["image", "label", "label"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a.parquet has several columns called 'label'"):
        load(tmp_path)


def test_splits_in_the_layout_of_the_hub(tmp_path):
    pictured = pictures(5)
    write(tmp_path / "data/train-00000-of-00002.parquet", image=pictured[:2], label=["b", "c"])
    write(tmp_path / "data/train-00001-of-00002-0a1b.parquet", image=pictured[2:4], label=["c", "b"])
    write(tmp_path / "data/validation-00000-of-00001.parquet", image=pictured[4:], label=["a"])
    (tmp_path / "README.md").write_text("mine")
    train, val = load(tmp_path), load(tmp_path, split="val")
    assert (train.class_names, train.labels.tolist()) == (("a", "b", "c"), [1, 2, 2, 1])
    assert (val.class_names, val.labels.tolist(), val.split) == (("a", "b", "c"), [0], "val")
    assert (
        str(val.layout) == "3 classes, 1 image, split val (there is also train with 4); 1 file passed over: README.md"
    )
    (tmp_path / "data/train-00000-of-00002.parquet").unlink()
    with pytest.raises(InputError, match=r"lacks train-00000-of-00002.parquet"):
        load(tmp_path)


@pytest.mark.parametrize(
    "name", ["default/{}/0000.parquet", "{}.parquet", "{}/part-0.snappy.parquet", "mine_{}.parquet"]
)
def test_splits_by_the_names_of_files_or_folders(tmp_path, name):
    for split, label in (("train", 0), ("test", 1)):
        write(tmp_path / name.format(split), image=pictures(1), label=[label])
    assert load(tmp_path, split="test").labels.tolist() == [1]
    assert len(load(tmp_path / name.format("test"))) == 1  # a file is the whole set


def test_a_test_split_may_lack_labels(tmp_path):
    write(tmp_path / "train.parquet", image=pictures(2), label=[0, 1])
    write(tmp_path / "test.parquet", image=pictures(2), label=[-1, -1])
    write(tmp_path / "val.parquet", image=pictures(2))
    for split in ("test", "val"):
        images = load(tmp_path, split=split)
        assert (images.class_names, images.labels.tolist()) == (("0", "1"), [-1, -1])
        assert "2 images without a label" in str(images.layout)


def test_files_without_splits_are_one_set(tmp_path):
    for part in (0, 1):
        write(tmp_path / f"part-0000{part}.parquet", image=pictures(2), label=[part, 2])
    images = load(tmp_path)
    assert images.labels.tolist() == [0, 2, 1, 2]
    assert images.ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("folders", [("one/train", "two/train"), ("label=cat", "label=dog")])
def test_several_sets_in_one_folder_are_rejected(tmp_path, folders):
    for folder in folders:
        write(tmp_path / folder / "0.parquet", image=pictures(1))
    with pytest.raises(
        InputError, match=r"holds parquet files in several folders, '.*', '.*': let root be one of them"
    ):
        load(tmp_path)


def test_files_that_do_not_fit_together_are_named(tmp_path):
    write(tmp_path / "a.parquet", image=pictures(1), label=[0])
    write(tmp_path / "b.parquet", image=pictures(1), label=["x"])
    with pytest.raises(InputError, match="column 'label' holds whole numbers in some files and texts in others"):
        load(tmp_path)
    write(tmp_path / "b.parquet", photo=pictures(1), label=[0])
    with pytest.raises(InputError, match=r"column 'image' is missing or of another type in .*b.parquet"):
        load(tmp_path)


def test_all_broken_files_are_named(tmp_path):
    write(tmp_path / "a.parquet", image=pictures(1))
    (tmp_path / "b.parquet").touch()
    (tmp_path / "c.parquet").write_text("<!DOCTYPE html><html>not found</html>")
    with pytest.raises(InputError, match=r"b.parquet cannot be read as parquet, .*c.parquet cannot be read as parquet"):
        load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no parquet file"):
        load(tmp_path / "empty")


def test_rows_without_image_or_label_are_damaged(tmp_path):
    pictured = [None if i == 1 else b"no image" if i == 2 else image for i, image in enumerate(pictures(6))]
    names = {"label": ["x", "y"]}
    path = write_parquet(tmp_path / "a.parquet", pictured, "image", names, label=[0, 0, 0, None, 5, 1])
    with pytest.raises(InputError) as error:
        load(path)
    for said in ("row 1 of {} holds no image", "row 2 of {} holds no readable image", "row 3 of {} has no 'label'"):
        assert said.format(path) in str(error.value)
    assert f"row 4 of {path} has label 5, which is none of its 2 classes" in str(error.value)
    with pytest.warns(UserWarning, match=r"row 1 of .*row 2 of .*row 3 of .*row 4 of"):
        images = load(path, damaged="skip")
    assert (images.ids.tolist(), images.labels.tolist()) == ([0, 5], [0, 1])
    assert len(images.layout.skipped) == 4


def test_images_that_lie_beside_the_files(tmp_path, save_image):
    save_image(tmp_path / "photos/1.png")
    structs = [{"bytes": None, "path": "photos/1.png"}, {"bytes": None, "path": "photos/2.png"}]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    path = write(tmp_path / "data/a.parquet", image=pa.array(structs, kind), label=[0, 1])
    with pytest.raises(InputError, match=r"row 1 of .* holds no image: .*there is no file photos/2.png"):
        load(tmp_path)
    with pytest.warns(UserWarning, match="photos/2.png"):
        assert load(tmp_path, damaged="skip").images[0, :, 0, 0].tolist() == [10, 200, 30]
    write(path, picture=["photos/1.png"])
    assert len(load(tmp_path, image_column="picture")) == 1


@pytest.mark.parametrize(
    "metadata",
    [
        "no json",
        b"\xff",
        *map(
            json.dumps,
            [None, [], {"info": None}, {"info": {"features": []}}]
            + [
                {"info": {"features": {"label": feature}}}
                for feature in (None, {"names": None}, {"names": [1, 2]}, {"names": ["a", "a"]}, {"names": {"0": "a"}})
            ],
        ),
    ],
)
def test_metadata_that_is_of_no_use_counts_as_none(tmp_path, metadata):
    table = pa.table({"img": [{"bytes": image} for image in pictures(2)], "label": [0, 1]})
    path = tmp_path / "cifar10/train-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), path)
    assert load(path).class_names == ("0", "1")
    assert len(data.load("cifar10", root=tmp_path).class_names) == 10


def test_sizes_and_attributes(tmp_path):
    sides = (8, 6)
    path = write(
        tmp_path / "a.parquet",
        image=[encode(random_images(1, side)[0]) for side in sides],
        label=[0, 1],
        weight=[0.5, None],
        boxes=[[1, 2], [3]],
    )
    with pytest.raises(InputError, match=r"size is None, but row 0 of .* has 8×8 pixels and row 1 of .* has 6×6"):
        load(path)
    images = load(path, size=4)
    assert images.images.shape == (2, 3, 4, 4)
    assert list(images.attributes) == ["weight"]
