"""Batches by length, and the loop around them."""

import gc
import weakref

import keras
import numpy as np
import pytest

from hepnn import Tagger, training
from hepnn.batches import BucketedBatches, SharedBatches, bucket_lengths, streamed
from hepnn.clouds import Clouds, Sequences
from hepnn.epoch_table import log_callbacks
from hepnn.errors import TaggerError
from hepnn.training import predict

SMALL = {"encoder": (8,), "units": (8,), "head_units": (8,)}
SETTINGS = {"model_options": SMALL, "batch_size": 32, "n_buckets": 3, "seed": 5}


def clouds_of(lengths):
    """Clouds in which the only feature of a particle is the number of its jet."""
    lengths = np.asarray(lengths)
    values = np.repeat(np.arange(len(lengths)), lengths).astype(np.float32)[:, None]
    return Clouds({"particles": Sequences(values, lengths, 0)}, None)


@pytest.fixture
def batches():
    lengths = np.random.default_rng(0).integers(0, 100, 1000)
    return BucketedBatches(clouds_of(lengths), np.arange(1000), np.arange(1000.0), batch_size=64, n_buckets=5, seed=1)


def rows_of(batches):
    return [targets for _, targets, _ in batches]


def test_each_jet_comes_once_an_epoch_and_one_batch_at_most_is_not_full(batches):
    for batches.epoch in range(3):
        rows = rows_of(batches)
        np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(1000))
        assert sorted(map(len, rows))[1:] == [64] * (len(rows) - 1)


def test_inputs_targets_and_weights_stay_together(batches):
    for inputs, targets, weights in batches:
        np.testing.assert_array_equal(targets, weights)
        mask = inputs["particles_mask"]
        of_jet = np.broadcast_to(targets[:, None], mask.shape)
        np.testing.assert_array_equal(inputs["particles"][..., 0][mask], of_jet[mask])


def test_there_are_few_shapes_and_little_padding(batches):
    widths = {inputs["particles"].shape[1] for inputs, *_ in batches}
    assert widths <= set(batches.lengths.tolist())
    assert len(widths) <= 5
    assert batches.padding < 0.25


def test_epochs_differ_and_seeds_decide(batches):
    first = rows_of(batches)
    batches.epoch = 1
    second = rows_of(batches)
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    batches.epoch = 0
    for a, b in zip(first, rows_of(batches), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_of_one_length_come_spread_over_the_epoch(batches):
    widths = [inputs["particles"].shape[1] for inputs, *_ in batches]
    assert widths != sorted(widths)


def test_batches_of_any_length_reach_keras(batches):
    """Keras itself would declare the lengths of the first two batches for all."""
    widths = {inputs["particles"].shape[1] for inputs, *_ in batches.dataset()}
    assert widths == {inputs["particles"].shape[1] for inputs, *_ in batches}
    assert batches.dataset().element_spec[0]["particles"].shape.as_list() == [None, None, 1]
    assert len(batches.dataset()) == len(batches) == len(list(batches))


def test_no_epoch_waits_for_a_tuner(batches):
    """TensorFlow's would look once more, in as long again as the epoch took."""
    shared = SharedBatches(batches, rank=0, n_workers=2)
    one_by_one = streamed(lambda: iter(batches), batches.dataset().element_spec, len(batches))
    for dataset in (batches.dataset(), shared.dataset(), one_by_one):
        assert dataset.options().autotune.enabled is False


def test_bucket_lengths_hold_every_jet():
    lengths = np.array([0, 1, 2, 50, 51, 127])
    chosen = bucket_lengths(lengths, n_buckets=4)
    assert chosen[-1] >= 127
    assert (np.diff(chosen) > 0).all()
    assert bucket_lengths(np.zeros(4, int), n_buckets=4).tolist() == [1]


def test_prediction_keeps_the_order_of_jets():
    lengths = np.random.default_rng(0).integers(1, 60, 500)
    values = keras.Input((None, 1), name="particles")
    mask = keras.Input((None,), dtype="bool", name="particles_mask")
    model = keras.Model({"particles": values, "particles_mask": mask}, values[:, 0])
    np.testing.assert_array_equal(predict(model, clouds_of(lengths))[:, 0], np.arange(500))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(jets):
    first, second = (Tagger(epochs=2, **SETTINGS).fit(jets) for _ in range(2))
    for path, value in first.weights_.items():
        np.testing.assert_array_equal(second.weights_[path], value)
    other = Tagger(epochs=2, **{**SETTINGS, "seed": 6}).fit(jets)
    assert any((other.weights_[path] != value).any() for path, value in first.weights_.items())


def test_a_long_training_calls_for_many_steps_at_once_and_comes_to_the_same(jets, monkeypatch):
    taggers, calls = [], []
    for long in (training.LONG, 1):
        monkeypatch.setattr(training, "LONG", long)
        called = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: calls[-1].append(batch))
        calls.append([])
        settings = {**SETTINGS, "batch_size": 16, "model": "deepsets", "model_options": {"head_units": (8,)}}
        taggers.append(Tagger(epochs=2, **settings).fit(jets, callbacks=[called]))
    single, grouped = taggers
    n_batches = len(calls[0]) // 2
    assert calls[0] == [*range(n_batches)] * 2
    assert n_batches % training.STEPS_A_CALL
    assert calls[1] == [*range(15, n_batches + 15, 16)] * 2
    assert grouped.training_.history == single.training_.history
    for path, value in single.weights_.items():
        np.testing.assert_array_equal(grouped.weights_[path], value)


