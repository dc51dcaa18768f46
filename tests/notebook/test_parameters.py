"""The parameters of a notebook: validated, and every wrong one named."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from influence_lib.errors import InputError
from influence_lib.notebook import Parameters


class Settings(Parameters):
    dataset: Literal["controlled", "cifar10"]
    epochs: Annotated[int, Field(ge=1)]
    rate: float = 0.5
    damping: float | Literal["auto"] = "auto"
    classes: list[int] | None = None
    pairs: int | None = None
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
        ({"pairs": False}, "pairs is False, but it must be a number."),
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
