"""The parameters that chapters share: images, encoders, scores, each declared once with what is made of it."""

import re
from typing import Annotated, Any, Literal, Self

from influence_lib import influence, pretrain
from influence_lib.data import Collection, ImageSet
from influence_lib.influence import GaussianNoise, Scores
from influence_lib.notebook.parameters import Parameters
from influence_lib.optional import needed
from influence_lib.studies import Scorer

with needed("A notebook", "run `pip install pydantic`"):
    from pydantic import AfterValidator, BeforeValidator, Field, model_validator

__all__ = [
    "EncoderParameters",
    "Encoders",
    "Epochs",
    "ImageParameters",
    "LongerParameters",
    "Method",
    "Methods",
    "Numbers",
    "ScoreParameters",
    "TrainingsParameters",
]

TRAINED_HERE = re.compile(rf"({'|'.join(pretrain.METHODS)})(?:-seed(\d+))?(?:-epoch(\d+))?")


def listed(value: Any) -> Any:
    """Return the parts of a text that lists them between commas, without the blanks around them."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _known(methods: tuple[str, ...]) -> tuple[str, ...]:
    if not methods or not set(methods) <= set(pretrain.METHODS) or len(set(methods)) < len(methods):
        raise ValueError(f"must be some of {', '.join(pretrain.METHODS)}, each once, separated by commas")
    return methods


def _one_known(method: str) -> str:
    if method not in pretrain.METHODS:
        raise ValueError(f"must be one of {', '.join(pretrain.METHODS)}")
    return method


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) < len(names):
        raise ValueError("must be one name or more, each once, separated by commas")
    return names


def _epochs(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # papermill reads a single number from the shell as one
    parts = listed(value)
    if not isinstance(parts, tuple) or not all(isinstance(part, str) and part.isdecimal() for part in parts):
        raise ValueError("must be whole numbers from 1 on, separated by commas")
    return parts


def _ascending(epochs: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(epochs)))


Method = Annotated[str, AfterValidator(_one_known)]
"""A parameter that names one of the training methods."""

Methods = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(_known)]
"""A parameter that lists training methods between commas; in the settings a tuple."""

Encoders = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(_each_once)]
"""A parameter that lists encoders between commas; see `TrainingsParameters`."""

Epochs = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_epochs), AfterValidator(_ascending)]
"""A parameter that lists epochs between commas; in the settings whole numbers in ascending order."""

Numbers = Epochs
"""A parameter that lists other whole numbers from 1 on, in the same way."""


class ImageParameters(Parameters):
    """Settings of a chapter with images, also of a folder of the reader's own.

    A chapter narrows ``dataset`` to what it takes; ``folder`` is for the data set ``"folder"`` and nothing else. Which
    images are taken does not depend on ``seed``, which is that of everything else.

    Examples
    --------
    >>> given = {"dataset": "controlled", "folder": "", "size": 32, "damaged": "error", "seed": 0}
    >>> len(ImageParameters.check(given).some_images(50))
    50
    """

    dataset: Literal["controlled", "cifar10", "cifar100", "fairface", "folder"]
    folder: str
    size: int = Field(ge=8, le=224)
    damaged: Literal["error", "skip"]
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _folder_goes_with_dataset(self) -> Self:
        assert self.collection
        return self

    @property
    def collection(self) -> Collection:
        """Where the images come from."""
        return Collection(self.dataset, self.folder, self.size, self.damaged)

    def some_images(self, n: int | None, size: int | None = None) -> ImageSet:
        """Return `n` training images; see `data.Collection.images`."""
        return self.collection.images(n, size)


class EncoderParameters(ImageParameters):
    """Settings of a chapter that trains encoders or reads trained ones.

    Examples
    --------
    >>> settings = EncoderParameters.check(given)  # the names and values of a chapter's first cell
    >>> settings.recipe("byol").method
    'byol'
    """

    n: int = Field(ge=50)
    width: int = Field(ge=1, le=128)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    device: str
    place: Literal["artifacts", "results"]

    def recipe(self, method: str, **changed: Any) -> pretrain.Recipe:
        """Return what an encoder of this chapter is made from.

        Parameters
        ----------
        method : str
            One of `pretrain.METHODS`.
        **changed
            Fields of `Recipe` that are not the chapter's, such as another seed or data set.
        """
        if changed.get("dataset", self.dataset) != "folder":
            changed.setdefault("folder", "")
        own = ("dataset", "folder", "size", "damaged", "n", "width", "epochs", "batch_size", "seed", "precision")
        return pretrain.Recipe(method, **({name: getattr(self, name) for name in own} | changed))

    def encoder(self, method: str, **changed: Any) -> pretrain.Encoder:
        """Return the encoder of a `recipe`, trained first if it is not among the stored results."""
        return self.recipe(method, **changed).encoder(self.place, self.device)

    def untrained(self) -> pretrain.Encoder:
        """Return the control: an encoder of the same width with random weights."""
        return pretrain.stored_untrained(self.width, self.seed, place=self.place)


class LongerParameters(EncoderParameters):
    """Settings of a chapter that looks at several trainings of one setting, longer than its other encoders."""

    replicated: Methods
    trainings: int = Field(ge=3)
    longer_n: int = Field(ge=50)
    longer_epochs: int = Field(ge=2)
    longer_at: Epochs

    @model_validator(mode="after")
    def _looked_at_before_the_end(self) -> Self:
        if not self.longer_at:
            raise ValueError("longer_at is '', but it must be whole numbers from 1 on, separated by commas")
        if self.longer_at[-1] > self.longer_epochs:
            raise ValueError(
                f"longer_at ends with {self.longer_at[-1]}, but it must end with longer_epochs, {self.longer_epochs}, "
                "or before"
            )
        return self

    def longer(self, method: str, seed: int = 0, stop_at: int | None = None) -> pretrain.Encoder:
        """Return the encoder of a longer training; `seed` counts from the chapter's."""
        changed = {"n": self.longer_n, "epochs": self.longer_epochs, "seed": self.seed + seed, "stop_at": stop_at}
        return self.encoder(method, **changed)

    def along_trainings(self, method: str) -> dict[int, list[pretrain.Encoder]]:
        """Return the encoders of several longer trainings after some epochs: epoch → one for each training."""
        stops = {epoch: None if epoch == self.longer_epochs else epoch for epoch in self.longer_at}
        return {epoch: [self.longer(method, i, stop) for i in range(self.trainings)] for epoch, stop in stops.items()}


