"""Targets whose copies are among the training images, some with a wrong label: what a method should name is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, reject
from influence_lib.estimate import Estimate, mean
from influence_lib.pretrain import fingerprint
from influence_lib.studies.attribution.lds import lds
from influence_lib.studies.attribution.study import Question, Way
from influence_lib.studies.attribution.training import ClassifierRecipe

__all__ = ["PlantedRecipe", "copies_named", "planted_table"]

JUDGED = ("copies for it", "copies against it", "LDS")
REVISION = 2  # of what is planted and how it is judged; see `store.revision`


@dataclass(frozen=True)
class PlantedRecipe(ClassifierRecipe):
    """A recipe with exact copies of each target among its training images.

    Those of every second target have the next class's label: they speak against the target's own. The others have its
    label.

    Attributes
    ----------
    copies : int
        Of each target.

    Examples
    --------
    >>> planted = PlantedRecipe("controlled", 60, 1, width=2, schedule=Schedule(1, 20), copies=2)
    >>> len(planted.images()), int(planted.truth().sum())
    (80, 0)
    """

    copies: int = field(default=2)

    def images(self) -> ImageSet:
        """Return the training images, the copies last."""
        return _planted(super().images(), self.targets(), check_integer("copies", self.copies))

    def truth(self) -> Tensor:
        """Return int64, T×N: 1 where an image is a copy of the target with its label, −1 with another, 0 elsewhere."""
        targets, train = self.targets(), self.images()
        plain = len(train) - self.copies * len(targets)
        found = torch.zeros(len(targets), len(train), dtype=torch.int64)
        for target in range(len(targets)):
            first = plain + target * self.copies
            found[target, first : first + self.copies] = -1 if target % 2 else 1
        return found


@lru_cache(maxsize=4)
def _planted(train: ImageSet, targets: ImageSet, copies: int) -> ImageSet:
    labels = targets.labels.clone()
    labels[1::2] = (labels[1::2] + 1) % len(train.class_names)
    count = copies * len(targets)
    return ImageSet(
        torch.cat([train.images, targets.images.repeat_interleave(copies, 0)]),
        torch.cat([train.labels, labels.repeat_interleave(copies)]),
        torch.cat([train.ids, train.ids.max() + 1 + torch.arange(count)]),
        pd.DataFrame(index=pd.RangeIndex(len(train) + count)),
        train.name,
        train.split,
        train.class_names,
    )


def copies_named(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return what share of the copies a method puts where they belong.

    Parameters
    ----------
    scores : Tensor
        T×N: high where an image speaks for the target's class.
    truth : Tensor
        As `PlantedRecipe.truth` returns it.

    Returns
    -------
    for_it : Tensor
        float64, a number for each target with copies of its own label: the share of them among as many highest images.
    against_it : Tensor
        For each target with copies of another label: the share of them among as many lowest ones.

    Examples
    --------
    >>> copies_named(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[1, 0, 1]]))[0]
    tensor([1.], dtype=torch.float64)
    """

    def named(sign: int) -> Tensor:
        rows = []
        for row, own in zip(sign * scores, truth == sign, strict=True):
            if count := int(own.sum()):
                rows.append(own[row.topk(count).indices].double().mean())
        return torch.stack(rows) if rows else torch.zeros(0, dtype=torch.float64)

    return named(1), named(-1)


def planted_table(
    question: Question,
    ways: tuple[Way, ...],
    encoders: Mapping[str, nn.Module],
    place: str = "artifacts",
    device: str = "auto",
) -> pd.DataFrame:
    """Return how well some ways name planted copies, beside their LDS for the same targets.

    Parameters
    ----------
    question : Question
        Of a `PlantedRecipe`.
    ways : tuple of Way
        The methods.
    encoders : mapping of str to nn.Module
        Title → encoder.
    place : {"artifacts", "results"}
        Where the result is stored.
    device : str
        ``"auto"`` or a torch device.

    Returns
    -------
    DataFrame
        Index: names of the ways; Estimates over targets in ``copies for it`` and ``copies against it`` (see
        `copies_named`), and over targets and subsets in ``LDS``.

    Raises
    ------
    InputError
        If the question is of another recipe, or there are fewer than two targets.

    Examples
    --------
    >>> planted = PlantedRecipe("controlled", 60, 1, width=2, schedule=Schedule(1, 20), copies=2)
    >>> planted_table(Question(Halves(planted, 4), judged=4), (Way("random"), Way("Euclidean")), {})
    """
    recipe = question.halves.recipe
    if not isinstance(recipe, PlantedRecipe):
        reject("the recipe of question", type(recipe).__name__, "a PlantedRecipe")
    check_integer("the number of targets", len(recipe.targets()), 2)
    settings = {
        "kind": "planted-attribution",
        "name": recipe.name,
        "ways": [[way.name, fingerprint(encoders[way.by]) if way.by in encoders else ""] for way in ways],
        "dimension": question.dimension,
        "factor_pairs": question.factor_pairs,
        **question.describe(device),
        **store.revision(REVISION),
    }

    def compute() -> dict[str, Any]:
        halves, rows = question.halves, []
        outputs, kept = halves.outputs(place, device)[-question.judged :], halves.kept[-question.judged :]
        for way in ways:
            scores = question.scores(way, encoders, device)
            for_it, against_it = copies_named(scores, recipe.truth())
            found = (mean(for_it.numpy(), "target"), mean(against_it.numpy(), "target"), lds(scores, kept, outputs))
            rows += [
                {"way": way.name, "what": what, **each.describe()} for what, each in zip(JUDGED, found, strict=True)
            ]
        return {"table": pd.DataFrame(rows)}

    table = store.get(settings, compute, place)["table"]
    found: dict[str, dict[str, Estimate]] = {}
    for row in table.to_dict("records"):
        way, what = str(row.pop("way")), str(row.pop("what"))
        found.setdefault(what, {})[way] = Estimate(**row)
    return pd.DataFrame(found)
