"""Algorithm 1 on functions with a known support, the search through real trainings, and the comparison of supports."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from influence_lib.errors import InputError
from influence_lib.studies.attribution import (
    Counterfactual,
    Found,
    Support,
    bisected,
    confirmed,
    duel,
    margins,
    turned,
)
from influence_lib.studies.attribution import support as module


@given(st.integers(1, 600), st.integers(1, 700))
def test_bisection_finds_the_smallest_number_where_the_budget_reaches(most, support):
    found, tested = bisected(lambda changed: float(changed < support), most, budget=12)
    assert found == (support if support <= most else None)
    assert len(tested) <= 13
    assert all((share > 0.5) == (changed < support) for changed, share in tested.items())


def test_a_small_budget_gives_an_upper_bound_as_in_the_papers_algorithm():
    found, tested = bisected(lambda changed: float(changed < 37), 1280, budget=3)
    assert found == 160
    assert list(tested) == [1280, 640, 320, 160]
    assert bisected(lambda changed: 0.5, 8, budget=9)[0] == 1  # half is turned


def fake(monkeypatch, recipe, turns_at):
    """Let trainings say that the target 0 is right until so many images are changed, three of four times."""
    calls = []

    class Faked(Counterfactual):
        def run(self, place="artifacts", device="auto"):
            changed = len(self.left_out or self.relabelled)
            calls.append((changed, self.seed, self.label))
            wrong = changed >= turns_at and self.seed % 4 != 3
            logits = torch.zeros(len(recipe.targets()), len(recipe.images().class_names))
            own = recipe.targets().labels
            logits[range(len(own)), own] = -1.0 if wrong else 2.0
            logits[range(len(own)), (own + 1) % logits.shape[1]] = 1.0
            return logits

    monkeypatch.setattr(module, "Counterfactual", Faked)
    return calls


@pytest.mark.parametrize("change", ["removal", "mislabelling"])
def test_the_search_finds_the_support_confirms_it_and_tests_no_more_than_needed(recipe, monkeypatch, change):
    calls = fake(monkeypatch, recipe, turns_at=6)
    ranked = tuple(recipe.images().ids[:16].tolist())
    search = Support(recipe, 0, ranked, change, budget=7, trainings=4, method="random")
    assert search.stored() is None
    found = search.run()
    assert (found.size, found.most) == (6, 16)
    assert sorted(found.tested) == [0, 4, 5, 6, 8, 16]
    assert found.confirmed == 0.0
    of_whole = [seed for changed, seed, _ in calls if changed == 0]
    assert sorted(set(of_whole)) == ([0, 1, 2] if change == "removal" else [0, 1, 2, 3])  # three are more than a half
    assert [seed for changed, seed, _ in calls if changed == 16] == [0, 1]  # two wrong of four decide
    assert [seed for changed, seed, _ in calls if changed == 6][-2:] == [1000, 1001]
    label = (int(recipe.targets().labels[0]) + 1) % len(recipe.images().class_names)
    assert {each for changed, _, each in calls if changed} == {label if change == "mislabelling" else -1}
    assert replace(search, method="another").run() == found  # what ranked does not identify a result


def test_no_support_among_the_candidates_and_a_prediction_that_is_wrong_anyway(recipe, monkeypatch):
    ranked = tuple(recipe.images().ids[:8].tolist())
    fake(monkeypatch, recipe, turns_at=100)
    never = Support(recipe, 0, ranked, trainings=1).run()
    assert never.size is None
    assert np.isnan(never.confirmed)
    fake(monkeypatch, recipe, turns_at=0)
    assert Support(recipe, 0, ranked, trainings=1, budget=2).run().size == 0


def test_real_trainings_are_kept_one_by_one(recipe):
    ranked = tuple(recipe.images().ids[:4].tolist())
    Support(recipe, 1, ranked, budget=1, trainings=1).run()
    whole = Counterfactual(recipe)
    assert whole.stored() is not None
    right = bool(margins(whole.run(), recipe.targets().labels)[1] > 0)
    found = Support(recipe, 1, ranked, budget=1, trainings=1).run()
    assert (found.size == 0) == (not right)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"change": "deletion"}, "change is 'deletion'"),
        ({"budget": 0}, "budget is 0"),
        ({"trainings": 0}, "trainings is 0"),
        ({"ranked": ()}, "ranked holds no candidate"),
        ({"target": -1}, "target is -1"),
    ],
)
def test_wrong_searches_are_refused(recipe, changed, message):
    with pytest.raises(InputError, match=message):
        Support(**({"recipe": recipe, "target": 0, "ranked": (1,)} | changed))


def test_a_target_that_is_not_there_is_refused(recipe):
    with pytest.raises(InputError, match="target is 500, but it must be"):
        Support(recipe, 500, tuple(recipe.images().ids[:4].tolist())).run()


def found(*sizes, most=100):
    return [Found(size, most, {}, 0.0 if size is None or size % 2 else 1.0) for size in sizes]


def test_shares_are_counts_where_all_have_as_many_candidates():
    table = turned(found(3, 5, 5, 40, None), [0, 3, 5, 39, 100])
    np.testing.assert_allclose(table["share"], [0, 0.2, 0.6, 0.6, 0.8])
    assert (table["low"] <= table["share"]).all()
    assert (table["share"] <= table["high"]).all()


def test_a_target_with_fewer_candidates_counts_while_they_last():
    """Kaplan–Meier by hand: 4 at risk at 3, 2 at 8 after one was lost at 5."""
    supports = [Found(3, 10, {}, 0.0), Found(None, 5, {}, np.nan), Found(8, 10, {}, 0.0), Found(None, 10, {}, np.nan)]
    table = turned(supports, [4, 9])
    np.testing.assert_allclose(table["share"], [0.25, 1 - 0.75 * 0.5])


def test_duels_count_a_support_that_was_not_found_as_the_largest():
    result = duel(found(1, None, 5, None, 7), found(2, 9, 5, None, None))
    assert (result.wins, result.ties, result.losses) == (2, 2, 1)
    assert result.share.value == pytest.approx(2 / 3)
    assert result.p == 1.0
    assert duel(found(*[1] * 10), found(*[2] * 10)).p == pytest.approx(2 * 0.5**10)
    assert duel(found(None), found(None)).p == 1.0


def test_confirmation_counts_the_supports_that_were_found():
    assert confirmed(found(1, 2, 3, None)).value == pytest.approx(2 / 3)
    assert confirmed(found(None)) is None


def test_comparisons_need_supports():
    with pytest.raises(InputError, match="the numbers of supports"):
        duel(found(1), found(1, 2))
    with pytest.raises(InputError, match="the number of supports"):
        turned([], [1])
