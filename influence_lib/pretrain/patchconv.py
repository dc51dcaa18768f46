"""A faster convolution for the last stage of a wide ResNet on a CPU.

On maps of 4 or 5 pixels with 512 channels, the gradient kernels of the CPU library behind torch reach a fraction
of the speed of its matrix product. There the convolution is cheaper as one product with the image patches,
which are kept for the backward pass. Only bfloat16 is concerned; everything else takes torch's own path.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PatchConv2d", "use_patch_convolutions"]

MIN_CHANNELS = 512  # with fewer output channels torch's own convolution is at least as fast


class PatchConvolution(torch.autograd.Function):
    """A convolution without bias, as a matrix product with the patches; tensors in channels-last order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        """Return the convolution of x, N×C×H×W, with a weight O×C×k×k."""
        out_channels, channels, kernel, _ = weight.shape
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
        n, height, width, _ = padded.shape
        rows, columns = (height - kernel) // stride + 1, (width - kernel) // stride + 1
        s = padded.stride()
        windows = padded.as_strided(
            (n, rows, columns, kernel, kernel, channels), (s[0], s[1] * stride, s[2] * stride, s[1], s[2], s[3])
        )
        patches = windows.reshape(n * rows * columns, -1)
        matrix = weight.permute(0, 2, 3, 1).reshape(out_channels, -1).to(x.dtype)
        ctx.save_for_backward(patches, matrix)
        ctx.windows, ctx.padded, ctx.stride, ctx.padding = windows.shape, padded.shape, stride, padding
        ctx.weight_dtype = weight.dtype
        return (patches @ matrix.T).view(n, rows, columns, out_channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients with respect to x and the weight."""
        patches, matrix = ctx.saved_tensors
        _, rows, columns, kernel, _, channels = ctx.windows
        rowwise = gradient.permute(0, 2, 3, 1).reshape(-1, gradient.shape[1])
        for_weight = (rowwise.T @ patches).view(-1, kernel, kernel, channels).permute(0, 3, 1, 2)
        for_windows = (rowwise @ matrix).view(ctx.windows)
        for_padded = gradient.new_zeros(ctx.padded)
        for i in range(kernel):  # every pixel collects from the windows that it is in
            for j in range(kernel):
                target = for_padded[
                    :, i : i + ctx.stride * rows : ctx.stride, j : j + ctx.stride * columns : ctx.stride
                ]
                target += for_windows[:, :, :, i, j]
        _, height, width, _ = ctx.padded
        inner = for_padded[:, ctx.padding : height - ctx.padding, ctx.padding : width - ctx.padding]
        return inner.permute(0, 3, 1, 2), for_weight.to(ctx.weight_dtype), None, None


class PatchConv2d(nn.Conv2d):
    """A Conv2d that multiplies patches where its input is bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x, N×C×H×W."""
        if x.dtype is not torch.bfloat16:
            return super().forward(x)
        return PatchConvolution.apply(x, self.weight, self.stride[0], int(self.padding[0]))


def use_patch_convolutions(network: nn.Module) -> None:
    """Turn the wide 3×3 convolutions of a ResNet into `PatchConv2d`, in place; parameters and names stay."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.kernel_size == (3, 3) and module.out_channels >= MIN_CHANNELS:
            module.__class__ = PatchConv2d
