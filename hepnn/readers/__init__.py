"""Reading: jets that keep the contract of `hepnn.jets`, out of ROOT files in which one entry is one jet.

`read_jets` reads everything, `iterate_jets` the same in steps. `iterate_chunks` says as well where each step comes
from, so that what is written can be aligned with it. All files are checked before the first is read: existence,
length, tree, branches and their types.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import numpy.typing as npt

from hepnn.errors import InputError, SchemaError, SourceError
from hepnn.readers.root import Tree, check_branches, open_tree, read_steps
from hepnn.readers.sources import Location, Source, locate
from hepnn.schema import SCHEMAS, Schema, find_schema, jets_from_columns, load_schema

__all__ = ["DEFAULT_STEP", "JetChunk", "iterate_chunks", "iterate_jets", "read_jets", "schema_of"]

DEFAULT_STEP = 50_000
"""Entries at once: some 100 MB of jets."""


class JetChunk(NamedTuple):
    """Jets, and where they come from.

    Attributes:
        jets: (jet,) records.
        counts: number of jets in each entry, (entry,), or None where an entry is a jet.
        file: path.
        tree: its tree.
        start: first entry.
        stop: one after the last.
    """

    jets: ak.Array
    counts: npt.NDArray | None  # type: ignore[type-arg]
    file: str
    tree: str
    start: int
    stop: int


def iterate_chunks(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    max_jets: int | None = None,
    step: int = DEFAULT_STEP,
) -> Iterator[JetChunk]:
    """Yields the jets of ``source`` in order, at most ``step`` entries at once; an empty file gives one empty chunk.

    Args:
        source: ``file.root``, ``file.root:tree``, a glob, a folder, or several of these.
        schema: how the files spell jets: built-in name, TOML file, or "auto" to find it from the branches.
        tree: name of the tree; None to find it.
        max_jets: stop after so many jets.
        step: entries at once.

    Raises:
        InputError: ``step`` or ``max_jets`` makes no sense.
        SourceError: a file is missing, damaged or differs from the others; nothing is read before all are checked.
        SchemaError: the schema does not fit.
    """
    if step < 1 or (max_jets is not None and max_jets < 0):
        raise InputError(f"asked for steps of {step} entries and at most {max_jets} jets; neither can be negative.")
    return _chunks(*_preflight(source, schema, tree), max_jets=max_jets, step=step)


def iterate_jets(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    max_jets: int | None = None,
    step: int = DEFAULT_STEP,
) -> Iterator[ak.Array]:
    """Yields the jets of ``source`` in order, (jet,) records, at most ``step`` entries at once.

    Arguments and errors are those of `iterate_chunks`.
    """
    for chunk in iterate_chunks(source, schema=schema, tree=tree, max_jets=max_jets, step=step):
        yield chunk.jets


def read_jets(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    max_jets: int | None = None,
) -> ak.Array:
    """Returns all jets of ``source``, (jet,) records that keep the contract of `hepnn.jets`, in order.

    Arguments and errors are those of `iterate_chunks`.
    """
    chunks = list(iterate_jets(source, schema=schema, tree=tree, max_jets=max_jets))
    return chunks[0] if len(chunks) == 1 else ak.concatenate(chunks)


def schema_of(source: Source, *, schema: str | Path | Schema = "auto", tree: str | None = None) -> Schema:
    """Returns the schema that reading ``source`` uses. Arguments and errors are those of `iterate_chunks`."""
    return _preflight(source, schema, tree)[1]


def _preflight(source: Source, schema: str | Path | Schema, tree: str | None) -> tuple[list[Tree], Schema, list[str]]:
    """Checks every file before anything is read; returns the trees, the schema and the branches to read."""
    locations = locate(source)
    named = None if schema == "auto" else load_schema(schema)
    first = _open(locations[0], tree, named)
    used = named or find_schema(first.types, where=f"{first.file}:{first.name}")
    trees = [first, *(_open(location, tree, used) for location in locations[1:])]
    branches = sorted(used.branches(optional=True) & first.types.keys())
    for each in trees:
        check_branches(each, used.branches(optional=False), schema=used.name)
        for name in branches:
            found = each.types.get(name, "nothing")
            if found != first.types[name]:
                raise SourceError(
                    f"asked to read files as one; the branch {name!r} holds {first.types[name]} in {first.file} and "
                    f"{found} in {each.file}. Read them one by one, or leave one out."
                )
    return trees, used, branches


def _open(location: Location, tree: str | None, schema: Schema | None) -> Tree:
    if schema is None:
        candidates = tuple(dict.fromkeys(name for known in SCHEMAS for name in load_schema(known).trees))
    else:
        candidates = schema.trees
    return open_tree(location.file, tree=location.tree or tree, candidates=candidates)


def _chunks(
    trees: list[Tree], schema: Schema, branches: list[str], *, max_jets: int | None, step: int
) -> Iterator[JetChunk]:
    left = max_jets
    for tree in trees:
        for start, stop, columns in read_steps(tree, branches, step=step, stop=left):
            try:
                jets = jets_from_columns(columns, schema)
            except SchemaError as error:
                error.add_note(f"In {tree.file}:{tree.name}, entries {start} to {stop}.")
                raise
            yield JetChunk(jets, None, tree.file, tree.name, start, stop)
            if left is not None:
                left -= stop - start
        if left == 0:
            return
