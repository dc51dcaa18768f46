"""The ``controlled`` set: scenes of objects on backgrounds, drawn by code, with every factor known.

A `Scene` holds all that decides one image. `scene` draws it from a seed; `render` turns it into pixels and
draws nothing at random beyond the scene's own seeds. So a study can change one factor and keep the others:
``render(dataclasses.replace(s, background="white"))`` is the same object in the same pose and light.
"""

import colorsys
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from influence_lib.data.backgrounds import BACKGROUNDS, TEXTURES, Floats, paint_background
from influence_lib.data.objects import DRAWINGS, PREMULTIPLIED, Colour, Paint, Pen

__all__ = ["CLASS_NAMES", "SIDE", "SPLITS", "Scene", "render", "scene"]

CLASS_NAMES = tuple(DRAWINGS)
SIDE = 32
SPLITS = {"train": 5000, "test": 1000}
"""Split → how many images it holds where no number is asked for; any number can be drawn."""

FINE = 4  # objects are drawn this many times larger and averaged down, which smooths their edges
OCCLUDERS = {"none": 0.75, "bar": 0.125, "blob": 0.125}


@dataclass(frozen=True)
class Scene:
    """All factors of one image. Fractions of the image's side are positions and sizes; angles are degrees.

    Attributes
    ----------
    class_name : str
        What is drawn. Every factor below is drawn independently of it.
    background : {"white", "black", "colour", "gradient", "texture"}
    texture : str
        One of bricks, checker, clouds, grass, stripes; "" where the background is no texture.
    background_colour, background_colour_2 : str
        ``#rrggbb``; the second one counts for gradients and textures.
    x, y, scale, rotation, flip
        Pose of the object: the centre, the size, degrees clockwise, mirrored or not.
    body_colour : str
        ``#rrggbb``, the main colour of the object; its other colours derive from it.
    light_angle : float
        Where the light comes from; 0 is right, 270 is above. The shadow falls on the other side.
    brightness : float
        Factor on the whole scene (a white background stays white).
    temperature : float
        From -1 (bluish light) to 1 (reddish light).
    occluder : {"none", "bar", "blob"}
    occluder_x, occluder_y, occluder_size, occluder_angle, occluder_colour
        Where and how large the thing in front of the object is.
    noise : float
        Standard deviation of the sensor noise, on the scale 0 to 1.
    background_seed, noise_seed : int
        Seeds of the texture and of the sensor noise.
    """

    class_name: str
    background: str
    texture: str
    background_colour: str
    background_colour_2: str
    x: float
    y: float
    scale: float
    rotation: float
    flip: bool
    body_colour: str
    light_angle: float
    brightness: float
    temperature: float
    occluder: str
    occluder_x: float
    occluder_y: float
    occluder_size: float
    occluder_angle: float
    occluder_colour: str
    noise: float
    background_seed: int
    noise_seed: int


def _choose(rng: np.random.Generator, shares: dict[str, float]) -> str:
    """Return one key, drawn with the probabilities that are the values."""
    edges = np.cumsum(list(shares.values()))
    return list(shares)[min(int(np.searchsorted(edges, rng.random(), side="right")), len(shares) - 1)]


def _draw_colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> str:
    """Return a colour of a random hue as ``#rrggbb``."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return "#" + "".join(f"{round(255 * c):02x}" for c in rgb)


def _rgb(colour: str) -> Colour:
    """Return red, green and blue, 0 to 255, of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def scene(index: int, split: str = "train", seed: int = 0) -> Scene:
    """Draw the factors of one image.

    Parameters
    ----------
    index : int
        The image's id. Its class is ``index % 10``; its factors do not depend on how many images there are.
    split : {"train", "test"}
        Each split has its own stream of random numbers.
    seed : int
        Another seed is another set.
    """
    rng = np.random.default_rng((seed, list(SPLITS).index(split), index))
    background = _choose(rng, BACKGROUNDS)
    texture = list(TEXTURES)[rng.integers(len(TEXTURES))]
    scale = rng.uniform(0.55, 0.85)
    room = (1 - scale) / 2  # how far the centre can move with the object still inside the image
    x, y = 0.5 + rng.uniform(-room, room, size=2)
    return Scene(
        class_name=CLASS_NAMES[index % len(CLASS_NAMES)],
        background=background,
        texture=texture if background == "texture" else "",
        background_colour=_draw_colour(rng, (0.15, 0.7), (0.3, 0.7)),
        background_colour_2=_draw_colour(rng, (0.1, 0.5), (0.6, 1.0)),
        x=float(x),
        y=float(y),
        scale=float(scale),
        rotation=float(rng.uniform(-25, 25)),
        flip=bool(rng.random() < 0.5),
        body_colour=_draw_colour(rng, (0.55, 0.95), (0.6, 0.95)),
        light_angle=float(rng.uniform(180, 360)),
        brightness=float(rng.uniform(0.75, 1.15)),
        temperature=float(rng.uniform(-1, 1)),
        occluder=_choose(rng, OCCLUDERS),
        occluder_x=float(x + scale * rng.uniform(-0.4, 0.4)),
        occluder_y=float(y + scale * rng.uniform(-0.4, 0.4)),
        occluder_size=float(rng.uniform(0.1, 0.2)),
        occluder_angle=float(rng.uniform(0, 180)),
        occluder_colour=_draw_colour(rng, (0.05, 0.4), (0.25, 0.8)),
        noise=float(rng.uniform(0.0, 0.02)),
        background_seed=int(rng.integers(2**31)),
        noise_seed=int(rng.integers(2**31)),
    )


