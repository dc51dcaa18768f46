import pytest
import torch
from torch import Tensor, nn

from influence_lib.data import ImageSet
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


def small_net(groups: int) -> SmallNet:
    torch.manual_seed(0)
    net = SmallNet(groups)
    for buffer, low, high in ((net.norm.running_mean, -0.1, 0.1), (net.norm.running_var, 0.5, 1.5)):
        assert buffer is not None
        buffer.uniform_(low, high)
    return net.eval()


@pytest.fixture
def net() -> SmallNet:
    return small_net(groups=1)


@pytest.fixture
def grouped_net() -> SmallNet:
    return small_net(groups=2)


@pytest.fixture
def images() -> ImageSet:
    return noise_images(12)
