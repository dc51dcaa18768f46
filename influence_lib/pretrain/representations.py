"""What is asked of an encoder, whatever it is used for: a copy in eval mode that maps images to B×D, one by one.

Every call of an encoder outside its training goes through `prepare` and `represent`, so that an encoder is right for
all of them or is told of in one sentence by all of them.
"""

import copy
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy

from influence_lib.data import ImageSet
from influence_lib.device import cudnn_settings
from influence_lib.errors import InputError, reject

__all__ = ["copied", "prepare", "represent"]

TOLD: WeakSet[nn.Module] = WeakSet()  # encoders of which it was said that their B×D×1×1 are flattened


def represent(encoder: nn.Module, pixels: Tensor) -> Tensor:
    """Return the representations of some images.

    Parameters
    ----------
    encoder : nn.Module
        From `prepare`.
    pixels : Tensor
        B×3×H×W in [0, 1], on the encoder's device. They are copied and put into the dtype of its weights, so that an
        encoder may begin with an in-place operation.

    Returns
    -------
    Tensor
        B×D, float32, or float64 where the encoder returns that. B×D×1×1, as of a network without its last
        `nn.Flatten`, is flattened.

    Raises
    ------
    InputError
        If the encoder returns anything else.

    Examples
    --------
    >>> represent(nn.Flatten(), torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 48])
    """
    output = _checked_output(encoder, pixels).flatten(1)
    return output.to(torch.promote_types(output.dtype, torch.float32))


def prepare(encoder: nn.Module, images: ImageSet, device: torch.device) -> nn.Module:
    """Return a copy of an encoder on a device, in eval mode, that was tried on some images.

    The caller's keeps its device, mode and dtype. Wrappers of `torch.compile` and `nn.DataParallel` are taken off.
    Weights in half precision become float32, and float64 stays (but on Apple's MPS, which has none).

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D.
    images : ImageSet
        The images that it will see, of which it is tried on two.
    device : torch.device
        Where to compute.

    Raises
    ------
    InputError
        If it is no module, has layers that are not initialised, cannot be copied, cannot take the images, returns
        anything but one representation an image, or one that depends on the other images of the batch or on chance.
    """
    if not isinstance(encoder, nn.Module):
        reject("encoder", encoder, "a torch.nn.Module that maps B×3×H×W pixels in [0, 1] to B×D")
    module = _unwrapped(encoder)
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(value):
            raise InputError(f"encoder has a lazy {name!r} without values: call the encoder once, and then train it.")
    prepared = copied(module).eval()
    dtypes = {v.dtype for v in (*prepared.parameters(), *prepared.buffers()) if v.is_floating_point()}
    if dtypes - {torch.float32, torch.float64} or (device.type == "mps" and torch.float64 in dtypes):
        prepared = prepared.float()
    try:
        prepared = prepared.to(device)
    except NotImplementedError as error:  # torch's word for weights on the meta device
        raise InputError(f"encoder cannot be put on the device {str(device)!r} ({_first_line(error)}).") from error
    if len(images):
        _try(encoder, prepared, images.images[[0, -1, 0]].to(device).float() / 255)
    return prepared


@torch.no_grad()  # otherwise a ScriptModule's weights become results of a copy
def copied(module: nn.Module) -> nn.Module:
    """Return a deep copy, with detached copies of the tensors that a module keeps of its last call.

    `copy.deepcopy` refuses such tensors: the weight of `nn.utils.weight_norm` or of pruning, or kept features.

    Raises
    ------
    InputError
        If something in it cannot be copied.
    """
    memo: dict[int, object] = {}

    def visit(value: object) -> None:
        if isinstance(value, Tensor):
            if not value.is_leaf:
                memo[id(value)] = value.detach().clone()
        elif isinstance(value, Mapping):
            visit(list(value.values()))
        elif isinstance(value, list | tuple | set):
            for each in value:
                visit(each)

    try:
        for part in module.modules():
            visit(vars(part))
        return copy.deepcopy(module, memo)
    except Exception as error:
        raise InputError(
            f"encoder cannot be copied by copy.deepcopy ({_first_line(error)}): give its plain network, without what"
            " holds files, locks or trainers."
        ) from error


def _unwrapped(encoder: nn.Module) -> nn.Module:
    """Return the module inside of `torch.compile`'s and the data-parallel wrappers."""
    while True:
        if isinstance(encoder, nn.DataParallel | DistributedDataParallel):
            encoder = encoder.module
        elif "_orig_mod" in encoder._modules:
            encoder = encoder.get_submodule("_orig_mod")
        else:
            return encoder


