"""Cross-validation that keeps the jets of an event together: python cross_validation.py TRAIN.root."""

import sys

import numpy as np
from sklearn.model_selection import GroupKFold, cross_validate

import hepnn

jets = hepnn.read_jets(sys.argv[1])
labels = jets.label.to_numpy()
# jets of one event are alike, so none may be trained on while another is judged; with event files, take the number of
# the event: read_jets(files, observers=["event"]).event
events = np.arange(len(jets)) // 2

for name, estimator in {
    "deep sets": hepnn.Tagger("deepsets", epochs=2),
    "boosted trees": hepnn.BoostedTrees(max_iter=50),
}.items():
    found = cross_validate(
        estimator, jets, labels, groups=events, cv=GroupKFold(3), scoring=["accuracy", "neg_log_loss"]
    )
    accuracy = found["test_accuracy"]
    print(f"{name}: accuracy {accuracy.mean():.3f} ± {accuracy.std(ddof=1) / np.sqrt(len(accuracy)):.3f}")
