"""NumPy's npz files: arrays of (jet,), (jet, slot) or (jet, slot, feature), such as EnergyFlow's quark–gluon jets.

An array of three axes is several columns: ``X.0``, ``X.1`` …, one a feature. Arrays of objects are refused, since
reading them would run code from the file. The checksum of each array is checked before anything is read.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from hepnn.errors import SourceError
from hepnn.readers import sources
from hepnn.readers.tables import Details, Table, check_features, parsing, slots

__all__ = ["details", "open_table", "read_steps"]

_PIECE = 2**24
"""Bytes read at once while a checksum is checked."""


class _Header(NamedTuple):
    """Shape, order and type of one array."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: Any


@contextmanager
def _opened(file: str) -> Iterator[zipfile.ZipFile]:
    """Opens an npz file; whatever its parser raises is a `SourceError`."""
    with sources.open_bytes(file) as stream, parsing(file), zipfile.ZipFile(stream) as archive:
        yield archive


def _header(stream: Any) -> _Header:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return _Header(*read(stream))


def _headers(archive: zipfile.ZipFile) -> dict[str, _Header]:
    found = {}
    for member in archive.namelist():
        if not member.endswith(".npy"):
            raise ValueError(f"{member!r} is no array")
        with archive.open(member) as stream:
            header = _header(stream)
            n_bytes = math.prod(header.shape) * header.dtype.itemsize
            if not header.dtype.hasobject and n_bytes != archive.getinfo(member).file_size - stream.tell():
                raise ValueError(f"{member!r} has other than the {n_bytes} bytes of its shape {header.shape}")
            check_features(member, header.shape)
        found[member.removesuffix(".npy")] = header
    return found


def _types(headers: dict[str, _Header]) -> dict[str, str]:
    types = {}
    for name, (shape, _, dtype) in headers.items():
        kind = dtype.newbyteorder("=").name
        if len(shape) == 3:
            types.update({f"{name}.{feature}": f"{kind}[{shape[1]}]" for feature in range(shape[2])})
        elif len(shape) in (1, 2):
            types[name] = kind + "".join(f"[{size}]" for size in shape[1:])
    return types


def open_table(file: str, *, tree: str | None, candidates: Iterable[str] = ()) -> Table:
    """Returns the one table in ``file``, checked, with the checksum of every array.

    Args:
        file: path or URL.
        tree: has to be None; npz files have no trees.
        candidates: not needed here.

    Raises:
        SourceError: a tree is asked for, arrays of objects or of different lengths, or the file is damaged.
    """
    if tree is not None:
        raise SourceError(f"asked for the tree {tree!r} in {file}; an npz file has none. Leave it out.")
    with _opened(file) as archive:
        headers = _headers(archive)
        for name, header in headers.items():
            if header.dtype.hasobject:
                raise SourceError(
                    f"asked to read {file}; the array {name!r} holds Python objects, and reading them would run code "
                    "from the file. Save plain arrays."
                )
            _check(archive, f"{name}.npy")
        lengths = {name: header.shape[0] for name, header in headers.items() if header.shape}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name}: {length}" for name, length in list(lengths.items())[:5])
            raise SourceError(f"asked to read {file}; its arrays differ in length ({said}). One row has to be one jet.")
        return Table(file, "", max(lengths.values(), default=0), _types(headers), "npz")


def _check(archive: zipfile.ZipFile, member: str) -> None:
    """Reads an array to its end, where its checksum is compared."""
    with archive.open(member) as stream:
        while stream.read(_PIECE):
            pass


def details(table: Table) -> Details:
    """Returns what else is in the file."""
    with _opened(table.file) as archive:
        is_compressed = any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
        return Details({table.file: table.n_entries}, "deflate" if is_compressed else "none", "CRC-32 of each array")


def read_steps(
    table: Table, branches: Iterable[str], *, step: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yields first entry, last entry and the columns of each step; see `hepnn.readers.formats.read_steps`.

    Rows are read as they come, those before ``start`` too, so that memory stays flat; only arrays in Fortran's order
    are read whole.
    """
    end = table.n_entries if stop is None else min(stop, table.n_entries)
    wanted = {name: [name] if name in table.types else slots(name, table.types) for name in sorted(branches)}
    with _opened(table.file) as archive:
        headers = _headers(archive)
        needed = {member: _array_of(member, headers) for members in wanted.values() for member in members}
        streams = {array: _rows(archive, array) for array in sorted({array for array, _ in needed.values()})}
        for passed in range(0, start, step):
            for read in streams.values():
                read(min(step, start - passed))
        for first in range(start, max(end, 1), step):
            last = min(first + step, end)
            rows = {array: read(last - first) for array, read in streams.items()}
            values = {
                member: rows[array] if feature is None else rows[array][:, :, feature]
                for member, (array, feature) in needed.items()
            }
            yield (
                first,
                last,
                {
                    name: values[name] if members == [name] else np.stack([values[m] for m in members], axis=1)
                    for name, members in wanted.items()
                },
            )


def _array_of(member: str, headers: dict[str, _Header]) -> tuple[str, int | None]:
    if member in headers:
        return member, None
    array, _, feature = member.rpartition(".")
    return array, int(feature)


def _rows(archive: zipfile.ZipFile, name: str) -> Any:
    """Returns a function that gives the next so many rows of an array."""
    stream = archive.open(f"{name}.npy")
    header = _header(stream)
    if header.is_fortran:
        with archive.open(f"{name}.npy") as again:
            whole = np.lib.format.read_array(again, allow_pickle=False)
        done = 0

        def take(n_rows: int) -> Any:
            nonlocal done
            done += n_rows
            return whole[done - n_rows : done]

        return take
    row = header.dtype.itemsize * int(np.prod(header.shape[1:], dtype=np.int64))

    def read(n_rows: int) -> Any:
        data = stream.read(n_rows * row)
        if len(data) < n_rows * row:
            raise EOFError(f"the array {name!r} ends early")
        return np.frombuffer(data, header.dtype).reshape(n_rows, *header.shape[1:])

    return read
