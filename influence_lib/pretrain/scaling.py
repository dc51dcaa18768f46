"""The papers' hyper-parameters at another scale."""

from influence_lib.errors import check_choice, check_integer, reject
from influence_lib.pretrain.methods import METHODS, MomentumMethod

__all__ = ["scaled_hyper"]

PAPER_WIDTH, PAPER_IMAGES, PAPER_EPOCHS, PAPER_BATCH = 64, 50_000, 1000, 256


def scaled_hyper(method: str, width: int, n_images: int, epochs: int, batch_size: int = 256) -> dict[str, float]:
    """Return a method's hyper-parameters for an encoder and a run smaller than the papers'.

    At the papers' scale (width 64, 50,000 images, 1,000 epochs, batches of 256) these are the papers' values. Away
    from it five rules hold:

    - heads stay as wide relative to the representation: hidden and output dimensions and prototypes × width / 64;
    - the momentum encoders of BYOL and DINO forget in as many epochs: τ to the power of (steps of the papers' epoch /
      steps of ours). MoCo's keeps its τ: with a faster one the representations fall to a few dimensions;
    - methods with a momentum encoder learn more slowly in short runs: their rate goes with the fourth root of the
      number of steps. With the papers' rate BYOL's representations fall to a few dimensions in the first epochs of
      such a run, and MoCo's collapse; the exponent was found by trial;
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
    """
    check_choice("method", method, list(METHODS))
    width, epochs = check_integer("width", width), check_integer("epochs", epochs)
    n_images, batch_size = check_integer("n_images", n_images), check_integer("batch_size", batch_size)
    if n_images < batch_size:
        reject("n_images", n_images, f"at least the batch size, {batch_size}")
    steps_ratio = (PAPER_IMAGES // PAPER_BATCH) / (n_images // batch_size)
    shorter = epochs / (PAPER_EPOCHS * steps_ratio)
    scaled = dict(METHODS[method].DEFAULTS)
    for name, value in scaled.items():
        if name == "lr" and issubclass(METHODS[method], MomentumMethod):
            scaled[name] = value * shorter**0.25
        elif name.endswith(("_hidden", "_out")) or name == "prototypes":
            scaled[name] = max(1, round(value * width / PAPER_WIDTH))
        elif name.endswith("_tau") and method != "moco":
            scaled[name] = value**steps_ratio
        elif name == "queue_size":
            scaled[name] = max(1, round(value * n_images / PAPER_IMAGES / batch_size)) * batch_size
        elif name.endswith("_epochs"):
            scaled[name] = max(1, round(value * epochs / PAPER_EPOCHS))
    return scaled
