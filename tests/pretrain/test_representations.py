"""What an encoder may return, take and be, for every call alike."""

import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from influence_lib.errors import InputError
from influence_lib.influence import (
    cross_influence,
    embedding_norm,
    knn_distance,
    raw_loss,
    self_influence,
)
from influence_lib.influence.curvature.approximations import APPROXIMATIONS as CURVATURES
from influence_lib.pretrain import embed, knn_accuracy, linear_accuracy
from influence_lib.pretrain.representations import copied, prepare, represent
from tests.images import noise_images

CPU = torch.device("cpu")
Pair = namedtuple("Pair", ["features", "logits"])


def scripted(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.script(module)


class Returning(nn.Module):
    """A small network, and what is made of its B×5 features."""

    def __init__(self, change: Callable[[Tensor], Any] = lambda z: z):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 5))
        self.change = change

    def forward(self, x: Tensor) -> Any:
        return self.change(self.network(x))


CALLS = {
    "embed": embed,
    "knn_accuracy": lambda encoder, images: knn_accuracy(encoder, images, images),
    "linear_accuracy": lambda encoder, images: linear_accuracy(encoder, images, images),
    "raw_loss": lambda encoder, images: raw_loss(encoder, images, progress=False),
    "embedding_norm": lambda encoder, images: embedding_norm(encoder, images, progress=False),
    "knn_distance": lambda encoder, images: knn_distance(encoder, images, k=2, progress=False),
    "cross_influence": lambda encoder, images: cross_influence(encoder, images, images, progress=False),
    **{
        curvature: lambda encoder, images, c=curvature: self_influence(encoder, images, curvature=c, progress=False)
        for curvature in CURVATURES
    },
}
WRONG: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "tokens": (lambda z: z[:, None].expand(-1, 4, -1), r"3×4×5 .* class token encoder\(x\)\[:, 0\]"),
    "map": (lambda z: z[:, :, None, None].expand(-1, -1, 2, 2), r"3×5×2×2 .* encoder\(x\)\.mean\(\(2, 3\)\)"),
    "column of maps": (lambda z: z[:, :, None], "3×5×1"),
    "dict": (lambda z: {"a": z, "b": z}, r"a dict with the keys 'a', 'b' .* encoder\(x\)\['a'\]"),
    "empty dict": (lambda z: {}, "a dict with the keys none"),
    "model output": (
        lambda z: OrderedDict(last_hidden_state=z),
        r"an? OrderedDict .* encoder\(x\)\['last_hidden_state'\]",
    ),
    "object": (lambda z: SimpleNamespace(pooled=z), "a SimpleNamespace"),
    "tuple": (lambda z: (z, z), r"a tuple of 2 .* encoder\(x\)\[0\]"),
    "named tuple": (lambda z: Pair(z, z), "a Pair of 2"),
    "list": (lambda z: [z], "a list of 1"),
    "none": (lambda z: None, "a NoneType"),
    "array": (lambda z: z.detach().numpy(), "a ndarray"),
    "scalar": (lambda z: z.sum(), "a float32 tensor of one number"),
    "number": (lambda z: float(z.sum()), "a float"),
    "one number an image": (lambda z: z[:, 0], r"tensor 3 .* encoder\(x\)\[:, None\]"),
    "transposed": (lambda z: z.T, "5×3"),
    "twice as many": (lambda z: torch.cat([z, z]), "6×5"),
    "mean of the batch": (lambda z: z.mean(0, keepdim=True), "1×5"),
    "integers": (lambda z: z.long(), "int64"),
    "complex": (lambda z: torch.complex(z, z), "complex64"),
    "no dimensions": (lambda z: z[:, :0], "3×0"),
    "sparse": (lambda z: z.to_sparse(), "sparse"),
}


@pytest.mark.parametrize(("change", "sentence"), WRONG.values(), ids=WRONG)
def test_what_is_no_representation_is_said(change, sentence):
    with pytest.raises(InputError, match=rf"^encoder returns .*{sentence}.*") as caught:
        embed(Returning(change), noise_images(4))
    assert "B×D" in str(caught.value)
    assert str(caught.value).count(". ") == 0


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("wrong", ["tokens", "dict"])
def test_every_call_says_the_same(call, wrong):
    with pytest.raises(InputError, match=r"^encoder returns .* but it must return one representation an image"):
        call(Returning(WRONG[wrong][0]), noise_images(4))


@pytest.mark.filterwarnings("ignore:encoder returns B×5×1×1")
@pytest.mark.parametrize(
    "call", [CALLS[name] for name in ("embed", "raw_loss", "knn_distance", "ekfac", "kronfluence")]
)
def test_trailing_dimensions_of_one_are_flattened(call):
    def numbers(encoder: nn.Module) -> Tensor:
        result = call(encoder, noise_images(4))
        return result if isinstance(result, Tensor) else result.by_draw

    assert torch.equal(numbers(Returning(lambda z: z[:, :, None, None])), numbers(Returning()))


