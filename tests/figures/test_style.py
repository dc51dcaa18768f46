from itertools import pairwise

import pytest

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.figures.style import amount, grid, looks, over


def test_thirty_things_can_be_told_apart_and_no_more():
    every = looks("methods", range(30))
    for marks in ("marker", "line"):
        assert len({(look.colour, getattr(look, marks)) for look in every}) == 30
    for one, other in pairwise(every):
        for attribute in ("colour", "marker", "line", "hatch"):
            assert getattr(one, attribute) != getattr(other, attribute)
    with pytest.raises(InputError, match="the number of entries of methods is 31, but it must be from 1 to 30"):
        looks("methods", range(31))


@pytest.mark.parametrize(("number", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 3)), (7, (3, 3))])
def test_a_grid_has_as_many_panels_as_asked_for(number, shape):
    figure, axes = grid(number, 1.0, 3)
    assert len(axes) == number
    assert figure.axes[0].get_gridspec().get_geometry() == shape
    assert [axis.axison for axis in figure.axes] == [True] * number + [False] * (shape[0] * shape[1] - number)


def test_words_for_how_many():
    assert amount([1]) == "1 image"
    assert amount([1, 1500], "query") == "1 to 1,500 queries"
    both = [Estimate(0.5, 0.4, 0.6, 20, "query"), Estimate.stated(1.0), Estimate(0.5, 0.4, 0.6, 9, "training")]
    assert over(both) == "95 % intervals over 20 queries or 9 trainings"
    assert over([Estimate.stated(1.0)]) == ""
