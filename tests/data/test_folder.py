import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from influence_lib import data
from influence_lib.errors import InputError


def test_subfolders_are_classes(tmp_path, save_image):
    for file in ("dog/b.PNG", "dog/deep/a.bmp", "cat/x.jpeg", "cat/y.webp", "cat/.hidden.png"):
        save_image(tmp_path / file)
    (tmp_path / "cat/notes.txt").write_text("no image")
    images = data.load("folder", root=tmp_path)
    assert images.class_names == ("cat", "dog")
    assert images.attributes["file"].tolist() == ["cat/x.jpeg", "cat/y.webp", "dog/b.PNG", "dog/deep/a.bmp"]
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.ids.tolist() == [0, 1, 2, 3]
    assert images.images[2, :, 0, 0].tolist() == [10, 200, 30]


def test_without_subfolders_there_are_no_labels(tmp_path, save_image):
    for i in range(5):
        save_image(tmp_path / f"{i}.gif", colour=(50 * i, 0, 0))
    images = data.load("folder", root=tmp_path, n=3)
    assert images.labels.tolist() == [-1] * 3
    assert images.class_names == ()
    assert images.images[:, 0, 0, 0].tolist() == [50 * i for i in images.ids.tolist()]


def test_splits(tmp_path, save_image):
    save_image(tmp_path / "train/cat/a.png")
    save_image(tmp_path / "test/cat/b.png")
    assert data.load("folder", root=tmp_path).attributes["file"].tolist() == ["cat/a.png"]
    assert data.load("folder", split="test", root=tmp_path).attributes["file"].tolist() == ["cat/b.png"]
    with pytest.raises(InputError, match="split is 'val', but it must be one of 'test', 'train'"):
        data.load("folder", split="val", root=tmp_path)


def test_a_class_may_be_called_train(tmp_path, save_image):
    save_image(tmp_path / "train/a.png")
    save_image(tmp_path / "bus/b.png")
    assert data.load("folder", root=tmp_path).class_names == ("bus", "train")
    with pytest.raises(InputError, match="has no folders train, val or test"):
        data.load("folder", split="test", root=tmp_path)


def test_size_takes_the_central_square(tmp_path, save_image):
    wide = np.zeros((4, 12, 3), dtype=np.uint8)
    wide[:, 4:8] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    save_image(tmp_path / "tall.png", (6, 10))
    with pytest.raises(InputError, match=r"tall.png has 6×10 pixels and .*wide.png has 12×4.*give size="):
        data.load("folder", root=tmp_path)
    images = data.load("folder", root=tmp_path, size=8)
    assert images.images.shape == (2, 3, 8, 8)
    assert (images.images[1] == 255).all()


def test_grey_palette_and_turned_images_are_read(tmp_path):
    Image.new("L", (4, 4), 77).save(tmp_path / "a.png")
    Image.new("RGB", (4, 4), (9, 8, 7)).quantize(4).save(tmp_path / "b.png")
    turned = Image.new("RGB", (4, 4))
    turned.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned.save(tmp_path / "c.png", exif=exif)
    images = data.load("folder", root=tmp_path).images
    assert images[:, :, 3, 3].tolist() == [[77] * 3, [9, 8, 7], [255] * 3]


def files_of(root: Path, **arguments) -> list[str]:
    return data.load("folder", root=root, **arguments).attributes["file"].tolist()


def test_the_layout_says_what_was_found(tmp_path, save_image):
    for file in ("Train/a/1.png", "Train/a/2.png", "Train/b/1.png", "valid/c/1.png"):
        save_image(tmp_path / file)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/a.json").write_text("{}")
    found = data.layout(tmp_path)
    assert str(found) == (
        "3 classes, 3 images, split train (there is also val with 1); 1 file passed over: annotations/a.json"
    )
    images = data.load("folder", root=tmp_path, split="validation")
    assert (images.split, images.class_names, images.labels.tolist()) == ("val", ("a", "b", "c"), [2])
    assert images.layout.images == {"train": 3, "val": 1}
    assert images.subset([0]).layout is images.layout
    assert images.attributes["path"].tolist() == [str(tmp_path / "valid/c/1.png")]


def test_the_layout_of_nothing_is_rejected(tmp_path):
    for wrong in (tmp_path / "nowhere", 3, None):
        with pytest.raises(InputError, match=r"path is .*a folder of images, a parquet file"):
            data.layout(wrong)


