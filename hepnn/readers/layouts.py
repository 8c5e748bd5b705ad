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
from hepnn.schema import Rows, Schema
from hepnn.schema.rows import Columns, Records, flat_rows, jet_values, plain, ragged, read_fields, sum_records

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
        owner, n_links = ragged(_need(columns, links.jet, schema))
        event = np.repeat(np.arange(len(n_links)), n_links)
        owner = owner.astype(np.int64)
        _check_inside(owner, jets.counts[event], event, f"schema {schema.name!r}: {links.jet!r} names the jet")
        keep = np.flatnonzero(owner >= 0)
        jet = jets.first[event] + owner
        # stable, so that the links of a jet stay in their order
        order = keep[np.argsort(jet[keep], kind="stable")]
        counts = np.bincount(jet[keep], minlength=int(jets.counts.sum()))
        return _gather(columns, schema, name, event, n_links, order, counts)

    return _rows_of_events(columns, schema, jets, linked)


def ranges_rows(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of events in which each jet names its first and last link, (event, jet)."""
    jets = _jets(columns, schema)

    def linked(name: str) -> Records:
        links = schema.link(name)
        begin, n_begin = ragged(_need(columns, links.begin, schema))
        end, n_end = ragged(_need(columns, links.end, schema))
        if not (np.array_equal(n_begin, jets.counts) and np.array_equal(n_end, jets.counts)):
            raise SchemaError(f"schema {schema.name!r}: {links.begin!r} and {links.end!r} need one value a jet.")
        begin, end = begin.astype(np.int64), end.astype(np.int64)
        n_links = _n_links(columns, schema, name)
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
        return _gather(columns, schema, name, np.repeat(np.arange(len(n_links)), n_links), n_links, rows, counts)

    return _rows_of_events(columns, schema, jets, linked)


def links_rows(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of events in which each jet has a list of links, (event, jet, *)."""
    jets = _jets(columns, schema)

    def linked(name: str) -> Records:
        links = schema.link(name)
        per_jet, n_jets = ragged(_need(columns, links.item, schema))
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
        return _gather({**columns, **flat}, schema, name, event, n_links, every, counts)

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


def _need(columns: Columns, branch: str | None, schema: Schema) -> Any:
    if branch is None or branch not in columns:
        raise SchemaError(f"the schema {schema.name!r} needs the branch {branch!r}.")
    return columns[branch]


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


def _n_links(columns: Columns, schema: Schema, name: str) -> Counts:
    """Returns how many links each entry has; without a list of links, how many records the pool has."""
    links = schema.link(name)
    if links.item is not None:
        return ragged(_need(columns, links.item, schema))[1]
    branches = schema.collection_branches(name, optional=False) - links.branches
    return ragged(_need(columns, min(branches), schema))[1]


def _gather(
    columns: Columns,
    schema: Schema,
    name: str,
    event: Counts,
    n_links: Counts,
    rows: Counts,
    counts: Counts,
) -> Records:
    """Returns the records of one collection, those of a jet side by side.

    Args:
        columns: branch name to array.
        schema: how they are spelled.
        name: of the collection.
        event: of each link, its entry.
        n_links: of each entry, the number of links.
        rows: of each record wanted, its link.
        counts: of each jet, how many of ``rows`` are its own.
    """
    links = schema.link(name)
    if links.item is None:
        own = _link_columns(columns, schema, name, n_links, ())
        taken = {branch: values[rows] for branch, values in own.items()}
        return Records(read_fields(schema.collections[name], taken, len(rows)), counts)
    item = ragged(_need(columns, links.item, schema))[0].astype(np.int64)
    is_real = _points_somewhere(columns, schema, name, item)
    position, pools = _positions(columns, schema, name, item, event, is_real)
    keep = is_real[rows] if not links.keep_unmatched else np.ones(len(rows), bool)
    jet = np.repeat(np.arange(len(counts)), counts)[keep]
    rows, counts = rows[keep], np.bincount(jet, minlength=len(counts))
    own = {branch: values[rows] for branch, values in _link_columns(columns, schema, name, n_links, links.pool).items()}
    at, found = position[rows], is_real[rows]
    if len(pools) == 1:
        # formulas may mix what is known of the link and of the record it points to
        for branch, values in pools[0].items():
            own[branch] = _take(values, at, found)
        return Records(read_fields(schema.collections[name], own, len(rows)), counts)
    sizes = [len(next(iter(pool.values()))) for pool in pools]
    parts = [
        read_fields(schema.collections[name], pool, size, kind=kind)
        for kind, (pool, size) in enumerate(zip(pools, sizes, strict=True))
    ]
    shared = [field for field in parts[0] if all(field in part for part in parts)]
    return Records({f: _take(np.concatenate([part[f] for part in parts]), at, found) for f in shared}, counts)


def _take(values: npt.NDArray[Any], at: Counts, found: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    if found.all():
        return values[at]
    decimal = values if values.dtype.kind == "f" else values.astype(np.float64)
    padded = np.append(decimal, decimal.dtype.type(np.nan))
    return padded[np.where(found, at, len(decimal))]


def _link_columns(
    columns: Columns, schema: Schema, name: str, n_links: Counts, pools: tuple[str, ...]
) -> dict[str, npt.NDArray[Any]]:
    """Returns the branches of a collection that have one value a link, or one an entry, brought to one a link."""
    links = schema.link(name)
    own = {}
    for branch in sorted((schema.collection_branches(name, optional=True) - links.branches) & columns.keys()):
        if pools and branch.startswith(pools):
            continue
        if getattr(columns[branch], "ndim", 1) == 1:
            own[branch] = np.repeat(plain(columns[branch]), n_links)
            continue
        own[branch], counts = ragged(columns[branch])
        _same_counts(counts, n_links, branch, f"schema {schema.name!r}: {name}")
    return own


def _same_counts(counts: Counts, expected: Counts, branch: str, what: str) -> None:
    if not np.array_equal(counts, expected):
        row = int(np.argmax(counts != expected))
        raise SchemaError(
            f"{what} of entry {row} are {expected[row]} and {counts[row]} values of {branch!r}. The file is "
            "damaged, or the schema mixes collections."
        )


def _points_somewhere(columns: Columns, schema: Schema, name: str, item: Counts) -> npt.NDArray[np.bool_]:
    """Returns which links point to a record of the pool: not those that are −1 or into nothing."""
    links = schema.link(name)
    is_real: npt.NDArray[np.bool_] = item >= 0
    if links.target is not None:
        target = ragged(_need(columns, links.target, schema))[0]
        is_real = is_real & (target != links.null)
        others = np.unique(target[is_real])
        if len(others) > 1:
            raise SchemaError(
                f"schema {schema.name!r}: {links.target!r} names {len(others)} collections, "
                f"{', '.join(map(str, others[:5]))}; {name} can be read from one. Write a schema that names it."
            )
    return is_real


def _positions(
    columns: Columns, schema: Schema, name: str, item: Counts, event: Counts, is_real: npt.NDArray[np.bool_]
) -> tuple[Counts, list[dict[str, npt.NDArray[Any]]]]:
    """Returns where among all records of the chunk each link points, and the branches of each kind of record."""
    links = schema.link(name)
    branches = sorted((schema.collection_branches(name, optional=True) & columns.keys()) | set(links.identity))
    pools, sizes = [], []
    for prefix in links.pool:
        pool = {branch: ragged(columns[branch]) for branch in branches if branch.startswith(prefix)}
        pool = {branch: pair for branch, pair in pool.items() if branch not in (links.item, links.target)}
        if not pool:
            raise SchemaError(f"schema {schema.name!r}: no branch of the {name} starts with {prefix!r}.")
        first = next(iter(pool))
        for branch, (_, counts) in pool.items():
            _same_counts(counts, pool[first][1], branch, f"schema {schema.name!r}: {prefix} {first!r}")
        pools.append({branch: values for branch, (values, _) in pool.items()})
        sizes.append(pool[first][1])
    if links.identity:
        return _positions_by_identity(schema, name, pools, sizes, item, event, is_real), pools
    if len(pools) > 1:
        raise SchemaError(f"schema {schema.name!r}: [links.{name}] has several pools and needs 'identity'.")
    _check_inside(
        np.where(is_real, item, -1), sizes[0][event], event, f"schema {schema.name!r}: {links.item!r} names the record"
    )
    first_of_event = np.cumsum(sizes[0]) - sizes[0]
    return np.where(is_real, first_of_event[event] + item, -1), pools


def _positions_by_identity(
    schema: Schema,
    name: str,
    pools: list[dict[str, npt.NDArray[Any]]],
    sizes: list[Counts],
    item: Counts,
    event: Counts,
    is_real: npt.NDArray[np.bool_],
) -> Counts:
    """Returns where each link points, found by the number that each record has in its entry; −1 if nowhere."""
    links = schema.link(name)
    identity = np.concatenate([pool[branch] for pool, branch in zip(pools, links.identity, strict=True)])
    entry = np.concatenate([np.repeat(np.arange(len(counts)), counts) for counts in sizes])
    width = int(max(identity.max(initial=0), item.max(initial=0))) + 1
    known = entry * width + identity.astype(np.int64)
    order = np.argsort(known, kind="stable")
    wanted = event * width + np.where(is_real, item, 0)
    at = np.minimum(np.searchsorted(known[order], wanted), max(len(known) - 1, 0))
    found = (known[order][at] == wanted) if len(known) else np.zeros(len(wanted), bool)
    # in place, for the caller: a link to what is not in the pools points nowhere
    is_real &= found
    return np.where(is_real, order[at] if len(known) else -1, -1)


def _check_inside(index: Counts, size: Counts, event: Counts, what: str) -> None:
    wrong = index >= size
    if wrong.any():
        at = int(np.argmax(wrong))
        raise SchemaError(
            f"{what} {index[at]} in entry {event[at]}, which has {size[at]}. The file is damaged, or the schema mixes "
            "collections."
        )


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
