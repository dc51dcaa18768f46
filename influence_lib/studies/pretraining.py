"""What the training methods do: their views, where their losses pull, what is scaled, and how good the encoders are."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from influence_lib.data import ImageSet
from influence_lib.errors import InputError, check_choice, check_integer, check_strings, reject
from influence_lib.estimate import Estimate
from influence_lib.pretrain import METHODS, Encoder, Recipe, has_collapsed, scaled_hyper, trials
from influence_lib.pretrain.augment import Augmentation
from influence_lib.pretrain.evaluate import check_images
from influence_lib.pretrain.methods import DINOHead, Momentum
from influence_lib.pretrain.trial import AS_TRAINED
from influence_lib.replication import over_trainings
from influence_lib.studies.trend import Trend, over_scales

__all__ = [
    "accuracies",
    "accuracies_along",
    "augmented",
    "collapse",
    "examples",
    "has_learned",
    "hyper_parameters",
    "loss_directions",
    "pairs_in_the_plane",
    "trials_sentence",
    "tried",
]

THIRD = 1 / 3  # of the way from random weights to the supervised control, which the gate asks for
KINDS = {"knn": "nearest neighbours", "linear": "linear"}  # of accuracies
SMALL_HEADS = {"projector_out": 2, "prototypes": 5, "teacher_temperature": 0.1, "base_tau": 1.0}


def examples(images: ImageSet, n: int) -> Tensor:
    """Return the positions of some images, spread evenly over the set in the order of its classes.

    Parameters
    ----------
    images : ImageSet
        N images.
    n : int
        How many; all where there are fewer.

    Raises
    ------
    InputError
        If there are no images, or `n` is no number above 0.

    Examples
    --------
    >>> images.subset(examples(images, 5))
    """
    check_images("images", images)
    return images.labels.argsort(stable=True)[:: max(1, len(images) // check_integer("n", n))][:n]


def augmented(images: ImageSet, number: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return images and the random views of them that the training sees.

    Parameters
    ----------
    images : ImageSet
        N images of any size.
    number : int
        V, how many views of each.
    seed : int
        Of the views.

    Returns
    -------
    pixels : Tensor
        float32, N×3×H×W, in [0, 1].
    views : Tensor
        float32, N×V×3×W×W, in [0, 1].

    Raises
    ------
    InputError
        If there are no images, or a number is not allowed.

    Examples
    --------
    >>> pixels, views = augmented(images.subset([0, 1]), 7)
    """
    check_images("images", images)
    number, seed = check_integer("number", number), check_integer("seed", seed, 0)
    pixels = images.images.float() / 255
    augment = Augmentation(pixels.shape[-1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        views = [augment(pixels, augment.draw(pixels.shape)) for _ in range(number)]
    return pixels, torch.stack(views, dim=1)


def pairs_in_the_plane() -> Tensor:
    """Return six points in the plane in two views, float32, 2×6×2: view, image, coordinate. Three are crowded.

    Examples
    --------
    >>> pairs_in_the_plane().shape
    torch.Size([2, 6, 2])
    """
    angles = torch.deg2rad(torch.tensor([20.0, 45, 75, 190, 215, 300]))
    lengths = torch.tensor([1.0, 1.2, 0.8, 0.9, 1.2, 1.0])
    turned = [torch.stack([(angles + turn).cos(), (angles + turn).sin()]) for turn in (-0.15, 0.15)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return torch.stack([(lengths * view).T + 0.08 * torch.randn(len(angles), 2) for view in turned])


class _Plane(nn.Module):
    """Stands for an encoder whose representations are points in the plane."""

    features_dim = 2


def loss_directions(method: str, points: Tensor) -> np.ndarray:
    """Return where a method's loss pushes points in the plane, with heads that change nothing.

    Parameters
    ----------
    method : str
        One of `pretrain.METHODS`.
    points : Tensor
        2×B×2: view, image, coordinate. They stand for the projections; image i is of class i mod 3.

    Returns
    -------
    array
        float64, 2×B×2: minus the gradient of the loss that the training uses. What a method keeps beside the encoder,
        such as prototypes, a queue or a classifier, is drawn from a fixed seed.

    Raises
    ------
    InputError
        If the method is unknown, or the points are no such pairs.

    Examples
    --------
    >>> loss_directions("simclr", pairs_in_the_plane()).shape
    (2, 6, 2)
    """
    kind = METHODS[check_choice("method", method, list(METHODS))]
    if points.ndim != 3 or points.shape[0] != 2 or points.shape[2] != 2 or points.shape[1] < 2:
        reject("the shape of points", tuple(points.shape), "(2, B, 2) with two images or more")
    images = points.shape[1]
    small = {key: value for key, value in (SMALL_HEADS | {"queue_size": images}).items() if key in kind.DEFAULTS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        trained = kind(_Plane(), 3, 1, {**kind.DEFAULTS, **small})  # type: ignore[arg-type]
        for name in ("projector", "predictor", "momentum_projector"):
            if hasattr(trained, name):
                setattr(trained, name, _without_layers(getattr(trained, name)))
        trained.begin_epoch(0)
        features = [view.clone().requires_grad_() for view in points]
        trained.loss(features, list(points), torch.arange(images) % 3).backward()
    return torch.stack([-view.grad for view in features if view.grad is not None]).double().numpy()


def _without_layers(head: nn.Module) -> nn.Module:
    """Return a head that changes nothing; of DINO's the prototypes stay."""
    if isinstance(head, Momentum):
        head.network = _without_layers(head.network)
    elif isinstance(head, DINOHead):
        head.mlp = nn.Identity()  # type: ignore[assignment]
    else:
        return nn.Identity()
    return head


def hyper_parameters(
    methods: Sequence[str], width: int, n_images: int, epochs: int, batch_size: int = 256
) -> pd.DataFrame:
    """Return the papers' hyper-parameters of some methods beside those of a run at another scale.

    Parameters
    ----------
    methods : sequence of str
        Some of `pretrain.METHODS`.
    width, n_images, epochs, batch_size : int
        Those of `pretrain.scaled_hyper`.

    Returns
    -------
    DataFrame
        float64; a row for each method's title and hyper-parameter, columns ``"papers'"`` and ``"here"``.

    Raises
    ------
    InputError
        If `scaled_hyper` refuses a value.

    Examples
    --------
    >>> hyper_parameters(["byol"], width=16, n_images=5000, epochs=60).loc[("BYOL", "lr"), "here"]
    """
    rows = {}
    for method in check_strings("methods", methods, "a list of training methods"):
        scaled = scaled_hyper(method, width, n_images, epochs, batch_size)
        for key, value in METHODS[method].DEFAULTS.items():
            rows[METHODS[method].TITLE, key.replace("_", " ")] = {"papers'": float(value), "here": float(scaled[key])}
    return pd.DataFrame(rows).T


def collapse(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> pd.DataFrame:
    """Return what the end of some trainings says about collapse.

    Parameters
    ----------
    histories : mapping of str to sequence
        Name → the `history` of an encoder.

    Returns
    -------
    DataFrame
        A row for each: ``spread`` in [0, 1] and ``effective_rank`` in dimensions, both float64, and ``collapsed``, bool
        (see `pretrain.has_collapsed`).

    Raises
    ------
    InputError
        If there are none, or one is of an encoder that was not trained.

    Examples
    --------
    >>> collapse({"SimCLR": [{"spread": 0.01, "effective_rank": 1.2}]})["collapsed"].tolist()
    [True]
    """
    if not histories:
        reject("the number of histories", 0, "1 or more")
    for name, history in histories.items():
        if not history:
            raise InputError(f"the history of {name!r} has no epoch: it was not trained.")
    ends = {name: history[-1] for name, history in histories.items()}
    table = pd.DataFrame(
        {key: {name: float(end[key]) for name, end in ends.items()} for key in ("spread", "effective_rank")}
    )
    return table.assign(collapsed=[has_collapsed(dict(end)) for end in ends.values()])


def accuracies(
    recipe: Recipe, encoders: Mapping[str, Encoder], place: str = "artifacts", device: str = "auto"
) -> pd.DataFrame:
    """Return how well encoders classify the held-out images of a recipe, whoever trained them.

    Parameters
    ----------
    recipe : Recipe
        Whose images count; see `Recipe.reference` and `Recipe.held_out`.
    encoders : mapping of str to Encoder
        Name → encoder.
    place, device
        Those of `Recipe.accuracy`, which computes each once.

    Returns
    -------
    DataFrame of Estimate
        A row for each encoder, columns ``"nearest neighbours"`` and ``"linear"``, in [0, 1]; the intervals are over the
        held-out images.

    Raises
    ------
    InputError
        If there are no encoders, or no images for an accuracy.

    Examples
    --------
    >>> accuracies(recipe, {"untrained": pretrain.stored_untrained(16)}).loc["untrained", "linear"].value
    """
    if not encoders:
        reject("the number of encoders", 0, "1 or more")
    rows = {name: recipe.accuracy(encoder, place, device) for name, encoder in encoders.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", dtype=object)
    return table.rename(columns=KINDS)


def has_learned(own: Estimate, untrained: Estimate, supervised: Estimate | None) -> bool | None:
    """Return whether an encoder counts for claims about trained ones: the gate of the ledger.

    It is clearly better than random weights, and a third of the way from there to the supervised control at least.

    Parameters
    ----------
    own, untrained : Estimate
        The accuracies by nearest neighbours, on the same images, of the encoder and of one with random weights.
    supervised : Estimate or None
        That of one that was trained with labels, of the same width and images; None where there is none yet.

    Returns
    -------
    bool or None
        None where the supervised control would decide and is not there.

    Examples
    --------
    >>> has_learned(Estimate(0.5, 0.49, 0.51, 10_000), Estimate.stated(0.3), Estimate.stated(0.8))
    True
    """
    if not own.above(untrained):
        return False
    if supervised is None:
        return None
    return own.value >= untrained.value + THIRD * (supervised.value - untrained.value)


def accuracies_along(
    recipe: Recipe, encoders: Mapping[float, Sequence[Encoder]], place: str = "artifacts", device: str = "auto"
) -> Trend:
    """Return the accuracy of several trainings of one setting after different epochs, with intervals over trainings.

    Parameters
    ----------
    recipe : Recipe
        Whose images accuracies are measured on.
    encoders : mapping of float to sequence of Encoder
        Epoch → one of each training, two or more.
    place : {"artifacts", "results"}
        Where accuracies are stored.
    device : str
        ``"auto"`` or a torch device.

    Returns
    -------
    Trend
        The series ``"nearest neighbours"`` and ``"linear"``, in [0, 1].

    Raises
    ------
    InputError
        If there are too few trainings, or no labelled images are held out.

    Examples
    --------
    >>> accuracies_along(recipe, {5: [first_5, second_5], 10: [first, second]}).series["linear"][-1].value
    """
    found = {epoch: [recipe.accuracy(encoder, place, device) for encoder in each] for epoch, each in encoders.items()}
    series = {
        title: {epoch: over_trainings([one[kind].value for one in each], 0, 1) for epoch, each in found.items()}
        for kind, title in KINDS.items()
    }
    return over_scales("epochs", series)


def tried(recipes: Sequence[Recipe], place: str = "artifacts", device: str = "auto") -> pd.DataFrame:
    """Return how short trainings end when something is changed: the reasons for what `scaled_hyper` does.

    Parameters
    ----------
    recipes : sequence of Recipe
        Method, images and length of the trials; a recipe for each method.
    place, device
        Those of `pretrain.Trial.run`, which runs each once.

    Returns
    -------
    DataFrame
        A row for each method's title and change: ``"nearest neighbours"``, an Estimate in [0, 1] whose interval is over
        the training images that judge, which no trial sees; ``"effective rank"`` in dimensions and ``"spread"`` in
        [0, 1], both float64; and ``"collapsed"``, bool.

    Raises
    ------
    InputError
        If there is no recipe, or a set has no other images to judge by.

    Examples
    --------
    >>> recipe = pretrain.Recipe("simclr", "controlled", n=40, width=2, epochs=1, batch_size=20, precision="fp32")
    >>> tried([recipe]).loc[("SimCLR", "twice the rate"), "nearest neighbours"].n
    40
    """
    if not recipes:
        reject("the number of recipes", 0, "1 or more")
    rows = {}
    for recipe in recipes:
        for name, trial in trials(recipe).items():
            end = trial.run(place, device)
            rows[METHODS[recipe.method].TITLE, name] = {
                "nearest neighbours": end["knn"],
                "effective rank": end["effective_rank"],
                "spread": end["spread"],
                "collapsed": has_collapsed(end),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def trials_sentence(title: str, found: pd.DataFrame) -> str:
    """Return in a sentence which of a method's trials ended clearly better or worse than its training as it is here.

    Parameters
    ----------
    title : str
        Of the method.
    found : DataFrame
        Its rows of `tried`.

    Raises
    ------
    InputError
        If the training as it is here is not among them.

    Examples
    --------
    >>> recipe = pretrain.Recipe("simclr", "controlled", n=40, width=2, epochs=1, batch_size=20, precision="fp32")
    >>> trials_sentence("SimCLR", tried([recipe]).loc["SimCLR"])[:15]
    'SimCLR reaches '
    """
    if AS_TRAINED not in found.index:
        reject("the index of found", list(found.index), f"one with {AS_TRAINED!r}")
    knn = found["nearest neighbours"]
    own, others = knn[AS_TRAINED], knn.drop(AS_TRAINED)
    better = [name for name, value in others.items() if value.above(own)]
    worse = [name for name, value in others.items() if value.below(own)]
    said = [f"clearly better with {' and with '.join(better)}"] if better else []
    said += [f"clearly worse with {' and with '.join(worse)}"] if worse else []
    compared = "; ".join(said) if said else "no change makes a clear difference"
    rank = found.loc[AS_TRAINED, "effective rank"]
    return f"{title} reaches {own:.1%} as it is trained here, with an effective rank of {rank:.1f}: {compared}."
