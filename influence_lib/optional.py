"""Packages that not every part of the library needs."""

from collections.abc import Iterator
from contextlib import contextmanager

from influence_lib.errors import InputError

__all__ = ["needed"]


@contextmanager
def needed(what: str, remedy: str) -> Iterator[None]:
    """Import optional packages in the body; a missing one is said in one sentence.

    Parameters
    ----------
    what : str
        What needs them, which begins the sentence.
    remedy : str
        What to do, which ends the sentence.

    Raises
    ------
    InputError
        If one is not installed.

    Examples
    --------
    >>> with needed("The magic", "run `pip install …`"):
    ...     import no_such_package
    Traceback (most recent call last):
    influence_lib.errors.InputError: The magic needs no_such_package, which is not installed: run `pip install …`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise InputError(f"{what} needs {package}, which is not installed: {remedy}.") from None
