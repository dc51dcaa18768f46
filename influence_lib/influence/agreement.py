"""How far two scores agree."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.stats import rankdata

from influence_lib.errors import InputError, check_integer, reject
from influence_lib.estimate import Estimate, bootstrapped
from influence_lib.influence.scores import Scores

__all__ = [
    "check_comparable",
    "corrected_agreement",
    "partial_agreement",
    "percentile_difference",
    "percentiles",
    "rank_agreement",
    "spearman",
    "top_overlap",
]


def rank_agreement(a: Scores, b: Scores, seed: int = 0) -> Estimate:
    """Return the Spearman correlation of two scores of the same images, in [−1, 1], with its interval over images.

    It is NaN where one of the scores is the same for all images.

    Parameters
    ----------
    a, b : Scores
        Scores of the same images, in the same order.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        If the scores are of different images.

    Examples
    --------
    >>> f"{rank_agreement(scores, scores):.2f}"
    '1.00 [1.00, 1.00]'
    """
    check_comparable(a, b)
    _check_number(a)
    return bootstrapped(spearman, (a.values.numpy(), b.values.numpy()), seed=seed)


def partial_agreement(a: Scores, b: Scores, given: Sequence[Scores], seed: int = 0) -> Estimate:
    """Return the Spearman correlation of two scores that is left when others are known.

    The ranks of both are regressed on the ranks of `given` (least squares with an intercept), and what the regressions
    leave is correlated. 0 means that `a` and `b` agree no more than their relation to `given` explains, as far as that
    is linear in the ranks.

    Parameters
    ----------
    a, b : Scores
        Scores of the same images, in the same order.
    given : sequence of Scores
        Of the same images; with none of them this is `rank_agreement`.
    seed : int
        Of the bootstrap over images.

    Raises
    ------
    InputError
        If the scores are of different images, or `given` determines the ranks of one of the two.

    Examples
    --------
    >>> partial_agreement(scores, loss, given=[norm]).value
    """
    for other in (b, *check_several("given", given)):
        check_comparable(a, other)
    _check_number(a)
    values = np.stack([score.values.numpy() for score in (a, b, *given)])

    def statistic(images: np.ndarray, axis: int = -1) -> np.ndarray:
        ranks = ranked(values[:, images])
        x, y, *known = ranks - ranks.mean(axis=-1, keepdims=True)
        return _partial(x, y, np.stack(known, axis=-2)) if known else spearman(x, y)

    everything = np.arange(len(a))
    if np.isnan(statistic(everything)):
        raise InputError("the ranks of one of the scores follow from the given ones: nothing is left to correlate.")
    return bootstrapped(statistic, (everything,), seed=seed)


def _partial(x: np.ndarray, y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the correlation of what centred x and y, …×N, have beyond the rows of `known`, …×K×N; else NaN."""
    # an orthonormal basis of what is known, without the directions that are rounding errors
    basis, strength, _ = np.linalg.svd(np.swapaxes(known, -1, -2), full_matrices=False)
    basis = basis * (strength > 1e-9 * strength.max(axis=-1, keepdims=True))[..., None, :]

    def rest(values: np.ndarray) -> np.ndarray:
        return values - (basis @ (np.swapaxes(basis, -1, -2) @ values[..., None]))[..., 0]

    rest_x, rest_y = rest(x), rest(y)
    power_x, power_y = (rest_x**2).sum(axis=-1), (rest_y**2).sum(axis=-1)
    nothing = (power_x <= 1e-9 * (x**2).sum(axis=-1)) | (power_y <= 1e-9 * (y**2).sum(axis=-1))
    product = np.where(nothing, np.nan, power_x * power_y)
    return (rest_x * rest_y).sum(axis=-1) / np.sqrt(product)


def corrected_agreement(a: Scores, b: Scores, seed: int = 0) -> Estimate:
    """Return the rank correlation of two scores with the noise of the draws taken out.

    Scores that are averaged over the same draws share their noise, which raises their correlation, and are noisy
    themselves, which lowers it. So each is averaged over half of the draws and compared with the other on the other
    half, and the result is divided by √(r_a r_b), where r is a score's correlation with itself between the halves
    (Spearman's correction for attenuation). As the draws are independent, this is the linear correlation of the ranks
    that the images have in expectation over the noise.

    Parameters
    ----------
    a, b : Scores
        Scores of the same images and draws, two or more. An odd draw, the last, is left out.
    seed : int
        Of the bootstrap over images.

    Returns
    -------
    Estimate
        1 where the images have the same expected ranks in both; by chance it can lie above.

    Raises
    ------
    InputError
        If the scores are of different images or draws, there are fewer than two, or one is only noise.

    Examples
    --------
    >>> corrected_agreement(scores, loss).below(1)
    """
    _check_same_draws(a, b)
    _check_number(a)
    if any(bool((scores.by_draw == scores.by_draw[:, :1]).all()) for scores in (a, b)):
        raise InputError("one of the scores is the same for all images: it has no ranks to correlate.")
    if len(a.by_draw) < 2:
        raise InputError("the scores have 1 draw, but the correction for its noise needs 2 or more.")

    def statistic(images: np.ndarray, axis: int = -1) -> np.ndarray:
        return _corrected(a.by_draw.numpy()[:, images], b.by_draw.numpy()[:, images])

    everything = np.arange(len(a))
    if np.isnan(statistic(everything)):
        raise InputError("one of the scores does not agree with itself between draws: there is nothing but noise.")
    return bootstrapped(statistic, (everything,), seed=seed)


