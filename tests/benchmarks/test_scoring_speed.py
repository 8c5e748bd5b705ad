"""Scoring by ONNX Runtime against the same Keras model on padded tensors, and against a bare matrix product.

tox -e benchmarks
"""

import itertools
import time

import keras
import numpy as np
import pytest

from hepnn import toy_jets
from hepnn.clouds import Collection, ParticleCloud
from hepnn.features import resolve_features
from hepnn.models import build_model
from hepnn.runtime import Session, default_threads
from hepnn.scaling import fixed_scaling
from hepnn.tensors import TensorSpec
from hepnn.translation import translate

N_JETS, MAX_PARTICLES = 6000, 128
ENCODER, UNITS, HEAD = (64, 64), 64, (100,)
FEATURES = resolve_features("jetclass")
TARGETS = {"lstm": 7.0, "gru": 5.0}
"""Times as fast as `keras.Model.predict`; what is asserted has room for a busy machine."""

GATES = {"lstm": 4, "gru": 3}
MATRIX = 1024
"""Side of the product whose rate stands for what the processor can do."""


@pytest.fixture(scope="module")
def jets():
    return toy_jets(N_JETS, seed=1)


@pytest.fixture(scope="module")
def clouds(jets):
    cloud = ParticleCloud({"particles": Collection(FEATURES, max_particles=MAX_PARTICLES)})
    return cloud.tensors(jets)


def model_of(cell):
    options = {"encoder": ENCODER, "units": (UNITS,), "max_steps": MAX_PARTICLES, "readout": ("last",), "skip": ()}
    specs = {"particles": TensorSpec((None, len(FEATURES)), fixed_scaling(FEATURES))}
    keras.utils.set_random_seed(0)
    return build_model(cell, specs, n_classes=2, options={**options, "head_units": HEAD})


def seconds(action, repeats=3):
    """The shortest of some times: what else the machine does only adds to it."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def operations(cell, n_particles, n_jets):
    """Floating-point operations of the matrix products alone, for real particles."""
    widths = [len(FEATURES), *ENCODER]
    a_particle = sum(a * b for a, b in itertools.pairwise(widths)) + GATES[cell] * UNITS * (ENCODER[-1] + UNITS)
    return 2 * (n_particles * a_particle + n_jets * (UNITS * HEAD[0] + HEAD[0] * 2))


@pytest.mark.parametrize("cell", TARGETS)
def test_scoring_against_keras_on_padded_input(clouds, cell, capsys):
    model = model_of(cell)
    session = Session(translate(model).SerializeToString())
    padded = clouds.pad(length=MAX_PARTICLES)
    expected = model.predict(padded, batch_size=512, verbose=0)
    np.testing.assert_allclose(session.scores(clouds), expected, rtol=0, atol=1e-5)
    ours = seconds(lambda: session.scores(clouds))
    # whichever batch suits Keras best: the default is 32
    plain = min(seconds(lambda size=size: model.predict(padded, batch_size=size, verbose=0), 2) for size in (32, 512))
    with capsys.disabled():
        print(
            f"\nscoring {cell}, mean length {clouds.lengths.mean():.0f}, {default_threads()} threads: ONNX Runtime "
            f"{N_JETS / ours:.0f} jets/s, padded predict {N_JETS / plain:.0f} jets/s: {plain / ours:.1f}× (target "
            f"{TARGETS[cell]:.0f}×)"
        )
    assert plain / ours > TARGETS[cell] / 2


@pytest.mark.parametrize("cell", TARGETS)
def test_scoring_against_a_bare_matrix_product(clouds, cell, capsys):
    session = Session(translate(model_of(cell)).SerializeToString())
    session.scores(clouds)
    ours = operations(cell, int(clouds.lengths.sum()), N_JETS) / seconds(lambda: session.scores(clouds))
    matrix = np.random.default_rng(0).normal(size=(MATRIX, MATRIX)).astype(np.float32)
    bare = 2 * MATRIX**3 / seconds(lambda: matrix @ matrix, 10)
    with capsys.disabled():
        print(
            f"\nscoring {cell}: {ours / 1e9:.1f} GFLOP/s, NumPy's product {bare / 1e9:.1f} GFLOP/s: {ours / bare:.2f}"
        )
    assert ours > 0.1 * bare


def test_making_tensors_takes_less_time_than_scoring(jets, clouds, capsys):
    """They go on at the same time, so then they cost nothing."""
    cloud = ParticleCloud({"particles": Collection(FEATURES, max_particles=MAX_PARTICLES)})
    session = Session(translate(model_of("gru")).SerializeToString())
    making, scoring = seconds(lambda: cloud.tensors(jets)), seconds(lambda: session.scores(clouds))
    with capsys.disabled():
        print(f"\n{N_JETS} jets: tensors {making * 1e3:.0f} ms, scores {scoring * 1e3:.0f} ms")
    assert making < scoring
