"""Columns: the values of one branch in one chunk, as a TTree can hold them.

In go NumPy and awkward arrays; out come `Column` records, flat values with the count of each entry, and the
structures that uproot writes. `hepnn.trees.TreeWriter` is the user of this module.

Jagged branches whose names have the same part before the first underscore form a group and share one counter
branch: ``part_px`` and ``part_py`` are counted by ``npart``, a jagged ``weights`` by ``nweights``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.errors import OutputError

__all__ = [
    "WRITABLE",
    "BranchType",
    "Column",
    "column_from",
    "counter_of",
    "element_type",
    "first_misfit",
    "group_of",
    "joined",
    "leaf_type",
    "sliced",
    "uproot_arrays",
    "uproot_types",
]

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
WRITABLE = ("bool", *INTEGERS, "float32", "float64")
"""The element types that a TTree leaf can have."""


class BranchType(NamedTuple):
    """What a branch holds: the element type, and whether each entry has a list of them."""

    dtype: np.dtype[Any]
    is_jagged: bool


class Column(NamedTuple):
    """One branch in one chunk: all values in a run, and for a jagged branch the number in each entry."""

    values: npt.NDArray[Any]
    counts: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.values if self.counts is None else self.counts)


def group_of(name: str) -> str:
    """Returns the part of a branch name before the first underscore.

    >>> group_of("part_d0_error"), group_of("weights")
    ('part', 'weights')
    """
    return name.split("_", 1)[0] or name


def counter_of(group: str) -> str:
    """Returns the name of the branch that counts a group's values: ``npart`` for ``part``."""
    return f"n{group}"


def leaf_type(found: np.dtype[Any], name: str) -> np.dtype[Any]:
    """Returns the type that a branch has for elements of type ``found``; float16 widens to float32.

    Raises:
        OutputError: a tree cannot hold such elements.
    """
    if found == np.float16:
        return np.dtype(np.float32)
    native = found.newbyteorder("=")
    if native.name not in WRITABLE:
        raise OutputError(
            f"asked to write {name!r} as {found}; a tree takes only {', '.join(WRITABLE)}. Convert it first."
        )
    return native


def element_type(name: str, array: Any) -> tuple[np.dtype[Any] | None, bool]:
    """Returns the element type (None where empty lists leave it unknown) and whether the array is jagged.

    Raises:
        OutputError: neither one number nor one list of numbers an entry.
    """
    if not isinstance(array, ak.Array):
        array = np.asarray(array)
        if array.ndim == 1:
            return array.dtype, False
        raise OutputError(
            f"asked to write {name!r} of shape {array.shape}; only (entries,) or an awkward array of lists "
            "can be written. Split it into columns, or convert it with ak.from_regular(ak.from_numpy(...))."
        )
    if array.fields or array.ndim > 2:
        raise OutputError(
            f"asked to write {name!r} of type {str(array.type)[:200]}; a branch holds numbers or one level "
            "of lists of numbers. Give each field as its own column, or flatten a level."
        )
    form = array.layout.form
    while form.is_list or form.is_option or form.is_indexed:
        form = form.content
    if form.is_unknown:
        return None, array.ndim == 2
    if not form.is_numpy or form.parameter("__array__") is not None or form.inner_shape:
        raise OutputError(f"asked to write {name!r} of type {str(array.type)[:200]}, which is not numeric.")
    return np.dtype(form.primitive), array.ndim == 2


