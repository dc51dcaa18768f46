"""What the second cell of every notebook uses: the parameters, checked.

The first cell, tagged ``parameters``, is plain assignments that papermill can override. The second one
declares what is allowed and stops the notebook with one sentence for each wrong value::

    class Settings(Parameters):
        dataset: Literal["controlled", "cifar10"]
        epochs: int = Field(ge=1)

    settings = Settings.check(globals())
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from influence_lib.errors import InputError
from influence_lib.optional import needed

with needed("A notebook", "run `pip install pydantic`"):
    from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

if TYPE_CHECKING:
    import pandas as pd

    from influence_lib.data import ImageSet
    from influence_lib.influence import Scores

__all__ = ["ImageParameters", "Parameters", "files_shown", "listed", "sentences", "write_scores"]

PREFIX = "Input should be "
INJECTED = "# Parameters\n"  # the comment with which papermill opens the cell that it injects


def listed(text: str) -> list[str]:
    """Return the parts of a parameter that lists them between commas, without the blanks around them."""
    return [part.strip() for part in text.split(",") if part.strip()]


class Parameters(BaseModel):
    """Base of a notebook's settings: immutable, and without any name that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _number_is_no_bool(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is meant, which pydantic would take for 1 and 0."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and annotation in (int, float):
            raise ValueError("must be a number")
        return value

    @classmethod
    def check(cls, namespace: Mapping[str, Any]) -> Self:
        """Validate the parameters of a notebook.

        Parameters
        ----------
        namespace : mapping
            The notebook's ``globals()``. Each declared field is picked from it by name.

        Returns
        -------
        Self
            The validated settings, immutable.

        Raises
        ------
        InputError
            One sentence for each wrong value, naming the parameter, the value and what is allowed; also for a
            name that papermill injected and that is not a parameter (papermill itself only warns).
        """
        unknown = sorted(_injected(namespace.get("In", ())) - cls.model_fields.keys())
        if unknown:
            known = ", ".join(cls.model_fields)
            raise InputError(" ".join(f"{name} is no parameter of this notebook; it has {known}." for name in unknown))
        given = {name: namespace[name] for name in cls.model_fields if name in namespace}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InputError(sentences(error)) from None


class ImageParameters(Parameters):
    """Base of the settings of a chapter that also takes a folder of the reader's own images.

    A chapter narrows ``dataset`` to what it takes; ``folder`` is for the data set ``"folder"`` and nothing else.
    """

    dataset: str
    folder: str
    size: int = Field(ge=8, le=224)
    damaged: Literal["error", "skip"]
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _folder_goes_with_dataset(self) -> Self:
        if self.dataset != "folder" and self.folder:
            raise ValueError(f"folder is {self.folder!r}, but dataset is {self.dataset!r}: give the dataset 'folder'")
        if self.dataset == "folder" and not (self.folder and Path(self.folder).expanduser().is_dir()):
            raise ValueError(f"folder is {self.folder!r}, but it must be a directory of images")
        return self

    def images(self, n: int | None, split: str | None = None) -> "ImageSet":
        """Return images of the data set, of a folder or of FairFace resized to ``size``.

        Parameters
        ----------
        n : int or None
            How many, balanced over the classes; None for all, whatever the sizes of the classes.
        split : str, optional
            By default train; of a folder without that, its first split.

        Raises
        ------
        InputError
            If the folder holds fewer than two images, or `data.load` refuses it.
        """
        # imported here because it is slow to import and the ledger needs only `sentences`
        from influence_lib import data

        size = self.size if self.dataset in ("folder", "fairface") else None
        if self.dataset != "folder":
            return data.load(self.dataset, split=split or "train", n=n, seed=self.seed, size=size)
        first = split is None
        split = split or data.layout(self.folder).split
        root, damaged = self.folder, self.damaged
        found = data.load("folder", split=split, root=root, n=n, seed=self.seed, size=size, damaged=damaged)
        if first and len(found) < 2:
            raise InputError(f"folder is {self.folder!r}, but it must hold 2 readable images or more: {found.layout}.")
        return found

    def some_images(self, n: int, size: int | None = None) -> "ImageSet":
        """Return ``n`` images, balanced over the classes, or of a folder as many at most, whatever their classes.

        Parameters
        ----------
        n : int
            How many. A smaller number gives a part of a larger one's.
        size : int, optional
            Resize to this in place of ``size``.
        """
        from influence_lib import data
        from influence_lib.data.subset import shuffled

        if self.dataset != "folder":
            return data.load(self.dataset, n=n, seed=self.seed, size=size)
        everything = self.model_copy(update={"size": size or self.size}).images(None)
        chosen = shuffled(everything.ids.tolist(), f"{self.seed}:some")[:n]
        return everything.subset(sorted(chosen.tolist()))


