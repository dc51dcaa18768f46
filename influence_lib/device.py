"""Which device to compute on, in which precision, and what becomes of its memory."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from influence_lib.errors import InputError, check_choice, reject

__all__ = [
    "autocast_dtype",
    "computing_dtypes",
    "cudnn_settings",
    "doubled",
    "float64_device",
    "keep_freed_memory",
    "machine",
    "resolve_device",
    "resolved_precision",
    "without_onednn",
]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h

CUDNN_SETTINGS = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device that a name stands for.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` takes a CUDA device where there is one, then Apple's MPS, then the CPU. Anything else is
        a torch device such as ``"cpu"`` or ``"cuda:1"``.

    Raises
    ------
    InputError
        If the name is no torch device, or the device is not there.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError):
        reject("device", device, "'auto' or a torch device such as 'cpu' or 'cuda'")
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device is {str(device)!r}, but this machine has no CUDA device: use 'auto' or 'cpu'.")
    return resolved


def machine(device: str | torch.device = "auto") -> str:
    """Return the kind of machine that computes: the name of the GPU, ``"CPU"`` or ``"MPS"``.

    Parameters
    ----------
    device : str or torch.device
        As for `resolve_device`.

    Raises
    ------
    InputError
        As `resolve_device` does.
    """
    target = resolve_device(device)
    return torch.cuda.get_device_name(target) if target.type == "cuda" else target.type.upper()


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the autocast dtype for a precision, or None for plain float32.

    Parameters
    ----------
    precision : {"auto", "fp32", "bf16", "fp16"}
        ``"auto"`` is bfloat16 where the hardware multiplies it natively, else float16 on a GPU and float32
        on a CPU: emulated bfloat16 on an older CPU is many times slower than float32.
    device : torch.device
        Where the computation runs.

    Raises
    ------
    InputError
        If the precision is unknown.
    """
    if precision == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        if device.type == "cpu":
            return torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16", False) else None
        return None
    if precision not in PRECISIONS:
        reject("precision", precision, ["auto", *PRECISIONS])
    return PRECISIONS[precision]


def computing_dtypes(precision: str, device: torch.device) -> tuple[torch.dtype, torch.dtype | None]:
    """Return the dtype of a computation of scores, and the autocast dtype of the encoder's passes in it.

    Parameters
    ----------
    precision : {"fp32", "fp64", "bf16", "fp16", "auto"}
        ``"fp64"`` is float64 throughout; the others are float32 with what `autocast_dtype` gives.
    device : torch.device
        Where the computation runs.

    Raises
    ------
    InputError
        If the precision is unknown, or float64 on a device that has none.
    """
    if precision != "fp64":
        check_choice("precision", precision, ("auto", *PRECISIONS, "fp64"))
        return torch.float32, autocast_dtype(precision, device)
    if device.type == "mps":
        raise InputError("precision is 'fp64', but the device is 'mps', which has no float64: take device='cpu'.")
    return torch.float64, None


def resolved_precision(precision: str, device: str | torch.device) -> str:
    """Return the precision that ``"auto"`` stands for on a device, and any other as it is.

    Raises
    ------
    InputError
        If a value is not allowed.
    """
    dtype, autocast = computing_dtypes(precision, resolve_device(device))
    if dtype is torch.float64:
        return precision
    return next(name for name, known in PRECISIONS.items() if known is autocast)


def float64_device(device: torch.device) -> torch.device:
    """Return where float64 is computed for tensors on a device: there, but for Apple's MPS on the CPU.

    MPS has no float64, and few of the decompositions of `torch.linalg`.
    """
    return torch.device("cpu") if device.type == "mps" else device


def doubled(values: Tensor) -> Tensor:
    """Return a tensor in float64, on its `float64_device`."""
    return values.to(float64_device(values.device)).double()


def keep_freed_memory() -> None:
    """Tell glibc to keep large freed blocks for the next batch.

    By default it hands every large tensor back to the kernel, which clears its pages again for the next one, in
    every training step and every batch of per-sample gradients. Where there is no glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def cudnn_settings(**changed: bool) -> Iterator[None]:
    """Change some of cuDNN's settings for a while and leave the others as they are.

    torch's own `flags` gives those that are not named its defaults, and with them switches cuDNN off, which costs a
    GPU nearly all of its speed.
    """
    cudnn = torch.backends.cudnn
    with cudnn.flags(**{name: getattr(cudnn, name) for name in CUDNN_SETTINGS} | changed):
        yield


@contextmanager
def without_onednn() -> Iterator[None]:
    """Leave the CPU to torch's own kernels for a while.

    oneDNN's gradient of the weight of a convolution with few channels, channels last in memory, writes beyond its
    memory (torch 2.14.1), which ends the process now or later.
    """
    mkldnn = torch.backends.mkldnn
    was, *_ = mkldnn.set_flags(False, _fp32_precision=None)
    try:
        yield
    finally:
        mkldnn.set_flags(was, _fp32_precision=None)
