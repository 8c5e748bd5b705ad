"""Streaming: a training on shards (`hepnn.shards`), of which only a window is in memory at a time.

Each epoch takes the blocks of the shards in an order of its own. So many as fill a window are read and made into
tensors, while a training step works on the window before; the jets of a window are shuffled and dealt into batches like
those of a training in memory. The order follows from the seed and the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hepnn.batches import BucketedBatches, dataset_of
from hepnn.errors import InputError
from hepnn.jets import as_jets, check_jets, labels_of
from hepnn.prefetch import prefetched
from hepnn.shards import Shards
from hepnn.targets import check_validation, class_indices, class_weights, weights_of
from hepnn.tensors import Tensors

__all__ = ["Labelled", "Lesson", "StreamedBatches", "lesson"]

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

WINDOW_BLOCKS = 80
"""Blocks in memory at once: 20,480 jets, whose tensors take some 100 MB."""


class Labelled(NamedTuple):
    """What is learned from: tensors, class indices (jet,), and weights (jet,) or None."""

    tensors: Tensors
    targets: Integers
    weights: Floats | None


class Lesson(NamedTuple):
    """What a training on shards needs: batches, what validates, what its checkpoint is known by, where it starts from."""

    batches: StreamedBatches
    validating: Labelled
    counts: Integers
    start: Any


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
        example = next(iter(BucketedBatches(*first, seed=self.seed, **self._settings)))
        return dataset_of(lambda: iter(self), len(self), first.tensors.shapes, example=example)


def lesson(tagger: Any, shards: Shards, *, validation: Any, weight: str | None) -> Lesson:
    """Returns what a `hepnn.Tagger` learns from shards, and sets what it learns before training.

    Args:
        tagger: gets ``classes_``, ``representation_``, ``inputs_``; its schema, if it has none, is that of the shards.
        shards: the jets.
        validation: jets that choose the best epoch, or a tuple of jets, classes and weights; None for blocks of the
            shards, a share ``validation_fraction`` of them but no more than fit in memory.
        weight: the jets' field with their weights, or None.

    Raises:
        InputError: fewer than two classes, too few jets, or no such field.
        SourceError: a file is damaged.
    """
    if len(shards.counts) < 2 or shards.n_blocks < 2:
        raise InputError(
            f"asked to train on the shards in {shards.folder}; found {shards.n_jets} jets of "
            f"{', '.join(shards.counts)}. Streaming takes at least two classes and two blocks of jets; train on fewer with "
            "hepnn.read_jets."
        )
    tagger.classes_ = np.array(sorted(shards.counts))
    counts = np.array([shards.counts[name] for name in tagger.classes_])
    by_class = class_weights(tagger.class_weight, counts, classes=tagger.classes_)
    blocks = np.random.default_rng(tagger.seed).permutation(shards.n_blocks)
    n_held_out = 0 if validation is not None else max(round(tagger.validation_fraction * len(blocks)), 1)
    held_out, blocks = np.split(blocks, [min(n_held_out, WINDOW_BLOCKS)])
    jets = check_jets(shards.read(blocks[:WINDOW_BLOCKS]))
    if weight is not None and weight not in jets.fields:
        raise InputError(f"asked for weights in the field {weight!r}; found only {', '.join(jets.fields)}.")
    # what a tagger learns of the jets before it is trained, from one window of them
    start = tagger._begin(jets)
    tagger._measure(tagger.representation_.tensors(jets), start=start)
    if tagger.schema is None:
        tagger.schema = shards.schema

    def labelled(jets: ak.Array, y: Any = None, weights: Any = None) -> Labelled:
        return Labelled(
            tagger.representation_.tensors(check_jets(as_jets(jets))),
            class_indices(labels_of(jets, y), tagger.classes_),
            weights_of(weights, len(jets)),
        )

    def read(chosen: Integers) -> Labelled:
        jets = shards.read(chosen)
        return labelled(jets, weights=None if weight is None else jets[weight])

    def read_weighted(chosen: Integers) -> Labelled:
        found = read(blocks[chosen])
        if by_class is None:
            return found
        weights = by_class[found.targets]
        return found._replace(weights=weights if found.weights is None else weights * found.weights)

    if validation is None:
        validating = read(held_out)
    else:
        validating = labelled(*validation) if isinstance(validation, tuple) else labelled(validation)
    check_validation(*validating[1:], classes=tagger.classes_)
    settings = {
        "batch_size": tagger.batch_size,
        "n_buckets": tagger.n_buckets,
        "augment": tagger._augmenter(),
    }
    sizes = np.array([shards.size(block) for block in blocks])
    return Lesson(StreamedBatches(sizes, read_weighted, settings=settings, seed=tagger.seed), validating, counts, start)
