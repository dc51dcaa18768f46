"""Scores that need neither gradient nor curvature, which an influence score has to be compared with."""

import copy

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from influence_lib.data import ImageSet
from influence_lib.device import resolve_device
from influence_lib.influence.pairs import Pairs, build_loss
from influence_lib.influence.perturbations import GaussianNoise, Perturbation
from influence_lib.influence.scores import Scores, checked, score_settings

__all__ = ["random_score", "raw_loss"]


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
    """
    settings = score_settings(images, perturbation, loss, views, draws, seed, score="raw loss")
    pairs = Pairs(images, perturbation, views, draws, seed, resolve_device(device))
    encoder = copy.deepcopy(encoder).to(pairs.device).eval()  # the caller's keeps its device and mode
    form, values = build_loss(loss, encoder, images, seed, pairs.device), []
    with tqdm(total=len(pairs), unit="pair", desc="raw loss", disable=not progress) as bar:
        for batch in pairs.batches(pairs.spaced(None)):
            values.append(form.values(encoder(batch.left).float(), encoder(batch.right).float(), batch.ids))
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
    """
    rng = np.random.default_rng([seed, 1])
    by_draw = torch.from_numpy(rng.random((draws, len(images)), dtype=np.float32))
    return Scores(by_draw, images.ids, {"score": "random", "draws": draws, "seed": seed, "data": images.describe()})
