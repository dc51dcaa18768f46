import math

import pytest
import torch

from influence_lib.pretrain import build_encoder, collapse, effective_rank, has_collapsed, pretrain, spread
from tests.images import noise_images


def test_the_spread_is_0_for_one_direction_and_1_for_a_mean_of_0():
    torch.manual_seed(0)
    x = torch.randn(20, 5)
    assert spread(torch.ones(7, 4) * torch.rand(7, 1)).item() == pytest.approx(0, abs=1e-3)
    assert spread(torch.cat([x, -x])).item() == pytest.approx(1)


def test_the_spread_squared_is_1_minus_the_mean_cosine():
    torch.manual_seed(0)
    x = torch.rand(30, 6)
    unit = x / x.norm(dim=1, keepdim=True)
    assert spread(x).item() ** 2 == pytest.approx(1 - (unit @ unit.T).mean().item(), rel=1e-5)


def test_the_effective_rank_counts_equal_directions():
    directions = torch.eye(6)[:4]
    assert effective_rank(torch.cat([directions, -directions]) + 3).item() == pytest.approx(4, rel=1e-5)
    line = torch.linspace(0, 1, 9)[:, None] * torch.tensor([1.0, 2.0, 3.0])
    assert effective_rank(line).item() == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.ones(5, 3)).item() == 1


def test_the_effective_rank_is_the_entropy_of_the_singular_values():
    values = torch.tensor([4.0, 2.0, 1.0])
    x = torch.linalg.qr(torch.randn(12, 3) - 0).Q
    x = x - x.mean(0)
    x = torch.linalg.svd(x, full_matrices=False)[0] * values  # centred, with these singular values
    shares = values / values.sum()
    assert effective_rank(x).item() == pytest.approx(math.exp(-(shares * shares.log()).sum()), rel=1e-4)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"spread": 0.5, "effective_rank": 9.0}, False),
        ({"spread": 0.01, "effective_rank": 9.0}, True),
        ({"spread": 0.5, "effective_rank": 1.2}, True),
    ],
)
def test_what_counts_as_collapse(entry, expected):
    assert has_collapsed(entry) is expected


def test_a_collapse_is_said_during_training(monkeypatch):
    monkeypatch.setattr(collapse, "MIN_RANK", 1000.0)  # more than any representation here has
    options = {"width": 2, "batch_size": 16, "precision": "fp32", "progress": False}
    with pytest.warns(RuntimeWarning, match=r"supervised has collapsed in epoch 1: the representations of a batch"):
        encoder = pretrain(noise_images(32), "supervised", epochs=1, **options)
    assert {"spread", "effective_rank"} <= encoder.history[0].keys()


def test_an_encoder_that_ignores_its_input_has_collapsed():
    encoder, images = build_encoder(2).eval(), torch.rand(20, 3, 8, 8)
    for alive in (True, False):
        if not alive:
            torch.nn.init.zeros_(encoder.backbone.conv1.weight)
        features = encoder(images).detach()
        entry = {"spread": spread(features).item(), "effective_rank": effective_rank(features).item()}
        assert has_collapsed(entry) is not alive
