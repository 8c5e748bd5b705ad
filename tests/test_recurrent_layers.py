"""LSTM and GRU with training loops of their own give what Keras' masked ones give, forwards and backwards."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hepnn import recurrent_layers
from hepnn.models import build_model
from hepnn.models.recurrent import _CELLS
from hepnn.scaling import Scaling
from hepnn.tensors import TensorSpec

CELLS = ("LSTM", "GRU")
UNITS, FEATURES, LONGEST = 5, 3, 9
LENGTHS = {
    "ragged": [1, LONGEST, 4, 0, 7],
    "full": [LONGEST] * 3,
    "one-particle": [1, 1],
    "empty": [0, 0],
    "no-jets": [],
}
TOLERANCE = 1e-5
HOW = {
    "one-way": lambda make: [make(UNITS)],
    "stacked": lambda make: [keras.layers.Bidirectional(make(UNITS)), make(4, go_backwards=True)],
}


def network(module, cell, how, **settings):
    """A model of values (jet, particle, feature) and a mask, in training whatever it is told, with random weights."""
    values, mask = keras.Input((None, FEATURES)), keras.Input((None,), dtype="bool")
    kind = getattr(module, cell)
    outputs = values
    for layer in HOW[how](lambda units, **more: kind(units, return_sequences=True, **settings, **more)):
        outputs = layer(outputs, mask=mask, training=True)
    model = keras.Model([values, mask], outputs)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weight.shape) * 0.7 for weight in model.get_weights()])
    return model


def batch_of(what, *, n_slots):
    lengths = np.array(LENGTHS[what], np.int64)
    mask = np.arange(n_slots) < lengths[:, None]
    values = np.random.default_rng(1).normal(size=(len(lengths), LONGEST, FEATURES))
    values = np.pad(values, ((0, 0), (0, n_slots - LONGEST), (0, 0)), constant_values=0.3)
    return tf.constant(values, tf.float32), tf.constant(mask)


def outputs_and_gradients(model, *, backwards):
    """A function of values and mask: the outputs of real slots; the gradients of a sum by the values and each weight."""
    signature = [tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None, None), tf.bool)]

    @tf.function(input_signature=signature)
    def run(values, mask):
        weights = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = model([values, mask])
            real = mask[:, ::-1] if backwards else mask
            outputs = tf.where(real[..., None], outputs, 0.0)
            factor = tf.sin(tf.reshape(tf.range(tf.size(outputs), dtype=tf.float32), tf.shape(outputs)))
            total = tf.reduce_sum(factor * outputs**2)
        return [outputs, *tape.gradient(total, [values, *weights])]

    return run


@pytest.fixture
def loops(monkeypatch):
    """Counts the calls of our own loop."""
    called = []
    own = recurrent_layers._outputs
    monkeypatch.setattr(recurrent_layers, "_outputs", lambda *args: called.append(1) or own(*args))
    return called


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_are_those_of_keras(cell, how, loops):
    ours, theirs = (
        outputs_and_gradients(network(module, cell, how), backwards=how == "stacked")
        for module in (recurrent_layers, keras.layers)
    )
    for what in LENGTHS:
        for n_slots in (LONGEST, LONGEST + 4):
            batch = batch_of(what, n_slots=n_slots)
            found, expected = ours(*batch), theirs(*batch)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(
                    one, other, rtol=TOLERANCE, atol=TOLERANCE, err_msg=f"{what}, {n_slots} slots"
                )
            assert np.abs(found[2]).max() > 100 * TOLERANCE or what in ("empty", "no-jets")
    assert loops


@pytest.mark.parametrize("cell", CELLS)
def test_states_to_start_from_have_their_gradients(cell):
    values, _ = batch_of("full", n_slots=LONGEST)
    found = []
    for module in (recurrent_layers, keras.layers):
        layer = getattr(module, cell)(UNITS, return_sequences=True, seed=0)
        states = [tf.Variable(tf.fill((3, UNITS), 0.3 * number)) for number in range(1, 1 + len(layer.state_size))]
        layer(values)
        layer.set_weights([np.random.default_rng(0).normal(size=weight.shape) for weight in layer.get_weights()])
        with tf.GradientTape() as tape:
            outputs = layer(values, initial_state=[state.read_value() for state in states], training=True)
        found.append([outputs, *map(tf.convert_to_tensor, tape.gradient(outputs, states))])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("cell", CELLS)
def test_without_a_mask_all_slots_are_real(cell):
    values, mask = batch_of("full", n_slots=LONGEST)
    layer = getattr(recurrent_layers, cell)(UNITS, return_sequences=True)
    np.testing.assert_array_equal(layer(values, training=True), layer(values, mask=mask, training=True))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("threads", ["1", "2"])
def test_on_one_processor_and_on_two_a_batch_gives_the_same(cell, threads, monkeypatch):
    monkeypatch.setenv("HEPNN_THREADS", threads)
    values, mask = batch_of("ragged", n_slots=LONGEST)
    layer = getattr(recurrent_layers, cell)(UNITS, return_sequences=True)
    trains, scores = (layer(values, mask=mask, training=training) for training in (True, False))
    np.testing.assert_allclose(trains[mask], scores[mask], atol=TOLERANCE)


@pytest.mark.parametrize("mask", [[[False, True, True]], [[True, False, True]]], ids=["left", "gap"])
def test_padding_that_is_not_on_the_right_is_refused_in_training(mask):
    layer = recurrent_layers.GRU(UNITS, return_sequences=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="padding belongs on the right"):
        layer(tf.ones((1, 3, 2)), mask=tf.constant(mask), training=True)


@pytest.mark.parametrize("cell", CELLS)
def test_fewer_bits_change_little(cell, loops):
    values, mask = batch_of("ragged", n_slots=LONGEST)
    layer = getattr(recurrent_layers, cell)(UNITS, return_sequences=True, dtype="mixed_bfloat16")
    outputs = layer(values, mask=mask, training=True)
    assert outputs.dtype == tf.bfloat16
    full = getattr(recurrent_layers, cell)(UNITS, return_sequences=True)
    full.build(values.shape)
    full.set_weights(layer.get_weights())
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), full(values, mask=mask, training=True), atol=0.05)
    assert len(loops) == 2


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.1},
        {"recurrent_dropout": 0.1},
        {"activation": "relu"},
        {"use_bias": False},
        {"unroll": True},
        {"return_sequences": False},
        {"return_state": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_with_other_settings_the_loop_is_keras(cell, settings, loops):
    values, mask = batch_of("ragged", n_slots=LONGEST)
    layer = getattr(recurrent_layers, cell)(UNITS, **{"return_sequences": True, **settings})
    layer(values, mask=mask, training=True)
    assert not loops


@pytest.mark.parametrize("cell", CELLS)
def test_scoring_and_gpus_have_the_loop_of_keras(cell, loops, monkeypatch):
    values, mask = batch_of("ragged", n_slots=LONGEST)
    layer = getattr(recurrent_layers, cell)(UNITS, return_sequences=True)
    layer(values, mask=mask)
    layer(values, mask=mask, training=False)
    assert not loops
    layer(values, mask=mask, training=True)
    assert len(loops) == 1
    monkeypatch.setattr(recurrent_layers, "_has_gpu", lambda: True)
    layer(values, mask=mask, training=True)
    assert len(loops) == 1


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_network_has_the_weights_that_it_has_with_layers_of_keras(cell, monkeypatch):
    specs = {"particles": TensorSpec((None, 2), Scaling((0.0,) * 2, (1.0,) * 2, (-1.0,) * 2, (1.0,) * 2))}
    options = {"bidirectional": True, "units": (4, 3)}
    ours = build_model(cell, specs, n_classes=2, options=options)
    monkeypatch.setitem(_CELLS, cell, getattr(keras.layers, cell.upper()))
    theirs = build_model(cell, specs, n_classes=2, options=options)
    assert [(weight.path, weight.shape) for weight in ours.weights] == [(w.path, w.shape) for w in theirs.weights]