def test_flattening_is_said_once():
    encoder, images = Returning(lambda z: z[:, :, None, None]), noise_images(4)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            self_influence(encoder, images, loss="ntxent", progress=False)
            knn_accuracy(encoder, images, images)
    assert [str(w.message) for w in told] == ["encoder returns B×5×1×1, which is flattened to B×5."]


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_are_said(channels):
    encoder = nn.Sequential(nn.Conv2d(channels, 2, 3), nn.Flatten())
    with pytest.raises(InputError, match=r"^encoder cannot take a batch of 3×3×8×8 pixels .* x\.mean\(1"):
        embed(encoder, noise_images(4))


def test_images_of_another_size_are_said():
    with pytest.raises(InputError, match=r"^encoder cannot take a batch of 3×3×9×9 pixels"):
        embed(Returning(), noise_images(4, size=9))


@pytest.mark.parametrize("wrong", [None, "resnet18", nn.Linear, lambda x: x.flatten(1)])
def test_an_encoder_is_a_module(wrong):
    with pytest.raises(InputError, match=r"^encoder is .*, but it must be a torch\.nn\.Module"):
        embed(wrong, noise_images(4))


def test_layers_without_values_are_said():
    for encoder in (nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), nn.Sequential(nn.LazyConv2d(3, 3), nn.Flatten())):
        with pytest.raises(InputError, match=r"^encoder has a lazy '[01].weight' without values"):
            embed(encoder, noise_images(4))
    with pytest.raises(InputError, match=r"^encoder cannot be put on the device 'cpu'"):
        embed(Returning().to("meta"), noise_images(4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    encoder = Returning().to(dtype)
    expected = embed(copied(encoder).float(), noise_images(4))
    assert torch.equal(embed(encoder, noise_images(4)), expected)
    assert {p.dtype for p in encoder.parameters()} == {dtype}


def test_double_precision_stays():
    encoder, images = Returning().double(), noise_images(4)
    prepared = prepare(encoder, images, CPU)
    pixels = images.images.float() / 255
    assert torch.equal(represent(prepared, pixels), encoder(pixels.double()))


def test_the_pixels_are_not_the_encoders_to_change():
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sub_(0.5).flatten(1)

    pixels = torch.rand(2, 3, 4, 4)
    before = pixels.clone()
    assert torch.equal(represent(InPlace(), pixels), (before - 0.5).flatten(1))
    assert torch.equal(pixels, before)


MIXING: dict[str, Callable[[Tensor], Tensor]] = {
    "dropout that is always on": lambda z: nn.functional.dropout(z, 0.5),
    "softmax over the batch": lambda z: z.softmax(0),
    "centred over the batch": lambda z: z - z.mean(0),
    "noise": lambda z: z + 0.1 * torch.randn_like(z),
}


@pytest.mark.parametrize("change", MIXING.values(), ids=MIXING)
@pytest.mark.parametrize("call", [CALLS[name] for name in ("embed", "raw_loss", "ekfac")])
def test_a_representation_depends_on_its_image_alone(call, change):
    with pytest.raises(InputError, match=r"^encoder represents the same images differently in two calls"):
        call(Returning(change), noise_images(4))


def test_an_encoder_that_remembers_is_said():
    class Remembering(Returning):
        last: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            z = super().forward(x)
            z = z if self.last is None else z + self.last.mean(0)
            self.last = z
            return z

    with pytest.raises(InputError, match="remembers earlier ones"):
        embed(Remembering(), noise_images(4))


def test_what_a_module_keeps_of_its_last_call_is_copied_without_its_graph():
    encoder = Returning()
    encoder.kept = {"features": [encoder(torch.rand(2, 3, 8, 8))]}
    copy = copied(encoder)
    (kept,), (original,) = copy.kept["features"], encoder.kept["features"]
    assert torch.equal(kept, original)
    assert not kept.requires_grad
    assert torch.equal(embed(encoder, noise_images(4)), embed(Returning(), noise_images(4)))


def test_what_cannot_be_copied_is_said():
    encoder = Returning()
    encoder.rows = (row for row in "abc")
    with pytest.raises(InputError, match=r"^encoder cannot be copied by copy\.deepcopy"):
        embed(encoder, noise_images(4))


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda m: nn.Sequential(nn.DataParallel(m)), scripted])
def test_wrappers_change_nothing(wrap):
    network = Returning().network.eval()
    assert torch.allclose(embed(wrap(network), noise_images(4)), embed(network, noise_images(4)), atol=1e-6)


def test_compiled_modules_are_called_plainly():
    """Their compiler is not started, and the layers keep their names."""
    network = Returning().network
    compiled = torch.compile(network)
    scores = self_influence(compiled, noise_images(4), progress=False)
    expected = self_influence(network, noise_images(4), progress=False)
    assert list(scores.by_layer) == ["0", "3"]
    assert torch.equal(scores.by_draw, expected.by_draw)


def test_representations_that_are_not_finite_name_the_image():
    encoder = Returning(lambda z: z / 0)
    with pytest.raises(FloatingPointError, match="4 images are not finite, the first of them id 5"):
        knn_accuracy(encoder, noise_images(4), noise_images(4))
