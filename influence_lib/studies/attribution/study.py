"""One question to many methods: their LDS, what it costs, and the supports that their rankings find."""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.errors import check_integer, reject
from influence_lib.estimate import Estimate, share
from influence_lib.influence import GaussianNoise, Perturbation
from influence_lib.pretrain import build_classifier, fingerprint
from influence_lib.studies.attribution.halves import Halves
from influence_lib.studies.attribution.lds import ceiling, lds
from influence_lib.studies.attribution.methods import METHODS, attribute, signed_and_sparse, strongest
from influence_lib.studies.attribution.support import CHANGES, Found, Support
from influence_lib.studies.attribution.training import Counterfactual

__all__ = ["Answer", "Question", "Way"]

REVISION = 1  # of what an answer is made of; see `store.revision`
CLASSIFIER = "the classifier"
LESS = "LDS less TRAK"


@dataclass(frozen=True)
class Way:
    """A method with what it looks at.

    Attributes
    ----------
    method : str
        One of `METHODS`.
    by : str
        The title of the encoder whose representations count; `CLASSIFIER` for those of a classifier of the question,
        or nothing for pixels and for methods without representations.
    models : int
        Classifiers of TRAK and EK-FAC, or trainings of Datamodels.
    every_class : bool
        Whether images of other classes are candidates for a support, too.
    """

    method: str
    by: str = ""
    models: int = 1
    every_class: bool = False

    @property
    def name(self) -> str:
        """How it is called in tables, as in ``exemplar SVM (BYOL)`` or ``TRAK (5 models)``."""
        known = METHODS[self.method]
        if known.needs == "encoder":
            looks_at = self.by or "pixels"
        else:
            looks_at = f"{self.models} models" if self.models > 1 else ""
        told = ", ".join(filter(None, [looks_at, "all classes" if self.every_class else ""]))
        return f"{self.method} ({told})" if told else self.method


@dataclass(frozen=True)
class Answer:
    """What a way says.

    Attributes
    ----------
    sums : Tensor
        float32, m×T: for each half on which LDS is measured the sum of the scores of the images that were in it.
    ranked : Tensor
        int64, S×K: ids of the candidates for the supports, the strongest first.
    seconds : float
        Computing time of all targets, without training the models.
    stored_bytes : int
        Of what has to be kept for a new target: models, and what is kept of the training images.
    """

    sums: Tensor
    ranked: Tensor
    seconds: float
    stored_bytes: int


