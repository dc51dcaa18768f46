"""Drawn images of which a chosen part has a uniform background, with all else as it was."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import torch

from influence_lib.data import ImageSet
from influence_lib.data.backgrounds import TEXTURES
from influence_lib.data.controlled import Scene, render
from influence_lib.errors import check_integer, check_number, reject

__all__ = ["UNIFORM", "background_of", "repainted"]

UNIFORM = ("white", "black")
"""Backgrounds that count as uniform; all others are textures."""


def repainted(images: ImageSet, uniform: float, seed: int = 0) -> ImageSet:
    """Return drawn images on other backgrounds: a part of each class on white or black, the others on textures.

    Objects, poses and light stay as they are, and background and class stay independent. With one seed the images that
    are uniform in a smaller part are so in a larger one, too.

    Parameters
    ----------
    images : ImageSet
        Of ``controlled``, 32 pixels a side.
    uniform : float
        The part of each class, in [0, 1].
    seed : int
        Of the draw.

    Returns
    -------
    ImageSet
        The same images in the same order with other pixels; ``background`` and ``texture`` of the attributes say which.

    Raises
    ------
    InputError
        If the images are no drawn scenes, or a value is not allowed.

    Examples
    --------
    >>> background_of(repainted(images, uniform=1.0)).isin(["white", "black"]).all()
    np.True_
    """
    uniform = check_number("uniform", uniform, least=0, most=1)
    names = [field.name for field in fields(Scene)]
    if missing := [name for name in names if name not in images.attributes]:
        reject("images", images.name, f"drawn scenes, as those of 'controlled', which have an attribute {missing[0]}")
    rng = np.random.default_rng(check_integer("seed", seed, 0))
    painted = _painted(images.labels.numpy(), uniform, rng)
    scenes = []
    for row, (background, texture) in zip(images.attributes[names].to_dict("records"), painted, strict=True):
        scenes.append(
            replace(Scene(**{str(name): value for name, value in row.items()}), background=background, texture=texture)
        )
    pixels = np.stack([render(scene)[0] for scene in scenes])
    attributes = images.attributes.assign(
        background=[scene.background for scene in scenes], texture=[scene.texture for scene in scenes]
    )
    return replace(images, images=torch.from_numpy(pixels), attributes=attributes)


def _painted(labels: np.ndarray, uniform: float, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Return the background and the texture of each image; every number is drawn whatever the part is."""
    place = np.empty(len(labels))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        place[rng.permutation(own)] = (np.arange(len(own)) + 0.5) / len(own)
    colours = np.array(UNIFORM)[rng.integers(len(UNIFORM), size=len(labels))]
    textures = np.array(list(TEXTURES))[rng.integers(len(TEXTURES), size=len(labels))]
    return [
        (str(colour), "") if where < uniform else ("texture", str(texture))
        for where, colour, texture in zip(place, colours, textures, strict=True)
    ]


def background_of(images: ImageSet) -> pd.Series:
    """Return the background of each drawn image: its texture, or what is uniform about it.

    Raises
    ------
    InputError
        If the images are no drawn scenes.

    Examples
    --------
    >>> background_of(images).nunique() > 2
    True
    """
    if not {"background", "texture"} <= set(images.attributes):
        reject("images", images.name, "drawn scenes, as those of 'controlled', which have backgrounds")
    texture = images.attributes["texture"]
    return texture.where(texture != "", images.attributes["background"])
