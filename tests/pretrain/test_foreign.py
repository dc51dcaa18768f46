"""Checkpoints in the layouts of other projects: the right network, or one sentence."""

import json
import warnings

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from influence_lib.errors import InputError
from influence_lib.pretrain import build_encoder, load_checkpoint
from influence_lib.pretrain.encoders import CIFAR_MEAN, CIFAR_STD, NORMALISATIONS

WIDTH = 4
DIM = 8 * WIDTH


def trunk(seed: int) -> dict[str, torch.Tensor]:
    """Return the state dict of torchvision's ResNet-18 with a CIFAR stem, as narrow as the tests need it."""
    torch.manual_seed(seed)
    backbone = build_encoder(WIDTH, stem_padding=2).backbone
    for buffer in backbone.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return backbone.state_dict()


NETWORK, AVERAGE = trunk(0), trunk(1)


def under(prefix, state=NETWORK):
    return {prefix + name: value for name, value in state.items()}


def mlp(*layers) -> dict[str, torch.Tensor]:
    return nn.Sequential(*layers).state_dict()


def simsiam_projector() -> nn.Sequential:
    torch.manual_seed(2)
    projector = nn.Sequential(
        nn.Linear(DIM, 16, bias=False),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, 6),
        nn.BatchNorm1d(6, affine=False),
    )
    for buffer in projector.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return projector.eval()


def torchvision_state(name):
    """Return a state dict of torchvision's with its names and shapes, and zeros that take no room."""
    with torch.device("meta"):
        state = getattr(torchvision.models, name)(num_classes=2).state_dict()
    return {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}


def loaded(tmp_path, content, **options):
    torch.save(content, tmp_path / "last.ckpt")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not say the padding")
        return load_checkpoint(tmp_path / "last.ckpt", **options)


