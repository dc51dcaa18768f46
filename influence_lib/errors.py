"""Errors that a user can act on."""

import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn, SupportsFloat, SupportsIndex, TypeVar, cast

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["InputError", "check_choice", "check_integer", "check_number", "check_strings", "reject", "sentences"]

Choice = TypeVar("Choice")
PYDANTIC = "Input should be "  # how its messages begin


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

    Examples
    --------
    >>> reject("draws", 0, "1 or more")
    Traceback (most recent call last):
    influence_lib.errors.InputError: draws is 0, but it must be 1 or more.
    """
    if not isinstance(allowed, str):
        allowed = "one of " + ", ".join(repr(a) for a in allowed)
    raise InputError(f"{name} is {value!r}, but it must be {allowed}.")


def check_integer(name: str, value: object, least: int = 1, most: int | None = None, allowed: str = "") -> int:
    """Return a whole number as an int; NumPy's and torch's integers are integers, true and false are not.

    Parameters
    ----------
    name : str
        The parameter as the user wrote it.
    value : object
        What the user gave.
    least, most : int
        The range, both ends included; None is no upper end.
    allowed : str, optional
        A phrase that completes "it must be …" in place of the range.

    Raises
    ------
    InputError
        If it is none, or outside the range.

    Examples
    --------
    >>> check_integer("draws", 2)
    2
    """
    if not allowed:
        below = f"a whole number, {least} or more" if least != 1 else "a whole number above 0"
        allowed = below if most is None else f"a whole number from {least} to {most}"
    try:
        number = operator.index(cast(SupportsIndex, value))
    except TypeError:
        reject(name, value, allowed)
    if isinstance(value, bool) or number < least or (most is not None and number > most):
        reject(name, value, allowed)
    return number


def check_number(
    name: str, value: object, least: float = -math.inf, most: float = math.inf, above: float = -math.inf
) -> float:
    """Return a finite number as a float; true, false and text are none.

    Parameters
    ----------
    name : str
        The parameter as the user wrote it.
    value : object
        What the user gave.
    least, most : float
        The range, both ends included.
    above : float
        A lower end that is not included.

    Raises
    ------
    InputError
        If it is none, not finite, or outside the range.

    Examples
    --------
    >>> check_number("noise_std", 0.2, above=0)
    0.2
    """
    limits = [
        f"{word} {limit:g}"
        for word, limit in (("at least", least), ("above", above), ("at most", most))
        if math.isfinite(limit)
    ]
    allowed = "a number" + (" " + " and ".join(limits) if limits else "")
    number_like = isinstance(value, Real) or (hasattr(value, "item") and getattr(value, "ndim", 1) == 0)
    if isinstance(value, bool) or not number_like:
        reject(name, value, allowed)
    number = float(cast(SupportsFloat, value))
    if not (math.isfinite(number) and least <= number <= most and number > above):
        reject(name, value, allowed)
    return number


def check_choice(name: str, value: object, allowed: Collection[Choice]) -> Choice:
    """Return a value that is one of those allowed.

    Raises
    ------
    InputError
        If it is none of them; values that cannot be compared, such as lists or arrays, are none.

    Examples
    --------
    >>> check_choice("views", "one", ["one", "two"])
    'one'
    """
    for choice in allowed:
        if type(value) is type(choice) and value == choice:
            return choice
    reject(name, value, allowed)


def check_strings(name: str, value: object, allowed: str) -> list[str]:
    """Return a list of strings that is not empty; a single string is none.

    Parameters
    ----------
    name : str
        The parameter as the user wrote it.
    value : object
        What the user gave.
    allowed : str
        A phrase that completes "it must be …".

    Raises
    ------
    InputError
        If it is no such list.

    Examples
    --------
    >>> check_strings("methods", ("simclr", "byol"), "a list of methods")
    ['simclr', 'byol']
    """
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        reject(name, value, allowed)
    if not all(isinstance(entry, str) for entry in value):
        reject(name, value, allowed)
    return list(value)


def _parameter_name(where: tuple[int | str, ...]) -> str:
    """Return the parameter and the index into it; what else pydantic lists are branches of a union."""
    return str(where[0]) + "".join(f"[{part}]" for part in where[1:] if isinstance(part, int))


def sentences(error: "ValidationError", name: Callable[[tuple[int | str, ...]], str] = _parameter_name) -> str:
    """Return one sentence for each wrong value; the branches of a union are alternatives in one sentence.

    Parameters
    ----------
    error : pydantic.ValidationError
        What pydantic found.
    name : callable
        Turns pydantic's location of a value into what the user calls it.

    Examples
    --------
    >>> try:
    ...     TypeAdapter(int).validate_python(None)
    ... except ValidationError as error:
    ...     sentences(error, lambda where: "epochs")
    'epochs is None, but it must be a valid integer.'
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
    if all(message.startswith(PYDANTIC) for message in messages):
        return f"{name} is {value!r}, but it must be {', or '.join(m.removeprefix(PYDANTIC) for m in messages)}."
    said = ", or ".join(messages)
    return f"{name} is {value!r}, but it {said}." if said.startswith("must ") else f"{name} is {value!r}: {said}."
