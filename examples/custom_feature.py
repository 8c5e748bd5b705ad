"""A feature and a model of one's own: python custom_feature.py TRAIN.root."""

import sys

import keras
import numpy as np

import hepnn
from hepnn.layers import MaskedPooling
from hepnn.models.inputs import cloud_inputs


def log_kt(particles, jet):
    """Ln of the transverse momentum to the jet axis, the ordinate of the Lund plane."""
    delta_r = np.hypot(particles.eta - jet.eta, np.arcsin(np.sin(particles.phi - jet.phi)))
    return np.log(np.maximum(particles.pt * delta_r, 1e-3))


def tiny_set_network(inputs, n_classes, *, width=32):
    """The simplest network on particles: a dense layer on each, the mean, a dense layer."""
    tensors, sequences, _ = cloud_inputs(inputs)
    values, mask = sequences["particles"]
    encoded = keras.layers.Conv1D(width, 1, activation="relu")(values)
    pooled = MaskedPooling("mean")(encoded, mask)
    return keras.Model(tensors, keras.layers.Dense(n_classes, activation="softmax")(pooled))


jets = hepnn.read_jets(sys.argv[1])
tagger = hepnn.Tagger(tiny_set_network, features=["kinematics", log_kt], epochs=3).fit(jets)
folder = tagger.save("custom-tagger")

again = hepnn.Tagger.load(folder, custom=[tiny_set_network, log_kt])
print("the same after loading:", np.array_equal(again.predict_proba(jets), tagger.predict_proba(jets)))
