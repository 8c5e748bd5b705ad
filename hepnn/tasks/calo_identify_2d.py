"""Photon or neutral pion? One shower or two that overlap, and what pixels have to be for a network to see it.

**The lesson.** A neutral pion decays to two photons at once, and the angle between them is at least 2m/E: 27 mrad at
10 GeV, 2.7 mrad at 100 GeV. A shower has a tenth of its energy beyond a Molière radius, which is 28 mrad here as seen from
the origin, so the two overlap, and from some energy on they cannot be told from one. What remains to be seen is in the
first layer, before the showers spread; that is why detectors have fine strips there. An image whose channels are the
layers keeps what each saw, in the same places, and a convolution combines them. Three ways stand side by side:

- *CNN*: pixels as wide as a strip, 0.0031 in η.
- *CNN, coarse pixels*: the same network on pixels eight times as wide, as wide as cells of the middle layer. It cannot
  learn what its image does not resolve.
- *Boosted trees* on nine shower shapes and the energy: widths, ratios, how deep the valley between two peaks is. By such
  variables, thought of one by one over years, ATLAS tells photons from pions.

**The data.** Photons and neutral pions of 10 to 100 GeV, even in ln E, at up to 0.1 rad to the line from the origin,
in a calorimeter like ATLAS' barrel (`hepnn.generators.calorimeter`), of which the three electromagnetic layers are
looked at. Images are centred on the cell of most energy and divided by the energy in them: where the particle really
went, nobody tells the network, and one shower is to look like another of twice the energy.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.calo_images import CaloImage
from hepnn.generators.calorimeter import BARREL
from hepnn.generators.cascades import MASS_PIZERO
from hepnn.plots import plot_roc
from hepnn.roc import auc, auc_difference, roc
from hepnn.tagger import Tagger
from hepnn.tasks.calo_data import CELL, STRIP, frame, labelled_showers
from hepnn.tasks.fitting import epoch_reports, streams
from hepnn.tasks.pictures import layer_grid, learning_curves
from hepnn.tasks.separation import by_energy, energy_figure, energy_table, signal_scores, tagger_table
from hepnn.tasks.shower_shapes import N_STRIPS, grown, layer_images, photon_shapes, scored
from hepnn.tasks.task import Fit, Outcome, Report

__all__ = ["IMAGES", "run"]

Floats = npt.NDArray[np.floating[Any]]

CLASSES = ("photon", "pizero")
SYMBOLS = {"photon": "photon", "pizero": r"$\pi^0$"}
EFFICIENCIES = (0.9,)
"""Photon efficiencies at which the rejection of pions is quoted."""
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
    train = labelled_showers(5_000 if quick else 60_000, rngs.train, classes=CLASSES)
    test = labelled_showers(2_000 if quick else 20_000, rngs.test, classes=CLASSES)
    epochs = 2 if quick else 8
    taggers = {
        # a shower is as likely as its mirror image, and turning one would turn the strips
        name: Tagger("cnn2d", model_options=NETWORK, representation=image, augment=("flip",), epochs=epochs, seed=seed)
        for name, image in IMAGES.items()
    }
    for name, tagger in taggers.items():
        tagger.fit(train, callbacks=[epoch_reports(name, epochs=epochs, report=report)])
    fits = {name: Fit(tagger.model_, *tagger.training_[:3:2]) for name, tagger in taggers.items()}
    scores, is_photon = signal_scores(taggers, test, signal="photon"), test.label.to_numpy() == "photon"
    trees = grown(photon_shapes(train), train.label.to_numpy() == "photon", seed=seed)
    scores[TREES] = scored(trees, photon_shapes(test))

    cnn = scores["CNN"]
    areas = by_energy(scores, is_photon, test.energy.to_numpy(), edges=EDGES, measure=auc)
    closest = {
        "least angle: a cell": 2 * MASS_PIZERO / CELL[0],
        "a strip": 2 * MASS_PIZERO / STRIP,
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
            tagger_table(
                scores,
                is_photon,
                fits=fits,
                background="pion",
                efficiencies=EFFICIENCIES,
                title=f"{len(train):,} showers to train on, {len(test):,} to test",
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
    titles = [f"{SYMBOLS[str(label[i])]}, {energy[i]:.0f} GeV\np(photon) = {score[i]:.2f}" for i in chosen]
    return layer_grid(
        layer_images(showers[chosen], 0, size=(N_STRIPS, 3)),
        titles,
        widths=[(N_STRIPS * STRIP, 3 * BARREL.layers[0].phi_cell)] * len(chosen),
        quantity="energy of a strip [GeV]",
        columns=len(wanted),
    )
