"""What all figures share."""

from collections.abc import Sized
from typing import cast

import numpy as np

from influence_lib.errors import InputError, reject
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable

__all__ = ["COLOURS", "WIDTH", "check_some", "logarithms"]

# Okabe and Ito's colours, which stay apart for every common kind of colour blindness
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
WIDTH = 8.0  # inches


def check_some(name: str, items: object, most: int | None = None) -> None:
    """Refuse what has nothing to draw in it, or more than there are colours or marks for.

    Raises
    ------
    InputError
        If it is empty, no mapping or sequence, or too long.
    """
    if not hasattr(items, "__len__") or isinstance(items, str):
        reject(name, items, "a mapping or a sequence")
    number = len(cast(Sized, items))
    if number == 0 or (most is not None and number > most):
        reject(f"the number of entries of {name}", number, "1 or more" if most is None else f"from 1 to {most}")


def logarithms(name: str, scores: Scores) -> np.ndarray:
    """Return the natural logarithms of scores.

    Raises
    ------
    InputError
        If a score is not positive or not finite.
    """
    check_comparable(scores, scores)
    values = scores.values.numpy()
    if len(values) == 0 or not (values > 0).all():
        raise InputError(f"scores {name!r} are not all above 0, but a logarithm needs that.")
    return np.log(values)
