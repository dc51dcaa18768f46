"""Our EK-FAC, K-FAC, diagonal and squared norm against kronfluence's, on the same pairs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from influence_lib.errors import InputError
from influence_lib.influence import RandomCrop, self_influence
from influence_lib.influence.curvature.kronecker import KINDS
from influence_lib.influence.curvature.through_kronfluence import PairDataset, kronfluence_scores
from influence_lib.influence.views.losses import two_view_loss
from influence_lib.influence.views.pairs import Pairs
from influence_lib.influence.views.perturbations import GaussianNoise
from influence_lib.influence.views.source import gradient_source
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain import build_encoder
from tests.images import noise_images
from tests.influence.conftest import Options, twice_net

pytestmark = pytest.mark.usefixtures("little_garbage")

CASES: list[dict[str, Any]] = [
    *[
        {"loss": loss, "fisher": fisher, "views": views}
        for loss in ("cosine", "mse", "ntxent")
        for fisher in ("empirical", "sampled")
        for views in ("one", "two")
    ],
    {"views": "two", "perturbation": RandomCrop()},
    {"views": "two", "fisher": "sampled", "loss": "ntxent", "draws": 2, "seed": 3},
    {"draws": 3, "loss": "mse"},
    {"factor_pairs": 7, "draws": 2, "fisher": "sampled"},
    {"damping": 1e-4},
    {"layers": ["body", "tokens"], "fisher": "sampled"},
]


@pytest.fixture
def options_net() -> Options:
    torch.manual_seed(0)
    return Options().eval()


def assert_equal_to_kronfluence(encoder, images, precision="fp64", rtol=1e-6, **arguments):
    """Compare in float64: in float32 both round, in an order of their own on every processor."""
    theirs, ours = (
        self_influence(encoder, images, curvature=curvature, precision=precision, progress=False, **arguments)
        for curvature in ("kronfluence", "ekfac")
    )
    assert theirs.by_draw.shape == ours.by_draw.shape
    torch.testing.assert_close(ours.by_draw, theirs.by_draw, rtol=rtol, atol=0)


@pytest.mark.parametrize("arguments", CASES, ids=[",".join(f"{k}={v}" for k, v in case.items()) for case in CASES])
def test_ekfac_equals_kronfluence(options_net, arguments):
    assert_equal_to_kronfluence(options_net, noise_images(9), **arguments)


@pytest.mark.parametrize("arguments", [{}, {"fisher": "sampled", "views": "two"}, {"loss": "ntxent"}])
def test_ekfac_equals_kronfluence_but_for_rounding_in_float32(options_net, arguments):
    assert_equal_to_kronfluence(options_net, noise_images(9), precision="fp32", rtol=1e-3, **arguments)


def test_kronfluence_runs_without_tf32_as_our_own_passes_do(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []

    class Looking(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.backends.cudnn.allow_tf32)
            return super().forward(x)

    encoder = Looking(nn.Flatten(), nn.Linear(48, 3)).eval()
    self_influence(encoder, noise_images(4, size=4), curvature="kronfluence", progress=False)
    assert set(seen) == {False}
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
def test_ekfac_of_a_resnet_equals_kronfluence(fisher):
    torch.manual_seed(0)
    encoder = build_encoder(2).eval()
    assert_equal_to_kronfluence(encoder, noise_images(12, size=16), fisher=fisher)


@pytest.mark.parametrize("curvature", KINDS)
def test_every_fit_equals_kronfluence(options_net, curvature):
    """Its K-FAC takes means over the positions on both sides, ours a sum on one: its H is that many times smaller."""
    images = noise_images(9)
    source = gradient_source(options_net, images, TwoViews(), device="cpu", precision="fp64")
    theirs = kronfluence_scores(source, torch.arange(9), "empirical", None, progress=False, strategy=curvature)
    by_layer = self_influence(options_net, images, curvature=curvature, precision="fp64", progress=False).by_layer
    factors = dict(source.factors(source.pairs.batch(torch.arange(9))))
    positions = {name: factors[name].activations.shape[2] if curvature == "kfac" else 1 for name in by_layer}
    ours = torch.stack([positions[name] * part for name, part in by_layer.items()]).sum(0)
    torch.testing.assert_close(ours[0], theirs, rtol=1e-6, atol=0)


@pytest.mark.parametrize("draws", [1, 2])
def test_a_layer_that_is_called_twice_equals_kronfluence(draws):
    assert_equal_to_kronfluence(twice_net(), noise_images(9), draws=draws)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(3, 6, 3, groups=3), nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect")],
    ids=["groups", "padding"],
)
def test_layers_that_kronfluence_gets_wrong_are_refused(images, layer):
    encoder = nn.Sequential(nn.Sequential(layer), nn.Flatten(), nn.LazyLinear(4))
    encoder(images.images[:1].float())
    with pytest.raises(InputError, match=r"layer '0.0' with groups = . and padding_mode = .*curvature='ekfac'"):
        self_influence(encoder, images, curvature="kronfluence", progress=False)
    assert (self_influence(encoder, images, progress=False).values > 0).all()
    others = self_influence(encoder, images, curvature="kronfluence", layers=["2"], progress=False)
    assert (others.values > 0).all()


def test_a_precision_that_kronfluence_does_not_compute_in_is_refused(net, images):
    """It runs the encoder in the encoder's own."""
    with pytest.raises(InputError, match="precision is 'bf16'"):
        self_influence(net, images, curvature="kronfluence", precision="bf16", progress=False)


