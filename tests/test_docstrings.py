"""The examples in the docstrings of the public calls run, and give what they show."""

import doctest
import inspect
from functools import partial
from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from influence_lib import data, figures, influence, pretrain, studies
from influence_lib.estimate import Estimate
from influence_lib.influence.views.gradients import Factors
from influence_lib.studies import attribution, bend, bridges, duplicates, removal
from influence_lib.studies.scoring import small_encoder
from tests.notebook.test_settings import GIVEN
from tests.studies.scores import scores_of

ROOMS = (
    *("data", "pretrain", "influence", "theory", "theory.curves", "figures", "notebook", "book"),
    *(
        "studies",
        "studies.bend",
        "studies.scoring",
        "studies.trend",
        "studies.patterns",
        "studies.duplicates",
        "studies.fairness",
        "studies.removal",
        "studies.bridges",
        "studies.continual",
        "studies.attribution",
        "studies.fanout",
    ),
    *("checkout", "errors", "estimate", "finding", "replication", "store", "text"),
)
MODULES = {name: import_module(f"influence_lib.{name}") for name in ROOMS}
PUBLIC = [
    (room, name)
    for room, module in MODULES.items()
    for name in module.__all__
    if inspect.isfunction(getattr(module, name)) or inspect.isclass(getattr(module, name))
]
# what needs an image set that has to be fetched, a file of somebody else's, or minutes
NOT_HERE = {
    "both_accuracies",
    "knn_accuracy",
    "linear_accuracy",
    "load_checkpoint",
    "export_solo_learn",
    "accuracies",
    "accuracies_along",
    "train_small_encoder",
    "build",
}


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
    libraries = {"np": np, "pd": pd, "torch": torch, "Path": Path, "Estimate": Estimate, "given": GIVEN}
    libraries |= {"TypeAdapter": TypeAdapter, "ValidationError": ValidationError}
    return known | libraries | {"influence": influence, "pretrain": pretrain, "data": data}


@pytest.fixture(scope="module")
def studied(prepared):
    """Return the names that examples of studies use: a small encoder, some scores, the parts of a gradient."""
    images = data.load("controlled", n=30, size=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = small_encoder.untrained()
    rng = np.random.default_rng(0)
    trainings = ("first", "second", "third", "first_loss", "second_loss", "third_loss", "simclr", "byol")
    epochs = ("first_epoch", "first_epoch_again", "last_epoch", "last_epoch_again")
    strengths = ("default", "crop", "crop_again", "weak", "weak_again", "strong", "strong_again")
    scores = {}
    for name in ("ekfac", "loss", "exact", *trainings, *epochs, *strengths):
        draws = np.exp(np.linspace(0, 2, 30) + rng.normal(scale=0.5, size=30) + rng.normal(scale=0.1, size=(2, 30)))
        scores[name] = scores_of(*draws, ids=images.ids)
    along = {f"{kind}_{epoch}": scores[kind] for kind in ("ekfac", "loss") for epoch in (6, 24)}
    loss = torch.linspace(0.05, 0.9, 30).repeat(2, 1)
    whole = (loss, *torch.ones(2, 2, 30), loss, loss, -loss / 2)
    parts = bend.GradientParts(images.ids, *whole, by_layer={"conv": loss[0]})
    known = {"images": images, "encoder": encoder, "parts": parts, "statistics": {"brightness": scores["exact"]}}
    known["scorer"] = studies.Scorer(encoder, influence.GaussianNoise(), device="cpu")
    calls = {
        "Scorer": studies.Scorer,
        "rank_agreement": influence.rank_agreement,
        "nn": torch.nn,
        "Factors": Factors,
        "figures": figures,
        "bend": bend,
    }
    return prepared | scores | along | known | calls


@pytest.fixture(scope="module")
def ends(prepared):
    """Return the names that examples about the ends of a ranking use: a known truth, and what was found of it."""
    images, encoder = prepared["images"], prepared["encoder"]
    features = pretrain.embed(encoder, images)
    truth = {"duplicate": np.arange(60) < 6, "outlier": np.arange(60) >= 54}
    found = {"EK-FAC": [prepared["scores"]], "raw loss": [prepared["loss"]]}
    planted = data.plant(images, exact=0.1)
    pairs = duplicates.near_pairs(planted, pretrain.embed(encoder, planted))

    def train(own, seed):
        return encoder

    score = partial(influence.raw_loss, draws=2, progress=False, device="cpu")
    known = {
        "truth": truth,
        "features": features,
        "train": train,
        "changes": duplicates.copy_changes(images, train, {"raw loss": score}, copies=[2], each=5, trainings=3),
        "as_duplicates": duplicates.detection(found, truth["duplicate"], "lowest"),
        "as_outliers": duplicates.detection(found, truth["outlier"], "highest"),
        "judged": duplicates.judged_pairs(pairs, planted),
    }
    return prepared | known


@pytest.fixture
def removed(prepared, tmp_path):
    """Return the names that examples about removal use: a sweep of a few steps, and made-up accuracies."""
    recipe = pretrain.Recipe("simclr", "controlled", n=50, width=2, epochs=1, batch_size=10, precision="fp32")
    sweep = removal.Sweep(recipe, removal.arms(("JPEG size",), (0.2,)), 2, recipe)
    arms = ("nothing", "random", "highest by EK-FAC")
    table = pd.DataFrame(
        [
            ("SimCLR", "SimCLR", 0.2 * (arm != "nothing"), arm, "steps", i, *[0.3 + i * 0.01 * len(arm)] * 2)
            for i in range(3)
            for arm in arms
        ],
        columns=[*removal.COLUMNS, "knn", "linear"],
    )
    return prepared | {"sweep": sweep, "table": table, "Recipe": pretrain.Recipe}


@pytest.fixture
def bridged(prepared, tmp_path_factory, monkeypatch):
    """Return the names that examples about bridges use: an experiment of a few steps, and what came out."""
    folder = tmp_path_factory.mktemp("bridges")
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: folder)
    recipe = pretrain.Recipe("simclr", "controlled", n=50, width=2, epochs=1, batch_size=10, precision="fp32")
    experiment = bridges.BridgeExperiment(recipe, uniform=(0.0, 1.0), amount=0.2, trainings=2)
    features = pretrain.embed(prepared["encoder"], prepared["images"])
    return prepared | {"experiment": experiment, "features": features}


