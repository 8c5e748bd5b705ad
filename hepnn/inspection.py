"""Inspection: what is in a file, what hepnn makes of it, and what it would need.

`inspect` returns an `Inspection`, a plain record of facts; `render` shows it in a terminal, ``to_dict`` gives it to
machines. `write_schema` returns a schema to start from, as TOML. This is what ``hepnn inspect`` prints.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from rich.console import Group, RenderableType
from rich.table import Table as RichTable

from hepnn.errors import FeatureError, SchemaError
from hepnn.features import FEATURE_SETS, evaluate_features, resolve_features
from hepnn.jets import collections_of, members_of
from hepnn.readers import Source, read_jets
from hepnn.readers.formats import details, open_table
from hepnn.readers.sources import locate
from hepnn.readers.tables import Table, column_names
from hepnn.schema import Schema, find_schema, known_schemas, load_schema
from hepnn.schema.template import guess, to_toml

__all__ = ["FieldSummary", "Inspection", "JetSummary", "SchemaFit", "inspect", "render", "write_schema"]

N_JETS = 20_000
"""Jets that are looked at."""

SENTINELS = (-1.0, -9.0, -10.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0)
"""Numbers that sources write where there is no value."""
SENTINEL_SHARE = 0.01
"""Least share of the values at which such a number is suspected, where it is the least or greatest of all."""

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True)
class FieldSummary:
    """One field of the jets or of a collection.

    Attributes:
        name: ``pt``, or ``particles.pt``.
        n_values: number of values, over all jets looked at.
        n_missing: how many are NaN.
        n_infinite: how many are infinite.
        quantiles: least value, 5 %, median, 95 %, greatest value, of the finite ones; empty if there are none.
        sentinel: a number that may stand for a missing value, and the share of the values that are it.
    """

    name: str
    n_values: int
    n_missing: int
    n_infinite: int
    quantiles: tuple[float, ...]
    sentinel: tuple[float, float] | None


@dataclass(frozen=True)
class JetSummary:
    """The jets that were looked at.

    Attributes:
        n_jets: number looked at.
        n_empty: how many have no particles.
        multiplicity: particles a jet: least, 5 %, median, 95 %, greatest.
        truncated: share of the jets with more than ``max_particles``.
        max_particles: the length asked about.
        classes: number of jets of each class; of those without one under "".
        fields: each field of jets and collections.
        feature_sets: for each set of features, why the jets cannot provide it; empty if they can.
    """

    n_jets: int
    n_empty: int
    multiplicity: tuple[float, ...]
    truncated: float
    max_particles: int
    classes: dict[str, int]
    fields: tuple[FieldSummary, ...]
    feature_sets: dict[str, str]


@dataclass(frozen=True)
class SchemaFit:
    """What a file lacks for one schema.

    Attributes:
        name: of the schema.
        description: what it is for.
        missing_jets: branches of the jets that are not there.
        missing_records: branches of the particles that are not there.
    """

    name: str
    description: str
    missing_jets: tuple[str, ...]
    missing_records: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What was found in one file.

    Attributes:
        file: path or URL.
        format: ``ttree``, ``rntuple``, ``parquet``, ``hdf5`` or ``npz``.
        tables: trees and the like, name to number of entries.
        tree: the one looked at.
        n_entries: its rows.
        branches: its columns, name to type.
        compression: of the file.
        checksum: what lets a reader notice damage.
        schema: the schema found, or None.
        reason: why, or why not.
        layout: how particles hang on jets, or None.
        fits: what is missing for each built-in schema.
        jets: the jets, or None where they cannot be read.
    """

    file: str
    format: str
    tables: dict[str, int]
    tree: str
    n_entries: int
    branches: dict[str, str]
    compression: str
    checksum: str
    schema: str | None
    reason: str
    layout: str | None
    fits: tuple[SchemaFit, ...]
    jets: JetSummary | None

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it in types that JSON can hold."""
        return asdict(self)


def inspect(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    max_particles: int = 128,
    max_jets: int = N_JETS,
) -> Inspection:
    """Returns what is in the first file of ``source``, and what hepnn makes of it.

    That no schema fits is a finding, not an error.

    Args:
        source: what `hepnn.read_jets` takes.
        schema: how the file spells jets; "auto" to find it.
        tree: name of the tree; None to find it.
        max_particles: a number of particles, to know the share of jets that have more.
        max_jets: number of jets to look at.

    Raises:
        SourceError: the file is missing or damaged.
        SchemaError: the schema that was named does not fit.
    """
    table = _table(source, schema, tree)
    names = column_names(table.types)
    more = details(table)
    found: Schema | None
    try:
        match = None if schema != "auto" else find_schema(names, where=table.place)
        found = load_schema(schema) if match is None else match.schema
        reason = "it was named" if match is None else match.reason
    except SchemaError:
        if schema != "auto":
            raise
        found, reason = None, _why_not(names, table)
    return Inspection(
        file=table.file,
        format=table.format,
        tables=more.tables,
        tree=table.name,
        n_entries=table.n_entries,
        branches=dict(table.types),
        compression=more.compression,
        checksum=more.checksum,
        schema=None if found is None else found.name,
        reason=reason,
        layout=None if found is None else found.layout,
        fits=tuple(_fit(each, names) for each in known_schemas()),
        jets=None if found is None else _summary(table, found, max_particles, max_jets),
    )


def write_schema(source: Source, *, schema: str | Path | Schema = "auto", tree: str | None = None) -> str:
    """Returns a schema for ``source`` to start from, as TOML: the one that fits, or else a guess to fill in.

    Args:
        source: what `hepnn.read_jets` takes.
        schema: one to start from; "auto" to find it.
        tree: name of the tree; None to find it.

    Raises:
        SourceError: the file is missing or damaged.
    """
    table = _table(source, schema, tree)
    try:
        match = find_schema(column_names(table.types), where=table.place) if schema == "auto" else None
    except SchemaError:
        return guess(table.types, trees=(table.name,) if table.name else ())
    return to_toml(load_schema(schema) if match is None else match.schema)


def _table(source: Source, schema: str | Path | Schema, tree: str | None) -> Table:
    location = locate(source)[0]
    known = known_schemas() if schema == "auto" else [load_schema(schema)]
    candidates = tuple(dict.fromkeys(name for each in known for name in each.trees))
    return open_table(location.file, tree=location.tree or tree, candidates=candidates)


def _fit(schema: Schema, names: frozenset[str]) -> SchemaFit:
    required = schema.branches(optional=False)
    of_jets = {branch for field in schema.jets.values() if not field.optional for branch in field.branches}
    return SchemaFit(
        schema.name,
        schema.description,
        tuple(sorted(of_jets - names)),
        tuple(sorted(required - of_jets - names)),
    )


def _why_not(names: frozenset[str], table: Table) -> str:
    """Returns why no built-in schema fits, and what the nearest would need."""
    fits = [_fit(each, names) for each in known_schemas()]
    with_jets = [fit for fit in fits if not fit.missing_jets and load_schema(fit.name).jets]
    if len({fit.name for fit in fits if not fit.missing_jets and not fit.missing_records}) > 1:
        return "several schemas fit; name one with --schema"
    if with_jets:
        said = "; ".join(f"{fit.name} needs {', '.join(fit.missing_records)}" for fit in with_jets)
        return (
            f"{table.place} has jets but not their particles, without which there is nothing to tag: {said}. Ask for a "
            "file with particle-flow candidates (PFNano, for CMS), or name other particles in a schema of your own"
        )
    return "no built-in schema fits; hepnn inspect --write-schema makes one to start from"


def _summary(table: Table, schema: Schema, max_particles: int, max_jets: int) -> JetSummary | None:
    place = f"{table.file}:{table.name}" if table.name else table.file
    jets = read_jets(place, schema=schema, max_jets=max_jets)
    counts = ak.to_numpy(ak.num(jets[members_of(jets)]))
    classes: dict[str, int] = {}
    if "label" in jets.fields:
        labels, numbers = np.unique(ak.to_numpy(ak.fill_none(jets.label, "")), return_counts=True)
        classes = {str(label): int(number) for label, number in zip(labels, numbers, strict=True)}
    return JetSummary(
        n_jets=len(jets),
        n_empty=int((counts == 0).sum()),
        multiplicity=tuple(map(float, np.quantile(counts, QUANTILES))) if len(jets) else (),
        truncated=float((counts > max_particles).mean()) if len(jets) else 0.0,
        max_particles=max_particles,
        classes=classes,
        fields=tuple(_fields(jets)),
        feature_sets=_feature_sets(jets),
    )


def _fields(jets: ak.Array) -> list[FieldSummary]:
    collections = collections_of(jets)
    found = []
    for name in jets.fields:
        if name in collections:
            records = ak.flatten(jets[name])
            found += [_field(f"{name}.{each}", records[each]) for each in records.fields]
        elif name != "label" and jets[name].ndim == 1 and "string" not in str(jets[name].type):
            found.append(_field(name, jets[name]))
    return found


def _field(name: str, array: ak.Array) -> FieldSummary:
    values = np.ma.filled(ak.to_numpy(ak.values_astype(array, np.float64)), np.nan)
    finite = values[np.isfinite(values)]
    return FieldSummary(
        name,
        len(values),
        int(np.isnan(values).sum()),
        int(np.isinf(values).sum()),
        tuple(map(float, np.quantile(finite, QUANTILES))) if len(finite) else (),
        _sentinel(finite, len(values)),
    )


def _sentinel(finite: npt.NDArray[np.float64], n_values: int) -> tuple[float, float] | None:
    """Returns a number that may stand for a missing value: one of the usual ones, at an end of the range.

    Whole numbers from −10 to 10, such as charges, are nothing to wonder at.
    """
    if not len(finite) or (np.abs(finite).max() <= 10 and bool((finite == np.round(finite)).all())):
        return None
    for value in SENTINELS:
        if value in (finite.min(), finite.max()):
            share = float((finite == value).sum()) / n_values
            if share >= SENTINEL_SHARE:
                return value, share
    return None


def _feature_sets(jets: ak.Array) -> dict[str, str]:
    reasons = {}
    for name in FEATURE_SETS:
        try:
            evaluate_features(jets, resolve_features(name))
            reasons[name] = ""
        except FeatureError as error:
            reasons[name] = str(error)
    return reasons


def render(inspection: Inspection, *, max_branches: int = 40) -> RenderableType:
    """Returns what was found, to be printed by rich.

    Args:
        inspection: from `inspect`.
        max_branches: of the branches that no schema uses, so many are listed.
    """
    parts: list[RenderableType] = [_overview(inspection)]
    branches = RichTable("branch", "type", title=f"{len(inspection.branches)} branches", title_justify="left")
    for name, kind in itertools.islice(inspection.branches.items(), max_branches):
        branches.add_row(name, kind)
    if len(inspection.branches) > max_branches:
        branches.add_row(f"and {len(inspection.branches) - max_branches} more", "")
    parts.append(branches)
    if inspection.jets is None:
        parts.append(_missing(inspection))
    else:
        parts += [_jets(inspection.jets), _sets(inspection.jets.feature_sets)]
    return Group(*parts)


def _overview(inspection: Inspection) -> RichTable:
    table = RichTable.grid(padding=(0, 2))
    schema = "none" if inspection.schema is None else f"{inspection.schema}, layout {inspection.layout}"
    rows: Mapping[str, str] = {
        "file": inspection.file,
        "format": inspection.format,
        "tables": ", ".join(f"{name}: {n}" for name, n in inspection.tables.items()),
        "compression": inspection.compression,
        "checksum": inspection.checksum,
        "looked at": f"{inspection.tree or inspection.file}, {inspection.n_entries} entries",
        "schema": f"{schema}: {inspection.reason}",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _missing(inspection: Inspection) -> RichTable:
    table = RichTable("schema", "jets lack", "particles lack", title="what each schema needs", title_justify="left")
    for fit in inspection.fits:
        table.add_row(fit.name, *(_first_of(names) for names in (fit.missing_jets, fit.missing_records)))
    return table


def _first_of(names: tuple[str, ...], n: int = 4) -> str:
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")


def _jets(jets: JetSummary) -> RichTable:
    title = f"{jets.n_jets} jets, {jets.n_empty} empty"
    if jets.multiplicity:
        title += f", {jets.multiplicity[0]:g} to {jets.multiplicity[-1]:g} particles (median {jets.multiplicity[2]:g})"
        title += f", {jets.truncated:.2%} with more than {jets.max_particles}"
    if jets.classes:
        title += "\n" + ", ".join(f"{name or 'without a class'}: {n}" for name, n in jets.classes.items())
    table = RichTable("field", title=title, title_justify="left")
    for name in ("values", "missing", "infinite", "least", "5 %", "median", "95 %", "greatest"):
        table.add_column(name, justify="right")
    table.add_column("may mean missing")
    for field in jets.fields:
        said = "" if field.sentinel is None else f"{field.sentinel[0]:g} ({field.sentinel[1]:.1%})"
        quantiles = [f"{value:.4g}" for value in field.quantiles] or [""] * len(QUANTILES)
        table.add_row(field.name, str(field.n_values), str(field.n_missing), str(field.n_infinite), *quantiles, said)
    return table


def _sets(reasons: Mapping[str, str]) -> RichTable:
    table = RichTable("features", "", title="what the jets can provide", title_justify="left")
    for name, reason in reasons.items():
        table.add_row(name, reason or "yes")
    return table
