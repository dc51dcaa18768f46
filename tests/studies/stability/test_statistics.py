import numpy as np
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import rank_agreement
from influence_lib.studies import explained_variance, strongest
from tests.studies.scores import scores_of


def test_one_explaining_score_explains_the_squared_rank_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    a, b = scores_of(x), scores_of(x + rng.normal(size=300))
    assert explained_variance(a, [b]) == pytest.approx(rank_agreement(a, b).value ** 2)
    assert explained_variance(a, [b, scores_of(np.exp(x))]) == pytest.approx(1)
    assert explained_variance(a, []) == pytest.approx(0)


def test_scores_of_other_images_are_refused():
    with pytest.raises(InputError, match="different images"):
        explained_variance(scores_of([1, 2]), [scores_of([1, 2], ids=torch.tensor([1, 0]))])


def test_scores_that_do_not_belong_together_are_refused():
    def of(**data):
        return scores_of([1.0, 2.0, 4.0], data=data)

    with pytest.raises(InputError, match="with other pixels or labels"):
        explained_variance(of(name="a", split="b", fingerprint="c"), [of(name="a", split="b", fingerprint="d")])
    with pytest.raises(InputError, match="not finite"):
        explained_variance(scores_of([1, 2, np.nan]), [])
    with pytest.raises(InputError, match="by is 'Scores', but it must be a list of Scores"):
        explained_variance(scores_of([1, 2]), scores_of([1, 2]))


def test_a_constant_has_no_variance():
    with pytest.raises(InputError, match="the same for all images: there is no variance to explain"):
        explained_variance(scores_of([1, 1]), [scores_of([1, 2])])


def test_the_strongest_statistic_is_so_in_the_mean_whatever_the_sign():
    values = {"a": {"dark": -0.9, "smooth": 0.5}, "b": {"dark": 0.1, "smooth": 0.4}, "c": {"dark": 0.9, "smooth": 0.7}}
    found = {name: {key: Estimate.stated(value) for key, value in row.items()} for name, row in values.items()}
    assert strongest(found) == "dark"
    assert strongest({"b": found["b"]}) == "smooth"
    for nothing in ({}, {"a": {}}):
        with pytest.raises(InputError, match="there is nothing to compare"):
            strongest(nothing)
