"""One training loop for every method."""

import math
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn
from tqdm import tqdm

from influence_lib.data import ImageSet
from influence_lib.device import PRECISIONS, autocast_dtype, cudnn_settings, resolve_device
from influence_lib.errors import InputError, check_choice, check_integer, check_number, reject
from influence_lib.pretrain.augment import AugmentationSettings
from influence_lib.pretrain.checkpoints import TrainingState, encoder_from_state, load_state, save_state
from influence_lib.pretrain.collapse import effective_rank, has_collapsed, spread
from influence_lib.pretrain.encoders import Encoder, build_encoder
from influence_lib.pretrain.evaluate import check_images
from influence_lib.pretrain.identity import fingerprint
from influence_lib.pretrain.lars import LARS
from influence_lib.pretrain.methods import METHODS, Method
from influence_lib.pretrain.patchconv import use_patch_convolutions
from influence_lib.pretrain.views import RunViews, TwoViews, memory_layout, view_threads

__all__ = ["pretrain", "pretrain_settings"]

MOMENTUM = 0.9
WARMUP_EPOCHS = 10
WARMUP_START_LR = 0.003
MAX_SEED = 2**63 - 1
SECONDS_BETWEEN_CHECKPOINTS = 20.0


def pretrain_settings(
    images: ImageSet,
    method: str = "simclr",
    width: int = 64,
    epochs: int = 1000,
    batch_size: int = 256,
    seed: int = 0,
    stem_padding: int = 1,
    precision: str = "auto",
    device: str | torch.device = "auto",
    augmentation: AugmentationSettings | None = None,
    start: Encoder | None = None,
    **hyper: float,
) -> dict[str, Any]:
    """Return the validated settings of a training run as JSON-able values; the parameters are `pretrain`'s.

    Raises
    ------
    InputError
        If a value is not allowed; the sentence names the parameter.
    """
    check_images("images", images, least=2)
    method_class = METHODS[check_choice("method", method, list(METHODS))]
    if method_class.LABELS:
        _check_classes(method, images)
    if not isinstance(augmentation, AugmentationSettings | None):
        reject("augmentation", augmentation, "AugmentationSettings or None")
    check_choice("precision", precision, ("auto", *PRECISIONS))
    dtype = autocast_dtype(precision, resolve_device(device))
    return {
        "method": method,
        "width": check_integer("width", width),
        "stem_padding": check_integer("stem_padding", stem_padding, 1, 2),
        "epochs": check_integer("epochs", epochs),
        "batch_size": check_integer(
            "batch_size", batch_size, 2, len(images), f"between 2 and the number of images, {len(images)}"
        ),
        "seed": check_integer("seed", seed, 0, MAX_SEED),
        "precision": "fp32" if dtype is None else str(dtype).removeprefix("torch."),
        "augmentation": (augmentation or AugmentationSettings()).describe(),
        "hyper": {**method_class.DEFAULTS, **_check_hyper(method_class, hyper)},
        "data": images.describe(),
        **({} if start is None else {"start": _starting(start, width, stem_padding)}),
    }


def _starting(start: object, width: int, stem_padding: int) -> str:
    """Return the fingerprint of the encoder that a training starts from, which must have the same layers."""
    if not isinstance(start, Encoder):
        reject("start", type(start).__name__, "an Encoder or None")
    own = {"width": width, "stem_padding": stem_padding}
    found = {name: start.settings.get(name) for name in own}
    if found != own:
        reject("start", found, f"an encoder of {own}")
    return fingerprint(start)


def _check_classes(method: str, images: ImageSet) -> None:
    """Refuse images from which a classifier has nothing to learn."""
    if bool((images.labels < 0).any()):
        reject("method", method, "one without labels for images without labels")
    if len(images.labels.unique()) < 2:
        reject("method", method, "one without labels for images of a single class")


