import pandas as pd
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.studies.duplicates import SEEN_BY, advice, detection_in_words, effect_in_words, rows_of_pairs
from tests.images import noise_images

HIGH, MIDDLE, LOW = (Estimate(value, value - 0.1, value + 0.1, 50) for value in (0.9, 0.5, 0.2))


def test_a_ranking_stands_beside_chance_and_the_best():
    found = {"a": LOW, "b": HIGH}
    said = detection_in_words(found, "a", 0.15, "copies")
    assert "of 0.20 [0.10, 0.30], not clearly different from the base rate of 0.15; the best is b with 0.90." in said
    assert "above the base rate of 0.15; no ranking has more." in detection_in_words(found, "b", 0.15, "copies")
    with pytest.raises(InputError, match="own is 'c', but it must be one of 'a', 'b'"):
        detection_in_words(found, "c", 0.15, "copies")


def test_the_effect_is_said_for_the_fewest_and_the_most():
    effects = pd.DataFrame(
        {"effect": [Estimate(value, value - 0.1, value + 0.1, 3, "training") for value in (0.0, -0.3, 0.0, 0.3)]},
        index=pd.MultiIndex.from_product([["s"], SEEN_BY, [1, 4]], names=["score", "copies in", "copies"]),
    )
    said = effect_in_words(effects, "s")
    assert "1 copy by +0.00 [-0.10, +0.10] and 4 copies by -0.30 [-0.40, -0.20] (clearly lower)" in said
    assert "scoring alone 1 copy by +0.00 [-0.10, +0.10] and 4 copies by +0.30 [+0.20, +0.40] (clearly higher)" in said
    assert effect_in_words(effects.xs(4, level="copies", drop_level=False), "s").count("4 copies") == 2
    with pytest.raises(InputError, match="score is 't', but it must be one of 's'"):
        effect_in_words(effects, "t")


@pytest.mark.parametrize(
    ("own", "other", "said"),
    [
        (HIGH, LOW, "use own: it beats the best of the others, other"),
        (LOW, HIGH, "use other in place of own: it is clearly better"),
        (MIDDLE, MIDDLE, "own and other are not clearly different here, so take what is cheaper"),
    ],
)
def test_the_advice_is_for_what_is_clearly_better(own, other, said):
    judged = pd.DataFrame({"precision": HIGH, "recall": [LOW, HIGH, LOW]}, index=["embedding", "hash", "both"])
    text = advice({"own": own, "other": other}, {"own": own, "other": other}, judged, "own")
    assert f"For duplicates {said}" in text
    assert f"For outliers {said}" in text
    assert "As pairs, a perceptual hash finds most" in text
    judged.loc["cleanvision"] = [LOW, Estimate(0.95, 0.9, 1.0, 50)]
    text = advice({"own": own, "other": other}, {"own": own, "other": other}, judged, "own")
    assert "As pairs, cleanvision finds most" in text


def test_pairs_become_rows_of_positions():
    images = noise_images(4)
    pairs = pd.DataFrame({"a": [5, 8, 8], "b": [14, 11, 14]})
    rows = rows_of_pairs(pairs, images, most=2)
    assert [positions.tolist() for positions in rows.values()] == [[0, 1], [3, 2]]
    assert all(positions.dtype == torch.int64 for positions in rows.values())
    with pytest.raises(InputError, match="most is 0"):
        rows_of_pairs(pairs, images, most=0)
