import json

import numpy as np
import pytest
import torch

from influence_lib import store
from influence_lib.errors import InputError
from influence_lib.pretrain import knn_accuracy, load_checkpoint, pretrain, stored_encoder
from influence_lib.pretrain import loop as loop_module
from influence_lib.pretrain.encoders import build_encoder
from influence_lib.pretrain.loop import pretrain_settings
from influence_lib.pretrain.methods import METHODS, Momentum
from influence_lib.pretrain.views import TwoViews, view_threads
from tests.images import noise_images, two_colours

TINY = {"width": 2, "epochs": 3, "batch_size": 8, "precision": "fp32", "device": "cpu", "progress": False}
HEAD = {"projector_hidden": 16, "projector_out": 8}


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


class Killed(Exception):
    pass


def killed_at(monkeypatch, epoch, step=0):
    """Make a run stop in the middle of an epoch, as a kill would."""
    original = loop_module._Run._step
    count = {"steps": 0}

    def stopping(self, *args):
        if self.epoch == epoch and count["steps"] >= step:
            raise Killed
        if self.epoch == epoch:
            count["steps"] += 1
        return original(self, *args)

    monkeypatch.setattr(loop_module._Run, "_step", stopping)


@pytest.fixture
def images():
    return noise_images(33)


SMALL = {**HEAD, "predictor_hidden": 16, "prototypes": 12, "queue_size": 16, "frozen_prototypes_epochs": 2}


def small(method):
    """Return those of a small head's hyper-parameters that a method has."""
    return {name: value for name, value in SMALL.items() if name in METHODS[method].DEFAULTS}


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_fixes_the_weights(images, method):
    head = small(method)
    one = pretrain(images, method=method, seed=1, **TINY, **head)
    same = pretrain(images, method=method, seed=1, **TINY, **head)
    other = pretrain(images, method=method, seed=2, **TINY, **head)
    assert same_weights(one, same)
    assert not same_weights(one, other)
    assert [h["epoch"] for h in one.history] == [1, 2, 3]


