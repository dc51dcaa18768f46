"""Checkpoints that others wrote, and names."""

import pytest
import torch
from safetensors.torch import load_file
from torchvision.models import resnet18

from influence_lib.errors import InputError
from influence_lib.pretrain import export_solo_learn, load_checkpoint
from influence_lib.pretrain.encoders import build_encoder


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


def test_a_model_of_solo_learns_own_class_loads_with_and_without_its_projector(solo):
    outputs = load_file(solo.folder / "outputs.safetensors")
    for projector, name in {False: "features", True: "z"}.items():
        encoder = load_checkpoint(solo.folder / "simclr.ckpt", projector=projector)
        pixels = outputs["images"] * encoder.std + encoder.mean
        torch.testing.assert_close(encoder(pixels), outputs[name], rtol=1e-4, atol=1e-5)


def test_what_is_exported_loads_into_solo_learns_own_class(solo, tmp_path):
    torch.manual_seed(3)
    encoder = build_encoder(64, stem_padding=2).eval()
    export_solo_learn(encoder, tmp_path / "ours.safetensors", version="1.0.2")
    solo.run("--load", tmp_path / "ours.safetensors")
    saved = load_file(solo.folder / "loaded.safetensors")
    torch.testing.assert_close(encoder.backbone(saved["images"]), saved["features"], rtol=1e-4, atol=1e-5)


def test_export_and_load_are_inverse(tmp_path):
    encoder = build_encoder(4, stem_padding=2)
    encoder.projector = torch.nn.Sequential(torch.nn.Linear(32, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU())
    for version, prefix in {"1.0.6": "backbone.", "1.0.2": "encoder."}.items():
        export_solo_learn(encoder, tmp_path / "ours.safetensors", version)
        weights = load_file(tmp_path / "ours.safetensors")
        assert {name.split(".")[0] + "." for name in weights} == {prefix, "projector."}
        torch.save({"state_dict": weights}, tmp_path / "ours.ckpt")
        again = load_checkpoint(tmp_path / "ours.ckpt")
        pairs = zip(encoder.backbone.state_dict().values(), again.backbone.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_dinos_projector_ends_before_the_prototypes(tmp_path):
    mlp = torch.nn.Sequential(torch.nn.Linear(512, 7), torch.nn.GELU(), torch.nn.Linear(7, 5))
    state = solo_state("backbone.")
    state = {name: value for name, value in state.items() if not name.startswith("projector.")}
    state |= {f"head.mlp.{name}": value for name, value in mlp.state_dict().items()}
    torch.save({"state_dict": state | {"head.last_layer.weight_v": torch.zeros(9, 5)}}, tmp_path / "dino.ckpt")
    encoder = load_checkpoint(tmp_path / "dino.ckpt", projector=True)
    x = torch.rand(3, 512)
    torch.testing.assert_close(encoder.projector(x), mlp(x))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"path": "ours.ckpt"}, "path is '.*ours.ckpt', but it must be a file name that ends in .safetensors"),
        ({"version": "2.0"}, "version is '2.0'"),
        ({"stem_padding": 1}, "stem_padding of the encoder is 1, but it must be 2"),
    ],
)
def test_bad_exports_are_named(tmp_path, arguments, sentence):
    encoder = build_encoder(2, stem_padding=arguments.get("stem_padding", 2))
    with pytest.raises(InputError, match=sentence):
        export_solo_learn(
            encoder, tmp_path / arguments.get("path", "ours.safetensors"), arguments.get("version", "1.0.6")
        )


def test_a_projector_that_is_not_there_is_named(tmp_path):
    state = {name: value for name, value in solo_state("encoder.").items() if not name.startswith("projector.")}
    torch.save({"state_dict": state}, tmp_path / "bare.ckpt")
    with pytest.raises(InputError, match="has no projector: load it with projector=False"):
        load_checkpoint(tmp_path / "bare.ckpt", projector=True)
    with pytest.raises(InputError, match="projector is True, but it must be False"):
        load_checkpoint(tmp_path, projector=True)
