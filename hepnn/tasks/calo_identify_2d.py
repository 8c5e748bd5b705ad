"""Photon or neutral pion? One shower or two that overlap, and what pixels have to be for a network to see it.

**The lesson.** A neutral pion decays to two photons at once, and the angle between them is at least 2m/E: 27 mrad at
10 GeV, 2.7 mrad at 100 GeV. Each makes a shower some 20 mm wide about a core of a few mm, so from some energy on the
two cannot be told from one. What remains to be seen is in the first layer, before the showers spread; that is why
detectors have fine strips there. An image whose channels are the layers keeps what each saw, in the same places, and
a convolution combines them. Three ways stand side by side:

- *CNN*: pixels as wide as a strip, 0.0031 in η.
- *CNN, coarse pixels*: the same network on pixels eight times as wide, as wide as cells of the middle layer. It cannot
  learn what its image does not resolve.
- *Boosted trees* on eleven shower shapes: widths, ratios of energies, how deep the valley between two peaks is. These
  are the variables by which ATLAS tells photons from pions, thought of one by one over years.

**The data.** Photons and neutral pions of 10 to 100 GeV, even in ln E, at up to 0.1 rad to the line from the origin,
in a calorimeter like ATLAS' barrel (`hepnn.generators.calorimeter`), of which the three electromagnetic layers are
looked at. Images are centred on the cell of most energy: where the particle really went, nobody tells the network.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hepnn.calo_images import CaloImage
from hepnn.generators.calorimeter import BARREL
from hepnn.generators.cascades import MASS_PIZERO
from hepnn.plots import plot_roc, styled
from hepnn.roc import auc, auc_difference, background_rejection, roc
from hepnn.tagger import Tagger
from hepnn.tasks.calo_data import CELL, STRIP, frame, labelled_showers
from hepnn.tasks.fitting import epoch_reports, streams
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.separation import by_energy, energy_figure, energy_table
from hepnn.tasks.shower_shapes import N_STRIPS, grown, layer_images, photon_shapes, scored
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["IMAGES", "run"]

Floats = npt.NDArray[np.floating[Any]]

CLASSES = ("photon", "pizero")
EFFICIENCY = 0.9
"""Photon efficiency at which the rejection of pions is quoted."""
EDGES = (10, 16, 25, 40, 63, 100)
"""GeV, of the ranges of energy."""

IMAGES = {
    "CNN": CaloImage("layers", n_layers=3, normalize="sum", **frame((40, 11), pixel=(STRIP, CELL[1]))),
    "CNN, coarse pixels": CaloImage("layers", n_layers=3, normalize="sum", **frame((11, 11))),
}
"""What each network sees: channels are the strips, the middle and the back layer."""
TREES = "boosted trees"

NETWORK = {"filters": (16, 32, 32), "head_units": (64,), "dropout": 0.1}


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains both networks and grows the trees on the same showers, and compares them on others."""
    rngs = streams(seed)
    train = labelled_showers(5_000 if quick else 30_000, rngs.train, classes=CLASSES)
    test = labelled_showers(2_000 if quick else 20_000, rngs.test, classes=CLASSES)
    is_photon, scores, fits = test.label.to_numpy() == "photon", {}, {}
    epochs = 2 if quick else 6
    for name, image in IMAGES.items():
        # a shower is as likely as its mirror image, and turning one would turn the strips
        tagger = Tagger(
            "cnn2d", model_options=NETWORK, representation=image, augment=("flip",), epochs=epochs, seed=seed
        )
        tagger.fit(train, callbacks=[epoch_reports(name, epochs=epochs, report=report)])
        fits[name] = Fit(tagger.model_, *tagger.training_[::2])
        scores[name] = tagger.predict_proba(test)[:, list(tagger.classes_).index("photon")]
    trees = grown(photon_shapes(train), train.label.to_numpy() == "photon", seed=seed)
    scores[TREES] = scored(trees, photon_shapes(test))

    cnn = scores["CNN"]
    rows = [
        (
            name,
            fits[name].model.count_params() if name in fits else "–",
            auc(is_photon, score),
            background_rejection(is_photon, score, signal_efficiency=EFFICIENCY),
            auc_difference(is_photon, cnn, score) if name != "CNN" else "–",
        )
        for name, score in scores.items()
    ]
    areas = by_energy(scores, is_photon, test.energy.to_numpy(), edges=EDGES, measure=auc)
    closest = {
        "photons no closer than a cell": 2 * MASS_PIZERO / CELL[0],
        "than a strip": 2 * MASS_PIZERO / STRIP,
    }
    return Outcome(
        measured={
            "AUC of the CNN": auc(is_photon, cnn),
            "AUC gained over boosted trees": auc_difference(is_photon, cnn, scores[TREES]),
            "AUC lost with coarse pixels": auc_difference(is_photon, cnn, scores["CNN, coarse pixels"]),
        },
        fits=fits,
        n_test=len(test),
        tables=[
            Table(
                f"{len(train):,} showers to train on, {len(test):,} to test",
                ("tagger", "parameters", "AUC", f"pion rejection at {EFFICIENCY:.0%}", "AUC below the CNN's by"),
                rows,
            ),
            energy_table(areas, "AUC by energy", edges=EDGES),
        ],
        figures={
            "examples": _examples(test, cnn),
            "ROC": plot_roc({name: roc(is_photon, score) for name, score in scores.items()}).figure,
            "AUC by energy": energy_figure(areas, edges=EDGES, ylabel="AUC", marks=closest),
            "learning": learning_curves(fits, key="auc", label="validation AUC"),
        },
    )


def _examples(showers: ak.Array, score: Floats) -> Figure:
    """The strips of a photon and of a pion of about the same energy, for several energies, and what the CNN says."""
    energy, label = showers.energy.to_numpy(), showers.label.to_numpy()
    wanted = (12, 25, 50, 90)
    chosen = [int(np.abs(np.log(energy / at) + 100 * (label != name)).argmin()) for name in CLASSES for at in wanted]
    strips = layer_images(showers[chosen], 0, size=(N_STRIPS, 3))
    height = 3 * BARREL.layers[0].phi_cell
    extent = (-N_STRIPS * STRIP / 2, N_STRIPS * STRIP / 2, -height / 2, height / 2)
    with styled():
        figure = Figure(figsize=(12.5, 6.0), layout="constrained")
        panels = figure.subplots(2, len(wanted), sharex=True, sharey=True)
        norm = LogNorm(strips[strips > 0].min(), strips.max())
        for axes, image, index in zip(panels.flat, strips, chosen, strict=True):
            shown = np.ma.masked_less_equal(image.T, 0)
            mesh = axes.imshow(shown, origin="lower", extent=extent, aspect="auto", norm=norm, cmap="viridis")
            name = {"photon": "photon", "pizero": r"$\pi^0$"}[str(label[index])]
            axes.set_title(f"{name}, {energy[index]:.0f} GeV\np(photon) = {score[index]:.2f}", fontsize=12)
            axes.grid(False)
            axes.set(xlabel=r"$\Delta\eta$", ylabel=r"$\Delta\varphi$ [rad]")
            axes.label_outer()
        figure.colorbar(mesh, ax=panels, label="energy of a strip [GeV]")
    return figure
