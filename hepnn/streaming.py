"""Streaming: batches from shards (`hepnn.shards`), of which only a window is in memory at a time.

Each epoch takes the blocks of the shards in an order of its own. So many as fill a window are read and made into
tensors, while a training step works on the window before; the jets of a window are shuffled and dealt into batches like
those of a training in memory. The order follows from the seed and the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hepnn.batches import BucketedBatches, signature_of, streamed
from hepnn.prefetch import prefetched
from hepnn.tensors import Tensors

__all__ = ["WINDOW_BLOCKS", "Labelled", "StreamedBatches"]

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

WINDOW_BLOCKS = 80
"""Blocks in memory at once: 20,480 jets, whose tensors take some 100 MB."""


class Labelled(NamedTuple):
    """What is learned from: tensors, class indices (jet,), and weights (jet,) or None."""

    tensors: Tensors
    targets: Integers
    weights: npt.NDArray[np.float64] | None


class StreamedBatches:
    """Batches of jets of like length from a window of blocks after another; see `hepnn.batches.Batches`.

    Args:
        sizes: jets of each block, (block,).
        read: returns the jets of some blocks, given by their place in ``sizes``.
        settings: of the `hepnn.batches.BucketedBatches` of a window: ``batch_size``, ``n_buckets`` and ``augment``.
        seed: of the order, together with the epoch.

    Attributes:
        epoch: the epoch that an iteration gives.
        n_truncated: by collection, how many jets of the last epoch lost particles.
    """

    def __init__(
        self, sizes: Integers, read: Callable[[Integers], Labelled], *, settings: dict[str, Any], seed: int
    ) -> None:
        self.epoch, self.seed = 0, seed
        self.n_truncated: dict[str, int] = {}
        self._sizes, self._read, self._settings = sizes, read, settings
        self._slots = self._filled = 0

    def windows(self) -> list[Integers]:
        """Returns the blocks of each window of this epoch.

        The block that is not full comes last, so that every epoch has as many batches.
        """
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self._sizes))
        order = order[np.argsort(self._sizes[order] < self._sizes.max(), kind="stable")]
        return np.split(order, range(WINDOW_BLOCKS, len(order), WINDOW_BLOCKS))

    def __len__(self) -> int:
        size = self._settings["batch_size"]
        return sum(math.ceil(int(self._sizes[blocks].sum()) / size) for blocks in self.windows())

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        self._slots = self._filled = 0
        self.n_truncated = {}
        for number, window in enumerate(prefetched(map(self._read, self.windows()))):
            batches = BucketedBatches(*window, seed=(self.seed, number), **self._settings)
            batches.epoch = self.epoch
            self._slots += batches.n_slots
            self._filled += int(window.tensors.lengths.sum())
            for name, count in window.tensors.n_truncated.items():
                self.n_truncated[name] = self.n_truncated.get(name, 0) + count
            yield from batches

    @property
    def padding(self) -> float:
        """The share of slots of the last epoch that was padding."""
        return 1 - self._filled / self._slots if self._slots else 0.0

    def dataset(self) -> tf.data.Dataset:
        """Returns a dataset of this epoch's batches for `keras.Model.fit`."""
        first = self._read(self.windows()[0][:1])
        example = BucketedBatches(*first, seed=self.seed, **self._settings).batch(0)
        signature = signature_of(example, first.tensors.shapes)
        return streamed(lambda: iter(self), signature, len(self))
