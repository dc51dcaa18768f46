"""SGD whose steps are scaled layer by layer."""

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["LARS"]

TRUST = 0.02
EPS = 1e-8


class LARS(torch.optim.SGD):
    """SGD with layer-wise adaptive rates (You et al. 2017), clipped; its steps are solo-learn's, bit for bit.

    The gradient of a weight, with its decay, is scaled by the ratio of the weight's norm to the gradient's, at most to
    the plain step of SGD. Biases and normalisation, which have one dimension, are neither scaled nor decayed.

    Parameters
    ----------
    params, **options
        As `torch.optim.SGD` takes them.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take one step; the gradients are changed in place."""
        decays = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and weight.ndim != 1:
                    _scale(weight, group["lr"], group["weight_decay"])
            group["weight_decay"] = 0.0  # it is in the scaled gradients
        loss = super().step(closure)
        for group, decay in zip(self.param_groups, decays, strict=True):
            group["weight_decay"] = decay
        return loss


def _scale(weight: torch.Tensor, lr: float, decay: float) -> None:
    """Add the decay to a weight's gradient and scale both, without asking for a value: on a GPU that would wait."""
    gradient = weight.grad
    assert gradient is not None
    weight_norm, gradient_norm = torch.norm(weight), torch.norm(gradient)
    scaled = (weight_norm > 0) & (gradient_norm > 0)  # else the gradient stays as it is
    ratio = TRUST * weight_norm / (gradient_norm + weight_norm * decay + EPS)
    gradient.add_(decay * weight * scaled).mul_(torch.where(scaled, (ratio / lr).clamp(max=1), 1.0))
