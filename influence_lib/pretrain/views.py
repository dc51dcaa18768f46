"""The encoder's pass over two views, side by side.

A step needs the features of two views, each normalised by its own batch statistics, so the two passes do not
depend on each other. On a CPU each gets half of the cores and a thread of its own: a network this small gains
little from splitting each of its layers over the cores, and loses much when another process holds one of them.
Elsewhere the passes run one after the other, by the same code.
"""

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from influence_lib.device import keep_freed_memory
from influence_lib.pretrain.augment import Augmentation, AugmentationSettings
from influence_lib.pretrain.encoders import Encoder

__all__ = ["TwoViews", "memory_layout", "view_threads"]

N_VIEWS = 2
RunViews = Callable[..., Iterable]


def memory_layout(width: int) -> torch.memory_format:
    """Return the order of images and weights in memory: channels last, except for a few channels.

    The weight gradient of a float32 1×1 convolution with stride 2, of fewer channels than a vector register holds (8
    with AVX2, 16 with AVX-512), is wrong in this order and written past its end (torch 2.14; oneDNN's issue 6035).
    """
    return torch.channels_last if width >= 16 else torch.contiguous_format


@contextlib.contextmanager
def view_threads(device: torch.device) -> Iterator[RunViews]:
    """Yield a ``map`` that runs the views in parallel on a CPU and in turn elsewhere."""
    if device.type != "cpu":
        yield map
        return
    keep_freed_memory()
    threads = torch.get_num_threads()
    share = max(1, threads // N_VIEWS)
    try:
        with ThreadPoolExecutor(N_VIEWS, initializer=torch.set_num_threads, initargs=(share,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(threads)  # a worker's setting is also the default of threads to come


class TwoViews:
    """Two views of a batch, their features, and the way back to the encoder's parameters.

    Parameters
    ----------
    encoder : Encoder
        Trained in place: `backward` adds to its parameters' gradients, and `forward` updates its batch
        statistics.
    size : int
        Height and width of the views in pixels.
    augmentation : AugmentationSettings, optional
        The papers' by default.
    dtype : torch.dtype, optional
        Autocast of the passes; None is float32.
    target : nn.Module, optional
        A momentum encoder without state of its own, which sees the same views.
    """

    def __init__(
        self,
        encoder: Encoder,
        size: int,
        augmentation: AugmentationSettings | None = None,
        dtype: torch.dtype | None = None,
        target: nn.Module | None = None,
    ):
        self.target = target
        self.device = next(encoder.parameters()).device
        self.dtype = dtype
        self.parameters = list(encoder.parameters())
        self.layout = memory_layout(len(self.parameters[0]))
        # The replicas share the parameters; each has batch statistics of its own, which two passes at a time
        # would otherwise overwrite.
        shared = {id(p): p for p in self.parameters}
        self.encoders = [encoder, *(copy.deepcopy(encoder, dict(shared)) for _ in range(N_VIEWS - 1))]
        self.augmentations = [Augmentation(size, augmentation).to(self.device) for _ in range(N_VIEWS)]
        self.outputs: list[Tensor] = []

    def forward(self, pixels: Tensor, mapping: RunViews = map) -> tuple[list[Tensor], list[Tensor]]:
        """Return the features of two views and those of the target, float32, B×D each.

        The features are leaves that take a gradient; without a target there are none of it.

        Parameters
        ----------
        pixels : Tensor
            B×3×H×W in [0, 1], on the encoder's device.
        mapping : callable
            What `view_threads` yields.
        """
        drawn = [augment.draw(pixels.shape) for augment in self.augmentations]

        def encode(view: int) -> tuple[Tensor, Tensor | None]:
            x = self.augmentations[view](pixels, drawn[view]).contiguous(memory_format=self.layout)
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
                target = None if self.target is None else self.target(x).float()
                return self.encoders[view](x), target

        outputs, targets = zip(*mapping(encode, range(N_VIEWS)), strict=True)
        self.outputs = list(outputs)
        features = [output.detach().float().requires_grad_() for output in outputs]
        return features, [target for target in targets if target is not None]

    def backward(self, features: Iterable[Tensor], mapping: RunViews = map) -> None:
        """Set the parameters' gradients from those that `features` received, and merge the batch statistics."""

        def gradients(output: Tensor, feature: Tensor) -> tuple[Tensor, ...]:
            assert feature.grad is not None
            return torch.autograd.grad(output, self.parameters, feature.grad.to(output.dtype))

        for view in mapping(gradients, self.outputs, features):
            for parameter, gradient in zip(self.parameters, view, strict=True):
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        self.outputs = []
        self._merge_statistics()

    @torch.no_grad()
    def _merge_statistics(self) -> None:
        for copies in zip(*(encoder.buffers() for encoder in self.encoders), strict=True):
            if copies[0].is_floating_point():
                merged = torch.stack(copies).mean(dim=0)
                for value in copies:
                    value.copy_(merged)

    @torch.no_grad()
    def train(self) -> None:
        """Put the encoder and its replicas into training mode, with the encoder's batch statistics."""
        first, *others = (encoder.train() for encoder in self.encoders)
        for other in others:
            for value, copied in zip(first.buffers(), other.buffers(), strict=True):
                copied.copy_(value)
