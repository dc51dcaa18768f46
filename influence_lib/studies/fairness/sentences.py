"""What the tables of the audit say, as sentences that hold whatever they are."""

import pandas as pd

from influence_lib.errors import check_choice

__all__ = ["ratios_in_words", "what_is_left"]


def ratios_in_words(groups: pd.DataFrame, attribute: str, end: str, k: int) -> str:
    """Return which groups of an attribute are over- and under-represented at an end, or that none clearly is.

    Parameters
    ----------
    groups : DataFrame
        That of an `Audit`.
    attribute, end : str
        Which rows.
    k : int
        Images at the end.

    Raises
    ------
    InputError
        If there are no such rows.

    Examples
    --------
    >>> found = audit(np.arange(100.0), {"half": ["dark"] * 50 + ["light"] * 50}, k=20)
    >>> ratios_in_words(found.groups, "half", "highest", 20)[:47]
    'Among the 20 highest over-represented by half: '
    """
    check_choice("end", end, list(groups.index.unique(0)))
    check_choice("attribute", attribute, list(groups.index.unique(1)))
    rows = groups.loc[end, attribute]
    clear = rows[rows["p"] < 0.05]
    over = clear[[ratio.value > 1 for ratio in clear["ratio"]]]
    under = clear.drop(index=over.index)
    said = [
        f"{word}-represented by {attribute}: {', '.join(_named(name, row) for name, row in some.iterrows())}"
        for word, some in (("over", over), ("under", under))
        if len(some)
    ]
    if not said:
        return f"Among the {k:,} {end} no group by {attribute} is clearly over- or under-represented."
    return f"Among the {k:,} {end} {'; '.join(said)}."


def _named(name: object, row: pd.Series) -> str:
    return f"{name} ({row['count']} where chance gives {row['expected']:.1f}, a ratio of {row['ratio']:.2f})"


def what_is_left(odds: pd.DataFrame) -> str:
    """Return which groups' odds of being at an end are clear alone, and which are where the photograph is known.

    Parameters
    ----------
    odds : DataFrame
        As `adjusted_odds` returns it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> top, group, light = rng.random(500) < 0.3, rng.choice(["a", "b"], 500), rng.normal(size=500)
    >>> what_is_left(adjusted_odds(top, group, {"brightness": light}))[:22]
    'Alone the odds of no g'
    """
    alone, adjusted = (
        [str(name) for name, value in odds[column].items() if value.compared(1) in ("above", "below")]
        for column in ("alone", "adjusted")
    )
    gone, new = [name for name in alone if name not in adjusted], [name for name in adjusted if name not in alone]
    left = [name for name in alone if name in adjusted]
    parts = [f"Alone the odds of {_listed(alone)} differ from those of all others."]
    if alone:
        parts.append(f"Where what is measured of the photographs is known, this is left for {_listed(left)}.")
    if gone:
        parts.append(f"For {_listed(gone)} the photographs explain it as well.")
    if new:
        parts.append(f"For {_listed(new)} it shows only then.")
    return " ".join(parts)


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "no group"
