import numpy as np
import pytest

from influence_lib import figures
from tests.figures.conftest import draws_without_warnings, scores_of


def test_distributions_count_every_image_on_a_log_scale():
    figure = figures.score_distributions({"a": scores_of([0.1, 1.0, 10.0]), "b": scores_of([1.0, 1.0, 1.0])})
    for axis in figure.axes:
        assert sum(bar.get_height() for bar in axis.patches) == 3
    assert figure.axes[0].lines[0].get_xdata()[0] == pytest.approx(0)
    assert figure.get_supylabel() == "of 3 images"


def test_an_eighth_score_has_its_histogram():
    figure = figures.score_distributions({f"score {i}": scores_of([1.0, 2.0]) for i in range(8)})
    assert [axis.get_title() for axis in figure.axes if axis.patches] == [f"score {i}" for i in range(8)]
    draws_without_warnings(figure)


def test_violins_mark_the_mean_of_the_logarithms():
    rng = np.random.default_rng(0)
    logs = {"a": rng.normal(size=50), "b": rng.normal(3, 1, size=50)}
    figure = figures.log_score_violins({"panel": {name: scores_of(np.exp(x)) for name, x in logs.items()}})
    (axis,) = figure.axes
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [x.mean() for x in logs.values()], rtol=1e-4)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    draws_without_warnings(figure)
