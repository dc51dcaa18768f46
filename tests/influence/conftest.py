import gc
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.influence import GaussianNoise, Perturbation
from influence_lib.influence.views.gradients import Factors, tracked_layers
from influence_lib.influence.views.losses import COSINE, MSE, CrossEntropy, Loss, NTXent
from influence_lib.influence.views.pairs import Pairs
from influence_lib.influence.views.source import GradientSource
from influence_lib.influence.views.two_views import TwoViews
from tests.images import noise_images


class SmallNet(nn.Module):
    """Linear and Conv2d with and without bias, stride, padding, dilation and groups, and batch normalisation."""

    def __init__(self, groups: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=groups, bias=False)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.norm(self.conv1(x)))
        return self.head(torch.tanh(self.conv2(x)).mean(dim=(2, 3)))


class Twice(nn.Module):
    """A convolution that is called on two sizes and a linear layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.shared = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        fine = torch.tanh(self.first(x))
        coarse = torch.tanh(self.first(fine[:, :, ::2, ::2]))
        return self.shared(torch.tanh(self.shared(coarse.mean(dim=(2, 3)))))


class Options(nn.Module):
    """Every layer and option that kronfluence has as well.

    The input is normalised. Otherwise its mean dominates the covariances, which costs the scores of both in float32
    more digits than are compared.
    """

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding="same", dilation=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 5, (2, 3), stride=(2, 1), padding=(0, 2), bias=False),
            nn.BatchNorm2d(5),
            nn.Tanh(),
            nn.Conv2d(5, 4, 1, stride=2, padding=1),
        )
        self.tokens = nn.Linear(4, 6, bias=False)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tokens(torch.tanh(self.body((x - 0.5) / 0.25)).flatten(2).mT)
        return self.head(torch.tanh(x).mean(dim=1))


class DoublePairs(Pairs):
    """Pairs in float64, so that a comparison with a dense matrix is not one of rounding."""

    def _moved(self, view: Tensor) -> Tensor:
        return super()._moved(view).double()


def small_net(groups: int) -> SmallNet:
    torch.manual_seed(0)
    net = SmallNet(groups)
    for buffer, low, high in ((net.norm.running_mean, -0.1, 0.1), (net.norm.running_var, 0.5, 1.5)):
        assert buffer is not None
        buffer.uniform_(low, high)
    return net.eval()


def twice_net() -> Twice:
    torch.manual_seed(1)
    return Twice().eval()


def double_source(
    encoder: nn.Module,
    images: ImageSet,
    loss: str = "cosine",
    views: str = "one",
    draws: int = 1,
    perturbation: Perturbation = GaussianNoise(),  # noqa: B008 - frozen
    layers: list[str] | None = None,
) -> GradientSource:
    """Return where the gradients of `self_influence` come from, in float64."""
    encoder = encoder.double().eval()
    form: Loss = COSINE if loss == "cosine" else MSE
    if loss == "cross_entropy":
        form = CrossEntropy(images.ids, images.labels)
    if loss == "ntxent":
        negatives = images.subset(
            images.ids.argsort()
        )  # as `build_loss` has them: a drawn partner is a place among them
        with torch.no_grad():
            form = NTXent(encoder(negatives.images.double() / 255), negatives.ids)
    pairs = DoublePairs(images, TwoViews(perturbation, views=views, draws=draws, seed=0), torch.device("cpu"))
    return GradientSource(encoder, tracked_layers(encoder, layers), pairs, form)


def autograd_gradients(encoder: nn.Module, objective, left: Tensor, right: Tensor) -> dict[str, Tensor]:
    """Return each layer's gradients, B×out×(in, then bias), by two plain forward passes for one image at a time."""
    layers = tracked_layers(encoder)
    parameters = [p for layer in layers.values() for p in layer.parameters()]
    images = []
    for x, y in zip(left, right, strict=True):
        loss = objective(encoder(x[None]), encoder(y[None])).sum()
        found = iter(torch.autograd.grad(loss, parameters, materialize_grads=True))
        parts = [[next(found) for _ in layer.parameters()] for layer in layers.values()]
        images.append([torch.cat([g.reshape(g.shape[0], -1) for g in part], dim=1) for part in parts])
    return {name: torch.stack(gradients) for name, gradients in zip(layers, zip(*images, strict=True), strict=True)}


def logits(ntxent: NTXent, view: Tensor, other: Tensor, own: int) -> Tensor:
    """Return one view's similarities over the temperature, first to its partner and then to the negatives."""
    candidates = torch.cat([other[None], ntxent.negatives[ntxent.negative_ids != own]])
    return F.cosine_similarity(view[None], candidates) / ntxent.temperature


def gauss_newton(loss: Loss, left: Tensor, right: Tensor, own: int) -> Tensor:
    """Return the Gauss–Newton matrix of a loss with respect to an image's two representations, 2D×2D."""

    def jacobian(function) -> Tensor:
        return torch.cat(torch.func.jacrev(function, argnums=(0, 1))(left, right), dim=1)

    if loss is COSINE:
        J = jacobian(lambda x, y: F.normalize(x, dim=0) - F.normalize(y, dim=0))
        return J.T @ J
    if loss is MSE:
        J = jacobian(lambda x, y: x - y)
        return 2 / len(left) * J.T @ J
    H = torch.zeros(2 * len(left), 2 * len(left), dtype=left.dtype)
    if isinstance(loss, CrossEntropy):
        functions = [lambda x, y: x, lambda x, y: y]
    else:
        assert isinstance(loss, NTXent)
        functions = [lambda x, y: logits(loss, x, y, own), lambda x, y: logits(loss, y, x, own)]
    for function in functions:
        J, p = jacobian(function), function(left, right).softmax(0)
        H += 0.5 * J.T @ (p.diag() - p[:, None] * p) @ J
    return H


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normal_factors(groups: int, images: int, positions: int, width: int, height: int) -> Factors:
    return Factors(normal(groups, images, positions, width), normal(groups, images, positions, height, seed=1))


def dense_basis(layer, group: int) -> Tensor:
    """Return one channel group's eigenvectors Q as a matrix, out·in × out·in."""
    if not hasattr(layer.basis, "outputs"):
        return torch.eye(layer.eigenvalues[group].numel(), dtype=torch.float64)
    return torch.kron(layer.basis.outputs[group], layer.basis.inputs[group])


def dense_curvature(layer, group: int = 0) -> Tensor:
    """Return one channel group's Q diag(Λ) Qᵀ."""
    Q = dense_basis(layer, group)
    return Q @ torch.diag(layer.eigenvalues[group].flatten()) @ Q.T


@pytest.fixture(scope="module")
def little_garbage() -> Iterator[None]:
    """Let the collector overlook what is there already: kronfluence calls it after every module."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def net() -> SmallNet:
    return small_net(groups=1)


@pytest.fixture
def grouped_net() -> SmallNet:
    return small_net(groups=2)


@pytest.fixture
def images() -> ImageSet:
    return noise_images(12)
