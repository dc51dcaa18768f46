import pytest
import torch
from torch import nn

from influence_lib import store
from influence_lib.influence import GaussianNoise, raw_loss, self_influence
from influence_lib.influence.views.losses import two_view_loss
from influence_lib.influence.views.pairs import Pairs
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.studies import Scorer
from influence_lib.studies.bend import gradient_parts
from tests.images import noise_images
from tests.influence.conftest import SmallNet, Twice, small_net

IMAGES = noise_images(40)  # more than a batch
FEW = noise_images(4)
NOISE = GaussianNoise(0.05, 0.3)


def scorer_of(encoder, draws=2, **more):
    return Scorer(encoder, NOISE, draws, **more)


def test_the_gradients_of_the_representations_have_the_lengths_of_the_formula():
    torch.manual_seed(0)
    z, z_hat = (torch.randn(50, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    loss = two_view_loss(z, z_hat)
    a, b = torch.autograd.grad(loss.sum(), (z, z_hat))
    loss = loss.detach()
    for gradient, representation in ((a, z), (b, z_hat)):
        expected = loss * (2 - loss) / representation.detach().square().sum(1)
        torch.testing.assert_close(gradient.square().sum(1), expected)
    torch.testing.assert_close(torch.cosine_similarity(a, b), loss - 1)


def autograd_parts(encoder, left, right, only=None):
    """Return the gradient of one image through each view, layer by layer, in float64."""
    layers = {n: m for n, m in encoder.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    weights = {n: tuple(layer.parameters()) for n, layer in layers.items()}
    z, z_hat = encoder(left[None]), encoder(right[None])
    found = []
    for through in ((z, z_hat.detach()), (z.detach(), z_hat)):
        flat = [p for several in weights.values() for p in several]
        gradients = iter(torch.autograd.grad(two_view_loss(*through).sum(), flat, retain_graph=True))
        found.append({n: torch.cat([next(gradients).flatten() for _ in several]) for n, several in weights.items()})
    return found


@pytest.mark.parametrize("make", [lambda: small_net(groups=2), lambda: Twice().eval()], ids=["convolutions", "twice"])
def test_the_parts_are_those_of_autograd(make):
    torch.manual_seed(1)
    encoder = make().double()
    images = IMAGES.subset(torch.arange(6))
    parts = gradient_parts(scorer_of(encoder), images)
    pairs = Pairs(images, TwoViews(NOISE, draws=2), torch.device("cpu"), torch.float64)
    by_layer = {name: torch.zeros(6, dtype=torch.float64) for name in parts.by_layer}
    for draw in range(2):
        batch = pairs.batch(torch.arange(6) + 6 * draw)
        for i in range(6):
            g, g_hat = autograd_parts(encoder, batch.left[i], batch.right[i])
            one, other = (torch.cat([*each.values()]) for each in (g, g_hat))
            expected = [one @ one, other @ other, one @ other]
            found = [parts.through_x, parts.through_x_hat, parts.product]
            for value, oracle in zip(found, expected, strict=True):
                assert value[draw, i].item() == pytest.approx(oracle.item(), rel=1e-4)
            for name in by_layer:
                by_layer[name][i] += (g[name] + g_hat[name]).square().sum() / 2
    for name, values in by_layer.items():
        torch.testing.assert_close(parts.by_layer[name].double(), values, rtol=1e-4, atol=0)


def test_the_parts_add_up_to_the_gradient_norm_and_hold_the_raw_loss():
    encoder = small_net(groups=1).double()
    options = {"perturbation": NOISE, "draws": 2, "progress": False}
    parts = gradient_parts(scorer_of(encoder), IMAGES)
    norm = self_influence(encoder, IMAGES, curvature="identity", **options)
    torch.testing.assert_close(parts.squared_norm, norm.by_draw, rtol=1e-3, atol=0)
    torch.testing.assert_close(torch.stack([*parts.by_layer.values()]).sum(0), norm.values, rtol=1e-4, atol=0)
    torch.testing.assert_close(parts.loss, raw_loss(encoder, IMAGES, **options).by_draw, rtol=1e-4, atol=0)
    assert parts.cosine.abs().max() <= 1 + 1e-5
    assert parts.ids.equal(IMAGES.ids)


class Shifted(nn.Module):
    """Representations of a fixed length and a shift, whose Jacobian is the identity for every image and view."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.project = nn.Linear(3 * 8 * 8, 3, bias=False).requires_grad_(False)
        self.shift = nn.Linear(3, 3)
        nn.init.eye_(self.shift.weight).requires_grad_(False)
        nn.init.zeros_(self.shift.bias)

    def forward(self, x):
        return self.shift(nn.functional.normalize(self.project(x.flatten(1) - 0.5), dim=1))


def test_equal_jacobians_give_the_toy_law_with_its_peak_at_four_thirds():
    images = noise_images(200, size=8)
    parts = gradient_parts(Scorer(Shifted().double(), GaussianNoise(0, 1.5), draws=2), images)
    loss = parts.loss.double()
    assert loss.min() < 0.2
    assert loss.max() > 1.5
    torch.testing.assert_close(parts.squared_norm.double(), 2 * loss**2 * (2 - loss), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts.of_representations, parts.through_x + parts.through_x_hat, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(parts.cosine.double(), loss - 1, rtol=0, atol=1e-3)
    assert loss.flatten()[parts.squared_norm.argmax()].item() == pytest.approx(4 / 3, abs=0.1)


def test_the_encoder_is_left_as_it_was():
    encoder = SmallNet(groups=1).train()
    gradient_parts(scorer_of(encoder, draws=1), IMAGES)
    assert encoder.training
    assert all(p.requires_grad and p.grad is None for p in encoder.parameters())


def test_parts_are_stored_and_found_by_what_they_depend_on(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path if root is None else root)
    encoder = small_net(groups=1)
    first = gradient_parts(scorer_of(encoder, place="artifacts"), FEW)
    assert len(list(tmp_path.glob("artifacts/bend/encoder-*"))) == 1
    again = gradient_parts(scorer_of(encoder, place="artifacts"), FEW)
    torch.testing.assert_close(again.product, first.product, rtol=0, atol=0)
    assert list(again.by_layer) == list(first.by_layer)
    gradient_parts(scorer_of(encoder, place="artifacts", draws=1), FEW)
    with torch.no_grad():
        encoder.head.weight += 1
    gradient_parts(scorer_of(encoder, place="artifacts"), FEW)
    assert len(list(tmp_path.glob("artifacts/bend/encoder-*"))) == 3
