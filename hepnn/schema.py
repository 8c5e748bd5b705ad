"""Schemas: how a source spells the canonical names of `hepnn.jets`, and how particles hang on jets.

A schema is a TOML file; `SCHEMAS` lists those that come with hepnn. Beside ``name``, ``layout``, the ``trees`` it is
likely found in and the ``background`` class, it has a table for the jets, one for each collection of records, and one
for the labels:

    [jets]
    pt = "jet_pt"                                        # a branch
    energy = "energy_from_mass(jet_pt, jet_eta, jet_m)"  # or a formula of branches

    [collections.particles]
    d0 = { value = "part_d0", unit = "cm", sentinel = -1, optional = true }

    [labels]                                             # the class whose formula is true
    quark = "label_quark"
    gluon = "flavour == 21"

A ``sentinel`` is the source's own code for a missing value and becomes NaN. A field that is ``optional`` is left out
where the source lacks its branches; so are the labels, in data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hepnn.errors import SchemaError, closest
from hepnn.expressions import compile_expression
from hepnn.jets import JET_FIELDS, PARTICLE_FIELDS

__all__ = ["SCHEMAS", "UNITS", "Field", "Schema", "find_schema", "jets_from_columns", "load_schema"]

SCHEMAS: dict[str, str] = {"jetclass": "jetclass.toml", "hepnn": "hepnn.toml"}
"""The built-in schemas: name, and file in ``hepnn/schemas``."""

LAYOUTS = ("flat",)

UNITS: dict[str, float] = {"1": 1.0, "GeV": 1.0, "MeV": 1e-3, "mm": 1.0, "cm": 10.0, "um": 1e-3, "m": 1e3}
"""Units a source can have, and the factor to hepnn's own: GeV, mm, radians."""


@dataclass(frozen=True)
class Field:
    """One canonical name.

    Attributes:
        value: a branch or a formula of branches.
        unit: of the source; a key of `UNITS`.
        sentinel: the source's code for a missing value.
        optional: whether it is left out where the branches are missing.
    """

    value: str
    unit: str = "1"
    sentinel: float | None = None
    optional: bool = False

    @property
    def branches(self) -> frozenset[str]:
        """The branches its value needs."""
        return compile_expression(self.value).names

    def read(self, columns: Mapping[str, Any]) -> Any:
        """Returns the values, in hepnn's units."""
        values = compile_expression(self.value)(columns)
        if self.sentinel is not None:
            values = ak.where(values == self.sentinel, np.nan, values)
        return values if UNITS[self.unit] == 1 else values * UNITS[self.unit]


