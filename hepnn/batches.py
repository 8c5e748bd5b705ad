"""Batches: jets of like length, shuffled anew each epoch, as `keras.Model.fit` takes them.

A batch holds jets of like length, so that little padding is computed; which jets meet in one changes every epoch.
Everything random follows from the seed and the epoch.
"""

from __future__ import annotations

import inspect
import math
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hepnn.tensors import Augment, Tensors

__all__ = [
    "Batches",
    "BucketedBatches",
    "SharedBatches",
    "bucket_lengths",
    "dataset_of",
    "signature_of",
    "streamed",
    "untuned",
]

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

_LENGTH_STEP = 4
"""Bucket lengths are multiples of this, so that there are few distinct shapes."""


def bucket_lengths(lengths: Integers, *, n_buckets: int) -> Integers:
    """Returns the lengths that batches are padded to: at most ``n_buckets``, with about as many jets between each.

    Args:
        lengths: (jet,) particles a jet.
        n_buckets: how many lengths to choose.

    >>> bucket_lengths(np.array([3, 9, 10, 17, 18, 40]), n_buckets=3)
    array([12, 20, 40])
    """
    quantiles = np.quantile(lengths, np.arange(1, n_buckets + 1) / n_buckets, method="higher")
    rounded = np.maximum(-(-quantiles // _LENGTH_STEP) * _LENGTH_STEP, _LENGTH_STEP)
    return np.unique(np.minimum(rounded, max(lengths.max(), 1))).astype(np.int64)


class Batches(Protocol):
    """What a training goes through once an epoch.

    Attributes:
        epoch: the one that `dataset` gives when it is started over.
    """

    epoch: int

    def __len__(self) -> int: ...

    @property
    def padding(self) -> float:
        """The share of slots that is padding."""

    @property
    def n_truncated(self) -> Mapping[str, int]:
        """By collection, how many jets lost particles, in the last epoch."""

    def dataset(self) -> tf.data.Dataset:
        """Returns a dataset for `keras.Model.fit`, which starts it over each epoch."""


class BucketedBatches:
    """Batches of jets of like length, shuffled anew each epoch.

    The jets are shuffled, dealt into buckets by length, and cut into batches; what is left over in a bucket moves up
    to the next longer one, so that each jet comes exactly once and at most one batch is not full. Then the batches
    are shuffled.

    Args:
        tensors: the jets.
        targets: (jet,) class indices.
        weights: (jet,) or None.
        batch_size: jets a batch.
        n_buckets: distinct lengths.
        seed: of the shuffling and the augmentation, together with the epoch; several numbers count as one.
        augment: changes a batch's inputs (see `hepnn.augmentation`); None for no change.

    Attributes:
        epoch: the epoch that an iteration gives.
        lengths: the lengths batches are padded to.
    """

    def __init__(
        self,
        tensors: Tensors,
        targets: Integers,
        weights: Floats | None,
        *,
        batch_size: int,
        n_buckets: int,
        seed: int | tuple[int, ...],
        augment: Augment | None = None,
    ) -> None:
        self.augment = augment
        self.tensors, self.targets, self.weights = tensors, targets, weights
        self.batch_size, self.epoch = batch_size, 0
        self._seed = seed if isinstance(seed, tuple) else (seed,)
        self.lengths = bucket_lengths(tensors.lengths, n_buckets=n_buckets)
        self._bucket = np.searchsorted(self.lengths, tensors.lengths)
        self._dealt: tuple[int, list[tuple[Integers, int]]] = (-1, [])

    def __len__(self) -> int:
        return math.ceil(len(self.tensors) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return map(self.batch, range(len(self)))

    def batch(self, index: int) -> tuple[Any, ...]:
        """Returns the inputs, targets and, if there are any, weights of one batch of this epoch."""
        rows, length = self._deal()[index]
        inputs = self.tensors.pad(rows, length=length)
        if self.augment is not None:
            inputs = self.augment(inputs, np.random.default_rng([*self._seed, self.epoch, index]))
        if self.weights is None:
            return inputs, self.targets[rows]
        return inputs, self.targets[rows], self.weights[rows]

    def _deal(self) -> list[tuple[Integers, int]]:
        """The rows and the length of each batch of this epoch."""
        epoch = self.epoch
        if self._dealt[0] != epoch:
            self._dealt = epoch, self._deal_of(epoch)
        return self._dealt[1]

    def _deal_of(self, epoch: int) -> list[tuple[Integers, int]]:
        generator = np.random.default_rng([*self._seed, epoch])
        order = generator.permutation(len(self.tensors))
        batches: list[tuple[Integers, int]] = []
        left_over = order[:0]
        for bucket, length in enumerate(self.lengths):
            rows = np.concatenate([left_over, order[self._bucket[order] == bucket]])
            full = len(rows) // self.batch_size * self.batch_size
            batches += [(part, int(length)) for part in rows[:full].reshape(-1, self.batch_size)]
            left_over = rows[full:]
        if len(left_over):
            batches.append((left_over, int(self.lengths[-1])))
        return [batches[index] for index in generator.permutation(len(batches))]

    @property
    def n_slots(self) -> int:
        """Particle slots of an epoch's batches, padding included."""
        return sum(len(rows) * length for rows, length in self._deal())

    @property
    def n_truncated(self) -> Mapping[str, int]:
        """By collection, how many jets lost particles."""
        return self.tensors.n_truncated

    @property
    def padding(self) -> float:
        """The share of slots that is padding."""
        return 1 - float(self.tensors.lengths.sum()) / self.n_slots

    def dataset(self) -> tf.data.Dataset:
        """Returns a dataset of this epoch's batches for `keras.Model.fit`."""
        return dataset_of(self.batch, len(self), self.tensors.shapes)


class SharedBatches:
    """One worker's share of each batch; see `Batches`.

    The jets are dealt out in turn. Weights make up for shares that differ in size, so that the mean over the workers of
    their mean losses is the mean loss of the batch; who gets no jet takes the last one, with weight 0.

    Args:
        batches: the same in each worker.
        rank: of this worker, from 0.
        n_workers: how many there are.
    """

    def __init__(self, batches: Batches, *, rank: int, n_workers: int) -> None:
        self._batches, self._rank, self._n_workers = batches, rank, n_workers

    @property
    def epoch(self) -> int:
        """The one that `dataset` gives when it is started over."""
        return self._batches.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._batches.epoch = epoch

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def padding(self) -> float:
        """The share of slots that is padding, in the whole batches."""
        return self._batches.padding

    @property
    def n_truncated(self) -> Mapping[str, int]:
        """By collection, how many jets lost particles, of all workers'."""
        return self._batches.n_truncated

    def dataset(self) -> tf.data.Dataset:
        """Returns a dataset of this epoch's shares for `keras.Model.fit`."""

        def share(inputs: dict[str, Any], targets: Any, weights: Any = None) -> tuple[Any, ...]:
            n_jets = tf.shape(targets)[0]
            rows = tf.minimum(tf.range(self._rank, tf.maximum(n_jets, self._rank + 1), self._n_workers), n_jets - 1)
            factor = tf.where(self._rank < n_jets, tf.size(rows) * self._n_workers / n_jets, 0.0)
            weights = tf.ones(n_jets) if weights is None else weights
            own = {name: tf.gather(tensor, rows) for name, tensor in inputs.items()}
            return own, tf.gather(targets, rows), tf.gather(weights, rows) * tf.cast(factor, weights.dtype)

        return self._batches.dataset().map(share).prefetch(2)


def dataset_of(
    batch: Callable[[int], tuple[Any, ...]], n_batches: int, shapes: Mapping[str, tuple[int | None, ...]]
) -> tf.data.Dataset:
    """Returns batches of any length as a dataset, each made when it is its turn: sooner than by a generator.

    TensorFlow keeps a function that it was given as long as the process lasts. It is given one that forgets ``batch``, with
    all jets behind it, once nobody has the dataset any more.

    Args:
        batch: makes one, by its index.
        n_batches: their number.
        shapes: of each input, without the jet axis.
    """
    signature = signature_of(batch(0), shapes)
    specs = tf.nest.flatten(signature)

    known = weakref.WeakMethod(batch) if inspect.ismethod(batch) else weakref.ref(batch)

    def arrays_of(index: int) -> Any:
        make = known()
        if make is None:
            raise RuntimeError("the batches of this dataset are gone; keep the dataset as long as it is used")
        return tf.nest.flatten(make(index))

    def made(index: Any) -> Any:
        arrays = tf.numpy_function(arrays_of, [index], [spec.dtype for spec in specs])
        for array, spec in zip(arrays, specs, strict=True):
            array.set_shape(spec.shape)
        return tf.nest.pack_sequence_as(signature, arrays)

    dataset = untuned(tf.data.Dataset.range(n_batches).map(made).prefetch(2))
    dataset.batch_made_by = batch
    return dataset


def streamed(
    batches: Callable[[], Iterator[tuple[Any, ...]]], signature: tuple[Any, ...], n_batches: int
) -> tf.data.Dataset:
    """Returns batches as a dataset, of those that have to be made one after another.

    Args:
        batches: starts an epoch.
        signature: the declaration of each (`signature_of`).
        n_batches: their number in an epoch.
    """
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return untuned(dataset.apply(tf.data.experimental.assert_cardinality(n_batches)).prefetch(2))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset without TensorFlow's tuner, for which each epoch waits at its end: up to as long again.

    The tuner looks after 10, 30, 70, … ms, each time in twice as long, and an epoch is over only with its next look: one
    of 1.8 s took 2.5 s (measured with TensorFlow 2.21). Here it has nothing to tune.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def signature_of(batch: tuple[Any, ...], shapes: Mapping[str, tuple[int | None, ...]]) -> tuple[Any, ...]:
    """Returns the declaration of batches of any length, so that Keras compiles one step for all lengths.

    Left to itself, Keras takes the lengths of the first two batches for those of all, or compiles each anew.

    Args:
        batch: one that says the types.
        shapes: of each input, without the jet axis.
    """
    inputs, *rest = batch
    return (
        {name: tf.TensorSpec((None, *shape), inputs[name].dtype) for name, shape in shapes.items()},
        *(tf.TensorSpec((None,), array.dtype) for array in rest),
    )
