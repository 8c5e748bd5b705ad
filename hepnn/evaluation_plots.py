"""Plots of comparisons: ROC with ratios, efficiencies against columns, mass, reliability. Results in, axes out.

As in `hepnn.plots`, nothing is worked out here, and the figure is ``axes.figure``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hepnn.calibration import Reliability
from hepnn.errors import InputError
from hepnn.insight import Importance, Occlusion
from hepnn.paired import RejectionRatio
from hepnn.plots import AREA_OF_JET_PT, COLORS, around_axis, plot_roc, styled
from hepnn.roc import Roc
from hepnn.sculpting import MassSculpting, Spectrum
from hepnn.working_points import Efficiencies

__all__ = [
    "COLUMN_LABELS",
    "plot_efficiencies",
    "plot_importance",
    "plot_mass",
    "plot_occlusion",
    "plot_reliability",
    "plot_roc_ratio",
]

COLUMN_LABELS = {
    "pt": "jet $p_T$ [GeV]",
    "eta": r"jet $\eta$",
    "abs_eta": r"jet $|\eta|$",
    "phi": r"jet $\varphi$ [rad]",
    "energy": "jet energy [GeV]",
    "mass": "jet mass [GeV]",
    "n_particles": "particles in the jet",
    "n_cells": "cells in the shower",
}
"""What columns are called on an axis; others by their name."""

_LEAST_AREA = 8.0
"""Area, in square points, below which nobody would see the colour of a particle."""

_LEAST_REACH = 0.4
"""Half the width of a display of a jet, in rad, at least."""

_ROOM = 0.12
"""Share of the range of an axis that is left free above and below what is drawn."""


def plot_roc_ratio(rocs: Mapping[str, Roc], ratios: Mapping[str, RejectionRatio]) -> Axes:
    """Returns axes with ROC curves (`hepnn.plots.plot_roc`); a panel below has each rejection over the first one's.

    Bands are ±1σ; that of a ratio knows that both taggers saw the same jets.

    Args:
        rocs: curves by the tagger's name; the first is the reference.
        ratios: by the names of the others.

    Raises:
        InputError: no curve, or ratios of other taggers.
    """
    names = list(rocs)
    if list(ratios) != names[1:]:
        raise InputError(f"asked for ratios to {names[:1]} of {names[1:]}; found those of {list(ratios)}.")
    with styled():
        figure = Figure(figsize=(6.4, 6.6), layout="constrained")
        grid = figure.add_gridspec(2, 1, height_ratios=[2.6, 1])
        axes = plot_roc(rocs, ax=figure.add_subplot(grid[0]))
        below = figure.add_subplot(grid[1], sharex=axes)
        below.axhline(1, color=COLORS[0], lw=2)
        for i, ratio in enumerate(ratios.values(), start=1):
            color = COLORS[i % len(COLORS)]
            below.plot(ratio.signal_efficiency, ratio.ratio, color=color)
            below.fill_between(
                ratio.signal_efficiency,
                ratio.ratio - ratio.error,
                ratio.ratio + ratio.error,
                color=color,
                alpha=0.25,
                lw=0,
            )
        shown = [
            side[ratio.signal_efficiency >= axes.get_xlim()[0]]
            for ratio in ratios.values()
            for side in (ratio.ratio - ratio.error, ratio.ratio + ratio.error)
        ]
        _frame(below, np.concatenate([*shown, [1.0]]))
        below.set(ylabel=f"ratio to\n{names[0]}")
        below.set_xlabel(axes.get_xlabel())
        axes.set_xlabel("")
        axes.tick_params(labelbottom=False)
        figure.align_ylabels([axes, below])
    return axes


def plot_efficiencies(
    against: Mapping[str, Mapping[str, Mapping[str, Efficiencies]]], *, labels: Mapping[str, str] = COLUMN_LABELS
) -> Axes:
    """Returns the first of several axes with the share of jets that pass a cut, against columns.

    Columns stand side by side, classes one below another, taggers in one panel.

    Args:
        against: by column, by class, by tagger.
        labels: of the columns' axes.

    Raises:
        InputError: nothing to draw.
    """
    if not against or not all(against.values()):
        raise InputError("asked to draw efficiencies; found none. Give at least one column and class.")
    classes = list(next(iter(against.values())))
    with styled():
        size = (1.2 + 4.2 * len(against), 1.0 + 2.9 * len(classes))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(classes), len(against), sharex="col", squeeze=False)
        for j, (column, by_class) in enumerate(against.items()):
            for i, (name, by_tagger) in enumerate(by_class.items()):
                axes: Axes = panels[i, j]
                for color, (tagger, found) in zip(COLORS, by_tagger.items(), strict=False):
                    middle, half = (found.edges[1:] + found.edges[:-1]) / 2, np.diff(found.edges) / 2
                    axes.errorbar(
                        middle,
                        found.value,
                        yerr=found.error,
                        xerr=half,
                        fmt="o",
                        ms=4,
                        lw=1.6,
                        color=color,
                        label=tagger,
                    )
                ends = np.concatenate([f.value + side * f.error for f in by_tagger.values() for side in (-1, 1)])
                _frame(axes, np.clip(ends, 0, 1))  # the error of few jets reaches beyond
                if j == 0:
                    axes.set_ylabel(f"share of {name} that passes")
                if i == len(classes) - 1:
                    axes.set_xlabel(labels.get(column, column))
        figure.align_ylabels(panels[:, 0])
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    first: Axes = panels[0, 0]
    return first


def plot_mass(sculpting: MassSculpting, *, background: str, ax: Axes | None = None) -> Axes:
    """Returns axes with the mass of background jets, all of them and those that pass each cut, with bands of ±1σ.

    Args:
        sculpting: what `hepnn.sculpting.mass_sculpting` returns.
        background: name of the class.
        ax: axes to draw on; new ones if None.
    """
    with styled():
        axes = ax if ax is not None else Figure(figsize=(6.4, 5.2), layout="constrained").add_subplot()
        widths = np.diff(sculpting.edges)
        _stairs(axes, sculpting.before, sculpting, widths, color="0.35", label=f"all {background}")
        for color, (name, spectrum) in zip(COLORS, sculpting.after.items(), strict=False):
            divergence = sculpting.divergence[name].value
            text = f"pass {name}, JSD {divergence:.2g}" if np.isfinite(divergence) else f"pass {name}"
            _stairs(axes, spectrum, sculpting, widths, color=color, label=text)
        axes.set(
            xlim=(sculpting.edges[0], sculpting.edges[-1]), xlabel="jet mass [GeV]", ylabel="share of jets [1/GeV]"
        )
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=1)
    return axes


def plot_reliability(reliabilities: Mapping[str, Reliability], *, ax: Axes | None = None) -> Axes:
    """Returns axes with how often the most probable class is the true one, against its probability.

    Args:
        reliabilities: what `hepnn.calibration.reliability` returns, by the tagger's name.
        ax: axes to draw on; new ones if None.

    Raises:
        InputError: nothing to draw.
    """
    if not reliabilities:
        raise InputError("asked to draw a reliability diagram; found nothing. Give at least one tagger, by name.")
    with styled():
        axes = ax if ax is not None else Figure(figsize=(6.4, 5.6), layout="constrained").add_subplot()
        least = min(float(each.edges[0]) for each in reliabilities.values())
        axes.plot([least, 1], [least, 1], color="0.45", ls="--", lw=1.4, label="calibrated")
        for color, (name, each) in zip(COLORS, reliabilities.items(), strict=False):
            label = f"{name}, ECE {100 * each.ece.value:.2g} %"
            axes.errorbar(
                each.predicted, each.observed, yerr=each.error, fmt="o-", ms=5, lw=1.6, color=color, label=label
            )
        axes.set(
            xlim=(least, 1),
            ylim=(min([least, *(np.nanmin(each.observed - each.error) for each in reliabilities.values())]), 1),
            xlabel="probability of the most probable class",
            ylabel="how often it is the true class",
        )
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=1)
    return axes


def plot_importance(importances: Sequence[Importance], *, n_most: int = 20, ax: Axes | None = None) -> Axes:
    """Returns axes with a bar for each feature: by how much the log loss grows without it, with ±1σ.

    Args:
        importances: what `hepnn.insight.permutation_importance` returns.
        n_most: only so many, the most important.
        ax: axes to draw on; new ones if None.

    Raises:
        InputError: nothing to draw.
    """
    shown = list(importances)[:n_most][::-1]
    if not shown:
        raise InputError("asked to draw what features are worth; found none. Give at least one.")
    with styled():
        axes = (
            ax if ax is not None else Figure(figsize=(6.8, 1.4 + 0.3 * len(shown)), layout="constrained").add_subplot()
        )
        names = [f"{each.feature} ({each.tensor})" for each in shown]
        values, errors = np.array([each.log_loss[:2] for each in shown], np.float64).T
        axes.barh(names, values, xerr=errors, color=COLORS[0], ecolor="0.3", height=0.7)
        axes.axvline(0, color="0.3", lw=1)
        axes.set_xlabel("growth of the log loss when shuffled [nats]")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(axis="y", length=0, labelsize=11)
        axes.grid(axis="y", visible=False)
    return axes


def plot_occlusion(found: Occlusion, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Returns axes with a jet's particles around its axis: red where one speaks for the signal, blue where against.

    The area of each goes as its pT.

    Args:
        found: what `hepnn.insight.occlusion` returns.
        title: above the axes; the score if empty.
        ax: axes to draw on; new ones if None.
    """
    with styled():
        axes = ax if ax is not None else Figure(figsize=(7.0, 5.8), layout="constrained").add_subplot()
        most = float(np.abs(found.change).max(initial=0.0)) or 1.0
        area = np.maximum(AREA_OF_JET_PT * found.pt_fraction, _LEAST_AREA)
        dots = axes.scatter(
            found.delta_eta,
            found.delta_phi,
            s=area,
            c=found.change,
            cmap="RdBu_r",
            vmin=-most,
            vmax=most,
            ec="0.3",
            lw=0.6,
        )
        axes.scatter(0, 0, marker="+", s=90, color="0.2", lw=1.5, zorder=3)
        reach = 1.1 * max([_LEAST_REACH, *np.abs(found.delta_eta), *np.abs(found.delta_phi)])
        around_axis(axes, reach)
        axes.set_title(title or f"score of {found.signal}: {found.score:.3f}")
        bar = axes.figure.colorbar(dots, ax=axes, label=f"what it adds to the score of {found.signal}")
        bar.ax.grid(False)
    return axes


def _stairs(axes: Axes, spectrum: Spectrum, sculpting: MassSculpting, widths: Any, *, color: str, label: str) -> None:
    share, error = spectrum.share / widths, spectrum.error / widths
    axes.stairs(share, sculpting.edges, color=color, label=label, lw=2)
    low, high = (np.append(side, side[-1]) for side in (share - error, share + error))
    axes.fill_between(sculpting.edges, low, high, step="post", color=color, alpha=0.25, lw=0)


def _frame(axes: Axes, values: Any) -> None:
    """Limits of the y axis around what is finite among the values."""
    finite = values[np.isfinite(values)]
    if len(finite):
        low, high = float(finite.min()), float(finite.max())
        room = _ROOM * (high - low) or _ROOM
        axes.set_ylim(low - room, high + room)
