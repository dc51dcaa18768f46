"""Passes over pairs of views: what gradients add up to, batch by batch, interruptible and resumable."""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from influence_lib.atomic import written_whole
from influence_lib.errors import InputError
from influence_lib.influence.views.losses import MSE
from influence_lib.influence.views.pairs import BATCH_SIZE, PairBatch
from influence_lib.influence.views.source import GradientSource, LayerFactors
from influence_lib.pretrain.identity import fingerprint
from influence_lib.pretrain.representations import represent
from influence_lib.store import digest

__all__ = ["Step", "Totals", "Unfinished", "accumulate", "explain"]

SAVE_SECONDS = 60.0
NAMED = 5  # image ids in an error message
ATTEMPTS = 3  # at writing, where another process removes the folder

Totals = dict[str, Tensor]
Step = Callable[[Totals, PairBatch, LayerFactors], None]


class Unfinished:
    """What the finished batches of interrupted passes add up to, on disk.

    Parameters
    ----------
    folder : path or None
        One folder for one computation; None keeps nothing.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder

    @classmethod
    def of(cls, parent: str | Path | None, settings: Mapping[str, Any], source: GradientSource) -> "Unfinished":
        """Return the place of one computation: a folder named after its settings and the encoder's weights."""
        if parent is None:
            return cls()
        encoder = fingerprint(source.encoder)
        described = {**settings, "kind": "unfinished", "encoder": encoder, "autocast": str(source.autocast)}
        return cls(Path(parent) / digest({**described, "batch": BATCH_SIZE})[:16])

    def restore(self, stage: str, totals: Totals) -> int:
        """Fill in the totals of a stage and return how many batches are in them.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        if self.folder is None or not self._file(stage).is_file():
            return 0
        try:
            with safe_open(self._file(stage), framework="pt") as file:
                metadata, kept = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata["sha256"] != _checksum(kept, metadata["batches"]):
                raise ValueError("it differs from its checksum")
            for name, total in totals.items():
                total.copy_(kept[name])
        except FileNotFoundError:
            return 0  # another process with the same scores has cleared the folder
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self._file(stage)} is damaged ({error}): delete it to have it computed again."
            ) from error
        return int(metadata["batches"])

    def save(self, stage: str, totals: Totals, batches: int) -> None:
        """Write the totals of a stage under a temporary name and rename the file, so that it is never there in part."""
        if self.folder is None:
            return
        metadata = {"batches": str(batches), "sha256": _checksum(totals, str(batches))}
        for attempt in range(ATTEMPTS):
            try:
                with written_whole(self._file(stage)) as partial:
                    safetensors.torch.save_file(totals, partial, metadata=metadata)
                return
            except (OSError, SafetensorError) as error:
                # another process with the same scores may be at its end, and have cleared the folder
                if attempt == ATTEMPTS - 1 or self.folder.is_dir():
                    raise InputError(
                        f"The finished batches in {self.folder} cannot be written ({error}): make room and run again."
                    ) from error

    def clear(self) -> None:
        """Remove the folder: the computation is finished."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, stage: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{stage}.safetensors"


def _checksum(totals: Totals, batches: str) -> str:
    """Return a hash of totals and of how many batches are in them."""
    total = hashlib.sha256(batches.encode())
    for name in sorted(totals):
        total.update(name.encode() + totals[name].cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def accumulate(
    source: GradientSource,
    stage: str,
    indices: Tensor,
    totals: Totals,
    step: Step,
    fisher: str = "empirical",
    unfinished: Unfinished | None = None,
    progress: bool = False,
) -> None:
    """Let a step add every batch to the totals, going on where an earlier run was interrupted.

    Parameters
    ----------
    source : GradientSource
        Of the gradients.
    stage : str
        Name of the pass, for the progress bar and the files.
    indices : Tensor
        Of the pairs, ascending.
    totals : dict of str to Tensor
        Zeros; filled in place.
    step : callable
        Takes the totals, a batch and the factors of its layers.
    fisher : {"empirical", "sampled"}
        Whose gradients: those of the loss or of sampled targets.
    unfinished : Unfinished, optional
        Where the totals are saved, once a minute and at the end.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    FloatingPointError
        If a total is not finite; the sentence names the layer and the images.
    """
    unfinished = unfinished or Unfinished()
    done = unfinished.restore(stage, totals)
    saved, batches = time.monotonic(), source.pairs.batches(indices, done)
    with tqdm(total=len(indices), unit="pair", desc=stage, disable=not progress) as bar:
        for batch in batches:
            bar.update(int(torch.searchsorted(indices, batch.indices[0])) - bar.n)
            step(totals, batch, source.factors(batch, fisher))
            done += 1
            if time.monotonic() - saved > SAVE_SECONDS:
                _check_finite(source, indices, totals, fisher)
                unfinished.save(stage, totals, done)
                saved = time.monotonic()
        bar.update(len(indices) - bar.n)
    _check_finite(source, indices, totals, fisher)
    unfinished.save(stage, totals, done)


def _check_finite(source: GradientSource, indices: Tensor, totals: Totals, fisher: str) -> None:
    """Check the totals, seldom: on a GPU each look at a value waits for all that was asked of it before."""
    bad = [name for name, total in totals.items() if not torch.isfinite(total).all()]
    if bad:
        explain(source, indices, fisher, bad[0])


def explain(source: GradientSource, indices: Tensor, fisher: str, total: str) -> NoReturn:
    """Go over the batches again and name the first layer and the images that are to blame."""
    spoilt = [
        name for name, layer in source.layers.items() if not all(torch.isfinite(p).all() for p in layer.parameters())
    ]
    for batch in source.pairs.batches(indices):
        found = {}
        for name, factors in source.factors(batch, fisher):
            for what, values in zip(("inputs", "output gradients"), factors, strict=True):
                finite = torch.isfinite(values).all(3).all(2).all(0)
                if not finite.all():
                    found[what, name] = [i for i, fine in zip(batch.ids, finite.tolist(), strict=True) if not fine]
        if found:
            # what is wrong with an input is wrong in all that follows, and then in every gradient
            (what, name), ids = min(found.items(), key=lambda item: item[0][0] != "inputs")
            if what != "inputs" and not spoilt:
                _check_lengths(source, batch)
            what, name = ("weights", spoilt[0]) if spoilt else (what, name)
            named = _listed(ids)
            raise FloatingPointError(f"the {what} of layer {name!r} are not finite for the images with ids {named}.")
    raise FloatingPointError(f"the sum for {total!r} is not finite although every gradient is: too large.")


@torch.no_grad()
def _check_lengths(source: GradientSource, batch: PairBatch) -> None:
    """Raise for representations without a direction, where the loss is about directions."""
    views = (represent(source.encoder, view) for view in (batch.left, batch.right))
    zero = torch.stack([z.norm(dim=1) == 0 for z in views]).any(0).tolist()
    if source.loss is not MSE and any(zero):
        named = _listed([i for i, without in zip(batch.ids, zero, strict=True) if without])
        raise FloatingPointError(
            f"the representations of the images with ids {named} have length 0, and so no direction and no gradient:"
            " score the others, or take loss='mse'."
        )


def _listed(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:NAMED])) + (" and more" if len(ids) > NAMED else "")
