"""Parquet files: columns of numbers, lists and lists of records, read with pyarrow (the extra ``hepnn[parquet]``).

The members of records in lists are named with a dot: ``particles.pt``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import awkward as ak

from hepnn.errors import DependencyError, SourceError
from hepnn.readers import sources
from hepnn.readers.tables import Details, Table, damaged, parsing

__all__ = ["details", "open_table", "read_steps"]

_LEVELS = re.compile(r"\.(list|bag)\.(element|item|array_element|array)(?=\.|$)")
"""What Parquet puts into the path of a column for each level of lists."""


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DependencyError(
            "asked to read a Parquet file; the package pyarrow is missing. Install it with "
            "pip install 'hepnn[parquet]'."
        ) from error
    return pyarrow.parquet


@contextmanager
def _opened(file: str) -> Iterator[Any]:
    """Opens a Parquet file; whatever its parser raises is a `SourceError`."""
    parquet = _pyarrow()
    with sources.open_bytes(file) as stream, parsing(file):
        yield parquet.ParquetFile(stream, page_checksum_verification=True)


def _paths(handle: Any) -> dict[str, tuple[str, str]]:
    """Returns the path and type of each column, by name."""
    columns = (handle.schema.column(position) for position in range(len(handle.schema)))
    found = {}
    for column in columns:
        logical = str(column.logical_type.type).lower()
        kind = "string" if logical == "string" else str(column.physical_type).lower()
        depth = len(_LEVELS.findall(column.path))
        found[_LEVELS.sub("", column.path)] = (column.path, kind + "[]" * depth)
    return found


def open_table(file: str, *, tree: str | None, candidates: Iterable[str] = ()) -> Table:
    """Returns the one table in ``file``, checked.

    Args:
        file: path or URL.
        tree: has to be None; Parquet files have no trees.
        candidates: not needed here.

    Raises:
        SourceError: a tree is asked for, or the file is damaged.
    """
    if tree is not None:
        raise SourceError(f"asked for the tree {tree!r} in {file}; a Parquet file has none. Leave it out.")
    with _opened(file) as handle:
        types = {name: kind for name, (_, kind) in _paths(handle).items()}
        return Table(file, "", int(handle.metadata.num_rows), types, "parquet")


def details(table: Table) -> Details:
    """Returns what else is in the file."""
    with _opened(table.file) as handle:
        groups = handle.metadata
        used = {
            str(groups.row_group(0).column(column).compression)
            for column in range(groups.num_columns if groups.num_row_groups else 0)
        }
        name = ", ".join(sorted(used)) or "none"
        return Details({table.file: table.n_entries}, name, "CRC-32 of each page, if it was written with one")


def read_steps(
    table: Table, branches: Iterable[str], *, step: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yields first entry, last entry and the columns of each step; see `hepnn.readers.formats.read_steps`."""
    end = table.n_entries if stop is None else min(stop, table.n_entries)
    names = sorted(branches)
    with _opened(table.file) as handle:
        paths = _paths(handle)
        columns = [paths[name][0] for name in names]
        groups, skip = _groups_from(handle, start)
        batches = _exactly(handle.iter_batches(batch_size=step, columns=columns, row_groups=groups), step, skip)
        if not end:
            yield 0, 0, _columns(ak.from_arrow(handle.schema_arrow.empty_table()), names)
        while start < end:
            try:
                batch = next(batches)
                array = ak.from_arrow(batch)[: end - start]
                made = _columns(array, names)
            except StopIteration as error:
                raise SourceError(f"asked for {end} entries of {table.file}; found {start}: it is damaged.") from error
            except Exception as error:  # a damaged page can raise anything in the parser
                raise damaged(table.file, error, f"entries {start} to {min(start + step, end)}") from error
            if len(array):
                yield start, start + len(array), made
                start += len(array)


def _groups_from(handle: Any, start: int) -> tuple[list[int], int]:
    """Returns the row groups that hold ``start`` and what follows, and how many of their rows come before it."""
    sizes = [handle.metadata.row_group(group).num_rows for group in range(handle.num_row_groups)]
    first = 0
    while first < len(sizes) and start >= sizes[first]:
        start -= sizes[first]
        first += 1
    return list(range(first, len(sizes))), start


def _exactly(batches: Iterable[Any], step: int, skip: int) -> Iterator[Any]:
    """Yields the rows of Arrow batches of any lengths, after the first ``skip``, ``step`` at once and the rest."""
    import pyarrow as pa

    waiting: list[Any] = []
    for batch in batches:
        batch, skip = batch.slice(skip), max(skip - len(batch), 0)
        while len(batch):
            waiting.append(batch.slice(0, step - sum(map(len, waiting))))
            batch = batch.slice(len(waiting[-1]))
            if sum(map(len, waiting)) == step:
                yield pa.Table.from_batches(waiting)
                waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _columns(array: ak.Array, names: list[str]) -> dict[str, Any]:
    made = {}
    for name in names:
        column = array
        for part in name.split("."):
            column = column[part]
        made[name] = column
    return made
