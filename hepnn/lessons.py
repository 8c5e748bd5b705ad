"""Lessons: what a tagger is trained on, from jets in memory or from shards, and what it knows of them before it is trained.

A lesson is batches, what validates, and the tagger to start from. Making one sets the tagger's classes, what its network
sees of the jets, how that is scaled, and how it was distributed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from hepnn import transfer
from hepnn.batches import Batches, BucketedBatches
from hepnn.drift import seen_in
from hepnn.errors import InputError
from hepnn.jets import as_jets, check_jets, labels_of
from hepnn.oddities import fingerprints, odd_in, repeated_in, warn_of_odd
from hepnn.representations import representation_for
from hepnn.shards import Shards
from hepnn.streaming import WINDOW_BLOCKS, Labelled, StreamedBatches
from hepnn.targets import (
    check_validation,
    class_indices,
    class_weights,
    classes_of,
    training_weights,
    weights_of,
)
from hepnn.tensors import Tensors, batches_by_length

__all__ = ["Lesson", "batch_settings", "lesson_of_jets", "lesson_of_shards"]

Integers = npt.NDArray[np.int64]

_TRAINED_ON = "validation jets that are trained on, so that the best epoch is not the best"

_SLOTS = 65_536
"""Padded particles in memory at once while jets are told from others."""


class Lesson(NamedTuple):
    """What a training needs.

    Attributes:
        batches: to train on.
        validating: jets that choose the best epoch.
        known_by: returns what a checkpoint tells this lesson from others by, as texts by name.
        start: the tagger to start from, or None.
    """

    batches: Batches
    validating: Labelled
    known_by: Callable[[], dict[str, str]]
    start: Any


def lesson_of_jets(tagger: Any, jets: ak.Array, *, y: Any, sample_weight: Any, validation: Any) -> Lesson:
    """Returns what a `hepnn.Tagger` learns from jets in memory; arguments and errors as for its ``fit``."""
    jets = check_jets(as_jets(jets))
    labels, weights = labels_of(jets, y), weights_of(sample_weight, len(jets))
    tagger.classes_, targets = classes_of(labels)
    start = _begin(tagger, jets)
    prints = fingerprints(jets)
    odd = odd_in(jets) | repeated_in(prints)
    training = Labelled(tagger.representation_.tensors(jets), targets, weights)
    if validation is None:
        kept, held_out = train_test_split(
            np.arange(len(jets)),
            test_size=max(tagger.validation_fraction, len(tagger.classes_) / len(jets)),
            stratify=targets,
            random_state=tagger.seed,
        )
        training, validating = _rows(training, kept), _rows(training, held_out)
    else:
        validating = _validating(tagger, validation)
        beside = check_jets(as_jets(validation[0] if isinstance(validation, tuple) else validation))
        if n_trained_on := int(np.isin(fingerprints(beside), prints).sum()):
            odd[_TRAINED_ON] = n_trained_on
    warn_of_odd(odd)
    check_validation(*validating[1:], classes=tagger.classes_)
    _measure(tagger, training.tensors, start=start)
    weights = training_weights(tagger.class_weight, training.targets, training.weights, classes=tagger.classes_)
    batches = BucketedBatches(training.tensors, training.targets, weights, seed=tagger.seed, **batch_settings(tagger))
    learned = training._replace(weights=weights)

    def known_by() -> dict[str, str]:
        return {"jets": _known(learned), "validation jets": _known(validating)}

    return Lesson(batches, validating, known_by, start)


def lesson_of_shards(tagger: Any, shards: Shards, *, validation: Any, weight: str | None) -> Lesson:
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
    start = _begin(tagger, jets)
    _measure(tagger, tagger.representation_.tensors(jets), start=start)
    if tagger.schema is None:
        tagger.schema = shards.schema

    def read(chosen: Integers) -> Labelled:
        jets = shards.read(chosen)
        return _labelled(tagger, jets, weights=None if weight is None else jets[weight])

    def read_weighted(chosen: Integers) -> Labelled:
        found = read(blocks[chosen])
        if by_class is None:
            return found
        weights = by_class[found.targets]
        return found._replace(weights=weights if found.weights is None else weights * found.weights)

    validating = read(held_out) if validation is None else _validating(tagger, validation)
    check_validation(*validating[1:], classes=tagger.classes_)
    sizes = np.array([shards.size(block) for block in blocks])
    batches = StreamedBatches(sizes, read_weighted, settings=batch_settings(tagger), seed=tagger.seed)

    def known_by() -> dict[str, str]:
        parts = (shards.checksum(), weight, None if by_class is None else by_class.tolist())
        return {"jets": ", ".join(map(str, parts)), "validation jets": _known(validating)}

    return Lesson(batches, validating, known_by, start)


def _begin(tagger: Any, jets: ak.Array) -> Any:
    """Settles what the network sees of jets like these, and its options; returns the tagger to start from, or None."""
    settings = tagger.get_params(deep=False)
    folder = tagger.start_from
    start = None if folder is None else type(tagger).load(folder, custom=transfer.own_functions(settings))
    tagger.model_options_ = transfer.options_of(settings, start=start)
    tagger.representation_ = representation_for(jets, settings, start=start and start.representation_)
    return start


def _measure(tagger: Any, tensors: Tensors, *, start: Any) -> None:
    """Notes how training jets are scaled, how they are distributed, and what of them is left out."""
    tagger.left_out_ = tagger.representation_.left_out(tensors)
    tagger.inputs_ = tagger.representation_.specs(tensors, scaling=tagger.scaling)
    contents = tagger.representation_.contents()
    if start is not None:
        tagger.inputs_ = transfer.scaled_as(tagger.inputs_, contents, start=start)
    tagger.seen_ = seen_in(tensors, {name: part.features for name, part in contents.items()})


def batch_settings(tagger: Any) -> dict[str, Any]:
    """Returns how a fitted tagger's training deals batches: keyword arguments of `hepnn.batches.BucketedBatches`."""
    augment = tagger.representation_.default_augmentations if tagger.augment == "auto" else tagger.augment
    return {
        "batch_size": tagger.batch_size,
        "n_buckets": tagger.n_buckets,
        "augment": tagger.representation_.augmenter(augment) if augment else None,
    }


def _labelled(tagger: Any, jets: ak.Array, y: Any = None, weights: Any = None) -> Labelled:
    jets = check_jets(as_jets(jets))
    return Labelled(
        tagger.representation_.tensors(jets),
        class_indices(labels_of(jets, y), tagger.classes_),
        weights_of(weights, len(jets)),
    )


def _validating(tagger: Any, validation: Any) -> Labelled:
    """The jets that validate, given alone or with classes and weights."""
    return _labelled(tagger, *validation) if isinstance(validation, tuple) else _labelled(tagger, validation)


def _known(these: Labelled) -> str:
    """The number of jets and a checksum of all that is learned from them."""
    found = hashlib.sha256(these.targets.tobytes())
    if these.weights is not None:
        found.update(these.weights.tobytes())
    for rows in batches_by_length(these.tensors.lengths, slots=_SLOTS):
        for name, array in these.tensors.pad(rows).items():
            found.update(f"{name} {array.shape}".encode())
            found.update(array.tobytes())
    return f"{len(these.targets)} with the checksum {found.hexdigest()[:16]}"


def _rows(these: Labelled, rows: Integers) -> Labelled:
    return Labelled(these.tensors[rows], these.targets[rows], None if these.weights is None else these.weights[rows])
