"""Score rows: what tagging writes for a chunk of jets, one row an entry of the source, aligned with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import awkward as ak
import numpy as np

from hepnn import defaults
from hepnn.drift import Counts, count
from hepnn.errors import OutputError
from hepnn.judging import column_of, tensors_of
from hepnn.oddities import odd_in
from hepnn.readers import JetChunk
from hepnn.schema import Schema
from hepnn.tensors import Tensors
from hepnn.working_points import WorkingPoint, passes
from hepnn.writers import score_columns

__all__ = ["ScoreRows", "Unscored", "default_prefix", "rows_of", "unscored"]


class Unscored(NamedTuple):
    """Jets of which everything is known but their scores.

    Attributes:
        chunk: jets and the entries that they come from.
        tensors: what the tagger's network is given.
        counts: how they compare with those of the training, `hepnn.drift.count`.
        odd: numbers of odd jets by what they are, `hepnn.oddities.odd_in`.
    """

    chunk: JetChunk
    tensors: Tensors
    counts: Counts
    odd: Mapping[str, int]


def unscored(tagger: Any, chunk: JetChunk) -> Unscored:
    """Returns a chunk with all that can be made of it while the network is busy with the one before.

    Raises:
        InputError, FeatureError: as `hepnn.Tagger.tensors`.
    """
    tensors = tensors_of(tagger, chunk)
    return Unscored(chunk, tensors, count(tagger.seen_, tensors), odd_in(chunk.jets))


class ScoreRows(NamedTuple):
    """What is written for some entries of one file.

    Attributes:
        file: path or URL.
        start: first entry.
        stop: one after the last.
        n_jets: jets scored.
        columns: (entry,) or (entry, *) by name; none where the entries could not be read.
        damage: why they could not, or "".
        counts: how the jets compare with those of the training, `hepnn.drift.count`; None where there are none.
        odd: numbers of odd jets by what they are, `hepnn.oddities.odd_in`.
    """

    file: str
    start: int
    stop: int
    n_jets: int
    columns: Mapping[str, Any]
    damage: str = ""
    counts: Counts | None = None
    odd: Mapping[str, int] = MappingProxyType({})

    def packed(self) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Returns the same as what JSON can hold, and arrays by name."""
        counts = {
            name: {each: n.tolist() for each, n in numbers.items()} for name, numbers in (self.counts or {}).items()
        }
        about = {"rows": self._replace(columns={}, counts=counts, odd=dict(self.odd))}
        if not self.columns:
            return about, {}
        columns = {name: ak.to_packed(ak.Array(column)) for name, column in self.columns.items()}
        form, length, buffers = ak.to_buffers(ak.zip(columns, depth_limit=1))
        return {**about, "form": form.to_dict(), "length": length}, buffers

    @classmethod
    def unpacked(cls, about: Mapping[str, Any], buffers: Mapping[str, Any] | None) -> Self:
        """Returns what was `packed`; without columns if there are no buffers.

        Raises:
            ValueError: there is not one row an entry.
        """
        rows = cls(*about["rows"])
        if not (isinstance(rows.file, str) and isinstance(rows.damage, str) and all(type(n) is int for n in rows[1:4])):
            raise ValueError(f"it is about the rows {rows[:4]}")
        if buffers is None or "form" not in about:
            return rows
        columns = ak.from_buffers(ak.forms.from_dict(about["form"]), about["length"], buffers)
        if not ak.is_valid(columns):  # else lists could reach beyond what is there
            raise ValueError(f"its lists do not fit together: {ak.validity_error(columns)}")
        if len(columns) != rows.stop - rows.start:
            raise ValueError(f"it has {len(columns)} rows for the entries {rows.start} to {rows.stop}")
        return rows._replace(columns={name: columns[name] for name in columns.fields})


def rows_of(
    jets: Unscored,
    *,
    tagger: Any,
    prefix: str,
    observers: Sequence[str],
    points: Sequence[WorkingPoint] = (),
) -> ScoreRows:
    """Returns the rows of a chunk, one an entry; jets that were not selected have NaN, and pass no working point.

    Args:
        jets: what `unscored` made of the chunk.
        tagger: a trained `hepnn.Tagger`.
        prefix: of the scores' names.
        observers: fields of the jets to copy.
        points: cuts; each is a column of booleans.

    Raises:
        OutputError: the rows are not as many as the entries.
    """
    chunk = jets.chunk
    probabilities = tagger.scores(jets.tensors)
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
    columns = {**score_columns(scores, prefix=prefix), **passed, **observed}
    return ScoreRows(chunk.file, chunk.start, chunk.stop, len(chunk.jets), columns, counts=jets.counts, odd=jets.odd)


def _with_gaps(values: ak.Array, place: ak.Array) -> ak.Array:
    """The values at ``place``, NaN where that is one past their end: all jets from those that pass."""
    fields = values.fields
    if fields:
        return ak.zip({name: _with_gaps(values[name], place) for name in fields})
    return ak.concatenate([values, ak.Array(np.array([np.nan], np.float32))])[place]


def default_prefix(schema: Schema) -> str:
    """Returns how scores are called: ``hepnn_``, and ``Jet_hepnn_`` where an entry is an event whose jets are ``Jet``."""
    if not schema.has_events:
        return defaults.SCORE_PREFIX
    (branch, *_) = sorted(schema.jets["pt"].branches)
    return f"{re.split('[._]', branch)[0]}_{defaults.SCORE_PREFIX}"
