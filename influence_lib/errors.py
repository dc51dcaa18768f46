"""Errors that a user can act on."""

from collections.abc import Collection
from typing import NoReturn

__all__ = ["InputError", "reject"]


class InputError(ValueError):
    """A wrong input, said in one sentence: the name of the parameter, its value and what is allowed.

    Notebooks and the command line show the sentence alone, without a traceback.
    """

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


def reject(name: str, value: object, allowed: str | Collection[object]) -> NoReturn:
    """Raise an `InputError` that names the parameter, its value and what is allowed.

    Parameters
    ----------
    name : str
        The parameter as the user wrote it.
    value : object
        What the user gave.
    allowed : str or collection
        A phrase that completes "it must be …", or the allowed values.

    Raises
    ------
    InputError
        Always.
    """
    if not isinstance(allowed, str):
        allowed = "one of " + ", ".join(repr(a) for a in allowed)
    raise InputError(f"{name} is {value!r}, but it must be {allowed}.")
