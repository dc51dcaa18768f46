"""Every approximation of the curvature by name: how it is fitted, which options it takes, and what it costs.

A new one is one entry of `APPROXIMATIONS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from influence_lib.errors import check_choice, check_integer, check_number, check_strings, reject
from influence_lib.influence.curvature.cost import (
    Cost,
    exact_memory,
    kronecker_memory,
    logra_memory,
    moments_memory,
    no_memory,
    truncated_kept,
    truncated_memory,
)
from influence_lib.influence.curvature.damping import describe_damping
from influence_lib.influence.curvature.exact import fit_exact
from influence_lib.influence.curvature.kronecker import Curvature, fit
from influence_lib.influence.curvature.logra import RANK, fit_logra
from influence_lib.influence.curvature.passes import Totals
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.curvature.truncated import RANKS, least_rank, truncated_forms
from influence_lib.influence.scores import Deviation
from influence_lib.influence.views.layers import NAMES
from influence_lib.influence.views.pairs import FISHERS, PairBatch
from influence_lib.influence.views.source import LayerFactors

__all__ = ["APPROXIMATIONS", "FITTED", "Approximation", "FitOptions", "Forms", "quadratic_forms"]


class Forms(NamedTuple):
    """gᵀ(H + λI)⁻¹g of the pairs of views: the total, its parts by layer where there are such, and their error."""

    total: Tensor
    by_layer: dict[str, Tensor]
    deviation: Deviation | None = None


@dataclass(frozen=True)
class Approximation:
    """One way to approximate H.

    Attributes
    ----------
    cost : Cost
        Of time and memory, said before it starts.
    fit : callable, optional
        Returns the fitted `Curvature` of a problem and its options; None where only scores come out.
    score : callable, optional
        Returns the `Forms` of all pairs of a problem; by default those of the fitted curvature.
    options : tuple of str
        Which of ``rank`` and ``tolerance`` it takes beside the options of every fit.
    default_rank : int, optional
        That it has where none is given.
    has_matrix : bool
        Whether there is an H at all, to which Fisher, damping and pairs belong.
    """

    cost: Cost
    fit: Callable[[FitProblem, "FitOptions"], Curvature] | None = None
    score: Callable[[FitProblem, "FitOptions"], Forms] | None = None
    options: tuple[str, ...] = ()
    default_rank: int | None = None
    has_matrix: bool = True

    def forms(self, problem: FitProblem, options: "FitOptions") -> Forms:
        """Return gᵀ(H + λI)⁻¹g of all pairs."""
        if self.score is not None:
            return self.score(problem, options)
        assert self.fit is not None
        everything = problem.scored.pairs.spaced(None)
        by_layer = quadratic_forms(problem, self.fit(problem, options), everything)
        return Forms(torch.stack(list(by_layer.values())).sum(0), by_layer)


def quadratic_forms(problem: FitProblem, curvature: Curvature, scored: Tensor) -> dict[str, Tensor]:
    """Return the quadratic form of the pairs with these indices by layer."""
    pairs = problem.scored.pairs
    layers = problem.scored.layers
    totals = {name: torch.zeros(len(scored), dtype=pairs.dtype, device=pairs.device) for name in layers}

    def step(totals: Totals, batch: PairBatch, layers: LayerFactors) -> None:
        first = int(torch.searchsorted(scored, batch.indices[0]))
        for name, values in curvature.forms(layers):
            totals[name][first : first + len(values)] = values.to(totals[name])

    problem.add_up("scores", totals, step, scored, "empirical", problem.scored)
    return totals


def _in_eigenbasis(kind: str) -> Callable[[FitProblem, "FitOptions"], Curvature]:
    return lambda problem, options: fit(problem, kind, options.damping)


def _logra(init: str, problem: FitProblem, options: "FitOptions") -> Curvature:
    seed = problem.source.pairs.views.seed
    return fit_logra(problem, options.rank or RANK, init, seed, options.damping)


def _exact(blocks: bool, problem: FitProblem, options: "FitOptions") -> Curvature:
    return fit_exact(problem, options.damping, blocks)


def _truncated(problem: FitProblem, options: "FitOptions") -> Forms:
    rank = options.rank
    if options.tolerance is not None:
        rank = least_rank(problem, options.tolerance, options.damping)
    assert rank is not None
    by_layer, deviation = truncated_forms(problem, problem.source.pairs.spaced(None), rank, options.damping)
    return Forms(torch.stack(list(by_layer.values())).sum(0), by_layer, deviation)


def _kronfluence(problem: FitProblem, options: "FitOptions") -> Forms:
    # seconds to import, and kronfluence may be missing
    from influence_lib.influence.curvature.through_kronfluence import kronfluence_scores

    return Forms(
        kronfluence_scores(problem.source, problem.indices, options.fisher, options.damping, problem.progress), {}
    )


KRONECKER = ("covariances", "second moments", "scores")
MOMENTS = ("second moments", "scores")
APPROXIMATIONS: Mapping[str, Approximation] = {
    "ekfac": Approximation(
        Cost(KRONECKER, kronecker_memory, counted=True), _in_eigenbasis("ekfac"), options=("rank", "tolerance")
    ),
    "kfac": Approximation(Cost(("covariances", "scores"), kronecker_memory, counted=True), _in_eigenbasis("kfac")),
    "diagonal": Approximation(Cost(MOMENTS, moments_memory), _in_eigenbasis("diagonal")),
    "identity": Approximation(Cost(("scores",), no_memory), _in_eigenbasis("identity"), has_matrix=False),
    "logra": Approximation(
        Cost(MOMENTS, logra_memory), partial(_logra, "random"), options=("rank",), default_rank=RANK
    ),
    "logra-pca": Approximation(
        Cost(("covariances", *MOMENTS), logra_memory), partial(_logra, "pca"), options=("rank",), default_rank=RANK
    ),
    "exact": Approximation(Cost(MOMENTS, partial(exact_memory, False)), partial(_exact, False)),
    "exact-blocks": Approximation(Cost(MOMENTS, partial(exact_memory, True)), partial(_exact, True)),
    "kronfluence": Approximation(Cost(KRONECKER, kronecker_memory, counted=True), score=_kronfluence),
}
"""The values of ``curvature``."""

# EK-FAC with a rank or a tolerance: only scores come out, because what it keeps of a gradient are squares
TRUNCATED = Approximation(
    Cost(("covariances", "scores"), truncated_memory, truncated_kept, counted=True), score=_truncated
)
FITTED = tuple(name for name, entry in APPROXIMATIONS.items() if entry.fit is not None)
"""Those whose inverse is at hand, so that it can be applied to any gradient."""


@dataclass(frozen=True)
class FitOptions:
    """The part of a score that says how H is approximated, as one object; it is checked when it is made.

    Attributes
    ----------
    curvature, fisher, damping, factor_pairs, rank, tolerance, layers, frozen
        Those of `self_influence`.

    Raises
    ------
    InputError
        If a value is not allowed, or the curvature does not take it.
    """

    curvature: str = "ekfac"
    fisher: str = "empirical"
    damping: float | None = None
    factor_pairs: int | None = None
    rank: int | None = None
    tolerance: float | None = None
    layers: Sequence[str] | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        takes = APPROXIMATIONS[check_choice("curvature", self.curvature, APPROXIMATIONS)].options
        check_choice("frozen", self.frozen, (False, True))
        check_choice("fisher", self.fisher, FISHERS)
        if self.damping is not None:
            check_number("damping", self.damping, above=0)
        if self.factor_pairs is not None:
            check_integer("factor_pairs", self.factor_pairs, allowed="a whole number above 0, or None for all pairs")
        if self.rank is not None:
            check_integer("rank", self.rank)
            if "rank" not in takes:
                reject("rank", self.rank, f"None with curvature = {self.curvature!r}; 'ekfac' and LoGra have one")
        if self.tolerance is not None:
            check_number("tolerance", self.tolerance, above=0)
            if "tolerance" not in takes or self.rank is not None:
                reject("tolerance", self.tolerance, "None with another curvature than 'ekfac' or with a rank")

    @property
    def approximation(self) -> Approximation:
        """What the options stand for."""
        truncated = self.curvature == "ekfac" and (self.rank is not None or self.tolerance is not None)
        return TRUNCATED if truncated else APPROXIMATIONS[self.curvature]

    @property
    def largest_rank(self) -> int | None:
        """The rank, or the largest of those that a tolerance tries."""
        return RANKS[-1] if self.tolerance is not None else self.rank

    def describe(self) -> dict[str, Any]:
        """Return the options that take effect, JSON-able, so that a default that changes makes other settings.

        Left out are options that the curvature ignores, and those that stand for all pairs, ranks or layers.
        """
        entry, chosen = APPROXIMATIONS[self.curvature], dict[str, Any](curvature=self.curvature)
        if entry.has_matrix:
            chosen |= {"fisher": self.fisher, "damping": describe_damping(self.damping)}
            chosen |= {} if self.factor_pairs is None else {"factor_pairs": int(self.factor_pairs)}
        rank = self.rank or entry.default_rank
        chosen |= {} if rank is None else {"rank": int(rank)}
        chosen |= {} if self.tolerance is None else {"tolerance": float(self.tolerance)}
        chosen |= {} if self.layers is None else {"layers": check_strings("layers", self.layers, NAMES)}
        return chosen | ({"frozen": True} if self.frozen else {})
