import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import GaussianNoise, self_influence
from influence_lib.studies import Scorer
from influence_lib.studies.scoring import AgainstExact, against_exact, scored_weights, train_small_encoder
from tests.images import noise_images
from tests.studies.scoring.conftest import scores_of

NOISE = GaussianNoise(0.05, 0.2)


@pytest.fixture(scope="module")
def trained():
    return train_small_encoder(noise_images(40, size=16), NOISE)


def test_it_learns_to_recognise_the_copies(trained):
    pixels = noise_images(40, size=16).images.float() / 255
    with torch.no_grad():
        z, z_hat = (F.normalize(trained(x), dim=1) for x in (pixels, pixels + 0.05 + 0.2 * torch.randn_like(pixels)))
    recognised = (z @ z_hat.T).argmax(dim=1) == torch.arange(40)
    assert recognised.float().mean() > 0.5  # by chance 1/40
    assert scored_weights(trained) == sum(p.numel() for p in trained.parameters()) == 672


def test_the_seed_decides_and_nothing_else_is_drawn_from(monkeypatch):
    monkeypatch.setattr("influence_lib.studies.scoring.small_encoder.STEPS", 5)
    images = noise_images(8)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = train_small_encoder(images, NOISE, seed=1)
    assert torch.equal(torch.rand(3), expected)
    again, other = train_small_encoder(images, NOISE, seed=1), train_small_encoder(images, NOISE, seed=2)
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_images_of_any_size_are_taken(monkeypatch):
    monkeypatch.setattr("influence_lib.studies.scoring.small_encoder.STEPS", 5)
    assert train_small_encoder(noise_images(4, size=11), NOISE)(torch.rand(2, 3, 11, 11)).shape == (2, 8)


def test_wrong_input():
    with pytest.raises(InputError, match="images"):
        train_small_encoder(noise_images(1), NOISE)
    with pytest.raises(InputError, match="seed is -1"):
        train_small_encoder(noise_images(4), NOISE, seed=-1)


def test_all_scores_have_the_damping_of_the_exact_one(trained):
    images = noise_images(40, size=16)
    found = against_exact(Scorer(trained, NOISE, draws=2), images)
    alone = self_influence(trained, images, NOISE, curvature="exact", draws=2, progress=False)
    torch.testing.assert_close(found.exact.values, alone.values, rtol=1e-4, atol=0)  # its default, a tenth of the mean
    assert list(found.table.index) == list(found.scores)
    assert found.table["agreement"]["EK-FAC"].n == 40
    assert found.table["agreement"]["exact, without terms between layers"].above(0.5)
    of_other_units = found.table.index[found.table["ratio"].isna()]
    assert list(of_other_units) == ["LoGra, random", "LoGra, PCA", "gradient norm", "raw loss"]
    assert found.table["reliability"].between(-1, 1).all()


@pytest.mark.parametrize(("loss", "clearly"), [(0.5, True), (0.85, False)])
def test_the_better_baseline_is_what_a_score_is_held_against(loss, clearly):
    def agreement(value):
        return Estimate(value, value - 0.04, value + 0.04, 50)

    values = {"EK-FAC": agreement(0.9), "gradient norm": agreement(0.4), "raw loss": agreement(loss)}
    found = AgainstExact(scores_of(np.arange(3.0)), {}, pd.DataFrame({"agreement": values}))
    assert found.best_baseline == values["raw loss"]
    assert found.beyond_baselines("EK-FAC") == clearly
