"""Throughput: how many jets a second each stage handles, for the user's own file and tagger.

`bench` is the Python face of ``hepnn bench``. It times reading, feature making, scoring and training one after another,
on the same jets, and says which of them holds back tagging and which training. To learn how fast this machine is with
hepnn as against other programs, see the benchmarks in the tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import awkward as ak
import numpy as np

from hepnn import defaults
from hepnn.errors import InputError, TaggerError
from hepnn.jets import labels_of
from hepnn.precision import check_precision, lowered
from hepnn.readers import JetFiles, Source, open_jets
from hepnn.runtime import Session
from hepnn.targets import auc, class_indices
from hepnn.tensors import Tensors
from hepnn.threads import default_threads

__all__ = ["Lower", "Throughput", "bench"]

_REPEATS = 3
"""The shortest time counts: what else the machine does only adds to it."""

_BATCHES = 40
"""Of training: enough to measure, few enough not to wait for."""


class Lower(NamedTuple):
    """What scoring with fewer bits gains and costs.

    Attributes:
        precision: what was measured.
        scoring: jets a second.
        largest_change: of a score.
        auc: of these jets' own labels in float32, or None where they have none.
        auc_change: with fewer bits.
    """

    precision: str
    scoring: float
    largest_change: float
    auc: float | None
    auc_change: float | None


class Throughput(NamedTuple):
    """Jets a second.

    Attributes:
        n_jets: jets that were read.
        n_particles: their particles, on the average, as far as the tagger looks at them.
        threads: that scored.
        reading: from the files to jets.
        features: from jets to tensors.
        scoring: from tensors to scores.
        training: of an epoch's steps, from tensors on; None if it was not measured.
        lower: the same scoring with fewer bits; None if it was not measured.
    """

    n_jets: int
    n_particles: float
    threads: int
    reading: float
    features: float
    scoring: float
    training: float | None
    lower: Lower | None = None

    @property
    def slowest_of_tagging(self) -> str:
        """Which of reading, features and scoring takes longest."""
        return min(("reading", "features", "scoring"), key=lambda stage: float(getattr(self, stage)))

    @property
    def slowest_of_training(self) -> str:
        """Which of reading, features and training takes longest, where each epoch has all three, as on shards."""
        stages = ("reading", "features", "training")
        return min((s for s in stages if getattr(self, s) is not None), key=lambda stage: float(getattr(self, stage)))


def bench(
    source: Source | JetFiles,
    tagger: Any,
    *,
    max_jets: int = 20_000,
    training: bool = True,
    precision: str = defaults.PRECISION,
) -> Throughput:
    """Returns how many jets a second are read, made into tensors, scored and trained on.

    Nothing is written, and the tagger stays as it is: training goes on in a copy of its network, on made-up classes.

    Args:
        source: what `hepnn.open_jets` takes, read with the tagger's schema; or what it returns.
        tagger: a trained `hepnn.Tagger`.
        max_jets: how many jets are read.
        training: whether to measure training as well, which loads TensorFlow.
        precision: "int8" to measure scoring with fewer bits beside that in float32, and what it does to the AUC.

    Raises:
        InputError: there are no jets, or an unknown precision.
        TaggerError: fewer bits were asked for, and Keras scores this tagger.
        SourceError, SchemaError, FeatureError: the jets cannot be read, or lack what the tagger looks at.
    """
    check_precision(precision)
    files = source if isinstance(source, JetFiles) else open_jets(source, schema=tagger.read_schema() or "auto")
    parts = list(files.iterate(max_jets=max_jets))
    n_jets = sum(map(len, parts))
    if not n_jets:
        raise InputError("asked how fast jets are tagged; found none in what was read. Name files that hold jets.")
    jets = ak.concatenate(parts)
    tensors = tagger.tensors(jets)
    tagger.scores(tensors)  # what is done once, loading and compiling, is not counted

    def a_second(action: Callable[[], Any]) -> float:
        return n_jets / _seconds(action)

    return Throughput(
        n_jets,
        float(tensors.lengths.mean()),
        default_threads(),
        a_second(lambda: [len(part) for part in files.iterate(max_jets=max_jets)]),
        a_second(lambda: tagger.tensors(jets)),
        a_second(lambda: tagger.scores(tensors)),
        _training(tagger, tensors) if training else None,
        None if precision == defaults.PRECISION else _lower(tagger, tensors, jets, precision),
    )


def _lower(tagger: Any, tensors: Tensors, jets: ak.Array, precision: str) -> Lower:
    if tagger.onnx_ is None:
        raise TaggerError(f"asked to score with {precision}; Keras scores this tagger: {tagger.why_keras_}")
    session = Session(lowered(tagger.onnx_, precision=precision))
    exact, rough = tagger.scores(tensors), session.scores(tensors)
    aucs: list[float | None] = [None, None]
    if "label" in jets.fields:
        labelled = ~ak.to_numpy(ak.is_none(jets.label))
        targets = class_indices(labels_of(jets[labelled]), tagger.classes_)
        if len(np.unique(targets)) == len(tagger.classes_):
            aucs = [auc(targets, scores[labelled].astype(np.float64)) for scores in (exact, rough)]
    before, after = aucs
    return Lower(
        precision,
        len(tensors) / _seconds(lambda: session.scores(tensors)),
        float(np.abs(exact - rough).max()),
        before,
        None if before is None or after is None else after - before,
    )


def _training(tagger: Any, tensors: Tensors) -> float:
    """Jets a second of the training steps, with the tagger's own settings."""
    from hepnn.batches import BucketedBatches
    from hepnn.lessons import batch_settings
    from hepnn.models import build_model
    from hepnn.training import LONG, compile_model

    n_jets = min(len(tensors), _BATCHES * tagger.batch_size)
    batches = BucketedBatches(
        tensors[np.arange(n_jets)],
        np.arange(n_jets) % len(tagger.classes_),
        None,
        seed=tagger.seed,
        **batch_settings(tagger),
    )
    options = tagger.model_options_
    model = build_model(tagger.model, tagger.inputs_, n_classes=len(tagger.classes_), options=options)
    compile_model(
        model,
        steps=LONG,  # as where it matters how long it takes
        learning_rate=tagger.learning_rate,
        warmup=tagger.warmup,
        weight_decay=tagger.weight_decay,
    )

    dataset = batches.dataset()

    def epoch() -> None:
        model.fit(dataset, shuffle=False, verbose=0)

    epoch()  # traces
    return n_jets / _seconds(epoch)


def _seconds(action: Callable[[], Any]) -> float:
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)
