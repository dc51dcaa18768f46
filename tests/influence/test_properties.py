"""Theorems about the scores, on random small architectures and images.

Every encoder here is a random sequence of convolutions, activations, poolings and linear layers. What is claimed holds
for each of them by proof; the doubles only leave room for rounding.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.influence import Augmentations, GaussianNoise
from influence_lib.influence.curvature.kronecker import KINDS, fit
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.views.gradients import per_sample_gradients
from influence_lib.influence.views.losses import COSINE, two_view_loss
from influence_lib.influence.views.source import GradientSource
from tests.influence.conftest import autograd_gradients, dense_curvature, double_source

SIZE = 6
RELATIVE = {"rtol": 1e-6, "atol": 1e-12}
few_examples = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
every_curvature = pytest.mark.parametrize("curvature", [kind for kind in KINDS if kind != "identity"])


@st.composite
def convolutions(draw: st.DrawFn, channels: int, size: int) -> nn.Conv2d:
    """Draw a convolution that fits on an image of this size."""
    kernel = draw(st.tuples(*[st.integers(1, min(3, size))] * 2))
    padding = draw(st.tuples(*[st.integers(0, 1)] * 2))
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if channels % g == 0]))
    options: dict[str, Any] = {
        "stride": draw(st.tuples(*[st.integers(1, 2)] * 2)),
        "padding": padding,
        "dilation": tuple(
            draw(st.integers(1, 2)) if 2 * k - 1 <= size + 2 * p else 1 for k, p in zip(kernel, padding, strict=True)
        ),
        "groups": groups,
        "bias": draw(st.booleans()),
        "padding_mode": draw(st.sampled_from(["zeros", "circular", "replicate", *["reflect"] * (size > 1)])),
    }
    return nn.Conv2d(channels, groups * draw(st.integers(1, 2 if groups > 1 else 4)), kernel, **options)


@st.composite
def encoders(draw: st.DrawFn) -> nn.Sequential:
    """Draw an encoder whose last layer is linear and has no bias."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    modules: list[nn.Module] = []
    x = torch.zeros(1, 3, SIZE, SIZE)
    for _ in range(draw(st.integers(1, 3))):
        modules.append(draw(convolutions(x.shape[1], min(x.shape[2:]))))
        x = modules[-1](x)
        if draw(st.booleans()):
            modules.append(norm := nn.BatchNorm2d(x.shape[1]))
            norm.register_buffer("running_mean", torch.rand(x.shape[1]) - 0.5)
            norm.register_buffer("running_var", torch.rand(x.shape[1]) + 0.5)
        modules.append(draw(st.sampled_from([nn.Tanh(), nn.GELU(), nn.ELU(inplace=True), nn.Softplus()])))
        if min(x.shape[2:]) >= 2 and draw(st.booleans()):
            modules.append(draw(st.sampled_from([nn.AvgPool2d(2, 1), nn.MaxPool2d(2)])))
            x = modules[-1](x)
    modules.append(draw(st.sampled_from([nn.Flatten(), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())])))
    width = modules[-1](x).shape[1]
    if draw(st.booleans()):
        modules += [nn.Linear(width, 4, bias=draw(st.booleans())), nn.Tanh()]
        width = 4
    modules.append(nn.Linear(width, draw(st.integers(2, 4)), bias=False))
    return nn.Sequential(*modules).double().eval()


