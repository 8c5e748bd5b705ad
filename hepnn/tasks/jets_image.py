"""Quark or gluon from a picture: what an image of a jet keeps, and what it loses against its list of particles.

**The lesson.** A jet can be drawn: the plane of Δη and Δφ about its axis is cut into pixels, each sums up what fell
into it, and what was made for photographs tells jets apart. The colours are those of Komiske, Metodiev and Schwartz
2016 (arXiv:1612.01551): pT of charged particles, pT of neutral ones, and the number of charged ones, on 33 × 33 pixels
as wide as the jet. But a jet is a poor photograph. Of 1,089 pixels some thirty are not empty; two particles in one
pixel are one; angles are known to a pixel; and that a particle is a photon, an electron or a kaon is not in the colours.
The list of particles, read by a masked GRU, has all of it. The network on one colour alone, pT, shows what colours
bring.

In the literature, where a million and more such jets train, a residual network on images stays behind networks on
particles with their identity (Qu, Gouskos 2020, arXiv:1902.08570). With the 11,700 jets that train here that order is
within the uncertainty: what cannot be learned from so few is not missed either. The difference has an uncertainty of its
own, smaller than that of either AUC, since both saw the same test jets.

**The data.** The 15,600 jets that come with hepnn (``data/README.md``), a quarter of them for the test, as in
`jets-quark-gluon`. Averages over all test jets show what a network can go by: gluon jets are wider.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from matplotlib.figure import Figure, SubFigure

from hepnn.image_plots import plot_average_images, plot_image_difference
from hepnn.images import JetImage
from hepnn.roc import auc, auc_difference
from hepnn.tagger import Tagger
from hepnn.tasks.fitting import epoch_reports
from hepnn.tasks.jets_quark_gluon import dealt_jets, quark_figures, quark_table
from hepnn.tasks.separation import signal_scores
from hepnn.tasks.task import Fit, Outcome, Report

__all__ = ["IMAGES", "run"]

IMAGES = {
    "image CNN": JetImage(channels=("charged_pt", "neutral_pt", "charged_count"), normalize="sum"),
    "image CNN, pT alone": JetImage(normalize="sum"),
}
"""What the networks on images see: the axis in the middle, the jet's pT taken out."""
GRU = "masked GRU"

NETWORK = {"filters": (16, 32, 32), "head_units": (64,), "dropout": 0.3}


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains a tagger on each kind of image and one on particles, on the same jets, and compares them on others."""
    train, test = dealt_jets(seed=seed, quick=quick)
    epochs = 2 if quick else 8
    taggers = {
        # a jet is as likely as its mirror image
        name: Tagger("cnn2d", model_options=NETWORK, representation=image, augment=("flip",), epochs=epochs, seed=seed)
        for name, image in IMAGES.items()
    }
    taggers[GRU] = Tagger("gru", epochs=epochs, n_buckets=4 if quick else 20, seed=seed)
    for name, tagger in taggers.items():
        tagger.fit(train, callbacks=[epoch_reports(name, epochs=epochs, report=report)])

    is_quark = test.label.to_numpy() == "quark"
    scores = signal_scores(taggers, test, signal="quark")
    image, alone = IMAGES
    fits = {name: Fit(tagger.model_, *tagger.training_[:3:2]) for name, tagger in taggers.items()}
    return Outcome(
        measured={
            "AUC of the image CNN": auc(is_quark, scores[image]),
            "AUC of the masked GRU less that": auc_difference(is_quark, scores[GRU], scores[image]),
            "AUC gained by colours": auc_difference(is_quark, scores[image], scores[alone]),
        },
        fits=fits,
        n_test=len(test),
        tables=[quark_table(scores, is_quark, fits=fits, n_train=len(train))],
        figures={**_averages(test), **quark_figures(scores, is_quark, fits=fits)},
    )


def _averages(jets: ak.Array) -> dict[str, Figure | SubFigure]:
    """The average images of quark and gluon jets, and how they differ: shares of the jet's pT."""
    image = IMAGES["image CNN, pT alone"]
    images, is_quark = image.tensors(jets), jets.label.to_numpy() == "quark"
    quark, gluon = (images.moments(np.flatnonzero(chosen))[0][..., 0] for chosen in (is_quark, ~is_quark))
    shown: dict[str, Any] = {"width": image.width, "quantity": r"share of $p_T$", "unit": "1"}
    return {
        "average images": plot_average_images({"quark": quark, "gluon": gluon}, **shown).figure,
        "difference": plot_image_difference(quark, gluon, names=("quark", "gluon"), **shown).figure,
    }
