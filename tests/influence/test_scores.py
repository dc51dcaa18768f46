import inspect
import json

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from influence_lib.errors import InputError
from influence_lib.influence import (
    GaussianNoise,
    Scores,
    random_score,
    raw_loss,
    self_influence,
    stored,
    stored_scores,
)
from influence_lib.influence.curvature.kronecker import KINDS
from influence_lib.influence.curvature.logra import RANK
from influence_lib.influence.views.gradients import per_sample_gradients
from influence_lib.influence.views.losses import COSINE, MSE, NTXent
from influence_lib.influence.views.perturbations import view_pair
from influence_lib.pretrain import build_encoder

every_curvature = pytest.mark.parametrize("curvature", KINDS)


def pairs_of(images, draw=0, views="one"):
    pixels = images.images.float() / 255
    return view_pair(pixels, images.ids.tolist(), GaussianNoise(), views, 0, draw)


@pytest.mark.parametrize("loss", ["cosine", "mse", "ntxent"])
@pytest.mark.parametrize("views", ["one", "two"])
def test_raw_loss_is_the_loss_of_the_stated_pairs(net, images, views, loss):
    scores = raw_loss(net, images, loss=loss, views=views, draws=2, progress=False)
    ids = images.ids.tolist()
    with torch.no_grad():
        negatives = NTXent(net(images.images.float() / 255), images.ids)
        form = {"cosine": COSINE, "mse": MSE, "ntxent": negatives}[loss]
        for draw in range(2):
            values = form.values(*(net(view) for view in pairs_of(images, draw, views)), ids)
            torch.testing.assert_close(scores.by_draw[draw], values)
    torch.testing.assert_close(scores.values, scores.by_draw.mean(0))
    assert torch.equal(scores.ids, images.ids)


def test_identity_is_the_squared_gradient_norm(net, images):
    scores = self_influence(net, images, curvature="identity", progress=False)
    gradients = dict(per_sample_gradients(net, *pairs_of(images)))
    expected = sum(g.square().sum(dim=(1, 2)) for g in gradients.values())
    torch.testing.assert_close(scores.values, expected, rtol=1e-4, atol=0)


def test_curvature_changes_the_scores(net, images):
    scores = self_influence(net, images, draws=2, progress=False)
    assert (scores.values > 0).all()
    again = self_influence(net, images, draws=2, progress=False)
    assert torch.equal(again.values, scores.values)
    for other in (
        {"fisher": "sampled"},
        {"factor_pairs": 6},
        {"damping": 0.01},
        {"curvature": "kfac"},
        {"curvature": "diagonal"},
        {"views": "two"},
        {"loss": "mse"},
        {"loss": "ntxent"},
        {"seed": 1},
    ):
        assert not torch.allclose(
            self_influence(net, images, draws=2, progress=False, **other).values, scores.values, rtol=0.01
        )


def test_pairs_of_the_fit_beyond_all_are_all(net, images):
    everything = self_influence(net, images, progress=False)
    assert torch.equal(self_influence(net, images, factor_pairs=99, progress=False).values, everything.values)


@pytest.mark.parametrize("loss", ["cosine", "mse", "ntxent"])
@every_curvature
def test_the_parts_of_the_layers_add_up(net, images, curvature, loss):
    scores = self_influence(net, images, loss=loss, curvature=curvature, draws=2, progress=False)
    assert list(scores.by_layer) == ["conv1", "conv2", "head"]
    assert all(part.shape == (2, 12) and (part > 0).all() for part in scores.by_layer.values())
    torch.testing.assert_close(torch.stack(list(scores.by_layer.values())).sum(0), scores.by_draw)
    assert scores.by_draw.dtype == torch.float32