@dataclass(frozen=True)
class Schema:
    """How one kind of source is read; see the module's docstring.

    Attributes:
        name: of the schema.
        description: a sentence.
        layout: how particles hang on jets.
        trees: names of trees to look for, the likeliest first.
        jets: fields of the jet.
        collections: fields of each list of records.
        labels: formula for each class, in order.
        observers: further columns of the jet, by name.
        background: the class to reject, if there is one.
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

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise self._wrong(f"asks for the layout {self.layout!r}; known: {', '.join(LAYOUTS)}")
        for what, fields, needed in (
            ("jets", self.jets, JET_FIELDS),
            ("collections.particles", self.collections.get("particles", {}), PARTICLE_FIELDS),
        ):
            missing = [name for name in needed if name not in fields]
            if missing:
                raise self._wrong(f"lacks {missing[0]!r} in [{what}]; every jet needs {', '.join(needed)}")
        for fields in (self.jets, self.observers, *self.collections.values()):
            for name, field in fields.items():
                if field.unit not in UNITS:
                    raise self._wrong(f"gives {name!r} the unit {field.unit!r}; known: {', '.join(UNITS)}")
        if self.background is not None and self.background not in self.labels:
            raise self._wrong(f"names the background {self.background!r}, which is none of its labels")
        self.branches(optional=True)  # compiles every formula

    def _wrong(self, what: str) -> SchemaError:
        return SchemaError(f"the schema {self.name!r} {what}.")

    def branches(self, *, optional: bool) -> frozenset[str]:
        """Returns the branches it needs; with ``optional`` also those it can do without."""
        fields = [*self.jets.values(), *self.observers.values()]
        fields += [field for collection in self.collections.values() for field in collection.values()]
        needed = {name for field in fields if optional or not field.optional for name in field.branches}
        if optional:
            needed |= {name for formula in self.labels.values() for name in compile_expression(formula).names}
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
        known = cls.__dataclass_fields__
        for key in description:
            if key not in known:
                raise SchemaError(f"the schema {name!r} has the key {key!r}; closest: {closest(key, known)}.")
        for key in ("name", "jets", "collections"):
            if key not in description:
                raise SchemaError(f"the schema {name!r} lacks {key!r}.")

        def fields(table: Mapping[str, Any]) -> dict[str, Field]:
            try:
                return {
                    key: Field(**(value if isinstance(value, Mapping) else {"value": value}))
                    for key, value in table.items()
                }
            except (TypeError, AttributeError) as error:
                raise SchemaError(f"the schema {name!r} has a field hepnn cannot read: {error}.") from error

        return cls(
            name=str(name),
            description=description.get("description", ""),
            layout=description.get("layout", "flat"),
            trees=tuple(description.get("trees", ())),
            jets=fields(description["jets"]),
            collections={key: fields(table) for key, table in description["collections"].items()},
            labels=dict(description.get("labels", {})),
            observers=fields(description.get("observers", {})),
            background=description.get("background"),
        )


def load_schema(schema: str | Path | Schema) -> Schema:
    """Returns a built-in schema by name, or one from a TOML file.

    Raises:
        SchemaError: no such name or file, or it is malformed.

    >>> load_schema("hepnn").labels
    {'quark': 'label_quark', 'gluon': 'label_gluon'}
    """
    if isinstance(schema, Schema):
        return schema
    if str(schema) in SCHEMAS:
        text = (resources.files("hepnn") / "schemas" / SCHEMAS[str(schema)]).read_text(encoding="utf-8")
    else:
        try:
            text = Path(schema).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SchemaError(
                f"asked for the schema {str(schema)!r}; there is none built in (closest: "
                f"{closest(str(schema), SCHEMAS)}) and no such file can be read: {error}."
            ) from error
    try:
        return Schema.from_dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"the schema {str(schema)!r} is no TOML: {error}.") from error


def find_schema(branches: Iterable[str], *, where: str = "the source") -> Schema:
    """Returns the built-in schema whose branches are all there.

    Args:
        branches: names in the source.
        where: the source's name, for the message.

    Raises:
        SchemaError: none fits, or several do.
    """
    there = frozenset(branches)
    schemas = [load_schema(name) for name in SCHEMAS]
    fitting = [schema for schema in schemas if schema.branches(optional=False) <= there]
    # one that asks for more of the branches says more about the source
    most = max((len(schema.branches(optional=True) & there) for schema in fitting), default=0)
    fitting = [schema for schema in fitting if len(schema.branches(optional=True) & there) == most]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise SchemaError(f"{where} fits the schemas {', '.join(s.name for s in fitting)}; name one with schema=.")
    lacking = "; ".join(
        f"{schema.name} lacks {', '.join(sorted(schema.branches(optional=False) - there)[:3])}" for schema in schemas
    )
    raise SchemaError(
        f"asked for the schema of {where}; no built-in one fits ({lacking}). Write your own as a TOML file and name it "
        "with schema=."
    )


def jets_from_columns(columns: Mapping[str, Any], schema: Schema) -> ak.Array:
    """Returns jets that keep the contract, from columns in which one entry is one jet.

    Args:
        columns: branch name to array, (jet,) or (jet, *).
        schema: of the ``flat`` layout.

    Raises:
        SchemaError: a branch is missing, lists of one collection differ in length, or two labels are true at once.
    """
    columns = {name: array if isinstance(array, ak.Array) else ak.Array(array) for name, array in columns.items()}

    def table(fields: Mapping[str, Field]) -> dict[str, Any]:
        return {
            name: field.read(columns)
            for name, field in fields.items()
            if not (field.optional and not field.branches <= columns.keys())
        }

    jets = {**table(schema.jets), **table(schema.observers)}
    for name, fields in schema.collections.items():
        members = table(fields)
        counts = ak.num(members["pt"])
        for member, values in members.items():
            if ak.any(ak.num(values) != counts):
                row = int(ak.argmax(ak.num(values) != counts))
                raise SchemaError(
                    f"schema {schema.name!r}: {name} of entry {row} have {counts[row]} values of 'pt' and "
                    f"{ak.num(values)[row]} of {member!r}. The file is damaged, or the schema mixes collections."
                )
        records = ak.zip(members, with_name="Momentum4D")
        if not ak.all(records.pt[:, :-1] >= records.pt[:, 1:], axis=None):
            records = records[ak.argsort(records.pt, axis=1, ascending=False, stable=True)]
        jets[name] = records
    labels = {name: compile_expression(formula) for name, formula in schema.labels.items()}
    if labels and all(formula.names <= columns.keys() for formula in labels.values()):
        jets["label"] = _labels({name: formula(columns) for name, formula in labels.items()}, schema)
    return ak.to_packed(ak.zip(jets, depth_limit=1, with_name="Momentum4D"))


def _labels(flags: Mapping[str, Any], schema: Schema) -> ak.Array:
    table = np.stack([ak.to_numpy(flag).astype(bool) for flag in flags.values()], axis=1)
    n_true = table.sum(axis=1)
    if (n_true > 1).any():
        row = int(np.argmax(n_true > 1))
        both = [name for name, is_true in zip(flags, table[row], strict=True) if is_true]
        raise SchemaError(
            f"schema {schema.name!r}: {int((n_true > 1).sum())} jets have several labels; entry "
            f"{row} is {' and '.join(both)}. "
            "Make the label formulas exclude each other."
        )
    names = ak.Array([*flags, None])
    return names[np.where(n_true == 1, table.argmax(axis=1), len(flags))]
