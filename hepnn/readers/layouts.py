"""Layouts: how particles hang on jets, from the columns of a chunk to `hepnn.schema.Rows`.

Each function takes columns, branch name to array with one row an entry, and a schema; `LAYOUTS` names them. All
that is done here is to bring every branch to one value a jet or one value a record, the records of a jet side by
side; formulas, units and labels are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.errors import SchemaError
from hepnn.expressions import compile_expression
from hepnn.readers.clustering import cluster
from hepnn.readers.links import check_inside, gather, n_links_of, needed
from hepnn.schema import Rows, Schema
from hepnn.schema.rows import Columns, Records, flat_rows, jet_values, plain, ragged, sum_records

__all__ = ["LAYOUTS", "rows_from_columns"]

Counts = npt.NDArray[np.int64]


class _Event(NamedTuple):
    """The jets of a chunk: number in each entry, and number of the first of each entry among all."""

    counts: Counts
    first: Counts


def rows_from_columns(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of a chunk, in the schema's layout.

    Args:
        columns: branch name to array, one row an entry.
        schema: how they are spelled.

    Raises:
        SchemaError: a branch is missing, has the wrong number of levels, or links point outside their pool.
    """
    rows = LAYOUTS[schema.layout](columns, schema)
    if schema.sum_particles:
        rows = rows._replace(jets={**sum_records(rows.collections["particles"]), **rows.jets})
    return rows