def refused(tmp_path, content, sentence, **options):
    with pytest.raises(InputError, match=sentence) as error:
        loaded(tmp_path, content, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


LAYOUTS = {
    "solo-learn 1.0.2": {
        "state_dict": {
            **under("encoder."),
            **under("momentum_encoder.", AVERAGE),
            **under("projector.", mlp(nn.Linear(DIM, 5))),
            "classifier.weight": torch.zeros(10, DIM),
        },
        "optimizer_states": [{"state": {0: {"momentum_buffer": torch.zeros(3)}}}],
    },
    "solo-learn 1.0.6": {"state_dict": {**under("backbone."), **under("momentum_backbone.", AVERAGE)}},
    "DDP": {"state_dict": under("module.backbone.")},
    "DDP and compile": {"state_dict": under("module._orig_mod.backbone.")},
    "Lightning module around a model": {"state_dict": under("model.encoder."), "global_step": 7},
    "MoCo": {
        "arch": "resnet18",
        "state_dict": {
            **under("module.encoder_q."),
            **under("module.encoder_k.", AVERAGE),
            **under("module.encoder_q.fc.", mlp(nn.Linear(DIM, DIM), nn.ReLU(), nn.Linear(DIM, 5))),
            "module.queue": torch.zeros(5, 16),
        },
    },
    "MoCo v3": {"state_dict": {**under("module.base_encoder."), **under("module.momentum_encoder.", AVERAGE)}},
    "SimSiam": {"state_dict": {**under("module.encoder."), **under("module.encoder.fc.", mlp(nn.Linear(DIM, 5)))}},
    "Barlow Twins": {"model": {**under("module.backbone."), "module.bn.running_mean": torch.zeros(5)}},
    "DINO": {"student": under("module.backbone."), "teacher": under("backbone.", AVERAGE), "args": None, "epoch": 3},
    "bolts BYOL": {
        "state_dict": {**under("online_network.encoder."), **under("target_network.encoder.", AVERAGE)},
    },
    "byol-pytorch, one network by two names": {
        **under("net."),
        **under("online_encoder.net."),
        **under("target_encoder.net.", AVERAGE),
    },
    "VISSL": {"classy_state_dict": {"base_model": {"model": {"trunk": under("_feature_blocks.")}}}},
    "timm with an average": {"state_dict": under(""), "state_dict_ema": AVERAGE},
    "an average alone": {"teacher": under("backbone.")},
    "bare": {**under(""), "fc.weight": torch.zeros(10, DIM), "fc.bias": torch.zeros(10)},
    "net": {"net": under(""), "acc": 93.1, "epoch": 199},
    "an encoder and its projector": {"encoder": under(""), "projector": mlp(nn.Linear(DIM, 5))},
    "half precision": {
        "state_dict": {n: v.half() if v.is_floating_point() else v for n, v in under("encoder.").items()}
    },
    "before batches were counted": {
        "state_dict": {n: v for n, v in under("encoder.").items() if "num_batches" not in n}
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_trained_network_is_found(tmp_path, layout):
    encoder = loaded(tmp_path, LAYOUTS[layout])
    state = encoder.backbone.state_dict()
    floating = [name for name, value in NETWORK.items() if value.is_floating_point()]
    tolerance = 1e-3 if layout == "half precision" else 0
    for name in floating:
        torch.testing.assert_close(state[name], NETWORK[name], rtol=tolerance, atol=tolerance)
    assert not encoder.training
    assert all(p.requires_grad and p.dtype is torch.float32 for p in encoder.parameters())
    assert encoder(torch.rand(1, 3, 8, 8)).shape == (1, DIM)


@pytest.mark.parametrize("name", ["last.ckpt", "last.pth", "last.pt", "checkpoint_0199.pth.tar", "last"])
@pytest.mark.parametrize("as_zip", [True, False])
def test_the_content_tells_the_format_and_not_the_name(tmp_path, name, as_zip):
    torch.save({"state_dict": under("backbone.")}, tmp_path / name, _use_new_zipfile_serialization=as_zip)
    save_file(under("backbone."), tmp_path / f"other-{name}")
    for file in (name, f"other-{name}"):
        assert torch.equal(load_checkpoint(tmp_path / file).backbone.bn1.weight, NETWORK["bn1.weight"])


def test_what_was_taken_is_said(tmp_path):
    settings = loaded(tmp_path, LAYOUTS["solo-learn 1.0.2"], projector=True).settings
    assert settings["prefix"] == "state_dict.encoder."
    assert settings["projector"] == "state_dict.projector."
    assert (settings["file"], settings["width"], settings["stem_padding"]) == ("last.ckpt", WIDTH, 2)
    assert json.loads(json.dumps(settings)) == settings


def test_another_layout_than_solo_learns_asks_for_the_padding(tmp_path):
    torch.save(under(""), tmp_path / "bare.pth")
    with pytest.warns(UserWarning, match="does not say the padding of its first convolution"):
        assert load_checkpoint(tmp_path / "bare.pth").backbone.conv1.padding == (2, 2)
    assert load_checkpoint(tmp_path / "bare.pth", stem_padding=1).backbone.conv1.padding == (1, 1)


def test_two_networks_are_named(tmp_path):
    sentence = refused(tmp_path, {**under("a."), **under("b.", AVERAGE)}, "different networks under 'a.' and 'b.'")
    assert "keep the weights of one" in sentence
    refused(tmp_path, {**under("ema."), **under("target.", AVERAGE)}, "different networks under 'ema.' and 'target.'")


def test_the_network_that_fits_is_taken_beside_one_that_does_not(tmp_path):
    other = under("image_encoder.", torchvision_state("resnet18"))
    assert loaded(tmp_path, {**other, **under("small.")}).settings["prefix"] == "small."


def changed(name, value):
    state = {**under("backbone."), f"backbone.{name}": value}
    return {"state_dict": {key: each for key, each in state.items() if each is not None}}


NETWORKS = {
    "7×7 stem": (lambda: torchvision_state("resnet18"), "its first convolution is 7×7"),
    "ResNet-50": (lambda: under("module.encoder_q.", torchvision_state("resnet50")), "it has bottleneck blocks"),
    "ResNet-34": (
        lambda: {**torchvision_state("resnet34"), "conv1.weight": torch.zeros(64, 3, 3, 3)},
        r"it also has layer1\.2\.",
    ),
    "SqueezeNet": (lambda: torchvision_state("squeezenet1_1"), "has no weights of a ResNet .* the first are 'features"),
    "Lightly's numbered layers": (
        lambda: {"state_dict": {"backbone.0.weight": torch.zeros(4, 3, 3, 3)}},
        "no weights of",
    ),
    "a linear head": (lambda: {"state_dict": nn.Linear(DIM, 10).state_dict()}, "has no weights of a ResNet"),
    "group norm": (
        lambda: {name: value for name, value in NETWORK.items() if "running" not in name},
        r"it has no tensor bn1\.running_mean",
    ),
    "one channel": (
        lambda: changed("conv1.weight", torch.zeros(WIDTH, 1, 3, 3)),
        r"conv1\.weight of shape \(4, 1, 3, 3\)",
    ),
    "a width that is none": (lambda: changed("conv1.weight", torch.zeros(0, 3, 3, 3)), r"is of shape \(0, 3, 3, 3\)"),
    "a scalar": (lambda: changed("conv1.weight", torch.zeros(())), r"conv1\.weight is of shape \(\)"),
    "an odd width": (
        lambda: changed("layer2.0.conv1.weight", torch.zeros(7, 4, 3, 3)),
        r"layer2\.0\.conv1\.weight of shape \(7, 4, 3, 3\) in place of \(8, 4, 3, 3\)",
    ),
    "another block": (lambda: changed("layer1.0.se.fc1.weight", torch.zeros(4)), r"it also has layer1\.0\.se"),
    "a list for a tensor": (lambda: changed("bn1.weight", [1.0] * WIDTH), r"it has no tensor bn1\.weight"),
    "not finite": (lambda: changed("bn1.weight", torch.full((WIDTH,), torch.nan)), r"bn1\.weight that are not finite"),
    "beyond float32": (
        lambda: changed("bn1.weight", torch.full((WIDTH,), 1e300, dtype=torch.float64)),
        "not finite in float32",
    ),
    "negative variance": (lambda: changed("bn1.running_var", -torch.ones(WIDTH)), "has negative variances"),
    "integers": (lambda: changed("bn1.weight", torch.ones(WIDTH, dtype=torch.int8)), r"bn1\.weight .*torch\.int8"),
    "sparse": (
        lambda: changed("layer1.0.conv1.weight", NETWORK["layer1.0.conv1.weight"].to_sparse()),
        "torch.sparse_coo",
    ),
    "no weights": (lambda: {"state_dict": {}, "epoch": 3}, "holds no tensors by name"),
    "None": (lambda: {"state_dict": None}, "holds no tensors by name"),
    "a list": (lambda: [torch.zeros(3)], "holds a list and no weights by name"),
    "a tensor": (lambda: torch.zeros(3), "holds a Tensor and no weights by name"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_other_networks_are_one_sentence(tmp_path, name):
    make, sentence = NETWORKS[name]
    refused(tmp_path, make(), sentence)


def test_a_mapping_that_holds_itself_is_read(tmp_path):
    content = {"state_dict": under("backbone.")}
    content["again"] = content
    refused(tmp_path, {"again": (cycle := {"x": torch.zeros(1)}), "more": cycle}, "has no weights of a ResNet")
    assert loaded(tmp_path, content).settings["prefix"].endswith("state_dict.backbone.")


# projectors


@pytest.mark.parametrize(
    ("network", "projector"),
    [
        ("backbone.", "projector."),
        ("module.backbone.", "module.projector."),
        ("module.encoder.", "module.encoder.fc."),
        ("model.encoder.", "model.projection_head."),
    ],
)
def test_a_projector_without_affine_parameters_is_rebuilt(tmp_path, network, projector):
    head = simsiam_projector()
    content = {"state_dict": {**under(network), **under(projector, head.state_dict())}}
    encoder = loaded(tmp_path, content, projector=True)
    x = torch.randn(3, DIM)
    torch.testing.assert_close(encoder.projector(x), head(x))
    assert encoder(torch.rand(2, 3, 8, 8)).shape == (2, 6)


def test_one_layer_is_a_projector_and_a_classifier_is_none(tmp_path):
    layer = nn.Linear(DIM, 5).state_dict()
    encoder = loaded(tmp_path, {**under("backbone."), **under("projector.", layer)}, projector=True)
    assert torch.equal(encoder.projector[0].weight, layer["weight"])
    refused(
        tmp_path, {**under(""), **under("fc.", layer)}, "has no projector: load it with projector=False", projector=True
    )


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"0.weight": torch.zeros(8, DIM), "3.weight": torch.zeros(4, 8)}, "layers its weights do not tell.*layer 2"),
        ({"1.weight": torch.zeros(8, DIM)}, "do not tell.*layer 0"),
        ({"layers.0.weight": torch.zeros(8, DIM)}, r"do not tell.*layers\.0\.weight"),
        ({"999999999999.weight": torch.zeros(8, DIM)}, "do not tell"),
        (
            {"0.weight": torch.zeros(8, DIM), "1.weight": torch.zeros(8), "1.bias": torch.zeros(8)},
            "do not tell.*layer 1",
        ),
        ({"0.weight_g": torch.zeros(8, 1), "0.weight_v": torch.zeros(8, DIM)}, "do not tell.*layer 0"),
        ({"0.weight": torch.zeros(8, DIM), "1.running_mean": torch.zeros(8)}, "do not tell.*layer 1"),
        ({"0.weight": torch.zeros(8, DIM + 1)}, f"does not fit representations of {DIM} dimensions"),
        ({"0.weight": torch.full((8, DIM), torch.inf)}, "not finite"),
    ],
)
def test_a_projector_that_cannot_be_rebuilt_is_named(tmp_path, weights, reason):
    content = {"state_dict": {**under("backbone."), **under("projector.", weights)}}
    refused(tmp_path, content, reason, projector=True)
    loaded(tmp_path, content)


# normalisation


def statistics(encoder):
    return tuple(encoder.mean.flatten().tolist()), tuple(encoder.std.flatten().tolist())


@pytest.mark.parametrize(
    ("prefix", "arguments", "expected"),
    [
        ("backbone.", None, "cifar10"),
        ("backbone.", {"lr": 0.1}, "cifar10"),
        ("backbone.", {"data": {"dataset": "cifar100"}}, "cifar100"),
        ("backbone.", {"dataset": "imagenet100"}, "imagenet"),
        ("encoder.", {"dataset": "cifar100"}, "cifar10"),  # solo-learn 1.0.2 has one normalisation for both
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_the_normalisation_is_that_of_the_image_set(tmp_path, prefix, arguments, expected, beside):
    content = {"state_dict": under(prefix)}
    if beside and arguments is not None:
        (tmp_path / "args.json").write_text(json.dumps(arguments))
    elif arguments is not None:
        content["hyper_parameters"] = arguments
    encoder = loaded(tmp_path, content)
    mean, std = NORMALISATIONS[expected]
    assert statistics(encoder) == (pytest.approx(mean), pytest.approx(std))
    assert encoder.settings["normalisation"] == {"mean": list(mean), "std": list(std)}


def test_the_normalisation_is_a_choice(tmp_path):
    content = {"state_dict": under("backbone."), "hyper_parameters": {"dataset": "svhn"}}
    refused(tmp_path, content, "was trained on 'svhn', whose normalisation is not known: give the normalisation")
    encoder = loaded(tmp_path, content, normalisation=((0.5, 0.25, 0.0), torch.ones(3)))
    assert statistics(encoder) == ((0.5, 0.25, 0.0), (1.0, 1.0, 1.0))
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(encoder(x), encoder.backbone(x - torch.tensor([0.5, 0.25, 0.0]).view(3, 1, 1)))
    assert statistics(build_encoder(2)) == (pytest.approx(CIFAR_MEAN), pytest.approx(CIFAR_STD))


def test_arguments_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "args.json").write_text("{")
    refused(tmp_path, {"state_dict": under("backbone.")}, r"args\.json' beside it, which cannot be read")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("mars", "normalisation is 'mars', but it must be one of 'cifar10'"),
        (0.5, "normalisation is 0.5, but it must be a pair"),
        ((0.5, 0.5), "mean is 0.5, but it must be three numbers"),
        (((0, 0, 0), (1, 1)), r"std is \(1, 1\), but it must be three numbers"),
        (((0, 0, 0), (1, 1, 0)), "std is 0, but it must be a number above 0 and at most 1"),
        (((0, 0, 0), (1, 1, float("nan"))), "std is nan"),
        (
            ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
            "mean is 125.3, but it must be a number at least 0 and at most 1",
        ),
        (("abc", "def"), "mean is 'abc', but it must be three numbers"),
    ],
)
def test_a_wrong_normalisation_is_named(tmp_path, value, sentence):
    refused(tmp_path, {"state_dict": under("backbone.")}, sentence, normalisation=value)