def test_the_back_end_is_ekfac_of_the_folded_gradient(net, images):
    """From the definition, with dense matrices, for the last layer, which has one position."""
    scores = self_influence(net, images, curvature="kronfluence", layers=["head"], precision="fp64", progress=False)
    batch = Pairs(
        images, TwoViews(GaussianNoise(), views="one", draws=1, seed=0), torch.device("cpu"), torch.float64
    ).batch(torch.arange(12))
    net = net.double()
    recorded: dict[str, Tensor] = {}
    handle = net.head.register_forward_hook(lambda _, inputs, output: recorded.update(a=inputs[0], z=output))
    z_left, z_right = net(torch.cat([batch.left, batch.right])).chunk(2)
    handle.remove()
    (g,) = torch.autograd.grad(two_view_loss(z_left, z_right).sum(), recorded["z"])
    a = torch.cat([recorded["a"], torch.ones(len(g), 1)], dim=1).detach()
    _, eigen_a = torch.linalg.eigh(a.T @ a / len(a))
    _, eigen_g = torch.linalg.eigh(g.T @ g / len(g))
    rows = torch.einsum("bo,bi->boi", g @ eigen_g, a @ eigen_a)
    folded = rows[:12] + rows[12:]
    eigenvalues = folded.square().mean(0)
    expected = (folded.square() / (eigenvalues + 0.1 * eigenvalues.mean())).sum(dim=(1, 2))
    torch.testing.assert_close(scores.values, expected.float(), rtol=1e-6, atol=0)


def test_kronfluence_sees_the_pairs_of_our_passes(images):
    pairs = Pairs(images, TwoViews(GaussianNoise(), views="two", draws=2, seed=0), torch.device("cpu"))
    dataset = PairDataset(pairs)
    assert len(dataset) == 24
    for index in (0, 11, 12, 23):
        views, found = dataset[index]
        batch = pairs.batch(torch.tensor([index]))
        assert found == index
        assert torch.equal(views, torch.cat([batch.left, batch.right]))


def test_kronfluence_gives_no_parts_of_layers_and_leaves_the_encoder_alone(net, images, capsys):
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    scores = self_influence(net, images, curvature="kronfluence", progress=False)
    assert scores.by_layer == {}
    assert net.training
    assert type(net.conv1) is nn.Conv2d
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert capsys.readouterr().err == ""