def column_from(name: str, array: Any, *, is_jagged: bool) -> Column:
    """Returns the values of an array in one run; they may still share its memory.

    Raises:
        OutputError: a value is missing.
    """
    if not isinstance(array, ak.Array):
        return Column(np.asarray(array), None)
    if array.layout.is_list:
        # the usual case; what follows is ten times slower
        lists = array.layout.to_ListOffsetArray64(True)
        if lists.content.is_numpy:
            return Column(lists.content.data[: lists.offsets[-1]], np.diff(lists.offsets.data))
    missing = ak.is_none(array)
    if is_jagged:
        missing = missing | ak.fill_none(ak.any(ak.is_none(array, axis=1), axis=1), True)
    missing = ak.to_numpy(missing)
    if missing.any():
        raise OutputError(
            f"asked to write {name!r}, but row {int(np.argmax(missing))} of the chunk has a missing value, "
            "which a tree cannot hold; fill it with ak.fill_none."
        )
    values = np.ma.getdata(ak.to_numpy(ak.flatten(array, axis=None)))
    if not is_jagged:
        return Column(values, None)
    return Column(values, np.ma.getdata(ak.to_numpy(ak.num(array, axis=1))).astype(np.int64))


def first_misfit(before: Column, after: npt.NDArray[Any]) -> tuple[int, Any] | None:
    """Returns the row and value of the first element that a conversion to a narrower type changed, if any.

    Rounding a float to fewer bits is no change, becoming infinite is. Anything with integers has to be exact.
    """
    values = before.values
    if values.dtype == after.dtype or not len(values):
        return None
    if values.dtype.kind == "f" and after.dtype.kind == "f":
        changed = np.isfinite(values) & ~np.isfinite(after)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            changed = after.astype(values.dtype) != values
    if not changed.any():
        return None
    at = int(np.argmax(changed))
    row = at if before.counts is None else int(np.searchsorted(np.cumsum(before.counts), at, side="right"))
    return row, values[at]


def joined(pieces: list[Column]) -> Column:
    """Returns the pieces of one branch, in order, as one column."""
    counts = [piece.counts for piece in pieces if piece.counts is not None]
    return Column(np.concatenate([piece.values for piece in pieces]), np.concatenate(counts) if counts else None)


def sliced(column: Column, start: int, stop: int) -> Column:
    """Returns the rows from ``start`` up to ``stop``, sharing memory."""
    if column.counts is None:
        return Column(column.values[start:stop], None)
    before, counts = int(column.counts[:start].sum()), column.counts[start:stop]
    return Column(column.values[before : before + int(counts.sum())], counts)


def uproot_types(branches: Mapping[str, BranchType]) -> dict[str, Any]:
    """Returns branch types as uproot takes them; a group of jagged branches is one list of records."""
    types: dict[str, Any] = {}
    for name, (dtype, is_jagged) in branches.items():
        group = group_of(name)
        if not is_jagged:
            types[name] = dtype
        elif group == name:
            types[name] = ak.types.ListType(ak.types.NumpyType(dtype.name))
        else:
            members = {n: t.dtype for n, t in branches.items() if t.is_jagged and group_of(n) == group}
            contents = [ak.types.NumpyType(member.name) for member in members.values()]
            fields = [n.removeprefix(f"{group}_") for n in members]
            types[group] = ak.types.ListType(ak.types.RecordType(contents, fields))
    return types


def uproot_arrays(rows: Mapping[str, Column]) -> dict[str, Any]:
    """Returns the rows of all branches in the structure of `uproot_types`."""
    arrays: dict[str, Any] = {}
    counts: dict[str, npt.NDArray[np.int64]] = {}
    for name, column in rows.items():
        if column.counts is None:
            arrays[name] = column.values
        else:
            counts[group_of(name)] = column.counts
    for group, group_counts in counts.items():
        offsets = np.concatenate([[0], np.cumsum(group_counts)]).astype(np.int64)
        members = {n: c.values for n, c in rows.items() if c.counts is not None and group_of(n) == group}
        contents = [ak.contents.NumpyArray(np.ascontiguousarray(values)) for values in members.values()]
        if group in members:
            content = contents[0]
        else:
            fields = [n.removeprefix(f"{group}_") for n in members]
            content = ak.contents.RecordArray(contents, fields, length=int(offsets[-1]))
        arrays[group] = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), content))
    return arrays
