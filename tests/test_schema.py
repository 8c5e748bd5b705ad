"""Schemas: what TOML says becomes jets that keep the contract."""

import json

import awkward as ak
import numpy as np
import pytest

from hepnn.errors import SchemaError
from hepnn.jets import check_jets
from hepnn.schema import SCHEMAS, Schema, find_schema, jets_from_columns, load_schema, rows

TOML = """
name = "mine"
background = "light"
[jets]
pt = { value = "jetPt", unit = "MeV" }
eta = "jetEta"
phi = "jetPhi"
energy = "energy_from_mass(jetPt * 0.001, jetEta, 5)"
[collections.particles]
pt = "trkPt"
eta = "trkEta"
phi = "trkPhi"
energy = "trkPt * cosh(trkEta)"
d0 = { value = "trkD0", unit = "cm", sentinel = -1, optional = true }
[labels]
bottom = "flavour == 5"
light = "flavour < 4"
[observers]
weight = "w"
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    return load_schema(path)


@pytest.fixture
def columns():
    return {
        "jetPt": np.array([5e5, 6e5, 7e5]),
        "jetEta": np.array([0.1, -0.2, 0.3]),
        "jetPhi": np.array([1.0, 2.0, 3.0]),
        "trkPt": ak.Array([[1.0, 3.0, 2.0], [], [4.0]]),
        "trkEta": ak.Array([[0.1, 0.3, 0.2], [], [0.4]]),
        "trkPhi": ak.Array([[1.1, 1.3, 1.2], [], [1.4]]),
        "trkD0": ak.Array([[-1.0, 0.3, 0.2], [], [0.4]]),
        "flavour": np.array([5, 4, 1]),
        "w": np.array([0.5, -1.0, 2.0]),
    }


def test_units_formulas_order_labels_and_observers(mine, columns):
    jets = check_jets(jets_from_columns(columns, mine))
    np.testing.assert_allclose(jets.pt, [500, 600, 700])
    np.testing.assert_allclose(jets.energy, np.hypot(jets.pt * np.cosh(columns["jetEta"]), 5))
    assert jets.particles.pt.tolist() == [[3.0, 2.0, 1.0], [], [4.0]]  # falling, and the others with it
    assert jets.particles.eta.tolist() == [[0.3, 0.2, 0.1], [], [0.4]]
    np.testing.assert_allclose(jets.particles.d0[0, :2], [3.0, 2.0])  # mm
    assert np.isnan(jets.particles.d0[0, 2])  # the sentinel
    assert jets.label.tolist() == ["bottom", None, "light"]
    assert jets.weight.tolist() == [0.5, -1.0, 2.0]


@pytest.mark.parametrize("texts", [np.array(["a", "bb", ""]), np.array([b"a", b"bb", b""]), ak.Array(["a", "bb", ""])])
def test_observers_can_be_texts(mine, columns, texts):
    assert ak.to_list(jets_from_columns({**columns, "w": texts}, mine).weight) == ak.to_list(texts)


def test_lists_of_one_length_need_be_no_ragged_arrays(mine, columns):
    tracks = {name: np.ones((3, 2)) for name in ("trkPt", "trkEta", "trkPhi", "trkD0")}
    assert jets_from_columns({**columns, **tracks}, mine).particles.d0.tolist() == [[10.0, 10.0]] * 3


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_branch_with_another_number_of_rows_is_an_error(mine, columns, n):
    with pytest.raises(SchemaError, match=rf"is about 3 rows; 'jetEta' has {n}\."):
        jets_from_columns({**columns, "jetEta": np.ones(n)}, mine)
    with pytest.raises(SchemaError, match=rf"the formula 'jetPhi' is about 3 rows; 'jetPhi' has {n}\."):
        jets_from_columns({**columns, "jetPhi": np.ones(n)}, mine)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_size_of_a_block_of_rows_changes_nothing(mine, columns, monkeypatch, size):
    columns["trkPt"] = ak.values_astype(columns["trkPt"], np.float32)
    columns["trkEta"] = ak.values_astype(columns["trkEta"], np.float32)
    whole = jets_from_columns(columns, mine)
    monkeypatch.setattr(rows, "_BLOCK", size)
    found = jets_from_columns(columns, mine)
    assert ak.array_equal(found, whole, equal_nan=True)


def test_optional_fields_and_labels_are_left_out_where_the_source_lacks_them(mine, columns):
    del columns["trkD0"], columns["flavour"]
    jets = jets_from_columns(columns, mine)
    assert "d0" not in jets.particles.fields
    assert "label" not in jets.fields


@pytest.mark.parametrize("name", SCHEMAS)
def test_built_in_schemas_survive_json(name):
    schema = load_schema(name)
    assert schema.name == name
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_found_by_its_branches(name):
    schema = load_schema(name)
    assert find_schema(schema.branches(optional=True)).schema == schema
    match = find_schema({*schema.branches(optional=False), "other"})
    assert match.schema == schema
    assert match.reason == f"all {len(schema.branches(optional=False))} branches that {name!r} needs are there"
    assert match.others == ()


def test_of_two_schemas_that_fit_the_one_declared_before_is_found_and_the_other_named():
    both = load_schema("pfnano-ak4").branches(optional=True) | load_schema("pfnano-ak8").branches(optional=True)
    match = find_schema(both)
    assert match.schema.name == "pfnano-ak4"
    assert match.others == ("pfnano-ak8",)
    assert "so are those of pfnano-ak8" in match.reason


def test_a_source_that_fits_two_schemas_equally_is_refused_with_both_named():
    both = load_schema("hepnn").branches(optional=True) | load_schema("energyflow").branches(optional=True)
    with pytest.raises(SchemaError, match=r"x.root fits the schemas energyflow, hepnn; name one with schema="):
        find_schema(both, where="x.root")


def test_branches_that_fit_no_schema_say_what_is_lacking():
    with pytest.raises(
        SchemaError, match=r"of x.root:tree; no built-in one fits \(nearest: jets lacks energy, particles.energy, "
    ):
        find_schema(["pt", "eta"], where="x.root:tree")


def test_two_labels_at_once_are_an_error(mine, columns):
    both = Schema.from_dict({**mine.to_dict(), "labels": {"bottom": "flavour > 0", "light": "flavour < 4"}})
    with pytest.raises(SchemaError, match="1 jets have several labels; jet 2 of these is bottom and light"):
        jets_from_columns(columns, both)


def test_lists_of_different_length_are_an_error(mine, columns):
    columns["trkEta"] = ak.Array([[0.1, 0.3, 0.2], [], [0.4, 0.5]])
    with pytest.raises(SchemaError, match=r"particles of entry 2 have 1 values of 'trkD0' and 2 of 'trkEta'"):
        jets_from_columns(columns, mine)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('eta = "jetEta"', "", r"lacks 'eta' in \[jets\]; every jet needs pt, eta, phi, energy"),
        ('energy = "trkPt * cosh(trkEta)"', "", r"lacks 'energy' in \[collections.particles\]"),
        ('unit = "cm"', 'unit = "inch"', r"gives 'd0' the unit 'inch'; known: 1, GeV"),
        (
            'background = "light"',
            'background = "top"',
            r"names the background 'top', which is none of its labels",
        ),
        ('name = "mine"', 'name = "mine"\nlayuot = "flat"', r"has the key 'layuot'; closest: 'layout'"),
        ('name = "mine"', 'name = "mine"\nlayout = "round"', r"asks for the layout 'round'; known: flat"),
        ('"flavour == 5"', '"flavour = 5"', r"the formula 'flavour = 5' cannot be read"),
        ("[jets]", "[jet", r"is no TOML"),
        ("sentinel = -1", "sentinal = -1", r"in \[collections.particles\] d0 the key 'sentinal'; closest: 'sentinel'"),
        ("sentinel = -1", 'dtype = "float12"', r"gives 'd0' the type 'float12'; known: bool, int8"),
        ('d0 = { value = "trkD0", unit', "d0 = { unit", r"in \[collections.particles\] d0 None; a list of strings is"),
        ('eta = "jetEta"', "eta = 3", r"in \[jets\] eta 3; a list of strings is needed"),
        ('bottom = "flavour == 5"', "bottom = 5", r"in \[labels\] bottom = 5; str is needed, in quotes"),
        (
            'name = "mine"',
            'name = "mine"\nlayout = "indexed"',
            r"lacks 'jet' in \[links.particles\]; the layout 'indexed'",
        ),
        (
            'name = "mine"',
            'name = "mine"\nlayout = "columns"',
            r"lacks 'padding', the formula that is true in an empty",
        ),
        ('weight = "w"', 'pt = "w"', r"names 'pt' twice"),
        ('name = "mine"', "", r"lacks 'name'"),
    ],
)
def test_a_malformed_schema_says_what_is_wrong(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    assert old in TOML
    path.write_text(TOML.replace(old, new))
    with pytest.raises(SchemaError, match=message):
        load_schema(path)


def test_an_unknown_schema_names_the_closest():
    with pytest.raises(SchemaError, match=r"'jetclas'; there is none built in \(closest: 'jetclass', 'jets'\)"):
        load_schema("jetclas")
