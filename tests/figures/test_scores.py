import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from influence_lib import figures
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from tests.images import noise_images


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def scores_of(values) -> Scores:
    return Scores(torch.tensor([values]), torch.arange(len(values)), {})


def test_image_rows_show_the_images_asked_for():
    images = noise_images(12)
    figure = figures.image_rows(images, {"first": torch.tensor([3, 0]), "second": torch.tensor([7])})
    shown = [axis.get_images() for axis in figure.axes]
    assert [len(s) for s in shown] == [1, 1, 1, 0]
    for artists, position in zip(shown[:3], [3, 0, 7], strict=True):
        np.testing.assert_array_equal(artists[0].get_array(), images.images[position].permute(1, 2, 0))
    assert [axis.get_title() for axis in figure.axes[:3]] == ["odd", "even", "odd"]
    assert [axis.texts[0].get_text() for axis in figure.axes if axis.texts] == ["first", "second"]


def test_training_curve_is_the_history():
    history = [{"epoch": e, "loss": 1 / e, "lr": 0.1, "images_per_second": 5.0} for e in (1, 2, 3)]
    (line,) = figures.training_curve(history).axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 1], [2, 1 / 2], [3, 1 / 3]])


def test_distributions_count_every_image_on_a_log_scale():
    figure = figures.score_distributions({"a": scores_of([0.1, 1.0, 10.0]), "b": scores_of([1.0, 1.0, 1.0])})
    for axis in figure.axes:
        assert sum(bar.get_height() for bar in axis.patches) == 3
    assert figure.axes[0].lines[0].get_xdata()[0] == pytest.approx(0)


def test_scatter_shows_percentiles():
    figure = figures.score_against(("a", scores_of([1.0, 3.0, 2.0, 9.0])), {"b": scores_of([4.0, 3.0, 2.0, 1.0])})
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, [[87.5, 12.5], [62.5, 62.5], [37.5, 37.5], [12.5, 87.5]])


def test_agreement_matrix_takes_pairs_in_either_order():
    pairs = {
        ("a", "b"): Estimate(0.5, 0.4, 0.6, 50),
        ("c", "a"): Estimate(-0.2, -0.3, -0.1, 50),
        ("b", "c"): Estimate(0.0, -0.1, 0.1, 50),
    }
    figure = figures.agreement_matrix(["a", "b", "c"], pairs)
    expected = [[1, 0.5, -0.2], [0.5, 1, 0], [-0.2, 0, 1]]
    np.testing.assert_allclose(figure.axes[0].get_images()[0].get_array(), expected)
    assert "-0.200\n[-0.300, -0.100]" in {text.get_text() for text in figure.axes[0].texts}
