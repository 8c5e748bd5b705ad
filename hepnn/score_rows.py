"""Score rows: what tagging writes for a chunk of jets, one row an entry of the source, aligned with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np

from hepnn import defaults
from hepnn.errors import OutputError
from hepnn.readers import JetChunk
from hepnn.schema import Schema
from hepnn.tensors import Tensors
from hepnn.writers import score_columns

__all__ = ["ScoreRows", "default_prefix", "rows_of"]


class ScoreRows(NamedTuple):
    """What is written for some entries of one file.

    Attributes:
        file: path or URL.
        start: first entry.
        stop: one after the last.
        n_jets: jets scored.
        columns: (entry,) or (entry, *) by name; none where the entries could not be read.
        damage: why they could not, or "".
    """

    file: str
    start: int
    stop: int
    n_jets: int
    columns: Mapping[str, Any]
    damage: str = ""


def rows_of(chunk: JetChunk, tensors: Tensors, *, tagger: Any, prefix: str, observers: Sequence[str]) -> ScoreRows:
    """Returns the rows of a chunk, one an entry; jets that were not selected have NaN.

    Args:
        chunk: jets and the entries that they come from.
        tensors: what ``tagger.tensors`` made of the jets.
        tagger: a trained `hepnn.Tagger`.
        prefix: of the scores' names.
        observers: fields of the jets to copy.

    Raises:
        OutputError: the rows are not as many as the entries.
    """
    scores = tagger.records(tagger.scores(tensors))
    observed = {name: chunk.jets[name] for name in observers}
    if chunk.selected is not None:
        place = ak.Array(np.where(chunk.selected, np.cumsum(chunk.selected) - 1, len(chunk.jets)))
        scores, observed = _with_gaps(scores, place), {k: _with_gaps(v, place) for k, v in observed.items()}
    if chunk.counts is not None:
        scores = ak.unflatten(scores, chunk.counts)
        observed = {name: ak.unflatten(column, chunk.counts) for name, column in observed.items()}
    n_rows = chunk.stop - chunk.start
    if len(scores) != n_rows:
        raise OutputError(
            f"asked for one row for each of the entries {chunk.start} to {chunk.stop} of {chunk.file}; found {len(scores)} "
            "rows. This is a fault in hepnn: please report it with this message."
        )
    columns = {**score_columns(scores, prefix=prefix), **observed}
    return ScoreRows(chunk.file, chunk.start, chunk.stop, len(chunk.jets), columns)


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
