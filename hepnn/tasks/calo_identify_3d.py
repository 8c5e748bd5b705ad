"""Electron or charged pion? A shower in three dimensions, and what a kernel with depth sees of it.

**The lesson.** In an electromagnetic calorimeter an electron's shower begins at the face, is deepest after some 6
radiation lengths and is narrow. A charged pion interacts anywhere or not at all; what it then makes is wide and ragged.
The classical variable is the longitudinal profile: which share of the energy each layer has. A pion that interacts
early and gives much to neutral pions has the profile of an electron; it shows in the width of its shower, layer by
layer, and in what lies beside it. A 3-D convolution slides a kernel of 3 × 3 × 3 cells over the volume of depth, η and
φ, with the same weights everywhere, so neighbouring layers are compared wherever the shower begins. A volume has one
channel; in a picture with layers as channels, a kernel would have weights of its own for each layer.

How good an electron tagger is, is told by the pions it lets through: by 1/(share of pions kept), the rejection, where
90 or 95 % of the electrons are kept.

**The data.** Electrons and charged pions of 2 to 20 GeV, even in ln E, at up to 0.1 rad to the line from the origin,
in twelve equal layers of lead and liquid argon of 2 radiation lengths each, with nothing behind: with hadronic layers
the profile alone would do. Only showers that leave 2 GeV or more count, and each is divided by its energy, so that
neither pions that pass through nor the energies' distribution help.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.calo_images import CaloImage, pixelate_cells
from hepnn.generators.calorimeter import LEAD_ARGON, Calorimeter, Layer
from hepnn.plots import COLORS, plot_roc, styled
from hepnn.roc import Measured, background_rejection, roc
from hepnn.tagger import Tagger
from hepnn.tasks.calo_data import CELL, labelled_showers
from hepnn.tasks.fitting import epoch_reports, streams
from hepnn.tasks.measuring import bootstrapped
from hepnn.tasks.pictures import layer_grid, learning_curves
from hepnn.tasks.separation import by_energy, energy_figure, energy_table, signal_scores, tagger_table
from hepnn.tasks.shower_shapes import grown, layer_fractions, scored
from hepnn.tasks.task import Fit, Outcome, Report

__all__ = ["TWELVE", "VOLUME", "draw", "run"]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

CLASSES = ("electron", "pion")
EFFICIENCIES = (0.9, 0.95)
"""Electron efficiencies at which the rejection of pions is quoted."""
EDGES = (2, 3.6, 6.3, 11, 20)
"""GeV, of the ranges of energy."""
LEAST_SEEN = EDGES[0]
"""GeV that a shower has to leave."""
SIDE = 9
"""Cells in η and in φ."""


def _layer(number: int) -> Layer:
    """One of the twelve, with cells and readout like those of the middle layer in `hepnn.generators.calorimeter`."""
    depth = 2 * LEAD_ARGON.radiation_length
    return Layer(
        f"layer {number}",
        LEAD_ARGON,
        inner=1500 + number * depth,
        outer=1500 + (number + 1) * depth,
        eta_cell=CELL[0],
        n_phi=256,
        window=(SIDE, SIDE),
        sampling=0.10,
        hadronic_sampling=0.5,
        noise=0.02,
        threshold=0.05,
        time_noise=1.8,
        time_constant=0.26,
    )


TWELVE = Calorimeter(tuple(map(_layer, range(12))), upstream=2.0)
"""Twelve equal layers of 2 X0, 1.1 λ together, behind 2 X0 of matter."""

VOLUME = CaloImage(
    "volume", size=(SIDE, SIDE), width=(SIDE * CELL[0], SIDE * CELL[1]), n_layers=len(TWELVE.layers), normalize="sum"
)
"""What the network sees: each voxel is a cell, the hardest one in the middle of η and φ."""
NETWORK = {"filters": (8, 16, 16), "head_units": (64,), "dropout": 0.1}
CNN, PROFILE = "3-D CNN", "longitudinal profile"


def draw(n_showers: int, rng: np.random.Generator) -> ak.Array:
    """Returns those of ``n_showers`` electrons and pions, as many of each, that leave `LEAST_SEEN`."""
    showers = labelled_showers(n_showers, rng, classes=CLASSES, energy=(EDGES[0], EDGES[-1]), calorimeter=TWELVE)
    return showers[ak.to_numpy(ak.sum(showers.cells.energy, axis=1)) >= LEAST_SEEN]


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the network and grows trees on the profile of the same showers, and compares them on others."""
    rngs = streams(seed)
    train, test = draw(4_000 if quick else 40_000, rngs.train), draw(8_000 if quick else 120_000, rngs.test)
    is_electron = test.label.to_numpy() == "electron"
    epochs = 2 if quick else 8
    # a shower is as likely as its mirror image
    tagger = Tagger("cnn3d", model_options=NETWORK, representation=VOLUME, augment=("flip",), epochs=epochs, seed=seed)
    tagger.fit(train, callbacks=[epoch_reports(CNN, epochs=epochs, report=report)])
    fits = {CNN: Fit(tagger.model_, *tagger.training_[:3:2])}
    trees = grown(_profile(train), train.label.to_numpy() == "electron", seed=seed)
    scores = signal_scores({CNN: tagger}, test, signal="electron")
    scores[PROFILE] = scored(trees, _profile(test))

    def rejection(is_electron: Flags, score: Floats) -> Measured:
        return background_rejection(is_electron, score, signal_efficiency=EFFICIENCIES[-1])

    rejections = by_energy(scores, is_electron, test.energy.to_numpy(), edges=EDGES, measure=rejection)
    title = f"pion rejection at {EFFICIENCIES[-1]:.0%} electron efficiency"
    return Outcome(
        measured={
            title: rejection(is_electron, scores[CNN]),
            "that over the longitudinal profile's": _gain(scores, is_electron, rng=rngs.validation),
        },
        fits=fits,
        n_test=len(test),
        tables=[
            tagger_table(
                scores,
                is_electron,
                fits=fits,
                background="pion",
                efficiencies=EFFICIENCIES,
                title=f"{len(train):,} showers to train on; {is_electron.sum():,} electrons and {(~is_electron).sum():,} "
                "pions to test",
            ),
            energy_table(rejections, title.capitalize(), edges=EDGES),
        ],
        figures={
            "examples": _examples(test, scores[CNN]),
            "profiles": _profiles(test, is_electron),
            "ROC": plot_roc({name: roc(is_electron, score) for name, score in scores.items()}).figure,
            "rejection by energy": energy_figure(rejections, edges=EDGES, ylabel=title, logarithmic=True),
            "learning": learning_curves(fits, key="auc", label="validation AUC"),
        },
    )