def _check_hyper(method: type[Method], hyper: Mapping[str, object]) -> dict[str, float]:
    """Return hyper-parameters as plain numbers: whole ones where the default is one."""
    defaults = method.DEFAULTS
    if unknown := set(hyper) - set(defaults):
        reject("hyper-parameter", min(unknown), list(defaults))
    numbers: dict[str, float] = {}
    for name, value in hyper.items():
        if isinstance(defaults[name], int):
            numbers[name] = check_integer(name, value)
        elif name == "weight_decay":
            numbers[name] = check_number(name, value, least=0)
        else:
            numbers[name] = check_number(name, value, above=0, most=1 if name in method.SHARES else math.inf)
    return numbers


def pretrain(
    images: ImageSet,
    method: str = "simclr",
    width: int = 64,
    epochs: int = 1000,
    batch_size: int = 256,
    seed: int = 0,
    device: str | torch.device = "auto",
    checkpoint: str | Path | None = None,
    stem_padding: int = 1,
    precision: str = "auto",
    augmentation: AugmentationSettings | None = None,
    stop_at: int | None = None,
    progress: bool = True,
    start: Encoder | None = None,
    **hyper: float,
) -> Encoder:
    """Train an encoder.

    SGD with LARS (MoCo: without), a linear warm-up and a cosine decay of the learning rate, which scales with the
    batch size as ``lr * batch_size / 256`` (solo-learn's rule). Everything random is drawn from `seed` and the epoch,
    so a run that is interrupted and resumed ends with the same weights, bit for bit on a CPU, as one that was not.

    Parameters
    ----------
    images : ImageSet
        The training images; the last batch of an epoch is dropped when it is not full.
    method : {"simclr", "byol", "barlow", "vicreg", "dino", "moco", "supervised"}
        What is optimised; see `METHODS`.
    width : int
        Channels of the encoder's first stage; 64 is the papers' ResNet-18.
    epochs, batch_size, seed : int
        Length, batch and randomness of the run.
    device : str or torch.device
        ``"auto"`` or a torch device.
    checkpoint : path, optional
        A folder that keeps the state of the run. Where it already holds one of the same settings, the run goes
        on from there. One process at a time trains in it; others wait.
    stem_padding : {1, 2}
        See `build_encoder`.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Autocast of the forward and backward pass; ``"auto"`` takes what the hardware multiplies natively.
    augmentation : AugmentationSettings, optional
        The papers' by default.
    stop_at : int, optional
        The epoch after which to stop, in the schedule of `epochs`: the encoder as it is along the training. With a
        checkpoint a later call goes on from there.
    progress : bool
        Whether to show a progress bar with loss and images a second.
    start : Encoder, optional
        The encoder whose weights the training goes on from, of the same width and stem; by default random ones. What
        belongs to the method, such as a projector, starts anew.
    **hyper : float
        Changes to the method's `DEFAULTS`: ``lr``, ``weight_decay``, ``temperature`` and so on; `scaled_hyper`
        returns those for small runs.

    Returns
    -------
    Encoder
        In eval mode, on the CPU, with `settings` and `history` (a dict an epoch: ``epoch``, ``loss``, ``lr``,
        ``spread`` and ``effective_rank`` of the last batch's representations, and ``images_per_second``, which
        counts every image once although it is seen in two views).

    Warns
    -----
    RuntimeWarning
        If an epoch ends with a collapsed encoder; see `has_collapsed`.

    Raises
    ------
    InputError
        If a value is not allowed, the checkpoint is damaged or was made with other settings.
    FloatingPointError
        If the loss stops being finite; the checkpoint keeps the last good state.

    Examples
    --------
    >>> pretrain(images, "simclr", width=2, epochs=1, batch_size=20, progress=False).features_dim
    16
    """
    settings = pretrain_settings(
        images,
        method,
        width,
        epochs,
        batch_size,
        seed,
        stem_padding,
        precision,
        device,
        augmentation,
        start,
        **hyper,
    )
    epochs = settings["epochs"]
    allowed = f"a whole number from 1 to epochs, {epochs}"
    last = epochs if stop_at is None else check_integer("stop_at", stop_at, 1, epochs, allowed)
    run = _Run(images, settings, resolve_device(device), augmentation, start)
    if checkpoint is None:
        run.train(last, None, progress)
    else:
        folder = _writable_folder(checkpoint)
        with FileLock(folder / ".lock"):
            run.resume(load_state(folder), folder)
            if run.epoch > last:
                raise InputError(
                    f"stop_at is {last}, but checkpoint {str(folder)!r} has already reached epoch {run.epoch}:"
                    " use another folder or delete this one."
                )
            run.train(last, folder, progress)
    return encoder_from_state(run.encoder.state_dict(), settings, run.history)