@dataclass(frozen=True)
class Drawn:
    """Random images, as they are named when an example fails."""

    ids: tuple[int, ...]
    seed: int

    def images(self) -> ImageSet:
        generator = torch.Generator().manual_seed(self.seed)
        pixels = torch.randint(0, 256, (len(self.ids), 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
        return image_set(pixels, torch.tensor(self.ids))


@st.composite
def image_sets(draw: st.DrawFn, least: int = 1) -> Drawn:
    """Draw images with ids in any order."""
    ids = draw(st.lists(st.integers(0, 10**6), min_size=least, max_size=6, unique=True))
    return Drawn(tuple(ids), draw(st.integers(0, 2**16)))


def image_set(pixels: Tensor, ids: Tensor) -> ImageSet:
    attributes = pd.DataFrame(index=pd.RangeIndex(len(ids)))
    return ImageSet(pixels, torch.full((len(ids),), -1), ids, attributes, "drawn", "train")


@dataclass(frozen=True)
class Problem:
    """An encoder, images and how their influence is asked for."""

    encoder: nn.Sequential
    drawn: Drawn
    arguments: dict[str, Any]
    fisher: str

    def source(self, encoder: nn.Module | None = None, images: ImageSet | None = None) -> GradientSource:
        images = self.drawn.images() if images is None else images
        return double_source(self.encoder if encoder is None else encoder, images, **self.arguments)


@st.composite
def problems(
    draw: st.DrawFn, losses=("cosine", "mse", "ntxent"), fishers=("empirical", "sampled"), least: int = 2
) -> Problem:
    arguments = {
        "loss": draw(st.sampled_from(losses)),
        "views": draw(st.sampled_from(["one", "two"])),
        "draws": draw(st.integers(1, 2)),
    }
    return Problem(draw(encoders()), draw(image_sets(least)), arguments, draw(st.sampled_from(fishers)))


def forms(source: GradientSource, curvature: str, fisher: str, damping: float | None) -> dict[str, Tensor]:
    """Return each layer's part of the score of every pair."""
    everything = source.pairs.spaced(None)
    fitted = fit(FitProblem(source, everything, fisher), curvature, damping)
    parts = [dict(fitted.forms(source.factors(batch))) for batch in source.pairs.batches(everything)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def assume_definite(source: GradientSource, fisher: str, curvature: str) -> None:
    """Leave out what has no definite score.

    That is a layer whose gradient is zero but for rounding, which a damping relative to its mean square would blow up,
    as after a single feature, whose cosine is ±1; and with EK-FAC a layer whose covariances have a multiple eigenvalue,
    as with circular padding, where the eigenvectors are a matter of choice.
    """
    assume(all(float(part.min()) > 1e-20 for part in forms(source, "identity", fisher, None).values()))
    if curvature == "ekfac":
        for matrices in FitProblem(source, source.pairs.spaced(None), fisher).covariances().values():
            for values in (values for M in matrices for values in torch.linalg.eigvalsh(M)):
                positive = values[values > 1e-12 * values[-1]]
                assume((positive.diff() > 1e-8 * values[-1]).all())


def scaled(encoder: nn.Sequential, factor: float) -> nn.Sequential:
    """Return the encoder with its last layer, and so its representations, multiplied by a constant."""
    last = encoder[-1]
    assert isinstance(last, nn.Linear)
    other = nn.Linear(last.in_features, last.out_features, bias=False).double()
    other.weight.data = factor * last.weight.data
    return nn.Sequential(*encoder[:-1], other).eval()


@given(encoder=encoders(), drawn=image_sets())
@few_examples
def test_per_sample_gradients_equal_autograd(encoder, drawn):
    left = drawn.images().images.double() / 255
    right = left + 0.2 * torch.randn(left.shape, generator=torch.Generator().manual_seed(0)).double()
    expected = autograd_gradients(encoder, two_view_loss, left, right)
    torch.testing.assert_close(dict(per_sample_gradients(encoder, left, right)), expected, rtol=1e-7, atol=1e-10)


@every_curvature
@given(problem=problems())
@few_examples
def test_forms_equal_dense_solves(curvature, problem):
    source, damping = problem.source(), 1e-2
    everything = source.pairs.spaced(None)
    fitted = fit(FitProblem(source, everything, problem.fisher), curvature, damping)
    for batch in source.pairs.batches(everything):
        factors = list(source.factors(batch))
        for (name, part), (_, found) in zip(factors, fitted.forms(iter(factors)), strict=True):
            expected = torch.zeros(len(batch.ids), dtype=torch.float64)
            for group, gradients in enumerate(part.product()):
                H, g = dense_curvature(fitted.layers[name], group), gradients.flatten(1)
                expected += (g * torch.linalg.solve(H + damping * torch.eye(len(H)).double(), g.T).T).sum(1)
            torch.testing.assert_close(found, expected, **RELATIVE)


@every_curvature
@given(problem=problems())
@few_examples
def test_scores_are_not_negative_and_bounded_by_the_squared_norm(curvature, problem):
    """0 ≤ gᵀ(H + λI)⁻¹g ≤ ‖g‖²/λ, and more damping means less, for a positive semi-definite H."""
    source = problem.source()
    norms = forms(source, "identity", problem.fisher, None)
    weak, strong = (forms(source, curvature, problem.fisher, damping) for damping in (1e-3, 1e-1))
    for name, norm in norms.items():
        assert (strong[name] >= 0).all()
        assert (strong[name] <= weak[name] * (1 + 1e-9)).all()
        assert (weak[name] <= norm / 1e-3 * (1 + 1e-9)).all()
        assert (weak[name] <= strong[name] * (1e-1 / 1e-3) * (1 + 1e-9)).all()


@pytest.mark.parametrize("curvature", ["ekfac", "diagonal"])
@given(problem=problems(fishers=["empirical"]))
@few_examples
def test_the_mean_score_is_the_number_of_effective_parameters(curvature, problem):
    """On the pairs of the fit the mean of squared coordinates is Λ, so that of the scores is Σ Λ/(Λ + λ)."""
    source, damping = problem.source(), 1e-2
    fitted = fit(FitProblem(source, source.pairs.spaced(None)), curvature, damping)
    for name, part in forms(source, curvature, "empirical", damping).items():
        values = fitted.layers[name].eigenvalues
        torch.testing.assert_close(part.mean(), (values / (values + damping)).sum(), **RELATIVE)
        assert part.mean() < values.numel()


@every_curvature
@given(problem=problems(losses=["cosine"]), factor=st.sampled_from([0.25, 3.0, 40.0]))
@few_examples
def test_the_scale_of_the_representations_does_not_matter_for_the_cosine(curvature, problem, factor):
    """f → cf by the last layer's W → cW: that layer's g → g/c, H → H/c² and λ → λ/c², and all others stay."""
    assume_definite(problem.source(), problem.fisher, curvature)
    before, after = (
        forms(problem.source(encoder), curvature, problem.fisher, None)
        for encoder in (problem.encoder, scaled(problem.encoder, factor))
    )
    for name, part in before.items():
        torch.testing.assert_close(after[name], part, **RELATIVE)


@every_curvature
@given(problem=problems(losses=["mse"]), factor=st.sampled_from([0.25, 3.0, 40.0]))
@few_examples
def test_the_scale_of_the_loss(curvature, problem, factor):
    """f → cf by W → cW multiplies the squared error by c².

    The gradients of the loss: c times for W, c² times for what lies before. An H of their squares goes with them and
    leaves the score as it is; the Gauss–Newton H is that of the representations, c⁰ and c² times, and the score has the
    unit of the loss.
    """
    assume_definite(problem.source(), problem.fisher, curvature)
    before, after = (
        forms(problem.source(encoder), curvature, problem.fisher, None)
        for encoder in (problem.encoder, scaled(problem.encoder, factor))
    )
    unit = factor**2 if problem.fisher == "sampled" else 1.0
    for name, part in before.items():
        torch.testing.assert_close(after[name], unit * part, **RELATIVE)


@given(problem=problems(losses=["cosine"]), factor=st.sampled_from([0.25, 3.0]))
@few_examples
def test_the_squared_norm_depends_on_the_scale_of_the_weights(problem, factor):
    """It has no H to take the scale of the last layer out again."""
    before, after = (
        forms(problem.source(encoder), "identity", "empirical", None)
        for encoder in (problem.encoder, scaled(problem.encoder, factor))
    )
    *others, last = before
    torch.testing.assert_close(after[last], before[last] / factor**2, **RELATIVE)
    for name in others:
        torch.testing.assert_close(after[name], before[name], **RELATIVE)


@every_curvature
@given(problem=problems(), data=st.data())
@few_examples
def test_the_order_of_the_images_does_not_matter(curvature, problem, data):
    n, draws = len(problem.drawn.ids), problem.arguments["draws"]
    order = torch.tensor(data.draw(st.permutations(range(n))))
    assume_definite(problem.source(), problem.fisher, curvature)
    before = forms(problem.source(), curvature, problem.fisher, 1e-2)
    after = forms(problem.source(images=problem.drawn.images().subset(order)), curvature, problem.fisher, 1e-2)
    for name, part in before.items():
        torch.testing.assert_close(after[name].view(draws, n), part.view(draws, n)[:, order], **RELATIVE)


@every_curvature
@given(encoder=encoders(), drawn=image_sets(least=2))
@few_examples
def test_copies_of_all_images_change_no_score(curvature, encoder, drawn):
    """H is a mean, and the flip of a copy is the copy of the flip."""
    images, flip = drawn.images(), Augmentations(flip_probability=1.0)
    twice = image_set(images.images.repeat(2, 1, 1, 1), torch.cat([images.ids, images.ids + 10**7]))
    assume_definite(double_source(encoder, images, perturbation=flip), "empirical", curvature)
    once, copied = (
        forms(double_source(encoder, s, perturbation=flip), curvature, "empirical", 1e-2) for s in (images, twice)
    )
    for name, part in once.items():
        torch.testing.assert_close(copied[name], part.repeat(2), **RELATIVE)
    assert all(len(part) == 2 * len(images) for part in copied.values())


@pytest.mark.parametrize("curvature", ["ekfac", "kfac"])
@given(problem=problems(losses=["cosine", "mse"], fishers=["empirical"], least=3))
@few_examples
def test_a_rotation_of_the_representations_does_not_matter(curvature, problem):
    """f → Uf by W → UW rotates the last layer's output gradients, and the eigenvectors of S with them."""
    last = problem.encoder[-1]
    assert isinstance(last, nn.Linear)
    U = torch.linalg.qr(torch.randn(2 * [last.out_features], dtype=torch.float64)).Q
    rotated = scaled(problem.encoder, 1.0)
    rotated[-1].weight.data = U @ last.weight.data
    source = problem.source()
    assume_definite(source, "empirical", curvature)
    before = forms(source, curvature, "empirical", 1e-2)
    after = forms(problem.source(rotated), curvature, "empirical", 1e-2)
    for name, part in before.items():
        torch.testing.assert_close(after[name], part, rtol=1e-5, atol=1e-12)


@given(problem=problems(losses=["cosine"], fishers=["empirical"]))
@few_examples
def test_the_last_layers_gradient_is_orthogonal_to_its_weights(problem):
    """The loss does not change with the length of the representations, so ⟨g, W⟩ = 0 (Euler)."""
    source = problem.source()
    assert source.loss is COSINE
    name, W = str(len(problem.encoder) - 1), problem.encoder[-1].weight
    for batch in source.pairs.batches(source.pairs.spaced(None)):
        g = dict(source.factors(batch))[name].product()[0]
        assert ((g * W).sum(dim=(1, 2)).abs() <= 1e-9 * g.flatten(1).norm(dim=1) * W.norm() + 1e-15).all()


def test_noise_is_the_default_perturbation_of_the_problems():
    """What the theorems are checked on is not a pair of equal views."""
    images = image_set(torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8), torch.tensor([4, 2]))
    source = double_source(nn.Sequential(nn.Flatten(), nn.Linear(108, 2)), images)
    batch = source.pairs.batch(torch.tensor([0, 1]))
    assert source.pairs.views.perturbation == GaussianNoise()
    assert not torch.isclose(batch.left, batch.right).any()
