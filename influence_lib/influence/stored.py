"""Scores among the stored results: computed once, then read."""

import inspect
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.influence.scores import Deviation, Scores
from influence_lib.pretrain import Encoder

__all__ = ["stored_scores"]

NOT_SETTINGS = ("encoder", "images", "device", "progress", "unfinished")  # described apart, or without effect


def stored_scores(
    score: Callable[..., Scores],
    encoder: Encoder,
    images: ImageSet,
    place: str = "artifacts",
    **arguments: Any,
) -> Scores:
    """Return the stored scores of these settings, computing them first if there are none.

    What is stored is the scores of each draw and, of the fast mode, the deviation; the parts of the layers are not.

    Parameters
    ----------
    score : callable
        `self_influence` or one of the baselines on an encoder.
    encoder : Encoder
        The encoder; its `settings` are part of what identifies the scores.
    images : ImageSet
        The images to score.
    place : {"artifacts", "results"}
        Where new scores are stored.
    **arguments
        Those of `score`.

    Raises
    ------
    InputError
        If a value is not allowed.
    """
    bound = inspect.signature(score).bind(encoder, images, **arguments)
    bound.apply_defaults()
    # without the options that are not used, so that a new one leaves old results where they are
    chosen = {k: v for k, v in bound.arguments.items() if k not in NOT_SETTINGS and v is not None}
    if "unfinished" in bound.arguments:
        arguments["unfinished"] = store.repository() / "artifacts" / "unfinished"
    settings = {
        "kind": "scores",
        "name": f"{score.__name__}-{encoder.settings.get('name', 'encoder')}",
        "encoder": encoder.settings,
        "data": images.describe(),
        **{key: value.describe() if hasattr(value, "describe") else value for key, value in chosen.items()},
    }

    def compute() -> dict[str, Any]:
        scores = score(encoder, images, **arguments)
        deviation = {} if scores.deviation is None else {"deviation": asdict(scores.deviation)}
        return {"scores": {"by_draw": scores.by_draw, "ids": scores.ids}, **deviation}

    stored = store.get(settings, compute, place)
    deviation = Deviation(**stored["deviation"]) if "deviation" in stored else None
    return Scores(stored["scores"]["by_draw"], stored["scores"]["ids"], settings, deviation=deviation)