@pytest.mark.parametrize(
    ("method", "epoch", "step", "precision"),
    [("simclr", 2, 2, "fp32"), ("simclr", 2, 2, "bf16"), *((method, 1, 0, "fp32") for method in METHODS)],
)
def test_resuming_ends_with_the_same_weights(images, tmp_path, monkeypatch, method, epoch, step, precision):
    monkeypatch.setattr(loop_module, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    options = {**TINY, **small(method), "method": method, "precision": precision}
    whole = pretrain(images, **options)
    with monkeypatch.context() as patch:
        killed_at(patch, epoch, step)
        with pytest.raises(Killed):
            pretrain(images, checkpoint=tmp_path, **options)
    assert [p.name for p in tmp_path.glob("epoch-*")] == [f"epoch-{epoch:04d}"]
    resumed = pretrain(images, checkpoint=tmp_path, **options)
    assert same_weights(whole, resumed)
    assert [h["loss"] for h in whole.history] == [h["loss"] for h in resumed.history]


def test_a_finished_run_is_not_trained_again(images, tmp_path, monkeypatch):
    encoder = pretrain(images, checkpoint=tmp_path, **TINY, **HEAD)
    killed_at(monkeypatch, 0)
    again = pretrain(images, checkpoint=tmp_path, **TINY, **HEAD)
    assert same_weights(encoder, again)
    loaded = load_checkpoint(tmp_path)
    assert same_weights(encoder, loaded)
    assert loaded.settings == encoder.settings
    assert not loaded.training


def test_a_checkpoint_of_other_settings_is_refused(images, tmp_path):
    pretrain(images, checkpoint=tmp_path, **TINY, **HEAD)
    with pytest.raises(InputError, match="made with seed = 0, but this run has seed = 5"):
        pretrain(images, checkpoint=tmp_path, seed=5, **TINY, **HEAD)
    with pytest.raises(InputError, match="made with data = "):
        pretrain(noise_images(33, seed=9), checkpoint=tmp_path, **TINY, **HEAD)


@pytest.mark.parametrize("file", ["encoder.safetensors", "training.safetensors", "checkpoint.json"])
def test_a_damaged_checkpoint_is_named(images, tmp_path, file):
    pretrain(images, checkpoint=tmp_path, **TINY, **HEAD)
    damaged = tmp_path / "epoch-0003" / file
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.raises(InputError, match="epoch-0003' is damaged"):
        pretrain(images, checkpoint=tmp_path, **TINY, **HEAD)


def test_training_learns_what_the_views_share():
    """A colour survives grayscale and jitter often enough for SimCLR to separate two colours."""
    train, test = two_colours(120), two_colours(60, seed=1)
    encoder = pretrain(train, width=4, epochs=8, batch_size=40, precision="fp32", progress=False)
    assert encoder.history[-1]["loss"] < encoder.history[0]["loss"]
    assert knn_accuracy(encoder, train, test).value > 0.9


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_state(images, tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    original = loop_module._Run._step
    monkeypatch.setattr(
        loop_module._Run,
        "_step",
        lambda self, *args: tuple(x * (float("nan") if self.epoch == 2 else 1) for x in original(self, *args)),
    )
    with pytest.raises(FloatingPointError, match=r"loss became nan in epoch 3 of simclr"):
        pretrain(images, checkpoint=tmp_path, **TINY, **HEAD)
    assert json.loads((tmp_path / "epoch-0002" / "checkpoint.json").read_text())["epoch"] == 2


@pytest.mark.parametrize("tf32", [True, False])
def test_a_gpu_trains_with_cudnn_and_the_same_result_each_time(images, monkeypatch, tf32):
    cudnn = torch.backends.cudnn
    for name, value in {"enabled": True, "deterministic": False, "benchmark": True, "allow_tf32": tf32}.items():
        monkeypatch.setattr(cudnn, name, value)
    original, seen = loop_module._Run._step, set()

    def looking(self, *args):
        seen.add((cudnn.enabled, cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32))
        return original(self, *args)

    monkeypatch.setattr(loop_module._Run, "_step", looking)
    pretrain(images, **TINY | {"epochs": 1}, **HEAD)
    assert seen == {(True, True, False, tf32)}
    assert (cudnn.enabled, cudnn.deterministic, cudnn.benchmark) == (True, False, True)


def test_two_views_give_the_gradient_of_two_plain_passes():
    torch.manual_seed(0)
    encoder = build_encoder(2)
    views = TwoViews(encoder, size=8)
    pixels = torch.rand(6, 3, 8, 8)
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    torch.manual_seed(1)
    drawn = [augment.draw(pixels.shape) for augment in views.augmentations]
    torch.manual_seed(1)
    with view_threads(torch.device("cpu")) as run:
        features, targets = views.forward(pixels, run)
        (features[0] * features[1]).sum().backward()
        views.backward(features, run)
    assert targets == []
    got = [p.grad.clone() for p in encoder.parameters()]
    statistics = dict(encoder.named_buffers())

    plain = build_encoder(2)
    plain.load_state_dict({**encoder.state_dict(), **{k: v for k, v in before.items() if k in encoder.state_dict()}})
    first, second = (plain(a(pixels, d)) for a, d in zip(views.augmentations, drawn, strict=True))
    (first * second).sum().backward()
    for gradient, parameter in zip(got, plain.parameters(), strict=True):
        # float32 in another memory format: sums are rounded in another order
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-3, atol=1e-3 * gradient.abs().max().item())
    for a, b in zip(views.encoders[0].buffers(), views.encoders[1].buffers(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(statistics["backbone.bn1.running_mean"], before["backbone.bn1.running_mean"])


def test_the_target_sees_the_same_views():
    torch.manual_seed(0)
    encoder = build_encoder(2).train()
    views = TwoViews(encoder, size=8, target=Momentum(encoder))
    with view_threads(torch.device("cpu")) as run:
        features, targets = views.forward(torch.rand(6, 3, 8, 8), run)
    for feature, target in zip(features, targets, strict=True):
        torch.testing.assert_close(feature.detach(), target)
        assert not target.requires_grad


def test_view_threads_leave_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    with view_threads(torch.device("cpu")) as run:
        assert list(run(lambda x: x + 1, [1, 2])) == [2, 3]
    assert torch.get_num_threads() == before


def test_a_training_starts_from_an_encoder(images, tmp_path):
    first = pretrain(images, "byol", seed=1, **TINY, **HEAD)
    slow = {**TINY, "epochs": 1, "lr": 1e-12}
    later = pretrain(images, "byol", start=first, checkpoint=tmp_path, **slow, **HEAD)
    weights = dict(later.named_parameters())
    for name, value in first.named_parameters():
        torch.testing.assert_close(weights[name], value, rtol=1e-5, atol=1e-6)
    other = pretrain_settings(images, "byol", **{k: v for k, v in slow.items() if k != "progress"}, **HEAD)
    assert later.settings["start"] != ""
    assert {k: v for k, v in later.settings.items() if k != "start"} == other
    with pytest.raises(InputError, match=r"start is \{'width': 4, 'stem_padding': 1\}, but it must be"):
        pretrain(images, start=build_encoder(4), **TINY)
    with pytest.raises(InputError, match="start is 'str', but it must be an Encoder or None"):
        pretrain(images, start="simclr", **TINY)


def test_the_callers_random_state_is_left_alone(images):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    pretrain(images, **TINY, **HEAD)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"method": "magic"}, "method is 'magic'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"width": 1.5}, "width is 1.5"),
        ({"width": "2"}, "width is '2'"),
        ({"epochs": 3.0}, "epochs is 3.0"),
        ({"epochs": True}, "epochs is True"),
        ({"batch_size": 8.0}, "batch_size is 8.0"),
        ({"batch_size": None}, "batch_size is None"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"stem_padding": 2.0}, "stem_padding is 2.0"),
        ({"stop_at": 1.0}, "stop_at is 1.0, but it must be a whole number from 1 to epochs, 3"),
        ({"stop_at": True}, "stop_at is True"),
        ({"method": ["simclr"]}, r"method is \['simclr'\]"),
        ({"method": None}, "method is None"),
        ({"weight_decay": -1e-5}, "weight_decay is -1e-05, but it must be a number at least 0"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
        ({"lr": "0.1"}, "lr is '0.1'"),
        ({"lr": float("inf")}, "lr is inf"),
        ({"temperature": 0}, "temperature is 0"),
        ({"projector_hidden": 16.0}, "projector_hidden is 16.0, but it must be a whole number above 0"),
        ({"method": "moco", "queue_size": "64"}, "queue_size is '64'"),
        ({"augmentation": {"hue": 0.1}}, "augmentation is {'hue': 0.1}, but it must be AugmentationSettings or None"),
        ({"precision": ["fp32"]}, r"precision is \['fp32'\]"),
        ({"device": None}, "device is None"),
        ({"checkpoint": 5}, "checkpoint is 5, but it must be a folder"),
        ({"checkpoint": ""}, "checkpoint is '', but it must be a folder"),
        ({"batch_size": 34}, "batch_size is 34, but it must be between 2 and the number of images, 33"),
        ({"lr": -1.0}, "lr is -1.0"),
        ({"method": "byol", "base_tau": 1.5}, "base_tau is 1.5, but it must be a number above 0 and at most 1"),
        ({"temprature": 0.1}, "hyper-parameter is 'temprature'"),
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"device": "gpu"}, "device is 'gpu'"),
    ],
)
def test_bad_input_is_named(images, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        pretrain(images, **{**TINY, **arguments})


@pytest.mark.parametrize("images", ["cifar10", None, noise_images(1), noise_images(8).subset([])])
def test_images_are_two_or_more(images):
    with pytest.raises(InputError, match="images"):
        pretrain(images, **TINY)


def test_a_file_is_no_checkpoint_to_write(images, tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match="which is no folder to write into"):
            pretrain(images, checkpoint=path, **TINY)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_classifier_needs_two_classes(images):
    with pytest.raises(InputError, match="method is 'supervised', but it must be one without labels for images of a s"):
        pretrain(images.subset(images.labels == 0), method="supervised", **TINY)


def test_settings_hold_plain_numbers_so_that_results_are_found(images):
    plain = {"width": 2, "epochs": 3, "batch_size": 8, "seed": 1, "lr": 0.5, "weight_decay": 0.0, "projector_out": 8}
    settings = pretrain_settings(images, **plain)
    for convert in (np.asarray, torch.tensor, lambda value: np.asarray(value)[()]):
        same = pretrain_settings(images, **{name: convert(value) for name, value in plain.items()})
        assert store.digest({"kind": "run", **same}) == store.digest({"kind": "run", **settings})
    assert {type(v) for v in (settings["width"], settings["hyper"]["projector_out"])} == {int}


def test_pretrained_trains_once_and_returns_what_is_stored(images, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    first = stored_encoder(images, **TINY, **HEAD)
    assert not list((tmp_path / "artifacts" / "training").glob("*"))
    killed_at(monkeypatch, 0)
    second = stored_encoder(images, **TINY, **HEAD)
    assert same_weights(first, second)
    assert all(
        torch.equal(value, value.half().float()) for value in first.state_dict().values() if value.is_floating_point()
    )
    by_name = load_checkpoint("simclr-noise")
    assert same_weights(by_name, first)
    assert by_name.settings == first.settings
