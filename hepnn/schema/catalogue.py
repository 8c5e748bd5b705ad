"""The schemas that come with hepnn, and how the one for a source is found."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from hepnn.errors import DependencyError, HepnnWarning, SchemaError, closest
from hepnn.guarded import content_of
from hepnn.plugins import find_plugin, plugin_names
from hepnn.schema.description import Schema

__all__ = ["SCHEMAS", "Match", "find_schema", "known_schemas", "load_schema"]

_FOLDER = resources.files("hepnn") / "schemas"

SCHEMAS: tuple[str, ...] = tuple(
    sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml"))
)
"""The names of the built-in schemas: one for each file in ``hepnn/schemas``."""

N_NEAREST = 3
"""Schemas that a refusal names with what they lack."""


class Match(NamedTuple):
    """A schema that fits a source.

    Attributes:
        schema: the schema.
        reason: a sentence that says why it was chosen.
        others: names of the schemas that fit as well.
    """

    schema: Schema
    reason: str
    others: tuple[str, ...]


@cache
def _built_in(name: str) -> Schema:
    text = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return Schema.from_dict(tomllib.loads(text))


def load_schema(schema: str | Path | Schema) -> Schema:
    """Returns a schema by name, built in or of a plug-in (`hepnn.plugins`), or one from a TOML file.

    Raises:
        SchemaError: no such name or file, or it is malformed.
        DependencyError: the plug-in cannot be imported.

    >>> load_schema("hepnn").labels
    {'quark': 'label_quark', 'gluon': 'label_gluon'}
    """
    if isinstance(schema, Schema):
        return schema
    if str(schema) in SCHEMAS:
        return _built_in(str(schema))
    if isinstance(schema, str) and (added := find_plugin("schemas", schema)) is not None:
        return load_schema(Path(added) if isinstance(added, str) else added)
    try:
        text = content_of(Path(schema)).decode()
    except (OSError, ValueError) as error:
        raise SchemaError(
            f"asked for the schema {str(schema)!r}; there is none built in (closest: "
            f"{closest(str(schema), (*SCHEMAS, *plugin_names('schemas')))}) and no such file can be read: {error}."
        ) from error
    try:
        return Schema.from_dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SchemaError(f"the schema {str(schema)!r} is no TOML that can be read: {error}.") from error


def known_schemas() -> list[Schema]:
    """Returns the built-in schemas and those of plug-ins; one that is broken is left out, with a `HepnnWarning`."""
    found = [_built_in(name) for name in SCHEMAS]
    for name in plugin_names("schemas"):
        try:
            found.append(load_schema(name))
        except (DependencyError, SchemaError) as error:
            warnings.warn(f"the schema {name!r} of a plug-in is left out: {error}", HepnnWarning, stacklevel=2)
    return found


def find_schema(branches: Iterable[str], *, where: str = "the source") -> Match:
    """Returns the built-in schema whose branches are all there, and why.

    Of several that fit, the one that uses all the branches the others use and more is taken, or one that says
    itself that it goes before the others.

    Args:
        branches: names in the source.
        where: the source's name, for the message.

    Raises:
        SchemaError: none fits, or several do.

    >>> find_schema(["pt", "eta", "phi", "energy", *(f"particles.{x}" for x in ("pt", "eta", "phi", "energy"))]).reason
    "all 8 branches that 'jets' needs are there"
    """
    there = frozenset(branches)
    schemas = known_schemas()
    fitting = [schema for schema in schemas if schema.branches(optional=False) <= there]
    used = {schema.name: schema.branches(optional=True) & there for schema in fitting}
    best = [
        schema
        for schema in fitting
        if all(
            other is schema or other.name in schema.before or used[other.name] < used[schema.name] for other in fitting
        )
    ]
    if len(best) == 1:
        schema = best[0]
        others = tuple(other.name for other in fitting if other is not schema)
        reason = f"all {len(schema.branches(optional=False))} branches that {schema.name!r} needs are there"
        return Match(schema, reason + (f"; so are those of {', '.join(others)}" if others else ""), others)
    if fitting:
        raise SchemaError(f"{where} fits the schemas {', '.join(s.name for s in fitting)}; name one with schema=.")
    lacking = [(schema, sorted(schema.branches(optional=False) - there)) for schema in schemas]
    # those that lack the smallest part of their branches tell most about the source
    lacking.sort(key=lambda pair: len(pair[1]) / len(pair[0].branches(optional=False)))
    said = "; ".join(
        f"{schema.name} lacks {', '.join(missing[:3])}" + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        for schema, missing in lacking[:N_NEAREST]
    )
    raise SchemaError(
        f"asked for the schema of {where}; no built-in one fits (nearest: {said}). A jet needs its particles; see what "
        "is there with hepnn inspect, and start a schema of your own with hepnn inspect --write-schema."
    )
