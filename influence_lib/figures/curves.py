"""Curves: trainings over their epochs, and what changes with a setting, a number or a rank."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from influence_lib.errors import InputError, reject
from influence_lib.figures.style import COLOURS, LABEL, MANY, SMALL, check_some, grid, legend_above, looks
from influence_lib.pretrain.collapse import MIN_RANK, MIN_SPREAD

__all__ = [
    "collapse_monitors",
    "damping_curves",
    "draws_curves",
    "eigenvalue_spectra",
    "loss_curves",
    "precision_recall_curves",
    "training_curve",
    "turned_curves",
    "upweighting",
]

Array = npt.NDArray[np.float64]
History = Sequence[Mapping[str, float]]
BLUE, VERMILION, *_, BLACK = COLOURS
GREY = "0.6"
DECADES = 4  # of the eigenvalues of a matrix that are drawn, below the largest
HEIGHT = 3.2  # inches
MARKS = 12  # on a curve, at most


def training_curve(history: History) -> Figure:
    """Return the training loss over the epochs, from an encoder's ``history``.

    Raises
    ------
    InputError
        If it is empty.

    Examples
    --------
    >>> history = [{"epoch": 1, "loss": 5.1}, {"epoch": 2, "loss": 4.2}]
    >>> training_curve(history)
    """
    check_some("history", history)
    figure, (axis,) = grid(1, 2.8)
    _draw_losses(axis, history)
    axis.set(xlabel="epoch", ylabel="training loss")
    return figure


def loss_curves(histories: Mapping[str, History]) -> Figure:
    """Return the training loss over the epochs, one panel a run, each on its own scale.

    Raises
    ------
    InputError
        If there are no runs.

    Examples
    --------
    >>> history = [{"epoch": 1, "loss": 5.1}, {"epoch": 2, "loss": 4.2}]
    >>> loss_curves({"SimCLR": history})
    """
    check_some("histories", histories)
    figure, axes = grid(len(histories), 1.8, 4)
    for axis, (name, history) in zip(axes, histories.items(), strict=True):
        _draw_losses(axis, history)
        axis.set_title(name, fontsize=LABEL)
        axis.tick_params(labelsize=SMALL)
    figure.supxlabel("epoch", fontsize=LABEL)
    figure.supylabel("training loss", fontsize=LABEL)
    return figure


def _draw_losses(axis: Axes, history: History) -> None:
    epochs, losses = ([entry[key] for entry in history] for key in ("epoch", "loss"))
    axis.plot(epochs, losses, color=BLUE, marker=".", markersize=3)
    axis.grid(alpha=0.3)


def collapse_monitors(histories: Mapping[str, History]) -> Figure:
    """Return the spread and the effective rank of the representations over the epochs, all runs together.

    The dashed lines are the limits below which `pretrain.has_collapsed`.

    Raises
    ------
    InputError
        If there are no runs, or more than can be told apart.

    Examples
    --------
    >>> history = [{"epoch": e, "spread": 0.1 * e, "effective_rank": 2.0 * e} for e in (1, 2, 3)]
    >>> collapse_monitors({"SimCLR": history})
    """
    styles = looks("histories", histories)
    figure, axes = grid(2, HEIGHT, 2)
    quantities = (("spread", "spread", MIN_SPREAD), ("effective_rank", "effective rank", MIN_RANK))
    for axis, (key, label, limit) in zip(axes, quantities, strict=True):
        for (name, history), look in zip(histories.items(), styles, strict=True):
            epochs, values = [h["epoch"] for h in history], [h[key] for h in history]
            (line,) = axis.plot(epochs, values, color=look.colour, linestyle=look.line, label=name)
            line.set(marker=look.marker, markersize=4, markevery=-(-len(epochs) // MARKS))
        axis.axhline(limit, color="0.4", linestyle="--", linewidth=1, label="collapsed below")
        axis.set(xlabel="epoch", ylabel=label, ylim=(0, None))
        axis.grid(alpha=0.3)
    legend_above(figure, axes[0])
    return figure


def damping_curves(multiples: Array, curves: Mapping[str, Array]) -> Figure:
    """Return rank correlations against the damping.

    Parameters
    ----------
    multiples : array
        The dampings, in units of the mean eigenvalue.
    curves : mapping of str to array
        Name → one value a damping.

    Raises
    ------
    InputError
        If there are no curves, or more than can be told apart.

    Examples
    --------
    >>> damping_curves(np.array([0.01, 0.1, 1]), {"raw loss": np.array([0.7, 0.9, 0.95])})
    """
    styles = looks("curves", curves)
    figure, (axis,) = grid(1, HEIGHT)
    for (name, values), look in zip(curves.items(), styles, strict=True):
        axis.plot(multiples, values, color=look.colour, marker=look.marker, linestyle=look.line, label=name)
    axis.set(xscale="log", xlabel="damping λ / mean eigenvalue", ylabel="rank correlation")
    axis.grid(alpha=0.3)
    legend_above(figure, axis)
    return figure


def draws_curves(measured: Mapping[str, tuple[Array, Array]], predicted: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Return reliabilities against the number of draws that a score is averaged over.

    Parameters
    ----------
    measured, predicted : mapping of str to (draws, reliability)
        Points and lines; what has one name has one colour.

    Raises
    ------
    InputError
        If there is nothing to draw, more than can be told apart, or one of the two has a name that the other has not.

    Examples
    --------
    >>> reliability = (np.array([1, 2, 4]), np.array([0.6, 0.75, 0.85]))
    >>> draws_curves(measured={"raw loss": reliability}, predicted={"raw loss": reliability})
    """
    styles = looks("measured", measured)
    if missing := measured.keys() - predicted.keys():
        raise InputError(f"predicted has no entry for {min(missing)!r}.")
    if unmeasured := predicted.keys() - measured.keys():
        raise InputError(f"measured has no entry for {min(unmeasured)!r}.")
    figure, (axis,) = grid(1, HEIGHT)
    for (name, (draws, values)), look in zip(measured.items(), styles, strict=True):
        axis.plot(draws, values, look.marker, color=look.colour, label=name)
        axis.plot(*predicted[name], color=look.colour, linestyle="--", linewidth=1)
    axis.plot([], [], color=GREY, linestyle="--", linewidth=1, label="predicted from one draw")
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set(xlabel="draws in the average", ylabel="reliability")
    axis.grid(alpha=0.3)
    legend_above(figure, axis)
    return figure


