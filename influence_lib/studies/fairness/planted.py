"""Groups that are known to differ in one thing alone, or in nothing: what an audit has to find, and what not."""

from dataclasses import replace

import numpy as np
import torch

from influence_lib.data import ImageSet
from influence_lib.errors import check_choice, check_integer, check_number
from influence_lib.estimate import Estimate, share
from influence_lib.influence import Scores
from influence_lib.pretrain.evaluate import check_images
from influence_lib.studies.fairness.audit import audit

__all__ = ["CHANGES", "false_alarms", "planted_groups"]

CHANGES = ("nothing", "darker", "flatter")
"""In what the second of two planted groups differs from the first."""


def planted_groups(images: ImageSet, change: str, factor: float = 0.6, seed: int = 0) -> tuple[ImageSet, np.ndarray]:
    """Return images of which a random half is changed in one thing, and the group of each.

    The halves are drawn within each class, so that groups differ neither in what is shown nor in anything else.

    Parameters
    ----------
    images : ImageSet
        N images.
    change : {"nothing", "darker", "flatter"}
        What is done to the group ``"b"``: pixels × `factor`, or their distance from the image's mean × `factor`.
    factor : float
        In (0, 1].
    seed : int
        Of the draw.

    Returns
    -------
    ImageSet
        The same images in the same order, those of group ``"b"`` changed.
    array of str
        ``"a"`` or ``"b"`` for each image.

    Raises
    ------
    InputError
        If there are fewer than two images, or a value is not allowed.

    Examples
    --------
    >>> darker, groups = planted_groups(images, "darker")
    >>> sorted(set(groups.tolist()))
    ['a', 'b']
    """
    check_images("images", images, least=2)
    check_choice("change", change, CHANGES)
    factor = check_number("factor", factor, above=0, most=1)
    rng = np.random.default_rng(check_integer("seed", seed, 0))
    order = np.lexsort((rng.random(len(images)), images.labels.numpy()))  # at random within each class
    second = np.zeros(len(images), dtype=bool)
    second[order[1::2]] = True
    pixels = images.images.clone()
    if change != "nothing":
        chosen = pixels[torch.from_numpy(second)].float()
        centre = chosen.mean(dim=(1, 2, 3), keepdim=True) if change == "flatter" else torch.zeros(1)
        pixels[torch.from_numpy(second)] = (centre + factor * (chosen - centre)).round().clamp(0, 255).to(torch.uint8)
    return replace(images, images=pixels), np.where(second, "b", "a")


def false_alarms(scores: Scores, groups: int = 2, k: int = 100, draws: int = 200, seed: int = 0) -> Estimate:
    """Return how often the audit finds a group at an end where groups are drawn at random.

    Parameters
    ----------
    scores : Scores
        Of any images.
    groups : int
        How many groups, of about equal size.
    k : int
        Images that count as an end.
    draws : int
        How often groups are drawn.
    seed : int
        Of the draws.

    Returns
    -------
    Estimate
        A share of the draws; at most .05 is promised.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> false_alarms(scores, k=10, draws=20).value <= 0.2
    True
    """
    groups, draws = check_integer("groups", groups, 2), check_integer("draws", draws)
    rng = np.random.default_rng(check_integer("seed", seed, 0))
    values = scores.values.double().numpy()
    names = np.array([f"group {i + 1}" for i in range(groups)])
    found = [
        not audit(values, {"drawn": names[rng.permutation(len(values)) % groups]}, k).found.empty for _ in range(draws)
    ]
    return share(np.array(found), "draw")