@pytest.mark.parametrize("layers", [["conv2"], ["head", "conv1"]])
@every_curvature
def test_some_layers_have_the_parts_that_they_have_among_all(net, images, curvature, layers):
    arguments = {"curvature": curvature, "fisher": "sampled", "draws": 2, "precision": "fp64", "progress": False}
    everything = self_influence(net, images, **arguments)
    some = self_influence(net, images, layers=layers, **arguments)
    assert set(some.by_layer) == set(layers)
    for name, part in some.by_layer.items():
        torch.testing.assert_close(part, everything.by_layer[name], rtol=1e-6, atol=0)
    assert some.settings["layers"] == layers
    assert "layers" not in everything.settings


@every_curvature
def test_draws_are_scored_apart_and_averaged(net, images, curvature):
    scores = self_influence(net, images, curvature=curvature, draws=3, progress=False)
    assert scores.by_draw.shape == (3, 12)
    torch.testing.assert_close(scores.values, scores.by_draw.mean(0))
    assert not torch.allclose(scores.by_draw[0], scores.by_draw[1], rtol=0.01)
    if curvature == "identity":  # the others are fitted on all draws
        alone = self_influence(net, images, curvature=curvature, draws=1, progress=False)
        torch.testing.assert_close(alone.by_draw[0], scores.by_draw[0])


def test_scores_say_what_they_were_made_from(net, images):
    arguments = {"loss": "mse", "views": "two", "fisher": "sampled", "damping": 0.5, "factor_pairs": 7, "draws": 2}
    settings = self_influence(net, images, seed=3, progress=False, **arguments).settings
    assert settings.items() >= {**arguments, "seed": 3, "curvature": "ekfac"}.items()
    assert settings["data"] == images.describe()
    assert settings["perturbation"] == GaussianNoise().describe()
    assert json.loads(json.dumps(settings)) == settings
    plain = self_influence(net, images, curvature="identity", progress=False).settings
    assert not {"fisher", "damping", "factor_pairs"} & set(plain)


@every_curvature
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_model_is_left_as_it_was(net, images, curvature, memory_format):
    net = net.train().to(memory_format=memory_format)
    net.head.weight.requires_grad_(False)
    before = {name: (value.clone(), value.stride(), value.data_ptr()) for name, value in net.state_dict().items()}
    self_influence(net, images, curvature=curvature, loss="ntxent", progress=False)
    raw_loss(net, images, progress=False)
    assert net.training
    assert net.norm.training
    for name, value in net.state_dict().items():
        expected, stride, address = before[name]
        assert torch.equal(value, expected)
        assert (value.stride(), value.data_ptr()) == (stride, address)
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["head.weight"]
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in net.modules())
    assert type(net.conv1) is torch.nn.Conv2d


def test_scores_are_the_same_in_training_mode_and_without_autograd(net, images):
    expected = self_influence(net, images, progress=False)
    net.train()
    with torch.no_grad():
        assert torch.equal(self_influence(net, images, progress=False).values, expected.values)
    assert not expected.by_draw.requires_grad


def test_a_lower_precision_changes_the_rounding_alone(net, images):
    full, half = (self_influence(net, images, precision=p, progress=False) for p in ("fp32", "bf16"))
    assert not torch.equal(full.values, half.values)
    torch.testing.assert_close(half.values, full.values, rtol=0.5, atol=0)
    assert spearmanr(full.values, half.values).statistic > 0.9
    assert half.settings != full.settings


def test_reliability_is_the_correlation_of_disjoint_halves():
    by_draw = torch.rand(2, 30, generator=torch.Generator().manual_seed(0))
    scores = Scores(by_draw, torch.arange(30), {})
    assert scores.reliability == pytest.approx(spearmanr(by_draw[0], by_draw[1]).statistic)
    assert Scores(by_draw[:1], torch.arange(30), {}).reliability is None
    same = Scores(by_draw[:1].repeat(5, 1), torch.arange(30), {})
    assert same.reliability == pytest.approx(1)


def test_top_reliability_counts_what_two_halves_share():
    scores = Scores(torch.tensor([[4.0, 3.0, 2.0, 1.0], [4.0, 1.0, 3.0, 2.0]]), torch.arange(4), {})
    assert scores.top_reliability(1) == 1
    assert scores.top_reliability(2) == 0.5
    assert Scores(scores.by_draw[:1], scores.ids, {}).top_reliability(2) is None


