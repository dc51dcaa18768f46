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


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_an_unreadable_image_is_named(tmp_path, save_image, content):
    path = save_image(tmp_path / "bad.png", (60, 60))
    path.write_bytes(path.read_bytes()[:70] if content is None else content)
    with pytest.raises(InputError, match=r"bad.png is not a readable image"):
        data.load("folder", root=tmp_path)


def test_images_beside_subfolders_are_rejected(tmp_path, save_image):
    save_image(tmp_path / "cat/a.png")
    save_image(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"subfolders \(cat/a.png\) and beside them \(b.png\)"):
        data.load("folder", root=tmp_path)


def test_wrong_roots_are_rejected(tmp_path):
    with pytest.raises(InputError, match="holds no image"):
        data.load("folder", root=tmp_path)
    with pytest.raises(InputError, match=r"root is .*a directory of images"):
        data.load("folder", root=tmp_path / "nowhere")
    with pytest.raises(InputError, match="root is missing"):
        data.load("folder")
