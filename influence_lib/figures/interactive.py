"""A map of images that answers to a pointer and to keys; everything that it needs is in the page."""

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from influence_lib.data import ImageSet
from influence_lib.errors import InputError, check_integer, reject
from influence_lib.figures.style import COLOURS, check_some
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable, percentiles
from influence_lib.optional import needed

with needed("The map of images", "run `pip install bokeh ipython`"):
    from bokeh.document import Document
    from bokeh.embed import components
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource, CustomJS, HoverTool, LassoSelectTool, Row
    from bokeh.models.widgets import Div, Select, Slider
    from bokeh.palettes import Cividis256
    from bokeh.plotting import figure
    from bokeh.resources import Resources
    from IPython.display import HTML

__all__ = ["score_map"]

Array = npt.NDArray[np.float64]
THUMBNAIL = 32  # pixels, the largest side of a stored image
SHOWN = 64  # pixels, at which it is looked at
QUALITY = 80  # of the WebP picture that holds all thumbnails
# Bokeh's choices are dark on light in any theme
PLAIN = "background: white; color: black; color-scheme: light; padding: 8px"
CLASS, ALL = "class", "all classes"

# what follows a choice: positions, colours and strengths of all points, and the image at the chosen rank
REDRAW = """
const d = source.data, at = encoder.value, values = d[`${at}: ${score.value}`];
const order = [...values.keys()].sort((a, b) => values[b] - values[a]);
const chosen = order[rank.value - 1];
for (let i = 0; i < values.length; i++) {
  d.x[i] = d[`${at}: x`][i];
  d.y[i] = d[`${at}: y`][i];
  d.percentile[i] = values[i].toFixed(1);
  d.colour[i] = colour.value == "class" ? classes[d.label[i] % classes.length] : palette[Math.floor(values[i] * 2.559)];
  d.strength[i] = group.value == all || d.name[i] == group.value ? 0.9 : 0.08;
}
source.change.emit();
marked.data = {x: [d.x[chosen]], y: [d.y[chosen]]};
shown.text = `${thumbnail.replace("@{left}", d.left[chosen]).replace("@{top}", d.top[chosen])}
  <b>${d.name[chosen]}</b>, id ${d.id[chosen]}, percentile ${values[chosen].toFixed(1)}`;
"""
LISTED = """
const d = source.data, some = source.selected.indices;
list.text = some.length ? `<b>${some.length} selected.</b> ids: ${some.map(i => d.id[i]).join(", ")}` : empty;
"""
EMPTY = "Draw around points with the lasso to list their ids."


def score_map(
    images: ImageSet, layouts: Mapping[str, Array], scores: Mapping[str, Mapping[str, Scores]], listed: int = 20
) -> HTML:
    """Return a map of images: hovering shows an image, choices switch encoder and score, a lasso lists ids.

    A slider goes through the images in the order of the score and can be moved by keys; a table has the ends of each
    ranking for who sees no map. Bokeh, with all of its code in the page.

    Parameters
    ----------
    images : ImageSet
        N images.
    layouts : mapping of str to array
        Encoder → N×2, where each image lies in the plane.
    scores : mapping of str to mapping of str to Scores
        Encoder → kind of score → scores of these images; the same kinds for each encoder.
    listed : int
        How many images at each end the table has.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    InputError
        If there is nothing to draw, encoders or kinds differ, or layouts or scores are of other images.

    Examples
    --------
    >>> places = {"SimCLR": np.random.default_rng(0).normal(size=(len(images), 2))}
    >>> score_map(images, places, {"SimCLR": {"EK-FAC": scores, "raw loss": loss}}, listed=5)
    """
    _check(images, layouts, scores)
    listed = min(check_integer("listed", listed), len(images))
    picture, positions, columns = _thumbnails(images)
    script, division = components(_layout(images, layouts, scores, positions, columns))
    return HTML(
        f"<style>:root {{ --thumbnails: url({picture}) }}</style>"
        f"{Resources(mode='inline', components=['bokeh', 'bokeh-widgets']).render_js()}"
        f'<div class="score-map" style="{PLAIN}">{division}{script}{_table(images, scores, listed)}</div>'
    )


def _check(images: ImageSet, layouts: Mapping[str, Array], scores: Mapping[str, Mapping[str, Scores]]) -> None:
    check_some("layouts", layouts)
    if layouts.keys() != scores.keys():
        reject("the encoders of scores", list(scores), f"those of layouts, {list(layouts)}")
    kinds = list(next(iter(scores.values())))
    check_some("scores", kinds)
    for encoder, placed in layouts.items():
        if np.shape(placed) != (len(images), 2):
            reject(f"the shape of layouts[{encoder!r}]", np.shape(placed), f"({len(images)}, 2)")
        if list(scores[encoder]) != kinds:
            reject(f"the kinds of scores[{encoder!r}]", list(scores[encoder]), f"those of the first encoder, {kinds}")
        for score in scores[encoder].values():
            check_comparable(next(iter(next(iter(scores.values())).values())), score)
            if score.ids.tolist() != images.ids.tolist():
                raise InputError("scores and images have other ids, but scores must be of these images.")


