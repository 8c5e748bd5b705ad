"""Training as the tasks do it: fresh data in every batch, Adam with a rate that rises and falls, the clock running.

Data made on the fly never repeats, so a network cannot learn it by heart: what it reaches in training it reaches in
the test. Where data is scarce, which is the point of some tasks, give `fit` arrays instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from hepnn.batches import streamed, untuned
from hepnn.tasks.task import Fit, Report
from hepnn.training import CLIP_NORM, rising_then_falling

__all__ = ["Streams", "epoch_reports", "fit", "fresh", "streams"]

_WARMUP = 0.1
"""Share of the steps until the learning rate is at its peak."""


class Streams(NamedTuple):
    """Random generators that have nothing in common, so that no test sample is ever trained on."""

    train: np.random.Generator
    validation: np.random.Generator
    test: np.random.Generator


def streams(seed: int) -> Streams:
    """Returns the generators of training, validation and test data that belong to ``seed``.

    >>> first, again = streams(1), streams(1)
    >>> bool(first.test.random() == again.test.random()), bool(first.train.random() == first.validation.random())
    (True, False)
    """
    return Streams(*map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3)))


def fresh(
    draw: Callable[[int, np.random.Generator], tuple[Any, ...]],
    rng: np.random.Generator,
    *,
    batch_size: int,
    steps: int,
) -> tf.data.Dataset:
    """Returns a dataset of ``steps`` batches an epoch, drawn when they are needed and never twice.

    Args:
        draw: called with a number of samples and a generator; returns inputs, targets and, where the loss needs them,
            weights: arrays or dicts of arrays, of the same shapes each time.
        rng: where the samples come from.
        batch_size: samples a batch.
        steps: batches an epoch.
    """

    def spec(array: Any) -> tf.TensorSpec:
        return tf.TensorSpec((batch_size, *array.shape[1:]), array.dtype)

    # the shapes are looked up on one batch from elsewhere, so that the stream begins with the first step
    signature = tf.nest.map_structure(spec, draw(batch_size, np.random.default_rng(0)))

    def batches() -> Any:
        for _ in range(steps):
            yield draw(batch_size, rng)

    return streamed(batches, signature, steps)


def fit(
    model: keras.Model,
    data: Any,
    *,
    loss: Any,
    epochs: int,
    report: Report,
    learning_rate: float = 1e-3,
    loss_weights: Any = None,
    metrics: Any = None,
    validation: Any = None,
    batch_size: int = 128,
    name: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Fit:
    """Returns ``model``, trained in place, with its history and the time it took.

    Adam (Kingma, Ba 2015, arXiv:1412.6980); its rate rises linearly, then falls to zero along a cosine
    (arXiv:1608.03983).

    Args:
        model: to train.
        data: a dataset, as `fresh` makes it, or a tuple of arrays.
        loss: as in `keras.Model.compile`.
        epochs: passes over ``data``.
        report: gets a line after each epoch.
        learning_rate: its peak.
        loss_weights: as in `keras.Model.compile`.
        metrics: as in `keras.Model.compile`.
        validation: a tuple of arrays that is judged after each epoch, or None.
        batch_size: samples a batch where ``data`` is arrays.
        name: of the model in the report; its own if None.
        callbacks: more Keras callbacks.
    """
    name = name or model.name
    dataset = data if isinstance(data, tf.data.Dataset) else _batches(data, batch_size, shuffled=True)
    schedule = rising_then_falling(learning_rate, steps=epochs * len(dataset), warmup=_WARMUP)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=CLIP_NORM),
        loss=loss,
        loss_weights=loss_weights,
        metrics=metrics,
        jit_compile=False,  # XLA halves the speed of convolutions on a CPU (measured) and takes seconds to compile
    )
    start = time.perf_counter()
    history = model.fit(
        dataset,
        shuffle=False,  # a dataset has an order of its own
        epochs=epochs,
        validation_data=None if validation is None else _batches(validation, batch_size, shuffled=False),
        callbacks=[epoch_reports(name, epochs=epochs, report=report), *callbacks],
        verbose=0,
    )
    return Fit(model, history.history, time.perf_counter() - start)


def epoch_reports(name: str, *, epochs: int, report: Report) -> keras.callbacks.Callback:
    """Returns a callback that tells how each epoch went.

    Args:
        name: of the network.
        epochs: most epochs.
        report: gets the lines.
    """
    start = time.perf_counter()

    def tell(epoch: int, logs: dict[str, float]) -> None:
        shown = "  ".join(f"{key} {value:.4g}" for key, value in logs.items())
        report(f"{name}: epoch {epoch + 1}/{epochs}  {shown}  {time.perf_counter() - start:.0f} s")

    return keras.callbacks.LambdaCallback(on_epoch_end=tell)


def _batches(data: Any, batch_size: int, *, shuffled: bool) -> tf.data.Dataset:
    """Returns batches of arrays, if asked for in an order that is new in each epoch.

    Keras's own shuffling of arrays gives the same order in every epoch once a seed is set (found with 3.15).
    """
    arrays = tf.nest.map_structure(tf.convert_to_tensor, data)
    n_samples = len(tf.nest.flatten(arrays)[0])
    rows = tf.data.Dataset.range(n_samples)
    if shuffled:
        rows = rows.shuffle(n_samples, reshuffle_each_iteration=True)
    batches = rows.batch(batch_size).map(
        lambda chosen: tf.nest.map_structure(lambda array: tf.gather(array, chosen), arrays)
    )
    return untuned(batches.prefetch(4))