def columns_rows(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of fixed-width tables, (jet, slot); the slots in which ``padding`` is true are left out."""
    rule = compile_expression(schema.padding or "")
    widths = {name: np.asarray(columns[name]) for name in rule.names if name in columns}
    if len(widths) < len(rule.names):
        raise SchemaError(
            f"schema {schema.name!r}: the padding needs {', '.join(sorted(rule.names - columns.keys()))}."
        )
    is_real = ~np.asarray(rule(widths), dtype=bool)
    counts = is_real.sum(axis=1)
    kept: dict[str, Any] = {}
    for name, array in columns.items():
        if getattr(array, "ndim", 1) < 2:
            kept[name] = array
            continue
        values = np.asarray(array)
        if values.shape != is_real.shape:
            raise SchemaError(
                f"schema {schema.name!r}: {name!r} has the shape {values.shape} and the padding {is_real.shape}; every "
                "jet needs the same slots in all of them."
            )
        kept[name] = _lists(values[is_real], counts)
    return flat_rows(kept, schema)


def nested_rows(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of events with lists of jets, each with a list of particles, (event, jet, *)."""
    jets = _jets(columns, schema)
    return flat_rows(_jet_columns(columns, jets, schema.branches(optional=True)), schema)._replace(counts=jets.counts)


def indexed_rows(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of events in which each link names its jet, (event, link), in any order."""
    jets = _jets(columns, schema)

    def linked(name: str) -> Records:
        links = schema.link(name)
        owner, n_links = ragged(needed(columns, links.jet, schema))
        event = np.repeat(np.arange(len(n_links)), n_links)
        owner = owner.astype(np.int64)
        check_inside(owner, jets.counts[event], event, f"schema {schema.name!r}: {links.jet!r} names the jet")
        keep = np.flatnonzero(owner >= 0)
        jet = jets.first[event] + owner
        # stable, so that the links of a jet stay in their order
        order = keep[np.argsort(jet[keep], kind="stable")]
        counts = np.bincount(jet[keep], minlength=int(jets.counts.sum()))
        return gather(columns, schema, name, event, n_links, order, counts)

    return _rows_of_events(columns, schema, jets, linked)


def ranges_rows(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of events in which each jet names its first and last link, (event, jet)."""
    jets = _jets(columns, schema)

    def linked(name: str) -> Records:
        links = schema.link(name)
        begin, n_begin = ragged(needed(columns, links.begin, schema))
        end, n_end = ragged(needed(columns, links.end, schema))
        if not (np.array_equal(n_begin, jets.counts) and np.array_equal(n_end, jets.counts)):
            raise SchemaError(f"schema {schema.name!r}: {links.begin!r} and {links.end!r} need one value a jet.")
        begin, end = begin.astype(np.int64), end.astype(np.int64)
        n_links = n_links_of(columns, schema, name)
        event = np.repeat(np.arange(len(jets.counts)), jets.counts)
        counts = end - begin
        wrong = (begin < 0) | (counts < 0) | ((counts > 0) & (end > n_links[event]))
        if wrong.any():
            at = int(np.argmax(wrong))
            raise SchemaError(
                f"schema {schema.name!r}: the {name} of a jet in entry {event[at]} go from {begin[at]} to {end[at]}, "
                f"of {n_links[event[at]]} there are. The file is damaged, or the schema mixes collections."
            )
        first = np.cumsum(n_links) - n_links
        rows = _runs(first[event] + begin, counts)
        return gather(columns, schema, name, np.repeat(np.arange(len(n_links)), n_links), n_links, rows, counts)

    return _rows_of_events(columns, schema, jets, linked)


def links_rows(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of events in which each jet has a list of links, (event, jet, *)."""
    jets = _jets(columns, schema)

    def linked(name: str) -> Records:
        links = schema.link(name)
        per_jet, n_jets = ragged(needed(columns, links.item, schema))
        if not np.array_equal(n_jets, jets.counts) or getattr(per_jet, "ndim", 1) != 2:
            raise SchemaError(f"schema {schema.name!r}: {links.item!r} needs a list of links for each jet.")
        _, counts = ragged(per_jet)
        event_of_jet = np.repeat(np.arange(len(jets.counts)), jets.counts)
        flat = {
            branch: _lists(ragged(ragged(columns[branch])[0])[0], np.bincount(event_of_jet, counts, len(jets.counts)))
            for branch in (links.item, links.target)
            if branch is not None
        }
        event = np.repeat(event_of_jet, counts)
        n_links = np.bincount(event, minlength=len(jets.counts))
        every = np.arange(len(event))
        return gather({**columns, **flat}, schema, name, event, n_links, every, counts)

    return _rows_of_events(columns, schema, jets, linked)


def clustered_rows(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of events with particles only, (event, *); fastjet makes the jets."""
    rows = flat_rows(columns, schema)
    particles = rows.collections["particles"]
    if schema.clustering is None:
        raise SchemaError(f"the schema {schema.name!r} lacks [clustering]; the layout 'clustered' needs it.")
    order, counts, n_jets = cluster(particles, schema.clustering)
    made = Records({field: values[order] for field, values in particles.fields.items()}, counts)
    of_event = {name: _repeat(values, n_jets) for name, values in rows.jets.items()}
    return Rows({**sum_records(made), **of_event}, {"particles": made}, n_jets)


LAYOUTS: dict[str, Callable[[Columns, Schema], Rows]] = {
    "flat": flat_rows,
    "nested": nested_rows,
    "indexed": indexed_rows,
    "ranges": ranges_rows,
    "links": links_rows,
    "clustered": clustered_rows,
    "columns": columns_rows,
}
"""Name of each layout, and the function that reads it; `hepnn.schema.LAYOUTS` says what they mean."""


def _rows_of_events(columns: Columns, schema: Schema, jets: _Event, linked: Callable[[str], Records]) -> Rows:
    """Returns the rows, with the records of each collection found by ``linked``."""
    flat = {name: plain(values) for name, values in _jet_columns(columns, jets, schema.jet_branches()).items()}
    collections = {
        name: linked(name)
        for name in schema.collections
        if name not in schema.optional_collections or schema.collection_branches(name, optional=False) <= columns.keys()
    }
    return Rows(jet_values(schema, flat, int(jets.counts.sum())), collections, jets.counts)


def _jets(columns: Columns, schema: Schema) -> _Event:
    """Returns how many jets each entry has, from the first branch that has a list of them."""
    for field in schema.jets.values():
        for branch in sorted(field.branches & columns.keys()):
            if getattr(columns[branch], "ndim", 1) == 2:
                counts = ragged(columns[branch])[1]
                return _Event(counts, np.cumsum(counts) - counts)
    raise SchemaError(
        f"schema {schema.name!r}: asked for lists of jets, one list an entry; found none among the branches of [jets]. "
        "Use the layout 'flat' where an entry is a jet."
    )


def _jet_columns(columns: Columns, jets: _Event, names: frozenset[str]) -> dict[str, Any]:
    """Returns one row a jet: of lists of jets their items, of what is one an entry the same for each of its jets."""
    flat = {}
    for name in sorted(names & columns.keys()):
        array = columns[name]
        if getattr(array, "ndim", 1) == 1:
            flat[name] = _repeat(plain(array), jets.counts)
            continue
        flat[name], counts = ragged(array)
        if not np.array_equal(counts, jets.counts):
            row = int(np.argmax(counts != jets.counts))
            raise SchemaError(
                f"entry {row} has {jets.counts[row]} jets and {counts[row]} values of {name!r}. The file is "
                "damaged, or the schema mixes collections."
            )
    return flat


def _runs(first: Counts, counts: Counts) -> Counts:
    """Returns ``first[0], first[0] + 1, …`` as many as ``counts[0]`` says, then the same for the next."""
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) + np.repeat(first - (ends - counts), counts)


def _repeat(values: Any, counts: Counts) -> Any:
    return (
        np.repeat(values, counts)
        if isinstance(values, np.ndarray)
        else values[np.repeat(np.arange(len(counts)), counts)]
    )


def _lists(values: Any, counts: npt.NDArray[Any]) -> ak.Array:
    return ak.unflatten(values, np.asarray(counts, dtype=np.int64))
