"""What the second cell of every notebook uses: the parameters, checked, and what chapters share.

The first cell, tagged ``parameters``, is plain assignments that papermill can override. The second one takes the
shared parameters from one of four classes, each of which adds to the one before, declares its own, and stops the
notebook with one sentence for each wrong value::

    class Settings(ScoreParameters):  # or TrainingsParameters, EncoderParameters, ImageParameters, Parameters
        top: int = Field(ge=1, le=20)

    settings = Settings.check(globals())
    encoder = settings.encoder("simclr")
    scores = settings.scores(encoder, settings.some_images(1000))
"""

from influence_lib.notebook.attributions import AttributionParameters
from influence_lib.notebook.pages import files_shown, span, write_scores
from influence_lib.notebook.parameters import Parameters
from influence_lib.notebook.settings import (
    EncoderParameters,
    Encoders,
    Epochs,
    ImageParameters,
    LongerParameters,
    Method,
    Methods,
    Numbers,
    ScoreParameters,
    TrainingsParameters,
)
from influence_lib.notebook.sweeps import SweepParameters

__all__ = [
    "AttributionParameters",
    "EncoderParameters",
    "Encoders",
    "Epochs",
    "ImageParameters",
    "LongerParameters",
    "Method",
    "Methods",
    "Numbers",
    "Parameters",
    "ScoreParameters",
    "SweepParameters",
    "TrainingsParameters",
    "files_shown",
    "span",
    "write_scores",
]
