"""What a study found, as the ledger reads it: numbers with intervals, how many trainings, and their trend."""

from dataclasses import dataclass

from influence_lib.errors import check_integer, reject
from influence_lib.estimate import Estimate

__all__ = ["Finding", "Trend"]


@dataclass(frozen=True)
class Trend:
    """The values of some series at growing scales.

    Attributes
    ----------
    over : str
        What grows, such as ``"epochs"``.
    at : tuple of float
        The scales, increasing.
    series : dict of str to tuple of Estimate
        Name → one value for each scale.

    Examples
    --------
    >>> Trend("epochs", (6, 60), {"": (Estimate.stated(0.9), Estimate.stated(0.5))}).at
    (6, 60)
    """

    over: str
    at: tuple[float, ...]
    series: dict[str, tuple[Estimate, ...]]


@dataclass(frozen=True)
class Finding:
    """What a study found, as ``results/findings/`` holds it.

    Attributes
    ----------
    values : dict of str to Estimate
        Name → number; a single number has the name ``""``.
    trainings : int
        Independent trainings, or pairs of them where two are compared; 0 where no encoder was trained.
    gate : bool, optional
        Whether all encoders learned something, by the rule of the ledger; None where that was not measured.
    trend : Trend, optional
        The same at other scales.

    Raises
    ------
    InputError
        If there are no values, or a number is not allowed.

    Examples
    --------
    >>> Finding({"": Estimate(0.9, 0.8, 1.0, 3, "training")}, trainings=3).gate is None
    True
    """

    values: dict[str, Estimate]
    trainings: int
    gate: bool | None = None
    trend: Trend | None = None

    def __post_init__(self) -> None:
        if not self.values:
            reject("the number of values", 0, "1 or more")
        check_integer("trainings", self.trainings, least=0)
