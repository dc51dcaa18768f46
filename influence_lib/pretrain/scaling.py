"""The papers' hyper-parameters at another scale."""

from collections.abc import Callable
from dataclasses import dataclass

from influence_lib.errors import check_choice, check_integer, reject
from influence_lib.pretrain.methods import METHODS

__all__ = ["RULES", "Scale", "scaled_hyper"]


@dataclass(frozen=True)
class Scale:
    """The size of an encoder and of its training; the papers' by default."""

    width: int = 64
    n_images: int = 50_000
    epochs: int = 1000
    batch_size: int = 256

    @property
    def steps_per_epoch(self) -> int:
        """The number of full batches."""
        return self.n_images // self.batch_size


PAPER = Scale()


def _with_width(value: float, run: Scale) -> float:
    return max(1, round(value * run.width / PAPER.width))


def _epochs_of_memory(value: float, run: Scale) -> float:
    return value ** (PAPER.steps_per_epoch / run.steps_per_epoch)


def _fourth_root_of_steps(value: float, run: Scale) -> float:
    steps_ratio = PAPER.steps_per_epoch / run.steps_per_epoch
    return value * (run.epochs / (PAPER.epochs * steps_ratio)) ** 0.25


def _part_of_the_images(value: float, run: Scale) -> float:
    return max(1, round(value * run.n_images / PAPER.n_images / run.batch_size)) * run.batch_size


def _part_of_the_run(value: float, run: Scale) -> float:
    return max(1, round(value * run.epochs / PAPER.epochs))


RULES: dict[str, Callable[[float, Scale], float]] = {
    "width": _with_width,
    "epochs of memory": _epochs_of_memory,
    "fourth root of steps": _fourth_root_of_steps,
    "part of the images": _part_of_the_images,
    "part of the run": _part_of_the_run,
}
"""By which a hyper-parameter goes with the size of a run, see `scaled_hyper`; methods name them in `SCALED`."""


def scaled_hyper(method: str, width: int, n_images: int, epochs: int, batch_size: int = 256) -> dict[str, float]:
    """Return a method's hyper-parameters for an encoder and a run smaller than the papers'.

    At the papers' scale (width 64, 50,000 images, 1,000 epochs, batches of 256) these are the papers' values. Away
    from it five rules hold:

    - heads stay as wide relative to the representation: hidden and output dimensions and prototypes × width / 64;
    - the momentum encoders of BYOL and DINO forget in as many epochs: τ to the power of (steps of the papers' epoch /
      steps of ours). MoCo's keeps its τ: with a faster one the representations fall to a few dimensions;
    - methods with a momentum encoder learn more slowly in short runs: their rate goes with the fourth root of the
      number of steps. No stored result backs the exponent yet: `trials` compares it with the papers' rate and with the
      square root;
    - MoCo's queue holds the same part of the images, 65.5 %, rounded to whole batches;
    - DINO's teacher warms up, and its prototypes are frozen, for the same part of the run, and for one epoch at least.

    The other learning rates, weight decay, temperatures and the weights of the losses stay as they are; `pretrain`
    scales the rate with the batch.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    width, n_images, epochs, batch_size : int
        Of the run.

    Returns
    -------
    dict
        Arguments of `pretrain`.

    Raises
    ------
    InputError
        If `method` is unknown, a number is none, or there are fewer images than a batch has.

    Examples
    --------
    >>> scaled_hyper("simclr", width=16, n_images=5000, epochs=60)["projector_hidden"]
    512
    """
    check_choice("method", method, list(METHODS))
    width, epochs = check_integer("width", width), check_integer("epochs", epochs)
    n_images, batch_size = check_integer("n_images", n_images), check_integer("batch_size", batch_size)
    if n_images < batch_size:
        reject("n_images", n_images, f"at least the batch size, {batch_size}")
    run, chosen = Scale(width, n_images, epochs, batch_size), METHODS[method]
    return chosen.DEFAULTS | {name: RULES[rule](chosen.DEFAULTS[name], run) for name, rule in chosen.SCALED.items()}