class ScoreParameters(EncoderParameters):
    """Settings of a chapter that scores images.

    Examples
    --------
    >>> ScoreParameters.check(given).noise
    GaussianNoise(mean=0.05, std=0.2, clamp=False)
    """

    noise_mean: float
    noise_std: float = Field(gt=0)
    draws: int = Field(ge=2)
    factor_pairs: int | None = Field(default=None, ge=1)

    @property
    def noise(self) -> GaussianNoise:
        """The perturbation."""
        return GaussianNoise(self.noise_mean, self.noise_std)

    def scorer(self, encoder: pretrain.Encoder) -> Scorer:
        """Return what scores images by an encoder with the chapter's perturbation, draws and seed, and stores it."""
        return Scorer(encoder, self.noise, self.draws, self.seed, self.device, self.place)

    def ekfac(self, encoder: pretrain.Encoder, images: ImageSet, **changed: Any) -> Scores:
        """Return the EK-FAC self-influence, the curvature fitted on ``factor_pairs`` pairs of views, or on all."""
        options = {"factor_pairs": self.factor_pairs} | changed
        return self.scorer(encoder).scores(influence.self_influence, images, **options)

    def logra(self, encoder: pretrain.Encoder, images: ImageSet, **changed: Any) -> Scores:
        """Return the self-influence with LoGra's curvature, fitted as EK-FAC's is."""
        return self.ekfac(encoder, images, curvature="logra", **changed)

    def gradient_norm(self, encoder: pretrain.Encoder, images: ImageSet, **changed: Any) -> Scores:
        """Return the squared gradient norm: self-influence without the curvature."""
        return self.scorer(encoder).scores(influence.self_influence, images, curvature="identity", **changed)

    def raw_loss(self, encoder: pretrain.Encoder, images: ImageSet, **changed: Any) -> Scores:
        """Return the loss itself: no gradient at all."""
        return self.scorer(encoder).scores(influence.raw_loss, images, **changed)

    def scores(self, encoder: pretrain.Encoder, images: ImageSet) -> dict[str, Scores]:
        """Return the score and the two baselines that every study has beside it: name → scores."""
        kinds = {"EK-FAC": self.ekfac, "gradient norm": self.gradient_norm, "raw loss": self.raw_loss}
        return {name: kind(encoder, images) for name, kind in kinds.items()}


class TrainingsParameters(ScoreParameters):
    """Settings of a chapter that compares encoders, several trainings of a method among them.

    An entry of ``encoders`` is a method, such as ``simclr``, ``simclr-seed1`` or ``simclr-epoch2``, which is trained
    with the chapter's other parameters, for all its epochs or some; ``untrained``, for random weights; or else the name
    of an encoder that ships, such as
    ``simclr-cifar10-50k-seed1``. Those that differ in the seed alone are trainings of one kind.
    """

    encoders: Encoders

    def trainings(self) -> dict[str, list[pretrain.Encoder]]:
        """Return title → the trainings of one kind.

        Raises
        ------
        InputError
            If a name is none of an encoder.
        """
        found: dict[str, list[pretrain.Encoder]] = {}
        for name in self.encoders:
            found.setdefault(self._title(name), []).append(self._named(name))
        return found

    def after(self, epoch: int, title: str) -> list[pretrain.Encoder]:
        """Return the trainings of a kind as they were after an epoch.

        Raises
        ------
        InputError
            If one of them was not kept there.
        """
        return [self._named(f"{name}-epoch{epoch}") for name in self.encoders if self._title(name) == title]

    def _named(self, name: str) -> pretrain.Encoder:
        if name == "untrained":
            return self.untrained()
        here = TRAINED_HERE.fullmatch(name)
        if here is None:
            return pretrain.load_checkpoint(name)
        method, seed, epoch = here.groups()
        return self.encoder(method, seed=int(seed or 0), stop_at=None if epoch is None else int(epoch))

    def _title(self, name: str) -> str:
        """Return what is not the seed or the chapter's image set, with the method as the papers call it."""
        method, *rest = re.sub(r"-seed\d+", "", name).split("-")
        title = pretrain.METHODS[method].TITLE if method in pretrain.METHODS else method
        return ", ".join([title, *(part for part in rest if part != self.dataset)])
