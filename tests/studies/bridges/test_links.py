import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from influence_lib.errors import InputError
from influence_lib.studies.bridges import (
    changes,
    links,
    links_against_score,
    links_in_words,
    mediation_in_words,
    removal_in_words,
    with_backgrounds,
)
from tests.studies.scores import scores_of


def test_links_are_counted_by_hand():
    # two places; at the first lie one image of class 0 and two of class 1, at the second two of class 0
    features = torch.tensor([[1.0, 0.0], [1.0, 0.01], [1.0, 0.03], [0.0, 1.0], [0.01, 1.0]])
    labels, backgrounds = torch.tensor([0, 1, 1, 0, 0]), ["white", "white", "black", "white", "black"]
    found = links(features, labels, backgrounds, k=1)
    assert found["bridges"].tolist() == [1, 1, 0, 0, 0]  # the first two are each other's nearest
    assert found["own class"].tolist() == [0, 0, 1, 1, 1]
    two = links(features, labels, backgrounds, k=2)
    assert two["bridges"].tolist()[:3] == [0.5, 0.5, 0]
    assert two["other links"].tolist()[:3] == [0.5, 0, 0.5]
    assert np.allclose(two.sum(axis=1), 1)
    assert with_backgrounds(found, backgrounds).loc["white", "bridges"] == pytest.approx(2 / 3)


def test_an_encoder_of_backgrounds_has_bridges_and_one_of_classes_has_none():
    rng = np.random.default_rng(0)
    labels, backgrounds = torch.from_numpy(rng.integers(4, size=200)), rng.integers(3, size=200)
    noise = torch.from_numpy(rng.normal(size=(200, 4)) * 0.05)
    by_background = links(torch.eye(4)[backgrounds] + noise, labels, backgrounds.astype(str))
    by_class = links(torch.eye(4)[labels] + noise, labels, backgrounds.astype(str))
    assert by_background["bridges"].mean() > 0.6
    assert by_background["other links"].mean() == 0
    assert by_class["bridges"].mean() == 0


def test_a_score_of_the_background_says_nothing_within_it():
    rng = np.random.default_rng(1)
    backgrounds = np.repeat(["white", "black"], 100)
    bridges = (backgrounds == "white") * 0.5 + rng.random(200) * 0.4
    found = pd.DataFrame({"bridges": bridges})
    by_background = scores_of((backgrounds == "white") + rng.random(200) * 0.1)
    both = links_against_score(found, by_background, backgrounds)
    assert both["overall"] > 0.6
    assert abs(both["within backgrounds"]) < 0.2
    by_bridges = links_against_score(found, scores_of(bridges), backgrounds)
    assert by_bridges == pytest.approx({"overall": 1, "within backgrounds": 1})
    one = links_against_score(found, by_background, ["white"] * 200)
    assert one["overall"] == pytest.approx(spearmanr(by_background.values, bridges).statistic)
    assert one["within backgrounds"] == pytest.approx(one["overall"])


def test_numbers_that_differ_are_one_sentence():
    with pytest.raises(InputError, match="there are 3 features, 2 labels and 3 backgrounds"):
        links(torch.eye(3), torch.tensor([0, 1]), ["a"] * 3)
    with pytest.raises(InputError, match="there are 2 scores of 3 images"):
        links_against_score(pd.DataFrame({"bridges": [0.0] * 3}), scores_of(np.ones(2)), ["a"] * 3)


def made_up(shift):
    rng = np.random.default_rng(0)
    own = rng.normal(0.3, 0.05, 5)
    rows = [
        {
            "arm": arm,
            "training": i,
            "bridges": own[i] + move + rng.normal(0, 0.005),
            "other links": 0.2,
            "accuracy": 0.4,
        }
        for arm, move in (("random", 0.0), ("highest", shift))
        for i in range(5)
    ]
    return pd.DataFrame(rows)


def test_changes_are_paired_and_said():
    found = changes(made_up(-0.05), "highest", "random")
    assert found["bridges"].below(-0.03)
    assert found["accuracy"].value == 0
    said = removal_in_words(made_up(-0.05), "highest", "random")
    assert said.startswith("Without the highest in place of the random, in points over 5 trainings: bridges -")
    assert "(below 0)" in said
    with pytest.raises(InputError, match="arm is 'none'"):
        changes(made_up(0), "none", "random")


def test_parts_and_mediation_are_said():
    parts = made_up(0.1).rename(columns={"arm": "uniform"}).replace({"random": 0.0, "highest": 0.5})
    assert "where 50% have: more (+" in links_in_words(parts)
    table = pd.DataFrame({"training": range(4), "overall": 0.5, "within backgrounds": [0.01, -0.02, 0.02, -0.01]})
    table["overall"] += np.arange(4) * 0.01
    assert "says nothing clear about bridges" in mediation_in_words(table)
    table["within backgrounds"] -= 0.3
    assert "images with a higher score have fewer bridges" in mediation_in_words(table)
