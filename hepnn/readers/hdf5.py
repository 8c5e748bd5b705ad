"""HDF5 files, read with h5py (the extra ``hepnn[hdf5]``): fixed-width data sets, records and pandas tables.

Each data set is a column: (jet,) or (jet, slot). One of three axes, (jet, slot, feature), is several: ``X.0``,
``X.1`` …, one a feature; so is one of records, ``tracks.pt``, ``tracks.valid`` …, one a member. A table of pandas'
``to_hdf(format="table")``, such as the top-tagging reference set, gives its columns by name; the names are read out
of pandas' pickle without running it.

Lists of variable length are not read: HDF5 keeps them in a heap without checksums, in which a damaged file makes its
library search for ever. Links to other files are not followed. Damaged data are noticed if they were written with
compression or ``fletcher32``; a file whose structure is damaged can crash HDF5's library, and Python with it.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from hepnn.errors import DependencyError, SourceError
from hepnn.readers import sources
from hepnn.readers.tables import Details, Table, check_features, choose_tree, damaged, parsing, slots

__all__ = ["details", "open_table", "read_steps"]


_MOST_BYTES = (10_000, 2**20)
"""Bytes of a data set for each byte of the file that it takes, and bytes of the file that are taken for granted. Deflate
gives at most 1,032 (https://zlib.net/zlib_tech.html); what was never written takes none, and can claim any size."""


class _Column(NamedTuple):
    """One column.

    Attributes:
        n_rows: number of rows.
        type: in words.
        read: gives its rows from a first to one after a last.
        position: of the column in what ``read`` gives, where that is a block of several.
    """

    n_rows: int
    type: str
    read: Callable[[int, int], Any]
    position: int | None = None


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DependencyError(
            "asked to read an HDF5 file; the package h5py is missing. Install it with pip install 'hepnn[hdf5]'."
        ) from error
    return h5py


@contextmanager
def _opened(file: str) -> Iterator[Any]:
    """Opens an HDF5 file; whatever its parser raises is a `SourceError`."""
    h5py = _h5py()
    with (
        sources.open_bytes(file) if sources.is_remote(file) else nullcontext(file) as opened,
        parsing(file),
        h5py.File(opened, "r") as handle,
    ):
        yield handle


def _groups(handle: Any) -> dict[str, dict[str, Any]]:
    """Returns the data sets of each group, by path and name; links to other files are not followed."""
    h5py = _h5py()
    found: dict[str, dict[str, Any]] = {}

    def visit(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape and not item.is_virtual and not item.external:
            ratio, granted = _MOST_BYTES
            if item.nbytes > ratio * (item.id.get_storage_size() + granted):
                raise ValueError(
                    f"{path!r} claims {item.nbytes} bytes, of which the file has {item.id.get_storage_size()}"
                )
            check_features(path, item.shape)
            group, _, name = path.rpartition("/")
            found.setdefault(group, {})[name] = item

    handle.visititems(visit)
    return found


def _columns(group: dict[str, Any]) -> dict[str, _Column]:
    """Returns the columns of a group, by name."""
    columns: dict[str, _Column] = {}
    for name, dataset in group.items():
        shape = dataset.shape
        if dataset.dtype.names and dataset.ndim <= 2:
            columns.update(_members(name, dataset))
        elif dataset.dtype.kind in "biuf" and dataset.ndim <= 2:
            columns[name] = _Column(shape[0], _type(dataset.dtype, shape[1:]), _rows(dataset, ...))
        elif dataset.dtype.kind in "biuf" and dataset.ndim == 3:
            for feature in range(shape[2]):
                columns[f"{name}.{feature}"] = _Column(
                    shape[0], _type(dataset.dtype, shape[1:2]), _rows(dataset, feature)
                )
    return columns


def _type(dtype: Any, shape: tuple[int, ...]) -> str:
    return f"{dtype.newbyteorder('=').name}{''.join(f'[{size}]' for size in shape)}"


def _rows(dataset: Any, feature: Any) -> Callable[[int, int], Any]:
    if feature is ...:
        return lambda start, stop: dataset[start:stop]
    return lambda start, stop: dataset[start:stop, :, feature]


def _members(name: str, dataset: Any) -> dict[str, _Column]:
    """Returns the members of a data set of records; of a pandas table its columns, by the names in its attributes."""
    columns = {}
    n_rows, width = dataset.shape[0], dataset.shape[1:]
    for field in dataset.dtype.names:
        dtype, shape = dataset.dtype[field].base, dataset.dtype[field].shape
        if dtype.kind not in "biuf":
            continue
        names = _pickled_names(dataset.attrs.get(f"{field}_kind")) if len(shape) == 1 else []
        if names and len(names) == shape[0] and not width:
            read = _block(dataset, field)
            columns.update(
                {each: _Column(n_rows, _type(dtype, ()), read, position) for position, each in enumerate(names)}
            )
        elif not shape:
            columns[f"{name}.{field}"] = _Column(n_rows, _type(dtype, width), _block(dataset, field))
    return columns


def _block(dataset: Any, field: str) -> Callable[[int, int], Any]:
    return lambda start, stop: dataset.fields(field)[start:stop]


def _pickled_names(pickled: Any) -> list[str]:
    """Returns the strings in a pickled list, in order, by looking at its codes: nothing in it is run.

    >>> import pickle
    >>> _pickled_names(pickle.dumps(["E_0", "PX_0"], 0))
    ['E_0', 'PX_0']
    """
    data = bytes(pickled) if isinstance(pickled, bytes | np.bytes_) else str(pickled or "").encode("latin-1")
    if not data:
        return []
    texts, kept = [], []
    for code, argument, _ in pickletools.genops(data):
        if isinstance(argument, str) and ("UNICODE" in code.name or "STRING" in code.name):
            texts.append(str(argument))
        elif "GET" in code.name and texts:
            kept.append(code.name)
    # a name that is used twice is a reference the second time: then the list is not understood
    return [] if kept else texts


def open_table(file: str, *, tree: str | None, candidates: Iterable[str] = ()) -> Table:
    """Returns the group to read in ``file``, checked.

    Args:
        file: path or URL.
        tree: path of the group; None for one of ``candidates``, or the only one with data sets.
        candidates: paths to try in turn.

    Raises:
        SourceError: no such group, data sets of different lengths, or the file is damaged.
    """
    with _opened(file) as handle:
        groups = _groups(handle)
        beside = ", ".join(handle.keys())
        name = choose_tree(file, groups, tree=tree, candidates=(*candidates, "", "table"), beside=beside)
        columns = _columns(groups[name])
        if not columns:
            raise SourceError(
                f"asked to read {file}; {name or 'it'} holds no numbers of fixed width. Lists of variable length are "
                "not read from HDF5: write them padded, or as Parquet."
            )
        lengths = {column.n_rows for column in columns.values()}
        if len(lengths) > 1:
            said = ", ".join(f"{key}: {column.n_rows}" for key, column in list(columns.items())[:5])
            raise SourceError(f"asked to read {file}; its data sets differ in length ({said}). Put them into groups.")
        return Table(file, name, max(lengths, default=0), {k: column.type for k, column in columns.items()}, "hdf5")


def details(table: Table) -> Details:
    """Returns what else is in the file."""
    with _opened(table.file) as handle:
        groups = _groups(handle)
        sets = list(groups[table.name].values())
        names = sorted({str(dataset.compression or "none") for dataset in sets})
        checked = all(dataset.fletcher32 for dataset in sets)
        sizes = {name or "/": max(len(dataset) for dataset in group.values()) for name, group in groups.items()}
        return Details(sizes, ", ".join(names), "Fletcher-32 of each chunk" if checked else "none")


def read_steps(
    table: Table, branches: Iterable[str], *, step: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yields first entry, last entry and the columns of each step; see `hepnn.readers.formats.read_steps`."""
    end = table.n_entries if stop is None else min(stop, table.n_entries)
    wanted = {name: [name] if name in table.types else slots(name, table.types) for name in sorted(branches)}
    with _opened(table.file) as handle:
        columns = _columns(_groups(handle)[table.name])
        for first in range(start, max(end, 1), step):
            last = min(first + step, end)
            blocks: dict[Any, Any] = {}
            made = {}
            for name, members in wanted.items():
                try:
                    values = [_read(columns[member], first, last, blocks) for member in members]
                    made[name] = values[0] if members == [name] else np.stack(values, axis=1)
                except Exception as error:  # a damaged chunk can raise anything in the parser
                    raise damaged(table.file, error, f"data set {name!r}, entries {first} to {last},") from error
            yield first, last, made


def _read(column: _Column, start: int, last: int, blocks: dict[Any, Any]) -> Any:
    """Returns the rows of a column; a block is read once for all its columns."""
    if column.position is None:
        return column.read(start, last)
    if column.read not in blocks:
        blocks[column.read] = column.read(start, last)
    return blocks[column.read][:, column.position]
