"""Figures of the theory chapter, from the numbers of `influence_lib.theory.curves`."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from influence_lib.figures.style import COLOURS, WIDTH
from influence_lib.theory.curves import CosineAndEuclidean, GroupRemainder, LeveragePlane, Order, Orders, Remainder

__all__ = ["cosine_and_euclidean", "group_remainder", "leverage_plane", "orders"]

BLUE, VERMILION, GREEN, PURPLE, *_, BLACK = COLOURS
GREY = "0.6"


def leverage_plane(plane: LeveragePlane) -> Figure:
    """Return the directions with their leverage, and beside them the ranks under either Hessian.

    Left, an arrow for each perturbation, coloured by leverage, with the ellipse of mean leverage and the direction
    that the encoder sees. Right, a line for each example from its rank under its own Hessian to its rank under the
    data set's: lines that cross are pairs that change order.

    Examples
    --------
    >>> from influence_lib.theory import curves
    >>> leverage_plane(curves.leverage_plane())
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.2), layout="constrained", width_ratios=(1.1, 1))
    _draw_plane(left, plane)
    _draw_ranks(right, plane)
    return figure


def _draw_plane(axis: Axes, plane: LeveragePlane) -> None:
    limit = 1.12 * max(1.0, float(np.abs(plane.ellipse).max()))
    row = plane.encoder / np.linalg.norm(plane.encoder)
    axis.axline((0, 0), tuple(row), color=BLACK, linestyle=":", linewidth=1.2, label="direction of $W^T$")
    axis.plot(*plane.ellipse.T, color=VERMILION, linestyle="--", linewidth=1.2, label="mean leverage")
    arrows = axis.quiver(
        *np.zeros_like(plane.directions).T,
        *plane.directions.T,
        plane.leverage,
        cmap="cividis",
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.008,
        zorder=3,
    )
    x, y = plane.directions.T
    axis.scatter(x, y, c=plane.leverage, cmap="cividis", s=28, edgecolors="black", linewidths=0.5, zorder=4)
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axis.set(xlabel="first coordinate", ylabel="second coordinate")
    axis.set_title(r"Directions $\delta_i$ of the perturbations", fontsize=10)
    _legend_below(axis)
    axis.figure.colorbar(arrows, ax=axis, label=r"leverage $\ell_i$", fraction=0.05, aspect=25)


def _draw_ranks(axis: Axes, plane: LeveragePlane) -> None:
    labels: dict[tuple[float, float], list[int]] = {}
    for i, ranks in enumerate(zip(plane.own_rank, plane.dataset_rank, strict=True)):
        labels.setdefault(ranks, []).append(i)
    for (own, dataset), examples in labels.items():
        name = ", ".join(str(i + 1) for i in examples)
        colour, style = _change(own, dataset)
        axis.plot([0, 1], [own, dataset], color=colour, linestyle=style, marker="o", markersize=5)
        axis.text(-0.06, own, f"{plane.own[examples[0]]:.3g}", ha="right", va="center", fontsize=8)
        axis.text(1.06, dataset, f"{plane.dataset[examples[0]]:.3g}  (no. {name})", va="center", fontsize=8)
    for name, ranks in {"rises": (1.0, 0.0), "falls": (0.0, 1.0), "stays": (0.0, 0.0)}.items():
        colour, style = _change(*ranks)
        axis.plot([], [], color=colour, linestyle=style, marker="o", markersize=5, label=name)
    n = len(plane.own)
    axis.set_xticks([0, 1], ["own\nHessian", "data-set\nHessian"])
    axis.set(xlim=(-0.35, 1.6), ylim=(n + 0.6, 0.4), ylabel="rank (1: largest)")
    axis.set_title(
        f"Influence/$\\varepsilon^2$: {len(plane.flips)} of {n * (n - 1) // 2} pairs change order", fontsize=10
    )
    axis.set_yticks(range(1, n + 1))
    axis.spines[["top", "right"]].set_visible(False)
    _legend_below(axis)


def _legend_below(axis: Axes) -> None:
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, fontsize=8, frameon=False)


def _change(own: float, dataset: float) -> tuple[str, str]:
    """Return colour and line style for an example that rises, falls or stays."""
    if dataset < own:
        return VERMILION, "-"
    return (BLUE, "--") if dataset > own else (GREY, "-")


