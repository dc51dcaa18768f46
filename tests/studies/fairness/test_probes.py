import dataclasses

import pandas as pd
import pytest
import torch

from influence_lib import data, pretrain, store
from influence_lib.errors import InputError
from influence_lib.studies.fairness import attribute_accuracies
from influence_lib.studies.fairness import probes as module
from tests.images import noise_images


@pytest.fixture(autouse=True)
def nothing_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)


def lit(n, seed):
    """Return noise whose brightness says the tone, while another attribute is told by nothing."""
    images = noise_images(n, 16, seed)
    dark = torch.arange(n) % 3 == 0
    pixels = torch.where(dark[:, None, None, None], images.images // 8, images.images)
    coin = torch.randint(2, (n,), generator=torch.Generator().manual_seed(seed)).tolist()
    table = pd.DataFrame({"tone": ["dark" if each else "light" for each in dark.tolist()], "coin": coin})
    return dataclasses.replace(images, images=pixels, attributes=table)


def test_what_pixels_show_is_told_apart_and_what_they_do_not_is_not():
    encoders = {"random weights": pretrain.build_encoder(2).eval()}
    found = attribute_accuracies(encoders, lit(120, 0), lit(90, 1), ["tone", "coin", "class"])["random weights"]
    assert found["tone"].value > 0.95
    assert 0.3 < found["coin"].value < 0.7
    assert found["tone"].n == 90


def test_classes_have_the_linear_accuracy_of_the_encoder(monkeypatch):
    encoder = pretrain.build_encoder(2).eval()
    train, test = data.load("controlled", n=60), data.load("controlled", "test", n=60)
    found = attribute_accuracies({"own": encoder}, train, test, ["class"])
    # the classes are in alphabetical order there, which only reorders the rows of the classifier
    assert found.loc["class", "own"].value == pytest.approx(
        pretrain.linear_accuracy(encoder, train, test).value, abs=1 / 30
    )
    monkeypatch.setattr(module, "linear_accuracy", None)
    again = attribute_accuracies({"own": encoder}, train, test, ["class"])
    assert again.loc["class", "own"] == found.loc["class", "own"]


def test_an_attribute_that_is_not_there_is_one_sentence():
    with pytest.raises(InputError, match="an attribute is 'age', but it must be one of"):
        attribute_accuracies({"own": pretrain.build_encoder(2).eval()}, lit(20, 0), lit(20, 1), ["age"])
