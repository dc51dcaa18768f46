"""The parameters of a notebook: validated, and every wrong one named."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import Field, ValidationError, model_validator

from influence_lib import data, store
from influence_lib.errors import InputError
from influence_lib.influence import Scores
from influence_lib.notebook import ImageParameters, Parameters, files_shown, write_scores


class Settings(Parameters):
    dataset: Literal["controlled", "cifar10"]
    epochs: Annotated[int, Field(ge=1)]
    rate: float = 0.5
    damping: float | Literal["auto"] = "auto"
    classes: list[int] | None = None
    folder: Path | None = None
    flip: bool = False

    @model_validator(mode="after")
    def _folder_goes_with_dataset(self) -> Self:
        if self.folder is not None and self.dataset == "cifar10":
            raise ValueError("folder is for other data sets than cifar10")
        return self


GOOD = {"dataset": "controlled", "epochs": 3, "rate": 1, "In": [""], "unrelated": object()}


def test_declared_names_are_picked_and_validated() -> None:
    settings = Settings.check(GOOD | {"folder": "images", "classes": [1, 2]})
    assert settings == Settings(dataset="controlled", epochs=3, rate=1.0, folder=Path("images"), classes=[1, 2])
    assert isinstance(settings.rate, float)
    with pytest.raises(ValidationError):
        settings.epochs = 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epochs": 0}, "epochs is 0, but it must be greater than or equal to 1."),
        ({"epochs": True}, "epochs is True, but it must be a number."),
        ({"dataset": "mnist"}, "dataset is 'mnist', but it must be 'controlled' or 'cifar10'."),
        (
            {"damping": "high"},
            "damping is 'high', but it must be a valid number, unable to parse string as a number, or 'auto'.",
        ),
        (
            {"classes": [1, "x"]},
            "classes[1] is 'x', but it must be a valid integer, unable to parse string as an integer.",
        ),
        ({"flip": 7}, "flip is 7, but it must be a valid boolean, unable to interpret input."),
    ],
)
def test_a_wrong_value_is_one_sentence_that_says_what_is_allowed(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        Settings.check(GOOD | given)
    assert str(error.value) == said


def test_every_wrong_value_has_its_sentence() -> None:
    with pytest.raises(InputError, match=r"^dataset is 'x', .*\. epochs is -1, .*\.$"):
        Settings.check(GOOD | {"dataset": "x", "epochs": -1})


def test_a_wrong_combination_says_why() -> None:
    with pytest.raises(InputError, match=r"^folder is for other data sets than cifar10\.$"):
        Settings.check(GOOD | {"dataset": "cifar10", "folder": "x"})


def test_a_parameter_that_the_notebook_forgot() -> None:
    with pytest.raises(InputError, match=r"^epochs is not set, but it must be\.$"):
        Settings.check({"dataset": "controlled"})


def test_a_name_that_papermill_injected_and_nobody_declared_is_refused() -> None:
    cells = ["epochs: int = 3", "# Parameters\nepochs = 4\nepoch = 5\n", "helper = 1"]
    with pytest.raises(InputError, match=r"^epoch is no parameter of this notebook; it has dataset, epochs"):
        Settings.check(GOOD | {"In": cells, "epoch": 5})
    cells[1] = "# Parameters\nepochs = 4\n"
    assert Settings.check(GOOD | {"In": cells, "epochs": 4}).epochs == 4


def test_undeclared_fields_are_refused_by_the_model_itself() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Settings.model_validate({"dataset": "controlled", "epochs": 1, "epoch": 2})


class WithImages(ImageParameters):
    dataset: Literal["controlled", "fairface", "folder"]


PHOTOS = {"dataset": "controlled", "folder": "", "size": 8, "damaged": "error", "seed": 0}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with three images of two classes and different sizes."""
    for shade, name in enumerate(("cat/a.png", "cat/b.jpg", "dog/c.bmp")):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9 + shade, 12), (60 * shade,) * 3).save(file)
    return tmp_path / "photos"


def test_a_chapter_takes_all_images_of_a_folder(photos: Path) -> None:
    settings = WithImages.check(PHOTOS | {"dataset": "folder", "folder": str(photos)})
    images = settings.images(None)
    assert images.images.shape == (3, 3, 8, 8)
    assert images.layout is not None
    assert str(images.layout) == "2 classes, 3 images, split train"
    assert settings.images(2).labels.tolist() == [0, 1]


def test_a_chapter_takes_as_many_images_of_a_folder_as_there_are(photos: Path) -> None:
    settings = WithImages.check(PHOTOS | {"dataset": "folder", "folder": str(photos)})
    one, two, all_of_them = (settings.some_images(n).ids.tolist() for n in (1, 2, 100))
    assert set(one) < set(two) < set(all_of_them) == {0, 1, 2}
    assert settings.some_images(2, size=16).images.shape == (2, 3, 16, 16)


def test_a_chapter_takes_other_sets_as_before() -> None:
    settings = WithImages.check(PHOTOS)
    expected = data.load("controlled", n=20).fingerprint
    assert settings.images(20).fingerprint == settings.some_images(20).fingerprint == expected
    assert settings.some_images(20, size=16).images.shape[2:] == (16, 16)


def test_a_folder_without_train_has_a_first_split(tmp_path: Path) -> None:
    for name in ("test/a.png", "test/b.png", "val/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    settings = WithImages.check(PHOTOS | {"dataset": "folder", "folder": str(tmp_path)})
    assert (settings.images(None).split, len(settings.images(None, split="val"))) == ("test", 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dataset": "folder"}, "folder is '', but it must be a directory of images."),
        ({"dataset": "folder", "folder": "/nowhere"}, "folder is '/nowhere', but it must be a directory of images."),
        ({"dataset": "folder", "folder": __file__}, f"folder is {__file__!r}, but it must be a directory of images."),
        ({"folder": "x"}, "folder is 'x', but dataset is 'controlled': give the dataset 'folder'."),
        ({"damaged": "ignore"}, "damaged is 'ignore', but it must be 'error' or 'skip'."),
    ],
)
def test_a_folder_that_is_none_is_named_as_the_parameter(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        WithImages.check(PHOTOS | given)
    assert str(error.value) == said


def test_one_image_is_too_few(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    settings = WithImages.check(PHOTOS | {"dataset": "folder", "folder": str(tmp_path)})
    with pytest.raises(
        InputError, match=r"^folder is .*, but it must hold 2 readable images or more: no classes, 1 image"
    ):
        settings.images(None)


def test_shown_files_are_named_and_scores_are_written(photos: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(store, "repository", lambda: tmp_path)
    images = WithImages.check(PHOTOS | {"dataset": "folder", "folder": str(photos)}).images(None)
    shown = files_shown(images, {"first": torch.tensor([2, 0]), "second": torch.tensor([1])})
    assert shown.to_dict("list") == {"first": ["dog/c.bmp", "cat/a.png"], "second": ["cat/b.jpg", ""]}
    by_draw = torch.tensor([[1.0, 5.0, 3.0], [1.0, 7.0, 3.0]])
    scores = {name: Scores(by_draw * sign, images.ids, {}) for name, sign in (("EK-FAC", 1), ("raw loss", -1))}
    table = pd.read_csv(write_scores(images, scores))
    assert table["path"].tolist() == [str(photos / name) for name in ("cat/b.jpg", "dog/c.bmp", "cat/a.png")]
    assert table["class"].tolist() == ["cat", "dog", "cat"]
    assert table["EK-FAC"].tolist() == [6, 3, 1]
    assert table["raw loss"].tolist() == [-6, -3, -1]
