import numpy as np
import pandas as pd
import torch

from influence_lib import figures
from influence_lib.influence import Scores
from tests.figures.conftest import draws_without_warnings


def scores_of(values):
    values = torch.as_tensor(np.asarray(values), dtype=torch.float32)[None]
    return Scores(values, torch.arange(values.shape[1]), {})


def test_two_trainings_are_compared_by_percentile():
    figure = figures.two_trainings({"a": (scores_of([3.0, 1.0]), scores_of([10.0, 20.0]))})
    np.testing.assert_allclose(figure.axes[0].collections[0].get_offsets(), [[75, 25], [25, 75]])
    draws_without_warnings(figure)


def test_many_pairs_of_trainings_take_rows_of_three():
    pair = scores_of([3.0, 1.0]), scores_of([10.0, 20.0])
    figure = figures.two_trainings({str(i): pair for i in range(4)})
    assert [bool(axis.collections) for axis in figure.axes] == [True] * 4 + [False] * 2
    draws_without_warnings(figure)


def test_violins_mark_the_mean_of_the_logarithms():
    rng = np.random.default_rng(0)
    logs = {"a": rng.normal(size=50), "b": rng.normal(3, 1, size=50)}
    figure = figures.log_score_violins({"panel": {name: scores_of(np.exp(x)) for name, x in logs.items()}})
    (axis,) = figure.axes
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [x.mean() for x in logs.values()], rtol=1e-4)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    draws_without_warnings(figure)


def test_a_table_has_its_texts():
    values = pd.DataFrame({"x": [0.9, -0.2], "y": [0.0, -0.8]}, index=["one", "two"])
    figure = figures.correlation_table(values, values.map(lambda v: f"{v:.1f}"))
    assert [t.get_text() for t in figure.axes[0].texts] == ["0.9", "0.0", "-0.2", "-0.8"]
    assert [t.get_color() for t in figure.axes[0].texts] == ["white", "black", "black", "white"]
    draws_without_warnings(figure)
