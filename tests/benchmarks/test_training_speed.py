"""Length-bucketed training and scoring against the same Keras model on padded tensors, in one run.

tox -e benchmarks
"""

import time

import keras
import numpy as np
import pytest

from hepnn import toy_jets
from hepnn.clouds import Collection, ParticleCloud
from hepnn.features import resolve_features
from hepnn.models import build_model
from hepnn.scaling import fixed_scaling
from hepnn.tensors import TensorSpec
from hepnn.training import BucketedBatches, predict

N_JETS, MAX_PARTICLES, BATCH = 6000, 128, 128
FEATURES = resolve_features("jetclass")


@pytest.fixture(scope="module")
def clouds():
    cloud = ParticleCloud({"particles": Collection(FEATURES, max_particles=MAX_PARTICLES)})
    return cloud.tensors(toy_jets(N_JETS, seed=1))


def model_of(cell):
    options = {"encoder": (64, 64), "units": (64,), "max_steps": MAX_PARTICLES, "readout": ("last",), "skip": ()}
    specs = {"particles": TensorSpec((None, len(FEATURES)), fixed_scaling(FEATURES))}
    model = build_model(cell, specs, n_classes=2, options=options)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def seconds(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_training_on_buckets_against_padded_fit(clouds, cell, capsys):
    targets = np.arange(N_JETS) % 2
    batches = BucketedBatches(clouds, targets, None, batch_size=BATCH, n_buckets=16, seed=0)
    padded = clouds.pad(length=MAX_PARTICLES)
    model = model_of(cell)
    model.fit(batches.dataset().take(2), verbose=0, shuffle=False)  # traces
    bucketed = seconds(lambda: model.fit(batches.dataset(), verbose=0, shuffle=False))
    other = model_of(cell)
    other.fit({name: part[:BATCH] for name, part in padded.items()}, targets[:BATCH], batch_size=BATCH, verbose=0)
    plain = seconds(lambda: other.fit(padded, targets, batch_size=BATCH, verbose=0))
    with capsys.disabled():
        print(
            f"\ntraining {cell}: bucketed {N_JETS / bucketed:.0f} jets/s, padded fit {N_JETS / plain:.0f} jets/s: "
            f"{plain / bucketed:.1f}×"
        )
    assert bucketed < plain


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_scoring_by_length_against_padded_predict(clouds, cell, capsys):
    model = model_of(cell)
    padded = clouds.pad(length=MAX_PARTICLES)
    first = predict(model, clouds)
    expected = model.predict(padded, batch_size=512, verbose=0)
    np.testing.assert_allclose(first, expected, atol=1e-5)
    ours = seconds(lambda: predict(model, clouds))
    plain = seconds(lambda: model.predict(padded, batch_size=512, verbose=0))
    with capsys.disabled():
        print(
            f"\nscoring {cell}: by length {N_JETS / ours:.0f} jets/s, padded predict {N_JETS / plain:.0f} jets/s: "
            f"{plain / ours:.1f}×"
        )
    assert ours < plain
    keras.backend.clear_session()
