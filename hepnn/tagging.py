"""Tagging: a source and a tagger in, a file of scores aligned with the source out; or labels and scores to judge.

Files are read in steps, so memory does not grow with them, and a thread reads and makes features while the jets before
are scored. `tag` is the Python face of ``hepnn tag``.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults
from hepnn.drift import Counts, add_counts, count, drifts, warnings_of_drift
from hepnn.errors import HepnnWarning, InputError, OutputError
from hepnn.jets import labels_of
from hepnn.judging import column_of
from hepnn.prefetch import prefetched
from hepnn.readers import JetChunk, JetFiles, Source, open_jets
from hepnn.schema import Schema
from hepnn.tensors import Tensors
from hepnn.working_points import WorkingPoint, passes, read_working_point
from hepnn.writers import FORMATS, open_writer, score_columns

__all__ = ["Scored", "Tagged", "score", "tag"]


class Tagged(NamedTuple):
    """What `tag` wrote.

    Attributes:
        path: the file.
        n_entries: rows, as many as entries in the source.
        n_jets: jets scored.
        columns: names of what was written.
    """

    path: Path
    n_entries: int
    n_jets: int
    columns: tuple[str, ...]


class Scored(NamedTuple):
    """Jets with truth and scores.

    Attributes:
        labels: (jet,) class names.
        probabilities: (jet, class).
        columns: further columns by name, (jet,).
    """

    labels: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float32]
    columns: dict[str, npt.NDArray[Any]]


def _opened(source: Source | JetFiles, tagger: Any) -> JetFiles:
    return source if isinstance(source, JetFiles) else open_jets(source, schema=tagger.read_schema() or "auto")


def tag(
    source: Source | JetFiles,
    tagger: Any,
    output: str | os.PathLike[str],
    *,
    output_tree: str = defaults.SCORE_TREE,
    prefix: str | None = None,
    file_format: str | None = None,
    working_point: Sequence[WorkingPoint | str | os.PathLike[str]] = (),
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[Tagged]:
    """Writes the scores of all jets in ``source`` and returns what was written.

    One entry of the source is one row of the output, in order: a number a class where an entry is a jet, a list of
    numbers where an entry is an event. A jet that fails the selection has NaN for each class, so the rows still match.
    Observers are copied beside the scores. A `HepnnWarning` says so where jets look unlike those of the training
    (`hepnn.drift`).

    Args:
        source: what `hepnn.open_jets` takes, read with the tagger's schema; or what it returns, for another schema, a
            selection, observers, or files that are skipped.
        tagger: a trained `hepnn.Tagger`.
        output: the file for the scores of all inputs, ``*.root`` or ``*.parquet``; or a folder, for one file
            ``<input>_scores.root`` each.
        output_tree: name of the tree to write.
        prefix: of the columns' names, followed by the class; None for ``hepnn_``, and ``Jet_hepnn_`` where an entry is
            an event and its jets are called ``Jet``.
        file_format: "ttree", "rntuple" or "parquet"; None for what the output's name says.
        working_point: cuts, or the JSON files that hold them; each adds a column of booleans with its name, false for
            jets that fail the selection.
        overwrite: replace existing files.
        progress: called with the number of jets done.

    Raises:
        SourceError, SchemaError: the source cannot be read.
        FeatureError: the jets lack what the tagger looks at.
        InputError: two inputs would have the same output, or a working point cannot be read or is about other classes.
        OutputError: a file exists or cannot be written.
    """
    files = _opened(source, tagger)
    counts: Counts = {}
    chunks = prefetched(_counted(files, tagger, counts))
    points = [each if isinstance(each, WorkingPoint) else read_working_point(each) for each in working_point]
    for point in points:
        _check_classes(point, tagger)
    columns = functools.partial(
        _columns,
        tagger=tagger,
        prefix=_prefix(files.schema) if prefix is None else prefix,
        observers=files.observers,
        points=points,
    )
    target = Path(output)
    if not (target.is_dir() or str(output).endswith(os.sep)):
        only = _write(chunks, columns, target, output_tree, file_format, overwrite, progress, 0)
        _warn_of_drift(tagger, counts)
        return [only]
    target.mkdir(parents=True, exist_ok=True)
    done: list[Tagged] = []
    for file, of_file in itertools.groupby(chunks, key=lambda pair: pair[0].file):
        path = target / f"{Path(file).stem}_scores{FORMATS[file_format or 'ttree'].suffix}"
        if path in {each.path for each in done}:
            raise InputError(
                f"asked for one output each in {target}; two inputs are called {Path(file).name}. Tag them apart."
            )
        n_before = sum(each.n_jets for each in done)
        done.append(_write(of_file, columns, path, output_tree, file_format, overwrite, progress, n_before))
    _warn_of_drift(tagger, counts)
    return done


def _counted(files: JetFiles, tagger: Any, counts: Counts) -> Iterator[tuple[JetChunk, Tensors]]:
    """Chunks with their tensors; how these compare with the training is added to ``counts``."""
    for chunk in files.chunks():
        tensors = tagger.tensors(chunk.jets)
        counts.update(add_counts(counts, count(tagger.seen_, tensors)))
        yield chunk, tensors


def _warn_of_drift(tagger: Any, counts: Counts) -> None:
    for text in warnings_of_drift(drifts(tagger.seen_, counts)):
        warnings.warn(text, HepnnWarning, stacklevel=3)


def _check_classes(point: WorkingPoint, tagger: Any) -> None:
    """Refuses a working point of another tagger, as far as one can see."""
    known = tuple(map(str, tagger.classes_))
    for name in (point.signal, point.background, *(point.fractions or ())):
        if name is not None and name not in known:
            raise InputError(
                f"asked for the working point {point.name!r}, which is about the class {name!r}; the tagger knows "
                f"{', '.join(known)}. Make one with this tagger: hepnn evaluate FILES --working-point efficiency=0.5."
            )


def _columns(
    chunk: JetChunk,
    tensors: Tensors,
    *,
    tagger: Any,
    prefix: str,
    observers: Sequence[str],
    points: Sequence[WorkingPoint],
) -> dict[str, Any]:
    """The columns of the output for a chunk, one row an entry."""
    probabilities = tagger.scores(tensors)
    scores = tagger.records(probabilities)
    observed = {name: chunk.jets[name] for name in observers}
    passed = {
        f"{prefix}{point.name}": passes(
            point,
            probabilities,
            classes=tuple(map(str, tagger.classes_)),
            values=None if point.column is None else column_of(chunk.jets, point.column),
        )
        for point in points
    }
    if chunk.selected is not None:
        place = ak.Array(np.where(chunk.selected, np.cumsum(chunk.selected) - 1, len(chunk.jets)))
        scores, observed = _with_gaps(scores, place), {k: _with_gaps(v, place) for k, v in observed.items()}
        passed = {name: np.append(flags, False)[ak.to_numpy(place)] for name, flags in passed.items()}
    if chunk.counts is not None:
        scores = ak.unflatten(scores, chunk.counts)
        observed, passed = (
            {name: ak.unflatten(column, chunk.counts) for name, column in columns.items()}
            for columns in (observed, passed)
        )
    n_rows = chunk.stop - chunk.start
    if len(scores) != n_rows:
        raise OutputError(
            f"asked for one row for each of the entries {chunk.start} to {chunk.stop} of {chunk.file}; found {len(scores)} "
            "rows. This is a fault in hepnn: please report it with this message."
        )
    return {**score_columns(scores, prefix=prefix), **passed, **observed}


def _with_gaps(values: ak.Array, place: ak.Array) -> ak.Array:
    """The values at ``place``, NaN where that is one past their end: all jets from those that pass."""
    fields = values.fields
    if fields:
        return ak.zip({name: _with_gaps(values[name], place) for name in fields})
    return ak.concatenate([values, ak.Array(np.array([np.nan], np.float32))])[place]


def _prefix(schema: Schema) -> str:
    if not schema.has_events:
        return defaults.SCORE_PREFIX
    (branch, *_) = sorted(schema.jets["pt"].branches)
    return f"{re.split('[._]', branch)[0]}_{defaults.SCORE_PREFIX}"


def _write(
    chunks: Iterable[tuple[JetChunk, Tensors]],
    columns: Callable[[JetChunk, Tensors], dict[str, Any]],
    path: Path,
    tree: str,
    file_format: str | None,
    overwrite: bool,
    progress: Callable[[int], None] | None,
    n_before: int,
) -> Tagged:
    n_entries = n_jets = 0
    names: tuple[str, ...] = ()
    with open_writer(path, tree=tree, file_format=file_format, overwrite=overwrite) as extend:
        for chunk, tensors in chunks:
            made = columns(chunk, tensors)
            extend(made)
            names = tuple(made)
            n_entries += chunk.stop - chunk.start
            n_jets += len(chunk.jets)
            if progress is not None:
                progress(n_before + n_jets)
    return Tagged(path, n_entries, n_jets, names)


def score(
    source: Source | JetFiles,
    tagger: Any,
    *,
    columns: Sequence[str] = (),
    max_jets: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Scored:
    """Returns truth and scores of the jets in ``source``, in order, to judge a tagger by.

    Args:
        source: as for `tag`.
        tagger: a trained `hepnn.Tagger`.
        columns: fields of the jets to return as well, such as a weight or ``pt``.
        max_jets: stop after so many.
        progress: called with the number of jets done.

    Raises:
        InputError: the source has no labels, no such column, or no jets.
        SourceError, SchemaError, FeatureError: as in `tag`.
    """
    labels, probabilities, kept = [], [], []
    read = ((jets, tagger.tensors(jets)) for jets in _opened(source, tagger).iterate(max_jets=max_jets))
    for jets, tensors in prefetched(read):
        for name in columns:
            if name not in jets.fields:
                raise InputError(
                    f"asked for the column {name!r} of the jets; found only {', '.join(jets.fields)}. "
                    "Name it among the observers in the schema."
                )
        labels.append(labels_of(jets))
        probabilities.append(tagger.scores(tensors))
        kept.append({name: ak.to_numpy(jets[name]) for name in columns})
        if progress is not None:
            progress(sum(map(len, labels)))
    if not sum(map(len, labels)):
        raise InputError("asked to judge a tagger; found no jets in what was read. Name files that hold jets.")
    return Scored(
        np.concatenate(labels),
        np.concatenate(probabilities),
        {name: np.concatenate([part[name] for part in kept]) for name in columns},
    )
