"""Rows: the values of one chunk's jets and records, in runs, and the jets that are made of them.

A layout (`flat_rows` here, the others in `hepnn.readers.layouts`) turns the columns of a source into `Rows`;
`jets_from_rows` turns those into jets that keep the contract of `hepnn.jets`. `jets_from_columns` does both for
columns in which an entry is a jet, without any file.

A branch keeps its type. A formula is worked out in float64, where differences of large numbers keep their digits,
and is float32 again if all the decimal numbers that went into it were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt
from numpy import ma

from hepnn import kinematics
from hepnn.errors import SchemaError, closest
from hepnn.expressions import compile_expression
from hepnn.jets import PARTICLE_FIELDS
from hepnn.schema.description import UNITS, Field, Schema

__all__ = [
    "Columns",
    "Records",
    "Rows",
    "falls",
    "flat_rows",
    "jet_values",
    "jets_from_columns",
    "jets_from_rows",
    "ragged",
    "read_fields",
    "sum_records",
]

Values = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]
Columns = Mapping[str, Any]
"""Branch name to array, one row an entry."""

_BLOCK = 2**15
"""Rows that a formula is worked out for at once; in float64 they take 256 kB."""

MOMENTUM = {"__record__": "Momentum4D"}
"""What makes awkward records behave as four-vectors once `vector` is registered, which refuses records that lack a
component."""


class Records(NamedTuple):
    """One collection: fields by name, (record,), and the number of records of each jet, (jet,)."""

    fields: dict[str, Values]
    counts: Counts


class Rows(NamedTuple):
    """One chunk.

    Attributes:
        jets: fields of the jets by name, (jet,).
        collections: by name.
        counts: number of jets of each entry, (entry,), or None where an entry is a jet.
    """

    jets: dict[str, Any]
    collections: dict[str, Records]
    counts: Counts | None


def ragged(array: Any) -> tuple[Any, Counts]:
    """Returns the values of one level of lists in a run, and how many each list has.

    Args:
        array: (row, *) of anything; a list that is missing counts as empty.
    """
    if not isinstance(array, ak.Array):
        array = ak.Array(np.asarray(array))
    if array.layout.is_option:  # the one kind of option that ak.fill_none takes whatever is in it
        array = ak.fill_none(ak.Array(array.layout.to_IndexedOptionArray64()), [], axis=0)
    if array.layout.is_numpy:  # lists of one length
        array = ak.Array(array.layout.to_RegularArray())
    layout = array.layout.to_ListOffsetArray64(True)
    offsets = np.asarray(layout.offsets)
    content = ak.Array(layout.content[: offsets[-1]])
    return (plain(content) if content.ndim == 1 else content), np.diff(offsets)


def plain(array: Any) -> Any:
    """Returns numbers as NumPy's, in the machine's byte order and with NaN where they are missing; text as it is."""
    if not isinstance(array, np.ndarray):
        array = array if isinstance(array, ak.Array) else ak.Array(array)
        if array.ndim != 1 or array.fields:
            return array
        if array.layout.is_numpy and isinstance(array.layout.data, np.ndarray):
            array = array.layout.data  # ak.to_numpy and the text of a type take twenty times as long
        elif "string" in str(array.type):
            return array
        else:
            array = ak.to_numpy(array, allow_missing=True)
    if isinstance(array, ma.MaskedArray):
        is_missing = ma.getmaskarray(array)
        array = ma.getdata(array)
        if is_missing.any():
            array = np.where(is_missing, np.nan, array.astype(np.result_type(array.dtype, np.float32)))
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def read_fields(table: Mapping[str, Field], columns: Columns, n_rows: int, *, kind: int = 0) -> dict[str, Any]:
    """Returns the values of each field, (row,), in hepnn's units; without the optional ones that cannot be had.

    Args:
        table: the fields.
        columns: branch name to values, (row,).
        n_rows: number of rows, for fields that need no branch.
        kind: which formula of fields that have several.

    Raises:
        SchemaError: a branch is missing, or a formula does not fit it.
    """
    made = {}
    for name, field in table.items():
        formula = field.formulas[min(kind, len(field.formulas) - 1)]
        needed = compile_expression(formula).names | (
            compile_expression(field.missing).names if field.missing else set()
        )
        lacking = sorted(needed - columns.keys())
        if lacking and field.optional:
            continue
        if lacking:
            raise SchemaError(
                f"the field {name!r} needs the branch {lacking[0]!r}; closest: {closest(lacking[0], columns)}."
            )
        made[name] = _value(field, formula, columns, n_rows)
    return made


def _wide(values: Any) -> Any:
    if not isinstance(values, np.ndarray) or values.dtype.kind == "b":
        return values
    return values.astype(
        np.int64 if values.dtype.kind in "iu" and values.dtype != np.uint64 else np.float64, copy=False
    )


def _worked_out(formula: str, columns: Columns, n_rows: int) -> Values:
    """Returns the value of a formula, (row,), worked out for some rows at a time: float64 need not leave the cache.

    Raises:
        SchemaError: a branch has not as many rows.
    """
    expression = compile_expression(formula)
    for name in expression.names:
        if len(columns[name]) != n_rows:
            raise SchemaError(f"the formula {formula!r} is about {n_rows} rows; {name!r} has {len(columns[name])}.")
    if expression.is_name:
        return columns[next(iter(expression.names))]
    used = [columns[name].dtype for name in expression.names if isinstance(columns[name], np.ndarray)]
    decimal = [dtype for dtype in used if dtype.kind == "f"]
    is_narrow = bool(decimal) and all(dtype.itemsize <= 4 for dtype in decimal)

    def block(first: int) -> Values:
        rows = slice(first, min(first + _BLOCK, n_rows))
        values = expression({name: _wide(columns[name][rows]) for name in expression.names})
        values = np.broadcast_to(values, (rows.stop - first,))
        return values.astype(np.float32) if is_narrow and values.dtype == np.float64 else values

    values = block(0)
    if n_rows > _BLOCK:
        made, values = values, np.empty(n_rows, values.dtype)
        values[:_BLOCK] = made
        for first in range(_BLOCK, n_rows, _BLOCK):
            values[first : first + _BLOCK] = block(first)
    return values


def _value(field: Field, formula: str, columns: Columns, n_rows: int) -> Any:
    values = _worked_out(formula, columns, n_rows)
    if field.sentinel is not None:
        values = _blank(values, lambda numbers: numbers == numbers.dtype.type(field.sentinel))
    if field.missing is not None:
        is_missing = _worked_out(field.missing, columns, n_rows).astype(bool)
        values = _blank(values, lambda numbers: is_missing)
    if UNITS[field.unit] != 1:
        values = values * UNITS[field.unit]
    return values if field.dtype is None else values.astype(field.dtype)


def _blank(values: Values, is_missing: Callable[[Values], Any]) -> Values:
    """Returns decimal numbers with NaN where they are missing; whether or not any is, so that chunks are alike."""
    numbers = values if values.dtype.kind == "f" else values.astype(np.float64 if values.itemsize > 2 else np.float32)
    return np.where(is_missing(numbers), numbers.dtype.type(np.nan), numbers)


def jet_values(schema: Schema, columns: Columns, n_jets: int) -> dict[str, Any]:
    """Returns the fields, observers and label of the jets, each (jet,).

    Args:
        schema: how they are spelled.
        columns: branch name to values, (jet,).
        n_jets: number of jets.

    Raises:
        SchemaError: a branch is missing, or two labels are true at once.
    """
    made = read_fields({**schema.jets, **schema.observers}, columns, n_jets)
    labels = {name: compile_expression(formula) for name, formula in schema.labels.items()}
    if labels and all(formula.names <= columns.keys() for formula in labels.values()):
        flags = {name: formula({each: columns[each] for each in formula.names}) for name, formula in labels.items()}
        made["label"] = _labels(flags, schema, n_jets)
    return made


def _labels(flags: Mapping[str, Any], schema: Schema, n_jets: int) -> ak.Array:
    table = np.stack([np.broadcast_to(np.asarray(flag, dtype=bool), (n_jets,)) for flag in flags.values()])
    n_true = table.sum(axis=0)
    if (n_true > 1).any():
        row = int(np.argmax(n_true > 1))
        both = [name for name, is_true in zip(flags, table[:, row], strict=True) if is_true]
        raise SchemaError(
            f"schema {schema.name!r}: {int((n_true > 1).sum())} jets have several labels; jet "
            f"{row} of these is {' and '.join(both)}. Make the label formulas exclude each other."
        )
    index = ak.index.Index64(np.where(n_true == 1, table.argmax(axis=0), -1))
    return ak.Array(ak.contents.IndexedOptionArray(index, ak.to_layout(list(flags))))


def flat_rows(columns: Columns, schema: Schema) -> Rows:
    """Returns the rows of columns in which an entry is a jet.

    Args:
        columns: branch name to array, (jet,) or (jet, *). In the formulas of a collection, a branch with one value
            a jet stands for that value beside each of its records.
        schema: how they are spelled.

    Raises:
        SchemaError: a branch is missing, or lists of one collection differ in length.
    """
    if not columns:
        raise SchemaError(f"the schema {schema.name!r} finds none of its branches.")
    n_jets = len(next(iter(columns.values())))
    lists: dict[str, tuple[Any, Counts]] = {}
    single: dict[str, Any] = {}
    for name, array in columns.items():
        if getattr(array, "ndim", 1) > 1:
            lists[name] = ragged(array)
        else:
            single[name] = plain(array)
    collections = {}
    for name in schema.collections:
        needed = schema.collection_branches(name, optional=True)
        if (
            name in schema.optional_collections
            and not schema.collection_branches(name, optional=False) <= columns.keys()
        ):
            continue
        own = {branch: lists[branch] for branch in sorted(needed & lists.keys())}
        if not own:
            raise SchemaError(
                f"schema {schema.name!r}: the {name} need lists of numbers in the branches "
                f"{', '.join(sorted(needed)[:5])}; found none among {', '.join(sorted(columns)[:10])}."
            )
        counts = _common_counts(own, f"schema {schema.name!r}: {name}")
        repeated = {branch: np.repeat(single[branch], counts) for branch in needed & single.keys()}
        values = {**{branch: values for branch, (values, _) in own.items()}, **repeated}
        collections[name] = Records(read_fields(schema.collections[name], values, int(counts.sum())), counts)
    return Rows(jet_values(schema, single, n_jets), collections, None)


def _common_counts(lists: Mapping[str, tuple[Any, Counts]], what: str) -> Counts:
    """Returns how many values each entry has, the same in all lists; or says where they are not."""
    first, (_, counts) = next(iter(lists.items()))
    for name, (_, others) in lists.items():
        if not np.array_equal(others, counts):
            row = int(np.argmax(others != counts))
            raise SchemaError(
                f"{what} of entry {row} have {counts[row]} values of {first!r} and {others[row]} of {name!r}. The file "
                "is damaged, or the schema mixes collections."
            )
    return counts


def sum_records(records: Records) -> dict[str, Values]:
    """Returns pt, eta, phi and energy of each jet, (jet,), in GeV: the sum of its records' four-momenta.

    A jet without records has zeros; one along the beam, eta of 0.
    """
    fields = records.fields
    row = np.repeat(np.arange(len(records.counts)), records.counts)
    pt, eta, phi, energy = (fields[name].astype(np.float64) for name in ("pt", "eta", "phi", "energy"))
    px, py, pz, e = (
        np.bincount(row, weights=part, minlength=len(records.counts))
        for part in (kinematics.px(pt, phi), kinematics.py(pt, phi), kinematics.pz(pt, eta), energy)
    )
    total_pt = kinematics.pt_from_p(px, py)
    with np.errstate(divide="ignore", invalid="ignore"):
        total_eta = np.where(total_pt > 0, kinematics.eta_from_p(px, py, pz), 0.0)
    total = {
        "pt": total_pt,
        "eta": total_eta,
        "phi": kinematics.phi_from_p(px, py),
        "energy": e,
    }
    return {name: values.astype(fields["pt"].dtype) for name, values in total.items()}


def jets_from_rows(rows: Rows) -> ak.Array:
    """Returns the jets, (jet,) records; the records of each collection by falling pt."""
    contents = {name: ak.to_layout(values) for name, values in rows.jets.items()}
    n_jets = len(next(iter(rows.collections.values())).counts)
    for name, (fields, counts) in rows.collections.items():
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        order = _falling(fields["pt"], offsets)
        values = [np.ascontiguousarray(each if order is None else each[order]) for each in fields.values()]
        records = ak.contents.RecordArray(
            [ak.contents.NumpyArray(each) for each in values],
            list(fields),
            length=int(offsets[-1]),
            parameters=MOMENTUM if set(PARTICLE_FIELDS) <= fields.keys() else None,
        )
        contents[name] = ak.contents.ListOffsetArray(ak.index.Index64(offsets), records)
    jets = ak.contents.RecordArray(list(contents.values()), list(contents), length=n_jets, parameters=MOMENTUM)
    return ak.Array(jets)


def _falling(pt: Values, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """Returns the order of falling pt within each list, NaN last; None if that is the order already."""
    if falls(pt, offsets):
        return None
    lists = ak.contents.ListOffsetArray(
        ak.index.Index64(offsets), ak.contents.NumpyArray(np.where(np.isnan(pt), -np.inf, pt))
    )
    local = ak.flatten(ak.argsort(lists, axis=1, ascending=False, stable=True, highlevel=True))
    return ak.to_numpy(local) + np.repeat(offsets[:-1], np.diff(offsets))


def falls(values: Values, offsets: npt.NDArray[np.int64]) -> bool:
    """Returns whether no value is greater than the one before it in its list; False if there is a NaN beside another value.

    Args:
        values: (value,), the lists one after another.
        offsets: where each list begins, and where the last ends, (list + 1,).

    >>> falls(np.array([3.0, 1.0, 2.0]), np.array([0, 2, 3]))
    True
    """
    is_less = values[1:] <= values[:-1]
    starts = offsets[1:-1]
    is_less[starts[(starts > 0) & (starts < len(values))] - 1] = True
    return bool(is_less.all())


def jets_from_columns(columns: Columns, schema: Schema) -> ak.Array:
    """Returns jets that keep the contract of `hepnn.jets`, from columns in which one entry is one jet.

    Args:
        columns: branch name to array, (jet,) or (jet, *).
        schema: of the ``flat`` layout.

    Raises:
        SchemaError: another layout, a branch is missing, lists of one collection differ in length, or two labels are
            true at once.

    >>> from hepnn.schema import load_schema
    >>> jet = {f"jet_{name}": np.array([500.0]) for name in ("pt", "eta", "phi", "energy")}
    >>> parts = {f"part_{name}": ak.Array([[3.0, 4.0]]) for name in ("px", "py", "pz", "energy", "pid")}
    >>> jets_from_columns({**jet, **parts}, load_schema("hepnn")).particles.pt.tolist()
    [[5.656854249492381, 4.242640687119285]]
    """
    if schema.layout != "flat":
        raise SchemaError(
            f"asked for jets from columns with the schema {schema.name!r}, whose layout is {schema.layout!r}; only "
            "'flat' can be read without a file. Write the columns to one and use hepnn.read_jets."
        )
    rows = flat_rows(columns, schema)
    if schema.sum_particles:
        rows = rows._replace(jets={**sum_records(rows.collections["particles"]), **rows.jets})
    return jets_from_rows(rows)
