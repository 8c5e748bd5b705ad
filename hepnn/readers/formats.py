"""Formats: which module reads a file, found from its first bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from hepnn.errors import SourceError
from hepnn.readers import hdf5, npz, parquet, root, sources
from hepnn.readers.tables import Details, Table

__all__ = ["FORMATS", "details", "open_table", "read_steps"]

FORMATS: dict[bytes, ModuleType] = {
    b"root": root,
    b"PAR1": parquet,
    b"\x89HDF": hdf5,
    b"PK\x03\x04": npz,
}
"""First bytes of a file, and the module that reads it."""

_BY_NAME: dict[str, ModuleType] = {
    "ttree": root,
    "rntuple": root,
    "parquet": parquet,
    "hdf5": hdf5,
    "npz": npz,
}


def open_table(file: str, *, tree: str | None = None, candidates: Iterable[str] = ()) -> Table:
    """Returns the table to read in a file, checked.

    Args:
        file: path or URL.
        tree: name of the table, where the format has names; None to find it.
        candidates: names to try.

    Raises:
        SourceError: not a file of a known format, no such table, or damaged.
        DependencyError: the package that reads it is missing.
    """
    _, head = sources.size_and_head(file)
    for magic, module in FORMATS.items():
        if head.startswith(magic):
            table: Table = module.open_table(file, tree=tree, candidates=candidates)
            return table
    raise SourceError(
        f"asked to read {file}; its first bytes are {head[:4]!r}, a ROOT file starts with b'root', Parquet with "
        "b'PAR1', HDF5 with b'\\x89HDF' and npz with b'PK'. It is another kind of file, or damaged."
    )


def read_steps(
    table: Table, branches: Iterable[str], *, step: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yields first entry, last entry and the columns of each step; one step without entries for an empty table.

    Args:
        table: from `open_table`.
        branches: exact names, or patterns of numbered columns.
        step: entries at once.
        start: the first entry to read.
        stop: one after the last entry to read; None for all.

    Raises:
        SourceError: a branch cannot be read.
    """
    steps: Iterator[tuple[int, int, dict[str, Any]]] = _BY_NAME[table.format].read_steps(
        table, branches, step=step, start=start, stop=stop
    )
    return steps


def details(table: Table) -> Details:
    """Returns what else is known of the file: its tables, compression and checksums.

    Raises:
        SourceError: it is damaged.
    """
    found: Details = _BY_NAME[table.format].details(table)
    return found
