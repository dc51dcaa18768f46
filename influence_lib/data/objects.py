"""Drawings of the ten objects of the ``controlled`` set, one small function a class.

Every object is drawn in its own coordinates, with x to the right and y downwards, both from -1 to 1. A `Pen`
places them on a canvas. Nothing here is random: pose and colours come from the caller.
"""

import colorsys
import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from PIL import Image, ImageDraw

__all__ = ["DRAWINGS", "PREMULTIPLIED", "Colour", "Paint", "Pen"]

Colour = tuple[int, int, int]
Point = tuple[float, float]

WHITE, BLACK, GLASS = (250, 250, 246), (28, 28, 32), (176, 216, 238)
WOOD, GREY, YELLOW = (122, 82, 48), (128, 130, 136), (250, 206, 60)
PREMULTIPLIED = "RGBa"  # so that an average over drawn and empty pixels has no bright fringe
OUTLINE = 0.45  # how far an outline is from its fill towards black


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return the colour that lies ``share`` of the way from ``a`` to ``b``."""
    red, green, blue = (round(p + share * (q - p)) for p, q in zip(a, b, strict=True))
    return red, green, blue


@cache
def _arc_points(start: float, end: float) -> list[Point]:
    """Return points of the unit circle between two angles in degrees."""
    corners = max(8, round((end - start) / 360 * 28))
    angles = [math.radians(start + (end - start) * k / corners) for k in range(corners + 1)]
    return [(math.cos(a), math.sin(a)) for a in angles]


class Paint:
    """The colours of one object: the body, lighter and darker tones of it, and a second colour.

    Parameters
    ----------
    body : tuple of int
        Red, green and blue of the body, 0 to 255.
    """

    def __init__(self, body: Colour) -> None:
        self.body = body
        self.light = mix(body, WHITE, 0.5)
        self.dark = mix(body, BLACK, 0.4)
        hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in body))
        opposite = colorsys.hsv_to_rgb((hue + 0.5) % 1, 0.7 * saturation, max(value, 0.75))
        red, green, blue = (round(255 * c) for c in opposite)
        self.accent: Colour = (red, green, blue)


class Pen:
    """Draws shapes given in object coordinates on a square transparent canvas.

    Parameters
    ----------
    pixels : int
        Side of the canvas.
    x, y : float
        Where the object's centre lies, as a fraction of the side.
    scale : float
        Size of the object: its coordinates -1 and 1 lie ``scale`` × side apart.
    rotation : float
        Degrees, clockwise on the screen.
    flip : bool
        Mirror left and right, before the rotation.
    """

    def __init__(self, pixels: int, x: float, y: float, scale: float, rotation: float, flip: bool) -> None:
        self.canvas = Image.new(PREMULTIPLIED, (pixels, pixels))
        self._draw = ImageDraw.Draw(self.canvas)
        self._unit = scale * pixels / 2
        cos, sin = (
            self._unit * math.cos(math.radians(rotation)),
            self._unit * math.sin(math.radians(rotation)),
        )
        mirror = -1 if flip else 1
        self._across = (mirror * cos, -sin, x * pixels)
        self._down = (mirror * sin, cos, y * pixels)

    def _place(self, points: Iterable[Point]) -> list[tuple[int, int]]:
        """Return canvas pixels; whole numbers, so that every machine fills the same ones."""
        (a, b, c), (d, e, f) = self._across, self._down
        return [(round(a * x + b * y + c), round(d * x + e * y + f)) for x, y in points]

    def polygon(self, points: Iterable[Point], colour: Colour, outline: bool = True) -> None:
        """Fill a polygon and draw its outline in a darker tone."""
        placed = self._place(points)
        self._draw.polygon(placed, fill=(*colour, 255))
        if outline:
            self._draw.line([*placed, placed[0]], fill=(*mix(colour, BLACK, OUTLINE), 255), width=2)

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        colour: Colour,
        outline: bool = True,
        arc: tuple[float, float] = (0, 360),
    ) -> None:
        """Fill an ellipse, or the part of it between two angles in degrees (0 is right, 90 is down)."""
        (x, y), (rx, ry) = centre, radii
        self.polygon([(x + rx * cos, y + ry * sin) for cos, sin in _arc_points(*arc)], colour, outline)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a polyline of a width given in object units."""
        pixels = max(1, round(width * self._unit))
        self._draw.line(self._place(points), fill=(*colour, 255), width=pixels)


