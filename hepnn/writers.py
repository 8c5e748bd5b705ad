"""Scores to files: one row an input entry, in the order of the input, to be read beside the original.

`write_scores` writes what a tagger returned; `hepnn.tagging.tag` does the same in steps, for files of any size. Both
go through `open_writer`, which writes a TTree, an RNTuple or Parquet. A file appears under its name only when it is
complete and its number of rows was read back.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import uproot

from hepnn import defaults
from hepnn.errors import DependencyError, InputError, OutputError
from hepnn.staging import staged
from hepnn.trees import TreeWriter

__all__ = ["FORMATS", "open_writer", "score_columns", "write_scores"]

Extend = Callable[[Mapping[str, Any]], None]
"""Adds one chunk: columns by name, (entry,) or (entry, *), the same names in every chunk."""

FORMATS: dict[str, str] = {"ttree": ".root", "rntuple": ".root", "parquet": ".parquet"}
"""What can be written, and how such files are named."""

_ZLIB_LEVEL = 4
"""ZLIB because ZSTD and LZ4 pages in ROOT files carry no checksum that readers reliably verify."""


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
    known = {suffix: name for name, suffix in reversed(FORMATS.items())}
    chosen = file_format or known.get(Path(path).suffix)
    if chosen not in FORMATS:
        raise InputError(
            f"asked to write {path} as {file_format or 'what its name says'}; known: {', '.join(FORMATS)}. Name the file "
            f"{' or '.join('*' + suffix for suffix in known)}."
        )
    if chosen == "ttree":
        with TreeWriter(path, tree=tree, overwrite=overwrite) as out:
            yield out.extend
        return
    with staged(path, overwrite=overwrite) as part:
        write = _rntuple(part, tree) if chosen == "rntuple" else _parquet(part)
        count = 0
        columns: list[str] = []

        with write as (add, n_written):

            def extend(chunk: Mapping[str, Any]) -> None:
                nonlocal count, columns
                columns = columns or list(chunk)
                lengths = {len(array) for array in chunk.values()}
                if list(chunk) != columns or len(lengths) != 1:
                    raise OutputError(
                        f"asked to write the columns {', '.join(chunk)} of lengths {sorted(lengths)} to {path} after {count} "
                        "entries; give every chunk the same columns, of one length."
                    )
                add(ak.zip({name: ak.to_packed(ak.Array(array)) for name, array in chunk.items()}, depth_limit=1))
                count += lengths.pop()

            yield extend
        if n_written() != count:
            raise OutputError(
                f"asked to write {count} entries to {path}; read back {n_written()}. The disk may be full."
            )


Add = Callable[[ak.Array], None]


@contextlib.contextmanager
def _rntuple(part: Path, tree: str) -> Iterator[tuple[Add, Callable[[], int]]]:
    ntuple: Any = None

    def add(chunk: ak.Array) -> None:
        nonlocal ntuple
        if ntuple is None:
            ntuple = file.mkrntuple(tree, chunk[:0])
        ntuple.extend(chunk)

    def n_written() -> int:
        with uproot.open(part) as written:
            return int(written[tree].num_entries)

    with uproot.recreate(part, compression=uproot.ZLIB(_ZLIB_LEVEL)) as file:
        yield add, n_written


@contextlib.contextmanager
def _parquet(part: Path) -> Iterator[tuple[Add, Callable[[], int]]]:
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

    def n_written() -> int:
        return int(pq.read_metadata(part).num_rows)

    try:
        yield add, n_written
    finally:
        if writer is not None:
            writer.close()


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
