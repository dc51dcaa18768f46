"""Checkpoints that others wrote, and names."""

import pytest
import torch
from torchvision.models import resnet18

from influence_lib.errors import InputError
from influence_lib.pretrain import load_checkpoint


def solo_state(prefix: str) -> dict[str, torch.Tensor]:
    """Return the state dict of a solo-learn SimCLR model of ResNet-18."""
    torch.manual_seed(0)
    model = resnet18()
    model.conv1 = torch.nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=2, bias=False)
    model.fc = torch.nn.Identity()
    state = {prefix + name: value for name, value in model.state_dict().items()}
    return state | {"projector.0.weight": torch.zeros(3, 3), "classifier.weight": torch.zeros(10, 512)}


@pytest.mark.parametrize("prefix", ["encoder.", "backbone."])
def test_solo_learn_checkpoints_of_both_layouts_load(tmp_path, prefix):
    state = solo_state(prefix)
    torch.save({"state_dict": state, "epoch": 999}, tmp_path / "simclr.ckpt")
    encoder = load_checkpoint(tmp_path / "simclr.ckpt")
    assert torch.equal(encoder.backbone.conv1.weight, state[prefix + "conv1.weight"])
    assert encoder.backbone.conv1.padding == (2, 2)
    assert not encoder.training
    assert encoder(torch.rand(1, 3, 32, 32)).shape == (1, 512)


def test_a_pickle_is_not_read(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"state_dict": {}, "evil": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match=r"evil\.ckpt' holds more than tensors"):
        load_checkpoint(tmp_path / "evil.ckpt")


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"head.weight": torch.zeros(1)}, "has no weights that start with"),
        ({"encoder.conv1.weight": torch.zeros(64, 3, 3, 3)}, "is no ResNet-18 with a CIFAR stem"),
    ],
)
def test_other_networks_are_refused(tmp_path, state, sentence):
    torch.save({"state_dict": state}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=sentence):
        load_checkpoint(tmp_path / "other.ckpt")


def test_what_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    with pytest.raises(InputError, match=r"missing\.ckpt' does not exist"):
        load_checkpoint(tmp_path / "missing.ckpt")
    with pytest.raises(InputError, match="path_or_name is 'byol-mars': no such folder"):
        load_checkpoint("byol-mars")
    with pytest.raises(InputError, match="holds no epoch-"):
        load_checkpoint(tmp_path)