def test_reliability_grows_with_draws():
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(size=400), rng.normal(size=(16, 400))
    by_draw = torch.from_numpy((truth + 2 * noise).astype(np.float32))
    few, many = (Scores(by_draw[:n], torch.arange(400), {}).reliability for n in (2, 16))
    # correlation of averages over m draws of signal 1 and noise variance 4: 1 / (1 + 4 / m)
    assert few == pytest.approx(1 / 5, abs=0.1)
    assert many == pytest.approx(1 / 1.5, abs=0.1)


def test_highest_and_lowest_start_at_their_end():
    scores = Scores(torch.tensor([[0.2, 0.9, 0.1, 0.5]]), torch.arange(4), {})
    assert scores.highest(3).tolist() == [1, 3, 0]
    assert scores.lowest(2).tolist() == [2, 0]
    assert len(scores) == 4


def test_random_score_is_reproducible_and_uniform(images):
    one, same, other = (random_score(images, draws=2, seed=s) for s in (0, 0, 1))
    assert torch.equal(one.by_draw, same.by_draw)
    assert not torch.equal(one.by_draw, other.by_draw)
    assert one.by_draw.min() >= 0
    assert one.by_draw.max() < 1


def test_a_score_that_is_not_finite_names_the_image(net, images):
    with torch.no_grad():
        net.head.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="12 images are not finite, the first of them id 5"):
        raw_loss(net, images, progress=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"curvature": "hessian"}, "curvature is 'hessian'"),
        ({"fisher": "true"}, "fisher is 'true'"),
        ({"loss": "l1"}, "loss is 'l1'"),
        ({"views": "both"}, "views is 'both'"),
        ({"draws": 0}, "draws is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"damping": -0.5}, "damping is -0.5"),
        ({"damping": 0}, "damping is 0"),
        ({"damping": float("nan")}, "damping is nan"),
        ({"factor_pairs": 0}, "factor_pairs is 0"),
        ({"factor_pairs": 2.0}, "factor_pairs is 2.0"),
        ({"layers": []}, r"layers is \[\]"),
        ({"layers": ["body"]}, "layers is 'body'"),
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"device": "gpu"}, "device is 'gpu'"),
    ],
)
def test_bad_input_is_named(net, images, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        self_influence(net, images, progress=False, **arguments)


def test_stored_scores_are_computed_once(images, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    torch.manual_seed(0)
    encoder = build_encoder(2).eval()
    calls = []

    def counted(*args, **kwargs):
        calls.append(1)
        return raw_loss(*args, **kwargs)

    counted.__signature__ = inspect.signature(raw_loss)
    first = stored_scores(counted, encoder, images, draws=2, progress=False)
    second = stored_scores(counted, encoder, images, draws=2, progress=False)
    assert len(calls) == 1
    assert torch.equal(first.by_draw, second.by_draw)
    stored_scores(counted, encoder, images, draws=2, seed=1, progress=False)
    assert len(calls) == 2


def test_stored_scores_are_those_of_the_score(images, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    torch.manual_seed(0)
    encoder = build_encoder(2).eval()
    expected = self_influence(encoder, images, draws=2, progress=False)
    for _ in range(2):
        stored = stored_scores(self_influence, encoder, images, draws=2, progress=False)
        assert torch.equal(stored.by_draw, expected.by_draw)
        assert torch.equal(stored.ids, images.ids)


@pytest.fixture
def asked(images, tmp_path, monkeypatch):
    """Return a function that counts how often scores with these arguments had to be computed so far."""
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)

    def ask(encoder, score=self_influence, of=images, **arguments):
        stored_scores(score, encoder, of, progress=False, **arguments)
        return len(list(tmp_path.glob("artifacts/scores/*")))

    return ask


def trained_alike(seed):
    torch.manual_seed(seed)
    encoder = build_encoder(2).eval()
    encoder.settings |= {"name": "last.ckpt", "method": "simclr"}
    return encoder


def test_scores_belong_to_the_weights_and_not_to_the_label(asked):
    first, second, again = trained_alike(0), trained_alike(1), trained_alike(0)
    assert [asked(first), asked(second)] == [1, 2]
    again.settings["name"] = "copy"
    assert asked(again) == 2
    first.projector = torch.nn.Linear(16, 4)
    assert asked(first) == 3
    with torch.no_grad():
        second.backbone.bn1.running_mean += 1
    assert asked(second) == 4
    assert asked(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))) == 5


