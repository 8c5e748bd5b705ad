"""Tagging event files: scores nest and align like the events, whatever is selected, copied or written."""

import shutil
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from hepnn import Tagger, open_jets, read_jets
from hepnn.errors import HepnnWarning, InputError, OutputError, SourceError
from hepnn.tagging import score, tag
from hepnn.trees import TreeWriter

SMALL = {"encoder": (6,), "units": (6,), "head_units": (6,)}


def events(n_events, *, seed):
    """The branches of CMS PFNano that its schema needs; some events have no jet, some jets no candidate."""
    rng = np.random.default_rng(seed)
    n_jets, n_pool, _n_vertices = (rng.integers(0, high, n_events) for high in (5, 30, 3))
    n_links = np.where(n_jets > 0, rng.integers(0, n_pool + 1), 0)

    def made(counts, low, high):
        return ak.unflatten(rng.uniform(low, high, counts.sum()).astype(np.float32), counts)

    def index(counts, sizes):
        return ak.unflatten((rng.random(counts.sum()) * np.repeat(sizes, counts)).astype(np.int32), counts)

    def chosen(counts, sizes):
        order = ak.argsort(ak.unflatten(rng.random(sizes.sum()), sizes))  # no candidate twice
        return ak.values_astype(order[ak.local_index(order) < counts], np.int32)

    def codes(counts, values):
        return ak.unflatten(rng.choice(np.array(values, np.int32), counts.sum()), counts)

    return {
        "run": np.full(n_events, 7, np.int32),
        **{f"Jet_{name}": made(n_jets, *span) for name, span in
           {"pt": (20, 200), "eta": (-2, 2), "phi": (-3, 3), "mass": (1, 20)}.items()},
        "Jet_hadronFlavour": codes(n_jets, [0, 0, 5]),
        "Jet_partonFlavour": codes(n_jets, [1, 2, 3]),
        **{f"PFCands_{name}": made(n_pool, *span) for name, span in
           {"pt": (0.5, 50), "eta": (-2, 2), "phi": (-3, 3), "mass": (0, 0.2), "d0": (-1, 1), "d0Err": (0, 1),
            "dz": (-1, 1), "dzErr": (0, 1), "puppiWeight": (0, 1)}.items()},
        "PFCands_charge": codes(n_pool, [-1, 0, 1]),
        "PFCands_pdgId": codes(n_pool, [211, 22, 130]),
        "JetPFCands_jetIdx": index(n_links, n_jets),
        "JetPFCands_pFCandsIdx": chosen(n_links, n_pool),
    }  # fmt: skip


def write(path, content):
    with TreeWriter(path, tree="Events") as out:
        out.extend(content)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    return [write(folder / f"events{seed}.root", events(60, seed=seed)) for seed in (1, 2)]


@pytest.fixture(scope="module")
def tagger(files):
    jets = read_jets(files)
    assert set(jets.label.tolist()) == {"bottom", "light"}
    return Tagger(model_options=SMALL, epochs=1, schema="pfnano-ak4").fit(jets)


def n_jets_of(files):
    return ak.concatenate([ak.num(uproot.open(f"{file}:Events")["Jet_pt"].array()) for file in files])


def test_scores_are_lists_aligned_with_the_events(files, tagger, tmp_path):
    (done,) = tag(files, tagger, tmp_path / "scores.root")
    assert (done.n_entries, done.columns) == (120, ("Jet_hepnn_bottom", "Jet_hepnn_light"))
    tree = uproot.open(done.path)["hepnn"]
    assert ak.num(tree["Jet_hepnn_bottom"].array()).tolist() == n_jets_of(files).tolist()
    np.testing.assert_allclose(
        ak.flatten(tree["Jet_hepnn_bottom"].array()), tagger.predict_proba(read_jets(files))[:, 0], atol=1e-6
    )


@pytest.mark.parametrize("name", ["scores.parquet", "scores.root"])
def test_every_format_holds_the_same(files, tagger, tmp_path, name):
    (plain,) = tag(files, tagger, tmp_path / "plain.root")
    expected = uproot.open(plain.path)["hepnn"].arrays(list(plain.columns))
    (done,) = tag(files, tagger, tmp_path / name, file_format=None if name.endswith("parquet") else "rntuple")
    found = ak.from_parquet(done.path) if name.endswith("parquet") else uproot.open(done.path)["hepnn"].arrays()
    assert found.fields == list(done.columns)
    assert found.tolist() == expected.tolist()


