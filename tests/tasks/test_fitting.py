"""Streams have nothing in common, fresh data never repeat, and training does what it says."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hepnn.generators.shapes import draw_one_each
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.training import seeded


def draw_images(n_images, rng):
    scenes = draw_one_each(n_images, rng=rng, size=16, radius=(3.0, 6.0))
    return scenes.images, scenes.kinds[:, 0].astype(np.float32)


def draw_lines(n_samples, rng):
    """Inputs of two kinds, and a target that is their sum."""
    inputs = {"a": rng.random((n_samples, 2), np.float32), "b": rng.random((n_samples, 1), np.float32)}
    return inputs, inputs["a"].sum(axis=1, keepdims=True) + inputs["b"]


def small_network():
    a, b = keras.Input((2,), name="a"), keras.Input((1,), name="b")
    return keras.Model({"a": a, "b": b}, keras.layers.Dense(1)(keras.layers.Concatenate()([a, b])), name="small")


def trained(seed, **settings):
    with seeded(seed):
        data = fresh(draw_lines, streams(seed).train, batch_size=8, steps=5)
        return fit(small_network(), data, **{"loss": "mse", "epochs": 2, "report": lambda line: None, **settings})


def as_bytes(images):
    return {image.tobytes() for image in images}


def test_streams_of_one_seed_share_no_numbers():
    drawn = [rng.random(20_000) for seed in (0, 1) for rng in streams(seed)]
    assert len(np.unique(np.concatenate(drawn))) == 6 * 20_000


def test_the_same_seed_gives_the_same_streams():
    for first, again in zip(streams(5), streams(5), strict=True):
        np.testing.assert_array_equal(first.random(10), again.random(10))


def test_no_test_or_validation_image_is_ever_trained_on():
    rngs = streams(3)
    held_out = as_bytes(draw_images(64, rngs.validation)[0]) | as_bytes(draw_images(64, rngs.test)[0])
    data = fresh(draw_images, rngs.train, batch_size=64, steps=3)
    seen = [image for _ in range(2) for images, _ in data.as_numpy_iterator() for image in images]
    assert len(held_out) == 2 * 64
    assert len(as_bytes(seen)) == 2 * 3 * 64
    assert not held_out & as_bytes(seen)


def test_fresh_gives_as_many_batches_an_epoch_as_asked_for_and_never_one_twice():
    data = fresh(draw_images, streams(4).train, batch_size=5, steps=7)
    assert len(data) == 7
    epochs = [list(data.as_numpy_iterator()) for _ in range(3)]
    assert [len(batches) for batches in epochs] == [7, 7, 7]
    images = [image for batches in epochs for inputs, targets in batches for image in inputs]
    assert len(as_bytes(images)) == 3 * 7 * 5
    assert {targets.shape for batches in epochs for _, targets in batches} == {(5,)}


def test_fresh_data_are_the_stream_from_its_first_sample_on():
    rng = streams(6).train
    expected = [draw_lines(4, rng) for _ in range(6)]
    data = fresh(draw_lines, streams(6).train, batch_size=4, steps=3)
    batches = [batch for _ in range(2) for batch in data.as_numpy_iterator()]
    for (inputs, targets), (wanted_inputs, wanted_targets) in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(inputs["a"], wanted_inputs["a"])
        np.testing.assert_array_equal(inputs["b"], wanted_inputs["b"])
        np.testing.assert_array_equal(targets, wanted_targets)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (trained(seed).model.get_weights() for seed in (1, 1, 2))
    for weights, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(weights, same)
        assert not np.array_equal(weights, different)


def test_the_same_seed_gives_the_same_weights_from_arrays_too():
    def trained_on_arrays(seed):
        with seeded(seed):
            data = draw_lines(37, streams(1).train)
            return fit(small_network(), data, loss="mse", epochs=2, batch_size=8, report=lambda line: None)

    first, again, other = (trained_on_arrays(seed).model.get_weights() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_training_lowers_the_loss_and_keeps_its_history():
    validation = draw_lines(200, streams(1).validation)
    result = trained(1, epochs=30, learning_rate=0.1, validation=validation, metrics=["mae"])
    assert set(result.history) == {"loss", "mae", "val_loss", "val_mae"}
    assert {len(values) for values in result.history.values()} == {30}
    assert result.history["val_loss"][-1] < 0.01 * result.history["val_loss"][0]
    predicted = result.model.predict(validation[0], verbose=0)
    assert result.history["val_loss"][-1] == pytest.approx(np.mean((predicted - validation[1]) ** 2), rel=1e-3)
    assert result.seconds > 0


def test_each_epoch_is_reported():
    lines = []
    trained(1, epochs=3, report=lines.append, name="the small one")
    assert [line.split("  ")[0] for line in lines] == [f"the small one: epoch {epoch}/3" for epoch in (1, 2, 3)]
    assert all("loss" in line and line.endswith(" s") for line in lines)


def rates_of(result, steps):
    return np.array([float(result.model.optimizer._learning_rate(step)) for step in range(steps + 1)])


@pytest.mark.parametrize("is_stream", [True, False], ids=["stream", "arrays"])
def test_the_learning_rate_rises_then_falls_to_zero_with_the_last_step(is_stream):
    if is_stream:
        result, steps = trained(1, epochs=8, learning_rate=0.03), 40
    else:
        data = draw_lines(37, streams(1).train)
        settings = {"batch_size": 8, "report": lambda line: None}
        result = fit(small_network(), data, loss="mse", epochs=8, learning_rate=0.03, **settings)
        steps = 40  # five batches an epoch, the last one not full
    assert int(result.model.optimizer.iterations) == steps
    rates = rates_of(result, steps)
    assert rates[0] == 0
    assert rates.argmax() == 4
    assert rates[4] == pytest.approx(0.03)
    np.testing.assert_allclose(rates[4:], 0.03 * (1 + np.cos(np.pi * np.arange(37) / 36)) / 2, atol=1e-7)


def test_each_epoch_of_arrays_has_an_order_of_its_own_and_each_row_once():
    seen = []

    def note(rows):
        seen.extend(rows[:, 0].tolist())
        return np.float32(0)

    def loss(truth, predicted):
        return keras.ops.mean(predicted, axis=-1) + tf.ensure_shape(tf.numpy_function(note, [truth], tf.float32), ())

    rows = np.arange(40, dtype=np.float32)[:, None]
    entry = keras.Input((1,))
    model = keras.Model(entry, keras.layers.Dense(1)(entry))
    with seeded(1):
        fit(model, (rows, rows), loss=loss, epochs=2, batch_size=10, report=lambda line: None)
    epochs = seen[:40], seen[40:]
    assert [sorted(epoch) for epoch in epochs] == [list(range(40))] * 2
    assert len({tuple(epoch) for epoch in (*epochs, range(40))}) == 3


def test_a_gradient_too_large_is_clipped_and_nothing_is_compiled_by_xla():
    model = trained(1).model
    assert model.optimizer.global_clipnorm == 1.0
    assert model.jit_compile is False


def test_callbacks_are_called():
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(stop.model, "stop_training", True))
    assert len(trained(1, epochs=5, callbacks=[stop]).history["loss"]) == 1
