"""Who is among the highest and the lowest scores: an audit of groups that anyone can run on their own scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from influence_lib.data import ImageSet
from influence_lib.errors import InputError, check_choice, check_integer, check_strings, reject
from influence_lib.studies.fairness.ratios import p_value, ratio, smallest_ratio_seen, unevenness

__all__ = ["Audit", "audit", "groups_of"]

ENDS = ("highest", "lowest")
SMALL = 5  # images of a group that chance puts into a top, below which it says little
MOST_GROUPS = 100  # values of an attribute


@dataclass(frozen=True)
class Audit:
    """Which groups are over- or under-represented at the ends of a score.

    Attributes
    ----------
    k : int
        Images that count as an end.
    groups : DataFrame
        A row for each end, attribute and group. ``"members"`` and ``"count"``, int64: images of the group, and of
        them at the end. ``"expected"``, float64: the count where the score knows nothing of the group.
        ``"selection_rate"``, float64: count over members, in fairlearn's words. ``"ratio"``, an `Estimate`: share of
        the end over share of all, with an interval that holds for all groups of the attribute together. ``"p"``,
        float64: adjusted by Holm's method over all rows.
    attributes : DataFrame
        A row for each end and attribute, all float64. ``"demographic_parity_ratio"`` and
        ``"demographic_parity_difference"``: least over, and most less, of the selection rates, as in fairlearn.
        ``"unevenness"``: how often chance is as uneven. ``"seen_below"`` and ``"seen_above"``: a ratio of the smallest
        group between the two would be missed with a chance of 20 % or more.
    warnings : tuple of str
        Sentences on what the table cannot show.
    """

    k: int
    groups: pd.DataFrame
    attributes: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def found(self) -> pd.DataFrame:
        """The rows of `groups` whose adjusted p is below 5 %."""
        return self.groups[self.groups["p"] < 0.05]

    def report(self) -> str:
        """Return the audit as Markdown, what was found first."""
        lines = ["# Who is at the ends of the score", "", *self._sentences(), ""]
        for end, attribute in self.attributes.index:
            lines += [f"## {attribute}, the {self.k} {end}", "", *_table(self.groups.loc[end, attribute]), ""]
            row = self.attributes.loc[(end, attribute)]
            lines += [
                f"Chance is as uneven in {row['unevenness']:.1%} of cases. With {self.k} images a ratio of the "
                f"smallest group between {row['seen_below']:.2f} and {row['seen_above']:.2f} would have been missed "
                "with a chance of 20 % or more.",
                "",
            ]
        if self.warnings:
            lines += ["## What this cannot show", "", *(f"- {warning}" for warning in self.warnings), ""]
        lines += [
            "A ratio is the group's share of the end over its share of all images; 1 is as many as chance gives. "
            "Intervals hold for all groups of an attribute together, p is adjusted by Holm's method over all rows. "
            "Groups can differ in brightness, pose or sharpness: a ratio says that they differ, not why."
        ]
        return "\n".join(lines) + "\n"

    def _sentences(self) -> list[str]:
        if self.found.empty:
            return [f"No group is over- or under-represented among the {self.k} highest or lowest beyond chance."]
        return [
            f"- {group} ({attribute}) is {'over' if row['ratio'].value > 1 else 'under'}-represented among the "
            f"{self.k} {end}: {row['count']} where chance gives {row['expected']:.1f}, a ratio of {row['ratio']:.2f} "
            f"(p = {row['p']:.2g})."
            for (end, attribute, group), row in self.found.iterrows()
        ]


def audit(
    scores: Sequence[float] | np.ndarray | pd.Series,
    attributes: pd.DataFrame | Mapping[str, Sequence[object]],
    k: int = 100,
    intersections: bool = False,
    seed: int = 0,
) -> Audit:
    """Return which groups are over- or under-represented among the highest and the lowest scores.

    Parameters
    ----------
    scores : sequence of float
        N scores, finite. Where it and `attributes` are of pandas, their indices must be the same.
    attributes : DataFrame or mapping
        Name of an attribute → N values, each the group of an image; two groups or more.
    k : int
        How many images count as an end, at most half of them.
    intersections : bool
        Whether every two attributes together make groups, too.
    seed : int
        Of the simulated tops, and of the order of equal scores.

    Raises
    ------
    InputError
        If a value is missing, not finite or not allowed, indices do not match, or an attribute has one group or more
        than 100.

    Examples
    --------
    >>> found = audit(np.arange(100.0), {"half": ["dark"] * 50 + ["light"] * 50}, k=20)
    >>> print(found.groups.loc[("highest", "half", "light"), "count"])
    20
    """
    table = _table_of_groups(attributes, len(scores))
    values = _checked_scores(scores, table)
    k = check_integer("k", k, 1, max(1, len(values) // 2), f"a whole number from 1 to half of the {len(values)} images")
    if intersections:
        both = {f"{a} and {b}": table[a] + ", " + table[b] for a, b in combinations(table.columns, 2)}
        table = table.assign(**both)
    # equal scores are put in a random order: that of the file could be the order of the groups
    order = np.lexsort((np.random.default_rng(check_integer("seed", seed, 0)).permutation(len(values)), values))
    ends = {"highest": order[::-1][:k], "lowest": order[:k]}
    rows, summaries = {}, {}
    for end, at_end in ends.items():
        for name in table.columns:
            members = table[name].value_counts().sort_index()
            counts = table[name].iloc[at_end].value_counts().reindex(members.index, fill_value=0)
            for group in members.index:
                rows[end, name, group] = _row(int(counts[group]), int(members[group]), len(values), k, len(members))
            summaries[end, name] = _summary(counts, members, k, seed)
    groups = pd.DataFrame.from_dict(rows, orient="index")
    groups.index = pd.MultiIndex.from_tuples(rows, names=["end", "attribute", "group"])
    groups["p"] = multipletests(groups["p"], method="holm")[1]
    summary = pd.DataFrame.from_dict(summaries, orient="index")
    summary.index = pd.MultiIndex.from_tuples(summaries, names=["end", "attribute"])
    groups, summary = groups.sort_index(), summary.sort_index()
    return Audit(k, groups, summary, tuple(_warnings(groups, values)))


def _row(count: int, members: int, total: int, k: int, together: int) -> dict[str, object]:
    return {
        "members": members,
        "count": count,
        "expected": k * members / total,
        "selection_rate": count / members,
        "ratio": ratio(count, total, members, k, level=1 - 0.05 / together),
        "p": p_value(count, total, members, k),
    }


def _summary(counts: pd.Series, members: pd.Series, k: int, seed: int) -> dict[str, float]:
    rates = counts / members
    below, above = smallest_ratio_seen(int(members.sum()), int(members.min()), k, tests=len(members))
    return {
        "demographic_parity_ratio": float(rates.min() / rates.max()),
        "demographic_parity_difference": float(rates.max() - rates.min()),
        "unevenness": unevenness(counts.tolist(), members.tolist(), seed),
        "seen_below": below,
        "seen_above": above,
    }


def _warnings(groups: pd.DataFrame, values: np.ndarray) -> list[str]:
    said = []
    small = groups.loc["highest"][groups.loc["highest", "expected"].to_numpy() < SMALL]
    for (attribute, group), row in small.iterrows():
        said.append(
            f"{group} ({attribute}) has {row['members']} images, of which chance puts {row['expected']:.1f} at an end: "
            "little can be said about so small a group."
        )
    tied = len(values) - len(np.unique(values))
    if tied:
        said.append(f"{tied} of the {len(values)} scores are equal to another; equal scores are put in a random order.")
    return said


def _table(groups: pd.DataFrame) -> list[str]:
    head = ["| group | images | count | chance | ratio | p |", "|---|---|---|---|---|---|"]
    return head + [
        f"| {group} | {row['members']:,} | {row['count']} | {row['expected']:.1f} | {row['ratio']:.2f} "
        f"| {row['p']:.2g} |"
        for group, row in groups.iterrows()
    ]


def _table_of_groups(attributes: pd.DataFrame | Mapping[str, Sequence[object]], n: int) -> pd.DataFrame:
    """Return the groups as text, refused where a value is missing or there is one group."""
    given = attributes if isinstance(attributes, pd.DataFrame) else {k: list(v) for k, v in dict(attributes).items()}
    for name in given:
        if len(given[name]) != n:
            reject(f"the number of values of {name!r}", len(given[name]), f"{n}, that of the scores")
    table = pd.DataFrame(given)
    if table.empty or not len(table.columns):
        reject("the number of attributes", len(table.columns), "1 or more, each with a value for every image")
    for name in table.columns:
        missing = int(table[name].isna().sum())
        if missing:
            reject(
                f"the number of missing values of {name!r}", missing, "0: every image needs a group, if only 'unknown'"
            )
        groups = table[name].nunique()
        if not 2 <= groups <= MOST_GROUPS:
            reject(f"the number of groups of {name!r}", groups, f"from 2 to {MOST_GROUPS}")
    return table.astype(str)


def _checked_scores(scores: Sequence[float] | np.ndarray | pd.Series, table: pd.DataFrame) -> np.ndarray:
    if isinstance(scores, pd.Series) and not scores.index.equals(table.index):
        raise InputError(
            "the ids of the scores are not those of the attributes: both need the same index, in the same order."
        )
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        reject("scores", f"of dtype {np.asarray(scores).dtype}", "numbers, one for each image")
    bad = ~np.isfinite(values)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        reject(f"the score of image {table.index[at]}", float(values[at]), "a finite number")
    return values


def groups_of(images: ImageSet, attributes: Sequence[str]) -> pd.DataFrame:
    """Return the groups that images belong to, as `audit` takes them.

    Parameters
    ----------
    images : ImageSet
        N images.
    attributes : sequence of str
        Columns of ``images.attributes``; ``"class"`` stands for the names of the classes.

    Returns
    -------
    DataFrame
        N rows, indexed by the images' ids, a column of text for each attribute.

    Raises
    ------
    InputError
        If there is no such attribute, or an image has no class.

    Examples
    --------
    >>> groups_of(images, ["class", "background"]).shape
    (60, 2)
    """
    known = list(images.attributes.columns)
    found = {}
    for name in check_strings("attributes", attributes, "a list of attributes"):
        if name == "class":
            if bool((images.labels < 0).any()):
                reject("attributes", name, f"some of {known}: there are images without a class")
            found[name] = [images.class_names[label] for label in images.labels.tolist()]
        else:
            found[name] = images.attributes[check_choice("an attribute", name, ["class", *known])].astype(str).tolist()
    return pd.DataFrame(found, index=pd.Index(images.ids.tolist(), name="id"))
