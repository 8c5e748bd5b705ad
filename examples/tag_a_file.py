"""Train on one file, tag another: python tag_a_file.py TRAIN.root TEST.root SCORES.root."""

import sys

import hepnn

train, test, scores = sys.argv[1:]

jets = hepnn.read_jets(train)
tagger = hepnn.Tagger("gru", epochs=5).fit(jets)
print("accuracy on the training jets:", round(tagger.score(jets), 3))

(done,) = hepnn.tag(test, tagger, scores)
print(f"{done.n_entries} rows in {done.path}")
