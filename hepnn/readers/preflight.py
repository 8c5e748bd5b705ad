"""The preflight: every file is checked before anything is read.

Existence, first bytes, length, table, branches and their types have to agree; the file that differs is named. What
comes out is a `Plan`, which says what to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from hepnn.errors import InputError, SourceError
from hepnn.readers.formats import open_table
from hepnn.readers.sources import Location, Source, locate
from hepnn.readers.tables import Table, check_branches, column_names, slots
from hepnn.schema import Field, Match, Schema, find_schema, known_schemas, load_schema

__all__ = ["BadFiles", "Plan", "SkippedFile", "plan"]

BadFiles = Literal["fail", "skip"]


class SkippedFile(NamedTuple):
    """A file that was left out.

    Attributes:
        file: path or URL.
        reason: the error's message.
        n_entries_read: entries that were handed on before the damage was met; 0 if it was seen in the preflight.
    """

    file: str
    reason: str
    n_entries_read: int


class Plan(NamedTuple):
    """What to read.

    Attributes:
        tables: the files, in order.
        schema: how they are spelled.
        branches: what to read of each.
        reason: why this schema.
        others: names of the schemas that fit as well.
    """

    tables: list[Table]
    schema: Schema
    branches: list[str]
    reason: str
    others: tuple[str, ...]


def plan(
    source: Source,
    *,
    schema: str | Path | Schema,
    tree: str | None,
    observers: Sequence[str],
    bad_files: BadFiles,
    skipped: list[SkippedFile],
) -> Plan:
    """Returns what to read of ``source``, after every file was checked.

    Arguments are those of `hepnn.readers.open_jets`; files that are skipped are added to ``skipped``.

    Raises:
        InputError: ``bad_files`` is not known.
        SourceError: a file is missing, damaged, or differs from the first; or no file is left.
        SchemaError: no schema fits, or the one named is malformed.
    """
    if bad_files not in ("fail", "skip"):
        raise InputError(f"asked for bad_files={bad_files!r}; known: 'fail', 'skip'.")
    named = None if schema == "auto" else load_schema(schema)
    made: Plan | None = None
    for location in locate(source):
        try:
            table = _open(location, tree, named if made is None else made.schema)
            if made is None:
                made = _first(table, named, observers)
            else:
                _check_like_first(table, made)
                made.tables.append(table)
        except SourceError as error:
            if bad_files == "fail":
                raise
            skipped.append(SkippedFile(location.file, str(error), 0))
    if made is None:
        asked = ", ".join(map(str, source)) if isinstance(source, list | tuple) else source
        raise SourceError(f"asked to read {asked}; every file was skipped. First: {skipped[0].reason}")
    return made


def _open(location: Location, tree: str | None, schema: Schema | None) -> Table:
    if schema is None:
        candidates = tuple(dict.fromkeys(name for known in known_schemas() for name in known.trees))
    else:
        candidates = schema.trees
    return open_table(location.file, tree=location.tree or tree, candidates=candidates)


def _first(table: Table, named: Schema | None, observers: Sequence[str]) -> Plan:
    """Returns the plan that the first file sets."""
    names = column_names(table.types)
    match = Match(named, "it was named", ()) if named is not None else find_schema(names, where=table.place)
    schema = match.schema
    check_branches(table, schema.branches(optional=False), schema=schema.name)
    if schema.passthrough:
        schema = _with_everything(schema, table)
    if observers:
        check_branches(table, observers, schema="observers")
        added = {name: Field(f"`{name}`") for name in observers if name not in schema.jets}
        schema = replace(schema, observers={**schema.observers, **added})
    return Plan([table], schema, sorted(schema.branches(optional=True) & names), match.reason, match.others)


def _with_everything(schema: Schema, table: Table) -> Schema:
    """Returns the schema with every further column of the table as a field of its own name.

    A column whose name has one dot is a member of a collection.
    """
    jets, collections = dict(schema.jets), {name: dict(fields) for name, fields in schema.collections.items()}
    for name in table.types:
        if "`" in name or name in schema.branches(optional=True):
            continue
        owner, _, member = name.rpartition(".")
        field = Field(f"`{name}`", optional=True)
        if not owner:
            jets.setdefault(name, field)
        elif "." not in owner:
            collections.setdefault(owner, {}).setdefault(member, field)
    with_pt = {name: fields for name, fields in collections.items() if "pt" in fields}
    added = tuple(name for name in with_pt if name not in schema.collections)
    # the same schema reads a file that lacks what was added
    return replace(schema, jets=jets, collections=with_pt, optional_collections=(*schema.optional_collections, *added))


def _check_like_first(table: Table, made: Plan) -> None:
    """Refuses a file whose branches differ from the first one's.

    Raises:
        SourceError: it lacks a branch, or holds another type.
    """
    first = made.tables[0]
    check_branches(table, made.schema.branches(optional=False), schema=made.schema.name)
    for name in made.branches:
        ours, theirs = _type(first, name), _type(table, name)
        if ours != theirs:
            raise SourceError(
                f"asked to read files as one; the branch {name!r} holds {ours} in {first.file} and "
                f"{theirs} in {table.file}. Read them one by one, or leave one out."
            )
    more = sorted((made.schema.branches(optional=True) & column_names(table.types)) - set(made.branches))
    if more:
        raise SourceError(
            f"asked to read files as one; the branch {more[0]!r} holds nothing in {first.file} and "
            f"{_type(table, more[0])} in {table.file}. Read them one by one, or leave one out."
        )


def _type(table: Table, name: str) -> str:
    if name in table.types:
        return table.types[name]
    members = slots(name, table.types)
    return f"{table.types[members[0]]} in {len(members)} columns" if members else "nothing"
