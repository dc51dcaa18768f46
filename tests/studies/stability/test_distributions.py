import numpy as np
import pandas as pd
import pytest

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.studies import PAPER_LOG_SCORES, LogScores, distributions, log_scores, moments, orders, skewness
from tests.studies.scores import scores_of


def test_normal_logarithms_have_the_mean_that_the_formula_says():
    logs = np.random.default_rng(0).normal(2, 0.7, size=200_000)
    found = log_scores(scores_of(np.exp(logs)))
    assert (found.mean, found.deviation) == (pytest.approx(2, abs=0.01), pytest.approx(0.7, abs=0.01))
    assert found.log_of_mean == pytest.approx(2 + 0.7**2 / 2, abs=0.01)


@pytest.mark.parametrize("values", [[], [1, np.nan], [1, np.inf], [1, -1], [1, 0]])
def test_logarithms_need_positive_finite_scores(values):
    with pytest.raises(InputError, match=r"not finite|must be positive"):
        log_scores(scores_of(values))


def test_the_papers_means_differ_less_than_their_logarithms():
    """What the chapter says: μ + σ²/2 is nearly the same for all methods on CIFAR-10, while μ is not."""
    found = orders(PAPER_LOG_SCORES["cifar10"])
    assert found.log_of_mean_range < 0.15 < 0.5 < found.mean_range
    assert found.with_least_spread == pytest.approx(1)
    assert np.isnan(found.with_accuracy)


def test_several_distributions_are_a_table():
    found = distributions({"a": scores_of([1, np.e**2]), "b": scores_of([np.e, np.e])})
    assert found["b"] == LogScores(pytest.approx(1), pytest.approx(0, abs=1e-6), pytest.approx(1))
    table = moments(found)
    assert list(table) == ["μ", "σ", "log of the mean"]
    assert table.loc["a"].tolist() == pytest.approx([1, 1, np.log((1 + np.e**2) / 2)])


def test_orders_compare_ranks():
    found = {name: LogScores(mean, deviation, 5.0) for name, mean, deviation in (("a", 1, 3), ("b", 2, 1), ("c", 3, 2))}
    accuracy = {
        "b": Estimate.stated(0.5),
        "a": Estimate.stated(0.7),
        "c": Estimate.stated(0.1),
        "d": Estimate.stated(1),
    }
    result = orders(found, accuracy)
    assert (result.mean_range, result.log_of_mean_range) == (2, 0)
    assert result.with_least_spread == pytest.approx(0.5)
    assert result.with_accuracy == pytest.approx(-1)
    two = orders({name: found[name] for name in "ab"}, accuracy)
    assert np.isnan([two.with_least_spread, two.with_accuracy]).all()
    with pytest.raises(InputError, match="'c' has a distribution, but no accuracy"):
        orders(found, {"a": accuracy["a"], "b": accuracy["b"]})
    with pytest.raises(InputError, match="the number of distributions is 0"):
        orders({})


def test_skewness_is_that_of_pandas():
    values = np.exp(np.random.default_rng(0).normal(size=100)).astype(np.float32)
    assert skewness(scores_of(values)) == pytest.approx(pd.Series(values.astype(float)).skew())
    assert skewness(scores_of([1, 2, 3])) == pytest.approx(0)
    for values in ([1, 2], [1, 1, 1]):
        with pytest.raises(InputError, match="have no skewness"):
            skewness(scores_of(values))
