"""What stays the same in a comparison of scores."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.influence import (
    Perturbation,
    Scores,
    are_stored,
    cross_influence,
    stored_cross_influence,
    stored_scores,
)

__all__ = ["Scorer"]


@dataclass(frozen=True)
class Scorer:
    """An encoder with the draws of a perturbation, of which different scores are compared.

    Attributes
    ----------
    encoder : nn.Module
        As `influence.self_influence` takes it.
    perturbation : Perturbation
        What makes a view.
    draws, seed : int
        How many draws, and which.
    device : str or torch.device
        ``"auto"`` or a torch device.
    place : {"artifacts", "results"} or None
        Where new scores are stored. None stores nothing, and computes what is asked for each time.

    Examples
    --------
    >>> scorer = Scorer(encoder, influence.GaussianNoise(), draws=4)
    >>> scorer.scores(influence.self_influence, images, curvature="kfac")
    """

    encoder: nn.Module
    perturbation: Perturbation
    draws: int = 2
    seed: int = 0
    device: str | torch.device = "auto"
    place: str | None = None

    def scores(self, score: Callable[..., Scores], images: ImageSet, **changed: Any) -> Scores:
        """Return a score of some images, stored or computed.

        Parameters
        ----------
        score : callable
            `influence.self_influence` or `influence.raw_loss`.
        images : ImageSet
            What is scored.
        **changed
            Further arguments of `score`, or another number of `draws`.
        """
        arguments = self._shared | changed
        if self.place is None:
            return score(self.encoder, images, progress=False, **arguments)
        return stored_scores(score, self.encoder, images, self.place, **arguments)

    def knows(self, score: Callable[..., Scores], images: ImageSet, **changed: Any) -> bool:
        """Return whether the `scores` of these arguments are stored."""
        return are_stored(score, self.encoder, images, **(self._shared | changed))

    def cross(self, queries: ImageSet, images: ImageSet, curvature: str = "ekfac") -> Tensor:
        """Return the cross-influence of queries and images, Q×N, stored or computed."""
        arguments = self._shared | {"curvature": curvature}
        if self.place is None:
            return cross_influence(self.encoder, queries, images, progress=False, **arguments).values
        return stored_cross_influence(self.encoder, queries, images, self.place, **arguments).values

    @property
    def _shared(self) -> dict[str, Any]:
        return {"perturbation": self.perturbation, "draws": self.draws, "seed": self.seed, "device": self.device}
