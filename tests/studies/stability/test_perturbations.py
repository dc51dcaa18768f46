import numpy as np
import pytest

from influence_lib.errors import InputError
from influence_lib.influence import TABLE_4, rank_agreement
from influence_lib.studies import PAPER_DEFAULTS, PAPER_TABLE_4, STRENGTHS, two_readings
from tests.studies.scores import scores_of

RNG = np.random.default_rng(0)
SIGNAL, OTHER = RNG.normal(size=(2, 200))


def noisy(signal):
    return scores_of(*(signal + 0.2 * RNG.normal(size=200) for _ in range(2)))


DEFAULT = noisy(SIGNAL)
FIRST = {"same": noisy(SIGNAL), "other": noisy(OTHER)}
SECOND = {"same": noisy(SIGNAL), "other": noisy(-OTHER)}


def test_the_two_readings_are_different_questions():
    table = two_readings(FIRST, SECOND, DEFAULT)
    assert list(table) == ["with the default", "between two trainings", "reliability"]
    assert table.loc["same", "with the default"].above(0.8)
    assert not table.loc["other", "with the default"].above(0.2)
    assert table.loc["other", "between two trainings"].below(-0.8)
    assert table["reliability"].to_dict() == {name: score.reliability for name, score in FIRST.items()}


def test_a_variant_that_is_the_default_is_compared_in_other_draws():
    redrawn = noisy(SIGNAL)
    first = {**FIRST, "default": DEFAULT}
    table = two_readings(first, {**SECOND, "default": noisy(SIGNAL)}, DEFAULT, {"default": redrawn})
    assert table.loc["default", "with the default"] == rank_agreement(redrawn, DEFAULT)
    assert table.loc["default", "reliability"] == DEFAULT.reliability


def test_raw_losses_get_a_column():
    table = two_readings(FIRST, SECOND, DEFAULT, losses=FIRST)
    assert table["with the raw loss"].map(lambda each: each.value).tolist() == pytest.approx([1, 1])


def test_variants_that_do_not_match_are_refused():
    with pytest.raises(InputError, match="'other' is in one of first and second"):
        two_readings(FIRST, {"same": SECOND["same"]}, DEFAULT)
    with pytest.raises(InputError, match="'more' is in one of first and losses"):
        two_readings(FIRST, SECOND, DEFAULT, losses={**FIRST, "more": DEFAULT})
    with pytest.raises(InputError, match="'more' is in redrawn, but must be one of first"):
        two_readings(FIRST, SECOND, DEFAULT, {"more": DEFAULT})


def test_the_papers_rows_are_those_of_the_library():
    assert list(PAPER_TABLE_4) == list(TABLE_4)
    assert set(PAPER_DEFAULTS) <= set(STRENGTHS)
