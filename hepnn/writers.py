"""Scores to files: one row an input entry, in the order of the input, to be read beside the original.

`write_scores` writes what a tagger returned; `hepnn.tagging.tag` does the same in steps, for files of any size. Both
go through `open_writer`, which writes a TTree, an RNTuple or Parquet. A file appears under its name only when it is
complete and its number of rows was read back.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import uproot

from hepnn import defaults
from hepnn.errors import DependencyError, InputError, OutputError
from hepnn.staging import staged
from hepnn.trees import TreeWriter

__all__ = ["FORMATS", "format_of", "open_writer", "score_columns", "write_scores"]

Extend = Callable[[Mapping[str, Any]], None]
"""Adds one chunk: columns by name, (entry,) or (entry, *), the same names in every chunk."""

_ZLIB_LEVEL = 4
"""ZLIB because ZSTD and LZ4 pages in ROOT files carry no checksum that readers reliably verify."""


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        suffix: how such files are named.
        write: a context, called with path and name of the tree, and whether to overwrite; yields an `Extend`.
    """

    suffix: str
    write: Callable[..., AbstractContextManager[Extend]]


@contextlib.contextmanager
def open_writer(
    path: str | os.PathLike[str], *, tree: str, file_format: str | None = None, overwrite: bool = False
) -> Iterator[Extend]:
    """Yields the function that adds chunks to a new file; the first settles the columns.

    Args:
        path: the file to write.
        tree: name of the TTree or RNTuple.
        file_format: a key of `FORMATS`; None for what the name says, a TTree for ``.root``.
        overwrite: replace an existing file.

    Raises:
        InputError: an unknown format, or a name that does not say which.
        OutputError: the file exists, or cannot be written.
        DependencyError: Parquet without pyarrow.
    """
    made = format_of(path, file_format)
    with made.write(path, tree=tree, overwrite=overwrite) as extend:
        yield extend


def format_of(path: str | os.PathLike[str], file_format: str | None) -> Format:
    """Returns the format of this name, or of what the file's name says.

    Raises:
        InputError: an unknown format, or a name that does not say which.
    """
    known = {made.suffix: name for name, made in reversed(FORMATS.items())}
    chosen = file_format or known.get(Path(path).suffix)
    if chosen not in FORMATS:
        raise InputError(
            f"asked to write {path} as {file_format or 'what its name says'}; known: {', '.join(FORMATS)}. Name the file "
            f"{' or '.join('*' + suffix for suffix in known)}."
        )
    return FORMATS[chosen]


@contextlib.contextmanager
def _ttree(path: str | os.PathLike[str], *, tree: str, overwrite: bool) -> Iterator[Extend]:
    with TreeWriter(path, tree=tree, overwrite=overwrite) as out:
        yield out.extend


@contextlib.contextmanager
def _rntuple(path: str | os.PathLike[str], *, tree: str, overwrite: bool) -> Iterator[Extend]:
    ntuple: Any = None

    def add(chunk: ak.Array) -> None:
        nonlocal ntuple
        if ntuple is None:
            ntuple = file.mkrntuple(tree, chunk[:0])
        ntuple.extend(chunk)

    with staged(path, overwrite=overwrite) as part:
        counted = _Counted(path, add)
        with uproot.recreate(part, compression=uproot.ZLIB(_ZLIB_LEVEL)) as file:
            yield counted.extend
        with uproot.open(part) as written:
            counted.check(int(written[tree].num_entries))


@contextlib.contextmanager
def _parquet(path: str | os.PathLike[str], *, tree: str, overwrite: bool) -> Iterator[Extend]:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DependencyError("asked to write Parquet, which needs pyarrow: pip install 'hepnn[parquet]'.") from error
    writer: Any = None

    def add(chunk: ak.Array) -> None:
        nonlocal writer
        table = ak.to_arrow_table(chunk, extensionarray=False)
        if writer is None:
            writer = pq.ParquetWriter(part, table.schema, compression="zstd", write_page_checksum=True)
        writer.write_table(table.cast(writer.schema))

    with staged(path, overwrite=overwrite) as part:
        counted = _Counted(path, add)
        try:
            yield counted.extend
        finally:
            if writer is not None:
                writer.close()
        counted.check(int(pq.read_metadata(part).num_rows))


class _Counted:
    """Hands chunks of the same columns on as records, and knows how many entries there were."""

    def __init__(self, path: str | os.PathLike[str], add: Callable[[ak.Array], None]) -> None:
        self._path, self._add, self._count, self._columns = path, add, 0, list[str]()

    def extend(self, chunk: Mapping[str, Any]) -> None:
        self._columns = self._columns or list(chunk)
        lengths = {len(array) for array in chunk.values()}
        if list(chunk) != self._columns or len(lengths) != 1:
            raise OutputError(
                f"asked to write the columns {', '.join(chunk)} of lengths {sorted(lengths)} to {self._path} after "
                f"{self._count} entries; give every chunk the same columns, of one length."
            )
        self._add(ak.zip({name: ak.to_packed(ak.Array(array)) for name, array in chunk.items()}, depth_limit=1))
        self._count += lengths.pop()

    def check(self, n_written: int) -> None:
        if n_written != self._count:
            raise OutputError(
                f"asked to write {self._count} entries to {self._path}; read back {n_written}. The disk may be full."
            )


FORMATS: dict[str, Format] = {
    "ttree": Format(".root", _ttree),
    "rntuple": Format(".root", _rntuple),
    "parquet": Format(".parquet", _parquet),
}
"""What can be written."""


def score_columns(scores: ak.Array, *, prefix: str = defaults.SCORE_PREFIX) -> dict[str, Any]:
    """Returns the columns that hold ``scores`` in a file, ``<prefix><class>`` for each class.

    Args:
        scores: records with one field a class, (jet,) or nested, (event, jet).
        prefix: of the columns' names.

    Raises:
        InputError: not scores, or nested deeper than jets in events.
    """
    if not isinstance(scores, ak.Array) or not scores.fields or scores.ndim > 2:
        raise InputError(
            "asked to write scores, records with one field a class; found "
            f"{str(getattr(scores, 'type', type(scores)))[:200]}. Pass what tagger(jets) returns."
        )
    return {
        f"{prefix}{name}": ak.to_numpy(scores[name]) if scores.ndim == 1 else scores[name] for name in scores.fields
    }


def write_scores(
    path: str | os.PathLike[str],
    scores: ak.Array,
    *,
    observers: Mapping[str, Any] | None = None,
    tree: str = defaults.SCORE_TREE,
    prefix: str = defaults.SCORE_PREFIX,
    file_format: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Returns the file that ``scores`` were written to, one entry a row.

    Args:
        path: the file to write, ``*.root`` or ``*.parquet``.
        scores: records with one field a class, (jet,) or (event, jet).
        observers: further columns of the same length, by name.
        tree: name of the tree.
        prefix: of the columns' names.
        file_format: "ttree", "rntuple" or "parquet"; None for what the name says.
        overwrite: replace an existing file.

    Raises:
        InputError: not scores, or an unknown format.
        OutputError: the file exists, or cannot be written.

    >>> import tempfile
    >>> scores = ak.Array([{"quark": 0.9, "gluon": 0.1}, {"quark": 0.2, "gluon": 0.8}])
    >>> write_scores(tempfile.mkdtemp() + "/scores.root", scores).name
    'scores.root'
    """
    columns = {**score_columns(scores, prefix=prefix), **(observers or {})}
    with open_writer(path, tree=tree, file_format=file_format, overwrite=overwrite) as extend:
        extend(columns)
    return Path(path)
