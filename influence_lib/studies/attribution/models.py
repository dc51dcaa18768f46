"""Attribution from trained models: TRAK, Datamodels, and influence functions on the loss of a classifier."""

import contextlib
import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.device import resolve_device
from influence_lib.errors import check_integer, check_number, reject
from influence_lib.influence import GaussianNoise, Perturbation, cross_influence
from influence_lib.optional import needed

__all__ = ["AS_IT_IS", "datamodels", "influence_function", "trak"]

AS_IT_IS = GaussianNoise(0.0, 0.0)
BATCH = 50
PENALTIES = 50
PROJECTION_BYTES = 2 * 2**30


def influence_function(
    models: Sequence[nn.Module],
    train: ImageSet,
    targets: ImageSet,
    loss: str = "cross_entropy",
    perturbation: Perturbation = AS_IT_IS,
    factor_pairs: int | None = 1000,
    draws: int = 1,
    device: str = "auto",
) -> Tensor:
    """Return the cross-influence of targets and images by EK-FAC, averaged over models.

    Parameters
    ----------
    models : sequence of nn.Module
        Classifiers for ``loss="cross_entropy"`` (Koh and Liang 2017), encoders for the two-view losses.
    train, targets : ImageSet
        N and T images.
    loss, perturbation, factor_pairs, draws, device
        As in `influence.cross_influence`.

    Returns
    -------
    Tensor
        float32, T×N: positive where training on an image more would lower the target's loss.

    Examples
    --------
    >>> influence_function([classifier], images, targets).shape
    torch.Size([10, 60])
    """
    found = [
        cross_influence(
            model,
            targets,
            train,
            perturbation,
            loss,
            factor_pairs=factor_pairs,
            draws=draws,
            device=device,
            progress=False,
        ).values
        for model in models
    ]
    return torch.stack(found).mean(0)


def trak(
    models: Sequence[nn.Module],
    train: ImageSet,
    targets: ImageSet,
    dimension: int = 512,
    seed: int = 0,
    device: str = "auto",
) -> Tensor:
    """Return TRAK's scores (Park et al. 2023), by the authors' package in float32.

    For each model, gradients of log p/(1 − p) are projected at random; an image's score for a target is the product of
    their projections in the inverse second moment of those of all images. It is averaged over the models, and
    multiplied with the image's mean 1 − p.

    Parameters
    ----------
    models : sequence of nn.Module
        Classifiers: pixels in [0, 1] to logits.
    train, targets : ImageSet
        N and T images with labels.
    dimension : int
        Of the projection, at most N: beyond that the second moment has no inverse.
    seed : int
        Of the projections.
    device : str
        ``"auto"`` or a torch device.

    Returns
    -------
    Tensor
        float32, T×N.

    Raises
    ------
    InputError
        If a value is not allowed, or the package is not installed.

    Examples
    --------
    >>> trak([classifier], images, targets, dimension=16).shape
    torch.Size([10, 60])
    """
    if not models:
        reject("the number of models", 0, "at least 1")
    most = f"a whole number from 1 to the number of images, {len(train)}"
    check_integer("dimension", dimension, 1, len(train), most)
    with needed("TRAK", "run `pip install traker`"):
        from trak import TRAKer
        from trak.projectors import BasicProjector, ProjectionType

    target = resolve_device(device)
    model = copy.deepcopy(models[0]).to(target).eval()  # into which the package loads one checkpoint after the other
    size = sum(parameter.numel() for parameter in model.parameters())
    # drawn once where it fits; in more than one block the package draws every block anew for each batch
    block = max(1, min(dimension, PROJECTION_BYTES // (4 * size)))
    projector = BasicProjector(size, dimension, seed, ProjectionType.normal, target, block)
    projector.free_memory = lambda: None  # a single block would not be drawn again for the targets
    with tempfile.TemporaryDirectory() as folder, _quiet():
        traker = TRAKer(
            model,
            "image_classification",
            len(train),
            save_dir=folder,
            device=target.type,
            projector=projector,
            proj_dim=dimension,
            use_half_precision=False,
            logging_level=logging.ERROR,
        )
        for number, each in enumerate(models):
            traker.load_checkpoint(each.state_dict(), model_id=number)
            for batch in _batches(train, target):
                traker.featurize(batch, num_samples=len(batch[1]))
        traker.finalize_features()
        for number, each in enumerate(models):
            traker.start_scoring_checkpoint("targets", each.state_dict(), number, num_targets=len(targets))
            for batch in _batches(targets, target):
                traker.score(batch, num_samples=len(batch[1]))
        return torch.tensor(np.array(traker.finalize_scores("targets"))).float().T.contiguous()


def _batches(images: ImageSet, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for pixels, labels in zip(images.images.split(BATCH), images.labels.split(BATCH), strict=True):
        yield pixels.to(device).float() / 255, labels.to(device)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the package's bars and remarks to itself."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def datamodels(kept: Tensor, outputs: Tensor, held_out: float = 0.2) -> Tensor:
    """Return Datamodels (Ilyas et al. 2022): for each target a linear model of its margin in which images were there.

    One LASSO a target. Its penalty is the one of a path of 50 with the smallest squared error on the last of the
    trainings, which the fits do not see.

    Parameters
    ----------
    kept : Tensor
        Boolean, m×N: which images each training had.
    outputs : Tensor
        m×T: the margins of the targets after it.
    held_out : float
        The part of the trainings that chooses the penalty, in (0, 1).

    Returns
    -------
    Tensor
        float32, T×N: the weights. All 0 for a target whose margin the trainings do not explain better than its mean.

    Raises
    ------
    InputError
        If there are fewer than 5 trainings, or the numbers differ.

    Examples
    --------
    >>> datamodels(halves.kept, halves.outputs()).shape
    torch.Size([10, 60])
    """
    check_number("held_out", held_out, above=0, most=0.5)
    if len(kept) != len(outputs):
        reject("the number of rows of kept and outputs", f"{len(kept)} and {len(outputs)}", "the same")
    check_integer("the number of trainings", len(kept), 5)
    last = max(1, round(held_out * len(kept)))
    x, y = kept.numpy().astype(np.float64), outputs.numpy().astype(np.float64)
    # centred by what is fitted: the intercept is not penalised
    means = x[:-last].mean(0), y[:-last].mean(0)
    x, y = x - means[0], y - means[1]
    weights = [_lasso(x[:-last], x[-last:], y[:-last, target], y[-last:, target]) for target in range(y.shape[1])]
    return torch.tensor(np.array(weights), dtype=torch.float32)


def _lasso(x: np.ndarray, others: np.ndarray, y: np.ndarray, their: np.ndarray) -> np.ndarray:
    """Return the weights of the path that predict other trainings best."""
    if not np.any(x.T @ y):
        return np.zeros(x.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the smallest penalties, which are not chosen
        most = np.abs(x.T @ y).max() / len(x)  # from which on all weights are 0
        _, path, _ = lasso_path(x, y, alphas=np.geomspace(most, most / 100, PENALTIES))
    errors = np.square(their[:, None] - others @ path).mean(0)
    return path[:, errors.argmin()]
