from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib import data
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from influence_lib.studies import fairness

FULL = Estimate(2.0, 1.5, 2.7, 100)


@pytest.fixture(scope="module")
def images():
    return data.load("controlled", n=60)


def painted(images, *pixels):
    """Return the first images with other pixels, uint8, 3×32×32."""
    return replace(images.subset(range(len(pixels))), images=torch.stack(pixels))


def grey(*columns):
    return torch.tensor(columns, dtype=torch.uint8).expand(3, 32, 32).clone()


def test_faces_are_measured_as_drawn(images):
    even = grey(*[100] * 32)
    framed = even.clone()
    framed[:, :2], framed[:, 30:] = 200, 200
    lit = grey(*[50] * 16, *[150] * 16)
    skin = torch.tensor([200, 140, 110], dtype=torch.uint8)[:, None, None].expand(3, 32, 32)
    table = fairness.face_statistics(painted(images, even, framed, lit, skin))
    assert list(table) == list(fairness.FACES)
    first, second, third, fourth = (table.iloc[i] for i in range(4))
    assert first["face luminance"] == pytest.approx(100 / 255, abs=1e-3)
    assert (first["mirror correlation"], first["contrast"]) == (0, pytest.approx(0, abs=1e-6))
    assert second["face luminance"] == pytest.approx(first["face luminance"])  # the frame is ground
    assert second["ground luminance"] > first["ground luminance"]
    assert third["left-right difference"] == pytest.approx(100 / 255, abs=1e-3)
    assert third["mirror correlation"] == pytest.approx(-1, abs=1e-4)
    assert third["sharpness"] > first["sharpness"]
    assert (fourth["skin area"], first["skin area"]) == (1, 0)


def test_a_mirrored_image_measures_the_same(images):
    turned = replace(images, images=images.images.flip(-1))
    own, other = fairness.face_statistics(images), fairness.face_statistics(turned)
    columns = [name for name in own if name != "JPEG size"]
    np.testing.assert_allclose(own[columns], other[columns], rtol=1e-3, atol=1e-5)


def test_too_small_a_face_is_refused(images):
    with pytest.raises(InputError, match="the side of images is 4"):
        fairness.face_statistics(replace(images, images=images.images[:, :, :4, :4]))


def test_groups_differ_in_what_was_changed_alone(images):
    same, groups = fairness.planted_groups(images, "nothing", seed=1)
    assert torch.equal(same.images, images.images)
    second = torch.from_numpy(groups == "b")
    for label in images.labels.unique():  # half of each class
        counts = [int((second & (images.labels == label)).sum()), int((~second & (images.labels == label)).sum())]
        assert abs(counts[0] - counts[1]) <= 1
    darker, again = fairness.planted_groups(images, "darker", 0.5, seed=1)
    assert again.tolist() == groups.tolist()
    assert torch.equal(darker.images[~second], images.images[~second])
    assert (darker.images[second].int() - (0.5 * images.images[second]).round().int()).abs().max() <= 1
    flatter, _ = fairness.planted_groups(images, "flatter", 0.5, seed=1)
    means, before = (each[second].float().mean(dim=(1, 2, 3)) for each in (flatter.images, images.images))
    assert (means - before).abs().max() < 0.6
    ratio = flatter.images[second].float().std(dim=(1, 2, 3)) / images.images[second].float().std(dim=(1, 2, 3))
    assert (ratio - 0.5).abs().max() < 0.02
    with pytest.raises(InputError, match="change is 'louder'"):
        fairness.planted_groups(images, "louder")
    with pytest.raises(InputError, match="factor is 0"):
        fairness.planted_groups(images, "darker", 0)


def test_the_audit_is_silent_on_groups_that_differ_in_nothing():
    scores = Scores(torch.arange(400.0)[None], torch.arange(400), {})
    alarms = fairness.false_alarms(scores, groups=3, k=40, draws=60)
    assert alarms.n == 60
    assert alarms.value <= 0.1
    with pytest.raises(InputError, match="groups is 1"):
        fairness.false_alarms(scores, groups=1)


def test_groups_come_from_attributes_and_classes(images):
    table = fairness.groups_of(images, ["class", "flip"])
    assert table["class"].tolist() == [images.class_names[label] for label in images.labels]
    assert set(table["flip"]) == {"True", "False"}
    assert table.index.tolist() == images.ids.tolist()
    with pytest.raises(InputError, match="an attribute is 'height'"):
        fairness.groups_of(images, ["height"])
    unlabelled = replace(images, labels=torch.full_like(images.labels, -1))
    with pytest.raises(InputError, match="attributes is 'class'"):
        fairness.groups_of(unlabelled, ["class"])


def test_odds_on_a_logarithmic_scale():
    found = fairness.log_odds(Estimate(2.0, 0.5, 8.0, 10, "image"))
    np.testing.assert_allclose([found.value, found.low, found.high], np.log([2, 0.5, 8]))
    assert (found.n, found.unit) == (10, "image")
    with pytest.raises(InputError, match="odds is"):
        fairness.log_odds(Estimate(2.0, 0.0, 8.0, 10))


def test_sentences_name_the_groups_that_are_clear():
    found = fairness.audit(np.arange(200.0), {"half": ["dark"] * 100 + ["light"] * 100, "odd": ["a", "b"] * 100}, k=40)
    said = fairness.ratios_in_words(found.groups, "half", "highest", 40)
    assert said.startswith(
        "Among the 40 highest over-represented by half: light (40 where chance gives 20.0, a ratio of 2.00"
    )
    assert "; under-represented by half: dark (0 where chance gives 20.0" in said
    nothing = fairness.ratios_in_words(found.groups, "odd", "lowest", 40)
    assert nothing == "Among the 40 lowest no group by odd is clearly over- or under-represented."
    with pytest.raises(InputError, match="attribute is 'height'"):
        fairness.ratios_in_words(found.groups, "height", "lowest", 40)


@pytest.mark.parametrize(
    ("alone", "adjusted", "said"),
    [
        (FULL, FULL, "this is left for a."),
        (FULL, Estimate(1.2, 0.9, 1.6, 100), "this is left for no group. For a the photographs explain it as well."),
        (
            Estimate(1.2, 0.9, 1.6, 100),
            FULL,
            "Alone the odds of no group differ from those of all others. For a it shows",
        ),
    ],
)
def test_what_is_left_when_the_photograph_is_known(alone, adjusted, said):
    odds = pd.DataFrame({"alone": {"a": alone}, "adjusted": {"a": adjusted}})
    assert said in fairness.what_is_left(odds)
