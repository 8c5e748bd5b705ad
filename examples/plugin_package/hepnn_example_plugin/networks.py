"""A network on particles."""

import keras

from hepnn.layers import MaskedPooling
from hepnn.models.inputs import cloud_inputs


def mean_of_particles(inputs, n_classes, *, width=32):
    """A dense layer on each particle, the mean, a dense layer."""
    tensors, sequences, _ = cloud_inputs(inputs)
    values, mask = sequences["particles"]
    encoded = keras.layers.Conv1D(width, 1, activation="relu")(values)
    pooled = MaskedPooling("mean")(encoded, mask)
    return keras.Model(tensors, keras.layers.Dense(n_classes, activation="softmax")(pooled))
