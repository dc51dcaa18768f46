"""Arms of a sweep: which images are left out before a training."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.errors import InputError, check_choice, check_integer, check_number
from influence_lib.influence import Scores

__all__ = ["ENDS", "Arm", "arms", "as_many_of_each_class", "tenths"]

ENDS = ("highest", "lowest")
TENTHS = 10


@dataclass(frozen=True)
class Arm:
    """Which part of the images is left out: nothing, one end of a ranking, or a control.

    Attributes
    ----------
    amount : float
        The part that is left out, in [0, 1); 0 for a training on all images.
    by : str
        The ranking, or nothing for images drawn at random.
    end : {"highest", "lowest"}
        Which end of the ranking.
    matched : bool
        Whether random images are left out instead, as many of each class as of the end of the ranking: the control for
        a change of the classes' balance, which is all that a ranking may do.
    tenth : int
        Random images of one tenth of the ranking, in place of an end: 1 is the lowest, 10 the highest, 0 none.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> Arm(0.32, "EK-FAC").name, Arm(0.32).name
    ('highest by EK-FAC', 'random')
    """

    amount: float = 0.0
    by: str = ""
    end: str = "highest"
    matched: bool = False
    tenth: int = 0

    def __post_init__(self) -> None:
        check_number("amount", self.amount, least=0)
        if self.amount >= 1:
            check_number("amount", self.amount, most=np.nextafter(1, 0))
        check_choice("end", self.end, ENDS)
        check_integer("tenth", self.tenth, 0, TENTHS)
        if (self.matched or self.tenth) and not self.by:
            name, value = ("tenth", self.tenth) if self.tenth else ("matched", self.matched)
            raise InputError(f"{name} is {value}, but there is no ranking that it could be of: name one in by.")
        if self.tenth and self.amount > 1 / TENTHS:
            raise InputError(f"amount is {self.amount:g}, but a tenth of the images has no more than {1 / TENTHS}.")

    @property
    def name(self) -> str:
        """What is left out, without the amount."""
        if not self.amount:
            return "nothing"
        if not self.by:
            return "random"
        if self.tenth:
            return f"some of tenth {self.tenth} by {self.by}"
        ranked = f"{self.end} by {self.by}"
        return f"random, classes as {ranked}" if self.matched else ranked

    @property
    def label(self) -> str:
        """The amount and the name as a part of a file's name."""
        percent = f"without-{self.amount:.0%}-" if self.amount else ""
        return re.sub(r"[^a-z0-9]+", "-", f"{percent}{self.name}".lower())

    @property
    def control(self) -> "Arm":
        """The control with the same balance of classes, of an end of a ranking."""
        return Arm(self.amount, self.by, self.end, matched=True)

    def left_out(self, images: ImageSet, rankings: Mapping[str, Scores], seed: int = 0) -> Tensor:
        """Return the ids of the images that are left out, int64, in ascending order.

        Parameters
        ----------
        images : ImageSet
            N images, of which ``round(amount · N)`` are left out.
        rankings : mapping of str to Scores
            Name → scores of these images in their order. Images with equal scores are taken in their order.
        seed : int
            Of random images. With one seed the images of a smaller amount are among those of a larger one.

        Raises
        ------
        InputError
            If the ranking is not among those, is of other images, or no image would be kept.

        Examples
        --------
        >>> Arm(0.1).left_out(images, {}).shape
        torch.Size([5])
        """
        n = round(self.amount * len(images))
        if n >= len(images):
            raise InputError(f"amount is {self.amount:g}, but of {len(images)} images none would be kept.")
        rng = np.random.default_rng(seed)
        if not self.by:
            return _sorted_ids(images, rng.permutation(len(images))[:n])
        scores = rankings[check_choice("by", self.by, list(rankings))]
        if not torch.equal(scores.ids, images.ids):
            raise InputError(f"the scores by {self.by} are of other images, or of these in another order.")
        if self.tenth:
            rising = scores.values.argsort(stable=True).numpy()
            first, last = (len(images) * edge // TENTHS for edge in (self.tenth - 1, self.tenth))
            return _sorted_ids(images, rng.permutation(rising[first:last])[:n])
        order = scores.values.argsort(stable=True, descending=self.end == "highest").numpy()[:n]
        return _sorted_ids(images, as_many_of_each_class(images, order, rng) if self.matched else order)


def _sorted_ids(images: ImageSet, positions: np.ndarray) -> Tensor:
    return images.ids[torch.from_numpy(positions.copy())].sort().values


def as_many_of_each_class(images: ImageSet, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return positions of random images, as many of each class as are chosen.

    Examples
    --------
    >>> len(as_many_of_each_class(images, np.array([0, 3, 5]), np.random.default_rng(0)))
    3
    """
    labels = images.labels.numpy()
    wanted = zip(*np.unique(labels[chosen], return_counts=True), strict=True)
    return np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:count] for label, count in wanted])


def arms(rankings: tuple[str, ...], amounts: tuple[float, ...], matched: str = "") -> tuple[Arm, ...]:
    """Return the arms of a sweep: all images, and for each amount random ones, both ends of each ranking, controls.

    Parameters
    ----------
    rankings : tuple of str
        Names of rankings.
    amounts : tuple of float
        Parts that are left out, in (0, 1).
    matched : str
        The ranking whose two ends have a control with their balance of classes, or nothing.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> [arm.name for arm in arms(("raw loss",), (0.3,))]
    ['nothing', 'random', 'highest by raw loss', 'lowest by raw loss']
    """
    found = [Arm()]
    for amount in amounts:
        ends = [Arm(amount, by, end) for by in rankings for end in ENDS]
        found += [Arm(amount), *ends, *(arm.control for arm in ends if arm.by == matched)]
    return tuple(found)


def tenths(ranking: str, amount: float) -> tuple[Arm, ...]:
    """Return the arms by which a score's predictions are tested: all images, and without some of each tenth.

    Parameters
    ----------
    ranking : str
        Its name.
    amount : float
        The part of all images that is left out of a tenth, in (0, 0.1].

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> [arm.name for arm in tenths("EK-FAC", 0.01)][:2]
    ['nothing', 'some of tenth 1 by EK-FAC']
    """
    return (Arm(), *(Arm(amount, ranking, tenth=tenth) for tenth in range(1, TENTHS + 1)))
