"""Scoring by ONNX Runtime against the same Keras model on padded tensors, and against a bare matrix product.

tox -e benchmarks
"""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from hepnn import toy_jets
from hepnn.runtime import Session
from hepnn.translation import translate
from tests.benchmarks import racing
from tests.benchmarks.network import CLOUD, ENCODER, FEATURES, HEAD, MAX_PARTICLES, UNITS, keras_model

N_JETS = 6000
TARGETS = {"lstm": 7.0, "gru": 5.0}
GATES = {"lstm": 4, "gru": 3}
MATRIX_TARGET = 0.6

PRODUCT = """
import time
import numpy as np
side = 2048
matrix = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
times = []
for _ in range(8):
    start = time.perf_counter()
    matrix @ matrix
    times.append(time.perf_counter() - start)
print(2 * side**3 / min(times))
"""
"""A float32 product whose rate, in operations a second, stands for what the processor can do."""


@pytest.fixture(scope="module")
def clouds():
    return CLOUD.tensors(toy_jets(N_JETS, seed=1))


def operations(cell, n_particles, n_jets):
    """Floating-point operations of the matrix products alone, for real particles."""
    widths = [len(FEATURES), *ENCODER]
    a_particle = sum(a * b for a, b in itertools.pairwise(widths)) + GATES[cell] * UNITS * (ENCODER[-1] + UNITS)
    return 2 * (n_particles * a_particle + n_jets * (UNITS * HEAD[0] + HEAD[0] * 2))


def product_rate():
    """Of NumPy's own product, in a process in which nothing tells OpenBLAS what processor this is."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    environment["OPENBLAS_NUM_THREADS"] = str(len(racing.cores()))
    done = subprocess.run([sys.executable, "-c", PRODUCT], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.parametrize("cell", TARGETS)
def test_scoring_against_padded_predict_and_a_bare_product(clouds, cell, record):
    model = keras_model(cell)
    session = Session(translate(model).SerializeToString())
    padded = clouds.pad(length=MAX_PARTICLES)
    expected = model.predict(padded, batch_size=512, verbose=0)
    np.testing.assert_allclose(session.scores(clouds), expected, rtol=0, atol=1e-5)
    sizes = (32, 512)  # the default, and a large one: whichever suits Keras better counts
    by_keras = [lambda size=size: model.predict(padded, batch_size=size, verbose=0) for size in sizes]
    before = product_rate()
    ours, *theirs = racing.in_turn(lambda: session.scores(clouds), *by_keras, repeats=5)
    for name, time in zip(("default batch", "batches of 512"), theirs, strict=True):
        record(
            racing.rates(f"scoring, {cell}", f"`keras.Model.predict`, {name}", N_JETS, ours, time, target=TARGETS[cell])
        )
    product = max(before, product_rate())
    rate = operations(cell, int(clouds.lengths.sum()), N_JETS) / ours.wall
    record(
        racing.Row(
            f"scoring, {cell}, operations",
            "NumPy's matrix product",
            f"{rate / 1e9:.0f} GFLOP/s",
            f"{product / 1e9:.0f} GFLOP/s",
            rate / product,
            MATRIX_TARGET,
        )
    )
