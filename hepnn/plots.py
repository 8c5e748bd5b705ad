"""Plots: results in, matplotlib axes out. Nothing is worked out here.

Each function draws on the axes it is given, or on new ones, whose figure is ``axes.figure``; `save` takes it.
Figures are made without pyplot, so no window opens and no global state is left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.patches import Circle
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from hepnn import pdg
from hepnn.errors import InputError, OutputError
from hepnn.evaluation import ScoreHistograms
from hepnn.history import Trained
from hepnn.kinematics import delta_phi
from hepnn.multiclass import MeasuredMatrix
from hepnn.roc import Roc, rejection_curve
from hepnn.staging import staged

__all__ = [
    "AREA_OF_JET_PT",
    "COLORS",
    "STYLE",
    "around_axis",
    "event_display",
    "plot_confusion",
    "plot_history",
    "plot_roc",
    "plot_scores",
    "save",
    "styled",
]

COLORS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70",
    "#717581", "#92dadd",
)  # fmt: skip
"""Told apart with all kinds of colour vision: the ten colours of Petroff 2021 (arXiv:2107.02270)."""

STYLE: dict[str, Any] = {
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 15,
    "axes.linewidth": 1.1,
    "axes.titlesize": 14,
    "font.size": 13,
    "grid.alpha": 0.3,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "savefig.dpi": 160,
    "svg.hashsalt": "hepnn",
    "xtick.direction": "in",
    "xtick.labelsize": 12,
    "xtick.top": True,
    "ytick.direction": "in",
    "ytick.labelsize": 12,
    "ytick.right": True,
}
"""How hepnn's plots look, as matplotlib settings."""

SUFFIXES = (".png", ".pdf", ".svg")

_UNDATED: dict[str, dict[str, None]] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
"""Metadata to leave out, so that the same figure gives the same file."""

_LEAST_EFFICIENCY = 0.1
"""Signal efficiency below which the rejection of any test set of this field is mostly noise."""

_HEADROOM = 2.0
"""Factor between the highest curve and the end of its log axis, so that the band is seen too."""

_SHORT_LABEL = 14
"""Letters of the longest label with which three columns of a legend fit the figure."""

_DARK_CELL = 0.55
"""Share above which a cell of the confusion matrix is so dark that its number has to be white."""

_FEW_CLASSES = 4
"""Number of classes whose names fit side by side."""

AREA_OF_JET_PT = 2500.0
"""Area, in square points, of a particle that carries all of the jet's pT."""

_LEAST_AREA = 6.0
"""Area, in square points, below which nobody would see a particle."""

_KINDS: dict[str, tuple[str, str]] = {
    "is_charged_hadron": ("charged hadron", COLORS[0]),
    "is_neutral_hadron": ("neutral hadron", COLORS[3]),
    "is_photon": ("photon", COLORS[1]),
    "is_electron": ("electron", COLORS[2]),
    "is_muon": ("muon", COLORS[4]),
}
"""Name and colour of each kind of particle, by the flag that tells it."""


@contextmanager
def styled() -> Iterator[None]:
    """Draws in hepnn's style within the block."""
    settings: Any = STYLE  # matplotlib types the keys of settings one by one
    with mpl.rc_context(settings):
        yield


def _axes(ax: Axes | None, *, size: tuple[float, float] = (6.4, 5.2)) -> Axes:
    return ax if ax is not None else Figure(figsize=size, layout="constrained").add_subplot()


def _legend_above(axes: Axes) -> None:
    """Puts the legend on top of the frame, where it covers no data however many rows it has."""
    _, labels = axes.get_legend_handles_labels()
    n_columns = 3 if max(map(len, labels)) <= _SHORT_LABEL else 2
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=n_columns, columnspacing=1.5)


def plot_roc(rocs: Mapping[str, Roc], *, ax: Axes | None = None) -> Axes:
    """Returns axes with background rejection against signal efficiency, one curve and band (±1σ) a name.

    Args:
        rocs: curves by name, for the legend.
        ax: axes to draw on; new ones if None.

    Raises:
        InputError: no curve.
    """
    if not rocs:
        raise InputError("asked to draw ROC curves; found none. Give at least one, by name.")
    with styled():
        axes, top = _axes(ax), 10.0
        for name, roc in rocs.items():
            curve = rejection_curve(roc)
            shown = curve.signal_efficiency >= _LEAST_EFFICIENCY
            at, rejection, low, high = (values[shown] for values in curve)
            top = max([top, *rejection])
            (line,) = axes.plot(at, rejection, label=name)
            # beyond the axes a band may be as high as it likes, but matplotlib leaves out what is infinite
            high = np.minimum(high, np.finfo(np.float32).max)
            axes.fill_between(at, low, high, color=line.get_color(), alpha=0.25, lw=0)
        efficiency = np.linspace(_LEAST_EFFICIENCY, 1, 200)
        axes.plot(efficiency, 1 / efficiency, color="0.45", ls="--", lw=1.4, label="random guess")
        axes.set(
            xlim=(_LEAST_EFFICIENCY, 1),
            ylim=(1, _HEADROOM * top),
            yscale="log",
            xlabel=r"signal efficiency $\varepsilon_S$",
            ylabel=r"background rejection $1/\varepsilon_B$",
        )
        _legend_above(axes)
    return axes


