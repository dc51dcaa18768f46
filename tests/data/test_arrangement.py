"""Which folders are splits and which are classes, from paths alone."""

import pytest

from influence_lib.data.arrangement import arrange
from influence_lib.data.splits import choose_split, read_split
from influence_lib.errors import InputError

LAYOUTS = {
    "flat": (["a.png", "b.png"], {"train": ["a.png", "b.png"]}),
    "classes": (["cat/1.png", "dog/2.png"], {"train": ["cat/1.png", "dog/2.png"]}),
    "deeper": (["cat/2020/1.png", "dog/1.png"], {"train": ["cat/2020/1.png", "dog/1.png"]}),
    "one class": (["cat/1.png"], {"train": ["cat/1.png"]}),
    "beside classes": (["cat/1.png", "2.png"], {"train": ["cat/1.png", "2.png"]}),
    "splits": (["Train/cat/1.png", "valid/dog/2.png"], {"train": ["cat/1.png"], "val": ["dog/2.png"]}),
    "one split": (["train/cat/1.png", "train/dog/1.png"], {"train": ["cat/1.png", "dog/1.png"]}),
    "a class train": (["train/1.png", "bus/1.png"], {"train": ["train/1.png", "bus/1.png"]}),
    "class names": (["train_station/1.png", "test_tube/1.png"], {"train": ["train_station/1.png", "test_tube/1.png"]}),
    "beside splits": (["train/1.png", "test/1.png", "extra/1.png", "x.png"], {"train": ["1.png"], "test": ["1.png"]}),
    "Kaggle": (["training_set/cats/1.png", "test_set/cats/1.png"], {"train": ["cats/1.png"], "test": ["cats/1.png"]}),
    "COCO": (["train2017/1.jpg", "val2017/1.jpg"], {"train": ["1.jpg"], "val": ["1.jpg"]}),
    "Intel": (
        ["seg_train/sea/1.jpg", "seg_test/sea/1.jpg", "seg_pred/1.jpg"],
        {"train": ["sea/1.jpg"], "test": ["sea/1.jpg"]},
    ),
    "CycleGAN": (
        ["trainA/1.jpg", "trainB/1.jpg", "testA/1.jpg", "testB/1.jpg"],
        {"train": ["a/1.jpg", "b/1.jpg"], "test": ["a/1.jpg", "b/1.jpg"]},
    ),
    "YOLO": (["train/images/1.jpg", "valid/images/1.jpg"], {"train": ["1.jpg"], "val": ["1.jpg"]}),
    "YOLO, images outside": (
        ["images/train/1.jpg", "images/val/1.jpg", "masks/train/1.png"],
        {"train": ["1.jpg"], "val": ["1.jpg"]},
    ),
    "Tiny ImageNet": (
        ["train/n1/images/1.jpg", "train/n2/images/1.jpg", "val/images/1.jpg"],
        {"train": ["n1/images/1.jpg", "n2/images/1.jpg"], "val": ["1.jpg"]},
    ),
    "ImageNet": (
        ["ILSVRC/Data/CLS-LOC/train/n1/1.JPEG", "ILSVRC/Data/CLS-LOC/val/1.JPEG"],
        {"train": ["n1/1.JPEG"], "val": ["1.JPEG"]},
    ),
    "MVTec": (
        ["bottle/train/good/1.png", "bottle/test/bad/1.png", "cable/train/good/1.png"],
        {"train": ["bottle/good/1.png", "cable/good/1.png"], "test": ["bottle/bad/1.png"]},
    ),
    "MVTec, one class": (
        ["train/good/1.png", "test/bad/1.png", "ground_truth/bad/1.png"],
        {"train": ["good/1.png"], "test": ["bad/1.png"]},
    ),
    "unpacked twice": (["data/data/cat/1.png", "data/data/dog/1.png"], {"train": ["cat/1.png", "dog/1.png"]}),
    "val and valid": (
        ["train/1.png", "val/1.png", "valid/1.png"],
        {"train": ["1.png"], "val": ["1.png"], "valid": ["1.png"]},
    ),
    "one class in a split": (
        ["train/cat/1.png", "train/dog/1.png", "test/cat/a/1.png"],
        {"train": ["cat/1.png", "dog/1.png"], "test": ["cat/a/1.png"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("paths", "splits"), LAYOUTS.values(), ids=LAYOUTS)
def test_common_layouts(paths, splits):
    arranged = arrange(paths).splits
    assert {split: sorted(part) for split, part in arranged.items()} == {s: sorted(p) for s, p in splits.items()}
    assert all(
        path in paths and path.endswith(below.split("/")[-1]) for p in arranged.values() for below, path in p.items()
    )


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "TRAIN", "Training", "train-images", "train2017", "partial-train")),
        *((name, "val") for name in ("val", "Valid", "validation", "dev", "validation_set")),
        *((name, "test") for name in ("test", "Testing", "eval", "test1", "testA")),
        *((name, None) for name in ("bus", "pretrained", "trainer", "testament", "train_test", "")),
    ],
)
def test_names_of_splits(name, split):
    found = read_split(name)
    assert (found and found[0]) == split


def test_a_split_is_found_by_any_of_its_names():
    assert choose_split("validation", ["train", "val"]) == "val"
    assert choose_split("valid", ["val", "valid"]) == "valid"
    assert choose_split(None, ["val", "train"]) == "train"
    assert choose_split(None, ["val", "test"]) == "test"
    for wrong in ("test", "bus", 3):
        with pytest.raises(InputError, match=r"split is .*one of 'train', 'val'"):
            choose_split(wrong, ["val", "train"])