def _thumbnails(images: ImageSet) -> tuple[str, Array, int]:
    """Return one picture with all images as an address, where each lies in it once it is shown, and its columns."""
    columns = math.ceil(math.sqrt(len(images)))
    sheet = Image.new("RGB", (columns * THUMBNAIL, -(-len(images) // columns) * THUMBNAIL), "white")
    for i, pixels in enumerate(images.images):
        single = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        single.thumbnail((THUMBNAIL, THUMBNAIL))
        sheet.paste(single, (i % columns * THUMBNAIL, i // columns * THUMBNAIL))
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=QUALITY)
    places = np.array([(i % columns, i // columns) for i in range(len(images))], dtype=np.float64) * SHOWN
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}", places, columns


def _names(images: ImageSet) -> list[str]:
    """Return the class of each image in words."""
    return [images.class_names[label] if label >= 0 else "no class" for label in images.labels.tolist()]


def _layout(
    images: ImageSet,
    layouts: Mapping[str, Array],
    scores: Mapping[str, Mapping[str, Scores]],
    positions: Array,
    columns: int,
) -> Any:
    """Return the plot with the choices above it and what it tells beside and below."""
    encoders, kinds, names = list(layouts), list(next(iter(scores.values()))), _names(images)
    source = ColumnDataSource(_columns(images, layouts, scores, positions, names))
    marked = ColumnDataSource({"x": [], "y": []})
    plot = _plot(source, marked, columns)
    choices = {
        "encoder": _choice("Encoder", encoders),
        "score": _choice("Score", kinds),
        "colour": _choice("Colour", ["percentile", CLASS]),
        "group": _choice("Class", [ALL, *sorted(set(names))]),
        "rank": Slider(title="Rank, 1 is the highest", start=1, end=len(images), value=1, step=1, width=320),
    }
    shown, found = Div(text="", width=320, height=SHOWN + 30), Div(text=EMPTY, width=600)
    given = {**choices, "source": source, "marked": marked, "shown": shown, "thumbnail": _thumbnail(columns)}
    redraw = CustomJS(args={**given, "palette": Cividis256, "classes": COLOURS[:-1], "all": ALL}, code=REDRAW)
    for choice in choices.values():
        choice.js_on_change("value", redraw)
    source.selected.js_on_change(
        "indices", CustomJS(args={"source": source, "list": found, "empty": EMPTY}, code=LISTED)
    )
    *selects, slider = choices.values()
    document = Document()
    document.add_root(column(_wrapped(*selects), _wrapped(slider, shown), plot, found, sizing_mode="stretch_width"))
    document.js_on_event("document_ready", redraw)
    return document.roots[0]


def _choice(title: str, options: list[Any]) -> Select:
    return Select(title=title, value=options[0], options=options, width=150)


def _columns(
    images: ImageSet,
    layouts: Mapping[str, Array],
    scores: Mapping[str, Mapping[str, Scores]],
    positions: Array,
    names: Sequence[str],
) -> dict[str, Any]:
    """Return what is known of each image, by the names that the page's code uses."""
    first = next(iter(layouts))
    found: dict[str, Any] = {"id": images.ids.tolist(), "label": images.labels.clamp(min=0).tolist(), "name": names}
    found |= {"left": positions[:, 0].astype(int).tolist(), "top": positions[:, 1].astype(int).tolist()}
    for encoder, placed in layouts.items():
        found |= {f"{encoder}: x": placed[:, 0].round(3).tolist(), f"{encoder}: y": placed[:, 1].round(3).tolist()}
        found |= {f"{encoder}: {kind}": percentiles(score).round(2).tolist() for kind, score in scores[encoder].items()}
    percentile = found[f"{first}: {next(iter(scores[first]))}"]
    now = {"x": found[f"{first}: x"], "y": found[f"{first}: y"], "percentile": [f"{value:.1f}" for value in percentile]}
    colours = [Cividis256[int(value * 2.559)] for value in percentile]
    return found | now | {"colour": colours, "strength": [0.9] * len(names)}


def _plot(source: ColumnDataSource, marked: ColumnDataSource, columns: int) -> Any:
    """Return the points, with a ring around the one at the chosen rank."""
    tip = f"{_thumbnail(columns)}<b>@name</b>, id @id<br>percentile @percentile"
    plot = figure(height=500, sizing_mode="stretch_width", tools="pan,wheel_zoom,reset", toolbar_location="above")
    points = plot.scatter("x", "y", source=source, size=7, fill_color="colour", fill_alpha="strength", line_color=None)
    plot.scatter("x", "y", source=marked, size=18, fill_color=None, line_color=COLOURS[1], line_width=3)
    plot.add_tools(HoverTool(renderers=[points], tooltips=tip), LassoSelectTool(renderers=[points]))
    plot.axis.visible = plot.grid.visible = False
    return plot


def _wrapped(*models: Any) -> Row:
    """Return things beside each other, below each other where there is no room."""
    return Row(children=list(models), styles={"flex-wrap": "wrap", "gap": "8px"})


def _thumbnail(columns: int) -> str:
    """Return what shows one image of the picture that holds them all, at the columns left and top of the source."""
    return (
        f'<div style="width:{SHOWN}px;height:{SHOWN}px;image-rendering:pixelated;background-image:var(--thumbnails);'
        f'background-size:{columns * SHOWN}px auto;background-position:-@{{left}}px -@{{top}}px"></div>'
    )


def _table(images: ImageSet, scores: Mapping[str, Mapping[str, Scores]], listed: int) -> str:
    """Return the ends of each ranking as a table under a fold."""
    names, rows = _names(images), []
    for encoder, kinds in scores.items():
        for kind, score in kinds.items():
            value = percentiles(score)
            for end, chosen in (("highest", score.highest(listed)), ("lowest", score.lowest(listed))):
                said = ", ".join(f"{images.ids[i]} ({names[i]}, {value[i]:.1f})" for i in chosen.tolist())
                rows.append([encoder, kind, end, said])
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>" for cells in rows)
    head = "".join(f"<th>{cell}</th>" for cell in ("encoder", "score", "end", "id (class, percentile)"))
    return (
        f"<details><summary>The same as a table: {listed} images at each end</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    )
