"""Links: from the lists of indices in an event to the records they point to.

A link says that a record of a pool belongs to a jet: by its position in the pool, or by a number that each record
carries. Here links are followed; which links belong to which jet is the layout's business (`hepnn.readers.layouts`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hepnn.errors import SchemaError
from hepnn.schema import Schema
from hepnn.schema.rows import Columns, Records, plain, ragged, read_fields

__all__ = ["check_counts", "check_inside", "gather", "n_links_of", "needed"]

Counts = npt.NDArray[np.int64]


def needed(columns: Columns, branch: str | None, schema: Schema) -> Any:
    """Returns a branch.

    Raises:
        SchemaError: it is not there.
    """
    if branch is None or branch not in columns:
        raise SchemaError(f"the schema {schema.name!r} needs the branch {branch!r}.")
    return columns[branch]


def n_links_of(columns: Columns, schema: Schema, name: str) -> Counts:
    """Returns how many links each entry has; without a list of links, how many records the pool has."""
    links = schema.link(name)
    if links.item is not None:
        return ragged(needed(columns, links.item, schema))[1]
    branches = schema.collection_branches(name, optional=False) - links.branches
    return ragged(needed(columns, min(branches), schema))[1]


def gather(
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
    item = ragged(needed(columns, links.item, schema))[0].astype(np.int64)
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
        check_counts(counts, n_links, branch, f"schema {schema.name!r}: {name}")
    return own


def check_counts(counts: Counts, expected: Counts, branch: str, what: str) -> None:
    """Refuses branches of one list that differ in their number of values.

    Raises:
        SchemaError: they do.
    """
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
        target = ragged(needed(columns, links.target, schema))[0]
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
            check_counts(counts, pool[first][1], branch, f"schema {schema.name!r}: {prefix} {first!r}")
        pools.append({branch: values for branch, (values, _) in pool.items()})
        sizes.append(pool[first][1])
    if links.identity:
        return _positions_by_identity(schema, name, pools, sizes, item, event, is_real), pools
    if len(pools) > 1:
        raise SchemaError(f"schema {schema.name!r}: [links.{name}] has several pools and needs 'identity'.")
    check_inside(
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


def check_inside(index: Counts, size: Counts, event: Counts, what: str) -> None:
    """Refuses an index that points beyond its list.

    Raises:
        SchemaError: it does.
    """
    wrong = index >= size
    if wrong.any():
        at = int(np.argmax(wrong))
        raise SchemaError(
            f"{what} {index[at]} in entry {event[at]}, which has {size[at]}. The file is damaged, or the schema mixes "
            "collections."
        )
