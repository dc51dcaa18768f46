"""Passes over pairs: what they add up, how they go on after an interruption, what they say of bad numbers."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from influence_lib.errors import InputError
from influence_lib.influence import GaussianNoise, self_influence
from influence_lib.influence.curvature import kronecker as curvature_module
from influence_lib.influence.curvature import passes
from influence_lib.influence.curvature.passes import Unfinished, accumulate
from influence_lib.influence.views.pairs import Pairs
from influence_lib.influence.views.source import gradient_source
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain import Encoder, build_encoder
from tests.images import noise_images
from tests.influence.conftest import autograd_gradients, double_source, small_net

PASSES = {"identity": 1, "diagonal": 2, "kfac": 2, "ekfac": 3}
BATCHES = 6  # of 11 images in 2 draws, 4 at a time


@dataclass(frozen=True)
class Spoiling:
    """Noise that makes one pixel of some images infinite."""

    spoilt: tuple[float, ...]

    def __call__(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        noisy = GaussianNoise()(pixels, rng)
        if round(float(pixels.sum()), 2) in self.spoilt:
            noisy[0, 3, 3] = torch.inf
        return noisy

    def describe(self) -> dict[str, Any]:
        return {"kind": "spoiling"}


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 4)
    monkeypatch.setattr(passes, "BATCH_SIZE", 4)
    monkeypatch.setattr(passes, "SAVE_SECONDS", -1.0)  # after every batch


@pytest.fixture
def counted(monkeypatch):
    """Return a list that grows with every batch of a pass; at the length that `stop` says, the run is killed."""

    class Batches(list):
        stop: int | None = None

    made, batches = Batches(), Pairs.batches

    def counting(self, indices, start=0):
        for batch in batches(self, indices, start):
            if len(made) == made.stop:
                raise KeyboardInterrupt
            made.append(batch.indices.tolist())
            yield batch

    monkeypatch.setattr(Pairs, "batches", counting)
    return made


def score(net, folder, curvature="ekfac", **more):
    arguments = {"curvature": curvature, "fisher": "sampled", "draws": 2, "unfinished": folder, "progress": False}
    return self_influence(net, noise_images(11), **arguments | more)


def spoilt_images(count: int):
    """Return images and a perturbation that spoils the last of them."""
    images = noise_images(count + 3)
    sums = (images.images.float() / 255).sum(dim=(1, 2, 3))[3:]
    return images, Spoiling(tuple(round(float(total), 2) for total in sums))


@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
def test_a_pass_adds_up_the_gradients_of_the_objective(net, fisher, monkeypatch):
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 2)
    source = double_source(net, noise_images(5), draws=2)
    totals = {"head": torch.zeros(5, 7, dtype=torch.float64), "pairs": torch.zeros(10, dtype=torch.float64)}

    def step(totals, batch, layers):
        totals["head"] += dict(layers)["head"].product().sum(dim=(0, 1))
        totals["pairs"][batch.indices] += 1

    accumulate(source, "sums", torch.arange(10), totals, step, fisher)
    expected = torch.zeros(5, 7, dtype=torch.float64)
    for i in range(10):
        batch = source.pairs.batch(torch.tensor([i]))
        objective = source.pairs.objective(source.loss, batch.indices, fisher)
        expected += autograd_gradients(net, objective, batch.left, batch.right)["head"][0]
    torch.testing.assert_close(totals["head"], expected)
    assert totals["pairs"].tolist() == [1] * 10


@pytest.mark.parametrize("curvature", PASSES)
@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_run_goes_on_where_it_stopped(net, curvature, counted, tmp_path):
    expected = score(net, None, curvature)
    total = PASSES[curvature] * BATCHES
    assert len(counted) == total
    for stop in {1, BATCHES - 1, BATCHES, BATCHES + 2, total - 1} & set(range(total)):
        counted.clear()
        counted.stop = stop
        with pytest.raises(KeyboardInterrupt):
            score(net, tmp_path, curvature)
        assert len(counted) == stop
        counted.stop = None
        resumed = score(net, tmp_path, curvature)
        assert len(counted) == total
        assert torch.equal(resumed.by_draw, expected.by_draw)
        assert all(torch.equal(resumed.by_layer[name], part) for name, part in expected.by_layer.items())
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_batches")
def test_a_run_that_is_killed_again_and_again_still_ends(net, counted, tmp_path):
    expected = score(net, None)
    counted.clear()
    for stop in range(3, 18, 3):
        counted.stop = stop
        with pytest.raises(KeyboardInterrupt):
            score(net, tmp_path)
    counted.stop = None
    assert torch.equal(score(net, tmp_path).by_draw, expected.by_draw)
    assert len(counted) == 18


@pytest.mark.parametrize("stop", [1, 7, 12, 18, 24, 30, 36])
@pytest.mark.usefixtures("small_batches")
def test_a_batch_within_which_a_run_is_killed_does_not_count(net, counted, tmp_path, stop):
    """Some of its layers have been added by then: either of the last two passes asks 3 times a batch for chunks."""
    expected = score(net, None)
    chunks, asked = curvature_module.chunks, []

    def interrupted(factors):
        asked.append(1)
        if len(asked) == stop:
            raise KeyboardInterrupt
        return chunks(factors)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curvature_module, "chunks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            score(net, tmp_path)
    counted.clear()
    assert torch.equal(score(net, tmp_path).by_draw, expected.by_draw)
    assert len(counted) == 2 * BATCHES - (stop - 1) // 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_batches")
def test_nothing_is_saved_before_its_time(net, counted, tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "SAVE_SECONDS", 60.0)
    counted.stop = 8
    with pytest.raises(KeyboardInterrupt):
        score(net, tmp_path)
    assert [path.name for path in tmp_path.glob("*/*")] == ["covariances.safetensors"]
    counted.stop = None
    counted.clear()
    score(net, tmp_path)
    assert len(counted) == 2 * BATCHES


def altered(net, change):
    other = copy.deepcopy(net)
    with torch.no_grad():
        change(other)
    return other


OTHERS = {
    "seed": {"seed": 1},
    "draws": {"draws": 1},
    "loss": {"loss": "mse"},
    "views": {"views": "two"},
    "curvature": {"curvature": "kfac"},
    "fisher": {"fisher": "empirical"},
    "damping": {"damping": 0.5},
    "pairs of the fit": {"factor_pairs": 21},
    "layers": {"layers": ["conv1", "conv2", "head"]},
    "precision": {"precision": "bf16"},
    "perturbation": {"perturbation": GaussianNoise(0.05, 0.3)},
}
ALTERED = {
    "weight": lambda net: net.conv1.weight[0, 0, 0, 0].mul_(1.001),
    "statistics": lambda net: net.norm.running_mean.add_(0.001),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.usefixtures("small_batches")
def test_other_settings_do_not_take_up_the_files(net, other, counted, tmp_path):
    expected = score(net, None, **other)
    stop_in_the_scores(net, counted, tmp_path)
    (before,) = tmp_path.iterdir()
    counted.clear()
    assert torch.equal(score(net, tmp_path, **other).by_draw, expected.by_draw)
    assert len(counted) == PASSES[other.get("curvature", "ekfac")] * BATCHES * other.get("draws", 2) / 2
    assert list(tmp_path.iterdir()) == [before]


@pytest.mark.parametrize("change", ALTERED.values(), ids=ALTERED)
@pytest.mark.usefixtures("small_batches")
def test_other_weights_do_not_take_up_the_files(net, change, counted, tmp_path):
    stop_in_the_scores(net, counted, tmp_path)
    counted.clear()
    score(altered(net, change), tmp_path)
    assert len(counted) == 3 * BATCHES


@pytest.mark.parametrize(
    "other",
    [
        lambda encoder: Encoder(encoder.backbone, mean=(0.5, 0.5, 0.5)),
        lambda encoder: altered(encoder, lambda e: setattr(e.backbone.conv1, "padding", (2, 2))),
        lambda encoder: altered(encoder, lambda e: setattr(e.backbone.layer1[0], "relu", nn.Tanh())),
    ],
    ids=["normalisation", "padding", "activation"],
)
@pytest.mark.usefixtures("small_batches")
def test_another_encoder_with_the_same_weights_does_not_take_up_the_files(other, counted, tmp_path):
    torch.manual_seed(0)
    encoder = build_encoder(1).eval()
    stop_in_the_scores(encoder, counted, tmp_path)
    counted.clear()
    score(other(encoder), tmp_path)
    assert len(counted) == 3 * BATCHES


def stop_in_the_scores(net, counted, folder) -> None:
    """Run until the last pass has a batch on disk."""
    counted.clear()
    counted.stop = 2 * BATCHES + 1
    with pytest.raises(KeyboardInterrupt):
        score(net, folder)
    counted.stop = None


@pytest.mark.usefixtures("small_batches")
def test_other_images_and_batches_do_not_take_up_the_files(net, counted, tmp_path, monkeypatch):
    stop_in_the_scores(net, counted, tmp_path)
    counted.clear()
    other = noise_images(11, seed=1)
    self_influence(net, other, fisher="sampled", draws=2, unfinished=tmp_path, progress=False)
    assert len(counted) == 3 * BATCHES
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 11)
    monkeypatch.setattr(passes, "BATCH_SIZE", 11)
    counted.clear()
    score(net, tmp_path)
    assert len(counted) == 3 * 2


@pytest.mark.usefixtures("small_batches")
def test_the_callers_copy_and_its_memory_order_do_not_matter_for_the_place(net):
    images = noise_images(3)
    sources = [
        gradient_source(model, images, TwoViews(draws=2), device="cpu")
        for model in (net, copy.deepcopy(net).train(), copy.deepcopy(net).to(memory_format=torch.channels_last))
    ]
    assert len({Unfinished.of("somewhere", {"seed": 0}, source).folder for source in sources}) == 1


@pytest.mark.usefixtures("small_batches")
def test_half_written_files_do_no_harm(net, counted, tmp_path):
    expected = score(net, None)
    stop_in_the_scores(net, counted, tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / "scores.partial").write_bytes(b"half")
    counted.clear()
    assert torch.equal(score(net, tmp_path).by_draw, expected.by_draw)
    assert len(counted) == BATCHES - 1
    assert list(tmp_path.iterdir()) == []


def test_a_pass_that_is_complete_is_not_made_again(tmp_path, net):
    source = double_source(net, noise_images(3))
    unfinished, calls = Unfinished(tmp_path / "one"), []

    def step(totals, batch, layers):
        calls.append(batch.ids)
        totals["count"] += len(batch.ids)

    for _ in range(2):
        totals = {"count": torch.zeros(())}
        accumulate(source, "stage", torch.arange(3), totals, step, unfinished=unfinished)
        assert totals["count"] == 3
    assert calls == [[5, 8, 11]]
    accumulate(source, "other stage", torch.arange(3), {"count": torch.zeros(())}, step, unfinished=unfinished)
    assert len(calls) == 2
    unfinished.clear()
    assert not unfinished.folder.exists()
    unfinished.clear()


def flip_a_value(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def change_the_count(content):
    return content.replace(b'"batches":"2"', b'"batches":"1"')


@pytest.mark.parametrize("damage", [flip_a_value, change_the_count, lambda content: content[:-9], lambda _: b""])
def test_damaged_batches_are_refused_and_named(tmp_path, damage):
    unfinished, totals = Unfinished(tmp_path), {"sum": torch.arange(3.0)}
    unfinished.save("stage", totals, 2)
    back = {"sum": torch.zeros(3)}
    assert unfinished.restore("stage", back) == 2
    assert torch.equal(back["sum"], totals["sum"])
    file = tmp_path / "stage.safetensors"
    content = file.read_bytes()
    file.write_bytes(damage(content))
    assert file.read_bytes() != content
    with pytest.raises(InputError, match=r"stage.safetensors is damaged .* delete it to have it computed again\.$"):
        unfinished.restore("stage", back)


def test_a_folder_that_another_process_clears_meanwhile_is_made_again(tmp_path, monkeypatch):
    unfinished, totals = Unfinished(tmp_path / "shared"), {"sum": torch.ones(2)}
    save_file, cleared = passes.safetensors.torch.save_file, []

    def cleared_once(*arguments, **options):
        if not cleared:
            cleared.append(unfinished.clear())
        save_file(*arguments, **options)

    monkeypatch.setattr(passes.safetensors.torch, "save_file", cleared_once)
    unfinished.save("stage", totals, 1)
    assert unfinished.restore("stage", {"sum": torch.zeros(2)}) == 1
    assert [file.name for file in unfinished.folder.iterdir()] == ["stage.safetensors"]


def test_batches_that_cannot_be_written_are_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"finished batches in .*file cannot be written .*make room and run again\.$"):
        Unfinished(tmp_path / "file").save("stage", {"sum": torch.zeros(1)}, 1)


def test_without_a_folder_nothing_is_kept(net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unfinished = Unfinished.of(None, {}, double_source(net, noise_images(3)))
    totals = {"sum": torch.ones(2)}
    unfinished.save("stage", totals, 1)
    assert unfinished.restore("stage", totals) == 0
    unfinished.clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layer", ["conv1", "conv2", "head"])
@pytest.mark.parametrize("curvature", PASSES)
def test_a_weight_that_is_not_a_number_is_found_in_its_layer(net, layer, curvature):
    with torch.no_grad():
        net.get_submodule(layer).weight.view(-1)[0] = torch.nan
    with pytest.raises(FloatingPointError, match=rf"layer '{layer}' .* not finite .* ids 5, 8, 11, 14, 17 and more"):
        self_influence(net, noise_images(7), curvature=curvature, progress=False)


@pytest.mark.parametrize("curvature", PASSES)
@pytest.mark.parametrize(("count", "named"), [(1, "14"), (5, "14, 17, 20, 23, 26"), (6, "14, 17, 20, 23, 26 and more")])
def test_images_that_are_not_finite_are_named(net, curvature, count, named):
    images, spoiling = spoilt_images(count)
    sentence = rf"the inputs of layer 'conv1' are not finite for the images with ids {named}\."
    with pytest.raises(FloatingPointError, match=sentence):
        self_influence(net, images, spoiling, curvature=curvature, progress=False)


def test_the_first_layer_whose_input_is_not_finite_is_named():
    """And not those before it, whose gradients are not finite for that."""

    class Dividing(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            black = (x[:, :1] == 0).all(dim=(1, 2, 3), keepdim=True)
            return self[2](torch.tanh(self[1](self[0](x) / (~black))).mean(dim=(2, 3)))

    encoder = Dividing(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 3), nn.Linear(4, 2))
    images = noise_images(4)
    images.images[2, 0] = 0
    with pytest.raises(
        FloatingPointError, match=r"the inputs of layer '1' are not finite for the images with ids 11\."
    ):
        self_influence(encoder, images, curvature="diagonal", progress=False)


def test_images_in_a_later_batch_are_named(net, monkeypatch):
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 2)
    images, spoiling = spoilt_images(1)
    with pytest.raises(FloatingPointError, match=r"layer 'conv1' are not finite for the images with ids 14\."):
        self_influence(net, images, spoiling, progress=False)


def test_a_bad_image_is_noticed_before_it_is_saved(net, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 1)
    monkeypatch.setattr(passes, "SAVE_SECONDS", -1.0)
    images, spoiling = spoilt_images(1)
    with pytest.raises(FloatingPointError):
        self_influence(net, images, spoiling, unfinished=tmp_path, progress=False)
    (folder,) = tmp_path.iterdir()
    totals = {"conv1/A": torch.empty(1, 28, 28)}
    assert Unfinished(folder).restore("covariances", totals) == 3
    assert torch.isfinite(totals["conv1/A"]).all()


def test_sums_that_overflow_say_so(net):
    source = double_source(net, noise_images(3))

    def step(totals, batch, layers):
        totals["sum"] += torch.tensor(3e38) * len(batch.ids)

    with pytest.raises(FloatingPointError, match="the sum for 'sum' is not finite although every gradient is"):
        accumulate(source, "stage", torch.arange(3), {"sum": torch.zeros(1)}, step)


def test_the_source_holds_a_copy_of_the_encoder_in_eval_mode(net):
    net.train()
    source = gradient_source(net, noise_images(3), TwoViews(), ["conv2"], device="cpu")
    assert net.training
    assert not source.encoder.training
    assert list(source.layers) == ["conv2"]
    assert source.layers["conv2"] is source.encoder.get_submodule("conv2")
    assert source.layers["conv2"] is not net.conv2
    assert source.layers["conv2"].weight.is_contiguous(memory_format=torch.channels_last)
    assert net.conv2.weight.is_contiguous()
    assert source.autocast is None
    assert gradient_source(net, noise_images(3), TwoViews(), device="cpu", precision="bf16").autocast is torch.bfloat16


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"layers": ["body"]}, "layers is 'body'"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"precision": "int8"}, "precision is 'int8'"),
    ],
)
def test_bad_input_is_named(wrong, sentence):
    with pytest.raises(InputError, match=sentence):
        gradient_source(small_net(1), noise_images(3), TwoViews(), **wrong)


def test_progress_counts_pairs(net, capsys):
    source = double_source(net, noise_images(3), draws=2)
    accumulate(source, "some pass", torch.arange(6), {}, lambda *_: None)
    assert capsys.readouterr().err == ""
    accumulate(source, "some pass", torch.arange(6), {}, lambda *_: None, progress=True)
    shown = capsys.readouterr().err
    assert "some pass: 100%" in shown
    assert "6/6" in shown