def cosine_and_euclidean(cosine: CosineAndEuclidean) -> Figure:
    """Return the cosine loss against the Euclidean loss, the paper's multiple of it, and the second-order term.

    One point an example; on the dashed diagonal the two axes are equal. The titles give the rank correlations.

    Examples
    --------
    >>> from influence_lib.theory import curves
    >>> cosine_and_euclidean(curves.cosine_and_euclidean(n=50))
    """
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.3), sharey=True, layout="constrained")
    panels = [
        ("Euclidean loss", r"$\varepsilon^2\|W\delta\|^2$", cosine.raw, BLUE, "o"),
        ("as printed", r"$\varepsilon^2\|W\delta\|^2/2\|Wx\|^2$", cosine.printed, VERMILION, "^"),
        ("second order", r"$\varepsilon^2\|p\|^2/2\|Wx\|^2$, $p$ across $Wx$", cosine.corrected, GREEN, "s"),
    ]
    for axis, (name, formula, approximation, colour, marker) in zip(axes, panels, strict=True):
        axis.scatter(approximation.values, cosine.loss, s=7, alpha=0.5, color=colour, marker=marker, linewidths=0)
        axis.set(xscale="log", yscale="log", xlabel=formula)
        axis.set_title(f"{name}\nSpearman {approximation.spearman:.3f}", fontsize=10)
        axis.autoscale(False)  # the points alone set the limits
        axis.axline((1e-3, 1e-3), (1e-2, 1e-2), color=BLACK, linestyle="--", linewidth=1, label="equal")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(r"cosine loss $1-\cos(Wx,\,W(x+\varepsilon\delta))$")
    axes[0].legend(loc="upper left", fontsize=8)
    return figure


def orders(curves: Orders) -> Figure:
    """Return the magnitudes of five influences against ε on logarithmic axes, each with its slope at the left end.

    Lines where −gᵀ(H + λI)⁻¹g is negative, as it should be, and crosses where it is positive.

    Examples
    --------
    >>> from influence_lib.theory import curves
    >>> orders(curves.orders())
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.4), sharey=True, layout="constrained")
    damped = f"$\\lambda={curves.damping:g}$"
    _draw_order(left, curves, curves.theorem, r"Theorem 1, $\lambda\to0$", BLUE, "-")
    _draw_order(left, curves, curves.theorem_damped, f"Theorem 1, {damped}", VERMILION, "--")
    _draw_order(right, curves, curves.gauss_newton, r"Gauss–Newton, $\lambda\to0$", BLUE, "-")
    _draw_order(right, curves, curves.gauss_newton_damped, f"Gauss–Newton, {damped}", VERMILION, "--")
    _draw_order(right, curves, curves.cosine_damped, f"exact Hessian, {damped}", GREEN, ":")
    for axis, title in ((left, "Euclidean loss"), (right, "cosine loss (Eq. 6)")):
        axis.set(xscale="log", yscale="log", title=title, xlabel=r"size of the perturbation $\varepsilon$")
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right", fontsize=8)
    left.set_ylabel(r"magnitude of the influence $-g^T(H+\lambda I)^{-1}g$")
    return figure


def _draw_order(axis: Axes, curves: Orders, order: Order, name: str, colour: str, style: str) -> None:
    label = f"{name}: slope {order.slope:.2f}"
    negative = np.where(order.influence <= 0, -order.influence, np.nan)
    positive = np.where(order.influence > 0, order.influence, np.nan)
    axis.plot(curves.eps, negative, color=colour, linestyle=style, linewidth=1.8, label=label)
    if (order.influence > 0).any():
        axis.plot(
            curves.eps, positive, color=PURPLE, linestyle="", marker="x", markersize=4, label="the same, where positive"
        )


def group_remainder(groups: GroupRemainder) -> Figure:
    """Return the magnitude of the remainder against the size of the subset, for copies and for random examples.

    Examples
    --------
    >>> from influence_lib.theory import curves
    >>> group_remainder(curves.group_remainder())
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.4), sharey=True, layout="constrained")
    panels = {"copies of one example": groups.copies, "random examples": groups.random}
    for axis, (title, remainder) in zip(axes, panels.items(), strict=True):
        _draw_remainder(axis, groups, remainder)
        axis.set(title=title, xlabel="examples in the subset, $|S|$")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(r"magnitude of the remainder, $|R(S)|/\varepsilon^2$")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _draw_remainder(axis: Axes, groups: GroupRemainder, remainder: Remainder) -> None:
    curves = [
        (remainder.printed, "paper (Claim 6)", VERMILION, "^", ""),
        (remainder.printed_bound, "paper's bound (Claim 7)", VERMILION, "", "--"),
        (remainder.dataset, "data-set Hessian", BLUE, "o", ""),
        (remainder.dataset_bound, "bound, data-set Hessian", BLUE, "", "-."),
        (remainder.own, "own Hessians", GREEN, "s", ""),
    ]
    for values, name, colour, marker, style in curves:
        axis.plot(groups.sizes, np.abs(values), color=colour, marker=marker, linestyle=style, markersize=4, label=name)
    # linear below 0.1, where a logarithmic axis would hide the remainders that are zero
    axis.set_yscale("symlog", linthresh=0.1)
    axis.set_ylim(bottom=-0.02)
