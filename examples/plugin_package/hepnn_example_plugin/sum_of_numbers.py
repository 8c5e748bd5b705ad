"""The task sum-of-numbers."""

import keras
import numpy as np

from hepnn.roc import Measured
from hepnn.tasks.task import Fit, Outcome


def run(*, seed, quick, report):
    """A dense layer whose weights are all one gives the sum of its inputs."""
    numbers = np.random.default_rng(seed).normal(size=(50 if quick else 1000, 8)).astype(np.float32)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, kernel_initializer="ones")])
    report("adding")
    found = np.asarray(model(numbers))[:, 0]
    error = float(np.abs(found - numbers.sum(axis=1)).max())
    return Outcome(measured={"largest error": Measured(error, 0.0)}, fits={"adder": Fit(model)}, n_test=len(numbers))
