"""Length-bucketed training against Keras' own `fit` on padded tensors, and against PyTorch on packed sequences.

tox -e benchmarks
"""

import keras
import numpy as np
import pytest

from hepnn import toy_jets
from hepnn.batches import BucketedBatches
from hepnn.training import STEPS_A_CALL
from tests.benchmarks import racing
from tests.benchmarks.network import CLOUD, MAX_PARTICLES, keras_model, plain_model, torch_model

N_JETS, BATCH = 2048, 128
LEARNING_RATE = 1e-3


@pytest.fixture(scope="module")
def batches():
    clouds = CLOUD.tensors(toy_jets(N_JETS, seed=1))
    targets = np.random.default_rng(0).integers(0, 2, N_JETS)
    return BucketedBatches(clouds, targets, None, batch_size=BATCH, n_buckets=20, seed=0)


def compiled(model, **settings):
    model.compile(keras.optimizers.Adam(LEARNING_RATE), loss="sparse_categorical_crossentropy", **settings)
    return model


def epoch_of_keras(cell, batches):
    """An epoch on the batches as a long training of `hepnn.training` does it: steps compiled for all lengths at once."""
    model = compiled(keras_model(cell), jit_compile=False, steps_per_execution=STEPS_A_CALL)
    dataset = batches.dataset()  # one for all epochs
    return lambda: model.fit(dataset, verbose=0, shuffle=False)


def epoch_of_padded(cell, padded, targets, *, jit_compile):
    model = compiled(plain_model(cell), jit_compile=jit_compile)
    return lambda: model.fit(padded, targets, batch_size=BATCH, verbose=0)


def epoch_of_torch(cell, batches):
    import torch

    torch.set_num_threads(len(racing.cores()))
    network = torch_model(cell, keras_model(cell).get_weights())
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    loss_of = torch.nn.CrossEntropyLoss()

    def epoch():
        for inputs, targets in batches:
            lengths = torch.from_numpy(inputs["particles_mask"].sum(axis=1)).clamp(min=1)
            loss = loss_of(network(torch.from_numpy(inputs["particles"]), lengths), torch.from_numpy(targets))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def same_scores(cell, batches):
    """Keras padded and cut, and PyTorch, agree before they are timed."""
    import torch

    model = keras_model(cell)
    inputs = batches.tensors.pad(np.arange(200))
    expected = plain_model(cell).predict(batches.tensors.pad(np.arange(200), length=MAX_PARTICLES), verbose=0)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, rtol=0, atol=1e-5)
    lengths = torch.from_numpy(inputs["particles_mask"].sum(axis=1)).clamp(min=1)
    with torch.no_grad():
        logits = torch_model(cell, model.get_weights())(torch.from_numpy(inputs["particles"]), lengths)
    np.testing.assert_allclose(torch.softmax(logits, dim=1).numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_training_against_padded_fit_and_packed_sequences(batches, cell, record):
    pytest.importorskip("torch")
    same_scores(cell, batches)
    padded = batches.tensors.pad(length=MAX_PARTICLES)
    ours = epoch_of_keras(cell, batches)
    packed = epoch_of_torch(cell, batches)
    plain = epoch_of_padded(cell, padded, batches.targets, jit_compile=False)
    xla = epoch_of_padded(cell, padded, batches.targets, jit_compile=True)
    for epoch in (ours, packed, plain, xla):
        epoch()  # traces and compiles
    ours, by_torch, *by_keras = racing.in_turn(ours, packed, plain, xla, repeats=8)
    by_keras = min(by_keras)  # whichever suits it better
    record(racing.rates(f"training, {cell}", "Keras `fit` on padded input", N_JETS, ours, by_keras, target=3))
    record(
        racing.rates(f"training, {cell}", "PyTorch, packed sequences, same batches", N_JETS, ours, by_torch, target=1.5)
    )
    keras.backend.clear_session()
