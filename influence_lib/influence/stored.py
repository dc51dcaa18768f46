"""Scores and cross-influence among the stored results: computed once, then read."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from influence_lib import store
from influence_lib.data import ImageSet
from influence_lib.device import resolved_precision
from influence_lib.influence.cross import CrossInfluence, cross_influence
from influence_lib.influence.curvature.approximations import FitOptions
from influence_lib.influence.scores import Deviation, Scores
from influence_lib.pretrain import fingerprint

__all__ = ["are_stored", "stored_cross_influence", "stored_scores"]

NOT_SETTINGS = ("encoder", "device", "progress", "unfinished")  # described apart, or without effect
STORED_AS = {"images": "data"}  # argument → setting, where the names differ
REVISIONS = {"self_influence": 1, "cross_influence": 1, "raw_loss": 1, "embedding_norm": 1, "knn_distance": 1}
"""Of the rule behind each result; see `store.revision`."""


def stored_scores(
    score: Callable[..., Scores],
    encoder: nn.Module,
    images: ImageSet,
    place: str = "artifacts",
    **arguments: Any,
) -> Scores:
    """Return the stored scores of these settings, computing them first if there are none.

    What is stored is the scores of each draw and, of truncated EK-FAC, the deviation; the parts of the layers are not.

    Parameters
    ----------
    score : callable
        `self_influence` or one of the baselines on an encoder.
    encoder : nn.Module
        The encoder, identified by its weights (`pretrain.fingerprint`). The name in its `settings`, where it has one,
        is a label.
    images : ImageSet
        The images to score, identified by their pixels.
    place : {"artifacts", "results"}
        Where new scores are stored.
    **arguments
        Those of `score`.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> stored_scores(influence.self_influence, encoder, images, draws=2)
    """
    call, settings = _described("scores", score, encoder, images=images, **arguments)

    def compute() -> dict[str, Any]:
        scores = call()
        deviation = {} if scores.deviation is None else {"deviation": asdict(scores.deviation)}
        return {"scores": {"by_draw": scores.by_draw, "ids": scores.ids}, **deviation}

    stored = store.get(settings, compute, place)
    deviation = Deviation(**stored["deviation"]) if "deviation" in stored else None
    return Scores(stored["scores"]["by_draw"], stored["scores"]["ids"], settings, deviation=deviation)


def are_stored(score: Callable[..., Scores], encoder: nn.Module, images: ImageSet, **arguments: Any) -> bool:
    """Return whether `stored_scores` would find the scores of these settings; its parameters are the same.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> are_stored(influence.self_influence, encoder, images, draws=2)
    False
    """
    _, settings = _described("scores", score, encoder, images=images, **arguments)
    return store.find(settings) is not None


def stored_cross_influence(
    encoder: nn.Module, queries: ImageSet, images: ImageSet, place: str = "artifacts", **arguments: Any
) -> CrossInfluence:
    """Return the stored `cross_influence` of these settings, computing it first if there is none.

    Parameters
    ----------
    encoder : nn.Module
        As in `stored_scores`.
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

    Examples
    --------
    >>> stored_cross_influence(encoder, images.subset([3]), images).highest(query=0, k=10)
    """
    call, settings = _described(
        "cross-influence", cross_influence, encoder, images=images, queries=queries, **arguments
    )
    stored = store.get(settings, lambda: {"cross": vars(call())}, place)["cross"]
    return CrossInfluence(**stored)


def _described(
    kind: str, function: Callable[..., Any], encoder: nn.Module, **arguments: Any
) -> tuple[Callable[[], Any], dict[str, Any]]:
    """Return a call of a function on an encoder and some images, and the settings that identify its result."""
    bound = inspect.signature(function).bind(encoder=encoder, **arguments)
    bound.apply_defaults()
    chosen = {key: value for key, value in bound.arguments.items() if key not in NOT_SETTINGS}
    if "curvature" in chosen:
        options = {field.name: chosen.pop(field.name) for field in fields(FitOptions) if field.name in chosen}
        chosen |= FitOptions(**options).describe()
    if "precision" in chosen:
        chosen["precision"] = resolved_precision(chosen["precision"], bound.arguments["device"])
    if "unfinished" in bound.arguments:
        arguments["unfinished"] = store.repository() / "artifacts" / "unfinished"
    name = getattr(encoder, "settings", {}).get("name", "encoder")
    settings = {
        "kind": kind,
        "name": f"{function.__name__}-{name}",
        "score": function.__name__,
        "encoder": fingerprint(encoder),
        # without the options that are not used, so that a new one leaves old results where they are
        **{STORED_AS.get(key, key): _plain(value) for key, value in chosen.items() if value is not None},
        **store.revision(REVISIONS.get(function.__name__, 1)),
    }
    return partial(function, encoder, **arguments), settings


def _plain(value: Any) -> Any:
    """Return an argument as the settings hold it; NumPy's numbers as Python's."""
    if hasattr(value, "describe"):
        return value.describe()
    return value.item() if isinstance(value, np.generic) else value
