"""Checkpoints that others wrote, and names."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torchvision.models import resnet18

from influence_lib.errors import InputError
from influence_lib.pretrain import export_solo_learn, load_checkpoint
from influence_lib.pretrain.checkpoints import TrainingState, save_state
from influence_lib.pretrain.encoders import CIFAR_MEAN, build_encoder


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


def test_what_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    with pytest.raises(InputError, match=r"missing\.ckpt' does not exist"):
        load_checkpoint(tmp_path / "missing.ckpt")
    with pytest.raises(InputError, match="path_or_name is 'byol-mars': no such folder"):
        load_checkpoint("byol-mars")
    with pytest.raises(InputError, match="holds no epoch-"):
        load_checkpoint(tmp_path)
    with pytest.raises(InputError, match="which cannot be looked up"):
        load_checkpoint("x" * 5000)


@pytest.mark.parametrize("value", [None, 5, "", b"simclr.ckpt", ["simclr"]])
def test_a_path_is_text_or_a_path(value):
    with pytest.raises(InputError, match=r"path_or_name is .*, but it must be a path or a name"):
        load_checkpoint(value)


@pytest.mark.parametrize("value", [3, 0, 1.0, "2", True])
def test_a_wrong_padding_is_named(value):
    with pytest.raises(InputError, match=r"stem_padding is .*, but it must be a whole number from 1 to 2"):
        load_checkpoint("any.ckpt", stem_padding=value)


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
    with pytest.raises(InputError, match="projector is 'yes'"):
        load_checkpoint(tmp_path / "bare.ckpt", projector="yes")


def kept(folder, width=2):
    """Keep an encoder as `pretrain` does."""
    encoder = build_encoder(width)
    meta = {"epoch": 1, "settings": encoder.settings, "history": [], "scaler": {}}
    save_state(folder, TrainingState(encoder.state_dict(), {"queue": torch.zeros(3)}, meta))
    return encoder


@pytest.mark.parametrize(
    ("name", "value"), [("normalisation", "imagenet"), ("normalisation", "cifar10"), ("stem_padding", 1)]
)
def test_our_own_keep_their_normalisation_and_padding(tmp_path, name, value):
    kept(tmp_path)
    encoder = load_checkpoint(tmp_path)
    assert encoder.mean.flatten().tolist() == pytest.approx(CIFAR_MEAN)
    assert encoder.settings == {"width": 2, "stem_padding": 1}
    with pytest.raises(InputError, match=f"{name} is .*, but it must be left out"):
        load_checkpoint(tmp_path, **{name: value})


def test_a_part_of_a_run_is_not_taken_for_the_file_of_another_project(tmp_path):
    kept(tmp_path)
    with pytest.raises(InputError, match="is a part of what is kept: give the run's folder"):
        load_checkpoint(tmp_path / "epoch-0001" / "encoder.safetensors")


@pytest.mark.parametrize("name", ["encoder.safetensors", "training.safetensors"])
def test_a_changed_bit_in_our_own_is_found(tmp_path, name):
    kept(tmp_path)
    file = tmp_path / "epoch-0001" / name
    changed = bytearray(file.read_bytes())
    changed[-2] ^= 64
    file.write_bytes(changed)
    with pytest.raises(InputError, match=f"is damaged .*{name} differs from its checksum"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: [],
        lambda meta: 3,
        lambda meta: {},
        lambda meta: {**meta, "settings": {}},
        lambda meta: {**meta, "settings": None},
        lambda meta: {**meta, "settings": {"width": 3, "stem_padding": 1}},
        lambda meta: {**meta, "history": None},
        lambda meta: {**meta, "sha256": 5},
    ],
)
def test_a_changed_description_of_our_own_is_a_sentence(tmp_path, change):
    kept(tmp_path)
    file = tmp_path / "epoch-0001" / "checkpoint.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(InputError, match="epoch-0001' is damaged") as error:
        load_checkpoint(tmp_path)
    assert "\n" not in str(error.value)


def test_checkpoints_without_checksums_load(tmp_path):
    encoder = kept(tmp_path)
    file = tmp_path / "epoch-0001" / "checkpoint.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "sha256"}))
    assert torch.equal(load_checkpoint(tmp_path).backbone.conv1.weight, encoder.backbone.conv1.weight)


def test_the_last_epoch_is_the_one_of_the_highest_number(tmp_path):
    for epoch in (9999, 10000):
        encoder = build_encoder(2)
        meta = {"epoch": epoch, "settings": encoder.settings, "history": [], "scaler": {}}
        save_state(tmp_path, TrainingState(encoder.state_dict(), {}, meta))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-10000"]


def test_what_is_exported_loads_as_it_is(tmp_path):
    encoder = build_encoder(4, stem_padding=2)
    export_solo_learn(encoder, tmp_path / "ours.safetensors")
    again = load_checkpoint(tmp_path / "ours.safetensors")
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(encoder.eval()(x), again(x))


@pytest.mark.parametrize(
    ("encoder", "path", "sentence"),
    [
        (torch.nn.Linear(2, 2), "a.safetensors", "encoder is 'Linear', but it must be an Encoder"),
        (build_encoder(2, 2), "missing/a.safetensors", "which cannot be written"),
        (build_encoder(2, 2), None, "path is 'None', but it must be a file name"),
    ],
)
def test_what_cannot_be_exported_is_named(tmp_path, monkeypatch, encoder, path, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        export_solo_learn(encoder, path)
