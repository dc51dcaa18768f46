"""The parameters of a notebook, checked."""

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, get_args

from influence_lib.errors import InputError
from influence_lib.optional import needed

with needed("A notebook", "run `pip install pydantic`"):
    from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

__all__ = ["Parameters", "sentences"]

PREFIX = "Input should be "
INJECTED = "# Parameters\n"  # the comment with which papermill opens the cell that it injects


class Parameters(BaseModel):
    """Base of a notebook's settings: immutable, and without any name that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _number_is_no_bool(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is meant, which pydantic would take for 1 and 0."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        allowed = {annotation, *get_args(annotation)}
        if isinstance(value, bool) and allowed & {int, float} and bool not in allowed:
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
