"""Which images of a set are taken."""

from pathlib import Path

import pytest

from influence_lib import data
from influence_lib.data import Collection
from influence_lib.errors import InputError


@pytest.fixture
def photos(tmp_path, save_image):
    """Return a folder with images of two classes and different sizes, and some held out."""
    for shade, name in enumerate(("train/cat/a.png", "train/cat/b.png", "train/dog/c.png", "test/dog/d.png")):
        save_image(tmp_path / name, size=(9 + shade, 12), colour=(60 * shade,) * 3)
    return str(tmp_path)


def test_published_sets_are_those_of_load():
    collection = Collection("controlled")
    assert collection.images(20).fingerprint == data.load("controlled", n=20).fingerprint
    assert collection.images(20, size=16).images.shape == (20, 3, 16, 16)
    assert collection.images(20) is collection.images(20)
    assert len(collection.held_out()) == 1000


def test_of_a_folder_as_many_are_taken_as_there_are(photos):
    collection = Collection("folder", photos, size=8)
    one, two, every = (collection.images(n).ids.tolist() for n in (1, 2, None))
    assert set(one) < set(two) < set(every) == {0, 1, 2}
    assert collection.images(100).ids.tolist() == every
    assert collection.images(2).images.shape == (2, 3, 8, 8)
    assert collection.images(2, size=16).images.shape == (2, 3, 16, 16)
    held_out = collection.held_out()
    assert (held_out.split, held_out.labels.tolist(), held_out.images.shape[2:]) == ("test", [1], (8, 8))


def test_a_folder_without_train_has_a_first_split(tmp_path, save_image):
    for name in ("test/a.png", "test/b.png", "val/c.png"):
        save_image(tmp_path / name)
    collection = Collection("folder", str(tmp_path))
    assert (collection.images().split, collection.held_out().split) == ("test", "val")


def test_a_folder_without_splits_holds_nothing_out(tmp_path, save_image):
    for name in ("a.png", "b.png"):
        save_image(tmp_path / name)
    assert Collection("folder", str(tmp_path)).held_out() is None


def test_damaged_images_are_left_out_on_request(photos):
    (Path(photos) / "train/cat/e.png").write_text("no image")
    with pytest.raises(InputError, match=r"e\.png"):
        Collection("folder", photos).images()
    with pytest.warns(UserWarning, match=r"e\.png"):
        assert len(Collection("folder", photos, damaged="skip").images()) == 3


def test_one_image_is_too_few(tmp_path, save_image):
    save_image(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"^folder is .*, but it must hold 2 readable images or more"):
        Collection("folder", str(tmp_path)).images()


def test_a_folder_goes_with_the_set_folder():
    with pytest.raises(InputError, match="folder is '', but it must be a directory"):
        Collection("folder")
    with pytest.raises(InputError, match="folder is 'x', but dataset is 'cifar10': give the dataset 'folder'"):
        Collection("cifar10", "x")