def test_every_format_of_pillow_is_taken_and_the_rest_is_named(tmp_path, save_image):
    for file in ("1.jfif", "2.JPE", "3.tif", "4.webp", "5.ppm", "6.tga", "7.PNG", "8.jp2"):
        save_image(tmp_path / file)
    save_image(tmp_path / "a.jpg").rename(tmp_path / "9.png")  # the wrong extension
    save_image(tmp_path / "a.png").rename(tmp_path / "none")
    (tmp_path / "clip.mpg").write_bytes(b"\0\0\1\xba")
    (tmp_path / "features.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "photo.heic").write_bytes(b"other")
    save_image(tmp_path / ".ipynb_checkpoints/1.png")
    images = data.load("folder", root=tmp_path)
    assert len(images) == 10
    assert images.layout.passed_over == (".ipynb_checkpoints", "clip.mpg", "features.h5", "photo.heic")


def test_linked_folders_and_files_are_followed(tmp_path, save_image):
    for file in ("store/a/1.png", "store/b/1.png", "store/2.png"):
        save_image(tmp_path / file)
    root = tmp_path / "set"
    save_image(root / "c/0.png")
    (root / "a").symlink_to(tmp_path / "store/a")
    (root / "b").symlink_to(tmp_path / "store/b")
    (root / "c/2.png").symlink_to(tmp_path / "store/2.png")
    assert files_of(root) == ["a/1.png", "b/1.png", "c/0.png", "c/2.png"]


def test_links_in_a_circle_end(tmp_path, save_image):
    save_image(tmp_path / "set/a/1.png")
    save_image(tmp_path / "set/b/1.png")
    (tmp_path / "set/a/up").symlink_to(tmp_path / "set")
    (tmp_path / "set/b/self").symlink_to(tmp_path / "set/b")
    (tmp_path / "set/b/above").symlink_to(tmp_path)
    (tmp_path / "set/a/other").symlink_to(tmp_path / "set/b")
    (tmp_path / "set/b/other").symlink_to(tmp_path / "set/a")
    assert files_of(tmp_path / "set") == ["a/1.png", "b/1.png"]


def test_what_several_links_show_is_read_once(tmp_path, save_image):
    save_image(tmp_path / "set/m/1.png")
    save_image(tmp_path / "store/2.png")
    (tmp_path / "set/a").symlink_to(tmp_path / "set/m")  # before and after the folder itself
    (tmp_path / "set/z").symlink_to(tmp_path / "set/m")
    (tmp_path / "set/p").symlink_to(tmp_path / "store")
    (tmp_path / "set/q").symlink_to(tmp_path / "store")
    images = data.load("folder", root=tmp_path / "set")
    assert images.attributes["file"].tolist() == ["m/1.png", "p/2.png"]
    assert images.class_names == ("m", "p")
    assert images.layout.passed_over == (
        "a/1.png (the same file as m/1.png)",
        "q/2.png (the same file as p/2.png)",
        "z/1.png (the same file as m/1.png)",
    )


def test_two_splits_may_show_the_same_files(tmp_path, save_image):
    save_image(tmp_path / "train/a/1.png")
    save_image(tmp_path / "test/a/2.png")
    (tmp_path / "val").symlink_to(tmp_path / "test")
    assert files_of(tmp_path, split="val") == files_of(tmp_path, split="test") == ["a/2.png"]


def test_a_link_to_nothing_counts_as_damaged(tmp_path, save_image):
    save_image(tmp_path / "train/a/1.png")
    save_image(tmp_path / "test/a/1.png")
    (tmp_path / "train/b").symlink_to(tmp_path / "nowhere")
    (tmp_path / "train/a/self").symlink_to("self")
    with pytest.raises(InputError, match=r"train/a/self is a link to nothing; .*train/b is a link to nothing: mend"):
        data.load("folder", root=tmp_path)
    assert files_of(tmp_path, split="test") == ["a/1.png"]  # it does not concern this one
    with pytest.warns(UserWarning, match="link to nothing"):
        assert files_of(tmp_path, damaged="skip") == ["a/1.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path, save_image):
    save_image(tmp_path / "a/1.png").chmod(0)
    save_image(tmp_path / "b/1.png").parent.chmod(0)
    try:
        with pytest.raises(InputError, match=r"a/1.png is not .*Permission.*b/ cannot be listed \(Permission denied"):
            data.load("folder", root=tmp_path)
    finally:
        (tmp_path / "b").chmod(0o700)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_opened(tmp_path, save_image):
    save_image(tmp_path / "1.png")
    os.mkfifo(tmp_path / "2.png")
    assert files_of(tmp_path) == ["1.png"]


def test_a_name_that_is_no_utf8_is_shown_with_escapes(tmp_path, save_image):
    source = save_image(tmp_path / "b.png")
    try:
        shutil.copy(source, os.fsencode(tmp_path) + b"/a\xff.png")
    except OSError:
        pytest.skip("this file system takes no such names")
    assert files_of(tmp_path) == ["a\\xff.png", "b.png"]


@pytest.fixture
def with_damage(tmp_path, save_image):
    """Return a folder of two good images and four that are none; the good ones come first and last."""
    save_image(tmp_path / "cat/a.png", colour=(1, 2, 3))
    save_image(tmp_path / "dog/z.png", colour=(4, 5, 6))
    (tmp_path / "cat/empty.png").touch()
    (tmp_path / "cat/page.jpg").write_text("<!DOCTYPE html><html></html>")
    whole = save_image(tmp_path / "dog/half.png", (60, 60)).read_bytes()
    (tmp_path / "dog/half.png").write_bytes(whole[:70])
    (tmp_path / "dog/text.bmp").write_text("no image")
    (tmp_path / "dog/folder.png").mkdir()
    return tmp_path


def test_all_damaged_images_are_named_in_one_sentence(with_damage):
    with pytest.raises(InputError) as error:
        data.load("folder", root=with_damage)
    said = str(error.value)
    for name in ("cat/empty.png", "cat/page.jpg", "dog/half.png", "dog/text.bmp"):
        assert f"{with_damage / name} is not a readable image (" in said
    assert "damaged='skip'" in said
    assert said.count(". ") == 0


def test_damaged_images_are_left_out_and_listed(with_damage):
    with pytest.warns(UserWarning, match=r"Left out as damaged: .*empty.png .*page.jpg .*half.png .*text.bmp"):
        images = data.load("folder", root=with_damage, damaged="skip")
    assert images.images[:, :, 0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert images.labels.tolist() == [0, 1]
    assert images.ids.tolist() == [0, 5]  # as without the damage
    assert len(images.layout.skipped) == 4
    assert "4 left out as damaged: " in str(images.layout)


def test_nothing_but_damage_is_an_error(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match=r"a.png is not a readable image \(it is empty\).* no image is left"):
        data.load("folder", root=tmp_path, damaged="skip")


def test_images_beside_classes_have_no_label(tmp_path, save_image):
    save_image(tmp_path / "cat/a.png")
    save_image(tmp_path / "b.png")
    images = data.load("folder", root=tmp_path)
    assert dict(zip(images.attributes["file"], images.labels.tolist(), strict=True)) == {"cat/a.png": 0, "b.png": -1}
    assert "1 image without a label" in str(images.layout)


def test_all_images_are_taken_whatever_the_sizes_of_the_classes(tmp_path, save_image):
    for file in ("cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png"):
        save_image(tmp_path / file)
    assert len(data.load("folder", root=tmp_path)) == len(data.load("folder", root=tmp_path, n=4)) == 4
    assert data.load("folder", root=tmp_path, n=np.int64(2)).labels.tolist() == [0, 1]
    with pytest.raises(
        InputError, match=r"n is 3, but it must be at most 2, .* has 1 images here, or left out for all 4"
    ):
        data.load("folder", root=tmp_path, n=3)


def test_wrong_roots_are_rejected(tmp_path, save_image):
    with pytest.raises(InputError, match="holds no image"):
        data.load("folder", root=tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(InputError, match=r"holds no image \(notes.txt is passed over\)"):
        data.load("folder", root=tmp_path)
    for wrong in (tmp_path / "nowhere", save_image(tmp_path / "a.png")):
        with pytest.raises(InputError, match=r"root is .*a directory of images"):
            data.load("folder", root=wrong)
    for wrong in (3, "", ["a"]):
        with pytest.raises(InputError, match=r"root is .*a path"):
            data.load("folder", root=wrong)
    with pytest.raises(InputError, match="root is missing"):
        data.load("folder")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"damaged": "ignore"}, "damaged is 'ignore', but it must be one of 'error', 'skip'"),
        ({"image_column": "image"}, "image_column is 'image', but it must be left out"),
        ({"size": 2.5}, "size is 2.5"),
        ({"n": "2"}, "n is '2'"),
        ({"seed": None}, "seed is None"),
        ({"split": 1}, "split is 1"),
        ({"name": ["folder"]}, r"name is \['folder'\]"),
    ],
)
def test_wrong_arguments_are_rejected(tmp_path, save_image, arguments, sentence):
    save_image(tmp_path / "a.png")
    with pytest.raises(InputError, match=sentence):
        data.load(**{"name": "folder", "root": tmp_path, **arguments})
