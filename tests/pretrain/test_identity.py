import copy

import pytest
import torch
from torch import nn

from influence_lib.pretrain import build_encoder, fingerprint, load_checkpoint, stored_untrained


def small(seed=0, stride=1):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def test_equal_encoders_have_one_fingerprint():
    one, other = small(), small()
    assert fingerprint(one) == fingerprint(other) == fingerprint(copy.deepcopy(one))
    assert fingerprint(one.train()) == fingerprint(one.eval())
    assert fingerprint(one.to(memory_format=torch.channels_last)) == fingerprint(other)


def test_labels_and_history_do_not_count():
    torch.manual_seed(0)
    encoder = build_encoder(2)
    before = fingerprint(encoder)
    encoder.settings["name"], encoder.history = "another", [{"loss": 1.0}]
    assert fingerprint(encoder) == before


def smallest_step(encoder):
    weight = encoder[0].weight.detach()
    weight[0, 0, 0, 0] = torch.nextafter(weight[0, 0, 0, 0], torch.tensor(9.0))


@pytest.mark.parametrize(
    "change",
    [
        smallest_step,
        lambda encoder: encoder[1].running_var.mul_(2),
        lambda encoder: encoder[1].num_batches_tracked.add_(1),
        lambda encoder: encoder.half(),
        lambda encoder: encoder.append(nn.Linear(4, 4)),
        lambda encoder: encoder.append(nn.ReLU()),
        lambda encoder: setattr(encoder[0], "stride", (2, 2)),
        lambda encoder: setattr(encoder[1], "eps", 1e-3),
        lambda encoder: setattr(encoder, "2", nn.GELU()),
        lambda encoder: encoder[0].weight.requires_grad_(False),
        lambda encoder: setattr(encoder, "temperature", 0.2),
    ],
)
def test_every_change_of_what_is_computed_counts(change):
    encoder = small()
    before = fingerprint(encoder)
    change(encoder)
    assert fingerprint(encoder) != before


def test_constants_that_no_state_dict_holds_count():
    torch.manual_seed(0)
    encoder = build_encoder(2)
    before = fingerprint(encoder)
    encoder.std *= 2  # the normalisation is no part of the state
    assert fingerprint(encoder) != before


def test_bfloat16_and_empty_tensors_have_a_fingerprint():
    encoder = small().to(torch.bfloat16)
    encoder.register_buffer("nothing", torch.zeros(0))
    assert len(fingerprint(encoder)) == 16


def test_an_untrained_encoder_is_stored_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    before = torch.random.get_rng_state()
    first = stored_untrained(2, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(3)
    assert fingerprint(first) == fingerprint(build_encoder(2)) != fingerprint(stored_untrained(2))
    assert (
        fingerprint(load_checkpoint("untrained-width2-seed3"))
        == fingerprint(first)
        == fingerprint(stored_untrained(2, 3))
    )
