"""The ROOT tree writer: chunks of columns in, one verified TTree out.

A `TreeWriter` takes any number of chunks (a dict from branch name to array, one row an entry) and leaves
either the complete file under its final name or no new file at all: it writes beside the target under another
name, reads the result back, and only then moves it into place. Whatever hepnn writes into a ROOT file goes
through it.

Baskets are compressed with ZLIB, whose checksum lets every reader notice a damaged file; the ZSTD and LZ4
frames in ROOT files carry no checksum that readers reliably verify.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import deflate
import numpy as np
import numpy.typing as npt
import uproot

from hepnn.columns import (
    BranchType,
    Column,
    column_from,
    counter_of,
    element_type,
    first_misfit,
    group_of,
    joined,
    leaf_type,
    sliced,
    uproot_arrays,
    uproot_types,
)
from hepnn.errors import InputError, OutputError, closest
from hepnn.staging import cannot_write, keep, part_of, refuse_existing

__all__ = ["TreeWriter"]

BASKET_ENTRIES = 10_000
"""Rows in a basket. uproot writes a basket a branch and call: small chunks would make large, slow files."""
BASKET_BYTES = 64 * 2**20
"""Bytes of all branches at which baskets get fewer rows; a basket has to stay below 2 GiB."""


class TreeWriter:
    """Writes one TTree, chunk by chunk, and moves it into place once it has been read back.

    The first chunk settles the names and types of the branches, so a chunk of empty arrays is enough for a
    tree without entries. Jagged branches whose names have the same part before the first underscore share one
    counter: ``part_px`` and ``part_py`` are counted by ``npart``, a jagged ``weights`` by ``nweights``.

    Args:
        path: the file to write.
        tree: the name of the TTree in it.
        types: element types of some branches, name to dtype; values are converted where they fit. Branches
            not named have the type of the first chunk's array (float16 becomes float32).
        level: ZLIB compression level, 1 (fast, and good enough for numbers without repetition) to 9 (small).
        basket_entries: entries in a basket. That many are collected before they are written, so fewer mean
            less memory, and less lost when the process is killed, but larger files.
        overwrite: replace an existing file; without it an existing file is an error.
        keep_partial: after an exception, leave what was written beside the target, as a readable file named
            in a note on the exception. Without it nothing is left.

    Raises:
        OutputError: the target exists, or its folder is missing or cannot be written to.
        InputError: a setting makes no sense.

    >>> import tempfile, awkward as ak
    >>> path = tempfile.mkdtemp() + "/jets.root"
    >>> with TreeWriter(path) as out:
    ...     out.extend({"jet_pt": np.float32([500, 600]), "part_px": ak.Array([[1.0, 2.0], []])})
    >>> uproot.open({path: "tree"}).keys()
    ['jet_pt', 'npart', 'part_px']
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        tree: str = "tree",
        types: Mapping[str, npt.DTypeLike] | None = None,
        level: int = 4,
        basket_entries: int = BASKET_ENTRIES,
        overwrite: bool = False,
        keep_partial: bool = False,
    ) -> None:
        self.path = Path(path)
        self.tree = tree
        self.entries = 0
        if not tree or "/" in tree or ";" in tree:
            raise InputError(f"asked for a tree named {tree!r} in {path}; use letters, digits and underscores.")
        if not 1 <= level <= 9:
            raise InputError(f"asked for ZLIB level {level} for {path}; ZLIB knows the levels 1 to 9.")
        self._declared = {name: leaf_type(np.dtype(given), name) for name, given in (types or {}).items()}
        if basket_entries < 1:
            raise InputError(f"asked for {basket_entries} entries in a basket of {path}; give at least 1.")
        self._level = level
        self._basket_entries = basket_entries
        self._overwrite = overwrite
        self._keep_partial = keep_partial
        self._branches: dict[str, BranchType] = {}
        self._waiting: list[dict[str, Column]] = []
        self._waiting_entries = 0
        self._waiting_bytes = 0
        self._file: Any = None
        self._ttree: Any = None
        self._part: Any = None
        self._staging = contextlib.ExitStack()
        self._check_target()

    def __enter__(self) -> Self:
        with self._staging:
            try:
                self._part = self._staging.enter_context(part_of(self.path))
                self._file = uproot.recreate(self._part, compression=_compression(self._level))
            except OSError as error:
                raise self._cannot_write(error) from error
            self._staging = self._staging.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._staging:
            if error is not None:
                self._abandon(error)
                return
            try:
                self._finish()
            except BaseException as failure:
                self._abandon(failure)
                raise

    def extend(self, columns: Mapping[str, Any]) -> None:
        """Adds one chunk: as many entries as its arrays are long.

        Args:
            columns: branch name to array: NumPy or awkward arrays of numbers or booleans, of shape (entry,),
                or jagged, (entry, *). They are copied.

        Raises:
            OutputError: the columns differ from the first chunk's in names or types, or among themselves in
                length; a value is missing or does not fit the branch's type; the disk is full.
        """
        if self._file is None:
            raise OutputError(f"asked to write to {self.path}, which is not open; use `with TreeWriter(...) as out:`.")
        if not columns:
            raise OutputError(f"asked to write a chunk without columns to {self.path}; give at least one array.")
        branches = self._branches or self._settled(columns)
        self._check_names(columns, branches)
        chunk = {name: self._column(name, columns[name], branch) for name, branch in branches.items()}
        self._check_lengths(chunk)
        self._branches = branches
        n_entries = len(next(iter(chunk.values())))
        self._waiting.append(chunk)
        self.entries += n_entries
        self._waiting_entries += n_entries
        self._waiting_bytes += sum(column.values.nbytes for column in chunk.values())
        if self._waiting_entries >= self._basket_entries or self._waiting_bytes >= BASKET_BYTES:
            self._write_baskets(everything=False)

    def _check_target(self) -> None:
        try:
            is_folder, has_folder = self.path.is_dir(), self.path.parent.is_dir()
            if not is_folder:
                refuse_existing(self.path, overwrite=self._overwrite)
        except OutputError:
            raise
        except OSError as error:
            raise self._cannot_write(error) from error
        if is_folder:
            raise OutputError(f"asked to write the file {self.path}, which is a folder; add a file name to it.")
        if not has_folder:
            raise OutputError(
                f"asked to write {self.path}, but there is no folder {self.path.parent}; create it first."
            )

    def _cannot_write(self, error: OSError) -> OutputError:
        return cannot_write(self.path, error, part=self._part)

    def _settled(self, columns: Mapping[str, Any]) -> dict[str, BranchType]:
        """Returns the types of the branches as the first chunk has them."""
        branches = {}
        for name, array in columns.items():
            found, is_jagged = element_type(name, array)
            if found is None and name not in self._declared:
                raise OutputError(
                    f"asked to write {name!r} to {self.path}, but its empty lists have no type; name one, as "
                    f"in types={{{name!r}: 'float32'}}, or convert it with ak.values_astype."
                )
            dtype = self._declared[name] if found is None or name in self._declared else leaf_type(found, name)
            branches[name] = BranchType(dtype, is_jagged)
        for name, branch in branches.items():
            for taken in (counter_of(group_of(name)), group_of(name)):
                if branch.is_jagged and taken in branches and taken != name:
                    raise OutputError(
                        f"asked to write {taken!r} to {self.path} beside the jagged {name!r}, whose counter "
                        f"is {counter_of(group_of(name))!r}; rename {taken!r}, or leave it out if it is the "
                        "count."
                    )
        return branches

    def _check_names(self, columns: Mapping[str, Any], branches: Mapping[str, BranchType]) -> None:
        for name in columns:
            if name not in branches:
                raise OutputError(
                    f"asked to write {name!r} to {self.path} after {self.entries} entries, but the first "
                    f"chunk had no such column; closest: {closest(name, branches)}. Give every chunk the "
                    "same columns."
                )
        for name in branches:
            if name not in columns:
                raise OutputError(
                    f"asked to write a chunk without {name!r} to {self.path} after {self.entries} entries; "
                    "the first chunk had it. Give every chunk the same columns."
                )

    def _column(self, name: str, array: Any, branch: BranchType) -> Column:
        """Returns a copy of one column as the branch will hold it."""
        found, is_jagged = element_type(name, array)
        if is_jagged != branch.is_jagged:
            kinds = ("one value", "a list of values")
            raise OutputError(
                f"asked to write {name!r} to {self.path} with {kinds[is_jagged]} an entry; the first chunk "
                f"had {kinds[branch.is_jagged]}. Give every chunk the same columns."
            )
        if found is not None and name not in self._declared and leaf_type(found, name) != branch.dtype:
            raise OutputError(
                f"asked to write {name!r} to {self.path} as {found} after {self.entries} entries; the first "
                f"chunk had {branch.dtype}. Convert it with astype or ak.values_astype."
            )
        column = column_from(name, array, is_jagged=is_jagged)
        with np.errstate(over="ignore", invalid="ignore"):
            written = np.array(column.values, dtype=branch.dtype)
        misfit = first_misfit(column, written)
        if misfit is not None:
            row, value = misfit
            wider = "float64" if column.values.dtype.kind == "f" else "int64"
            raise OutputError(
                f"asked to write {value} into the {branch.dtype} branch {name!r} of {self.path}, entry "
                f"{self.entries + row}: it does not fit. Try a wider type: types={{{name!r}: {wider!r}}}."
            )
        return Column(written, column.counts)

    def _check_lengths(self, chunk: Mapping[str, Column]) -> None:
        leaders: dict[str, str] = {}
        first = next(iter(chunk))
        for name, column in chunk.items():
            if len(column) != len(chunk[first]):
                raise OutputError(
                    f"asked to write {len(column)} entries of {name!r} to {self.path} but "
                    f"{len(chunk[first])} of {first!r}; give all columns of a chunk the same length."
                )
            if column.counts is None:
                continue
            leader = leaders.setdefault(group_of(name), name)
            expected = chunk[leader].counts
            if expected is not None and not np.array_equal(column.counts, expected):
                row = int(np.argmax(column.counts != expected))
                raise OutputError(
                    f"asked to write {column.counts[row]} values of {name!r} but {expected[row]} of "
                    f"{leader!r} in entry {self.entries + row} of {self.path}; branches named "
                    f"{group_of(name)}_* share the counter {counter_of(group_of(name))!r}. Rename one of "
                    "them."
                )

    def _write_baskets(self, *, everything: bool) -> None:
        """Writes the waiting rows in whole baskets; with ``everything`` also the last, smaller one."""
        if not self._waiting:
            return
        # taken first, so that rows of a basket that fails are not written twice
        waiting, self._waiting = self._waiting, []
        rows = {name: joined([chunk[name] for chunk in waiting]) for name in self._branches}
        n_entries = self._waiting_entries
        step = max(1, min(self._basket_entries, n_entries * BASKET_BYTES // max(self._waiting_bytes, 1)))
        start = 0
        try:
            self._make_tree()
            while n_entries - start >= step or (everything and n_entries > start):
                basket = {name: sliced(column, start, start + step) for name, column in rows.items()}
                self._ttree.extend(uproot_arrays(basket))
                start = min(start + step, n_entries)
        except OSError as error:
            raise self._cannot_write(error) from error
        # joined with nothing is a copy: a slice would keep the rows already written in memory
        rest = {name: joined([sliced(column, start, n_entries)]) for name, column in rows.items()}
        self._waiting = [rest]
        self._waiting_entries = n_entries - start
        self._waiting_bytes = sum(column.values.nbytes for column in rest.values())

    def _make_tree(self) -> None:
        if self._ttree is None:
            self._ttree = self._file.mktree(self.tree, uproot_types(self._branches), counter_name=counter_of)

    def _finish(self) -> None:
        if not self._branches:
            raise OutputError(
                f"asked to write {self.path}, but no chunk came, so its branches are unknown; extend it at "
                "least once, if only with empty arrays."
            )
        self._write_baskets(everything=True)
        try:
            self._file.close()
            self._verify()
            self._check_target()  # again: it may have appeared in the meantime
            self._part.replace(self.path)
        except OutputError:
            raise
        except OSError as error:
            raise self._cannot_write(error) from error

    def _verify(self) -> None:
        """Reads the closed file back: the tree, its branches, their lengths, and the last entry of each."""
        counters = [counter_of(group_of(name)) for name, branch in self._branches.items() if branch.is_jagged]
        expected = dict.fromkeys([*self._branches, *counters], self.entries)
        with uproot.open(self._part) as file:
            tree = file[self.tree]
            found = {branch.name: int(branch.num_entries) for branch in tree.branches}
            last = tree.arrays(entry_start=max(self.entries - 1, 0), library="ak")
        if found != expected or len(last) != min(self.entries, 1):
            raise OutputError(
                f"asked to write {self.entries} entries of {len(expected)} branches to {self.path}; read "
                f"back the entries {found}. The disk may be full or faulty."
            )

    def _abandon(self, error: BaseException) -> None:
        is_kept = self._keep_partial and self.entries > 0
        # the disk may be full: what went wrong is already on its way to the caller
        with contextlib.suppress(Exception):
            if is_kept:
                self._write_baskets(everything=True)
        with contextlib.suppress(Exception):
            if self._file is not None:
                self._file.close()
        with contextlib.suppress(OSError):
            if is_kept and self._ttree is not None:
                error.add_note(f"The first {self._ttree.num_entries} entries are in {keep(self._part, self.path)}.")


def _compression(level: int) -> Any:
    """uproot's, with the work done by libdeflate, in a fifth to two fifths of the time of Python's own zlib."""
    compression = uproot.ZLIB(level)
    compression.compress = partial(deflate.zlib_compress, compresslevel=level)
    return compression
