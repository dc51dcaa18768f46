"""The pairs of views that a score is made from, batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.errors import reject
from influence_lib.influence.views.gradients import Objective
from influence_lib.influence.views.losses import COSINE, MSE, CrossEntropy, Loss, NTXent, SquaredResidual
from influence_lib.influence.views.perturbations import view_pair
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain import embed

__all__ = ["BATCH_SIZE", "FISHERS", "NEGATIVES", "PairBatch", "Pairs", "build_loss"]

FISHERS = ("empirical", "sampled")
BATCH_SIZE = 32
NEGATIVES = 511  # SimCLR's batch of 256 holds as many views, less the one that looks for its partner
TARGET, NEGATIVE = 2, 3  # random streams of sampled targets and of negatives, beside those of the two views


class PairBatch(NamedTuple):
    """Two views of some images in one draw: B×3×H×W each, on the device; the pairs' indices and the images' ids."""

    left: Tensor
    right: Tensor
    indices: Tensor
    ids: list[int]


def build_loss(
    loss: str,
    encoder: nn.Module,
    images: ImageSet,
    seed: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Loss:
    """Return the loss of a name; SimCLR's gets `NEGATIVES` of the images, drawn from the seed, as its negatives.

    Parameters
    ----------
    loss : {"cosine", "mse", "ntxent", "cross_entropy"}
        The cosine distance, the mean squared difference over the dimensions, SimCLR's loss (`NTXent`), or that of a
        classifier (`CrossEntropy`).
    encoder : nn.Module
        What represents the negatives, or returns a logit for each class.
    images : ImageSet
        What the negatives are drawn from, and what has labels.
    seed : int
        Of the draw.
    device : torch.device
        Where to compute.
    dtype : torch.dtype
        Of the encoder's weights and of the negatives' representations.

    Raises
    ------
    InputError
        If SimCLR's loss is asked of a single image, or a classifier's of images without labels or of other classes.
    """
    if loss == "cross_entropy":
        logits = embed(encoder, images.subset([0]), device=device, dtype=dtype).shape[1]
        if not 0 <= int(images.labels.min()) <= int(images.labels.max()) < logits:
            found = f"from {int(images.labels.min())} to {int(images.labels.max())}"
            reject("the range of labels", found, f"within 0 to {logits - 1} with loss = 'cross_entropy'")
        return CrossEntropy(images.ids, images.labels)
    if loss != "ntxent":
        return {"cosine": COSINE, "mse": MSE}[loss]
    if len(images) < 2:
        reject("the number of images", len(images), "at least 2 with loss = 'ntxent', which tells images apart")
    rng = np.random.Generator(np.random.Philox(key=[seed, 0], counter=[0, 0, 0, NEGATIVE]))
    # from the sorted ids, so that the order of the images does not matter
    chosen = rng.permutation(len(images))[:NEGATIVES]
    negatives = images.subset(images.ids.argsort()[torch.from_numpy(chosen)])
    return NTXent(embed(encoder, negatives, device=device, dtype=dtype).to(device), negatives.ids)


@dataclass(frozen=True)
class Pairs:
    """Every image in every draw: pair ``draw * N + i`` shows image i.

    Attributes
    ----------
    images : ImageSet
        N images.
    views : TwoViews
        Which views of them, in how many draws.
    device : torch.device
        Where the batches are put.
    dtype : torch.dtype
        Of the batches. The views themselves are drawn in float32, so that they are the same in any.
    """

    images: ImageSet
    views: TwoViews
    device: torch.device
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return self.views.draws * len(self.images)

    def spaced(self, count: int | None) -> Tensor:
        """Return the indices of all pairs, or of `count` of them, evenly spaced."""
        wanted = len(self) if count is None else min(count, len(self))
        return torch.linspace(0, len(self) - 1, wanted, dtype=torch.float64).long()

    def identify(self, indices: Tensor) -> tuple[list[int], list[int]]:
        """Return the ids of the images of these pairs, and the draws."""
        return self.images.ids[indices % len(self.images)].tolist(), (indices // len(self.images)).tolist()

    def batch(self, indices: Tensor) -> PairBatch:
        """Return the pairs of these indices, which are of one draw."""
        ids, (draw, *_) = self.identify(indices)
        pixels = self.images.images[indices % len(self.images)].float() / 255
        left, right = view_pair(pixels, ids, self.views.perturbation, self.views.views, self.views.seed, draw)
        return PairBatch(self._moved(left), self._moved(right), indices, ids)

    def batches(self, indices: Tensor, start: int = 0) -> Iterator[PairBatch]:
        """Yield the pairs of these indices in order, `BATCH_SIZE` of one draw at a time, from the batch `start` on."""
        draws = indices.split(torch.unique_consecutive(indices // len(self.images), return_counts=True)[1].tolist())
        for part in [part for draw in draws for part in draw.split(BATCH_SIZE)][start:]:
            yield self.batch(part)

    def _moved(self, view: Tensor) -> Tensor:
        """Put a view on the device; from pinned memory, so that a GPU does not wait for it."""
        view = view.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return (
            view.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else view.to(self.device)
        )

    def objective(self, loss: Loss, indices: Tensor, fisher: str = "empirical") -> Objective:
        """Return the function of the representations whose gradients are taken.

        The loss of an image whose representations agree but for rounding is put to zero, and its gradient with it
        (`SquaredResidual.stationary`): it has no influence. Not so with SimCLR's loss, whose negatives move both views
        alike. Sampled targets stay: their second moment is made of the encoder's derivatives, which need not agree.

        Parameters
        ----------
        loss : Loss
            What is differentiated.
        indices : Tensor
            Of the pairs; sampled targets are drawn from seed, id and draw.
        fisher : {"empirical", "sampled"}
            The loss itself, or the score of a sampled target: the second moment of its gradients is the Gauss–Newton
            matrix.
        """
        ids, draws = self.identify(indices)
        if fisher == "empirical":

            def loss_of_views(left: Tensor, right: Tensor) -> Tensor:
                values = loss.values(left, right, ids)
                return (
                    torch.where(loss.stationary(left, right), 0, values)
                    if isinstance(loss, SquaredResidual)
                    else values
                )

            return loss_of_views

        def score_of_target(left: Tensor, right: Tensor) -> Tensor:
            keys = zip(ids, draws, strict=True)
            streams = [np.random.Philox(key=[self.views.seed, i], counter=[0, 0, draw, TARGET]) for i, draw in keys]
            return loss.sampled(left, right, ids, [np.random.Generator(stream) for stream in streams])

        return score_of_target
