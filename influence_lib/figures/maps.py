"""Points in a plane: scores against scores, where losses push pairs of points, and where images are drawn."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from influence_lib.errors import reject
from influence_lib.figures.style import COLOURS, LABEL, MANY, WIDTH, amount, check_some, grid, looks
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable, percentiles

__all__ = ["layout_panels", "loss_directions", "score_against", "two_trainings"]

Array = npt.NDArray[np.float64]
COLUMNS = 3
SIDE = WIDTH / COLUMNS
OTHERS = "0.8"  # the grey of what does not stand out


def score_against(score: tuple[str, Scores], others: Mapping[str, Scores]) -> Figure:
    """Return scatter plots of the ranks of one score against those of others, one panel each.

    Parameters
    ----------
    score : (str, Scores)
        Name and values of the score on the vertical axis.
    others : mapping of str to Scores
        Name → score on a horizontal axis.

    Raises
    ------
    InputError
        If there are no others, or the scores are of different images.

    Examples
    --------
    >>> score_against(("EK-FAC", scores), {"raw loss": loss})
    """
    name, base = score
    check_some("others", others)
    for other in others.values():
        check_comparable(base, other)
    figure, axes = grid(len(others), SIDE + 0.2, COLUMNS, sharex=True, sharey=True)
    for axis, (other_name, other) in zip(axes, others.items(), strict=True):
        _draw_percentiles(axis, other, base)
        axis.set_title(other_name, fontsize=LABEL)
    figure.supxlabel(f"percentile among {amount([len(base)])}", fontsize=LABEL)
    figure.supylabel(f"percentile, {name}", fontsize=LABEL)
    return figure


def two_trainings(pairs: Mapping[str, tuple[Scores, Scores]]) -> Figure:
    """Return the percentile of every image by an encoder against that by another, one panel a pair of encoders.

    Raises
    ------
    InputError
        If there are no pairs, or the scores of a pair are of different images.

    Examples
    --------
    >>> two_trainings({"SimCLR": (scores, loss)})  # of two trainings, as a rule
    """
    check_some("pairs", pairs)
    for pair in pairs.values():
        check_comparable(*pair)
    figure, axes = grid(len(pairs), SIDE + 0.2, COLUMNS, sharex=True, sharey=True)
    for axis, (name, pair) in zip(axes, pairs.items(), strict=True):
        _draw_percentiles(axis, *pair)
        axis.set_title(name, fontsize=LABEL)
    counted = amount(len(first) for first, _ in pairs.values())
    figure.supxlabel(f"percentile among {counted}, first training", fontsize=LABEL)
    figure.supylabel("percentile, second training", fontsize=LABEL)
    return figure


def _draw_percentiles(axis: Axes, *scores: Scores) -> None:
    x, y = map(percentiles, scores)
    axis.scatter(x, y, s=4, alpha=0.4, color=COLOURS[0], linewidths=0, rasterized=len(x) > MANY)
    ticks = (25, 50, 75)  # those at the ends would run into the next panel's
    axis.set(xlim=(0, 100), ylim=(0, 100), xticks=ticks, yticks=ticks, aspect="equal")


def layout_panels(places: Array, sets: Mapping[str, Sequence[int] | npt.NDArray[np.int64]]) -> Figure:
    """Return one layout of images in a panel for each of some sets, which stands out among all others.

    Parameters
    ----------
    places : array
        N×2, where each image lies in the plane.
    sets : mapping of str to sequence of int
        Title → positions of images.

    Raises
    ------
    InputError
        If there are no sets, places are no points in the plane, or a position is outside them.

    Examples
    --------
    >>> layout_panels(np.random.default_rng(0).normal(size=(60, 2)), {"highest": scores.highest(5).numpy()})
    """
    check_some("sets", sets)
    if np.ndim(places) != 2 or np.shape(places)[1] != 2:
        reject("the shape of places", np.shape(places), "(N, 2)")
    figure, axes = grid(len(sets), SIDE + 0.2, COLUMNS, sharex=True, sharey=True)
    for axis, (name, chosen) in zip(axes, sets.items(), strict=True):
        positions = np.asarray(chosen, dtype=np.int64)
        if len(positions) and not 0 <= positions.min() <= positions.max() < len(places):
            reject(f"a position of sets[{name!r}]", int(positions.max()), f"from 0 to {len(places) - 1}")
        many = len(places) > MANY
        axis.scatter(places[:, 0], places[:, 1], s=3, color=OTHERS, linewidths=0, rasterized=many)
        axis.scatter(places[positions, 0], places[positions, 1], s=7, color=COLOURS[0], linewidths=0, rasterized=many)
        axis.set_title(f"{name} ({amount([len(positions)])})", fontsize=LABEL)
        axis.set(xticks=[], yticks=[])
    return figure


def loss_directions(panels: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Return one panel a method: pairs of points in the plane, and where the loss pushes each.

    Parameters
    ----------
    panels : mapping of str to (array, array)
        Title → points and directions, both 2×B×2: view, image, coordinate. Directions are drawn to one length a panel,
        that of the longest.

    Raises
    ------
    InputError
        If there are no panels.

    Examples
    --------
    >>> points = np.array([[[0.0, 0], [1, 1]], [[0, 1], [1, 0]]])
    >>> loss_directions({"to the middle": (points, points.mean(axis=(0, 1)) - points)})
    """
    check_some("panels", panels)
    figure, axes = grid(len(panels), WIDTH / 4 + 0.3, 4)
    for axis, (title, (points, directions)) in zip(axes, panels.items(), strict=True):
        arrows = directions * 0.7 / (np.linalg.norm(directions, axis=2).max() or 1.0)  # a loss may not push at all
        for image, look in enumerate(looks("the points", points[0])):
            axis.plot(*points[:, image].T, color=look.colour, linewidth=0.8, alpha=0.6)
            for marker, (x, y), (dx, dy) in zip("os", points[:, image], arrows[:, image], strict=True):
                axis.plot(x, y, marker, markersize=4, color=look.colour)
                axis.annotate("", (x + dx, y + dy), (x, y), arrowprops={"arrowstyle": "->", "color": look.colour})
        limit = 1.15 * max(np.abs(points).max(), np.abs(points + arrows).max())
        axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
        axis.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
        axis.set_title(title, fontsize=LABEL)
    return figure