@dataclass(frozen=True)
class Question:
    """What all methods are asked, and judged by.

    Attributes
    ----------
    halves : Halves
        Trainings on random halves; their recipe says what is explained.
    judged : int
        How many of the halves, the last ones, LDS is measured on. Datamodels learn from the others.
    asked : tuple of int
        Positions of the targets whose supports are looked for.
    candidates : int, optional
        Images that are changed at most; by default all of the target's class.
    budget, trainings : int
        Those of `Support`.
    dimension : int
        Of TRAK's projection.
    factor_pairs : int, optional
        Of influence functions.
    noise, draws
        Perturbation and number of draws of two-view influence.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> question = Question(halves, judged=3, asked=(0, 1), candidates=4, budget=1, trainings=1)
    >>> len(question.supports({"random": question.answer(Way("random"), {})}))
    4
    """

    halves: Halves
    judged: int
    asked: tuple[int, ...] = ()
    candidates: int | None = None
    budget: int = 7
    trainings: int = 5
    dimension: int = 512
    factor_pairs: int | None = 1000
    noise: Perturbation = GaussianNoise(0.05, 0.2)  # noqa: RUF009 - frozen
    draws: int = 1

    def __post_init__(self) -> None:
        most = self.halves.subsets
        check_integer("judged", self.judged, 3, most, f"a whole number from 3 to the number of subsets, {most}")
        for target in self.asked:
            check_integer("asked", target, least=0)

    @property
    def fitted(self) -> int:
        """The trainings that Datamodels can learn from."""
        return self.halves.subsets - self.judged

    def answer(
        self, way: Way, encoders: Mapping[str, nn.Module], place: str = "artifacts", device: str = "auto"
    ) -> Answer:
        """Return what a way says, from the stored results where it is there.

        Parameters
        ----------
        way : Way
            The method.
        encoders : mapping of str to nn.Module
            Title → encoder; those that ways name.
        place : {"artifacts", "results"}
            Where a new result is stored.
        device : str
            ``"auto"`` or a torch device.

        Raises
        ------
        InputError
            If there is no encoder of the title, or more models are asked for than there are.
        """
        settings = self._settings(way, encoders, device)
        found = store.get(settings, lambda: self._computed(way, encoders, device), place)
        values = found["answer"]
        return Answer(values["sums"], values["ranked"].long(), found["cost"]["seconds"], found["cost"]["bytes"])

    def is_answered(self, way: Way, encoders: Mapping[str, nn.Module], device: str = "auto") -> bool:
        """Return whether what a way says is stored; the parameters are those of `answer`."""
        return store.find(self._settings(way, encoders, device)) is not None

    def supports(self, answers: Mapping[str, Answer], changes: Sequence[str] = CHANGES) -> list[Support]:
        """Return the searches for supports by some rankings: a target after the other, so that what is done compares.

        Parameters
        ----------
        answers : mapping of str to Answer
            Name → what `answer` returned.
        changes : sequence of str
            Some of `CHANGES`.
        """
        return [
            self._support(name, answer, place, change)
            for place in range(len(self.asked))
            for change in changes
            for name, answer in answers.items()
        ]

    def found(
        self, answers: Mapping[str, Answer], change: str, place: str = "artifacts", device: str = "auto"
    ) -> dict[str, list[Found]]:
        """Return the supports of the targets for which all rankings have been searched: name → one a target."""
        done: dict[str, list[Found]] = {name: [] for name in answers}
        for target in range(len(self.asked)):
            searches = {name: self._support(name, answer, target, change) for name, answer in answers.items()}
            if all(each.stored(device) is not None for each in searches.values()):
                for name, search in searches.items():
                    done[name].append(search.run(place, device))
        return done

    def _support(self, name: str, answer: Answer, place: int, change: str) -> Support:
        ranked = tuple(answer.ranked[place].tolist())
        return Support(self.halves.recipe, self.asked[place], ranked, change, self.budget, self.trainings, name)

    def lds_table(self, answers: Mapping[str, Answer], place: str = "artifacts", device: str = "auto") -> pd.DataFrame:
        """Return the LDS of some ways, the ceiling last where halves were trained several times.

        Returns
        -------
        DataFrame
            Index: the names; columns ``LDS`` (Estimate over targets and subsets), ``seconds`` and ``MB``.
        """
        outputs = self.halves.outputs(place, device)[-self.judged :]
        whole = torch.eye(self.judged, dtype=torch.bool)  # the sums stand for the scores of a half each
        rows: dict[str, tuple[Any, ...]] = {
            name: (lds(answer.sums.T, whole, outputs), answer.seconds, answer.stored_bytes / 1e6)
            for name, answer in answers.items()
        }
        if self.halves.times > 1 and self.halves.repeated > 2:
            rows["ceiling"] = (ceiling(self.halves.repetitions(place, device)), float("nan"), float("nan"))
        return pd.DataFrame.from_dict(rows, orient="index", columns=["LDS", "seconds", "MB"])

    def summary(
        self,
        answers: Mapping[str, Answer],
        rankings: Mapping[str, Answer],
        changes: Sequence[str] = CHANGES,
        place: str = "artifacts",
        device: str = "auto",
    ) -> pd.DataFrame:
        """Return what came out as one stored table, from which the findings of the ledger are made.

        Parameters
        ----------
        answers, rankings : mapping of str to Answer
            Name → what `answer` returned: of all ways, and of those whose supports were looked for. All searches must
            be done, since a stored table is not made again.
        changes, place, device
            As in `supports` and `answer`.

        Returns
        -------
        DataFrame
            Columns ``what`` (``LDS``, ``LDS less TRAK``, ``seconds`` or one of `CHANGES`), ``way`` and the fields of an
            Estimate. TRAK is that with the most models. Of a change it is the share of the targets that all candidates
            turn, with Wilson's interval over targets.
        """
        settings = {
            "kind": "attribution-table",
            "name": self.halves.recipe.name,
            "ways": list(answers),
            "rankings": list(rankings),
            "changes": list(changes),
            "said": _digest(answers, rankings),
            "repeated": self.halves.repeated,
            "budget": self.budget,
            "trainings": self.trainings,
            **self.describe(device),
        }

        def compute() -> dict[str, Any]:
            table, rows = self.lds_table(answers, place, device), []
            for way, found in table.iterrows():
                rows.append({"what": "LDS", "way": way, **found["LDS"].describe()})
                rows.append({"what": "seconds", "way": way, **Estimate.stated(found["seconds"]).describe()})
            rows += [{"what": LESS, "way": way, **each.describe()} for way, each in self._less(answers, place, device)]
            for change in changes:
                for way, each in self.found(rankings, change, place, device).items():
                    turned = share(np.array([support.size is not None for support in each]), "target")
                    rows.append({"what": change, "way": way, **turned.describe()})
            return {"table": pd.DataFrame(rows)}

        return store.get(settings, compute, place)["table"]

    def _less(self, answers: Mapping[str, Answer], place: str, device: str) -> list[tuple[str, Estimate]]:
        """Return by how much the LDS of each way is above that of the last way by TRAK, if there is one."""
        traks = [name for name in answers if name.startswith("TRAK")]
        if not traks:
            return []
        outputs, whole = self.halves.outputs(place, device)[-self.judged :], torch.eye(self.judged, dtype=torch.bool)
        other = answers[traks[-1]].sums.T
        return [
            (name, lds(answer.sums.T, whole, outputs, against=other))
            for name, answer in answers.items()
            if name != traks[-1]
        ]

    def pictures(self, answers: Mapping[str, Answer], place: int, most: int = 5) -> tuple[ImageSet, dict[str, Tensor]]:
        """Return a target and what rankings put first, as `figures.image_rows` takes them.

        Parameters
        ----------
        answers : mapping of str to Answer
            Name → what `answer` returned.
        place : int
            Of the target in `asked`.
        most : int
            Images of each ranking.

        Returns
        -------
        images : ImageSet
            The target and the training images.
        rows : dict of str to Tensor
            Name → positions among them: the target, then the strongest.
        """
        train, target = self.halves.recipe.images(), self.halves.recipe.targets().subset([self.asked[place]])
        shown = ImageSet(
            torch.cat([target.images, train.images]),
            torch.cat([target.labels, train.labels]),
            torch.arange(len(train) + 1),
            pd.DataFrame(index=pd.RangeIndex(len(train) + 1)),
            train.name,
            train.split,
            train.class_names,
        )
        order = train.ids.argsort()
        rows = {}
        for name, answer in answers.items():
            ids = answer.ranked[place][:most]
            found = order[torch.searchsorted(train.ids, ids, sorter=order)]
            rows[name] = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + found])
        return shown, rows

    def _computed(self, way: Way, encoders: Mapping[str, nn.Module], device: str) -> dict[str, Any]:
        train, targets = self.halves.recipe.images(), self.halves.recipe.targets()
        models = self._models(way, encoders, device)
        started = time.monotonic()
        among = scores = self._attributed(way, models, device)
        if way.method == "exemplar SVM" and not way.every_class:
            among = attribute(way.method, models, train, targets, device=device, same_class=True)
        if METHODS[way.method].distance:
            scores = signed_and_sparse(scores, train, targets)
        seconds = time.monotonic() - started
        asked = list(self.asked)
        ranked = strongest(among[asked], train, targets.subset(asked), self._most(), not way.every_class)
        sums = self.halves.kept[-self.judged :].float() @ scores.T
        values = {"sums": sums, "ranked": torch.tensor(ranked, dtype=torch.int32).view(len(asked), -1)}
        kept = _bytes(models, len(train) * self.dimension if way.method == "TRAK" else 0)
        return {"answer": values, "cost": {"seconds": seconds, "bytes": kept}, "way": way.name}

    def scores(self, way: Way, encoders: Mapping[str, nn.Module], device: str = "auto") -> Tensor:
        """Return scores that add up, float32, T×N: those that LDS sums; distances are made ones (`signed_and_sparse`).

        The parameters are those of `answer`; nothing is stored.
        """
        found = self._attributed(way, self._models(way, encoders, device), device)
        if not METHODS[way.method].distance:
            return found
        return signed_and_sparse(found, self.halves.recipe.images(), self.halves.recipe.targets())

    def _attributed(self, way: Way, models: Sequence[nn.Module] | Halves, device: str) -> Tensor:
        train, targets = self.halves.recipe.images(), self.halves.recipe.targets()
        return attribute(way.method, models, train, targets, device=device, **self._options(way))

    def _most(self) -> int:
        """Return how many candidates every target has."""
        train, labels = self.halves.recipe.images(), self.halves.recipe.targets().labels[list(self.asked)]
        least = min((int((train.labels == label).sum()) for label in labels), default=0)
        return least if self.candidates is None else self.candidates

    def _options(self, way: Way) -> dict[str, Any]:
        if way.method == "TRAK":
            return {"dimension": self.dimension}
        if way.method == "two views":
            return {"factor_pairs": self.factor_pairs, "perturbation": self.noise, "draws": self.draws}
        return {"factor_pairs": self.factor_pairs} if way.method == "EK-FAC" else {}

    def _models(self, way: Way, encoders: Mapping[str, nn.Module], device: str) -> Sequence[nn.Module] | Halves:
        needs = METHODS[way.method].needs
        if needs == "halves":
            most = f"a whole number from 5 to the halves that are not judged, {self.fitted}"
            check_integer("models", way.models, 5, self.fitted, most)
            return Halves(self.halves.recipe, way.models, times=self.halves.times)
        if needs == "classifiers" or way.by == CLASSIFIER:
            return [Counterfactual(self.halves.recipe, seed=seed).model(device) for seed in range(way.models)]
        return [self._encoder(way.by, encoders)] if way.by else []

    def _encoder(self, title: str, encoders: Mapping[str, nn.Module]) -> nn.Module:
        if title not in encoders:
            reject("by", title, list(encoders))
        return encoders[title]

    def _settings(self, way: Way, encoders: Mapping[str, nn.Module], device: str) -> dict[str, Any]:
        if METHODS[way.method].needs == "encoder" and way.by not in ("", CLASSIFIER):
            looks_at = fingerprint(self._encoder(way.by, encoders))
        else:
            looks_at = way.by
        return {
            "kind": "attribution",
            "name": "-".join([self.halves.recipe.name, *re.findall(r"\w+", way.name.lower())]),
            "method": way.method,
            "by": looks_at,
            "models": way.models,
            "every_class": way.every_class,
            **{k: each.describe() if k == "perturbation" else each for k, each in self._options(way).items()},
            **self.describe(device),
        }

    def describe(self, device: str = "auto") -> dict[str, Any]:
        """Return what is asked as JSON-able values."""
        recipe = self.halves.recipe
        return {
            "images": recipe.images().describe(),
            "targets": recipe.targets().describe(),
            "subsets": self.halves.subsets,
            "judged": self.judged,
            "times": self.halves.times,
            "asked": list(self.asked),
            "candidates": self._most(),
            **recipe.describe(device),
            **store.revision(REVISION),
        }


def _digest(*answers: Mapping[str, Answer]) -> str:
    """Return the first 16 hex digits of a SHA-256 over what ways say, which their names alone do not tell."""
    digest = hashlib.sha256()
    for each in (answer for group in answers for answer in group.values()):
        digest.update(each.sums.numpy().tobytes() + each.ranked.numpy().tobytes())
    return digest.hexdigest()[:16]


def _bytes(models: Sequence[nn.Module] | Halves, kept: int) -> int:
    """Return what has to be kept for a new target, in float32: the models, and `kept` numbers for each of them."""
    if isinstance(models, Halves):
        recipe = models.recipe
        one = build_classifier(recipe.architecture, recipe.width, len(recipe.images().class_names))
        return 4 * models.subsets * sum(p.numel() for p in one.parameters())
    return 4 * sum(kept + sum(p.numel() for p in model.parameters()) for model in models)
