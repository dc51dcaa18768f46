"""The parameters of a notebook, checked."""

import ast
from collections.abc import Iterable, Mapping
from typing import Any, Self, get_args

from influence_lib.errors import InputError, sentences
from influence_lib.optional import needed

with needed("A notebook", "run `pip install pydantic`"):
    from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

__all__ = ["Parameters"]

INJECTED = "# Parameters\n"  # the comment with which papermill opens the cell that it injects


class Parameters(BaseModel):
    """Base of a notebook's settings: immutable, and without any name that is not declared.

    Examples
    --------
    >>> class Settings(Parameters):
    ...     epochs: int
    >>> Settings.check({"epochs": 5, "anything": "else"}).epochs
    5
    >>> Settings.check({"epochs": None})
    Traceback (most recent call last):
    influence_lib.errors.InputError: epochs is None, but it must be a valid integer.
    """

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