def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """Return the corners of an upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def airplane(pen: Pen, paint: Paint) -> None:
    """Draw an airliner from the side, the nose to the right."""
    pen.polygon([(-0.2, -0.1), (0.2, -0.1), (-0.1, -0.6), (-0.32, -0.6)], paint.dark)
    pen.polygon([(-0.95, -0.15), (-0.98, -0.68), (-0.72, -0.68), (-0.45, -0.15)], paint.dark)
    pen.polygon(
        [(-0.97, -0.16), (0.55, -0.24), (0.82, -0.14), (1.0, 0.06), (0.78, 0.2), (-0.5, 0.2), (-0.9, 0.02)],
        paint.light,
    )
    pen.polygon([(-0.93, 0.0), (0.97, 0.06), (0.78, 0.2), (-0.5, 0.2)], paint.body, outline=False)
    pen.polygon([(0.6, -0.2), (0.76, -0.14), (0.86, -0.04), (0.6, -0.04)], BLACK, outline=False)
    for x in (-0.55, -0.28, -0.01, 0.26):
        pen.polygon(box(x, -0.11, x + 0.13, 0.01), BLACK, outline=False)
    pen.polygon([(-0.16, 0.08), (0.26, 0.08), (-0.28, 0.75), (-0.52, 0.75)], paint.dark)
    pen.ellipse((0.08, 0.4), (0.17, 0.1), GREY)


def boat(pen: Pen, paint: Paint) -> None:
    """Draw a sailing boat with two sails."""
    pen.line([(0, -1), (0, 0.5)], WOOD, 0.1)
    pen.polygon([(0.07, -0.95), (0.8, 0.28), (0.07, 0.34)], WHITE)
    pen.polygon([(-0.08, -0.75), (-0.08, 0.3), (-0.68, 0.26)], paint.accent)
    pen.polygon([(0, -1), (-0.3, -0.9), (0, -0.8)], paint.body, outline=False)
    pen.polygon([(-0.95, 0.42), (1.0, 0.38), (0.66, 0.9), (-0.62, 0.9)], paint.body)
    pen.polygon([(-0.88, 0.48), (0.93, 0.45), (0.85, 0.58), (-0.8, 0.6)], paint.light, outline=False)


def car(pen: Pen, paint: Paint) -> None:
    """Draw a car from the side, its front to the right."""
    pen.polygon([(-0.72, -0.02), (-0.45, -0.5), (0.25, -0.5), (0.62, -0.02)], paint.body)
    pen.polygon([(-0.52, -0.06), (-0.36, -0.4), (-0.1, -0.4), (-0.1, -0.06)], GLASS)
    pen.polygon([(0.02, -0.06), (0.02, -0.4), (0.19, -0.4), (0.42, -0.06)], GLASS)
    pen.polygon(
        [(-0.98, -0.04), (0.6, -0.06), (0.96, 0.08), (1.0, 0.4), (-0.98, 0.4)],
        paint.body,
    )
    pen.polygon([(-0.98, 0.22), (1.0, 0.22), (1.0, 0.4), (-0.98, 0.4)], paint.dark, outline=False)
    pen.polygon(box(0.84, 0.08, 1.0, 0.22), YELLOW, outline=False)
    pen.polygon(box(-0.98, 0.04, -0.86, 0.2), (208, 44, 40), outline=False)
    pen.line([(-0.04, -0.04), (-0.04, 0.3)], paint.dark, 0.05)
    for x in (-0.55, 0.54):
        pen.ellipse((x, 0.42), (0.27, 0.27), BLACK)
        pen.ellipse((x, 0.42), (0.12, 0.12), (200, 200, 205), outline=False)


def cat(pen: Pen, paint: Paint) -> None:
    """Draw the face of a cat."""
    for side in (-1, 1):
        pen.polygon([(side * 0.84, -0.98), (side * 0.2, -0.52), (side * 0.82, -0.05)], paint.body)
        pen.polygon([(side * 0.74, -0.74), (side * 0.42, -0.5), (side * 0.72, -0.28)], (244, 164, 172), False)
    pen.ellipse((0, 0.12), (0.88, 0.76), paint.body)
    for x in (-0.26, 0, 0.26):
        pen.line([(x, -0.6), (x * 0.8, -0.32)], paint.dark, 0.1)
    pen.ellipse((0, 0.5), (0.44, 0.3), paint.light, outline=False)
    for side in (-1, 1):
        pen.ellipse((side * 0.38, 0.02), (0.23, 0.2), (214, 232, 96))
        pen.ellipse((side * 0.38, 0.02), (0.08, 0.19), BLACK, outline=False)
        pen.line([(side * 0.3, 0.46), (side * 1.0, 0.32)], BLACK, 0.035)
        pen.line([(side * 0.3, 0.54), (side * 1.0, 0.62)], BLACK, 0.035)
        pen.line([(0, 0.5), (side * 0.2, 0.64)], BLACK, 0.07)
    pen.polygon([(-0.14, 0.3), (0.14, 0.3), (0, 0.47)], (232, 96, 116))


def fish(pen: Pen, paint: Paint) -> None:
    """Draw a fish that swims to the right."""
    pen.polygon([(-0.3, 0), (-0.98, -0.58), (-0.8, 0), (-0.98, 0.58)], paint.dark)
    pen.polygon([(-0.35, -0.3), (-0.15, -0.76), (0.42, -0.35)], paint.dark)
    pen.polygon([(-0.1, 0.35), (-0.25, 0.72), (0.25, 0.4)], paint.dark)
    pen.ellipse((0.2, 0), (0.78, 0.46), paint.body)
    pen.ellipse((0.2, 0.17), (0.6, 0.22), paint.light, outline=False)
    for x in (-0.22, 0.06):
        pen.line([(x, -0.34), (x + 0.08, 0), (x, 0.34)], paint.accent, 0.13)
    pen.ellipse((0.62, -0.12), (0.15, 0.15), WHITE)
    pen.ellipse((0.66, -0.12), (0.07, 0.08), BLACK, outline=False)
    pen.line([(0.94, 0.12), (0.74, 0.18)], BLACK, 0.06)


def flower(pen: Pen, paint: Paint) -> None:
    """Draw a flower with six petals, a stem and two leaves."""
    leaf, stem = (70, 160, 66), (48, 122, 50)
    pen.line([(0, -0.2), (0.05, 0.4), (0, 1)], stem, 0.13)
    pen.polygon([(0.02, 0.78), (0.3, 0.42), (0.68, 0.38), (0.42, 0.7)], leaf)
    pen.polygon([(0.02, 0.9), (-0.28, 0.56), (-0.64, 0.54), (-0.38, 0.84)], leaf)
    for k in range(6):
        angle = math.radians(60 * k + 30)
        centre = (0.38 * math.cos(angle), -0.36 + 0.38 * math.sin(angle))
        pen.ellipse(centre, (0.26, 0.26), paint.light if k % 2 else paint.body)
    pen.ellipse((0, -0.36), (0.24, 0.24), YELLOW)
    pen.ellipse((0, -0.34), (0.1, 0.1), (196, 126, 30), outline=False)


def house(pen: Pen, paint: Paint) -> None:
    """Draw a house with a roof, a chimney, a door and two windows."""
    pen.polygon(box(0.36, -0.9, 0.6, -0.3), (150, 84, 66))
    pen.polygon(box(-0.76, -0.22, 0.76, 0.92), paint.light)
    pen.polygon(box(0.4, -0.2, 0.76, 0.92), mix(paint.light, BLACK, 0.18), outline=False)
    pen.polygon([(-1, -0.14), (0, -0.96), (1, -0.14)], paint.body)
    pen.line([(-0.5, -0.34), (0.5, -0.34)], paint.dark, 0.06)
    pen.polygon(box(-0.18, 0.3, 0.18, 0.92), WOOD)
    for x in (-0.62, 0.32):
        pen.polygon(box(x, 0.08, x + 0.3, 0.42), GLASS)
        pen.line([(x + 0.15, 0.08), (x + 0.15, 0.42)], BLACK, 0.05)


def mug(pen: Pen, paint: Paint) -> None:
    """Draw a mug of coffee with a handle on its right and steam above it."""
    for x in (-0.5, -0.1):
        pen.line([(x, -0.62), (x + 0.1, -0.76), (x - 0.05, -0.86), (x + 0.05, -1)], (214, 214, 220), 0.08)
    handle = [
        (0.42 + 0.46 * math.cos(a), 0.18 + 0.38 * math.sin(a)) for a in (math.radians(15 * k - 90) for k in range(13))
    ]
    pen.line(handle, paint.dark, 0.24)
    pen.line(handle, paint.body, 0.16)
    pen.polygon([(-0.82, -0.4), (0.46, -0.4), (0.38, 0.84), (-0.18, 0.96), (-0.74, 0.84)], paint.body)
    pen.polygon([(-0.7, -0.2), (-0.46, -0.2), (-0.44, 0.8), (-0.62, 0.76)], paint.light, outline=False)
    pen.polygon([(0.16, -0.3), (0.44, -0.3), (0.36, 0.82), (0.1, 0.9)], paint.dark, outline=False)
    pen.ellipse((-0.18, -0.4), (0.64, 0.2), paint.light)
    pen.ellipse((-0.18, -0.37), (0.52, 0.13), (84, 50, 30), outline=False)


def tree(pen: Pen, paint: Paint) -> None:
    """Draw a broad-leaved tree with a trunk."""
    pen.polygon([(-0.13, 0.1), (0.13, 0.1), (0.16, 0.78), (0.34, 0.98), (-0.34, 0.98), (-0.16, 0.78)], WOOD)
    pen.line([(0, 0.5), (0.36, 0.14)], WOOD, 0.1)
    for x, y, r in ((-0.48, -0.02, 0.38), (0.5, -0.02, 0.38), (0, 0.04, 0.36)):
        pen.ellipse((x, y), (r, r), paint.dark)
    for x, y, r in ((-0.32, -0.42, 0.42), (0.34, -0.42, 0.42), (0, -0.62, 0.36)):
        pen.ellipse((x, y), (r, r), paint.body)
    pen.ellipse((0, -0.2), (0.42, 0.32), paint.body, outline=False)
    for x, y in ((-0.36, -0.56), (0.06, -0.74), (0.3, -0.42), (-0.1, -0.26)):
        pen.ellipse((x, y), (0.13, 0.1), paint.light, outline=False)


def umbrella(pen: Pen, paint: Paint) -> None:
    """Draw an open umbrella with a hooked handle."""
    pen.line([(0, -0.95), (0, 0.76)], GREY, 0.1)
    hook = [
        (0.16 + 0.16 * math.cos(a), 0.74 + 0.18 * math.sin(a)) for a in (math.radians(180 - 20 * k) for k in range(10))
    ]
    pen.line(hook, WOOD, 0.13)
    pen.ellipse((0, 0.1), (0.98, 0.92), paint.body, arc=(180, 360))
    pen.ellipse((0, 0.1), (0.62, 0.92), paint.light, arc=(180, 360))
    pen.ellipse((0, 0.1), (0.26, 0.92), paint.body, arc=(180, 360))
    for x, r in ((-0.8, 0.18), (-0.44, 0.18), (0, 0.26), (0.44, 0.18), (0.8, 0.18)):
        pen.ellipse((x, 0.12), (r, 0.12), paint.dark, outline=False, arc=(180, 360))


DRAWINGS: dict[str, Callable[[Pen, Paint], None]] = {
    drawing.__name__: drawing for drawing in (airplane, boat, car, cat, fish, flower, house, mug, tree, umbrella)
}