@pytest.fixture
def attributed(removed, tmp_path_factory, monkeypatch):
    """Return the names that examples about attribution use: a recipe of a few steps, halves, a classifier, scores."""
    folder = tmp_path_factory.mktemp("attribution")
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: folder)
    schedule = pretrain.Schedule(epochs=1, batch_size=10, precision="fp32")
    recipe = attribution.ClassifierRecipe("controlled", n=60, targets_of_class=1, width=2, schedule=schedule)
    images, targets = recipe.images(), recipe.targets()
    supports = [
        attribution.Support(recipe, target, tuple(images.ids[:4].tolist()), budget=1, trainings=1)
        for target in range(2)
    ]
    known = {
        "recipe": recipe,
        "images": images,
        "targets": targets,
        "classifier": attribution.Counterfactual(recipe).model(),
        "halves": attribution.Halves(recipe, subsets=6, repeated=3, times=2),
        "scores": attribution.attribute("random", [], images, targets),
        "supports": supports,
    }
    return removed | known | {"Schedule": pretrain.Schedule}


FIXTURES = {
    "studies.attribution": "attributed",
    "studies.fanout": "removed",
    "studies.bridges": "bridged",
    "studies.continual": "prepared",
    "studies.patterns": "ends",
    "studies.duplicates": "ends",
    "studies.fairness": "ends",
    "studies.removal": "removed",
}


@pytest.mark.parametrize(("room", "name"), PUBLIC)
def test_examples_run(room, name, prepared, request, tmp_path, monkeypatch):
    if name in NOT_HERE:
        pytest.skip("its example needs an image set, a file or minutes that are not here")
    if room not in ("store", "checkout"):
        monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    thing = getattr(MODULES[room], name)
    studied = "studied" if room.startswith(("studies", "replication")) else "prepared"
    given = request.getfixturevalue(FIXTURES.get(room, studied))
    names = given | {each: getattr(MODULES[room], each) for each in MODULES[room].__all__}
    (example,) = doctest.DocTestFinder(recurse=False).find(thing, name, globs=names)
    if inspect.isfunction(thing):
        assert example.examples, "every public call has an example"
    if any(each.want for each in example.examples):
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        assert runner.run(example, out=lambda _: None).failed == 0
    else:
        for each in example.examples:  # nothing is shown, so that any result will do
            exec(compile(each.source, name, "single"), names)
    plt.close("all")
