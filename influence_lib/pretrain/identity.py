"""What tells one encoder from another: its weights and what it is built of."""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

__all__ = ["fingerprint"]

PLAIN = bool | int | float | str
# how an encoder was made and in which state it is, not what it computes in eval mode; nn.Module's own fields
LEFT_OUT = ("training", "settings", "history", "call_super_init", "dump_patches")


def fingerprint(encoder: nn.Module) -> str:
    """Return the first 16 hex digits of a SHA-256 over an encoder's weights and structure.

    Equal encoders have equal fingerprints wherever they were loaded from and whatever they are called. What counts:
    parameters and buffers (names, dtypes, shapes, bits, and whether a parameter is frozen), the tree of modules with
    their class names, and their public attributes that are numbers, strings or tuples of them, such as strides and
    paddings. What `forward` does apart from these is not seen: two classes of one name that differ in their code alone
    have one fingerprint.

    Parameters
    ----------
    encoder : nn.Module
        Any module; device, mode and memory format do not matter.

    Examples
    --------
    >>> from influence_lib import pretrain
    >>> small = pretrain.build_encoder(2)
    >>> pretrain.fingerprint(small) == pretrain.fingerprint(small.train())
    True
    """
    digest = hashlib.sha256()
    for part in _described(encoder):
        digest.update(part.encode() + b"\n")
    for name, value in (*encoder.named_parameters(remove_duplicate=False), *encoder.named_buffers()):
        frozen = isinstance(value, nn.Parameter) and not value.requires_grad
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}{' frozen' if frozen else ''}\n".encode())
        digest.update(_bits(value))
    return digest.hexdigest()[:16]


def _described(encoder: nn.Module) -> Iterator[str]:
    """Yield a line for every module: its name, class and plain attributes."""
    for name, module in encoder.named_modules(remove_duplicate=False):
        plain = {
            key: value
            for key, value in vars(module).items()
            if not key.startswith("_") and key not in LEFT_OUT and _is_plain(value)
        }
        yield f"{name} {type(module).__name__} {sorted(plain.items())!r}"


def _is_plain(value: object) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(_is_plain(each) for each in value))


def _bits(value: Tensor) -> bytes:
    """Return a tensor's memory, row by row; as bytes, since NumPy has no bfloat16."""
    contiguous = value.detach().cpu().contiguous().flatten()
    return contiguous.view(torch.uint8).numpy().tobytes() if contiguous.numel() else b""
