"""Backgrounds of the ``controlled`` set: plain, gradient or textured, without any object."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["BACKGROUNDS", "TEXTURES", "paint_background"]

Floats = npt.NDArray[np.float64]

BACKGROUNDS = {"white": 0.15, "black": 0.15, "colour": 0.2, "gradient": 0.2, "texture": 0.3}
"""Kind of background → its probability, the same for every class."""


def _coordinates(side: int) -> tuple[Floats, Floats]:
    """Return the x and y of every pixel's centre, from 0 to 1, each of shape side × side."""
    centres = (np.arange(side) + 0.5) / side
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return x, y


def _octave(side: int, cells: int, rng: np.random.Generator) -> Floats:
    """Return smooth noise from 0 to 1: random values on a grid of cells, interpolated linearly."""
    grid = rng.random((cells + 1, cells + 1))
    where = (np.arange(side) + 0.5) / side * cells
    low = where.astype(int)
    part = where - low
    rows = grid[low] * (1 - part)[:, None] + grid[low + 1] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, low + 1] * part


def _clouds(side: int, rng: np.random.Generator) -> Floats:
    noise = 0.6 * _octave(side, 3, rng) + 0.3 * _octave(side, 6, rng) + 0.1 * _octave(side, 12, rng)
    return np.clip((noise - 0.3) / 0.4, 0, 1)


def _grass(side: int, rng: np.random.Generator) -> Floats:
    # blades: noise that is fine across and coarse along the blade
    blades = np.repeat(rng.random((side // 4 + 1, side)), 4, axis=0)[:side]
    return 0.65 * np.clip(blades + 0.2 * (rng.random((side, side)) - 0.5), 0, 1) + 0.35 * _octave(side, 3, rng)


def _checker(side: int, rng: np.random.Generator) -> Floats:
    x, y = _coordinates(side)
    cells = rng.integers(4, 8)
    dx, dy = rng.random(2)
    return (np.floor(x * cells + dx) + np.floor(y * cells + dy)) % 2


def _stripes(side: int, rng: np.random.Generator) -> Floats:
    x, y = _coordinates(side)
    angle, bands, phase = rng.random() * math.pi, rng.integers(3, 7), rng.random()
    wave = (x * math.cos(angle) + y * math.sin(angle)) * bands + phase
    return np.clip(0.5 + 2 * np.sin(2 * math.pi * wave), 0, 1)


def _bricks(side: int, rng: np.random.Generator) -> Floats:
    x, y = _coordinates(side)
    rows, shift = 6, rng.random()
    row = np.floor(y * rows)
    across = x * 3 + shift + 0.5 * (row % 2)
    tone = rng.random((rows, 5))[row.astype(int), np.floor(across).astype(int)]
    mortar = ((y * rows) % 1 < 0.17) | (across % 1 < 0.08)
    return np.where(mortar, 0.0, 0.6 + 0.4 * tone)


TEXTURES: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "bricks": _bricks,
    "checker": _checker,
    "clouds": _clouds,
    "grass": _grass,
    "stripes": _stripes,
}
"""Texture → a function that gives the share of the second colour at every pixel."""


def paint_background(
    side: int, kind: str, texture: str, first: Floats, second: Floats, angle: float, seed: int
) -> Floats:
    """Return a background of shape side × side × 3, values 0 to 1.

    Parameters
    ----------
    side : int
        Pixels.
    kind : str
        A key of `BACKGROUNDS`.
    texture : str
        A key of `TEXTURES`; it counts only where the kind is ``"texture"``.
    first, second : ndarray of shape (3,)
        Two colours, 0 to 1: a gradient or a texture lies between them, ``"colour"`` is the first one.
    angle : float
        Direction of a gradient in degrees.
    seed : int
        Seed of a texture.
    """
    if kind in ("white", "black", "colour"):
        plain = {"white": np.ones(3), "black": np.zeros(3), "colour": first}[kind]
        return np.broadcast_to(plain, (side, side, 3)).copy()
    if kind == "gradient":
        x, y = _coordinates(side)
        along = (x - 0.5) * math.cos(math.radians(angle)) + (y - 0.5) * math.sin(math.radians(angle))
        share = np.clip(along / math.sqrt(2) + 0.5, 0, 1)
    else:
        share = TEXTURES[texture](side, np.random.default_rng(seed))
    return first + share[:, :, None] * (second - first)
