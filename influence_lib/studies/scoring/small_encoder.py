"""An encoder with a few hundred weights, and its scores beside those of the exact matrix."""

from collections import OrderedDict
from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from influence_lib.data import ImageSet
from influence_lib.errors import check_integer
from influence_lib.estimate import Estimate
from influence_lib.influence import GaussianNoise, Scores, raw_loss, self_influence
from influence_lib.pretrain.evaluate import check_images
from influence_lib.studies.scorer import Scorer
from influence_lib.studies.scoring.comparison import beside
from influence_lib.studies.scoring.matrices import default_damping

__all__ = ["AgainstExact", "against_exact", "train_small_encoder"]

STEPS, BATCH, RATE, TEMPERATURE = 200, 100, 0.01, 0.2  # of its training
BASELINES = ("gradient norm", "raw loss")


@dataclass(frozen=True)
class AgainstExact:
    """Scores of an encoder beside the one with the exact matrix.

    Attributes
    ----------
    exact : Scores
        With the empirical Fisher matrix of all weights.
    scores : dict of str to Scores
        The approximations and the baselines.
    table : DataFrame
        One row a score: ``"agreement"``, its rank correlation with the exact score (an `Estimate`); ``"ratio"``, the
        median of its ratio to it, NaN where the units are others; ``"reliability"``.
    """

    exact: Scores
    scores: dict[str, Scores]
    table: pd.DataFrame

    @property
    def best_baseline(self) -> Estimate:
        """The higher rank correlation of the two scores that need no curvature."""
        return max((self.table.loc[name, "agreement"] for name in BASELINES), key=lambda agreement: agreement.value)

    def beyond_baselines(self, name: str) -> bool:
        """Return whether a score ranks clearly more like the exact one than either baseline does."""
        return bool(self.table.loc[name, "agreement"].above(self.best_baseline))


def train_small_encoder(images: ImageSet, noise: GaussianNoise, seed: int = 0) -> nn.Sequential:
    """Train two convolutions and a linear layer to recognise the noisy copy of each image among the copies of others.

    Parameters
    ----------
    images : ImageSet
        Two or more, of 8×8 pixels or more.
    noise : GaussianNoise
        What makes the copies.
    seed : int
        Of the weights, the batches and the noise.

    Returns
    -------
    nn.Sequential
        With the layers ``conv1``, ``conv2`` and ``head``, 672 weights in all, from B×3×H×W to B×8.

    Raises
    ------
    InputError
        If there are fewer than two images, or `seed` is no whole number.

    Examples
    --------
    >>> train_small_encoder(data.load("controlled", n=200, size=16), influence.GaussianNoise())
    """
    check_images("images", images, least=2)
    pixels = images.images.float() / 255
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_integer("seed", seed, 0))
        encoder = untrained()
        optimizer = torch.optim.Adam(encoder.parameters(), lr=RATE)
        for _ in range(STEPS):
            x = pixels[torch.randperm(len(pixels))[:BATCH]]
            x_hat = x + noise.mean + noise.std * torch.randn_like(x)
            z, z_hat = (F.normalize(encoder(view), dim=1) for view in (x, x_hat))
            loss = F.cross_entropy(z @ z_hat.T / TEMPERATURE, torch.arange(len(x)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return encoder


def untrained() -> nn.Sequential:
    """Return the encoder of `train_small_encoder` with the weights that it begins with."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 4, 3, stride=2, padding=1),
            gelu1=nn.GELU(),
            conv2=nn.Conv2d(4, 8, 3, stride=2, padding=1),
            gelu2=nn.GELU(),
            pool=nn.AdaptiveAvgPool2d(2),
            flatten=nn.Flatten(),
            head=nn.Linear(32, 8),
        )
    )


def against_exact(scorer: Scorer, images: ImageSet) -> AgainstExact:
    """Return the scores of a small encoder by several curvatures, all with the damping of the exact one.

    Parameters
    ----------
    scorer : Scorer
        With a small encoder.
    images : ImageSet
        What is scored.

    Raises
    ------
    InputError
        If the encoder has too many weights for the exact matrix.

    Examples
    --------
    >>> against_exact(Scorer(encoder, influence.GaussianNoise()), images).table
    """

    def score(curvature: str, **more: float) -> Scores:
        return scorer.scores(self_influence, images, curvature=curvature, **more)

    norm = score("identity")
    λ = default_damping(norm, scorer.encoder)
    exact = score("exact", damping=λ)
    same_units = {
        "exact, without terms between layers": score("exact-blocks", damping=λ),
        "EK-FAC": score("ekfac", damping=λ),
        "truncated EK-FAC": score("ekfac", damping=λ, rank=16),
        "K-FAC": score("kfac", damping=λ),
        "diagonal": score("diagonal", damping=λ),
    }
    scores = same_units | {
        "LoGra, random": score("logra", rank=4),
        "LoGra, PCA": score("logra-pca", rank=4),
        "gradient norm": norm,
        "raw loss": scorer.scores(raw_loss, images),
    }
    return AgainstExact(exact, scores, beside(exact, scores, list(same_units), scorer.seed))
