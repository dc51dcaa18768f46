"""What attribution gave, as sentences that hold whatever came out."""

from collections.abc import Mapping, Sequence

import pandas as pd

from influence_lib.studies.attribution.comparing import Duel, confirmed, duel, turned
from influence_lib.studies.attribution.support import Found
from influence_lib.studies.fanout import Part

__all__ = ["lds_in_words", "missing_in_words", "supports_in_words"]

CEILING = "ceiling"
CLEAR = 0.05  # of the sign test


def lds_in_words(table: pd.DataFrame) -> str:
    """Return which ways predict the margins on other halves, and how near the best comes to what can be.

    Parameters
    ----------
    table : DataFrame
        As `Question.lds_table` returns it.

    Examples
    --------
    >>> lds_in_words(pd.DataFrame({"LDS": [Estimate(0.2, 0.1, 0.3, 9, "target")]}, index=["TRAK"]))
    'By LDS TRAK comes first with 0.20 [0.10, 0.30]. Clearly above 0: TRAK.'
    """
    found = table["LDS"].drop(index=CEILING, errors="ignore")
    best = max(found.index, key=lambda name: found[name].value)
    above = [name for name in found.index if found[name].above(0)]
    text = f"By LDS {best} comes first with {found[best]:.2f}"
    if CEILING in table.index:
        text += f", where no score can pass {table.loc[CEILING, 'LDS']:.2f}"
    return f"{text}. Clearly above 0: {', '.join(above) or 'none'}."


def supports_in_words(found: Mapping[str, Sequence[Found]], change: str) -> str:
    """Return how many predictions each ranking turns, and against which others the first one wins clearly.

    Parameters
    ----------
    found : mapping of str to sequence of Found
        Ranking → one a target, as `Question.found` returns it.
    change : str
        What was done to the images.

    Examples
    --------
    >>> supports_in_words({"random": [Found(None, 10, {}, 0.0)]}, "removal")
    'By removal of up to 10 images random turns 0% of 1 target (0 wrong anyway).'
    """
    (first, one), *others = found.items()
    if not one:
        return f"No target has been searched by {change} with every ranking yet."
    most = max(each.most for each in one)
    shares = {name: turned(each, [most])["share"].iloc[0] for name, each in found.items()}
    wrong = sum(each.size == 0 for each in one)
    targets = f"{len(one)} target{'s' if len(one) > 1 else ''}"
    text = f"By {change} of up to {most:,} images {first} turns {shares[first]:.0%} of {targets} ({wrong} wrong anyway)"
    if others:
        ends = sorted((name for name, _ in others), key=lambda name: shares[name])
        least, most_turned = (f"{shares[name]:.0%} ({name})" for name in (ends[0], ends[-1]))
        text += f", the others from {least} to {most_turned}" if len(others) > 1 else f", {least}"
        clear = [_against(name, duel(one, other)) for name, other in others]
        text += f". Its supports are {' and '.join(filter(None, clear)) or 'clearly smaller or larger than none'}"
    if (again := confirmed([each for supports in found.values() for each in supports])) is not None:
        text += f". Of all supports found, {again.value:.0%} turn fresh trainings"
    return f"{text}."


def _against(name: str, result: Duel) -> str:
    """Return who wins, where the sign test is clear."""
    if result.p >= CLEAR:
        return ""
    return f"{'smaller' if result.wins > result.losses else 'larger'} than by {name} (p = {result.p:.3f})"


def missing_in_words(parts: Sequence[Part], device: str = "auto") -> str:
    """Return how much of the work is not done yet; nothing where all is.

    Parameters
    ----------
    parts : sequence of Part
        Such as `Halves.trainings` and `Question.supports`.
    device : str
        ``"auto"`` or a torch device.

    Examples
    --------
    >>> missing_in_words(halves.trainings())
    '9 of 9 trainings and searches are not done yet. '
    """
    left = sum(each.stored(device) is None for each in parts)
    return f"{left:,} of {len(parts):,} trainings and searches are not done yet. " if left else ""