def test_jets_are_let_go_after_training_and_scoring_by_keras(jets):
    tensors = clouds_of(np.arange(1, 40))
    batches = BucketedBatches(tensors, np.arange(39) % 2, None, batch_size=8, n_buckets=3, seed=0)
    values = keras.Input((None, 1), name="particles")
    mask = keras.Input((None,), dtype="bool", name="particles_mask")
    pooled = keras.layers.GlobalAveragePooling1D()(values, mask=mask)
    model = keras.Model([values, mask], keras.layers.Dense(2, activation="softmax")(pooled))
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    model.fit(batches.dataset(), shuffle=False, verbose=0)
    assert np.isfinite(training.predict(model, tensors)).all()
    held = weakref.ref(tensors)
    del tensors, batches
    gc.collect()
    assert held() is None


def test_training_leaves_the_random_numbers_of_the_script_alone(jets):
    np.random.seed(3)  # noqa: NPY002  # what a script might do
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    Tagger(epochs=1, **SETTINGS).fit(jets[:100])
    assert np.random.random() == expected  # noqa: NPY002


def test_the_best_epoch_is_kept_and_patience_ends_the_training(jets):
    tagger = Tagger(epochs=60, patience=2, learning_rate=0.05, **{**SETTINGS, "seed": 0}).fit(jets[:120])
    history = tagger.training_.history["val_auc"]
    assert tagger.training_.best_epoch == int(np.argmax(history))
    assert len(history) < 60
    assert len(history) == tagger.training_.best_epoch + 1 + 2


def test_a_loss_that_is_not_finite_stops_the_training(jets):
    with pytest.raises(TaggerError, match=r"the loss became nan in epoch 1.* Lower the learning rate"):
        Tagger(epochs=1, learning_rate=1e30, warmup=0.0, **SETTINGS).fit(jets)


def test_logs_have_a_line_an_epoch(jets, tmp_path):
    Tagger(epochs=2, **SETTINGS).fit(jets, callbacks=log_callbacks(tmp_path / "logs"))
    lines = (tmp_path / "logs" / "epochs.csv").read_text().splitlines()
    assert len(lines) == 3
    assert {"loss", "val_loss", "val_auc", "learning_rate"} <= set(lines[0].split(","))