def eigenvalue_spectra(spectra: Mapping[str, Array]) -> Figure:
    """Return the magnitudes of the eigenvalues of several matrices, the largest first, negative ones as crosses.

    Parameters
    ----------
    spectra : mapping of str to array
        Name → eigenvalues, in any order. What lies `DECADES` below the largest of a matrix is left out.

    Raises
    ------
    InputError
        If there are none, or no eigenvalues of one, or more than can be told apart.

    Examples
    --------
    >>> eigenvalue_spectra({"Hessian": np.array([3.0, 1.0, -0.5])})
    """
    styles = looks("spectra", spectra)
    for name, values in spectra.items():
        check_some(f"spectra[{name!r}]", values)
    figure, (axis,) = grid(1, HEIGHT)
    for (name, values), look in zip(spectra.items(), styles, strict=True):
        ordered = values[np.abs(values).argsort()[::-1]]
        ordered = ordered[np.abs(ordered) > 10.0**-DECADES * np.abs(ordered).max()]
        index, positive = np.arange(1, len(ordered) + 1), ordered > 0
        shared: dict[str, Any] = {"color": look.colour, "linestyle": "", "rasterized": len(ordered) > MANY}
        axis.plot(index[positive], ordered[positive], marker=look.marker, markersize=3, label=name, **shared)
        if not positive.all():
            negative = f"{name}, negative"
            axis.plot(index[~positive], -ordered[~positive], marker="x", markersize=6, label=negative, **shared)
    axis.set(yscale="log", xlabel="eigenvalue, the largest magnitude first", ylabel="magnitude")
    axis.grid(alpha=0.3)
    legend_above(figure, axis)
    return figure