def plot_scores(histograms: ScoreHistograms, *, ax: Axes | None = None, xlabel: str = "score") -> Axes:
    """Returns axes with the score's distribution in each class, and bands of ±1σ.

    Args:
        histograms: what `hepnn.evaluation.score_histograms` returns.
        ax: axes to draw on; new ones if None.
        xlabel: what the score is.
    """
    with styled():
        axes, edges = _axes(ax), histograms.edges
        for name, share in histograms.share.items():
            error = histograms.error[name]
            patch = axes.stairs(share, edges, label=name, lw=2)
            low, high = (np.append(side, side[-1]) for side in (share - error, share + error))
            color = patch.get_edgecolor()
            axes.fill_between(edges, low, high, step="post", color=color, alpha=0.25, lw=0)
        axes.set(xlim=(edges[0], edges[-1]), xlabel=xlabel, ylabel="share of jets per bin")
        bottom, top = axes.get_ylim()
        axes.set_ylim(min(bottom, 0), top)
        _legend_above(axes)
    return axes


def plot_history(trained: Trained, *, learning_rate: bool = False) -> Axes:
    """Returns axes with the loss of a training, epoch by epoch; panels below show AUC and accuracy.

    The figure is ``axes.figure``; the other panels are its other axes. The epoch that was kept is marked.

    Args:
        trained: what a fitted tagger has as ``training_``.
        learning_rate: whether a last panel shows the learning rate.

    Raises:
        InputError: no epoch, or no record of the learning rate that was asked for.
    """
    history = trained.history
    if not history.get("loss"):
        raise InputError("asked to draw a training; found no epoch. Fit the tagger first.")
    if learning_rate and "learning_rate" not in history:
        raise InputError(f"asked to draw the learning rate; the history has only {', '.join(history)}.")
    panels = [("loss", "cross-entropy [nats]")]
    panels += [(n, label) for n, label in (("auc", "AUC"), ("accuracy", "accuracy")) if f"val_{n}" in history]
    panels += [("learning_rate", "learning rate")] if learning_rate else []
    with styled():
        figure = Figure(figsize=(6.4, 2.1 + 1.9 * len(panels)), layout="constrained")
        all_axes: list[Axes] = list(figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0])
        for axes, (name, label) in zip(all_axes, panels, strict=True):
            for key, color, which in (
                (name, COLORS[0], "training"),
                (f"val_{name}", COLORS[1], "validation"),
            ):
                if key in history:
                    epochs = np.arange(1, len(history[key]) + 1)
                    axes.plot(epochs, history[key], marker="o", ms=4, color=color, label=which)
            axes.axvline(trained.best_epoch + 1, color="0.45", ls="--", lw=1.4, label="kept")
            axes.set_ylabel(label)
        if learning_rate:
            all_axes[-1].set_yscale("log")
        all_axes[-1].set_xlabel("epoch")
        all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.align_ylabels(all_axes)
        figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return all_axes[0]