def _profile(showers: ak.Array) -> dict[str, Floats]:
    return layer_fractions(showers, n_layers=len(TWELVE.layers))


def _gain(scores: dict[str, Floats], is_electron: Flags, *, rng: np.random.Generator) -> Measured:
    """The ratio of the rejections; both on the same showers, so it is surer than either."""

    def ratio(rows: npt.NDArray[np.intp]) -> float:
        ours, theirs = (
            background_rejection(is_electron[rows], scores[name][rows], signal_efficiency=EFFICIENCIES[-1]).value
            for name in (CNN, PROFILE)
        )
        return ours / theirs

    return bootstrapped(ratio, len(is_electron), rng=rng, n_resamplings=50)


def _examples(showers: ak.Array, score: Floats) -> Figure:
    """The electron and the pion of median score, and the pion most like an electron; every other layer of each."""
    label = showers.label.to_numpy()
    electrons, pions = (rows[np.argsort(score[rows])] for rows in (np.flatnonzero(label == name) for name in CLASSES))
    chosen = [electrons[len(electrons) // 2], pions[len(pions) // 2], pions[-1]]
    volumes = pixelate_cells(showers[chosen], VOLUME)[..., 0]
    layers = range(0, len(TWELVE.layers), 2)
    titles = [
        f"{label[index]}, {showers.energy[index]:.1f} GeV\np(electron) = {score[index]:.3f}\n" * (layer == 0)
        + f"{2 * layer} to {2 * layer + 2} $X_0$"
        for index in chosen
        for layer in layers
    ]
    return layer_grid(
        [volume[layer] for volume in volumes for layer in layers],
        titles,
        widths=[VOLUME.width] * len(titles),
        quantity="share of the energy",
        columns=len(layers),
    )


def _profiles(showers: ak.Array, is_electron: Flags) -> Figure:
    """The mean share of each layer, and the band that holds 68 % of the showers."""
    shares = np.stack(list(_profile(showers).values()), axis=1)
    edges = 2 * np.arange(shares.shape[1] + 1)
    with styled():
        figure = Figure(figsize=(6.8, 5.0), layout="constrained")
        axes = figure.add_subplot()
        for color, name, chosen in zip(COLORS, CLASSES, (is_electron, ~is_electron), strict=False):
            axes.stairs(
                shares[chosen].mean(axis=0), edges, color=color, lw=2, label=f"{name}, mean and 68 % of showers"
            )
            low, high = np.quantile(shares[chosen], (0.16, 0.84), axis=0)
            axes.stairs(high, edges, baseline=low, fill=True, color=color, alpha=0.25)
        axes.set(xlabel="depth in the calorimeter [$X_0$]", ylabel="share of the energy", ylim=(0, None))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=1)
    return figure
