"""Scores and cross-influence among the stored results: computed once, then read."""

import inspect
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.influence.cross import CrossInfluence, cross_influence
from influence_lib.influence.scores import Deviation, Scores
from influence_lib.pretrain import Encoder

__all__ = ["stored_cross_influence", "stored_scores"]

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
    call, settings = _described("scores", score, encoder, images=images, **arguments)

    def compute() -> dict[str, Any]:
        scores = call()
        deviation = {} if scores.deviation is None else {"deviation": asdict(scores.deviation)}
        return {"scores": {"by_draw": scores.by_draw, "ids": scores.ids}, **deviation}

    stored = store.get(settings, compute, place)
    deviation = Deviation(**stored["deviation"]) if "deviation" in stored else None
    return Scores(stored["scores"]["by_draw"], stored["scores"]["ids"], settings, deviation=deviation)


def stored_cross_influence(
    encoder: Encoder, queries: ImageSet, images: ImageSet, place: str = "artifacts", **arguments: Any
) -> CrossInfluence:
    """Return the stored `cross_influence` of these settings, computing it first if there is none.

    Parameters
    ----------
    encoder : Encoder
        The encoder; its `settings` are part of what identifies the result.
    queries, images : ImageSet
        Those of `cross_influence`.
    place : {"artifacts", "results"}
        Where a new result is stored.
    **arguments
        The others of `cross_influence`.

    Raises
    ------
    InputError
        If a value is not allowed.
    """
    call, settings = _described(
        "cross-influence", cross_influence, encoder, images=images, queries=queries, **arguments
    )
    stored = store.get(settings, lambda: {"cross": vars(call())}, place)["cross"]
    return CrossInfluence(**stored)


def _described(
    kind: str, function: Callable[..., Any], encoder: Encoder, **arguments: Any
) -> tuple[Callable[[], Any], dict[str, Any]]:
    """Return a call of a function on an encoder and some images, and the settings that identify its result."""
    bound = inspect.signature(function).bind(encoder=encoder, **arguments)
    bound.apply_defaults()
    # without the options that are not used, so that a new one leaves old results where they are
    chosen = {k: v for k, v in bound.arguments.items() if k not in NOT_SETTINGS and v is not None and v is not False}
    if "unfinished" in bound.arguments:
        arguments["unfinished"] = store.repository() / "artifacts" / "unfinished"
    settings = {
        "kind": kind,
        "name": f"{function.__name__}-{encoder.settings.get('name', 'encoder')}",
        "encoder": encoder.settings,
        "data": arguments["images"].describe(),
        **{key: value.describe() if hasattr(value, "describe") else value for key, value in chosen.items()},
    }
    return partial(function, encoder, **arguments), settings
