"""What all figures share: sizes, colours, marks, grids of panels, legends, and the words for how many."""

from collections.abc import Iterable, Sized
from dataclasses import dataclass
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from influence_lib.errors import InputError, reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable

__all__ = [
    "COLOURS",
    "LABEL",
    "MANY",
    "SMALL",
    "WIDTH",
    "Look",
    "amount",
    "check_some",
    "grid",
    "legend_above",
    "logarithms",
    "looks",
    "over",
]

# Okabe and Ito's colours, which stay apart for every common kind of colour blindness
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ("o", "s", "^", "D", "v", "P", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
HATCHES = ("", "//", "..", r"\\", "xx")
APART = (
    30  # 6 colours, 7 markers and 5 lines: no two of 30 have a colour and a marker, or a colour and a line, in common
)
WIDTH = 6.5  # inches: letters of 9 points have 7 pixels on a page 400 pixels wide
LABEL, SMALL = 10, 9  # points
MANY = 500  # marks, above which a picture of them is lighter than their outlines
LINE = 90  # small letters in a line


@dataclass(frozen=True)
class Look:
    """How one of several things is drawn: neighbours differ in all four, for who sees no colours."""

    colour: str
    marker: str
    line: Any
    hatch: str


def check_some(name: str, items: object, most: int | None = None) -> None:
    """Refuse what has nothing to draw in it, or more than can be told apart.

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


def looks(name: str, items: Sized) -> list[Look]:
    """Return a look for each of several things in one picture.

    Raises
    ------
    InputError
        If there are none, or more than can be told apart.
    """
    check_some(name, items, APART)
    cycles = COLOURS[:-1], MARKERS, LINES, HATCHES  # black is for references
    return [Look(*(cycle[i % len(cycle)] for cycle in cycles)) for i in range(len(items))]  # type: ignore[arg-type]


def grid(number: int, height: float, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure with a grid of panels; the rest of its last row stays empty.

    Parameters
    ----------
    number : int
        Of panels.
    height : float
        Of a row, in inches.
    columns : int
        In a row, at most.
    **options
        Of ``plt.subplots``.
    """
    columns = min(number, columns)
    rows = -(-number // columns)
    options = {"layout": "constrained"} | options
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, rows * height), squeeze=False, **options)
    for axis in axes.flat[number:]:
        axis.axis("off")
    for axis in axes.flat[max(0, number - columns) : number]:
        axis.tick_params(labelbottom=True)  # the lowest of its column, which shared axes look for in the last row
    return figure, list(axes.flat[:number])


def legend_above(figure: Figure, axis: Axes) -> None:
    """Write above all panels what the marks of one mean, in as many columns as there is room for."""
    handles, names = axis.get_legend_handles_labels()
    columns = max(1, min(len(names), LINE // (max(map(len, names)) + 8)))
    figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(names) // columns))
    figure.legend(handles, names, fontsize=SMALL, ncols=columns, loc="outside upper center")


def amount(counts: Iterable[int], unit: str = "image") -> str:
    """Return how many there are.

    Examples
    --------
    >>> amount([1000, 1000])
    '1,000 images'
    >>> amount([50, 20], "query")
    '20 to 50 queries'
    """
    several = sorted(set(counts))
    plural = unit[:-1] + "ies" if unit.endswith("y") else unit + "s"
    ends = several if len(several) == 1 else (several[0], several[-1])
    return f"{' to '.join(f'{count:,}' for count in ends)} {unit if several == [1] else plural}"


def over(estimates: Iterable[Estimate]) -> str:
    """Return what the intervals of some estimates are over, nothing where none has one.

    Examples
    --------
    >>> over([Estimate(0.5, 0.4, 0.6, 1000), Estimate.stated(0.96)])
    '95 % intervals over 1,000 images'
    """
    counts: dict[str, list[int]] = {}
    for estimate in estimates:
        if estimate.n is not None:
            counts.setdefault(estimate.unit, []).append(estimate.n)
    units = " or ".join(amount(found, unit) for unit, found in counts.items())
    return f"95 % intervals over {units}" if units else ""


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
