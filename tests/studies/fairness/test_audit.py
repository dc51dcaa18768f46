"""The audit on groups whose truth is known, against fairlearn."""

import sys

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics

from influence_lib.errors import InputError
from influence_lib.studies.fairness import audit, p_value, ratio

RNG = np.random.default_rng(0)
N = 600
GROUPS = {"race": RNG.choice(list("ABC"), N), "gender": RNG.choice(["f", "m"], N)}
SCORES = RNG.normal(size=N)
HIGHER = SCORES + 1.5 * (GROUPS["race"] == "B")


def test_counts_ratios_and_rates_are_those_of_the_ends():
    found = audit(HIGHER, GROUPS, k=50)
    top = np.argsort(HIGHER)[-50:]
    members, count = int((GROUPS["race"] == "B").sum()), int((GROUPS["race"][top] == "B").sum())
    row = found.groups.loc[("highest", "race", "B")]
    assert (row["members"], row["count"], row["expected"]) == (members, count, pytest.approx(50 * members / N))
    assert row["selection_rate"] == count / members
    assert row["ratio"] == ratio(count, N, members, 50, level=1 - 0.05 / 3)
    assert found.groups["count"].groupby(level=["end", "attribute"]).sum().eq(50).all()
    assert row["p"] >= p_value(count, N, members, 50)


def test_the_rates_have_fairlearns_names_and_values():
    found = audit(HIGHER, GROUPS, k=50).attributes
    chosen = np.isin(np.arange(N), np.argsort(HIGHER)[-50:]).astype(int)
    for name in ("demographic_parity_ratio", "demographic_parity_difference"):
        for attribute, groups in GROUPS.items():
            expected = getattr(metrics, name)(chosen, chosen, sensitive_features=groups)
            assert found.loc[("highest", attribute), name] == pytest.approx(expected)


def test_p_values_are_adjusted_for_all_rows_by_holm():
    """By hand: the smallest times their number, the next times one less, never below the one before, 1 at most."""
    found = audit(HIGHER, GROUPS, k=50).groups
    alone = np.array([p_value(row["count"], N, row["members"], 50) for _, row in found.iterrows()])
    adjusted, before = {}, 0.0
    for left, i in zip(range(len(alone), 0, -1), np.argsort(alone, kind="stable"), strict=True):
        before = adjusted[i] = min(1.0, max(before, left * alone[i]))
    assert found["p"].tolist() == pytest.approx([adjusted[i] for i in range(len(alone))])


def test_a_group_that_scores_higher_is_found_and_said():
    found = audit(HIGHER, GROUPS, k=60)
    over = {group for (end, _, group), row in found.found.iterrows() if end == "highest" and row["ratio"].value > 1}
    assert over == {"B"}
    report = found.report()
    assert "B (race) is over-represented among the 60 highest" in report
    assert "says that they differ, not why" in report


def test_of_fair_scores_at_most_one_audit_in_twenty_finds_a_group(monkeypatch):
    """The rate is over all groups, both attributes and both ends together."""
    module = sys.modules[audit.__module__]  # intervals, power and unevenness, which take long, are not looked at
    monkeypatch.setattr(module, "ratio", lambda *_, **__: None)
    monkeypatch.setattr(module, "_summary", lambda *_: {})
    rng = np.random.default_rng(1)
    false = sum(not audit(rng.normal(size=N), GROUPS, k=50).found.empty for _ in range(200))
    assert false <= 17  # of a true rate of 5 % as many or fewer come out with 99 %


def test_intersections_are_groups_too():
    found = audit(HIGHER, GROUPS, k=50, intersections=True)
    assert "race and gender" in found.groups.index.get_level_values("attribute")
    assert ("highest", "race and gender", "B, f") in found.groups.index


def test_equal_scores_do_not_favour_the_order_of_the_file():
    groups = {"half": ["first"] * 300 + ["second"] * 300}
    found = audit(np.zeros(600), groups, k=100)
    assert found.found.empty
    assert "599 of the 600 scores are equal to another" in " ".join(found.warnings)


def test_a_small_group_is_warned_of():
    groups = ["rare"] * 5 + ["common"] * 595
    assert "rare (who) has 5 images, of which chance puts 0.4" in audit(SCORES, {"who": groups}, k=50).warnings[0]


def test_a_series_and_a_table_of_one_index_go_together():
    index = [f"image {i}" for i in range(N)]
    table = pd.DataFrame(GROUPS, index=index)
    found = audit(pd.Series(HIGHER, index=index), table, k=50)
    pd.testing.assert_frame_equal(found.attributes, audit(HIGHER, GROUPS, k=50).attributes)
    with pytest.raises(InputError, match="the ids of the scores are not those of the attributes"):
        audit(pd.Series(HIGHER, index=index[::-1]), table, k=50)


@pytest.mark.parametrize(
    ("scores", "attributes", "options", "sentence"),
    [
        (SCORES, {}, {}, "the number of attributes is 0"),
        (SCORES, {"a": ["x"] * N}, {}, "the number of groups of 'a' is 1"),
        (SCORES, {"a": [*GROUPS["race"][:-1], None]}, {}, "the number of missing values of 'a' is 1"),
        (SCORES, {"a": GROUPS["race"][:-1]}, {}, f"the number of values of 'a' is {N - 1}, but it must be {N}"),
        (SCORES, {"a": np.arange(N)}, {}, f"the number of groups of 'a' is {N}, but it must be from 2 to 100"),
        ([*SCORES[:-1], float("nan")], GROUPS, {}, f"the score of image {N - 1} is nan"),
        (["x"] * N, GROUPS, {}, "scores is"),
        (SCORES, GROUPS, {"k": 0}, "k is 0, but it must be a whole number from 1 to half of the 600"),
        (SCORES, GROUPS, {"k": 301}, "k is 301"),
    ],
)
def test_what_cannot_be_audited_is_one_sentence(scores, attributes, options, sentence):
    with pytest.raises(InputError, match=sentence):
        audit(scores, attributes, **options)
