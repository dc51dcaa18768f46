"""Which factor of the score bends it: a product of five, whose logarithms add up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from influence_lib.errors import InputError, check_number
from influence_lib.estimate import bootstrapped
from influence_lib.influence import Scores
from influence_lib.influence.agreement import check_comparable, spearman
from influence_lib.studies.bend.curve import by_decile, logarithms_of
from influence_lib.studies.bend.gradients import GradientParts

__all__ = ["FACTORS", "BendingFactors", "bending_factors", "curves", "factors_of_score", "layer_shares"]

Array = npt.NDArray[np.float64]

FACTORS = ("L(2 − L)", "1/‖z‖² + 1/‖ẑ‖²", "gain of the Jacobians", "left after cancelling", "curvature")
"""The factors of `factors_of_score`."""

LEAST = 4  # images on either side of a loss


def factors_of_score(parts: GradientParts, score: Scores) -> dict[str, Scores]:
    """Return the five factors whose product is a score, each averaged over the draws before they are divided.

    With g = g_x + g_x̂ (`GradientParts`):

    - ``"L(2 − L)"``: the squared sine of the angle between z and ẑ;
    - ``"1/‖z‖² + 1/‖ẑ‖²"``: makes of it ‖∂L/∂z‖² + ‖∂L/∂ẑ‖²;
    - ``"gain of the Jacobians"``: (‖g_x‖² + ‖g_x̂‖²) over that, a mean squared gain from there to the weights;
    - ``"left after cancelling"``: ‖g‖² / (‖g_x‖² + ‖g_x̂‖²), in [0, 2]: 1 where the two are orthogonal, L where both
      Jacobians are one isometry and both representations have one length;
    - ``"curvature"``: the score over ‖g‖².

    Parameters
    ----------
    parts : GradientParts
        Of the images.
    score : Scores
        Of the same images and draws.

    Raises
    ------
    InputError
        If the images or draws differ, or a factor of an image is not above 0, as where its two views agree.

    Examples
    --------
    >>> factors_of_score(parts, ekfac)["left after cancelling"].values.median()
    """
    if len(score.by_draw) != len(parts.loss):
        raise InputError(f"the score has {len(score.by_draw)} draws and the gradient {len(parts.loss)}, not the same.")
    losses = Scores(parts.loss, parts.ids, {})
    check_comparable(losses, score)
    mean = [
        values.double().mean(dim=0)
        for values in (
            parts.loss * (2 - parts.loss),
            parts.of_representations,
            parts.through_x + parts.through_x_hat,
            parts.squared_norm,
            score.by_draw,
        )
    ]
    ratios = [mean[0], *(after / before for before, after in pairwise(mean))]
    found = {name: Scores(ratio[None], parts.ids, {}) for name, ratio in zip(FACTORS, ratios, strict=True)}
    for name, factor in found.items():
        logarithms_of(f"the factor {name!r}", factor)
    return found


def curves(parts: GradientParts, score: Scores, seed: int = 0) -> dict[str, dict[str, pd.DataFrame]]:
    """Return how a score and its factors go with the loss, by tenths of the images, for `figures.decile_curves`.

    Parameters
    ----------
    parts, score, seed
        Those of `bending_factors`.

    Returns
    -------
    dict of str to dict of str to DataFrame
        Two titles → name → `by_decile`. Beside the score and ‖g‖² stands L²(2 − L), what ‖g‖² is in proportion to
        where both Jacobians are one isometry and all representations have one length.

    Raises
    ------
    InputError
        As `factors_of_score` and `by_decile` do.

    Examples
    --------
    >>> figures.decile_curves(curves(parts, ekfac))
    """
    factors = factors_of_score(parts, score)
    whole = {
        "score": score,
        "‖g‖²": Scores(parts.squared_norm, parts.ids, {}),
        "L²(2 − L): equal Jacobians": Scores(parts.loss**2 * (2 - parts.loss), parts.ids, {}),
    }
    loss = Scores(parts.loss, parts.ids, {})
    panels = {"the score and the gradient": whole, "the factors of the score": factors}
    return {title: {n: by_decile(each, loss, seed) for n, each in panel.items()} for title, panel in panels.items()}


@dataclass(frozen=True)
class BendingFactors:
    """How the factors of a score go with the loss below and above some loss.

    Attributes
    ----------
    at : float
        The loss.
    table : DataFrame
        A row for each of `FACTORS` and a last one, ``"score"``; columns, each an `Estimate` with its interval over
        images: ``"correlation below"`` and ``"correlation above"``, rank correlations with the loss; ``"slope below"``
        and ``"slope above"``, of the logarithm on that of the loss, by least squares; ``"change"``, the second minus
        the first. In the last three the rows of the factors add up to that of the score.
    """

    at: float
    table: pd.DataFrame

    @property
    def falls_most(self) -> str:
        """The factor whose slope falls most from below to above."""
        return min(FACTORS, key=lambda name: self.table.loc[name, "change"].value)


def bending_factors(parts: GradientParts, score: Scores, at: float, seed: int = 0) -> BendingFactors:
    """Return how the factors of a score go with the loss below and above some loss.

    Parameters
    ----------
    parts : GradientParts
        Of the images.
    score : Scores
        Of the same images and draws.
    at : float
        The loss that separates the images, with four or more on either side; see `find_bend`.
    seed : int
        Of the bootstrap over images.

    Raises
    ------
    InputError
        If the images or draws differ, a factor is not above 0, or there are too few images on one side.

    Examples
    --------
    >>> bending_factors(parts, ekfac, at=0.3).falls_most
    """
    factors = factors_of_score(parts, score)
    return BendingFactors(at, _against_loss({**factors, "score": score}, parts, at, seed))


def layer_shares(parts: GradientParts, at: float, seed: int = 0) -> pd.DataFrame:
    """Return each layer's share of ‖g‖² below and above some loss.

    Returns
    -------
    DataFrame
        A row for each layer; ``"below"`` and ``"above"``, the mean share over the images there (float64; they add up
        to 1), and ``"with the loss"``, the rank correlation of the share with the loss over all images, an `Estimate`.

    Raises
    ------
    InputError
        If there are too few images on one side, or the gradient of an image is 0.

    Examples
    --------
    >>> layer_shares(parts, at=0.3)["above"].idxmax()
    """
    loss = parts.loss.double().mean(dim=0).numpy()
    sides = _sides(loss, at)
    layers = torch.stack([*parts.by_layer.values()]).double().numpy()
    if not (layers.sum(axis=0) > 0).all():
        raise InputError("the gradient of an image is 0, as of one whose two views agree, so its layers have no share.")
    shares = layers / layers.sum(axis=0)
    return pd.DataFrame(
        {
            **{side: shares[:, images].mean(axis=1) for side, images in sides.items()},
            "with the loss": [bootstrapped(spearman, (share, loss), seed=seed) for share in shares],
        },
        index=list(parts.by_layer),
    )


def _against_loss(values: Mapping[str, Scores], parts: GradientParts, at: float, seed: int) -> pd.DataFrame:
    """Return the rank correlation and the log-log slope of values with the loss on either side of `at`."""
    loss = parts.loss.double().mean(dim=0).numpy()
    sides = _sides(loss, at)
    x = np.log(loss)
    rows = {}
    for name, each in values.items():
        y = logarithms_of(name, each)
        within = {
            f"{what} {side}": bootstrapped(statistic, (x[images], y[images]), seed=seed)
            for what, statistic in (("correlation", spearman), ("slope", _slope))
            for side, images in sides.items()
        }
        change = bootstrapped(_change(x, y, sides["above"]), (np.arange(len(x)),), seed=seed)
        rows[name] = {**within, "change": change}
    return pd.DataFrame.from_dict(rows, orient="index")


def _sides(loss: Array, at: float) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which images have a loss below `at`, and which do not."""
    sides = {"below": loss < check_number("at", at), "above": loss >= at}
    for side, images in sides.items():
        if images.sum() < LEAST:
            raise InputError(f"at is {at:g}, but {LEAST} images or more must lie {side} it, and {images.sum()} do.")
    return sides


def _slope(x: Array, y: Array, axis: int = -1) -> Array:
    """Return the least-squares slope of y on x along an axis."""
    x, y = (each - each.mean(axis=axis, keepdims=True) for each in (x, y))
    return (x * y).sum(axis=axis) / (x**2).sum(axis=axis)


def _change(x: Array, y: Array, above: npt.NDArray[np.bool_]) -> Callable[..., Array]:
    """Return the statistic of resampled images that is the slope above minus the slope below."""

    def weighted(images: npt.NDArray[np.intp], side: npt.NDArray[np.bool_]) -> Array:
        inside = side[images]
        count = inside.sum(axis=-1, keepdims=True)
        a, b = (np.where(inside, each[images], 0) for each in (x, y))
        a, b = (np.where(inside, each - each.sum(axis=-1, keepdims=True) / count, 0) for each in (a, b))
        return (a * b).sum(axis=-1) / (a**2).sum(axis=-1)

    return lambda images, axis=-1: weighted(images, above) - weighted(images, ~above)
