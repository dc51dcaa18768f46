"""What cannot be drawn, or does not belong together, is one sentence."""

import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib import figures
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from tests.images import noise_images

AGREEMENT = Estimate(0.5, 0.4, 0.6, 50)


def scores(values, first_id=0, **data):
    by_draw = torch.tensor([values], dtype=torch.float32)
    return Scores(by_draw, torch.arange(len(values)) + first_id, {"data": data} if data else {})


HERE, THERE = (scores([1, 2, 3], name="a", split="train", fingerprint=f) for f in ("x", "y"))


@pytest.mark.parametrize(
    "draw",
    [
        lambda a, b: figures.score_against(("a", a), {"b": b}),
        lambda a, b: figures.two_trainings({"a": (a, b)}),
    ],
)
@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ((HERE, THERE), "different images .*other pixels"),
        ((HERE, scores([1, 2, 3], first_id=1)), "different images .*ids 0 and 1"),
        ((HERE, scores([1, 2])), "different images .3 and 2."),
        ((HERE, scores([1, 2, np.nan])), "1 images are not finite"),
    ],
)
def test_scores_of_different_images_are_not_drawn_together(draw, pair, sentence):
    with pytest.raises(InputError, match=sentence):
        draw(*pair)


@pytest.mark.parametrize(
    "draw", [lambda s: figures.score_distributions({"a": s}), lambda s: figures.log_score_violins({"panel": {"a": s}})]
)
@pytest.mark.parametrize("values", [[1, 0], [1, -1], [1, np.nan], []])
def test_logarithms_need_positive_scores(draw, values):
    with pytest.raises(InputError, match=r"not all above 0|not finite"):
        draw(scores(values))


@pytest.mark.parametrize(
    "draw",
    [
        figures.score_distributions,
        figures.two_trainings,
        figures.log_score_violins,
        lambda nothing: figures.log_score_violins({"panel": nothing}),
        lambda nothing: figures.score_against(("a", HERE), nothing),
        lambda nothing: figures.image_rows(noise_images(2), nothing),
        lambda nothing: figures.image_rows(noise_images(2), {"row": torch.arange(0)}),
        lambda nothing: figures.image_mosaics(noise_images(2), nothing),
        lambda nothing: figures.image_mosaics(noise_images(2), {"panel": torch.arange(0)}),
        figures.precision_recall_curves,
        lambda nothing: figures.precision_recall_curves({"task": (nothing, 0.1)}),
        lambda nothing: figures.agreement_matrix([], nothing, nothing),
        lambda nothing: figures.interval_dots(nothing, "x"),
        lambda nothing: figures.cross_influence_matrices(nothing, [0], ["a"]),
        lambda nothing: figures.damping_curves(np.ones(1), nothing),
        lambda nothing: figures.draws_curves(nothing, nothing),
        lambda nothing: figures.correlation_table(pd.DataFrame(), pd.DataFrame()),
        figures.curvature_matrices,
        figures.eigenvalue_spectra,
        figures.loss_curves,
        figures.training_curve,
        lambda nothing: figures.matrix_distances(pd.DataFrame()),
        lambda nothing: figures.upweighting(np.ones(1), nothing, *np.ones((3, 1))),
        figures.collapse_monitors,
        figures.loss_directions,
        lambda nothing: figures.augmented_views(torch.zeros(0, 3, 8, 8), torch.zeros(0, 2, 3, 8, 8)),
    ],
)
def test_nothing_cannot_be_drawn(draw):
    with pytest.raises(InputError, match=r"the number of entries of .* is 0, but it must be "):
        draw({})


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: figures.collapse_monitors({str(i): [] for i in range(31)}), "entries of histories is 31"),
        (lambda: figures.curvature_matrices({"a": np.zeros((2, 2))}), "all 0, but a logarithmic scale"),
        (lambda: figures.curvature_matrices({"a": np.full((2, 2), np.nan)}), "not finite"),
        (lambda: figures.eigenvalue_spectra({"a": np.ones(0)}), "entries of spectra.'a'. is 0"),
        (
            lambda: figures.augmented_views(torch.zeros(1, 3, 8, 8), torch.zeros(1, 0, 3, 8, 8)),
            "entries of views.0. is 0",
        ),
        (
            lambda: figures.cross_influence_matrices({"m": np.ones((1, 1))}, [0], ["a"]),
            "the number of entries of labels is 1, but it must be 2 or more",
        ),
        (
            lambda: figures.image_rows(noise_images(2), {"r": torch.tensor([0, 2])}),
            "position in rows.* is 2, .* 0 to 1",
        ),
        (
            lambda: figures.image_mosaics(noise_images(2), {"p": torch.tensor([2])}),
            "position in panels.* is 2, .* 0 to 1",
        ),
        (lambda: figures.image_rows(noise_images(2), {"r": torch.tensor([-1])}), "position in rows.* is -1"),
        (lambda: figures.agreement_matrix(["a"], {}, {}), "reliabilities has no entry for 'a'"),
        (
            lambda: figures.agreement_matrix(["a", "b"], {("b", "c"): AGREEMENT}, {"a": 1.0, "b": None}),
            "agreements has no entry for 'a' and 'b'",
        ),
        (
            lambda: figures.interval_dots({"s": {"a": Estimate.stated(0)}, "t": {"b": Estimate.stated(0)}}, "x"),
            "series 's' has no entry for 'b'",
        ),
        (lambda: figures.draws_curves({"a": (np.ones(1), np.ones(1))}, {}), "predicted has no entry for 'a'"),
        (
            lambda: figures.draws_curves({"a": (np.ones(1),) * 2}, {"a": (np.ones(1),) * 2, "b": (np.ones(1),) * 2}),
            "measured has no entry for 'b'",
        ),
        (
            lambda: figures.cross_influence_matrices({"m": np.ones((2, 3))}, [0, 1], ["a", "b"]),
            r"the shape of 'm' is \(2, 3\), but it must be \(2, 2\)",
        ),
        (
            lambda: figures.cross_influence_matrices({"m": np.ones((2, 2))}, [1, 0], ["a", "b"]),
            "labels is .* ascending",
        ),
        (lambda: figures.cross_influence_matrices({"m": np.ones((2, 2))}, [0, 2], ["a", "b"]), "from 0 to 1"),
        (
            lambda: figures.correlation_table(pd.DataFrame({"a": [1]}), pd.DataFrame({"a": ["1", "2"]})),
            "the shape of texts",
        ),
        (
            lambda: figures.augmented_views(torch.zeros(2, 3, 8, 8), torch.zeros(1, 2, 3, 8, 8)),
            "the number of images in views is 1, but it must be 2, as in originals",
        ),
    ],
)
def test_what_does_not_fit_is_named(draw, sentence):
    with pytest.raises(InputError, match=sentence):
        draw()
