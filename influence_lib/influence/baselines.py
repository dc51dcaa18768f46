"""Scores that need neither gradient nor curvature, which an influence score has to be compared with."""

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from influence_lib.data import ImageSet, image_statistics
from influence_lib.device import resolve_device
from influence_lib.errors import check_integer
from influence_lib.influence.neighbours import nearest_others
from influence_lib.influence.scores import Scores, checked, score_settings
from influence_lib.influence.views.pairs import Pairs, build_loss
from influence_lib.influence.views.perturbations import GaussianNoise, Perturbation
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain import embed
from influence_lib.pretrain.evaluate import check_images
from influence_lib.pretrain.representations import prepare, represent

__all__ = ["embedding_norm", "knn_distance", "random_score", "raw_loss", "statistic_scores"]


@torch.no_grad()
def raw_loss(
    encoder: nn.Module,
    images: ImageSet,
    perturbation: Perturbation = GaussianNoise(0.05, 0.2),  # noqa: B008 - frozen
    loss: str = "cosine",
    views: str = "one",
    draws: int = 1,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: bool = True,
) -> Scores:
    """Return the loss itself of every image: the baseline with no gradient and no curvature.

    The parameters are those of `self_influence`, and the same seed gives the same perturbed images.

    Raises
    ------
    InputError
        If a value is not allowed.
    FloatingPointError
        If a loss is not finite; the sentence names the first image.

    Examples
    --------
    >>> raw_loss(encoder, images, draws=2).highest(10)
    """
    two_views = TwoViews(perturbation, loss, views, draws, seed)
    settings = score_settings(images, two_views, score="raw loss")
    pairs = Pairs(images, two_views, resolve_device(device))
    encoder = prepare(encoder, images, pairs.device)
    form, values = build_loss(loss, encoder, images, seed, pairs.device), []
    with tqdm(total=len(pairs), unit="pair", desc="raw loss", disable=not progress) as bar:
        for batch in pairs.batches(pairs.spaced(None)):
            left, right = represent(encoder, batch.left), represent(encoder, batch.right)
            values.append(form.values(left, right, batch.ids).float())
            bar.update(len(batch.ids))
    return checked(torch.cat(values).cpu().view(draws, -1), images, settings)


def random_score(images: ImageSet, draws: int = 1, seed: int = 0) -> Scores:
    """Return a uniform random score in [0, 1): the baseline that knows nothing.

    Parameters
    ----------
    images : ImageSet
        The images; only their number and ids matter.
    draws : int
        How many independent scores are averaged, as in `self_influence`.
    seed : int
        Of the scores.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> rank_agreement(scores, random_score(images))
    """
    check_images("images", images)
    draws, seed = check_integer("draws", draws), check_integer("seed", seed, 0)
    rng = np.random.default_rng([seed, 1])
    by_draw = torch.from_numpy(rng.random((draws, len(images)), dtype=np.float32))
    return Scores(by_draw, images.ids, {"score": "random", "draws": draws, "seed": seed, "data": images.describe()})


def statistic_scores(images: ImageSet, progress: bool = True) -> dict[str, Scores]:
    """Return every statistic of `data.image_statistics` as a score, to be compared with others.

    Returns
    -------
    dict of str to Scores
        Statistic → its value of each image; one draw, as nothing is random.

    Raises
    ------
    InputError
        If there are no images.

    Examples
    --------
    >>> statistic_scores(images)["brightness"].highest(10)
    """
    check_images("images", images)
    table = image_statistics(images, progress)
    return {
        str(name): Scores(
            torch.from_numpy(table[name].to_numpy(np.float32))[None],
            images.ids,
            {"score": name, "data": images.describe()},
        )
        for name in table
    }


def embedding_norm(
    encoder: nn.Module, images: ImageSet, device: str | torch.device = "auto", progress: bool = True
) -> Scores:
    """Return the Euclidean norm of every image's representation, ‖f(x)‖ ≥ 0.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D; B×D×1×1 is flattened. Scored in eval mode.
    images : ImageSet
        The images to score.
    device : str or torch.device
        ``"auto"`` or a torch device.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Scores
        One draw, as nothing is random: `by_draw` is float32, 1×N, in the units of the representation.

    Raises
    ------
    InputError
        If there are no images.
    FloatingPointError
        If a representation is not finite; the sentence names the first image.

    Examples
    --------
    >>> embedding_norm(encoder, images).lowest(10)
    """
    features = embed(encoder, images, device=device, progress=progress)
    return Scores(features.norm(dim=1)[None], images.ids, {"score": "embedding norm", "data": images.describe()})


def knn_distance(
    encoder: nn.Module, images: ImageSet, k: int = 20, device: str | torch.device = "auto", progress: bool = True
) -> Scores:
    """Return the mean cosine distance of every image's representation to its k nearest others.

    An image is not its own neighbour, an exact copy of it is, at a distance of 0; see `nearest_others`.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D; B×D×1×1 is flattened. Scored in eval mode.
    images : ImageSet
        The N images to score, which are also the neighbours.
    k : int
        Number of neighbours, at most N − 1.
    device : str or torch.device
        ``"auto"`` or a torch device.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    Scores
        One draw, as nothing is random: `by_draw` is float32, 1×N, in [0, 2].

    Raises
    ------
    InputError
        If `k` is not allowed.
    FloatingPointError
        If a representation is not finite; the sentence names the first image.

    Examples
    --------
    >>> knn_distance(encoder, images, k=5).highest(10)
    """
    check_images("images", images, least=2)
    features = embed(encoder, images, device=device, progress=progress)
    distances, _ = nearest_others(features, k, device, progress)
    settings = {"score": "kNN distance", "k": distances.shape[1], "data": images.describe()}
    return Scores(distances.mean(dim=1)[None], images.ids, settings)
