"""Signal told from background: the tables and pictures of tasks that hold several taggers against each other.

Truth is (jet,), true for signal; scores are (jet,) by the name of the tagger, high for signal. The tagger that comes
first is the one the task is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.plots import COLORS, styled
from hepnn.roc import Measured, auc, auc_difference, background_rejection
from hepnn.tasks.task import Fit, Table

__all__ = ["by_energy", "energy_figure", "energy_table", "signal_scores", "tagger_table"]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]
ByName = Mapping[str, Sequence[Measured]]


def signal_scores(taggers: Mapping[str, Any], jets: ak.Array, *, signal: str) -> dict[str, Floats]:
    """Returns each tagger's probability of the class ``signal``, (jet,), by the tagger's name."""
    return {
        name: tagger.predict_proba(jets)[:, list(tagger.classes_).index(signal)] for name, tagger in taggers.items()
    }


def tagger_table(
    scores: Mapping[str, Floats],
    is_signal: Flags,
    *,
    fits: Mapping[str, Fit],
    background: str,
    efficiencies: Sequence[float],
    title: str,
) -> Table:
    """Returns a table with a row for each tagger: parameters, AUC, background rejection, and how far behind the first.

    Args:
        scores: by the taggers' names.
        is_signal: (jet,).
        fits: those of them that are networks.
        background: what is rejected.
        efficiencies: of the signal, at which the rejection is quoted.
        title: of the table.
    """
    first = next(iter(scores))
    rows = [
        (
            name,
            fits[name].model.count_params() if name in fits else "–",
            auc(is_signal, score),
            *(background_rejection(is_signal, score, signal_efficiency=efficiency) for efficiency in efficiencies),
            auc_difference(is_signal, scores[first], score) if name != first else "–",
        )
        for name, score in scores.items()
    ]
    rejections = (f"{background} rejection at {efficiency:.0%}" for efficiency in efficiencies)
    return Table(title, ("tagger", "parameters", "AUC", *rejections, f"AUC below the {first}'s by"), rows)


def by_energy(
    scores: Mapping[str, Floats],
    is_signal: Flags,
    energy: Floats,
    *,
    edges: Sequence[float],
    measure: Callable[[Flags, Floats], Measured],
) -> dict[str, list[Measured]]:
    """Returns what is measured in each range of energy, by the name of the scores.

    Args:
        scores: (particle,) each, high for signal.
        is_signal: (particle,).
        energy: (particle,) in GeV.
        edges: of the ranges, rising; each holds its lower one.
        measure: called with ``is_signal`` and scores of one range, such as `hepnn.roc.auc`.
    """
    ranges = [(energy >= low) & (energy < high) for low, high in pairwise(edges)]
    return {name: [measure(is_signal[chosen], values[chosen]) for chosen in ranges] for name, values in scores.items()}


def energy_table(values: ByName, title: str, *, edges: Sequence[float]) -> Table:
    """Returns a table with a row for each range of energy."""
    names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return Table(title, ("energy [GeV]", *values), list(zip(names, *values.values(), strict=True)))


def energy_figure(
    values: ByName,
    *,
    edges: Sequence[float],
    ylabel: str,
    marks: Mapping[str, float] | None = None,
    logarithmic: bool = False,
) -> Figure:
    """Returns a figure of what was measured against energy, with ±1σ; an arrow is a lower limit.

    Args:
        values: what `by_energy` returns.
        edges: of the ranges.
        ylabel: what was measured.
        marks: energies in GeV that are worth a line, by what is to be written there.
        logarithmic: whether the vertical axis is.
    """
    low, high = np.array(edges[:-1]), np.array(edges[1:])
    middle = np.sqrt(low * high)
    with styled():
        figure = Figure(figsize=(6.8, 5.0), layout="constrained")
        axes = figure.add_subplot()
        for color, (name, measured) in zip(COLORS, values.items(), strict=False):
            center, error = np.array([[each.value, each.error] for each in measured]).T
            known = np.isfinite(center)
            across = (middle - low)[known], (high - middle)[known]
            axes.errorbar(middle[known], center[known], error[known], across, fmt="o", color=color, ms=4, label=name)
            limits = np.array([each.lower_limit or np.nan for each in measured])
            axes.plot(middle[~known], limits[~known], "^", color=color, ms=9)
        for text, at in (marks or {}).items():
            axes.axvline(at, color="0.4", ls="--", lw=1.2)
            axes.text(at, 0.3, f" {text}", transform=axes.get_xaxis_transform(), rotation=90, ha="right", fontsize=10)
        axes.set_xscale("log")
        axes.set_xticks(edges, [f"{edge:g}" for edge in edges])
        axes.minorticks_off()
        axes.set(xlabel="energy [GeV]", ylabel=ylabel, yscale="log" if logarithmic else "linear")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure
