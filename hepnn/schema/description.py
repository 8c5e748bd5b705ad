"""What a schema says: fields, links and labels, checked when they are read.

`Schema.from_dict` takes what a TOML file or a tagger's JSON holds, `Schema.to_dict` gives it back. A schema only
describes; `hepnn.schema.rows` and `hepnn.readers.layouts` do what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hepnn.errors import SchemaError, closest
from hepnn.expressions import compile_expression
from hepnn.jets import JET_FIELDS, MEMBERS, PARTICLE_FIELDS

__all__ = ["LAYOUTS", "UNITS", "Clustering", "Field", "Links", "Schema"]

LAYOUTS: dict[str, str] = {
    "flat": "an entry is a jet, with a list of particles",
    "nested": "an entry is an event, with a list of jets, each with a list of particles",
    "indexed": "an entry is an event; each link names a jet and a particle (CMS PFNano)",
    "ranges": "an entry is an event; a jet names the first and last of its links to particles (EDM4hep)",
    "links": "an entry is an event; a jet has a list of links to particles (ATLAS element links, Delphes references)",
    "clustered": "an entry is an event, with a list of particles; jets are made of them",
    "columns": "an entry is a jet, with a fixed number of slots for particles",
}
"""How particles hang on jets: name, and what it means."""

UNITS: dict[str, float] = {
    "1": 1.0,
    "GeV": 1.0,
    "MeV": 1e-3,
    "TeV": 1e3,
    "rad": 1.0,
    "mm": 1.0,
    "cm": 10.0,
    "um": 1e-3,
    "m": 1e3,
}
"""Units a source can have, and the factor to hepnn's own: GeV, mm, radians."""

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float32", "float64")
"""Types a field can ask for."""

EVENT_LAYOUTS = frozenset({"nested", "indexed", "ranges", "links", "clustered"})
LINK_KEYS: dict[str, tuple[str, ...]] = {"indexed": ("jet",), "ranges": ("begin", "end"), "links": ("item",)}
"""What a layout has to know of each collection."""
WITHOUT_JETS = frozenset({"clustered"})
"""Layouts that make the jets' four-momenta themselves."""


@dataclass(frozen=True)
class Field:
    """One canonical name.

    Attributes:
        value: a branch or a formula of branches; several where the pool has several kinds of records, see `Links`.
        unit: of the source; a key of `UNITS`.
        sentinel: the source's code for a missing value.
        missing: a formula that is true where the value is missing.
        dtype: the type to convert to; the source's own if None.
        optional: whether it is left out where the branches are missing.
    """

    value: str | tuple[str, ...]
    unit: str = "1"
    sentinel: float | None = None
    missing: str | None = None
    dtype: str | None = None
    optional: bool = False

    @property
    def formulas(self) -> tuple[str, ...]:
        """The formula of each kind of record."""
        return (self.value,) if isinstance(self.value, str) else self.value

    @property
    def branches(self) -> frozenset[str]:
        """The branches it needs."""
        formulas = (*self.formulas, *([self.missing] if self.missing else []))
        return frozenset(name for formula in formulas for name in compile_expression(formula).names)


@dataclass(frozen=True)
class Links:
    """How the records of one collection hang on jets.

    The records lie in a pool, the list of all of them in an event. A branch belongs to the pool if its name starts
    with ``pool``; any other branch of the collection has one value a link.

    Attributes:
        pool: start of the names of the pool's branches; several where it is made of several kinds of records, one
            after the other.
        item: of each link, the position in the pool, or the identity of the record there: (event, link), or
            (event, jet, *) in the layout ``links``. None if the links are the records.
        jet: of each link, the position of its jet in the event, (event, link). In any order.
        begin: of each jet, its first link, (event, jet).
        end: of each jet, one after its last link, (event, jet).
        target: of each link, which collection it means; all must mean the same.
        null: the value of ``target`` that means nothing.
        identity: of each record of the pool, by kind, what ``item`` names it by; its position if empty.
        keep_unmatched: keep links that point nowhere, with missing values for what is in the pool.
    """

    pool: tuple[str, ...] = ()
    item: str | None = None
    jet: str | None = None
    begin: str | None = None
    end: str | None = None
    target: str | None = None
    null: int = 0
    identity: tuple[str, ...] = ()
    keep_unmatched: bool = False

    @property
    def branches(self) -> frozenset[str]:
        """The branches it needs."""
        named = (self.item, self.jet, self.begin, self.end, self.target, *self.identity)
        return frozenset(name for name in named if name is not None)


@dataclass(frozen=True)
class Clustering:
    """How jets are made of the particles of an event, with fastjet.

    Attributes:
        algorithm: ``antikt``, ``kt`` or ``cambridge``.
        radius: R.
        min_pt: of a jet, in GeV.
        max_abs_eta: of a jet; None for no limit.
    """

    algorithm: str = "antikt"
    radius: float = 0.4
    min_pt: float = 20.0
    max_abs_eta: float | None = None


