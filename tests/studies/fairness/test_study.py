import numpy as np
import pandas as pd
import pytest

from influence_lib import store
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import random_score
from influence_lib.replication import combined
from influence_lib.studies import fairness
from influence_lib.studies.fairness import study as module
from influence_lib.studies.patterns import differences
from tests.images import noise_images

N, K = 60, 12


@pytest.fixture(autouse=True)
def nothing_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)


@pytest.fixture(scope="module")
def asked():
    """Return scores by three trainings and by one, groups, and images."""
    images = noise_images(N, 16)
    rng = np.random.default_rng(0)
    groups = pd.DataFrame({"tone": rng.choice(["dark", "light", "grey"], N), "half": ["a", "b"] * (N // 2)})
    scores = {"EK-FAC": [random_score(images, seed=seed) for seed in range(3)]}
    return scores, groups.set_axis(images.ids.tolist()), images


def test_ratios_and_photographs_are_means_over_trainings(asked):
    scores, groups, images = asked
    found = fairness.stored_ratios("mine", scores, groups, images, K)["EK-FAC"]
    audits = [fairness.audit(each.values.numpy(), groups, K).groups["ratio"] for each in scores["EK-FAC"]]
    for end in ("highest", "lowest"):
        for group in ("dark", "light", "grey"):
            expected = combined(each[end, "tone", group] for each in audits)
            assert found[end, "tone", group] == expected
            assert (expected.n, expected.unit) == (3, "training")
    differ = differences(scores, fairness.face_statistics(images), images, "other end", k=K)["EK-FAC"]
    assert found["highest less lowest", fairness.PHOTOGRAPH].to_dict() == differ.to_dict()
    assert set(found["highest less lowest", fairness.PHOTOGRAPH].index) == set(fairness.FACES)


def test_a_single_training_keeps_the_interval_of_the_audit(asked):
    scores, groups, images = asked
    one = {"EK-FAC": scores["EK-FAC"][:1]}
    found = fairness.stored_ratios("mine", one, groups, images, K)["EK-FAC"]
    audit = fairness.audit(one["EK-FAC"][0].values.numpy(), groups, K)
    assert found["highest", "half", "a"] == audit.groups["ratio"]["highest", "half", "a"]


def test_it_is_computed_once_for_what_it_depends_on(asked, monkeypatch):
    scores, groups, images = asked
    first = fairness.stored_ratios("mine", scores, groups, images, K)
    monkeypatch.setattr(module, "face_statistics", None)
    again = fairness.stored_ratios("mine", scores, groups, images, K)
    assert all(isinstance(each, Estimate) for each in again["EK-FAC"])
    assert again["EK-FAC"].to_dict() == first["EK-FAC"].to_dict()
    fewer = {"EK-FAC": scores["EK-FAC"][:2]}
    for changed in ({"scores": fewer}, {"groups": groups[["half"]]}, {"k": K + 1}, {"seed": 1}):
        arguments = {"name": "mine", "scores": scores, "groups": groups, "images": images, "k": K} | changed
        with pytest.raises(TypeError):
            fairness.stored_ratios(**arguments)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"scores": {}}, "number of scores"), ({"scores": {"EK-FAC": []}}, "number of scores"), ({"k": 2}, "k is 2")],
)
def test_what_does_not_fit_is_one_sentence(asked, changed, said):
    scores, groups, images = asked
    arguments = {"name": "mine", "scores": scores, "groups": groups, "images": images, "k": K} | changed
    with pytest.raises(InputError, match=said):
        fairness.stored_ratios(**arguments)
