"""Which layers count, on architectures of many kinds: the squared norm is autograd's, or one sentence says why not."""

import warnings
from typing import Any

import pytest
import torch
import torchvision.models as tv
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from influence_lib.data import ImageSet
from influence_lib.errors import InputError
from influence_lib.influence import GaussianNoise, cross_influence, raw_loss, self_influence
from influence_lib.influence.curvature.approximations import APPROXIMATIONS as CURVATURES
from influence_lib.influence.views.losses import two_view_loss
from influence_lib.influence.views.perturbations import view_pair
from influence_lib.pretrain import build_encoder, embed
from tests.images import noise_images
from tests.influence.views.architectures import COUNTED, REFUSED, Net, built, frozen, no_grad, trunk

every_curvature = pytest.mark.parametrize("curvature", CURVATURES)


def score(encoder: nn.Module, images: ImageSet, curvature: str = "identity", **more: Any) -> Any:
    """Return scores without what is said of the share, which has tests of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the layers that count")
        return self_influence(encoder, images, curvature=curvature, progress=False, **more)


def squared_norms(encoder: nn.Module, images: ImageSet) -> tuple[Tensor, Tensor]:
    """Return ‖g‖² of every image by autograd in float64, over Linear and Conv2d layers and over all parameters."""
    encoder = encoder.double().eval()
    named = {p: m for m in encoder.modules() for p in m._parameters.values() if p is not None and p.requires_grad}
    ours = [isinstance(m, nn.Linear | nn.Conv2d) and (p is m.weight or p is m.bias) for p, m in named.items()]
    rows = []
    for i in range(len(images)):
        views = view_pair(
            images.images[i : i + 1].float() / 255, images.ids[i : i + 1].tolist(), GaussianNoise(), "one", 0, 0
        )
        left, right = encoder(torch.cat(views).double()).chunk(2)
        gradients = torch.autograd.grad(two_view_loss(left, right).sum(), list(named), materialize_grads=True)
        rows.append(torch.stack([g.square().sum() for g in gradients]))
    squares = torch.stack(rows)
    return squares[:, torch.tensor(ours)].sum(1), squares.sum(1)


@pytest.mark.parametrize("build", COUNTED.values(), ids=COUNTED)
def test_the_squared_norm_is_autograds(build):
    images = noise_images(4)
    encoder = built(build)
    scores = score(encoder, images)
    expected, _ = squared_norms(encoder, images)
    torch.testing.assert_close(scores.values.double(), expected, rtol=2e-3, atol=0)
    assert all((part > 0).any() for part in scores.by_layer.values())


@pytest.mark.parametrize("build", [COUNTED[name] for name in ("ResNet-18", "transformer", "Conv1d", "Embedding")])
def test_the_share_is_autograds(build):
    images = noise_images(4)  # as many as are looked at
    encoder = built(build)
    share = score(encoder, images).share
    counted, whole = squared_norms(encoder, images)
    assert share == pytest.approx(float(counted.sum() / whole.sum()), rel=1e-3)
    assert 0.01 < share < 0.999


def test_what_lies_outside_is_said():
    with pytest.warns(UserWarning, match=r"^the layers that count, .* hold [0-9.]+% of .* outside are Conv1d\.weight"):
        self_influence(built(COUNTED["Conv1d"]), noise_images(4), progress=False)


@pytest.mark.parametrize(
    ("build", "layers"),
    [(lambda: build_encoder(2), None), (trunk, ["3"]), (trunk, None)],
    ids=["norms", "chosen", "all"],
)
def test_normalisations_and_layers_that_are_left_out_are_not_said(build, layers):
    """Warnings are errors here; the share says it."""
    share = self_influence(built(build), noise_images(4), layers=layers, progress=False).share
    assert (share == pytest.approx(1)) == (build is trunk and layers is None)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize(("build", "layer"), REFUSED.values(), ids=REFUSED)
def test_a_gradient_that_is_not_seen_is_refused(build, layer):
    """And what the sentence says is a way out."""
    encoder, images = built(build), noise_images(4)
    if isinstance(encoder, tv.VisionTransformer):
        nn.init.normal_(encoder.heads.head.weight)  # without it nothing has a gradient
    with pytest.raises(InputError, match=rf"^encoder .*layer '{layer}'.* so its gradient is not seen") as caught:
        score(encoder, images)
    assert torch.isfinite(embed(encoder, images)).all()
    *_, way_out = str(caught.value).partition("layers=")
    if way_out:
        left = way_out.removesuffix(".").strip("[]").replace("'", "").split(", ")
        scores = score(encoder, images, layers=left)
        assert layer not in scores.by_layer
        assert scores.share < 1


@every_curvature
@pytest.mark.parametrize("kind", ["functional use", "tied Linear", "scaled", "pruned"])
def test_every_curvature_refuses_the_same(curvature, kind):
    build, layer = REFUSED[kind]
    with pytest.raises(InputError, match=rf"layer '{layer}'.* so its gradient is not seen"):
        self_influence(built(build), noise_images(4), curvature=curvature, progress=False)
    if curvature == "ekfac":
        with pytest.raises(InputError, match=rf"layer '{layer}'.* so its gradient is not seen"):
            cross_influence(built(build), noise_images(2), noise_images(4), progress=False)


@every_curvature
def test_layers_that_are_not_called_change_nothing(curvature):
    images, network = noise_images(6), built(trunk)
    expected = self_influence(network, images, curvature=curvature, progress=False)
    aside = Net(lambda s, x: s.net(x), net=network, aside=nn.Linear(6, 3))
    scores = self_influence(aside, images, curvature=curvature, progress=False)
    assert list(scores.by_layer) == [f"net.{name}" for name in expected.by_layer]
    torch.testing.assert_close(scores.by_draw, expected.by_draw)
    with pytest.raises(
        InputError, match=r"^'aside' of layers has no layer on whose weights the representations depend"
    ):
        self_influence(aside, images, layers=["net", "aside"], curvature=curvature, progress=False)


def test_a_layer_that_is_called_for_some_images_only_is_refused():
    """The first images do not call it."""
    encoder = Net(
        lambda s, x: s.net(x) + (s.aside(s.net(x)) if len(x) > 8 else 0), net=built(trunk), aside=nn.Linear(6, 6)
    )
    with pytest.raises(InputError, match="calls its layer 'aside' for some images and not for others"):
        self_influence(encoder, noise_images(9), progress=False)


@every_curvature
def test_frozen_layers_are_left_out(curvature):
    images = noise_images(6)
    head = self_influence(built(trunk), images, layers=["3"], curvature=curvature, progress=False)
    encoder = frozen(built(trunk), "0.weight", "0.bias")
    scores = self_influence(encoder, images, curvature=curvature, progress=False)
    torch.testing.assert_close(scores.by_draw, head.by_draw)
    assert scores.share == pytest.approx(1)
    assert set(scores.by_layer) <= {"3"}


@pytest.mark.parametrize("curvature", ["identity", "ekfac"])
def test_frozen_layers_count_where_they_are_asked_for(curvature):
    images, encoder = noise_images(6), frozen(built(trunk), "0.weight", "0.bias", "3.bias")
    whole = self_influence(built(trunk), images, curvature=curvature, progress=False)
    everything = self_influence(encoder, images, frozen=True, curvature=curvature, progress=False)
    assert torch.equal(everything.by_draw, whole.by_draw)
    assert everything.settings == {**whole.settings, "frozen": True}
    assert [p.requires_grad for p in encoder.parameters()] == [False, False, True, False]


def test_an_encoder_that_is_all_frozen_says_so():
    encoder, images = built(trunk).requires_grad_(False), noise_images(4)
    with pytest.raises(InputError, match=r"^encoder has only frozen parameters .* frozen=True counts them\.$"):
        self_influence(encoder, images, progress=False)
    with pytest.raises(InputError, match=r"^encoder has only frozen parameters"):
        cross_influence(encoder, images, images, progress=False)
    with pytest.raises(InputError, match=r"^'0' of layers has only frozen parameters"):
        self_influence(frozen(built(trunk), "0.weight", "0.bias"), images, layers=["0", "3"], progress=False)
    whole = cross_influence(built(trunk), images, images, progress=False)
    assert torch.equal(cross_influence(encoder, images, images, frozen=True, progress=False).values, whole.values)
    with pytest.raises(InputError, match=r"^frozen is 'yes'"):
        self_influence(encoder, images, frozen="yes", progress=False)


def test_what_runs_without_autograd_cannot_be_counted():
    encoder = built(COUNTED["trunk without autograd, head in place"])
    with pytest.raises(InputError, match=r"calls its layer 'net\.0' under torch\.no_grad\(\)"):
        self_influence(encoder, noise_images(4), frozen=True, progress=False)
    whole = Net(lambda s, x: no_grad(s.net, x), net=built(trunk))
    with pytest.raises(InputError, match=r"^encoder returns representations without a gradient"):
        self_influence(whole, noise_images(4), progress=False)
    inference = Net(lambda s, x: s.head(torch.inference_mode()(s.net)(x)), net=built(trunk), head=nn.Linear(6, 3))
    with pytest.raises(InputError, match=r"^encoder cannot be differentiated"):
        self_influence(inference, noise_images(4), progress=False)


def test_the_callers_inference_mode_does_not_matter():
    encoder, images = built(trunk), noise_images(4)
    expected = self_influence(encoder, images, progress=False)
    with torch.inference_mode():
        assert torch.equal(self_influence(encoder, images, progress=False).by_draw, expected.by_draw)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")  # of representations alone
def test_reentrant_checkpoints_are_seen():
    encoder, images = built(trunk), noise_images(4)
    recomputing = Net(lambda s, x: checkpoint(s.net, x, use_reentrant=True), net=encoder)
    scores = self_influence(recomputing, images, progress=False)
    torch.testing.assert_close(scores.by_draw, self_influence(encoder, images, progress=False).by_draw)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_of_its_own_is_rounding_alone(dtype):
    def forward(net: Any, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype):
            return net.net(x)

    images = noise_images(6)
    exact = self_influence(built(trunk), images, curvature="identity", progress=False)
    scores = self_influence(Net(forward, net=built(trunk)), images, curvature="identity", progress=False)
    torch.testing.assert_close(scores.values, exact.values, rtol=0.5, atol=0)


@pytest.mark.parametrize("wrap", [torch.jit.script, lambda m: torch.jit.trace(m, torch.rand(2, 3, 8, 8))])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_script_modules_are_refused(wrap, inside):
    module = wrap(built(trunk).eval())
    encoder = nn.Sequential(module, nn.Linear(6, 3)) if inside else module
    with pytest.raises(InputError, match=r"^encoder has .* ScriptModule"):
        self_influence(encoder, noise_images(4), progress=False)


def test_quantised_layers_are_refused():
    class Quantised(nn.Linear):
        __module__ = "torch.ao.nn.quantized.dynamic.modules.linear"

    with pytest.raises(InputError, match=r"^encoder has a quantised layer '1'"):
        self_influence(nn.Sequential(trunk(), Quantised(6, 3)), noise_images(4), progress=False)


@every_curvature
def test_a_representation_without_a_direction_is_said(curvature):
    """The raw loss has a value there, and the gradient none."""
    images = noise_images(6)
    half = Net(
        lambda s, x: s.net(x) * (x.mean((1, 2, 3)) > images.images[2].float().mean() / 255)[:, None], net=trunk()
    )
    with pytest.raises(FloatingPointError, match=r"ids .*11.* have length 0, and so no direction"):
        self_influence(half, images, curvature=curvature, progress=False)
    assert torch.isfinite(raw_loss(half, images, progress=False).values).all()
    if curvature != "kronfluence":
        assert torch.isfinite(
            self_influence(half, images, loss="mse", curvature=curvature, progress=False).values
        ).all()


@every_curvature
def test_a_constant_representation_has_no_influence(curvature):
    encoder = Net(lambda s, x: 0 * s.net(x) + 1, net=built(trunk))
    scores = self_influence(encoder, noise_images(4), curvature=curvature, progress=False)
    assert scores.by_draw.abs().max() == 0
    assert scores.share is None


@every_curvature
def test_weights_that_are_not_finite_are_said(curvature):
    encoder = built(trunk)
    with torch.no_grad():
        encoder.get_parameter("3.weight")[0] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        self_influence(encoder, noise_images(4), curvature=curvature, progress=False)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (COUNTED["subclass"], "of the class PlainSubclass, which kronfluence does not know"),
        (COUNTED["momentum twin"], "2 times, and 1 of them with a gradient, which kronfluence gets wrong"),
        (COUNTED["Siamese without one gradient"], "2 times, and 1 of them with a gradient"),
        (COUNTED["frozen bias"], "layer '0' of which only the weight or the bias is frozen"),
    ],
)
def test_kronfluence_refuses_what_it_gets_wrong(build, sentence):
    with pytest.raises(InputError, match=sentence):
        score(built(build), noise_images(4), curvature="kronfluence")


def test_logra_counts_no_biases():
    with pytest.raises(InputError, match="layer '3' with a frozen weight, and biases do not count in LoGra"):
        self_influence(built(COUNTED["frozen weight"]), noise_images(4), curvature="logra", progress=False)
