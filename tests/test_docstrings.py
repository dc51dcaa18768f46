"""The examples in the docstrings of the public calls run, and give what they show."""

import doctest
import inspect

import numpy as np
import pytest
import torch
from PIL import Image

import influence_lib.data
import influence_lib.estimate
import influence_lib.influence
import influence_lib.pretrain
import influence_lib.store
from influence_lib import data, influence, pretrain

MODULES = tuple(getattr(influence_lib, name) for name in ("data", "estimate", "influence", "pretrain", "store"))
PUBLIC = [
    (module, name)
    for module in MODULES
    for name in module.__all__
    if inspect.isfunction(getattr(module, name)) or inspect.isclass(getattr(module, name))
]
# what needs an image set that has to be fetched, or a file of somebody else's
NOT_HERE = {"knn_accuracy", "linear_accuracy", "load_checkpoint", "export_solo_learn"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return the names that examples use without making them."""
    images = data.load("controlled", n=60)
    encoder = pretrain.build_encoder(2)
    folder = tmp_path_factory.mktemp("images")
    for kind in ("a", "b"):
        (folder / "train" / kind).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "train" / kind / "1.png")
    options = {"draws": 2, "progress": False, "device": "cpu"}
    scores = influence.self_influence(encoder, images, curvature="diagonal", **options)
    loss, norm = (
        influence.raw_loss(encoder, images, **options),
        influence.embedding_norm(encoder, images, progress=False),
    )
    known = {"images": images, "encoder": encoder, "folder": folder, "scores": scores, "loss": loss, "norm": norm}
    return known | {"influence": influence, "pretrain": pretrain, "data": data, "np": np, "torch": torch}


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda each: getattr(each, "__name__", each))
def test_examples_run(module, name, prepared, tmp_path, monkeypatch):
    if name in NOT_HERE:
        pytest.skip("its example needs an image set or a file that is not here")
    if module is not influence_lib.store:
        monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    thing = getattr(module, name)
    names = prepared | {each: getattr(module, each) for each in module.__all__}
    (example,) = doctest.DocTestFinder(recurse=False).find(thing, name, globs=names)
    if inspect.isfunction(thing):
        assert example.examples, "every public call has an example"
    if any(each.want for each in example.examples):
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        assert runner.run(example, out=lambda _: None).failed == 0
        return
    for each in example.examples:  # nothing is shown, so that any result will do
        exec(compile(each.source, name, "single"), names)
