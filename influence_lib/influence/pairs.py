"""The pairs of views that a score is made from, batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from influence_lib.data import ImageSet
from influence_lib.influence.gradients import Objective
from influence_lib.influence.losses import two_view_loss
from influence_lib.influence.perturbations import Perturbation, view_pair

__all__ = ["BATCH_SIZE", "FISHERS", "PairBatch", "Pairs"]

FISHERS = ("empirical", "sampled")
BATCH_SIZE = 64
TARGET = 2  # the random stream of sampled targets, beside those of the two views


class PairBatch(NamedTuple):
    """Two views of some images in one draw: B×3×H×W each, on the device, and the images' ids."""

    left: Tensor
    right: Tensor
    ids: list[int]
    draw: int


@dataclass(frozen=True)
class Pairs:
    """Every image in every draw: pair ``draw * N + i`` shows image i.

    Attributes
    ----------
    images : ImageSet
        N images.
    perturbation : Perturbation
        What makes a view.
    views : {"one", "two"}
        Compare (x, x̂) or (x̂, x̂').
    draws, seed : int
        How many draws, and which: an image's views depend on seed, id and draw alone.
    device : torch.device
        Where the batches are put.
    """

    images: ImageSet
    perturbation: Perturbation
    views: str
    draws: int
    seed: int
    device: torch.device

    def __len__(self) -> int:
        return self.draws * len(self.images)

    def batches(self, count: int | None = None) -> Iterator[PairBatch]:
        """Yield all pairs in order, or `count` of them, evenly spaced over all."""
        wanted = len(self) if count is None else min(count, len(self))
        chosen = torch.linspace(0, len(self) - 1, wanted, dtype=torch.float64).long()
        for draw in range(self.draws):
            positions = chosen[chosen // len(self.images) == draw] % len(self.images)
            for part in positions.split(BATCH_SIZE):
                ids = self.images.ids[part].tolist()
                pixels = self.images.images[part].float() / 255
                left, right = view_pair(pixels, ids, self.perturbation, self.views, self.seed, draw)
                yield PairBatch(left.to(self.device), right.to(self.device), ids, draw)

    def objective(self, batch: PairBatch, fisher: str) -> Objective:
        """Return the function whose gradients' second moment is the Fisher matrix.

        Parameters
        ----------
        batch : PairBatch
            Whose targets are drawn, from seed, id and draw.
        fisher : {"empirical", "sampled"}
            The loss itself, or the score of a sampled target: the cosine distance is half a squared distance, so its
            likelihood is a unit Gaussian around the difference of the normalised views, and the second moment of
            ε·∂(difference) with normal ε is the Gauss–Newton matrix.
        """
        if fisher == "empirical":
            return two_view_loss

        def score_of_target(left: Tensor, right: Tensor) -> Tensor:
            difference = F.normalize(left, dim=1) - F.normalize(right, dim=1)
            streams = (np.random.Philox(key=[self.seed, i], counter=[0, 0, batch.draw, TARGET]) for i in batch.ids)
            noise = [np.random.Generator(s).standard_normal(difference.shape[1], dtype=np.float32) for s in streams]
            return (torch.from_numpy(np.stack(noise)).to(difference) * difference).sum(dim=1)

        return score_of_target
