"""Whether an encoder has learned what its groups are told apart by."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import nn

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.estimate import Estimate
from influence_lib.pretrain import fingerprint, linear_accuracy
from influence_lib.studies.fairness.audit import groups_of

__all__ = ["attribute_accuracies"]

REVISION = 1  # of what is measured; see `store.revision`


def attribute_accuracies(
    encoders: Mapping[str, nn.Module],
    train: ImageSet,
    test: ImageSet,
    attributes: Sequence[str],
    device: str = "auto",
    place: str = "artifacts",
) -> pd.DataFrame:
    """Return how well a linear classifier tells the groups of each attribute apart by each encoder, computed once.

    An encoder that knows no more of a group than random weights do has learned nothing of it, whatever its scores say.

    Parameters
    ----------
    encoders : mapping of str to nn.Module
        Title → encoder, random weights among them.
    train, test : ImageSet
        Images with the attributes; the classifier is fitted on the first and judged on the second.
    attributes : sequence of str
        As `groups_of` takes them. Groups that only the test images have count as mistakes.
    device : str
        ``"auto"`` or a torch device.
    place : {"artifacts", "results"}
        Where a new result is stored.

    Returns
    -------
    DataFrame of Estimate
        A row for each attribute, a column for each encoder: accuracy in [0, 1], with an interval over the test images.

    Raises
    ------
    InputError
        As `groups_of` and `pretrain.linear_accuracy` do.

    Examples
    --------
    >>> found = attribute_accuracies({"SimCLR": encoder}, images, images, ["class"])
    >>> f"{found.loc['class', 'SimCLR']:.2f}"
    """
    columns = {}
    for title, encoder in encoders.items():
        columns[title] = {name: _accuracy(encoder, train, test, name, device, place) for name in attributes}
    return pd.DataFrame(columns, dtype=object)


def _accuracy(encoder: nn.Module, train: ImageSet, test: ImageSet, attribute: str, device: str, place: str) -> Estimate:
    settings = {
        "kind": "attribute-accuracy",
        "name": f"{getattr(encoder, 'settings', {}).get('name', 'encoder')}-{attribute}".replace(" ", "-"),
        "encoder": fingerprint(encoder),
        "train": train.describe(),
        "test": test.describe(),
        "attribute": attribute,
        **store.revision(REVISION),
    }

    def compute() -> dict[str, Any]:
        names = sorted({group for images in (train, test) for group in groups_of(images, [attribute])[attribute]})
        known, asked = (_relabelled(images, attribute, names) for images in (train, test))
        return {"linear": linear_accuracy(encoder, known, asked, device).describe()}

    return Estimate(**store.get(settings, compute, place)["linear"])


def _relabelled(images: ImageSet, attribute: str, names: list[str]) -> ImageSet:
    """Return the images with the groups of an attribute for classes."""
    labels = torch.tensor([names.index(group) for group in groups_of(images, [attribute])[attribute]])
    return replace(images, labels=labels, class_names=tuple(names))
