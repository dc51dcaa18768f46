"""Readers of what may be damaged: each returns what is wrong with what it has read, or None."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from influence_lib import store
from influence_lib.data import ImageSet, load
from influence_lib.pretrain import load_checkpoint, loop
from influence_lib.pretrain.encoders import Encoder
from tests.campaign import work

SIDE = 16
EXPECTED = "expected"  # the file with the hash of what was stored, beside it


def resized(folder: Path) -> str | None:
    """Read a folder of two images in one size."""
    return _wrong_images(load("folder", root=folder, size=SIDE), (2, 3, SIDE, SIDE))


def as_they_are(folder: Path) -> str | None:
    """Read a folder of two images that should be of one size."""
    images = load("folder", root=folder)
    return _wrong_images(images, (2, 3, *images.images.shape[2:]))


def parquet(folder: Path) -> str | None:
    """Read a CIFAR-10 of four images."""
    images = load("cifar10", root=folder, size=SIDE)
    if not ((images.labels >= 0) & (images.labels < 10)).all():
        return f"labels {images.labels.tolist()}"
    return _wrong_images(images, (4, 3, SIDE, SIDE))


def _wrong_images(images: ImageSet, shape: tuple[int, ...]) -> str | None:
    found = images.images
    if found.dtype is torch.uint8 and found.shape == shape and len(images.labels) == len(images.ids) == len(found):
        return None
    return f"images of type {found.dtype} and shape {tuple(found.shape)}"


def solo_learn(folder: Path) -> str | None:
    """Load a solo-learn checkpoint."""
    return _wrong_encoder(load_checkpoint(folder / "simclr.ckpt"))


def solo_learn_projector(folder: Path) -> str | None:
    """Load a solo-learn checkpoint with its projector."""
    return _wrong_encoder(load_checkpoint(folder / "simclr.ckpt", projector=True))


def checkpoint(folder: Path) -> str | None:
    """Load the encoder of a checkpoint folder."""
    return _wrong_encoder(load_checkpoint(folder / "training"))


def resumed(folder: Path) -> str | None:
    """Go on with a training that is at its end."""
    training = work.training("simclr")
    return _wrong_encoder(loop.pretrain(work.images(), checkpoint=folder / "training", **training))


def stored_encoder(folder: Path) -> str | None:
    """Load an encoder among the stored results by its name."""
    work.in_folder(folder)
    return _wrong_encoder(load_checkpoint("simclr-noise"))


def _wrong_encoder(encoder: Encoder) -> str | None:
    with torch.no_grad():
        shape = encoder(torch.zeros(2, 3, SIDE, SIDE)).shape
    if len(shape) != 2 or shape[0] != 2:
        return f"an encoder whose output has the shape {tuple(shape)}"
    return _wrong_tensors(encoder.state_dict().values())


def _wrong_tensors(tensors: Iterable[Tensor]) -> str | None:
    for tensor in tensors:
        if tensor.is_floating_point() and (tensor.dtype is not torch.float32 or not tensor.isfinite().all()):
            return f"weights of type {tensor.dtype} that are not all finite, or not float32"
    return None


def stored_values(folder: Path) -> str | None:
    """Load a stored result; its checksums leave no other values than those stored."""
    store.entries(folder)
    (result,) = folder.glob("artifacts/values/[!.]*")
    store.load(result)
    return _other_than_expected(work.store_values(folder, megabytes=1), folder)


def scored(folder: Path) -> str | None:
    """Go on with a score whose batches are all finished."""
    return _other_than_expected(work.score(folder, curvature="ekfac"), folder)


def _other_than_expected(found: str, folder: Path) -> str | None:
    return None if found == (folder / EXPECTED).read_text() else "other values than those that were written"