def files_shown(images: "ImageSet", rows: Mapping[str, Any]) -> "pd.DataFrame":
    """Return the files of images of a folder, one column for each row of a figure, in the order of the figure.

    Parameters
    ----------
    images : ImageSet
        Of a folder.
    rows : mapping of str to Tensor
        What `figures.image_rows` takes: title → positions in `images`.
    """
    import pandas as pd

    files = images.attributes["file"].to_numpy()
    return pd.DataFrame({title: pd.Series(files[positions.numpy()]) for title, positions in rows.items()}).fillna("")


def write_scores(images: "ImageSet", scores: Mapping[str, "Scores"]) -> Path:
    """Write the paths of images of a folder with their scores as a CSV under ``artifacts/``, and return its path.

    Parameters
    ----------
    images : ImageSet
        Of a folder.
    scores : mapping of str to Scores
        Name → scores of these images, averaged over the draws. The rows are sorted by the first, the highest on top.
    """
    import pandas as pd

    from influence_lib import store

    classes = [images.class_names[label] if label >= 0 else "" for label in images.labels.tolist()]
    values = {name: score.values.tolist() for name, score in scores.items()}
    table = pd.DataFrame({"path": images.attributes["path"], "class": classes, **values})
    file = store.repository() / "artifacts" / f"scores-{images.fingerprint}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    table.sort_values(next(iter(scores)), ascending=False, kind="stable").to_csv(file, index=False)
    return file


def _injected(cells: Iterable[str]) -> set[str]:
    """Return the names that papermill assigned, from IPython's record of the cells run so far."""
    statements = [node for cell in cells if cell.startswith(INJECTED) for node in ast.parse(cell).body]
    targets = [target for node in statements if isinstance(node, ast.Assign) for target in node.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _parameter_name(where: tuple[int | str, ...]) -> str:
    """Return the parameter and the index into it; what else pydantic lists are branches of a union."""
    return str(where[0]) + "".join(f"[{part}]" for part in where[1:] if isinstance(part, int))


def sentences(error: ValidationError, name: Callable[[tuple[int | str, ...]], str] = _parameter_name) -> str:
    """Return one sentence for each wrong value; the branches of a union are alternatives in one sentence.

    Parameters
    ----------
    error : pydantic.ValidationError
        What pydantic found.
    name : callable
        Turns pydantic's location of a value into what the user calls it.
    """
    wrong: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    said = []
    for problem in error.errors():
        message = problem["msg"].removeprefix("Value error, ").rstrip(".")
        if problem["type"] == "value_error" and isinstance(problem["input"], Mapping):
            said.append(f"{message}.")  # about several values at once, which the message names
        elif problem["type"] == "missing":
            said.append(f"{name(problem['loc'])} is not set, but it must be.")
        else:
            wrong.setdefault(name(problem["loc"]), []).append(message)
            values[name(problem["loc"])] = problem["input"]
    return " ".join([*(_sentence(where, values[where], messages) for where, messages in wrong.items()), *said])


def _sentence(name: str, value: Any, messages: list[str]) -> str:
    if all(message.startswith(PREFIX) for message in messages):
        return f"{name} is {value!r}, but it must be {', or '.join(m.removeprefix(PREFIX) for m in messages)}."
    said = ", or ".join(messages)
    return f"{name} is {value!r}, but it {said}." if said.startswith("must ") else f"{name} is {value!r}: {said}."
