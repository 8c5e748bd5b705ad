"""Chunks: the jets of a run of entries, with what is needed to give each jet's score back to its entry."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import kinematics
from hepnn.errors import FeatureError, InputError, SchemaError, SourceError
from hepnn.expressions import Expression
from hepnn.jets import collections_of
from hepnn.oddities import is_sound
from hepnn.readers.formats import read_steps
from hepnn.readers.layouts import rows_from_columns
from hepnn.readers.preflight import Plan, SkippedFile
from hepnn.readers.tables import Table
from hepnn.schema import Schema, jets_from_rows

__all__ = ["EntryRange", "JetChunk", "chunk_of", "chunks_of", "ranges_of", "saying_where"]


class JetChunk(NamedTuple):
    """Jets, and where they come from.

    Attributes:
        jets: (jet,) records; with a selection, only the jets that pass.
        counts: number of jets in each entry before any selection, (entry,), or None where an entry is a jet.
        file: path.
        tree: its tree.
        start: first entry.
        stop: one after the last.
        selected: which of all jets of these entries pass the selection, or None if there is none.
    """

    jets: ak.Array
    counts: npt.NDArray[np.int64] | None
    file: str
    tree: str
    start: int
    stop: int
    selected: npt.NDArray[np.bool_] | None = None


@contextlib.contextmanager
def saying_where(chunk: JetChunk) -> Iterator[None]:
    """Adds to errors about the jets of a chunk which file and entries they come from."""
    try:
        yield
    except (InputError, FeatureError) as error:
        raise type(error)(f"in {chunk.file}, entries {chunk.start} to {chunk.stop}: {error}") from error


class EntryRange(NamedTuple):
    """Entries of one file.

    Attributes:
        table: position of the file in the plan.
        start: first entry.
        stop: one after the last.
    """

    table: int
    start: int
    stop: int


_MOST_RANGES = 10_000_000
"""Of all files together: as many steps of 50,000 entries are more than any data set has, and fill some GB."""


def ranges_of(made: Plan, *, step: int) -> list[EntryRange]:
    """Returns the entries of the chunks that `chunks_of` would yield without a limit, in order.

    Raises:
        SourceError: the files claim to have more entries than there can be.
    """
    for table in made.tables:
        if table.n_entries > _MOST_RANGES * step:
            raise SourceError(
                f"asked for the {table.n_entries} entries of {table.place} in steps of {step}; that is more than "
                f"{_MOST_RANGES} steps. The file is damaged, or the step too small."
            )
    return [
        EntryRange(position, start, min(start + step, table.n_entries))
        for position, table in enumerate(made.tables)
        for start in range(0, max(table.n_entries, 1), step)
    ]


def chunk_of(made: Plan, entries: EntryRange, *, select: Expression | None, max_jets: int | None = None) -> JetChunk:
    """Returns the jets of some entries, the same as in a chunk of `chunks_of`; errors as there.

    Raises:
        InputError: there are no such entries.
    """
    position, start, stop = entries
    if not 0 <= position < len(made.tables) or not 0 <= start <= stop <= made.tables[position].n_entries:
        there = ", ".join(str(table.n_entries) for table in made.tables[:10])
        raise InputError(
            f"asked for the entries {start} to {stop} of file {position}, counted from 0; the {len(made.tables)} files have "
            f"{there} entries. Take ranges from JetFiles.ranges."
        )
    first, last = (start, stop) if start < stop else (0, 1)  # formats read no empty ranges
    table = made.tables[position]
    (chunk,) = _chunks_of_table(
        table, made, step=last - first, left=None, select=select, start=first, stop=min(last, table.n_entries)
    )
    if start == stop:
        return _cut(chunk, 0)._replace(start=start, stop=stop)
    return chunk if max_jets is None else _cut(chunk, max_jets)


def chunks_of(
    made: Plan,
    *,
    step: int,
    max_jets: int | None,
    select: Expression | None,
    skipped: list[SkippedFile] | None,
) -> Iterator[JetChunk]:
    """Yields the jets of every file in turn, at most ``step`` entries at once.

    The chunk in which ``max_jets`` is reached ends with the entry of the last jet wanted.

    Args:
        made: what to read.
        step: entries at once.
        max_jets: stop after so many jets, or None.
        select: what jets have to pass, or None.
        skipped: a list to which damaged files are added; None to stop at one.

    Raises:
        SourceError: a file turns out to be damaged.
        SchemaError: the columns do not fit the schema; the message says where.
    """
    left = max_jets
    for table in made.tables:
        done = 0
        try:
            for chunk in _chunks_of_table(table, made, step=step, left=left, select=select):
                yield chunk
                done = chunk.stop
                if left is not None:
                    left -= len(chunk.jets)
                    if left <= 0:
                        return
        except SourceError as error:
            if skipped is None:
                raise
            skipped.append(SkippedFile(table.file, str(error), done))


def _chunks_of_table(
    table: Table,
    made: Plan,
    *,
    step: int,
    left: int | None,
    select: Expression | None,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[JetChunk]:
    # only where an entry is a jet is it known beforehand how many entries are needed
    last = left if left is not None and select is None and not made.schema.has_events else stop
    for first, end, columns in read_steps(table, made.branches, step=step, start=start, stop=last):
        try:
            chunk = _chunk(table, made.schema, first, end, columns, select)
        except SchemaError as error:
            raise SchemaError(f"in {table.place}, entries {first} to {end}: {error}") from error
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            # damage can also show as columns that do not belong together
            raise SourceError(
                f"asked to read {table.place}, entries {first} to {end}; its columns do not fit together "
                f"({type(error).__name__}: {str(error)[:200]}). It is damaged, or the schema {made.schema.name!r} is "
                "not right for it."
            ) from error
        if left is not None:
            chunk = _cut(chunk, left)
            left -= len(chunk.jets)
        yield chunk
        if left is not None and left <= 0:
            return


def _chunk(
    table: Table, schema: Schema, start: int, stop: int, columns: dict[str, Any], select: Expression | None
) -> JetChunk:
    rows = rows_from_columns(columns, schema)
    jets = jets_from_rows(rows)
    selected = None
    if select is not None:
        selected = passing(jets, select, classes=tuple(schema.labels))
        jets = ak.to_packed(jets[selected])
    return JetChunk(jets, rows.counts, table.file, table.name, start, stop, selected)


def passing(jets: ak.Array, select: Expression, *, classes: Sequence[str] = ()) -> npt.NDArray[np.bool_]:
    """Returns which jets pass, (jet,).

    Names are the jets' fields, ``mass``, ``n_particles`` and the like, ``is_sound`` (`hepnn.oddities.is_sound`), and of
    jets with labels ``has_label`` and the ``classes``, each true of its jets.

    Raises:
        SchemaError: the jets have no such field.
    """
    collections = collections_of(jets)
    values: dict[str, Any] = {
        name: ak.to_numpy(jets[name])
        for name in jets.fields
        if name not in collections and name != "label" and jets[name].ndim == 1
    }
    with np.errstate(all="ignore"):  # what is no momentum is found where it is used
        values["mass"] = kinematics.invariant_mass(
            *(values[name].astype(np.float64) for name in ("pt", "eta", "energy"))
        )
    values.update({f"n_{name}": ak.to_numpy(ak.num(jets[name])) for name in collections})
    if "is_sound" in select.names:
        values.setdefault("is_sound", is_sound(jets))
    if "label" in jets.fields:
        labels = ak.fill_none(jets.label, "")
        flags = {"has_label": ~ak.to_numpy(ak.is_none(jets.label))} if "has_label" in select.names else {}
        flags |= {name: ak.to_numpy(labels == name) for name in classes if name in select.names}
        values = flags | values
    return np.broadcast_to(np.asarray(select(values), dtype=bool), (len(jets),))


def _cut(chunk: JetChunk, left: int) -> JetChunk:
    """Returns the chunk up to the entry in which ``left`` jets are reached."""
    if len(chunk.jets) < left:
        return chunk
    n_all = len(chunk.jets) if chunk.selected is None else len(chunk.selected)
    counts = np.ones(n_all, np.int64) if chunk.counts is None else chunk.counts
    ends = np.cumsum(counts)
    taken = np.arange(1, n_all + 1) if chunk.selected is None else np.cumsum(chunk.selected)
    n_entries = 0 if left == 0 else int(np.searchsorted(ends, int(np.searchsorted(taken, left)) + 1)) + 1
    n_kept = int(ends[n_entries - 1]) if n_entries else 0
    n_jets = n_kept if chunk.selected is None else int(chunk.selected[:n_kept].sum())
    return chunk._replace(
        jets=ak.to_packed(chunk.jets[:n_jets]),
        counts=None if chunk.counts is None else chunk.counts[:n_entries],
        selected=None if chunk.selected is None else chunk.selected[:n_kept],
        stop=chunk.start + n_entries,
    )
