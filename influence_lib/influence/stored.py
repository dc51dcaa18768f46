"""Scores among the stored results: computed once, then read."""

import inspect
from collections.abc import Callable
from typing import Any

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.influence.scores import Scores
from influence_lib.pretrain import Encoder

__all__ = ["stored_scores"]

NOT_SETTINGS = ("encoder", "images", "device", "progress")  # described apart, or without effect on the scores


def stored_scores(
    score: Callable[..., Scores],
    encoder: Encoder,
    images: ImageSet,
    place: str = "artifacts",
    **arguments: Any,
) -> Scores:
    """Return the stored scores of these settings, computing them first if there are none.

    Parameters
    ----------
    score : callable
        `self_influence` or `raw_loss`.
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
    chosen = {key: value for key, value in bound.arguments.items() if key not in NOT_SETTINGS}
    settings = {
        "kind": "scores",
        "name": f"{score.__name__}-{encoder.settings.get('name', 'encoder')}",
        "encoder": encoder.settings,
        "data": images.describe(),
        **{key: value.describe() if hasattr(value, "describe") else value for key, value in chosen.items()},
    }

    def compute() -> dict[str, Any]:
        scores = score(encoder, images, **arguments)
        return {"scores": {"by_draw": scores.by_draw, "ids": scores.ids}}

    stored = store.get(settings, compute, place)["scores"]
    return Scores(stored["by_draw"], stored["ids"], settings)
