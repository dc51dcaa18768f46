"""All statements by id, in the order of the paper, and the run of all their checks."""

from collections.abc import Iterable

from tqdm import tqdm

from influence_lib.errors import reject
from influence_lib.theory import (
    alignment,
    cosine,
    deviation,
    extensions,
    foundations,
    groups,
    network,
    properties,
    stability,
    theorem1,
)
from influence_lib.theory.checking import Report, check
from influence_lib.theory.statement import Statement

__all__ = ["STATEMENTS", "check_all", "statement"]

_ROOMS = (foundations, network, alignment, theorem1, properties, stability, groups, deviation, extensions, cosine)
STATEMENTS: dict[str, Statement] = {entry.id: entry for room in _ROOMS for entry in room.STATEMENTS}


def statement(name: str) -> Statement:
    """Return the statement with this id.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> statement("lemma3").verdict
    'holds'
    """
    if name not in STATEMENTS:
        reject("the id of a statement", name, list(STATEMENTS))
    return STATEMENTS[name]


def check_all(
    names: Iterable[str] | None = None,
    *,
    seed: int = 0,
    trials: int = 12,
    largest_k: int = 5,
    largest_d: int = 8,
    progress: bool = True,
) -> dict[str, Report]:
    """Run every check of every statement.

    Parameters
    ----------
    names : iterable of str, optional
        Only these ids.
    seed, trials, largest_k, largest_d
        Of the random matrices, see `influence_lib.theory.numeric`.
    progress : bool, default True
        Show a bar.

    Returns
    -------
    dict of str to Report
        Id → outcome, in the order of the statements.

    Raises
    ------
    InputError
        If an id is unknown or a size too small.

    Examples
    --------
    >>> check_all(["lemma3"], trials=2, progress=False)["lemma3"].passed
    True
    """
    chosen = [statement(name) for name in (STATEMENTS if names is None else names)]
    return {
        entry.id: check(entry, seed=seed, trials=trials, largest_k=largest_k, largest_d=largest_d)
        for entry in tqdm(chosen, desc="statements", disable=not progress)
    }