def _layer(canvas: Image.Image) -> tuple[Floats, Floats]:
    """Return a fine canvas averaged down: colours times cover (S × S × 3) and cover (S × S × 1), 0 to 1."""
    pixels = np.asarray(canvas.reduce(FINE), dtype=np.float64) / 255
    return pixels[:, :, :3], pixels[:, :, 3:]


def _occluder_layer(s: Scene) -> tuple[Floats, Floats]:
    """Return colours and cover of what stands in front of the object, as `_layer` does."""
    pixels = SIDE * FINE
    canvas = Image.new(PREMULTIPLIED, (pixels, pixels))
    draw = ImageDraw.Draw(canvas)
    x, y, size = (round(pixels * v) for v in (s.occluder_x, s.occluder_y, s.occluder_size))
    fill = (*_rgb(s.occluder_colour), 255)
    if s.occluder == "bar":
        dx, dy = (round(2 * pixels * f(math.radians(s.occluder_angle))) for f in (math.cos, math.sin))
        draw.line([(x - dx, y - dy), (x + dx, y + dy)], fill=fill, width=size)
    else:
        for turn in (0, 120, 240):
            angle = math.radians(s.occluder_angle + turn)
            cx, cy = x + round(0.5 * size * math.cos(angle)), y + round(0.5 * size * math.sin(angle))
            radius = round(0.75 * size)
            draw.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], fill=fill)
    return _layer(canvas)


def _shading(s: Scene) -> Floats:
    """Return the factor (S × S × 1) by which light brightens one side of the object and darkens the other."""
    centres = (np.arange(SIDE) + 0.5) / SIDE
    angle = math.radians(s.light_angle)
    towards = (centres[None, :] - s.x) * math.cos(angle) + (centres[:, None] - s.y) * math.sin(angle)
    return np.clip(1 + 0.7 * towards / s.scale, 0.6, 1.4)[:, :, None]


def _shadow(cover: Floats, light_angle: float) -> Floats:
    """Return how much light (S × S × 1) a soft shadow leaves: the cover, blurred and moved from the light."""
    blurred = Image.fromarray(np.rint(255 * cover[:, :, 0]).astype(np.uint8)).filter(ImageFilter.BoxBlur(1.5))
    angle = math.radians(light_angle)
    dx, dy = (round(-2.6 * f(angle)) for f in (math.cos, math.sin))
    dark = np.zeros((SIDE, SIDE))
    source = np.asarray(blurred, dtype=np.float64) / 255
    dark[max(dy, 0) : SIDE + min(dy, 0), max(dx, 0) : SIDE + min(dx, 0)] = source[
        max(-dy, 0) : SIDE + min(-dy, 0), max(-dx, 0) : SIDE + min(-dx, 0)
    ]
    return (1 - 0.5 * dark)[:, :, None]


def render(s: Scene) -> tuple[npt.NDArray[np.uint8], float]:
    """Draw one scene.

    Parameters
    ----------
    s : Scene
        What to draw.

    Returns
    -------
    image : ndarray of uint8, shape (3, 32, 32)
        Red, green, blue.
    occlusion : float
        The fraction of the object's area that lies behind the occluder, 0 to 1.
    """
    light = s.brightness * np.array([1 + 0.1 * s.temperature, 1.0, 1 - 0.1 * s.temperature])
    first, second = (np.array(_rgb(c)) / 255 for c in (s.background_colour, s.background_colour_2))
    image = paint_background(SIDE, s.background, s.texture, first, second, s.light_angle, s.background_seed)
    if s.background != "white":
        image = image * light

    pen = Pen(SIDE * FINE, s.x, s.y, s.scale, s.rotation, s.flip)
    DRAWINGS[s.class_name](pen, Paint(_rgb(s.body_colour)))
    colours, cover = _layer(pen.canvas)
    image = image * _shadow(cover, s.light_angle) * (1 - cover) + colours * light * _shading(s)

    occlusion = 0.0
    if s.occluder != "none":
        front, hidden = _occluder_layer(s)
        image = image * (1 - hidden) + front * light
        occlusion = float((cover * hidden).sum() / cover.sum())
    if s.noise > 0:
        image = image + np.random.default_rng(s.noise_seed).normal(0, s.noise, image.shape)
    pixels = np.floor(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)), occlusion
