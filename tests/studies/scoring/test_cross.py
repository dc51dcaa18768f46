import numpy as np
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.influence import cross_influence
from influence_lib.studies.scoring import (
    GRADIENT,
    NORMALISED,
    RAW,
    REPRESENTATION,
    Partners,
    nine_scores,
    partners,
    queries_by_class,
)
from tests.images import noise_images
from tests.studies.scoring.conftest import image_set

LABELS = [0, 0, 0, 1, 1, 1]


def known(values, asked=(0, 3), labels=LABELS, **more):
    """Return partners of one-coloured images, whose brightness is their position."""
    pixels = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4).clone() * 10
    return Partners(
        image_set(pixels, labels), torch.tensor(asked), {k: torch.tensor(v) for k, v in values.items()}, **more
    )


ROWS = [[9.0, 5, 4, 3, 2, 1], [6.0, 5, 4, 9, 2, 1]]


def test_the_best_partners_are_without_the_query():
    found = known({RAW: ROWS})
    assert found.best(RAW, 2).tolist() == [[1, 2], [0, 1]]
    assert found.best(RAW, 2, lowest=True).tolist() == [[5, 4], [5, 4]]
    assert found.row(1, 2).tolist() == [3, 0, 1]
    assert found.row(0, 1, lowest=True).tolist() == [0, 5]
    assert found.best(RAW, 5)[1].tolist() == [0, 1, 2, 4, 5]
    with pytest.raises(InputError, match="k is 6, but it must be a whole number from 1 to 5"):
        found.best(RAW, 6)


def test_shares_of_the_class_and_of_different_images():
    found = known({RAW: ROWS})
    share = found.same_class(RAW, 2)
    assert (share.value, share.n, share.unit) == (0.5, 2, "query")  # all of the first query's, none of the second's
    assert found.same_class_by_chance == pytest.approx(2 / 5)
    assert found.variety(RAW, 2) == 3 / 4
    assert found.variety_by_chance(2) == pytest.approx((6 * (1 - (2 / 3) ** 2)) / 4)


def test_chance_follows_the_sizes_of_the_classes():
    assert known({}, asked=(0,), labels=[0, 0, 0, 0, 1]).same_class_by_chance == pytest.approx(3 / 4)
    assert known({}, asked=(4,), labels=[0, 0, 0, 0, 1]).same_class_by_chance == 0


def test_the_variety_by_chance_is_that_of_random_lists():
    found = known({}, asked=range(8), labels=[0] * 20)
    rng = np.random.default_rng(0)
    lists = [len({i for _ in range(8) for i in rng.permutation(20)[:3]}) / 24 for _ in range(2000)]
    assert found.variety_by_chance(3) == pytest.approx(np.mean(lists), abs=0.01)


def test_magnitudes_are_between_different_queries():
    curved = [[1.0, 0, 0, -0.2, 0, 0], [0.2, 0, 0, 1, 0, 0]]
    found = known({NORMALISED: curved, GRADIENT: [[1.0, 0, 0, 0.5, 0, 0], [0.5, 0, 0, 1, 0, 0]], RAW: ROWS})
    assert found.mean_magnitude(NORMALISED) == pytest.approx(0.2)
    assert found.little_in_common
    assert list(found.between_queries()) == [NORMALISED, GRADIENT]
    np.testing.assert_allclose(found.between_queries()[NORMALISED], [[1, -0.2], [0.2, 1]])
    equal = Partners(found.images, found.asked, found.values | {NORMALISED: found.values[GRADIENT]})
    assert not equal.little_in_common


def test_values_go_with_what_they_are_made_of():
    """One-coloured pictures: the nearer in brightness the nearer in pixels and in mean colour."""
    nearness = [[-abs(float(i - q)) + 0.01 * i for i in range(6)] for q in (0, 5)]
    classes = [[1.0, 1, 1, 0, 0, 0], [0.0, 0, 0, 1, 1, 1]]
    found = known(
        {NORMALISED: nearness, GRADIENT: classes, REPRESENTATION: (-np.array(nearness)).tolist()}, asked=(0, 5)
    )
    along = found.along(NORMALISED)
    assert along["pixels"].value == along["mean colour"].value == pytest.approx(1)
    assert along["representations"].value == pytest.approx(-1)
    assert 0.8 < along["class"].value < 1
    assert along["class"].n == 2
    assert found.along(GRADIENT)["class"].value == pytest.approx(1)


def test_a_likeness_that_is_the_same_for_all_partners_has_no_correlation():
    found = known({RAW: ROWS, REPRESENTATION: ROWS}, labels=[0] * 6)
    assert np.isnan(found.along(RAW)["class"].value)
    assert not np.isnan(found.along(RAW)["pixels"].value)


def test_of_any_encoder_what_is_normalised_is_1_with_itself(scorer, images):
    asked = queries_by_class(images, 2)
    assert images.labels[asked].tolist() == [0, 0, 1, 1]
    found = partners(scorer, images, asked, nine_scores(scorer, images))
    assert found.self_error < 1e-4
    for kind in (NORMALISED, GRADIENT, REPRESENTATION):
        torch.testing.assert_close(found.values[kind][:, asked].diag(), torch.ones(4), rtol=1e-4, atol=0)
        assert found.values[kind].abs().max() < 1 + 1e-4
    direct = cross_influence(
        scorer.encoder, images.subset(asked), images, scorer.perturbation, draws=2, progress=False
    ).values
    assert torch.equal(found.values[RAW], direct)


def test_queries_are_as_many_of_each_class_as_there_are():
    assert queries_by_class(known({}, labels=[1, 0, 0, 1, 1]).images, 2).tolist() == [1, 2, 0, 3]
    assert queries_by_class(known({}, labels=[2, 0, 0, 0]).images, 3).tolist() == [1, 2, 3, 0]
    with pytest.raises(InputError, match="count is 0"):
        queries_by_class(noise_images(4), 0)


def test_no_query_is_refused(scorer, images):
    with pytest.raises(InputError, match="the number of queries is 0"):
        partners(scorer, images, torch.tensor([], dtype=torch.long), {})
