"""A new calorimeter, few labels: what a network learned on the old one is worth there.

**The lesson.** Simulated showers are there by the million, showers measured in a new detector and labelled one by one
are few. What convolutions learned on the one is not lost on the other, although strips are twice as wide there, the
noise is twice as large, and images have another size: two cores a few strips apart are still two photons. So a network
that tells photons from neutral pions in one calorimeter starts another, in three ways with 100 to 1,000 labels each
(`hepnn.tasks.few_labels`): its convolutions are *frozen*, and only a new head learns; they are *fine-tuned* after that;
or the same network learns *from scratch*. As in `shapes-transfer`, the features are the largest values anywhere in the
image, so that its size does not matter.

**The data.** Photons and neutral pions of 10 to 40 GeV, even in ln E. The old calorimeter is like ATLAS' barrel
(`hepnn.generators.calorimeter`), seen in pixels as wide as its strips; the new one is coarser, and its images have pixels
as wide as its own strips. Pixels hold ln(1 + E/100 MeV): few of them have much energy, and those beside tell the two
photons. The experiment is made again and again with other labelled showers; the uncertainties are from the spread between
these.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.calo_images import CaloImage, pixelate_cells
from hepnn.generators.calorimeter import BARREL, Calorimeter
from hepnn.roc import auc
from hepnn.tasks.calo_data import CELL, STRIP, frame, labelled_showers, seen
from hepnn.tasks.calo_identify_2d import SYMBOLS
from hepnn.tasks.few_labels import compare, convolutions, pretrain, scores_figure, scores_table
from hepnn.tasks.fitting import streams
from hepnn.tasks.measuring import mean
from hepnn.tasks.pictures import layer_grid
from hepnn.tasks.shower_shapes import N_STRIPS, layer_images
from hepnn.tasks.task import Outcome, Report

__all__ = ["COARSE", "NEW", "OLD", "draw_new", "draw_old", "run"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

CLASSES = ("pizero", "photon")
ENERGY = (10.0, 40.0)
"""GeV: where the two can be told apart with strips of either width."""

_STRIPS = BARREL.layers[0]
COARSE = replace(
    BARREL,
    layers=(
        replace(
            _STRIPS,
            eta_cell=2 * _STRIPS.eta_cell,
            window=(21, 3),
            noise=2 * _STRIPS.noise,
            threshold=2 * _STRIPS.threshold,
        ),
        *BARREL.layers[1:],
    ),
)
"""The new calorimeter: strips twice as wide, with twice the noise."""

OLD = CaloImage("layers", n_layers=3, **frame((40, 11), pixel=(STRIP, CELL[1])))
NEW = CaloImage("layers", n_layers=3, **frame((24, 9), pixel=(2 * STRIP, CELL[1])))
"""What the networks see of the two; channels are the electromagnetic layers."""

N_SETS = {100: 4, 200: 4, 500: 3, 1000: 2}
"""Sets of labelled showers in the new calorimeter by how many there are: few of them differ more from set to set."""


def draw_old(n_showers: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Returns images of showers in the old calorimeter, (shower, η, φ, layer), and whether it is a photon, (shower,)."""
    return _draw(n_showers, rng, image=OLD, calorimeter=BARREL)


def draw_new(n_showers: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Returns images of showers in the new calorimeter, (shower, η, φ, layer), and whether it is a photon, (shower,)."""
    return _draw(n_showers, rng, image=NEW, calorimeter=COARSE)


def _draw(
    n_showers: int, rng: np.random.Generator, *, image: CaloImage, calorimeter: Calorimeter
) -> tuple[Floats, Ints]:
    showers = labelled_showers(n_showers, rng, classes=CLASSES, energy=ENERGY, calorimeter=calorimeter)
    is_photon = showers.label.to_numpy() == "photon"
    return seen(pixelate_cells(showers, image)), is_photon.astype(np.int64)


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Pretrains in the old calorimeter, then learns from few labels in the new one in three ways, several times over."""
    rngs = streams(seed)
    test = draw_new(1_000 if quick else 4_000, rngs.test)
    body = convolutions(NEW.n_layers)
    pretrained = pretrain(
        body,
        draw_old(3_000 if quick else 20_000, rngs.train),
        validation=draw_old(500 if quick else 2_000, rngs.validation),
        n_kinds=len(CLASSES),
        epochs=2 if quick else 4,
        batch_size=64,
        report=report,
    )
    compared = compare(
        draw_new,
        test,
        body=body,
        n_kinds=len(CLASSES),
        score=_area,
        what="AUC",
        n_sets={200: 2} if quick else N_SETS,
        steps=60 if quick else 300,
        rng=rngs.train,
        shown=200,
        report=report,
    )
    # the gain is taken set by set, as the same labelled showers are behind both
    gain = compared.of("fine-tuned", 200) - compared.of("from scratch", 200)
    return Outcome(
        measured={
            "AUC from 200 labels, transferred": mean(compared.of("fine-tuned", 200)),
            "gain over from scratch with 200 labels": mean(gain),
        },
        fits={**compared.fits, "pretrained": pretrained},
        n_test=len(test[1]),
        tables=[scores_table(compared, "AUC in the new calorimeter, mean over sets of labelled showers")],
        figures={
            "AUC by labels": scores_figure(compared, xlabel="labelled showers in the new calorimeter", ylabel="AUC"),
            "old and new": _examples(rngs.validation),
        },
    )


def _area(probabilities: Floats, is_photon: Ints) -> float:
    return auc(is_photon == 1, probabilities[:, 1]).value


def _examples(rng: np.random.Generator) -> Figure:
    """The strips of a pion and of a photon of about 20 GeV in each of the calorimeters."""
    images, titles, widths = [], [], []
    for name, calorimeter, n_strips in (("old", BARREL, N_STRIPS), ("new", COARSE, N_STRIPS // 2 + 1)):
        showers = labelled_showers(200, rng, classes=CLASSES, energy=(18, 22), calorimeter=calorimeter)
        chosen = [int((showers.label.to_numpy() == kind).argmax()) for kind in CLASSES]
        images += list(layer_images(showers[chosen], 0, size=(n_strips, 3), calorimeter=calorimeter))
        titles += [
            f"{name}: {SYMBOLS[kind]}, {showers.energy[at]:.0f} GeV" for kind, at in zip(CLASSES, chosen, strict=True)
        ]
        strip = calorimeter.layers[0]
        widths += [(n_strips * strip.eta_cell, 3 * strip.phi_cell)] * len(CLASSES)
    return layer_grid(images, titles, widths=widths, quantity="energy of a strip [GeV]", columns=len(images))
