"""Figures of the chapter on the training methods: views, what a loss pulls at, curves."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from torch import Tensor

from influence_lib.errors import reject
from influence_lib.figures.style import COLOURS, WIDTH, check_some
from influence_lib.pretrain.collapse import MIN_RANK, MIN_SPREAD

__all__ = ["augmented_views", "collapse_monitors", "loss_curves", "loss_directions"]

Array = npt.NDArray[np.float64]
History = Sequence[Mapping[str, float]]
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))
COLUMNS = 4


def augmented_views(originals: Tensor, views: Tensor) -> Figure:
    """Return images, one a row, each with its views to the right.

    Parameters
    ----------
    originals : Tensor
        N×3×H×W, pixels in [0, 1].
    views : Tensor
        N×V×3×H×W, pixels in [0, 1].

    Raises
    ------
    InputError
        If there are no images, or the two are of different numbers of them.
    """
    check_some("originals", originals)
    if len(views) != len(originals):
        reject("the number of images in views", len(views), f"{len(originals)}, as in originals")
    rows, columns = len(views), views.shape[1] + 1
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, WIDTH * rows / columns + 0.3), squeeze=False)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - 0.3 / figure.get_figheight(), wspace=0.06, hspace=0.06)
    for axis in axes.flat:
        axis.axis("off")
    for i in range(rows):
        axes[i, 0].imshow(originals[i].permute(1, 2, 0).numpy(), interpolation="nearest")
        for j in range(columns - 1):
            axes[i, j + 1].imshow(views[i, j].permute(1, 2, 0).numpy(), interpolation="nearest")
    axes[0, 0].set_title("image", fontsize=9, fontweight="bold")
    axes[0, 1].set_title("views", fontsize=9, fontweight="bold")
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
    """
    check_some("panels", panels)
    rows = -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(WIDTH, WIDTH / COLUMNS * rows + 0.3 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (title, (points, directions)) in zip(axes.flat, panels.items(), strict=False):
        scale = 0.7 / np.linalg.norm(directions, axis=2).max()
        for image, colour in enumerate(np.resize(np.array(COLOURS[:-1]), points.shape[1])):
            axis.plot(*points[:, image].T, color=colour, linewidth=0.8, alpha=0.6)
            for marker, view in zip(("o", "s"), (0, 1), strict=True):
                (x, y), (dx, dy) = points[view, image], directions[view, image] * scale
                axis.plot(x, y, marker, markersize=4, color=colour)
                axis.annotate("", (x + dx, y + dy), (x, y), arrowprops={"arrowstyle": "->", "color": colour})
        limit = 1.15 * max(np.abs(points).max(), np.abs(points + directions * scale).max())
        axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
        axis.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
        axis.set_title(title, fontsize=9)
    return figure


def loss_curves(histories: Mapping[str, History]) -> Figure:
    """Return the training loss over the epochs, one panel a run, each on its own scale.

    Raises
    ------
    InputError
        If there are no runs.
    """
    check_some("histories", histories)
    rows = -(-len(histories) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(WIDTH, 1.8 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[len(histories) :]:
        axis.axis("off")
    for axis, (name, history) in zip(axes.flat, histories.items(), strict=False):
        epochs, losses = ([entry[key] for entry in history] for key in ("epoch", "loss"))
        axis.plot(epochs, losses, color=COLOURS[0], marker=".", markersize=3)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("training loss", fontsize=9)
    return figure


def collapse_monitors(histories: Mapping[str, History]) -> Figure:
    """Return the spread and the effective rank of the representations over the epochs, all runs together.

    The dashed lines are the limits below which `pretrain.has_collapsed`.

    Raises
    ------
    InputError
        If there are no runs, or more than there are line styles.
    """
    check_some("histories", histories, most=len(STYLES))
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), layout="constrained")
    panels = (("spread", "spread", MIN_SPREAD), ("effective_rank", "effective rank", MIN_RANK))
    for axis, (key, label, limit) in zip(axes, panels, strict=True):
        for (name, history), colour, style in zip(histories.items(), COLOURS, STYLES, strict=False):
            epochs, values = [h["epoch"] for h in history], [h[key] for h in history]
            axis.plot(epochs, values, color=colour, linestyle=style, label=name, marker="." if len(epochs) == 1 else "")
        axis.axhline(limit, color="0.4", linestyle="--", linewidth=1, label="collapsed below")
        axis.set(xlabel="epoch", ylabel=label, ylim=(0, None))
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, ncols=COLUMNS, loc="outside upper center")
    return figure
