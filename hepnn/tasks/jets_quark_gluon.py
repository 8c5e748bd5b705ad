"""Quark or gluon? What a network gains from particles, and from their order, on the jets that come with hepnn.

**The lesson.** A gluon carries more colour than a quark, so its jet has more particles and is wider. Four taggers see
this in three ways:

- *Boosted trees* see nine numbers a jet that physicists thought of: multiplicity, girth, pT dispersion and so on.
- *Deep Sets* see the particles themselves, as a set: the same small network encodes each, and the sum over all goes
  on. What the encoder shall look at is learned.
- *Masked GRU and LSTM* read the encoded particles in order of falling pT, and carry a state along; padding is masked.

All four are trained on the same jets, and judged on the same others. The uncertainty of the difference between two
taggers is smaller than that of either AUC, since both saw the same test jets.

**The data.** 15,600 Pythia jets of 500 to 550 GeV (``data/README.md``); the seed deals a quarter of them to the test.
With so few jets the trees, which have little to learn, are about as good as networks that have to find out everything
for themselves; with 90,000 (see README.md) the networks are far ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure, SubFigure

from hepnn.baseline import BoostedTrees
from hepnn.bundled import bundled_jets
from hepnn.plots import plot_roc
from hepnn.readers import read_jets
from hepnn.roc import auc, auc_difference, roc
from hepnn.tagger import Tagger
from hepnn.tasks.fitting import epoch_reports, streams
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.separation import signal_scores, tagger_table
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["dealt_jets", "quark_figures", "quark_table", "run"]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

TEST_FRACTION = 0.25
EFFICIENCIES = (0.5,)
"""Quark efficiencies at which the gluon rejection is quoted."""

NETWORKS = {"masked GRU": "gru", "masked LSTM": "lstm", "Deep Sets": "deepsets"}


def dealt_jets(*, seed: int, quick: bool) -> tuple[ak.Array, ak.Array]:
    """Returns the bundled jets that train and those that test, as the seed deals them."""
    jets = read_jets(bundled_jets(), schema="hepnn")
    jets = jets[streams(seed).train.permutation(len(jets))]
    n_test = round(TEST_FRACTION * len(jets))
    return jets[n_test : n_test + 2_000] if quick else jets[n_test:], jets[:n_test]


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the four taggers on the same jets and compares them on the same test jets."""
    train, test = dealt_jets(seed=seed, quick=quick)
    epochs = 2 if quick else 10
    taggers: dict[str, Any] = {
        name: Tagger(model, epochs=epochs, n_buckets=4 if quick else 20, seed=seed) for name, model in NETWORKS.items()
    }
    for name, tagger in taggers.items():
        tagger.fit(train, callbacks=[epoch_reports(name, epochs=epochs, report=report)])
    taggers["boosted trees"] = BoostedTrees(seed=seed).fit(train)

    is_quark = test.label.to_numpy() == "quark"
    scores = signal_scores(taggers, test, signal="quark")
    gru = scores["masked GRU"]
    fits = {name: Fit(taggers[name].model_, *taggers[name].training_[:3:2]) for name in NETWORKS}
    return Outcome(
        measured={
            "AUC of the masked GRU": auc(is_quark, gru),
            "AUC gained over boosted trees": auc_difference(is_quark, gru, scores["boosted trees"]),
        },
        fits=fits,
        n_test=len(test),
        tables=[quark_table(scores, is_quark, fits=fits, n_train=len(train))],
        figures=quark_figures(scores, is_quark, fits=fits),
    )


def quark_table(scores: Mapping[str, Floats], is_quark: Flags, *, fits: Mapping[str, Fit], n_train: int) -> Table:
    """Returns how the taggers compare on the test jets, as `hepnn.tasks.separation.tagger_table` does."""
    return tagger_table(
        scores,
        is_quark,
        fits=fits,
        background="gluon",
        efficiencies=EFFICIENCIES,
        title=f"{n_train:,} jets to train on, {len(is_quark):,} to test",
    )


def quark_figures(
    scores: Mapping[str, Floats], is_quark: Flags, *, fits: Mapping[str, Fit]
) -> dict[str, Figure | SubFigure]:
    """Returns the ROC curves of the taggers and how their networks learned."""
    return {
        "ROC": plot_roc({name: roc(is_quark, score) for name, score in scores.items()}).figure,
        "learning": learning_curves(fits, key="auc", label="validation AUC"),
    }
