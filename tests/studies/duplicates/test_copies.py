from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from influence_lib import data, influence
from influence_lib.errors import InputError
from influence_lib.influence import Scores
from influence_lib.pretrain import pretrain
from influence_lib.studies.duplicates import SEEN_BY, copy_changes, copy_effects, plan_copies
from tests.images import noise_images


def pictures(images):
    return [each.numpy().tobytes() for each in images.images]


def test_copies_stand_in_the_places_of_others():
    images = noise_images(40)
    plan = plan_copies(images, copies=[1, 4], each=3)
    assert Counter(plan.copies.values()) == {0: 3, 1: 3, 4: 3}
    assert plan.without is images
    same = plan.with_copies.ids == images.ids
    assert (~same).sum() == 3 * 5
    assert torch.equal(plan.with_copies.images[same], images.images[same])
    assert plan.with_copies.ids[~same].min() > images.ids.max()
    seen = Counter(pictures(plan.with_copies))
    for position, own in enumerate(images.ids.tolist()):
        if own in plan.copies:
            assert seen[pictures(images)[position]] == 1 + plan.copies[own]
            assert own in plan.with_copies.ids
    assert plan.copies != plan_copies(images, copies=[1, 4], each=3, seed=1).copies


class Remembers(nn.Module):
    """What it was trained on, and with which seed."""

    def __init__(self, images, seed):
        super().__init__()
        self.seen, self.seed = Counter(pictures(images)), seed


def score(encoder, images, power):
    """Return scores that fall with copies in the training and, as another power, among the scored images."""
    here = Counter(pictures(images))
    noise = np.random.default_rng(encoder.seed).random()  # of the training, which the controls share
    values = [(1 + noise) * encoder.seen[each] ** -power / here[each] for each in pictures(images)]
    return Scores(torch.tensor([values]), images.ids, {})


def test_a_known_effect_is_found_exactly():
    changes = copy_changes(
        noise_images(60), Remembers, {"s": partial(score, power=2.0)}, copies=[1, 3], each=4, trainings=3, seed=5
    )
    assert sorted(set(changes["training"])) == [5, 6, 7]
    assert len(changes) == 3 * 2 * 12
    found = copy_effects(changes)
    for number in (1, 3):
        trained, scored = (found.loc[("s", where, number)] for where in SEEN_BY)
        assert trained["effect"].value == pytest.approx(-3 * np.log(1 + number), rel=1e-5)
        assert scored["effect"].value == pytest.approx(-np.log(1 + number), rel=1e-5)
        assert (trained["effect"].n, trained["effect"].unit) == (3, "training")
        assert trained["training 6"] == pytest.approx(trained["effect"].value)


def test_the_controls_take_out_what_changes_for_all():
    def train(images, seed):
        encoder = Remembers(images, seed)
        encoder.factor = 3.0 if max(encoder.seen.values()) > 1 else 1.0
        return encoder

    def scores(encoder, images):
        drift = torch.from_numpy(np.random.default_rng(encoder.seed).normal(size=len(images)))
        return Scores((encoder.factor * (0.01 * drift).exp())[None].float(), images.ids, {})

    found = copy_effects(copy_changes(noise_images(60), train, {"s": scores}, copies=[2], each=5, trainings=1))
    effect = found.loc[("s", SEEN_BY[0], 2), "effect"]
    assert effect.value == pytest.approx(0, abs=1e-6)
    assert (effect.n, effect.unit) == (5, "image")


def test_a_tiny_experiment_runs():
    options = {"draws": 2, "progress": False, "device": "cpu"}

    def train(images, seed):
        small = {"width": 2, "epochs": 1, "batch_size": 20, "device": "cpu", "progress": False}
        return pretrain(images, method="simclr", seed=seed, projector_hidden=8, projector_out=4, **small)

    scores = {
        "EK-FAC": partial(influence.self_influence, curvature="ekfac", **options),
        "raw loss": partial(influence.raw_loss, **options),
    }
    images = data.load("controlled", n=40)
    changes = copy_changes(images, train, scores, copies=[1, 2], each=2, trainings=2)
    assert np.isfinite(changes["change"]).all()
    alone = changes[(changes["copies in"] == SEEN_BY[1]) & (changes["score"] == "raw loss")]
    np.testing.assert_allclose(alone["change"], 0, atol=1e-4)  # the loss of an image knows nothing of others
    assert len(copy_effects(changes)) == 2 * 2 * 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"copies": []}, r"copies is \[\], but it must be a list of whole numbers above 0, each once"),
        ({"copies": [1, 1]}, r"copies is \[1, 1\]"),
        ({"copies": [0]}, "a number of copies is 0, but it must be a whole number above 0"),
        ({"each": 1}, "each is 1, but it must be a whole number, 2 or more"),
        ({"each": 20}, "the number of images is 20, but it must be 60 or more: 40 to compare, and 20 that make room"),
        ({"trainings": 0}, "trainings is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"scores": {}}, "the number of scores is 0"),
        (
            {"scores": {"s": lambda encoder, images: Scores(torch.zeros(1, 20), images.ids, {})}},
            "s has the value 0, but a logarithm needs values above 0",
        ),
        (
            {"scores": {"s": lambda encoder, images: Scores(torch.ones(1, 20), images.ids + 1, {})}},
            "the score 's' is not of the images that it was given",
        ),
    ],
)
def test_wrong_input_is_one_sentence(changed, said):
    given = {"scores": {"s": partial(score, power=1.0)}, "copies": [1], "each": 2, "trainings": 1}
    with pytest.raises(InputError, match=said):
        copy_changes(noise_images(20), Remembers, **(given | changed))


def test_nothing_has_no_effect():
    changes = copy_changes(noise_images(20), Remembers, {"s": partial(score, power=1.0)}, [1], 2, 1)
    with pytest.raises(InputError, match="the number of changes is 0"):
        copy_effects(changes[:0])