def _corrected(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the corrected correlation over the last axis of scores draws×…×N, NaN where a reliability is not positive.

    Each draw is in either half equally often.
    """
    half = len(a) // 2
    across, within_a, within_b = np.zeros((3, *a.shape[1:-1]))
    for shift in range(half):
        order = (np.arange(2 * half) + shift) % (2 * half)
        (a1, a2), (b1, b2) = ([s[part].mean(axis=0) for part in (order[:half], order[half:])] for s in (a, b))
        across += (spearman(a1, b2) + spearman(a2, b1)) / 2
        within_a += spearman(a1, a2)
        within_b += spearman(b1, b2)
    noise = np.minimum(within_a, within_b) <= 0
    return np.where(noise, np.nan, across / np.sqrt(np.where(noise, np.nan, within_a * within_b)))


def percentile_difference(a: Scores, b: Scores) -> Scores:
    """Return by how many percentiles every image ranks higher by one score than by another, in each draw.

    Parameters
    ----------
    a, b : Scores
        Scores of the same images and draws.

    Returns
    -------
    Scores
        In (−100, 100), positive where `a` ranks the image higher. Their reliability says how much of the difference is
        about the images.

    Raises
    ------
    InputError
        If the scores are of different images or draws.

    Examples
    --------
    >>> percentile_difference(scores, loss).highest(10)
    """
    _check_same_draws(a, b)
    ranks_a, ranks_b = (ranked(scores.by_draw.numpy()) for scores in (a, b))
    by_draw = torch.from_numpy(100 / len(a) * (ranks_a - ranks_b)).float()
    settings = {"score": "percentile difference", "of": [dict(a.settings), dict(b.settings)]}
    data = {"data": a.settings["data"]} if "data" in a.settings else {}
    return Scores(by_draw, a.ids, settings | data)


def top_overlap(a: Scores, b: Scores, k: int) -> float:
    """Return the fraction of the `k` highest images of `a` that are among the `k` highest of `b`.

    Raises
    ------
    InputError
        If the scores are of different images, or `k` is no number of them.

    Examples
    --------
    >>> top_overlap(scores, scores, k=10)
    1.0
    """
    check_comparable(a, b)
    k = check_integer("k", k, 1, len(a), f"a whole number between 1 and the number of images, {len(a)}")
    return float(torch.isin(a.highest(k), b.highest(k)).float().mean())


def ranked(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return ranks from 1 along an axis, ties shared, in float64 whatever the dtype of the values is."""
    return rankdata(values.astype(np.float64), axis=axis)


def percentiles(scores: Scores) -> np.ndarray:
    """Return the percentile of each image among all, float64 in (0, 100), ties shared.

    Examples
    --------
    >>> percentiles(scores).mean()
    50.0
    """
    return 100 * (ranked(scores.values.numpy()) - 0.5) / len(scores)


def spearman(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the rank correlation along an axis."""
    ranks = (ranked(values, axis) for values in (x, y))
    x, y = (each - each.mean(axis=axis, keepdims=True) for each in ranks)
    with np.errstate(invalid="ignore"):  # NaN where all images tie
        return (x * y).sum(axis=axis) / np.sqrt((x**2).sum(axis=axis) * (y**2).sum(axis=axis))


def check_comparable(a: Scores, b: Scores) -> None:
    """Refuse scores of different images, in another order, or that are not finite.

    Images are the same where their ids and, as far as both scores say it, their pixels and labels are.

    Raises
    ------
    InputError
        If they are not to be put together.
    """
    for scores in (a, b):
        if not isinstance(scores, Scores):
            reject("scores", type(scores).__name__, "Scores, as self_influence returns them")
    difference = _different_ids(a.ids.tolist(), b.ids.tolist()) or _different_data(a.settings, b.settings)
    if difference:
        raise InputError(f"the two scores are of different images ({difference}): score the same image set twice.")
    for scores in (a, b):
        bad = ~torch.isfinite(scores.by_draw).all(dim=0)
        if bad.any():
            raise InputError(
                f"the scores of {int(bad.sum())} images are not finite, the first of them id {int(scores.ids[bad][0])}."
            )


def check_several(name: str, scores: Sequence[Scores]) -> Sequence[Scores]:
    """Return a sequence of scores; a single one is none.

    Raises
    ------
    InputError
        If it is no sequence.
    """
    if not isinstance(scores, Sequence) or isinstance(scores, str):
        reject(name, type(scores).__name__, "a list of Scores")
    return scores


def _different_ids(a: Sequence[int], b: Sequence[int]) -> str:
    """Return how two lists of ids differ, or nothing."""
    if len(a) != len(b):
        return f"{len(a)} and {len(b)}"
    if a != b and sorted(a) == sorted(b):
        return "the same ids in another order"
    return next((f"ids {i} and {j} in the same place" for i, j in zip(a, b, strict=True) if i != j), "")


def _different_data(a: Mapping[str, object], b: Mapping[str, object]) -> str:
    """Return how the descriptions of two image sets in settings differ, or nothing where one is not there."""
    one, other = a.get("data"), b.get("data")
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return ""
    keys = ["fingerprint"] if "fingerprint" in one and "fingerprint" in other else ["name", "split"]
    if all(one.get(key) == other.get(key) for key in keys if key in one and key in other):
        return ""
    first, second = (" ".join(str(data.get(key, "?")) for key in ("name", "split")) for data in (one, other))
    return f"{first} and {second}" if first != second else f"{first} twice, with other pixels or labels"


def _check_same_draws(a: Scores, b: Scores) -> None:
    check_comparable(a, b)
    if len(a.by_draw) != len(b.by_draw):
        raise InputError(f"the two scores have {len(a.by_draw)} and {len(b.by_draw)} draws, but it must be the same.")


def _check_number(a: Scores) -> None:
    if len(a) < 2:
        raise InputError(f"the scores are of {len(a)} images, but a rank correlation needs 2 or more.")
