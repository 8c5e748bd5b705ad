"""Ten classes of jets by their prongs: a tagger for everything a boosted heavy particle can decay to.

**The lesson.** A heavy particle with a large momentum decays into prongs that end up in one wide jet: two for H → bb,
three for a hadronic top quark, and so on. Which they are shows in the angles and energies of the particles, in their
kinds (leptons) and in the impact parameters of tracks (b and c quarks fly before they decay). One network with a
softmax over ten classes learns all of it at once, and any pair of classes can be told apart by
p(A)/(p(A) + p(B)): no training for each pair. What is confused tells physics: H → bb with H → cc, W with Z.

**The data.** Toy jets with the branches of the JetClass set (arXiv:2202.03772): exact decays, simple fragmentation, no
detector. Numbers reached on them say nothing about those on full simulation.
"""

from __future__ import annotations

import numpy as np

from hepnn.generators import toy_jets
from hepnn.multiclass import accuracy, auc_matrix, confusion_matrix
from hepnn.plots import plot_confusion
from hepnn.roc import Measured
from hepnn.tagger import Tagger
from hepnn.tasks.fitting import epoch_reports, streams
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["run"]


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains a masked GRU on toy jets of ten classes and judges it on others."""
    seeds = [int(rng.integers(2**31)) for rng in streams(seed)]
    train = toy_jets(3_000 if quick else 40_000, seed=seeds[0])
    test = toy_jets(2_000 if quick else 10_000, seed=seeds[2])
    epochs = 4 if quick else 6
    tagger = Tagger("gru", epochs=epochs, n_buckets=4 if quick else 20, seed=seed)
    tagger.fit(train, callbacks=[epoch_reports("masked GRU", epochs=epochs, report=report)])

    classes = tuple(map(str, tagger.classes_))
    labels, probabilities = test.label.to_numpy(), tagger.predict_proba(test)
    predicted = tagger.classes_[probabilities.argmax(axis=1)]
    areas = auc_matrix(labels, probabilities, classes=classes)
    confusion = confusion_matrix(labels, predicted, classes=classes)
    background = classes.index("QCD")
    fits = {"masked GRU": Fit(tagger.model_, *tagger.training_[:3:2])}
    rows = []
    for index, name in enumerate(classes):
        others = np.delete(np.arange(len(classes)), index)
        mistaken = others[confusion.value[index, others].argmax()]
        against_qcd = (
            "–" if index == background else Measured(areas.value[index, background], areas.error[index, background])
        )
        right = Measured(confusion.value[index, index], confusion.error[index, index])
        rows.append((name, right, against_qcd, classes[mistaken]))
    return Outcome(
        measured={"accuracy": accuracy(labels, predicted)},
        fits=fits,
        n_test=len(test),
        tables=[
            Table("Class by class", ("class", "taken for itself", "AUC against QCD", "most often taken for"), rows)
        ],
        figures={
            "confusion": plot_confusion(confusion, classes).figure,
            "learning": learning_curves(fits, key="auc", label="validation AUC"),
        },
    )
