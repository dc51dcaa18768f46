"""Reader of the CIFAR folders that torchvision downloads: ``cifar-10-batches-py`` and ``cifar-100-python``.

Their files are pickles, which can run any code when they are opened. So each of them is first compared with
the MD5 sum that torchvision publishes for it, and only the known official files are handed to torchvision.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torchvision.datasets.utils import check_integrity

from influence_lib.data.catalogue import CIFAR100_COARSE_LABELS, PublishedSet
from influence_lib.data.source import Picture, Source
from influence_lib.data.subset import Rows
from influence_lib.errors import InputError

__all__ = ["check_files", "has_files", "read_torchvision"]


def has_files(root: Path, published: PublishedSet) -> bool:
    """Return whether torchvision's folder of this set is there."""
    dataset: Any = published.torchvision
    return dataset is not None and (root / dataset.base_folder).is_dir()


def check_files(root: Path, published: PublishedSet) -> None:
    """Reject a folder in which a file is missing or is not the official one.

    Raises
    ------
    InputError
        Naming the file.
    """
    dataset: Any = published.torchvision
    files = [*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])]
    for name, md5 in files:
        path = root / dataset.base_folder / name
        if not path.is_file():
            raise InputError(f"{path} is missing: extract {dataset.filename} in {root} again.")
        if not check_integrity(path, md5):
            raise InputError(
                f"{path} is not the official file (its MD5 differs from {md5}), and as it is a pickle it is "
                f"not opened: extract {dataset.filename} in {root} again."
            )


def read_torchvision(root: Path, published: PublishedSet, split: str) -> Source:
    """Return one split of CIFAR-10 or CIFAR-100 from torchvision's folder.

    Raises
    ------
    InputError
        If a file is missing or is not the official one.
    """
    check_files(root, published)
    dataset: Any = published.torchvision
    with warnings.catch_warnings():
        # the official pickles were written by Python 2 and spell a boolean of numpy's dtype as a number
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        part = dataset(root, train=split == "train", download=False)
    attributes = pd.DataFrame(index=pd.RangeIndex(len(part.targets)))
    if "coarse_label" in published.names:
        coarse = [CIFAR100_COARSE_LABELS[label] for label in part.targets]
        names = pd.Index(published.names["coarse_label"])
        attributes["coarse_label"] = pd.Categorical.from_codes(coarse, categories=names)

    def read(rows: Rows) -> Iterator[Picture]:
        for row in rows:
            yield (
                f"image {row} of {root / dataset.base_folder}",
                torch.from_numpy(part.data[row]).permute(2, 0, 1),
            )

    return Source(
        labels=torch.tensor(part.targets, dtype=torch.int64),
        ids=torch.arange(len(part.targets)),
        attributes=attributes,
        class_names=published.names[published.label],
        read=read,
    )
