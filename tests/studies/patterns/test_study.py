import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib import influence, pretrain, store
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.studies.patterns import (
    BESIDE,
    NEIGHBOURS,
    PICTURE,
    differences,
    neighbourhoods,
    picture_statistics,
    stored_ends,
)
from influence_lib.studies.patterns import study as module
from tests.images import noise_images
from tests.studies.scores import scores_of

N = 40


@pytest.fixture(autouse=True)
def nothing_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)


@pytest.fixture(scope="module")
def asked():
    """Return two encoders, scores by each, and images of two classes with flat ones among them."""
    images = noise_images(N)
    pixels = images.images.clone()
    pixels[:10] //= 8
    images = dataclasses.replace(images, images=pixels)
    encoders = [pretrain.stored_untrained(2, seed) for seed in (0, 1)]
    rng = np.random.default_rng(0)
    scores = {name: [scores_of(rng.random(N), ids=images.ids) for _ in encoders] for name in ("EK-FAC", "raw loss")}
    return encoders, scores, images


def test_the_table_holds_what_the_two_studies_say(asked):
    encoders, scores, images = asked
    found = stored_ends(encoders, scores, images, k=6, neighbours=5)
    baselines = ["distance of neighbours", "length of representation", "random"]
    assert list(found) == [*scores, *baselines]
    picture = picture_statistics(images)
    knn = {"distance of neighbours": [influence.knn_distance(each, images, 5, progress=False) for each in encoders]}
    for against, beside in BESIDE.items():
        expected = differences(scores | knn, picture, images, against, k=6)
        for name in expected:
            assert found.loc[beside, name][list(PICTURE)].to_dict() == expected[name].to_dict()
    features = [pretrain.embed(each, images) for each in encoders]
    near = neighbourhoods(features, scores["EK-FAC"], images.labels, 6, 5)
    assert found.loc["highest less lowest", "EK-FAC"][list(NEIGHBOURS)].to_dict() == near.apart
    for part in ("lowest", "highest", "random"):
        assert found.loc[part, "EK-FAC"].to_dict() == near.table.loc[part].to_dict()
    assert pd.isna(found.loc[("lowest", "label purity"), "random"])


def test_it_is_computed_once_for_what_it_depends_on(asked, monkeypatch):
    encoders, scores, images = asked
    first = stored_ends(encoders, scores, images, k=6, neighbours=5)
    monkeypatch.setattr(module, "picture_statistics", None)
    again = stored_ends(encoders, scores, images, k=6, neighbours=5)
    assert all(isinstance(each, Estimate) for each in again["EK-FAC"])
    assert again["EK-FAC"].to_dict() == first["EK-FAC"].to_dict()
    others = dict(scores)
    others["EK-FAC"] = [scores_of(each.by_draw[0] * torch.linspace(1, 2, N), ids=each.ids) for each in scores["EK-FAC"]]
    for changed in ({"scores": others}, {"k": 7}, {"neighbours": 6}, {"seed": 1}, {"encoders": encoders[::-1]}):
        arguments = {"encoders": encoders, "scores": scores, "k": 6, "neighbours": 5} | changed
        with pytest.raises(TypeError):
            stored_ends(images=images, **arguments)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"encoders": []}, "number of encoders"),
        ({"scores": {"EK-FAC": []}}, "scores\\['EK-FAC'\\]"),
        ({"k": 2}, "k is 2"),
        ({"k": N // 2 + 1}, "k is 21"),
        ({"neighbours": N}, "neighbours is 40"),
    ],
)
def test_what_does_not_fit_is_one_sentence(asked, changed, said):
    encoders, scores, images = asked
    arguments = {"encoders": encoders, "scores": scores, "k": 6, "neighbours": 5} | changed
    with pytest.raises(InputError, match=said):
        stored_ends(images=images, **arguments)
