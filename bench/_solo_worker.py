"""Time solo-learn's own SimCLR trainer, as its CIFAR script sets it up.

`bench/pretrain.py` runs this file with the interpreter of a throw-away environment, the only place where
solo-learn 1.0.2 and the PyTorch Lightning of its time can be imported. It reads uint8 images from a file,
trains, and prints one JSON object as the last line of its output.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl  # type: ignore[import-not-found]  # only in the throw-away environment
import torch
from solo.methods import SimCLR
from solo.utils.pretrain_dataloader import (
    dataset_with_index,
    prepare_dataloader,
    prepare_n_crop_transform,
    prepare_transform,
)
from torchvision.datasets import CIFAR10

PREFETCH = 2
"""Batches that each worker of a `DataLoader` prepares ahead."""


class ArrayCifar(CIFAR10):
    """torchvision's CIFAR-10, with its own way of making items, over images that are in memory."""

    def __init__(self, images: np.ndarray, transform: Any):
        self.data = images
        self.targets = [i % 10 for i in range(len(images))]
        self.transform = transform
        self.target_transform = None


class StepClock(pl.Callback):
    """Note the time at which every training step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Lightning calls this after the optimiser's step."""
        self.ends.append(time.perf_counter())


def loader(images: np.ndarray, batch_size: int, workers: int, batches: int) -> Any:
    """Return solo-learn's loader of two augmented views of each image.

    Parameters
    ----------
    images : ndarray of uint8, N×32×32×3
        Repeated as often as needed: the epoch must not end while the clock runs, because workers that have
        nothing left to prepare would leave the last steps more of the processor.
    batch_size, workers : int
        As in its command line.
    batches : int
        Steps that will be taken.
    """
    transform = prepare_transform(
        "cifar10",
        brightness=0.8,
        contrast=0.8,
        saturation=0.8,
        hue=0.2,
        color_jitter_prob=0.8,
        gray_scale_prob=0.2,
        horizontal_flip_prob=0.5,
        gaussian_prob=0.2,
        solarization_prob=0.2,
        min_scale=0.08,
        max_scale=1.0,
        crop_size=32,
    )
    n = batch_size * (batches + PREFETCH * workers + 1)
    images = np.resize(images, (n, *images.shape[1:]))
    dataset = dataset_with_index(ArrayCifar)(images, prepare_n_crop_transform([transform], [2]))
    return prepare_dataloader(dataset, batch_size=batch_size, num_workers=workers)


def model(batch_size: int, stem_padding: int) -> SimCLR:
    """Return solo-learn's SimCLR with the settings of its CIFAR script.

    Parameters
    ----------
    batch_size : int
        Scales the learning rate, as in its command line.
    stem_padding : {1, 2}
        Padding of the first convolution. solo-learn has 2; 1 gives the usual network.
    """
    method = SimCLR(
        encoder="resnet18",
        backbone_args={"cifar": True, "zero_init_residual": False},
        num_classes=10,
        max_epochs=1000,
        batch_size=batch_size,
        optimizer="sgd",
        extra_optimizer_args={"momentum": 0.9},
        lars=True,
        eta_lars=0.02,
        grad_clip_lars=True,
        exclude_bias_n_norm=True,
        lr=0.4 * batch_size / 256,
        classifier_lr=0.1,
        weight_decay=1e-5,
        accumulate_grad_batches=1,
        scheduler="warmup_cosine",
        warmup_epochs=10,
        warmup_start_lr=0.003,
        min_lr=0.0,
        num_large_crops=2,
        num_small_crops=0,
        temperature=0.2,
        proj_hidden_dim=2048,
        proj_output_dim=256,
    )
    method.encoder.conv1.padding = (stem_padding, stem_padding)
    return method


def main() -> None:
    """Train and print the seconds of every timed step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--stem-padding", type=int, required=True)
    parser.add_argument("--warmup", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    pl.seed_everything(5)  # its script's seed
    steps = options.warmup + options.steps
    clock = StepClock()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        precision=int(options.precision) if options.precision.isdigit() else options.precision,
        max_epochs=1000,
        max_steps=steps,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = loader(np.load(options.images), options.batch_size, options.workers, steps)
    trainer.fit(model(options.batch_size, options.stem_padding), batches)
    seconds = np.diff(clock.ends)[options.warmup - 1 :].tolist()
    print(json.dumps({"seconds": seconds, "lightning": pl.__version__}))


if __name__ == "__main__":
    main()
