"""Training augmentations: one random draw for every image, on the device that trains."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from influence_lib.errors import check_number, reject
from influence_lib.optional import needed

__all__ = ["Augmentation", "AugmentationSettings"]


@dataclass(frozen=True)
class AugmentationSettings:
    """Strengths and probabilities; the defaults are the papers'.

    Table 1 of the paper lost its labels. Its twelve values are those of solo-learn 1.0.2's twelve augmentation
    options in the order in which solo-learn declares them, which is the reading taken here.

    Parameters
    ----------
    brightness, contrast, saturation, hue : float
        Largest relative change; of the hue, in turns of the colour circle.
    jitter_probability, gray_probability, flip_probability, blur_probability, solarize_probability : float
        How often each is applied.
    blur_sigma : tuple of float
        Range of the blur's standard deviation in pixels.
    min_scale, max_scale : float
        Range of the crop's area as a part of the image's.

    Raises
    ------
    InputError
        If a value is outside what it can be.

    Examples
    --------
    >>> AugmentationSettings(blur_probability=0.0)
    """

    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.8
    hue: float = 0.2
    jitter_probability: float = 0.8
    gray_probability: float = 0.2
    flip_probability: float = 0.5
    blur_probability: float = 0.2
    solarize_probability: float = 0.2
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    min_scale: float = 0.08
    max_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            self._check(name, least=0)
        self._check("hue", least=0, most=0.5)
        for name in ("jitter", "gray", "flip", "blur", "solarize"):
            self._check(f"{name}_probability", least=0, most=1)
        self._check("max_scale", above=0, most=1)
        self._check("min_scale", above=0, most=self.max_scale)
        low_high = self.blur_sigma
        if not isinstance(low_high, Sequence) or isinstance(low_high, str) or len(low_high) != 2:
            reject("blur_sigma", low_high, "two numbers, the least and the largest standard deviation in pixels")
        low = check_number("blur_sigma", low_high[0], above=0)
        object.__setattr__(self, "blur_sigma", (low, check_number("blur_sigma", low_high[1], least=low)))

    def _check(self, name: str, least: float = -math.inf, most: float = math.inf, above: float = -math.inf) -> None:
        object.__setattr__(self, name, check_number(name, getattr(self, name), least, most, above))

    def describe(self) -> dict[str, object]:
        """Return the settings as JSON-able values."""
        return {**asdict(self), "blur_sigma": list(self.blur_sigma)}


class Augmentation(nn.Module):
    """Draw one view of every image of a batch.

    The operations and their order are solo-learn's: crop and resize (bicubic), colour jitter, grayscale, blur,
    solarize, flip. They come from kornia, which draws different parameters for every image of a batch;
    torchvision's batched transforms draw one set for the whole batch. One thing is coarser than with single
    images: the order of the four colour changes is drawn once for the batch.

    Parameters
    ----------
    size : int
        Height and width of the views in pixels.
    settings : AugmentationSettings
        Strengths and probabilities.
    """

    def __init__(self, size: int, settings: AugmentationSettings | None = None):
        super().__init__()
        with needed("Training", "run `pip install kornia`"):  # seconds of import that only training needs
            from kornia import augmentation as K
            from kornia.constants import Resample

        s = settings or AugmentationSettings()
        # wide enough for three standard deviations of the strongest blur
        kernel = 2 * round(3 * s.blur_sigma[1]) + 1
        steps = [
            K.RandomResizedCrop(
                (size, size),
                scale=(s.min_scale, s.max_scale),
                resample=Resample.BICUBIC,
                cropping_mode="resample",
            ),
            K.ColorJitter(s.brightness, s.contrast, s.saturation, s.hue, p=s.jitter_probability),
            K.RandomGrayscale(p=s.gray_probability),
            K.RandomGaussianBlur((kernel, kernel), s.blur_sigma, p=s.blur_probability),
            K.RandomSolarize(0.0, 0.0, p=s.solarize_probability),
            K.RandomHorizontalFlip(p=s.flip_probability),
        ]
        self.steps = nn.ModuleList(steps)

    def draw(self, shape: torch.Size) -> list[dict[str, Tensor]]:
        """Return random parameters of every step for a batch of this shape, from torch's default generator."""
        return [step.forward_parameters(shape) for step in self.steps]  # type: ignore[operator]

    @torch.no_grad()
    def forward(self, x: Tensor, drawn: list[dict[str, Tensor]]) -> Tensor:
        """Return one view of each image.

        Parameters
        ----------
        x : Tensor
            B×3×H×W, pixels in [0, 1].
        drawn : list of dict
            What `draw` returned. Apart from it the view is a function of `x` alone, so that views can be made
            in parallel threads without sharing a random generator.

        Returns
        -------
        Tensor
            B×3×size×size, pixels in [0, 1].
        """
        for step, parameters in zip(self.steps, drawn, strict=True):
            # bicubic resizing overshoots, and PIL, which solo-learn uses, clips after every operation
            x = step(x, params=parameters).clamp_(0.0, 1.0)
        return x
