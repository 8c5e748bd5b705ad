"""Schemas: how a source spells the canonical names of `hepnn.jets`, and how particles hang on jets.

A schema is a TOML file; `SCHEMAS` lists those that come with hepnn. Beside ``name``, ``layout``, the ``trees`` it is
likely found in and the ``background`` class, it has a table for the jets, one for each collection of records, one for
how each collection hangs on jets, and one for the labels:

    [jets]
    pt = "jet_pt"                                        # a branch
    energy = "energy_from_mass(jet_pt, jet_eta, jet_m)"  # or a formula of branches

    [collections.particles]
    d0 = { value = "part_d0", unit = "cm", sentinel = -1, optional = true }

    [links.particles]                                    # not for the layouts flat, nested, columns and clustered
    jet = "JetPFCands_jetIdx"

    [labels]                                             # the class whose formula is true
    quark = "label_quark"
    gluon = "flavour == 21"

A ``sentinel`` is the source's own code for a missing value and becomes NaN; ``missing`` is a formula that says the
same. A field that is ``optional`` is left out where the source lacks its branches; so are the labels, in data.

`hepnn.schema.description` holds the parts of a schema, `hepnn.schema.catalogue` those that come with hepnn, and
`hepnn.schema.rows` makes jets of columns.
"""

from __future__ import annotations

from hepnn.schema.catalogue import SCHEMAS, Match, find_schema, known_schemas, load_schema
from hepnn.schema.description import LAYOUTS, UNITS, Clustering, Field, Links, Schema
from hepnn.schema.rows import Rows, jets_from_columns, jets_from_rows

__all__ = [
    "LAYOUTS",
    "SCHEMAS",
    "UNITS",
    "Clustering",
    "Field",
    "Links",
    "Match",
    "Rows",
    "Schema",
    "find_schema",
    "jets_from_columns",
    "jets_from_rows",
    "known_schemas",
    "load_schema",
]
