"""Jets out of arrays that somebody else has read, in memory or virtual, as in a coffea processor."""

import pickle
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from hepnn import Tagger, jets_of, read_jets
from hepnn.errors import InputError, SchemaError
from hepnn.tagging import tag
from tests.test_tagging import events, write

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    ids = {"luminosityBlock": np.ones(60, np.int32), "event": np.arange(60)}  # coffea asks for them
    return write(tmp_path_factory.mktemp("events") / "events.root", {**events(60, seed=5), **ids})


@pytest.fixture(scope="module")
def tagger(file):
    return Tagger("deepsets", model_options={"encoder": (6,), "head_units": (6,)}, epochs=1, schema="pfnano-ak4").fit(
        read_jets(file)
    )


def virtual(array, read, name):
    """The array as awkward reads it when it is needed; the name of each part is added to ``read`` then."""
    form, length, buffers = ak.to_buffers(array)

    def later(part):
        def made():
            read.append(f"{name}.{part}")
            return buffers[part]

        return made

    return ak.from_buffers(form, length, {part: later(part) for part in buffers})


def nano(content, *, read=None):
    """Branches as records of records, as in coffea's NanoEvents."""
    groups = {}
    for name, array in content.items():
        group, _, member = name.partition("_")
        groups.setdefault(group, {})[member] = ak.Array(array)
    made = {group: ak.zip(parts, depth_limit=2) if "" not in parts else parts[""] for group, parts in groups.items()}
    return {name: array if read is None else virtual(array, read, name) for name, array in made.items()}


@pytest.mark.parametrize("kind", ["mapping", "records", "virtual"])
def test_jets_of_arrays_are_those_of_the_file_and_nest_like_them(file, kind):
    content = uproot.open(f"{file}:Events").arrays()
    read = []
    if kind == "mapping":
        given = {name: content[name] for name in content.fields}
    else:
        parts = nano({name: content[name] for name in content.fields}, read=read if kind == "virtual" else None)
        given = ak.zip({**parts, "PuppiMET": virtual(ak.Array(np.arange(60.0)), read, "PuppiMET")}, depth_limit=1)
    jets = jets_of(given, schema="pfnano-ak4")
    assert ak.num(jets).tolist() == ak.num(content.Jet_pt).tolist()
    flat, expected = ak.flatten(jets), read_jets(file)
    assert str(flat.type) == str(expected.type)
    assert ak.to_buffers(ak.to_packed(flat))[2].keys() == ak.to_buffers(ak.to_packed(expected))[2].keys()
    assert flat.tolist() == expected.tolist() or np.isnan(ak.flatten(expected.particles.d0)).any()
    for name in expected.particles.fields:
        np.testing.assert_array_equal(ak.flatten(flat.particles[name]), ak.flatten(expected.particles[name]))
    assert not any(name.startswith("PuppiMET") for name in read)
    assert bool(read) == (kind == "virtual")


def test_virtual_jets_are_scored_as_those_in_memory(file, tagger):
    jets = read_jets(file)
    read = []
    nested = ak.unflatten(jets, [10, 0, len(jets) - 10])
    scores = tagger(virtual(nested, read, "jets"))
    assert read
    assert ak.num(scores).tolist() == [10, 0, len(jets) - 10]
    np.testing.assert_array_equal(ak.flatten(scores).bottom, tagger(jets).bottom)


def test_a_missing_branch_is_named(file):
    content = uproot.open(f"{file}:Events").arrays()
    given = {name: content[name] for name in content.fields if name != "PFCands_pt"}
    with pytest.raises(SchemaError, match="PFCands_pt"):
        jets_of(given, schema="pfnano-ak4")
    with pytest.raises(SchemaError, match="asked for the schema of the arrays; no built-in one fits"):
        jets_of({"x": [1.0]})


def test_a_coffea_processor_gives_the_scores_of_the_plain_command(file, tagger, tmp_path):
    pytest.importorskip("coffea")
    folder = tagger.save(tmp_path / "tagger")
    example = ROOT / "examples" / "pfnano_with_coffea.py"
    done = subprocess.run(
        [sys.executable, example, folder, tmp_path / "scores.pkl", file], capture_output=True, text=True, check=True
    )
    assert "the same from both executors: True" in done.stdout
    filled = pickle.loads((tmp_path / "scores.pkl").read_bytes())  # our own bytes
    (done,) = tag(file, tagger, tmp_path / "scores.root")
    plain = uproot.open(f"{done.path}:hepnn").arrays()
    chosen = plain.Jet_hepnn_bottom[uproot.open(f"{file}:Events")["Jet_pt"].array() > 30]
    expected, _ = np.histogram(ak.flatten(chosen).to_numpy(), bins=20, range=(0, 1))
    np.testing.assert_array_equal(filled[{"class": "bottom"}].values(), expected)


def test_a_wrapper_for_coffea_gives_what_the_tagger_gives(file, tagger):
    pytest.importorskip("coffea")
    from hepnn.coffea_tools import TaggerWrapper

    nested = jets_of(uproot.open(f"{file}:Events").arrays(), schema="pfnano-ak4")
    found, expected = TaggerWrapper(tagger)(nested), tagger(nested)
    assert ak.num(found).tolist() == ak.num(nested).tolist()
    np.testing.assert_array_equal(ak.flatten(found).light, ak.flatten(expected).light)
    with pytest.raises(InputError, match="asked for the scores of list"):
        TaggerWrapper(tagger).prepare_awkward([1])
