"""The parameters of attribution, for its chapter and for the command that runs its trainings."""

from typing import Annotated, Literal

from torch import nn

from influence_lib.errors import InputError
from influence_lib.notebook.settings import TrainingsParameters, listed
from influence_lib.optional import needed
from influence_lib.pretrain import Schedule
from influence_lib.pretrain.classifiers import ARCHITECTURES
from influence_lib.studies.attribution import (
    CLASSIFIER,
    Answer,
    ClassifierRecipe,
    Halves,
    PlantedRecipe,
    Question,
    Way,
    missing_in_words,
)

with needed("A notebook", "run `pip install pydantic`"):
    from pydantic import AfterValidator, BeforeValidator, Field

__all__ = ["AttributionParameters"]


PLANTED = 500  # drawn images beside the copies, at most


def _known(value: str) -> str:
    if value not in ARCHITECTURES:
        raise ValueError(f"must be one of {', '.join(ARCHITECTURES)}")
    return value


Changes = Annotated[tuple[Literal["removal", "mislabelling"], ...], BeforeValidator(listed), Field(min_length=1)]


class AttributionParameters(TrainingsParameters):
    """Settings of the question which training images a classifier's prediction depends on.

    ``encoders`` are those whose representations are compared, the first of which also gives rankings for the supports.

    Examples
    --------
    >>> asked = {"encoders": "simclr, untrained", "architecture": "resnet9", "changes": "removal", "train": False}
    >>> asked |= {"classifier_width": 2, "classifier_epochs": 1, "classifier_batch": 10, "classifier_lr": 0.1}
    >>> asked |= {"targets_of_class": 1, "subsets": 8, "judged": 3, "repeated": 2, "times": 2, "models": 2}
    >>> asked |= {"dimension": 8, "asked": 2, "candidates": 4, "budget": 1, "trainings_a_test": 1}
    >>> asked |= {"planted_copies": 2, "planted_subsets": 3}
    >>> [way.name for way in AttributionParameters.check(given | asked).ways()][:3]
    ['exemplar SVM (SimCLR)', 'Euclidean (SimCLR)', 'exemplar SVM (untrained)']
    """

    architecture: Annotated[str, AfterValidator(_known)]
    classifier_width: int = Field(ge=1, le=128)
    classifier_epochs: int = Field(ge=1)
    classifier_batch: int = Field(ge=2)
    classifier_lr: float = Field(gt=0)
    targets_of_class: int = Field(ge=1)
    subsets: int = Field(ge=8)
    judged: int = Field(ge=3)
    repeated: int = Field(ge=0)
    times: int = Field(ge=1)
    models: int = Field(ge=2)
    dimension: int = Field(ge=1)
    asked: int = Field(ge=1)
    candidates: int = Field(ge=1)
    budget: int = Field(ge=1)
    trainings_a_test: int = Field(ge=1)
    changes: Changes
    planted_copies: int = Field(ge=1)
    planted_subsets: int = Field(ge=3)
    train: bool

    def classifier(self) -> ClassifierRecipe:
        """Return what is trained and explained."""
        schedule = Schedule(self.classifier_epochs, self.classifier_batch, self.classifier_lr, self.precision)
        return ClassifierRecipe(
            self.dataset,
            self.n,
            self.targets_of_class,
            self.architecture,
            self.classifier_width,
            schedule,
            self.size,
            self.folder,
            self.damaged,
        )

    def question(self) -> Question:
        """Return what all methods are asked."""
        recipe = self.classifier()
        count = len(recipe.targets())
        asked = tuple(place * count // self.asked for place in range(min(self.asked, count)))  # evenly over the classes
        return Question(
            Halves(recipe, self.subsets, self.repeated, self.times),
            self.judged,
            asked,
            self.candidates,
            self.budget,
            self.trainings_a_test,
            self.dimension,
            self.factor_pairs,
            self.noise,
            self.draws,
        )

    def ways(self) -> list[Way]:
        """Return all ways that are compared, the encoders' first."""
        titles = list(self.trainings())
        near = [Way(method, title) for title in titles for method in ("exemplar SVM", "Euclidean")]
        others = [Way("cosine", titles[0]), Way("Euclidean", CLASSIFIER), Way("Euclidean")]
        fitted = self.subsets - self.judged
        counts = dict.fromkeys(max(5, fitted // part) for part in (4, 2, 1))
        trained = [Way(method, models=count) for method in ("TRAK", "EK-FAC") for count in (1, self.models)]
        learned = [Way("Datamodels", models=count) for count in counts if count <= fitted]
        return [*near, *others, Way("two views", titles[0]), *trained, *learned, Way("same class"), Way("random")]

    def rankings(self) -> list[Way]:
        """Return the ways whose rankings are searched for supports, the attribution baseline first."""
        first = next(iter(self.trainings()))
        near = [Way("exemplar SVM", first), Way("Euclidean", first), Way("Euclidean", CLASSIFIER)]
        learned = [Way("TRAK", models=self.models), Way("Datamodels", models=max(5, self.subsets - self.judged))]
        return [*near, *learned, Way("random"), Way("exemplar SVM", first, every_class=True)]

    def planted(self) -> Question:
        """Return the question of drawn images among which are copies of the targets."""
        own = self.classifier()
        n = min(self.n, PLANTED)
        recipe = PlantedRecipe(
            "controlled",
            n,
            self.targets_of_class,
            own.architecture,
            own.width,
            own.schedule,
            copies=self.planted_copies,
        )
        halves = Halves(recipe, self.planted_subsets)
        return Question(halves, self.planted_subsets, dimension=min(n, self.dimension), factor_pairs=self.factor_pairs)

    def planted_ways(self) -> tuple[Way, ...]:
        """Return the ways that are asked for the copies."""
        trained = (Way(method, models=self.models) for method in ("TRAK", "EK-FAC"))
        return (Way("Euclidean", CLASSIFIER), Way("Euclidean"), *trained, Way("same class"), Way("random"))

    def answers(self) -> dict[str, Answer]:
        """Return what all ways say, computed where it is not stored."""
        question, encoders = self.question(), self.compared()
        ways = dict.fromkeys([*self.ways(), *self.rankings()])
        return {way.name: question.answer(way, encoders, self.place, self.device) for way in ways}

    def check_answered(self) -> None:
        """Refuse to go on without results that nobody asked to compute.

        Raises
        ------
        InputError
            If `train` is false and a training on a half or an answer is not stored.
        """
        if not self.train and not self.answered():
            missing = missing_in_words(self.question().halves.trainings(), self.device)
            raise InputError(f"train is False. {missing}Run `python -m influence_lib attribution` first.")

    def answered(self) -> bool:
        """Return whether the trainings on halves and all answers are stored."""
        question, encoders = self.question(), self.compared()
        ways = dict.fromkeys([*self.ways(), *self.rankings()])
        halves = (question.halves, self.planted().halves)
        return all(each.stored(self.device) is not None for each in halves) and all(
            question.is_answered(way, encoders, self.device) for way in ways
        )

    def compared(self) -> dict[str, nn.Module]:
        """Return title → the first training of each encoder."""
        return {title: found[0] for title, found in self.trainings().items()}
