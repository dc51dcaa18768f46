"""What the second cell of every notebook uses: the parameters, checked, and what chapters share.

The first cell, tagged ``parameters``, is plain assignments that papermill can override. The second one takes the
shared parameters from one of three classes, each of which adds to the one before, declares its own, and stops the
notebook with one sentence for each wrong value::

    class Settings(ScoreParameters):  # or EncoderParameters, ImageParameters, Parameters
        top: int = Field(ge=1, le=20)

    settings = Settings.check(globals())
    encoder = settings.encoder("simclr")
    scores = settings.scores(encoder, settings.some_images(1000))
"""

from influence_lib.notebook.pages import files_shown, span, write_scores
from influence_lib.notebook.parameters import Parameters
from influence_lib.notebook.settings import (
    EncoderParameters,
    Epochs,
    ImageParameters,
    LongerParameters,
    Method,
    Methods,
    ScoreParameters,
)

__all__ = [
    "EncoderParameters",
    "Epochs",
    "ImageParameters",
    "LongerParameters",
    "Method",
    "Methods",
    "Parameters",
    "ScoreParameters",
    "files_shown",
    "span",
    "write_scores",
]
