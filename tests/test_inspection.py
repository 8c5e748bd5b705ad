"""Inspection: what a file holds, what it lacks, and a schema to start from."""

import io
import json

import awkward as ak
import numpy as np
import pytest
import uproot
from rich.console import Console

from hepnn.errors import SchemaError, SourceError
from hepnn.inspection import inspect, render, write_schema
from hepnn.schema import SCHEMAS, Schema, load_schema
from hepnn.schema.template import to_toml
from tests.readers.test_layouts import N_EVENTS, events, pfnano, write_tree
from tests.readers.test_reading import columns, write

__all__ = ["events"]  # a fixture


def text_of(inspection):
    console = Console(width=200, file=io.StringIO())
    console.print(render(inspection))
    return console.file.getvalue()


@pytest.fixture
def jets_file(tmp_path):
    return write(tmp_path / "jets.root", columns(40))


def test_jets_are_counted(jets_file):
    found = inspect(jets_file, max_particles=4)
    content = columns(40)
    counts = ak.to_numpy(ak.num(content["part_px"]))
    assert (found.format, found.tree, found.n_entries, found.tables) == ("ttree", "tree", 40, {"tree": 40})
    assert (found.schema, found.layout) == ("hepnn", "flat")
    assert found.compression.startswith("ZLIB")
    assert "Adler-32" in found.checksum
    assert found.jets.n_jets == 40
    assert found.jets.n_empty == (counts == 0).sum() == 1
    assert found.jets.truncated == (counts > 4).mean()
    assert found.jets.multiplicity[0] == counts.min()
    assert found.jets.multiplicity[-1] == counts.max()
    assert found.jets.classes == {
        "quark": int(content["label_quark"].sum()),
        "gluon": int(content["label_gluon"].sum()),
    }
    pt = next(field for field in found.jets.fields if field.name == "pt")
    np.testing.assert_allclose(pt.quantiles, np.quantile(content["jet_pt"], [0, 0.05, 0.5, 0.95, 1]))
    assert pt.n_values == 40
    assert next(field for field in found.jets.fields if field.name == "particles.pt").n_values == counts.sum()


def test_features_that_the_jets_cannot_provide_have_a_reason(jets_file):
    reasons = inspect(jets_file).jets.feature_sets
    assert reasons["identity"] == ""
    assert "d0" in reasons["displacement"]


def test_missing_and_infinite_values_and_sentinels_are_found(tmp_path):
    content = columns(50)
    content["jet_pt"][:5] = np.nan
    content["jet_eta"][:3] = np.inf
    content["jet_phi"][:20] = -999
    fields = {f.name: f for f in inspect(write(tmp_path / "jets.root", content)).jets.fields}
    assert fields["pt"].n_missing == 5
    assert fields["eta"].n_infinite == 3
    assert fields["phi"].sentinel == (-999.0, 0.4)
    assert fields["energy"].sentinel is None
    assert fields["particles.pid"].sentinel is None


def test_it_goes_through_json(jets_file):
    found = inspect(jets_file)
    assert json.loads(json.dumps(found.to_dict()))["jets"]["n_jets"] == 40


def test_a_terminal_shows_it(jets_file):
    shown = text_of(inspect(jets_file))
    for text in ("jets.root", "hepnn, layout flat", "40 jets, 1 empty", "quark", "particles.pt", "displacement"):
        assert text in shown


def test_jets_without_particles_say_what_would_be_needed(events, tmp_path):
    content = {k: v for k, v in pfnano(events).items() if not k.startswith(("PFCands", "JetPFCands"))}
    path = write_tree(tmp_path / "nano.root", content)
    found = inspect(path)
    assert found.schema is None
    assert found.jets is None
    assert "has jets but not their particles" in found.reason
    assert "pfnano-ak4 needs JetPFCands_jetIdx, JetPFCands_pFCandsIdx, PFCands_charge" in found.reason
    fit = next(fit for fit in found.fits if fit.name == "pfnano-ak4")
    assert fit.missing_jets == ()
    assert "PFCands_pt" in fit.missing_records
    assert "pfnano-ak8" in text_of(found)


def test_events_say_the_schema_and_its_reason(events, tmp_path):
    found = inspect(write_tree(tmp_path / "pfnano.root", pfnano(events)))
    assert (found.schema, found.layout) == ("pfnano-ak4", "indexed")
    assert found.reason == "all 12 branches that 'pfnano-ak4' needs are there"
    assert found.n_entries == N_EVENTS
    assert found.jets.n_jets == sum(map(len, events))


def test_an_empty_file_is_no_error(tmp_path):
    found = inspect(write(tmp_path / "none.root", {k: v[:0] for k, v in columns(3).items()}))
    assert found.jets.n_jets == 0
    assert "0 jets" in text_of(found)


def test_a_schema_that_is_named_and_does_not_fit_is_an_error(jets_file):
    with pytest.raises(SourceError, match=r"the schema 'jetclass' needs the branch 'part_charge'"):
        inspect(jets_file, schema="jetclass")
    with pytest.raises(SchemaError, match=r"there is none built in"):
        inspect(jets_file, schema="jetklass")


def test_a_file_of_something_else_is_an_error(tmp_path):
    path = tmp_path / "text.root"
    path.write_text("no ROOT file at all, really")
    with pytest.raises(SourceError, match="first bytes are b'no R'"):
        inspect(path)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_survives_its_own_toml(name, tmp_path):
    path = tmp_path / "copy.toml"
    path.write_text(to_toml(load_schema(name)))
    assert load_schema(path) == load_schema(name)


def test_clustering_and_awkward_names_survive_toml(tmp_path):
    schema = Schema.from_dict(
        {
            **load_schema("hepnn").to_dict(),
            "name": 'a "quoted" name',
            "layout": "clustered",
            "clustering": {"radius": 1.5, "max_abs_eta": 2.5},
            "observers": {"event number": "n"},
        }
    )
    path = tmp_path / "copy.toml"
    path.write_text(to_toml(schema))
    assert load_schema(path) == schema


def test_the_schema_that_fits_is_the_one_to_start_from(jets_file, tmp_path):
    path = tmp_path / "start.toml"
    path.write_text(write_schema(jets_file))
    assert load_schema(path) == load_schema("hepnn")


def test_a_guess_names_what_it_recognises_and_is_refused_until_it_is_filled_in(tmp_path):
    path = tmp_path / "own.root"
    with uproot.recreate(path) as file:
        content = {"jetPt": np.ones(2), "jetEta": np.ones(2), "trk": ak.zip({"pt": [[1.0], []], "phi": [[1.0], []]})}
        file.mktree("own", {"jetPt": "f8", "jetEta": "f8", "trk": content["trk"].type.content}).extend(content)
    text = write_schema(path)
    assert 'trees = ["own"]' in text
    assert 'pt = "jetPt"' in text
    assert 'pt = "trk_pt"' in text
    assert 'eta = "?" # to be filled in' in text
    assert "# trk_phi: double[]" in text
    start = tmp_path / "start.toml"
    start.write_text(text)
    with pytest.raises(SchemaError, match=r"the formula '\?' cannot be read"):
        load_schema(start)
