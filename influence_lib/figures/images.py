"""Pictures of images: rows under titles, and the views of an image."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torchvision.utils import make_grid

from influence_lib.data import ImageSet
from influence_lib.errors import reject
from influence_lib.figures.style import LABEL, SMALL, WIDTH, check_some, grid

__all__ = ["augmented_views", "image_mosaics", "image_rows"]

TITLE = 0.5  # inches above a row of images
FRAME = "0.7"
DENSE = 200  # pixels in an inch above which an image is drawn with fewer


def image_rows(images: ImageSet, rows: Mapping[str, Tensor]) -> Figure:
    """Return rows of images, each under its class, with a title a row.

    Parameters
    ----------
    images : ImageSet
        Where the images come from.
    rows : mapping of str to Tensor
        Title → positions in `images`; the longest row sets the size of all images.

    Raises
    ------
    InputError
        If there are no rows, or a position is outside `images`, as one from scores of other images may be.

    Examples
    --------
    >>> image_rows(images, {"highest": scores.highest(5), "lowest": scores.lowest(5)})
    """
    _check_positions("rows", rows, len(images))
    columns = max(len(positions) for positions in rows.values())
    side = WIDTH / columns
    figure, axes = grid(len(rows) * columns, side + TITLE, columns, layout=None)
    top = 1 - TITLE / figure.get_figheight()
    figure.subplots_adjust(left=0, right=1, bottom=0, top=top, wspace=0.08, hspace=TITLE / side)
    for axis in axes:
        axis.axis("off")
    labels = {int(images.labels[p]) for positions in rows.values() for p in positions.tolist()}
    names = {label: images.class_names[label] for label in labels if label >= 0}
    size = _letters(list(names.values()), side)
    for (title, positions), row in zip(rows.items(), np.reshape(np.array(axes), (-1, columns)), strict=True):
        row[0].text(0, 1 + 0.26 / side, title, transform=row[0].transAxes, fontsize=LABEL, fontweight="bold")
        for axis, position in zip(row[: len(positions)], positions.tolist(), strict=True):
            _draw_image(axis, images.images[position], side)
            axis.set_title(names.get(int(images.labels[position]), ""), fontsize=size, pad=2)
    return figure


def image_mosaics(images: ImageSet, panels: Mapping[str, Tensor], columns: int = 2) -> Figure:
    """Return images packed into panels, row by row, without a word but the panel's title.

    Parameters
    ----------
    images : ImageSet
        Where the images come from.
    panels : mapping of str to Tensor
        Title → positions in `images`.
    columns : int
        Panels beside each other.

    Raises
    ------
    InputError
        If there are no panels, or a position is outside `images`.

    Examples
    --------
    >>> image_mosaics(images, {"highest": scores.highest(12), "lowest": scores.lowest(12)})
    """
    _check_positions("panels", panels, len(images))
    most = max(map(len, panels.values()))
    across = max(1, math.ceil(math.sqrt(1.5 * most)))
    width = WIDTH / min(columns, len(panels))
    figure, axes = grid(len(panels), width * -(-most // across) / across + TITLE, columns)
    for axis, (title, positions) in zip(axes, panels.items(), strict=True):
        axis.axis("off")
        packed = make_grid(images.images[positions], nrow=min(across, len(positions)), padding=1, pad_value=255)
        _draw_image(axis, packed, width)
        axis.set_title(title, fontsize=LABEL, fontweight="bold")
    return figure


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
        If there are no images or no views, or the two are of different numbers of them.

    Examples
    --------
    >>> pixels = images.images[:2].float() / 255
    >>> augmented_views(pixels, pixels.flip(-1)[:, None])  # one view of each, mirrored
    """
    check_some("originals", originals)
    if len(views) != len(originals):
        reject("the number of images in views", len(views), f"{len(originals)}, as in originals")
    check_some("views[0]", views[0])
    rows, columns = len(views), views.shape[1] + 1
    side = WIDTH / columns
    figure, axes = grid(rows * columns, side + 0.3 / rows, columns, layout=None)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - 0.3 / figure.get_figheight(), wspace=0.06, hspace=0.06)
    pictures = [image for i in range(rows) for image in (originals[i], *views[i])]
    for axis, image in zip(axes, pictures, strict=True):
        axis.axis("off")
        _draw_image(axis, image, side)
    for axis, title in zip(axes[:2], ("image", "views"), strict=True):
        axis.set_title(title, fontsize=LABEL, fontweight="bold")
    return figure


def _check_positions(name: str, parts: Mapping[str, Tensor], n: int) -> None:
    """Refuse nothing to show, and positions that are none of `n` images."""
    check_some(name, parts)
    for title, positions in parts.items():
        check_some(f"{name}[{title!r}]", positions)
        if not 0 <= int(positions.min()) <= int(positions.max()) < n:
            wrong = int(positions[(positions < 0) | (positions >= n)][0])
            reject(f"a position in {name}[{title!r}]", wrong, f"from 0 to {n - 1}, a place in images")


def _letters(names: list[str], side: float) -> float:
    """Return the size of letters, in points, in which the longest name is as wide as an image."""
    longest = max(map(len, names), default=1)
    return min(float(SMALL), 72 * side / (0.58 * longest))


def _draw_image(axis: Axes, image: Tensor, side: float) -> None:
    """Draw an image pixel by pixel where it has few of them, so that it is as light as its file."""
    few = max(image.shape[1:]) <= DENSE * side
    axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="none" if few else "auto")
    # a frame, for white images on white paper
    frame = Rectangle((0, 0), 1, 1, transform=axis.transAxes, fill=False, edgecolor=FRAME, linewidth=0.5, clip_on=False)
    axis.add_patch(frame)
