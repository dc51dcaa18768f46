"""The parameters of a sweep, for its chapter and for the command that runs it."""

from typing import Annotated, Literal

from influence_lib.notebook.settings import Methods, Numbers, ScoreParameters, listed
from influence_lib.optional import needed
from influence_lib.pretrain import METHODS, Recipe
from influence_lib.studies.removal import RANKINGS, Arm, Sweep, arms, tenths

with needed("A notebook", "run `pip install pydantic`"):
    from pydantic import AfterValidator, BeforeValidator, Field

__all__ = ["SweepParameters"]


def _known(rankings: tuple[str, ...]) -> tuple[str, ...]:
    if not rankings or not set(rankings) <= set(RANKINGS) or len(set(rankings)) < len(rankings):
        raise ValueError(f"must be some of {', '.join(RANKINGS)}, each once, separated by commas")
    return rankings


Rankings = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(_known)]
Lengths = Annotated[tuple[Literal["steps", "epochs"], ...], BeforeValidator(listed), Field(min_length=1)]
Percent = Annotated[Numbers, Field(min_length=1)]


class SweepParameters(ScoreParameters):
    """Settings of the trainings without some of the images.

    Every method of ``methods`` is trained without images at the ends of its own rankings; one that learns from labels
    also without those of the first method. ``amounts`` are in percent. Last the first method is trained without groups
    of each tenth of the first ranking, ``group_size`` images each.

    Examples
    --------
    >>> swept = {"rankings": "EK-FAC", "amounts": "32", "lengths": "steps", "trainings": 2, "train": False,
    ...          "group_size": 3}
    >>> settings = SweepParameters.check(given | swept | {"methods": "simclr, supervised"})
    >>> [sweep.name for sweep in settings.sweeps()]
    ['SimCLR', 'supervised, ranked by SimCLR', 'supervised', 'SimCLR by tenths']
    """

    methods: Methods
    rankings: Rankings
    amounts: Percent
    lengths: Lengths
    trainings: int = Field(ge=2)
    group_size: int = Field(ge=1)
    train: bool

    def sweeps(self) -> list[Sweep]:
        """Return the sweeps, what decides most first."""
        return [*self.ends(), self.groups()]

    def groups(self) -> Sweep:
        """Return the sweep over groups of each tenth of the first ranking."""
        recipe = self.recipe(self.methods[0])
        n = len(recipe.images()) if self.folder else self.n  # of a folder there may be fewer
        return self._sweep(recipe, tenths(self.rankings[0], self.group_size / n), recipe)

    def _sweep(self, recipe: Recipe, wanted: tuple[Arm, ...], ranks: Recipe, length: str = "steps") -> Sweep:
        fitted = (self.noise, self.draws, self.factor_pairs)
        return Sweep(recipe, wanted, self.trainings, ranks, length, *fitted)

    def ends(self) -> list[Sweep]:
        """Return the sweeps over both ends of the rankings."""
        shares = tuple(amount / 100 for amount in self.amounts)
        wanted = arms(self.rankings, shares, matched=self.rankings[0])
        return [
            self._sweep(self.recipe(method), wanted, self.recipe(ranks), length)
            for length in self.lengths
            for method in self.methods
            for ranks in dict.fromkeys([self.methods[0], method] if METHODS[method].LABELS else [method])
        ]
