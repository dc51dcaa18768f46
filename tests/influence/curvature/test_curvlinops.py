"""The exact matrices against curvlinops, which forms them by products with vectors."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from influence_lib.influence.curvature.approximations import quadratic_forms
from influence_lib.influence.curvature.exact import fit_exact
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.views.gradients import tracked_layers
from tests.images import noise_images
from tests.influence.conftest import double_source, small_net, twice_net

with warnings.catch_warnings():
    # one of its dependencies compiles with torch.jit
    warnings.simplefilter("ignore", FutureWarning)
    from curvlinops import EFLinearOperator, GGNLinearOperator

DAMPING = 1e-3
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")


class Residual(nn.Module):
    """The loss's residual of pairs of views B×2×3×H×W: curvlinops knows one model and a squared error."""

    def __init__(self, encoder: nn.Module, loss):
        super().__init__()
        self.encoder, self.loss = encoder, loss

    def forward(self, pairs: Tensor) -> Tensor:
        left, right = (self.encoder(view) for view in pairs.unbind(1))
        return self.loss.residual(left, right, range(len(pairs)))


@pytest.mark.parametrize(
    "build", [lambda: small_net(1), lambda: small_net(2), twice_net], ids=["plain", "groups", "twice"]
)
@pytest.mark.parametrize("loss", ["cosine", "mse"])
@pytest.mark.parametrize(
    ("fisher", "operator", "scale"), [("sampled", GGNLinearOperator, 2), ("empirical", EFLinearOperator, 4)]
)
def test_exact_scores_are_those_of_curvlinops_matrix(build, loss, fisher, operator, scale):
    source = double_source(build(), noise_images(7), loss)
    problem = FitProblem(source, source.pairs.spaced(None), fisher)
    parts = quadratic_forms(problem, fit_exact(problem, DAMPING, blocks=False), problem.indices)
    (batch,) = source.pairs.batches(problem.indices)
    pairs = torch.stack([batch.left, batch.right], dim=1)
    model = Residual(source.encoder, source.loss)
    parameters = [p for layer in tracked_layers(source.encoder).values() for p in layer.parameters()]
    # the sum of r² has twice the Gauss–Newton matrix of ½r², and gradients twice as long
    data = [(pairs, torch.zeros_like(model(pairs)).detach())]
    summed = (
        operator(model, nn.MSELoss(reduction="sum"), parameters, data)
        @ torch.eye(sum(p.numel() for p in parameters)).double()
    )
    H = summed / (scale * len(pairs))
    for i in range(len(pairs)):
        value = 0.5 * model(pairs[i : i + 1]).square().sum()
        g = torch.cat([part.flatten() for part in torch.autograd.grad(value, parameters)])
        expected = g @ torch.linalg.solve(H + DAMPING * torch.eye(len(g)).double(), g)
        torch.testing.assert_close(sum(part[i] for part in parts.values()).double(), expected, rtol=1e-5, atol=0)