def test_jets_that_fail_the_selection_have_nan_and_keep_their_place(files, tagger, tmp_path):
    (everything,) = tag(files, tagger, tmp_path / "all.root")
    chosen = open_jets(files, select="pt > 100 & abs(eta) < 1.5", observers=["Jet_pt"])
    (done,) = tag(chosen, tagger, tmp_path / "selected.root")
    jets = read_jets(files)
    passes = (jets.pt.to_numpy() > 100) & (np.abs(jets.eta.to_numpy()) < 1.5)
    assert done.n_jets == passes.sum() < len(jets)
    tree = uproot.open(done.path)["hepnn"]
    scores = ak.flatten(tree["Jet_hepnn_light"].array()).to_numpy()
    expected = ak.flatten(uproot.open(everything.path)["hepnn"]["Jet_hepnn_light"].array()).to_numpy()
    np.testing.assert_array_equal(np.isnan(scores), ~passes)
    np.testing.assert_allclose(scores[passes], expected[passes], atol=1e-6)
    observed = ak.flatten(tree["Jet_pt"].array()).to_numpy()
    np.testing.assert_allclose(observed[passes], jets.pt.to_numpy()[passes])
    assert ak.num(tree["Jet_hepnn_light"].array()).tolist() == n_jets_of(files).tolist()


def test_a_folder_gets_one_file_an_input(files, tagger, tmp_path):
    done = tag(files, tagger, f"{tmp_path}/scores/")
    assert [each.path.name for each in done] == ["events1_scores.root", "events2_scores.root"]
    assert [each.n_entries for each in done] == [60, 60]
    with pytest.raises(InputError, match=r"two inputs are called events1.root. Tag them apart"):
        tag([files[0], files[1], files[0]], tagger, f"{tmp_path}/other/")


def test_a_bad_file_is_an_error_or_skipped_and_named(files, tagger, tmp_path):
    cut = tmp_path / "cut.root"
    cut.write_bytes(Path(files[1]).read_bytes()[:-300])
    with pytest.raises(SourceError, match=r"cut.root; it has \d+ bytes"):
        tag([files[0], cut], tagger, tmp_path / "scores.root")
    source = open_jets([files[0], cut], bad_files="skip")
    (done,) = tag(source, tagger, tmp_path / "scores.root")
    assert done.n_entries == 60
    assert [each.file for each in source.skipped] == [str(cut)]


@pytest.mark.parametrize("name", ["events1.root", "link.root"])
def test_scores_never_replace_the_jets_they_are_of(files, tagger, tmp_path, name):
    jets = shutil.copy(files[0], tmp_path / "events1.root")
    (tmp_path / "link.root").symlink_to(jets)
    before = jets.read_bytes()
    with pytest.raises(OutputError, match="which is read from; its jets would be lost"):
        tag([jets, files[1]], tagger, tmp_path / name, overwrite=True)
    with pytest.raises(OutputError, match="which is read from"):
        tag([jets, files[1]], tagger, tmp_path / name, overwrite=True, part=(1, 2))
    assert jets.read_bytes() == before


def test_an_unknown_output_is_refused(files, tagger, tmp_path):
    with pytest.raises(InputError, match=r"known: ttree, rntuple, parquet. Name the file \*.parquet or \*.root"):
        tag(files, tagger, tmp_path / "scores.csv")
    (tmp_path / "scores.parquet").write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        tag(files, tagger, tmp_path / "scores.parquet")
    assert (tmp_path / "scores.parquet").read_text() == "precious"


def test_judging_takes_labels_scores_and_columns_of_the_selected_jets(files, tagger):
    jets = read_jets(files, select="pt > 100")
    scored = score(open_jets(files, select="pt > 100"), tagger, columns=["pt"])
    assert scored.labels.tolist() == jets.label.tolist()
    np.testing.assert_allclose(scored.columns["pt"], jets.pt)
    with pytest.raises(InputError, match="asked for the column 'mc' of the jets"):
        score(files, tagger, columns=["mc"])
    with pytest.raises(InputError, match="asked to judge a tagger; found no jets"):
        score(open_jets(files, select="pt > 1000"), tagger)


def test_jets_unlike_those_of_the_training_are_warned_of(files, tagger, tmp_path):
    other = events(60, seed=5)
    for name in ("Jet_pt", "Jet_mass", "PFCands_pt", "PFCands_mass"):
        other[name] = other[name] * np.float32(1000)  # in MeV
    path = write(tmp_path / "mev.root", other)
    with pytest.warns(HepnnWarning) as caught:
        tag(path, tagger, tmp_path / "scores.root")
    outside, apart = (str(each.message) for each in caught)
    assert "lie outside what the tagger was trained on" in outside
    assert "log_energy of particles (100.0%)" in outside
    assert "differ from those that the tagger was trained on" in apart
    loaded = Tagger.load(tagger.save(tmp_path / "tagger"))
    assert loaded.seen_ == tagger.seen_