def test_scores_belong_to_the_pixels(asked, images):
    encoder, other = trained_alike(0), images.subset(range(len(images)))
    assert asked(encoder, of=other) == 1
    other.images[0, 0, 0, 0] ^= 1
    del other.__dict__["fingerprint"]
    assert asked(encoder, of=other) == 2


def test_defaults_are_resolved_before_scores_are_looked_up(asked, monkeypatch):
    encoder = trained_alike(0)
    assert [asked(encoder), asked(encoder, precision="fp32", device="cpu", curvature="ekfac")] == [1, 1]
    assert [asked(encoder, curvature="identity"), asked(encoder, curvature="identity", damping=1.0)] == [2, 2]
    assert [asked(encoder, curvature="logra"), asked(encoder, curvature="logra", rank=np.int64(RANK))] == [3, 3]
    monkeypatch.setattr("influence_lib.influence.curvature.damping.MEAN_SHARE", 0.2)
    assert [asked(encoder), asked(encoder, curvature="identity")] == [4, 4]


def test_a_rule_that_changes_finds_no_scores_of_the_earlier_one(asked, monkeypatch):
    encoder = trained_alike(0)
    assert [asked(encoder), asked(encoder, raw_loss)] == [1, 2]
    monkeypatch.setitem(stored.REVISIONS, "self_influence", 2)
    assert [asked(encoder), asked(encoder, raw_loss)] == [3, 3]


@pytest.mark.parametrize("curvature", ["ekfac", "kfac", "diagonal", "logra", "exact"])
def test_the_curvature_can_be_that_of_other_views(net, images, curvature):
    weak, strong = GaussianNoise(0.05, 0.1), GaussianNoise(0.05, 0.2)
    damping = 1e-3
    own = self_influence(net, images, strong, curvature=curvature, damping=damping, progress=False)
    same = self_influence(
        net, images, strong, curvature=curvature, damping=damping, fit_perturbation=strong, progress=False
    )
    other = self_influence(
        net, images, strong, curvature=curvature, damping=damping, fit_perturbation=weak, progress=False
    )
    torch.testing.assert_close(same.by_draw, own.by_draw)
    assert "fit_perturbation" in other.settings
    # the weaker noise has the smaller curvature, and so the larger scores
    assert (other.values > own.values).double().mean() > 0.8


@pytest.mark.parametrize("name", ["perturbation", "fit_perturbation"])
@pytest.mark.parametrize("wrong", ["noise", GaussianNoise, 0.2])
def test_what_does_not_perturb_is_named(net, images, name, wrong):
    with pytest.raises(InputError, match=f"^{name} is .*, but it must be a perturbation"):
        self_influence(net, images, progress=False, **{name: wrong})


@pytest.mark.parametrize("options", [{"curvature": "identity"}, {"rank": 2}, {"curvature": "kronfluence"}])
def test_other_views_need_a_curvature_that_is_fitted_apart(net, images, options):
    with pytest.raises(InputError, match="fit_perturbation is GaussianNoise"):
        self_influence(net, images, fit_perturbation=GaussianNoise(), progress=False, **options)


def test_some_of_the_scores_keep_their_ids_and_draws():
    scores = Scores(torch.arange(12.0).reshape(2, 6), torch.arange(10, 16), {"score": "a"})
    some = scores.subset([4, 1])
    assert some.ids.tolist() == [14, 11]
    assert some.by_draw.tolist() == [[4, 1], [10, 7]]
    assert some.settings == {"score": "a"}