def _writable_folder(checkpoint: object) -> Path:
    """Return the folder of a run, made if it is not there."""
    if not isinstance(checkpoint, str | os.PathLike) or not str(checkpoint):
        reject("checkpoint", checkpoint, "a folder")
    folder = Path(checkpoint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except (OSError, ValueError) as error:
        raise InputError(f"checkpoint is {str(folder)!r}, which is no folder to write into ({error}).") from error
    return folder


class _Run:
    """The state of one training run, and what one epoch does to it."""

    def __init__(
        self,
        images: ImageSet,
        settings: dict[str, Any],
        device: torch.device,
        augmentation: AugmentationSettings | None,
        start: Encoder | None = None,
    ):
        self.settings, self.device = settings, device
        self.images = images.images.to(device)
        self.labels = images.labels.to(device)
        with torch.random.fork_rng():  # initialise on the CPU, so that every device starts from the same weights
            torch.manual_seed(settings["seed"])
            encoder = build_encoder(settings["width"], settings["stem_padding"])
            if start is not None:
                encoder.load_state_dict(start.state_dict())
            if device.type == "cpu":
                use_patch_convolutions(encoder)
            hyper = settings["hyper"]
            method = METHODS[settings["method"]](encoder, len(images.class_names), settings["epochs"], hyper)
        layout = memory_layout(settings["width"])
        self.encoder = encoder.to(device).to(memory_format=layout)
        self.method = method.to(device).to(memory_format=layout)
        self.peak_lr = hyper["lr"] * settings["batch_size"] / 256
        optimizer = LARS if method.LARS else torch.optim.SGD
        self.sgd = optimizer(
            [parameter for _, parameter in self._trained()],
            lr=self.peak_lr,
            momentum=MOMENTUM,
            weight_decay=hyper["weight_decay"],
        )
        dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16, "fp32": None}[settings["precision"]]
        self.views = TwoViews(self.encoder, images.images.shape[-1], augmentation, dtype, self.method.target_encoder())
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
        self.epoch = 0
        self.history: list[dict[str, float]] = []

    def train(self, last: int, folder: Path | None, progress: bool) -> None:
        """Train up to an epoch, and keep the state in a folder now and then, and at the end."""
        steps, saved = len(self.images) // self.settings["batch_size"], time.monotonic()
        label, total, done = self.settings["method"], last * steps, self.epoch * steps
        with (
            tqdm(total=total, initial=done, unit="batch", disable=not progress, desc=label) as bar,
            view_threads(self.device) as mapping,
        ):
            while self.epoch < last:
                self.train_epoch(bar, mapping)
                due = time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS
                if folder is not None and (due or self.epoch == last):
                    save_state(folder, self.state())
                    saved = time.monotonic()

    def train_epoch(self, bar: tqdm, mapping: RunViews) -> None:
        """Pass over the images once."""
        size, started = self.settings["batch_size"], time.monotonic()
        steps = len(self.images) // size
        losses = torch.zeros(steps, device=self.device)
        self.views.train()
        self.method.train()
        self.method.begin_epoch(self.epoch)
        with torch.random.fork_rng(), cudnn_settings(deterministic=True, benchmark=False):
            torch.manual_seed(_mix(self.settings["seed"], self.epoch))
            order = torch.randperm(len(self.images)).to(self.device)
            for step in range(steps):
                done = self.epoch + step / steps
                losses[step], features = self._step(order[step * size : (step + 1) * size], done, mapping)
                bar.update()
        loss = losses.mean().item()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss} in epoch {self.epoch + 1} of {self.settings['method']}:"
                " lower lr, or use precision='fp32'."
            )
        speed = steps * size / (time.monotonic() - started)
        self.epoch += 1
        entry = {
            "epoch": self.epoch,
            "loss": loss,
            "lr": self.sgd.param_groups[0]["lr"],
            "spread": spread(features).item(),
            "effective_rank": effective_rank(features).item(),
            "images_per_second": speed,
        }
        self.history.append(entry)
        rank = entry["effective_rank"]
        bar.set_postfix_str(f"epoch {self.epoch}, loss {loss:.3f}, rank {rank:.0f}, {speed:.0f} images/s")
        if has_collapsed(entry):
            warnings.warn(
                f"{self.settings['method']} has collapsed in epoch {self.epoch}: the representations of a batch have"
                f" a spread of {entry['spread']:.3f} and an effective rank of {rank:.1f}.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _step(self, batch: Tensor, done: float, mapping: RunViews) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, and the features of its first view; `done` epochs lie behind."""
        self.sgd.zero_grad(set_to_none=True)
        features, targets = self.views.forward(self.images[batch].float().div_(255), mapping)
        loss = self.method.loss(features, targets, self.labels[batch])
        self.scaler.scale(loss).backward()
        self.views.backward(features, mapping)
        self.method.after_backward(self.epoch)
        self.scaler.unscale_(self.sgd)  # LARS compares gradients with weights
        self.sgd.param_groups[0]["lr"] = self._lr(done)
        self.scaler.step(self.sgd)
        self.scaler.update()
        self.method.follow(self.encoder, done / self.settings["epochs"])
        return loss.detach(), features[0].detach()

    def _lr(self, progress: float) -> float:
        """Return the learning rate after `progress` epochs: linear warm-up, then a cosine to zero."""
        warmup = min(WARMUP_EPOCHS, self.settings["epochs"] // 10)
        if progress < warmup:
            return WARMUP_START_LR + (self.peak_lr - WARMUP_START_LR) * progress / warmup
        done = (progress - warmup) / max(self.settings["epochs"] - warmup, 1)
        return self.peak_lr * 0.5 * (1 + math.cos(math.pi * done))

    def state(self) -> TrainingState:
        """Return everything that the rest of the run depends on."""
        training = {f"method.{name}": value for name, value in self.method.state_dict().items()}
        for name, parameter in self._trained():
            if parameter in self.sgd.state:  # not in those that were frozen so far
                training[f"momentum.{name}"] = self.sgd.state[parameter]["momentum_buffer"]
        meta = {
            "epoch": self.epoch,
            "settings": self.settings,
            "history": self.history,
            "scaler": self.scaler.state_dict(),
        }
        return TrainingState(self.encoder.state_dict(), training, meta)

    def resume(self, state: TrainingState | None, folder: Path) -> None:
        """Go on from a saved state; None starts afresh."""
        if state is None:
            return
        for key, value in self.settings.items():
            if state.meta["settings"].get(key) != value:
                raise InputError(
                    f"checkpoint {str(folder)!r} was made with {key} = {state.meta['settings'].get(key)!r},"
                    f" but this run has {key} = {value!r}: use another folder or delete this one."
                )
        self.encoder.load_state_dict(state.encoder)
        prefix = "method."
        self.method.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.training.items() if k.startswith(prefix)}
        )
        for name, parameter in self._trained():
            if (buffer := state.training.get(f"momentum.{name}")) is not None:
                # in the parameter's own memory format, or the sums would be rounded in another order
                self.sgd.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(buffer)
        self.scaler.load_state_dict(state.meta["scaler"])
        self.epoch, self.history = state.meta["epoch"], list(state.meta["history"])

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        """Return the parameters that the optimiser changes, by name."""
        both = nn.ModuleDict({"encoder": self.encoder, "method": self.method})
        return [(name, parameter) for name, parameter in both.named_parameters() if parameter.requires_grad]


def _mix(seed: int, epoch: int) -> int:
    """Return a generator seed for an epoch; runs whose seeds are neighbours share no epoch's seed."""
    return (seed * 1_000_003 + epoch + 1) % 2**63