@dataclass(frozen=True)
class Schema:
    """How one kind of source is read; see `hepnn.schema`.

    Attributes:
        name: of the schema.
        description: a sentence.
        layout: how particles hang on jets; a key of `LAYOUTS`.
        trees: names of trees to look for, the likeliest first.
        jets: fields of the jet.
        collections: fields of each list of records.
        labels: formula for each class, in order.
        observers: further columns of the jet, by name.
        background: the class to reject, if there is one.
        links: how each collection hangs on jets, in the layouts ``indexed``, ``ranges`` and ``links``.
        clustering: in the layout ``clustered``.
        padding: formula of the particles' branches, true in an empty slot, in the layout ``columns``.
        sum_particles: jets have no four-momentum in the source; theirs is the sum of their particles'.
        optional_collections: those that are left out where the source lacks their branches.
        passthrough: take every further column of the source under its own name.
        before: other schemas that this one is chosen before, where a source fits both.
    """

    name: str
    description: str
    layout: str
    trees: tuple[str, ...]
    jets: Mapping[str, Field]
    collections: Mapping[str, Mapping[str, Field]]
    labels: Mapping[str, str]
    observers: Mapping[str, Field]
    background: str | None = None
    links: Mapping[str, Links] | None = None
    clustering: Clustering | None = None
    padding: str | None = None
    sum_particles: bool = False
    optional_collections: tuple[str, ...] = ()
    passthrough: bool = False
    before: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise self._wrong(f"asks for the layout {self.layout!r}; known: {', '.join(LAYOUTS)}")
        self._check_names()
        for table in (self.jets, *self.collections.values()):
            if "mass" in table and "energy" in table:
                raise self._wrong(
                    "has both 'energy' and 'mass', of which a four-vector takes one; name the latter for what it is, such "
                    "as soft_drop_mass"
                )
        for table in (self.jets, self.observers, *self.collections.values()):
            for name, field in table.items():
                if field.unit not in UNITS:
                    raise self._wrong(f"gives {name!r} the unit {field.unit!r}; known: {', '.join(UNITS)}")
                if field.dtype is not None and field.dtype not in DTYPES:
                    raise self._wrong(f"gives {name!r} the type {field.dtype!r}; known: {', '.join(DTYPES)}")
        if self.background is not None and self.background not in self.labels:
            raise self._wrong(f"names the background {self.background!r}, which is none of its labels")
        for name in self.collections:
            for key in LINK_KEYS.get(self.layout, ()):
                if getattr(self.link(name), key) is None:
                    raise self._wrong(f"lacks {key!r} in [links.{name}]; the layout {self.layout!r} needs it")
        if self.layout == "columns" and self.padding is None:
            raise self._wrong("lacks 'padding', the formula that is true in an empty slot, for the layout 'columns'")
        self.branches(optional=True)  # compiles every formula

    def _check_names(self) -> None:
        makes_jets = self.layout in WITHOUT_JETS or self.sum_particles
        members = next((name for name in MEMBERS if name in self.collections), MEMBERS[0])
        for what, table, needed in (
            ("jets", self.jets, () if makes_jets else JET_FIELDS),
            (f"collections.{members}", self.collections.get(members, {}), PARTICLE_FIELDS),
        ):
            missing = [name for name in needed if name not in table]
            if missing:
                raise self._wrong(f"lacks {missing[0]!r} in [{what}]; every jet needs {', '.join(needed)}")
        for name, table in self.collections.items():
            if "pt" not in table:
                raise self._wrong(f"lacks 'pt' in [collections.{name}]; the records are ordered by it")
        twice = (self.jets.keys() & self.observers.keys()) | (self.jets.keys() & self.collections.keys())
        if twice:
            raise self._wrong(f"names {min(twice)!r} twice; a jet has each field once")

    def _wrong(self, what: str) -> SchemaError:
        return SchemaError(f"the schema {self.name!r} {what}.")

    @property
    def has_events(self) -> bool:
        """Whether an entry is an event, not a jet."""
        return self.layout in EVENT_LAYOUTS

    def link(self, collection: str) -> Links:
        """Returns how a collection hangs on jets."""
        return (self.links or {}).get(collection, Links())

    def jet_branches(self) -> frozenset[str]:
        """Returns the branches that have one value a jet."""
        formulas = [compile_expression(formula).names for formula in self.labels.values()]
        return frozenset().union(*(f.branches for f in (*self.jets.values(), *self.observers.values())), *formulas)

    def collection_branches(self, name: str, *, optional: bool) -> frozenset[str]:
        """Returns the branches of one collection; with ``optional`` also those it can do without."""
        table = self.collections[name].values()
        needed = {branch for field in table if optional or not field.optional for branch in field.branches}
        if self.padding is not None and name == "particles":
            needed |= compile_expression(self.padding).names
        return frozenset(needed | self.link(name).branches)

    def branches(self, *, optional: bool) -> frozenset[str]:
        """Returns the branches it needs; with ``optional`` also those it can do without."""
        if optional:
            needed = set(self.jet_branches())
        else:
            jet_fields = (*self.jets.values(), *self.observers.values())
            needed = {name for field in jet_fields if not field.optional for name in field.branches}
        for name in self.collections:
            if optional or name not in self.optional_collections:
                needed |= self.collection_branches(name, optional=optional)
        return frozenset(needed)

    def to_dict(self) -> dict[str, Any]:
        """Returns a description that JSON and TOML can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Schema:
        """Returns the schema that a TOML file or `to_dict` describes.

        Raises:
            SchemaError: an unknown key, a missing one, or a formula that cannot be read.
        """
        name = description.get("name")
        known = [field.name for field in fields(cls)]
        for key in description:
            if key not in known:
                raise SchemaError(f"the schema {name!r} has the key {key!r}; closest: {closest(key, known)}.")
        for key in ("name", "collections"):
            if key not in description:
                raise SchemaError(f"the schema {name!r} lacks {key!r}.")

        def parts(kind: Any, table: Any, where: str) -> dict[str, Any]:
            if not isinstance(table, Mapping):
                raise SchemaError(f"the schema {name!r} has {table!r} as [{where}]; a table of names is needed.")
            return {key: _part(kind, value, f"{name!r} has in [{where}] {key}") for key, value in table.items()}

        for key in ("background", "padding"):
            _check_kind(description.get(key), str | None, f"{name!r} has {key}")
        tables = parts(dict, description["collections"], "collections")
        links, clustering = description.get("links"), description.get("clustering")
        return cls(
            name=str(name),
            description=str(description.get("description", "")),
            layout=str(description.get("layout", "flat")),
            trees=_strings(description.get("trees", ()), f"{name!r} has in trees"),
            jets=parts(Field, description.get("jets", {}), "jets"),
            collections={key: parts(Field, table, f"collections.{key}") for key, table in tables.items()},
            labels=parts(str, description.get("labels", {}), "labels"),
            observers=parts(Field, description.get("observers", {}), "observers"),
            background=description.get("background"),
            links=None if links is None else parts(Links, links, "links"),
            clustering=None if clustering is None else _part(Clustering, clustering, f"{name!r} has in [clustering]"),
            padding=description.get("padding"),
            sum_particles=bool(description.get("sum_particles", False)),
            optional_collections=_strings(
                description.get("optional_collections", ()), f"{name!r} has in optional_collections"
            ),
            passthrough=bool(description.get("passthrough", False)),
            before=_strings(description.get("before", ()), f"{name!r} has in before"),
        )


_LISTS = {"pool", "identity"}


def _strings(value: Any, where: str) -> tuple[str, ...]:
    strings = (value,) if isinstance(value, str) else value
    if not isinstance(strings, Iterable) or not all(isinstance(string, str) for string in strings):
        raise SchemaError(f"the schema {where} {value!r}; a list of strings is needed.")
    return tuple(strings)


def _part(kind: Any, value: Any, where: str) -> Any:
    """Returns a `Field`, `Links`, `Clustering`, table or text as a schema gives it, checked."""
    if kind in (str, dict):
        if not isinstance(value, kind):
            raise SchemaError(f"the schema {where} = {value!r}; {kind.__name__} is needed, in quotes if it is text.")
        return value
    if kind is Field and not isinstance(value, Mapping):
        value = {"value": value}
    if not isinstance(value, Mapping):
        raise SchemaError(f"the schema {where} = {value!r}; a table is needed.")
    known = [field.name for field in fields(kind)]
    for key in value:
        if key not in known:
            raise SchemaError(f"the schema {where} the key {key!r}; closest: {closest(key, known)}.")
    made = {key: _strings(each, where) if key in _LISTS else each for key, each in value.items()}
    if kind is Field:
        formulas = made.get("value")
        if not isinstance(formulas, str):
            made["value"] = _strings(formulas, where)
    hints = get_type_hints(kind)
    for key, each in made.items():
        _check_kind(each, hints[key], f"{where} {key}")
    if kind is Field and "value" not in made:
        raise SchemaError(f"the schema {where} no value; name a branch, or give a formula.")
    return kind(**made)


def _check_kind(value: Any, hint: Any, where: str) -> None:
    """Refuses an entry that is not of the kind that the attribute is declared to be."""
    kinds = [get_origin(each) or each for each in (get_args(hint) if isinstance(hint, UnionType) else (hint,))]
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return
    if not isinstance(value, tuple(kinds)) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join("nothing" if each is type(None) else each.__name__ for each in kinds)
        raise SchemaError(f"the schema {where} = {value!r}; {wanted} is needed.")
