"""A schema to start from, as TOML: the one that fits, or a guess from the names of the branches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from hepnn.guarded import printable
from hepnn.schema.description import Field, Schema

__all__ = ["guess", "to_toml"]

BLANK = "?"
"""What stands for a branch that has to be filled in; no formula, so that a schema with one is refused."""

_ENDINGS: dict[str, str] = {"pt": r"pt", "eta": r"eta", "phi": r"phi", "energy": r"(energy|ene|e)"}
"""How names of branches end, by field."""
_SHORT = (
    "description",
    "layout",
    "trees",
    "background",
    "padding",
    "sum_particles",
    "optional_collections",
    "passthrough",
    "before",
)


def to_toml(schema: Schema) -> str:
    """Returns a schema as TOML, which `hepnn.schema.load_schema` reads back the same.

    >>> from hepnn.schema import load_schema
    >>> print(to_toml(load_schema("hepnn"))[:14])
    name = "hepnn"
    """
    return "\n".join(_lines(schema)) + "\n"


def _lines(schema: Schema) -> Iterator[str]:
    yield f"name = {_value(schema.name)}"
    for name in _SHORT:
        value = getattr(schema, name)
        if value not in (None, (), False, ""):
            yield f"{name} = {_value(value)}"
    yield from _table("jets", schema.jets)
    for name, table in schema.collections.items():
        yield from _table(f"collections.{name}", table)
    for name, links in (schema.links or {}).items():
        yield from ("", f"[links.{name}]", *_changed(links))
    if schema.clustering is not None:
        yield from ("", "[clustering]", *_changed(schema.clustering))
    if schema.observers:
        yield from _table("observers", schema.observers)
    if schema.labels:
        yield from ("", "[labels]", *(f"{_key(name)} = {_value(text)}" for name, text in schema.labels.items()))


def _table(name: str, table: Mapping[str, Field]) -> Iterator[str]:
    yield from ("", f"[{name}]")
    for key, field in table.items():
        rest = [line for line in _changed(field) if not line.startswith("value = ")]
        value = _value(field.value)
        yield f"{_key(key)} = " + (f"{{ value = {value}, {', '.join(rest)} }}" if rest else value)


def _changed(part: Any) -> list[str]:
    """Returns the settings of a part that are not what they are anyway."""
    return [
        f"{each.name} = {_value(getattr(part, each.name))}"
        for each in fields(part)
        if getattr(part, each.name) != each.default
    ]


def _one_line(text: str) -> str:
    return printable(text).replace("\n", r"\n")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)


def guess(types: Mapping[str, str], *, trees: tuple[str, ...] = ()) -> str:
    """Returns a schema to fill in, as TOML, with what the names and types of the branches suggest.

    Args:
        types: type of each branch, by name.
        trees: name of the tree.
    """
    depth = {name: kind.count("[]") + kind.count("vector<") + kind.count("RVec<") for name, kind in types.items()}
    of_jets = min((depth[name] for name in types if re.search(r"(?i)jet.*pt$", name)), default=0)
    layout = "flat" if of_jets == 0 else "nested"
    lines = [
        'name = "mine"',
        f'layout = "{layout}" # or indexed, ranges, links, clustered, columns: how particles hang on jets',
        f"trees = {_value(trees)}",
        "",
        "# each field: a branch, or a formula of branches; names that are no plain words go into `backticks`",
        "[jets]",
        *_guesses(types, depth, of_jets, "jet"),
        "",
        "[collections.particles]",
        *_guesses(types, depth, of_jets + 1, "part|track|trk|cand|const|pf"),
        "",
        '# the class whose formula is true, such as  quark = "flavour <= 3"',
        "[labels]",
        "",
        "# branches there are:",
        *(f"# {_one_line(name)}: {_one_line(kind)}" for name, kind in types.items()),
    ]
    return "\n".join(lines) + "\n"


def _guesses(types: Mapping[str, str], depth: Mapping[str, int], level: int, stem: str) -> list[str]:
    lines = []
    for field, ending in _ENDINGS.items():
        found = [
            name
            for name in types
            if depth[name] == level and re.search(rf"({stem})(.*[^a-z])?{ending}$", name, re.IGNORECASE)
        ]
        best = min(found, key=len, default=None)
        value = BLANK if best is None else best if re.fullmatch(r"[A-Za-z_]\w*", best) else f"`{best}`"
        lines.append(f"{field} = {_value(value)}" + (" # to be filled in" if best is None else ""))
    return lines