@torch.no_grad()
def _try(given: nn.Module, encoder: nn.Module, pixels: Tensor) -> None:
    """Represent three images, and two of them once more: the same numbers have to come out."""
    try:
        with cudnn_settings(allow_tf32=False):
            output = _checked_output(encoder, pixels)
            among, apart = output.flatten(1)[:2], _checked_output(encoder, pixels[:2]).flatten(1)
    except (InputError, FloatingPointError, Warning, torch.OutOfMemoryError):
        raise
    except Exception as error:
        channels = ", for other channels with a first step such as x.mean(1, keepdim=True)"
        raise InputError(
            f"encoder cannot take a batch of {'×'.join(map(str, pixels.shape))} pixels ({_first_line(error)}): wrap it"
            f" in a module that takes B×3×H×W pixels in [0, 1]{channels if 'channels' in str(error) else ''}."
        ) from error
    if output.ndim == 4 and given not in TOLD:
        TOLD.add(given)
        warnings.warn(
            f"encoder returns B×{output.shape[1]}×1×1, which is flattened to B×{output.shape[1]}.", stacklevel=2
        )
    TOLD.add(encoder)
    finite = bool(torch.isfinite(among).all() and torch.isfinite(apart).all())
    moved, length = (v.float().norm() for v in (among - apart, among)) if finite else (torch.zeros(()),) * 2
    # rounding differs with the size of the batch, and grows on its way through the layers
    if among.shape != apart.shape or moved > torch.finfo(output.dtype).eps ** (1 / 3) * length:
        raise InputError(
            "encoder represents the same images differently in two calls: it mixes the images of a batch (as a"
            " normalisation without stored statistics does), remembers earlier ones, or draws at random in eval mode,"
            " but a representation must depend on its image alone."
        )


def _checked_output(encoder: nn.Module, pixels: Tensor) -> Tensor:
    """Return what the encoder returns, if that is B×D or B×D×1×1."""
    dtype = next((p.dtype for p in encoder.parameters() if p.is_floating_point()), pixels.dtype)
    with _plain_calls():
        output = encoder(pixels.to(dtype, copy=True))
    if isinstance(output, Tensor) and not output.is_nested and output.layout is torch.strided:
        shape = tuple(output.shape)
        right = len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1))
        if right and shape[0] == len(pixels) and shape[1] > 0 and output.is_floating_point():
            return output
    raise InputError(
        f"encoder returns {_described(output)} for {len(pixels)} images, but it must return one representation an"
        f" image, a floating-point tensor B×D: wrap it in a module whose forward returns {_way_out(output)}."
    )


@contextmanager
def _plain_calls() -> Iterator[None]:
    """Let modules call their layers, which compiled ones and the fast path of `nn.MultiheadAttention` do not."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        # the compiler takes seconds to import; without it nothing is compiled
        with torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _described(output: object) -> str:
    """Return what something is, in a few words."""
    kind = type(output).__name__
    if isinstance(output, Tensor) and (output.is_nested or output.layout is not torch.strided):
        return "a nested or sparse tensor"
    if isinstance(output, Tensor):
        size = "×".join(map(str, output.shape)) or "of one number"
        return f"a {str(output.dtype).removeprefix('torch.')} tensor {size}"
    if isinstance(output, Mapping):
        return f"a {kind} with the keys {', '.join(map(repr, output)) or 'none'}"
    if isinstance(output, Sequence) and not isinstance(output, str):
        return f"a {kind} of {len(output)}"
    return f"a {kind}"


def _way_out(output: object) -> str:
    """Return the expression that makes representations of what an encoder returns."""
    if isinstance(output, Tensor):
        if not output.is_floating_point():
            return "features, which are floating-point numbers"
        ways = {
            1: "encoder(x)[:, None], if that is one number an image",
            3: "the class token encoder(x)[:, 0] or the mean encoder(x).mean(1) of B×T×D tokens",
            4: "the mean encoder(x).mean((2, 3)) of a B×D×H×W map",
        }
        return ways.get(output.ndim, "B×D")
    if isinstance(output, Mapping) and output:
        return f"one of its values, such as encoder(x)[{next(iter(output))!r}]"
    if isinstance(output, Sequence) and not isinstance(output, str):
        return "one of its entries, such as encoder(x)[0]"
    return "the tensor in it" if output is not None else "its features"


def _first_line(error: Exception) -> str:
    """Return an error's kind and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}".removesuffix(".")