def precision_recall_curves(panels: Mapping[str, tuple[Mapping[str, pd.DataFrame], float]]) -> Figure:
    """Return precision against recall, a panel a task, with the base rate as a dashed line.

    Parameters
    ----------
    panels : mapping of str to (curves, float)
        Title → name of a ranking → columns ``"recall"`` and ``"precision"``, as
        `studies.duplicates.precision_and_recall` returns them; and the base rate.

    Raises
    ------
    InputError
        If there is nothing to draw, or more than can be told apart.

    Examples
    --------
    >>> curve = pd.DataFrame({"recall": [0.0, 0.5, 1.0], "precision": [1.0, 0.6, 0.2]})
    >>> precision_recall_curves({"duplicates": ({"EK-FAC": curve}, 0.2)})
    """
    check_some("panels", panels)
    for title, (curves, _) in panels.items():
        check_some(f"the curves of {title!r}", curves)
    names = list(dict.fromkeys(name for curves, _ in panels.values() for name in curves))
    styles = dict(zip(names, looks("the curves", names), strict=True))
    figure, axes = grid(len(panels), HEIGHT + 0.5, 2, sharey=True)
    for axis, (title, (curves, rate)) in zip(axes, panels.items(), strict=True):
        for name, curve in curves.items():
            look = styles[name]
            axis.plot(curve["recall"], curve["precision"], color=look.colour, linestyle=look.line, label=name)
        axis.axhline(rate, color=BLACK, linestyle="--", linewidth=1, label="base rate")
        axis.set(xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        axis.set_title(title, fontsize=LABEL)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("precision")
    handles = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    handles |= {"base rate": handles.pop("base rate")}  # the last
    figure.legend(handles.values(), handles.keys(), fontsize=SMALL, loc="outside lower center", ncols=2)
    return figure


def upweighting(θ: Array, objectives: Mapping[str, Array], weights: Array, exact: Array, predicted: Array) -> Figure:
    """Return objectives of one parameter with their minima, and the minimum against the weight of one example.

    Parameters
    ----------
    θ : array
        Values of the parameter.
    objectives : mapping of str to array
        Name → the objective at each θ.
    weights : array
        Weights that the example has in addition to its own.
    exact, predicted : array
        The minimum at each weight, and the tangent to it at weight 0.

    Raises
    ------
    InputError
        If there are no objectives, or more than can be told apart.

    Examples
    --------
    >>> θ, weights = np.linspace(-1, 1, 50), np.linspace(-0.2, 0.2, 5)
    >>> upweighting(θ, {"all": θ**2}, weights, exact=weights / (1 + weights), predicted=weights)
    """
    styles = looks("objectives", objectives)
    figure, (left, right) = grid(2, HEIGHT, 2)
    for (name, values), look in zip(objectives.items(), styles, strict=True):
        lowest = int(values.argmin())
        left.plot(θ, values, color=look.colour, linestyle=look.line, label=name)
        left.plot(θ[lowest], values[lowest], color=look.colour, marker=look.marker)
    left.set(xlabel=r"parameter $\theta$", ylabel="mean loss")
    right.plot(weights, exact, color=BLUE, label="minimised again")
    right.plot(weights, predicted, color=VERMILION, linestyle="--", label=r"tangent, slope $-H^{-1}g$")
    right.axvline(0, color=BLACK, linestyle=":", linewidth=1)
    right.set(xlabel="weight that the example gains", ylabel=r"minimum $\hat\theta$")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=SMALL)
    return figure


def turned_curves(panels: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Return the share of the predictions that so many changes turn, a step curve for each ranking, in panels.

    Parameters
    ----------
    panels : mapping of str to mapping of str to DataFrame
        What was changed → ranking → rows of `studies.attribution.turned`.

    Raises
    ------
    InputError
        If there is no panel or no ranking.

    Examples
    --------
    >>> steps = pd.DataFrame({"size": [1, 8], "share": [0.1, 0.5], "low": [0, 0.2], "high": [0.3, 0.8]})
    >>> turned_curves({"removal": {"random": steps}})
    """
    check_some("panels", panels)
    figure, axes = grid(len(panels), HEIGHT, 2, sharey=True)
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for (name, rows), look in zip(curves.items(), looks("rankings", curves), strict=True):
            colour, style = look.colour, look.line
            axis.step(rows["size"], rows["share"], where="post", color=colour, linestyle=style, label=name)
            axis.fill_between(rows["size"], rows["low"], rows["high"], step="post", color=colour, alpha=0.08)
        axis.set_title(title, fontsize=LABEL)
        axis.set(xlabel="images changed", ylim=(-0.02, 1.02), xscale="symlog")
    axes[0].set_ylabel("share of predictions turned", fontsize=LABEL)
    legend_above(figure, axes[0])
    return figure


def representation_curves(ratios: pd.DataFrame, low: pd.DataFrame, high: pd.DataFrame) -> Figure:
    """Return the representation ratio of each group against the size of the top, with the band of chance, in panels.

    Parameters
    ----------
    ratios, low, high : DataFrame
        A row for each size of the top, a column for each group, as a `studies.fairness.Representation` has them.

    Raises
    ------
    InputError
        If there are no groups, or the tables have other rows or columns.

    Examples
    --------
    >>> ratios = pd.DataFrame({"cats": [1.5, 1.2], "dogs": [0.5, 0.8]}, index=[10, 50])
    >>> representation_curves(ratios, 0 * ratios + 0.6, 0 * ratios + 1.4)
    """
    check_some("groups", list(ratios))
    for name, limits in (("low", low), ("high", high)):
        if not (limits.index.equals(ratios.index) and limits.columns.equals(ratios.columns)):
            reject(f"the rows and columns of {name}", limits.shape, f"those of ratios, {ratios.shape}")
    figure, axes = grid(len(ratios.columns), HEIGHT * 0.8, 3, sharex=True, sharey=True)
    for axis, group in zip(axes, ratios, strict=True):
        axis.fill_between(ratios.index, low[group], high[group], color="0.85", label="chance")
        axis.axhline(1, color=BLACK, linestyle="--", linewidth=1)
        axis.plot(ratios.index, ratios[group], color=COLOURS[0], marker="o", markersize=4, label="representation ratio")
        axis.set_title(group, fontsize=LABEL)
        axis.set(xscale="log", ylim=(0, None))
    figure.supxlabel("images that count as the top", fontsize=LABEL)
    legend_above(figure, axes[0])
    return figure