def plot_confusion(confusion: MeasuredMatrix, classes: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Returns axes with the share of each true class (row) that is taken for each class (column).

    Args:
        confusion: what `hepnn.multiclass.confusion_matrix` returns, (class, class).
        classes: names of rows and columns.
        ax: axes to draw on; new ones if None.
    """
    n = len(classes)
    with styled():
        side = max(4.6, 1.6 + 0.75 * n)
        axes = _axes(ax, size=(side, side))
        axes.imshow(confusion.value, vmin=0, vmax=1, cmap="Blues")
        for row, column in np.ndindex(n, n):
            share = confusion.value[row, column]
            text = "–" if np.isnan(share) else f"{100 * share:.1f}"
            color = "white" if share > _DARK_CELL else "black"
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                color=color,
                fontsize=17 if n <= _FEW_CLASSES else 12,
            )
        axes.set(xlabel="taken for", ylabel="true class", title="share of the true class [%]")
        axes.set_xticks(range(n), classes)
        axes.set_yticks(range(n), classes)
        if n > _FEW_CLASSES:
            for label in axes.get_xticklabels():
                label.set(rotation=40, ha="right", rotation_mode="anchor")
        axes.tick_params(length=0)
        axes.grid(False)
    return axes


def event_display(jet: ak.Record, *, ax: Axes | None = None, radius: float | None = None) -> Axes:
    """Returns axes with the particles of one jet around its axis; the area of each goes as its pT.

    Kinds come from the particles' flags, or else from their PDG codes.

    Args:
        jet: one record of jets.
        ax: axes to draw on; new ones if None.
        radius: of the jet, drawn as a circle if given.

    Raises:
        InputError: not one jet with particles.
    """
    if not isinstance(jet, ak.Record) or "particles" not in jet.fields:
        raise InputError(
            f"asked to draw one jet; found {type(jet).__name__}. Take one of the array: event_display(jets[0])."
        )
    particles = jet.particles
    eta = ak.to_numpy(particles.eta) - float(jet.eta)
    phi = delta_phi(ak.to_numpy(particles.phi), float(jet.phi))
    area = np.maximum(AREA_OF_JET_PT * ak.to_numpy(particles.pt) / float(jet.pt), _LEAST_AREA)
    with styled():
        axes = _axes(ax, size=(6.4, 6.4))
        remaining = np.ones(len(particles), bool)
        for label, color, chosen in _kinds(particles):
            chosen &= remaining
            remaining &= ~chosen
            if chosen.any():
                x, y, size = eta[chosen], phi[chosen], area[chosen]
                axes.scatter(x, y, s=size, color=color, alpha=0.65, ec="0.2", lw=0.6, label=label)
        if not len(particles):
            axes.text(0.5, 0.55, "no particles", ha="center", transform=axes.transAxes)
        axes.scatter(0, 0, marker="+", s=90, color="0.2", lw=1.5, label="jet axis", zorder=3)
        reach = max([1.15 * (radius or 0.4), *(1.1 * np.abs(eta)), *(1.1 * np.abs(phi))])
        if radius is not None:
            axes.add_patch(Circle((0, 0), radius, fill=False, ls="--", ec="0.45", lw=1.4))
        title = [str(jet.label)] if "label" in jet.fields and jet.label is not None else []
        around_axis(axes, reach)
        axes.set_title(", ".join([*title, f"$p_T$ = {float(jet.pt):.0f} GeV", f"{len(particles)} particles"]))
        legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3)
        for handle in legend.legend_handles:
            if handle is not None and hasattr(handle, "set_sizes"):
                handle.set_sizes([70.0])
    return axes


def around_axis(axes: Axes, reach: float) -> None:
    """Makes axes the plane around a jet's axis, to ``reach`` in Δη and Δφ, in rad."""
    axes.set(
        xlim=(-reach, reach),
        ylim=(-reach, reach),
        aspect="equal",
        xlabel=r"$\Delta\eta$",
        ylabel=r"$\Delta\varphi$ [rad]",
    )


def _kinds(particles: ak.Array) -> list[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Label, colour and membership of each kind; the last takes whatever is left."""
    kinds = []
    for flag, (label, color) in _KINDS.items():
        if flag in particles.fields:
            kinds.append((label, color, ak.to_numpy(ak.fill_none(particles[flag], 0)).astype(bool)))
        elif "pid" in particles.fields:
            kinds.append((label, color, getattr(pdg, flag)(ak.to_numpy(ak.fill_none(particles.pid, 0)))))
    return [*kinds, ("other particle" if kinds else "particle", COLORS[5], np.ones(len(particles), bool))]


def save(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Returns the file that ``figure`` was written to, a PNG, PDF or SVG; it appears when it is complete.

    Raises:
        OutputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        wanted = ", ".join(f"*{known}" for known in SUFFIXES)
        raise OutputError(f"asked to write a picture to {path}; name it {wanted}.")
    _show_as_text(figure)
    with staged(path, overwrite=True) as part, styled():
        figure.savefig(part, metadata=_UNDATED.get(suffix))
    return path


def _show_as_text(figure: Any) -> None:
    """Has texts shown as they are that look like formulas and are none: names out of files can hold anything."""
    parser = MathTextParser("path")
    for text in figure.findobj(Text):
        try:
            parser.parse(text.get_text())
        except ValueError:
            text.set_parse_math(False)
