"""Arrays: jets out of branches that somebody else has read, such as the events in a coffea processor.

The schema is the same as for a file, so the jets, and their scores, are the same too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak

from hepnn.readers.layouts import rows_from_columns
from hepnn.readers.tables import column_names
from hepnn.schema import Schema, find_schema, jets_from_rows, load_schema

__all__ = ["jets_of"]


def jets_of(events: ak.Array | Mapping[str, Any], *, schema: str | Path | Schema = "auto") -> ak.Array:
    """Returns jets that keep the contract of `hepnn.jets`, (event, jet), or (jet,) where an entry is a jet.

    They nest like the jets of ``events``, so what a tagger gives for them can be set beside those. Only the branches
    that the schema names are looked at; where arrays are virtual, the others are not read.

    Args:
        events: arrays by the name of their branch, (entry,), (entry, *) or deeper; or records like coffea's
            ``NanoEvents``, in which ``Jet_pt`` is ``events.Jet.pt``.
        schema: how the branches are spelled: built-in name, TOML file, or "auto" to find it.

    Raises:
        SchemaError: a branch is missing, or they do not fit together.

    >>> jet = {f"jet_{name}": [500.0] for name in ("pt", "eta", "phi", "energy")}
    >>> parts = {f"part_{name}": [[3.0, 4.0]] for name in ("px", "py", "pz", "energy", "pid")}
    >>> jets_of(jet | parts, schema="hepnn").particles.energy.tolist()
    [[3.0, 4.0]]
    """
    names = _names(events)
    found = find_schema(column_names(names), where="the arrays").schema if schema == "auto" else load_schema(schema)
    wanted = sorted(found.branches(optional=True) & column_names(names))
    rows = rows_from_columns({name: _plain(_array(events, names[name])) for name in wanted if name in names}, found)
    jets = jets_from_rows(rows)
    return jets if rows.counts is None else ak.unflatten(jets, rows.counts)


def _names(events: Any) -> dict[str, tuple[str, ...]]:
    """Every branch by its name, and where it is: ``Jet_pt`` in the field ``pt`` of ``Jet``."""
    if isinstance(events, Mapping):
        return {name: (name,) for name in events}
    names: dict[str, tuple[str, ...]] = {}
    for name in events.fields:
        names[name] = (name,)
        names.update({f"{name}_{member}": (name, member) for member in events[name].fields})
    return names


def _array(events: Any, place: tuple[str, ...]) -> Any:
    for name in place:
        events = events[name]
    return events


def _plain(array: Any) -> ak.Array:
    """In memory, and without what a schema of coffea's says about it."""
    array = ak.Array(array, behavior={})
    if hasattr(ak, "materialize"):  # from awkward 2.8 on, which has virtual arrays
        array = ak.materialize(array)
    return ak.without_parameters(array)
