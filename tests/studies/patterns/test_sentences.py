import pandas as pd
import pytest

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.studies.patterns import NEIGHBOURS, advice, clear, in_words, which_ends_cluster

UP, DOWN, NONE = (Estimate(value, value - 0.1, value + 0.1, 20) for value in (0.3, -0.3, 0.05))


def test_only_what_is_clear_is_named():
    found = clear({"border uniformity": UP, "contrast": DOWN, "brightness": NONE})
    assert list(found) == ["border uniformity", "contrast"]
    said = "By a the highest differ clearly from their controls in border uniformity (higher), contrast (lower)."
    assert in_words("By a", found) == said
    assert "clearly in none of" in in_words("By a", clear({"brightness": NONE}))


@pytest.mark.parametrize(
    ("among_all", "within", "said"),
    [
        (UP, UP, "The lowest images lie closer together than the highest"),
        (DOWN, DOWN, "The highest images lie closer together than the lowest"),
        (NONE, NONE, "Neither end lies clearly closer together"),
        (
            UP,
            DOWN,
            "Among all images the lowest lie clearly closer together, within the two sets the high",
        ),
        (NONE, UP, "Among all images neither end lies clearly closer together, within the two sets the lowest lie"),
    ],
)
def test_the_end_that_clusters_is_the_nearer_one(among_all, within, said):
    apart = dict.fromkeys(NEIGHBOURS, NONE) | {"neighbour distance": among_all, "distance within the set": within}
    assert which_ends_cluster(apart).startswith(said)


@pytest.mark.parametrize(
    ("ekfac", "loss", "said"),
    [
        (UP, NONE, "by EK-FAC the borders are more white than those of controls; by the raw loss the borders are like"),
        (NONE, DOWN, "by EK-FAC the borders are like those of controls; by the raw loss the borders are less white"),
    ],
)
def test_the_advice_follows_the_grounds(ekfac, loss, said):
    table = pd.DataFrame({"EK-FAC": [ekfac, UP], "raw loss": [loss, UP]}, index=["white border", "contrast"])
    assert said in advice(table, 20)
    table.loc["border uniformity"] = [DOWN, NONE]
    assert f"by EK-FAC the borders are less uniform{' and more white' if ekfac is UP else ''} than" in advice(table, 20)


def test_what_is_missing_is_one_sentence():
    with pytest.raises(InputError, match="a column is 'raw loss', but it must be one of 'EK-FAC'"):
        advice(pd.DataFrame({"EK-FAC": [UP]}, index=["contrast"]), 20)
    with pytest.raises(InputError, match="a distance is 'neighbour distance', but it must be one of 'a'"):
        which_ends_cluster({"a": UP})
