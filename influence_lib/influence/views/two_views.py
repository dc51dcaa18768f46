"""Which two views of an image are compared, and by which loss."""

from dataclasses import dataclass
from typing import Any

from influence_lib.errors import check_choice, check_integer
from influence_lib.influence.views.losses import LOSSES
from influence_lib.influence.views.perturbations import VIEWS, GaussianNoise, Perturbation, check_perturbation

__all__ = ["TwoViews"]


@dataclass(frozen=True)
class TwoViews:
    """The part of a score that says what is differentiated, as one object; it is checked when it is made.

    Attributes
    ----------
    perturbation : Perturbation
        What makes x̂ from x.
    loss : {"cosine", "mse", "ntxent", "cross_entropy"}
        Of the two representations, or the mean of a classifier's two losses.
    views : {"one", "two"}
        Compare (x, x̂) or (x̂, x̂').
    draws, seed : int
        How many draws of the perturbation, and which: an image's views depend on seed, id and draw alone.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    perturbation: Perturbation = GaussianNoise()  # noqa: RUF009 - frozen
    loss: str = "cosine"
    views: str = "one"
    draws: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check_perturbation("perturbation", self.perturbation)
        check_choice("loss", self.loss, LOSSES)
        check_choice("views", self.views, VIEWS)
        check_integer("draws", self.draws)
        check_integer("seed", self.seed, least=0)

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        return {
            "loss": self.loss,
            "views": self.views,
            "perturbation": self.perturbation.describe(),
            "draws": int(self.draws),
            "seed": int(self.seed),
        }
