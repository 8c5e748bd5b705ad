"""Reading ROOT files in which one entry is one jet, whole and damaged."""

import awkward as ak
import numpy as np
import pytest
import uproot

from hepnn import iterate_jets, read_jets
from hepnn.errors import InputError, SchemaError, SourceError
from hepnn.readers import open_jets
from hepnn.schema import load_schema
from hepnn.trees import TreeWriter


def columns(n_jets, *, seed=0):
    """The branches of the schema hepnn; the first jet is empty."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, n_jets)
    counts[:1] = 0
    n = counts.sum()
    made = {name: rng.normal(0, 20, n).astype(np.float32) for name in ("part_px", "part_py", "part_pz")}
    made["part_energy"] = np.sqrt(sum(p**2 for p in made.values())).astype(np.float32)
    made["part_pid"] = rng.choice([211, 22, 130], n).astype(np.int32)
    flag = rng.random(n_jets) < 0.5
    return {
        **{f"jet_{name}": rng.uniform(1, 2, n_jets).astype(np.float32) for name in ("pt", "eta", "phi", "energy")},
        "label_quark": flag,
        "label_gluon": ~flag,
        **{name: ak.unflatten(values, counts) for name, values in made.items()},
    }


def write(path, content, *, tree="tree"):
    with TreeWriter(path, tree=tree, overwrite=True) as out:
        out.extend(content)
    return path


@pytest.fixture
def two_files(tmp_path):
    return [write(tmp_path / f"jets{i}.root", columns(25, seed=i)) for i in (1, 2)]


def same(one, other):
    assert one.type.content == other.type.content
    assert one.tolist() == other.tolist()


def test_jets_are_what_was_written(tmp_path):
    written = columns(30)
    jets = read_jets(write(tmp_path / "jets.root", written))
    assert jets.label.tolist() == np.where(written["label_quark"], "quark", "gluon").tolist()
    np.testing.assert_array_equal(jets.pt, written["jet_pt"])
    assert len(jets.particles[0]) == 0
    pt = np.hypot(written["part_px"], written["part_py"])
    order = ak.argsort(pt, ascending=False)
    np.testing.assert_allclose(ak.flatten(jets.particles.pt), ak.flatten(pt[order]), rtol=1e-6)
    np.testing.assert_array_equal(ak.flatten(jets.particles.pid), ak.flatten(written["part_pid"][order]))


@pytest.mark.parametrize("step", [1, 7, 25, 1000])
def test_steps_give_the_same_as_one_piece(two_files, step):
    steps = list(iterate_jets(two_files, step=step))
    assert max(map(len, steps)) <= step
    same(ak.concatenate(steps), read_jets(two_files))


@pytest.mark.parametrize("limit", [0, 1, 24, 25, 26, 50, 99])
def test_max_jets_takes_the_first(two_files, limit):
    same(read_jets(two_files, max_jets=limit), read_jets(two_files)[:limit])


def test_a_glob_a_folder_and_a_list_mean_the_same(two_files, tmp_path):
    expected = read_jets(two_files)
    for source in (f"{tmp_path}/jets*.root", tmp_path, [str(path) for path in two_files]):
        same(read_jets(source), expected)


def test_a_number_of_threads_that_is_none_is_no_damage_of_the_file(two_files, monkeypatch):
    monkeypatch.setenv("HEPNN_THREADS", "two")
    with pytest.raises(InputError, match="asked for HEPNN_THREADS=two"):
        read_jets(two_files)


def test_the_working_directory_may_change_meanwhile(tmp_path, monkeypatch):
    path = write(tmp_path / "jets.root", columns(40))
    monkeypatch.chdir(tmp_path)
    chunks = open_jets("jets.root").chunks(step=10)
    found = [next(chunks).jets]
    monkeypatch.chdir("/")
    found += [chunk.jets for chunk in chunks]
    same(ak.concatenate(found), read_jets(path))


def test_chunks_say_where_they_come_from(two_files):
    chunks = list(open_jets(two_files).chunks(step=20))
    assert [(chunk.file, chunk.start, chunk.stop) for chunk in chunks] == [
        (str(two_files[0]), 0, 20),
        (str(two_files[0]), 20, 25),
        (str(two_files[1]), 0, 20),
        (str(two_files[1]), 20, 25),
    ]
    assert all(chunk.counts is None and len(chunk.jets) == chunk.stop - chunk.start for chunk in chunks)


def test_the_tree_can_be_named_in_two_ways(tmp_path):
    path = tmp_path / "two.root"
    with uproot.recreate(path) as file:
        for name, n_jets in (("first", 3), ("second", 5)):
            content = columns(n_jets)
            flat = {key: value for key, value in content.items() if not key.startswith("part_")}
            parts = ak.zip({key[5:]: value for key, value in content.items() if key.startswith("part_")})
            tree = file.mktree(name, {**{k: v.dtype for k, v in flat.items()}, "part": parts.type.content})
            tree.extend({**flat, "part": parts})
    assert len(read_jets(f"{path}:second")) == len(read_jets(path, tree="second")) == 5
    with pytest.raises(SourceError, match=r"asked for a tree of jets in .*found first, second. Name one"):
        read_jets(path)
    with pytest.raises(SourceError, match=r"asked for the tree 'third' .*found first, second"):
        read_jets(f"{path}:third")


def test_a_file_without_entries_gives_no_jets_with_all_fields(tmp_path):
    full = write(tmp_path / "full.root", columns(3))
    none = write(tmp_path / "none.root", {name: array[:0] for name, array in columns(3).items()})
    jets = read_jets(none)
    assert len(jets) == 0
    assert jets.fields == read_jets(full).fields
    assert [len(chunk.jets) for chunk in open_jets([none, full, none]).chunks()] == [0, 3, 0]
    same(read_jets([none, full, none]), read_jets(full))


def test_an_alias_stored_in_the_tree_is_not_evaluated(tmp_path, monkeypatch):
    """uproot's own expressions would evaluate it; branches are read one by one and by exact name."""
    path = write(tmp_path / "jets.root", columns(3))

    def forbidden(*args, **kwargs):
        raise AssertionError("TTree.arrays evaluates aliases")

    monkeypatch.setattr(uproot.TTree, "arrays", forbidden)
    assert len(read_jets(path)) == 3


def test_opened_files_know_their_schema(two_files):
    assert open_jets(two_files).schema == load_schema("hepnn")


def without(name):
    return {key: value for key, value in columns(4).items() if key != name}


def test_a_branch_missing_in_the_second_file_is_an_error_before_anything_is_read(tmp_path):
    files = [write(tmp_path / "a.root", columns(4)), write(tmp_path / "b.root", without("part_py"))]
    with pytest.raises(SourceError, match=r"needs the branch 'part_py'; it is not in .*b.root:tree. Closest: 'part_p"):
        iterate_jets(files).__next__()


def test_a_label_missing_in_the_second_file_is_an_error(tmp_path):
    files = [write(tmp_path / "a.root", columns(4)), write(tmp_path / "b.root", without("label_gluon"))]
    with pytest.raises(SourceError, match=r"'label_gluon' holds bool in .*a.root and nothing in .*b.root"):
        read_jets(files)


def test_a_label_that_only_the_second_file_has_is_an_error(tmp_path):
    files = [
        write(tmp_path / "a.root", {k: v for k, v in columns(4).items() if not k.startswith("label")}),
        write(tmp_path / "b.root", columns(4)),
    ]
    with pytest.raises(SourceError, match=r"'label_gluon' holds nothing in .*a.root and bool in .*b.root"):
        read_jets(files)


def test_formulas_of_float32_are_float32(two_files):
    assert str(read_jets(two_files).particles.eta.type.content.content) == "float32"


def test_a_type_that_differs_in_the_second_file_is_an_error(tmp_path):
    other = {**columns(4), "jet_pt": np.ones(4)}
    files = [write(tmp_path / "a.root", columns(4)), write(tmp_path / "b.root", other)]
    with pytest.raises(SourceError, match=r"'jet_pt' holds float in .*a.root and double in .*b.root"):
        read_jets(files)


def test_a_file_without_labels_gives_jets_without_label(tmp_path):
    path = write(tmp_path / "data.root", {k: v for k, v in columns(4).items() if not k.startswith("label")})
    assert "label" not in read_jets(path).fields


def test_a_named_schema_that_does_not_fit_names_the_branch(two_files):
    with pytest.raises(SourceError, match=r"'jetclass' needs the branch 'part_charge'; .* Closest: "):
        read_jets(two_files, schema="jetclass")


def test_branches_that_fit_no_schema_are_refused(tmp_path):
    path = write(tmp_path / "x.root", {"x": np.arange(3)})
    with pytest.raises(SchemaError, match=r"asked for the schema of .*x.root:tree; no built-in one fits"):
        read_jets(path)


def text(folder):
    path = folder / "text.root"
    path.write_text("not a ROOT file, but long enough to look at")
    return path


def cut(folder):
    path = folder / "cut.root"
    path.write_bytes((folder / "jets.root").read_bytes()[:-500])
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nope.root", r"nope.root; there is no such file. In .* there is jets.root"),
        (lambda folder: folder / "*.rootx", r"there is no such file"),
        (lambda folder: [], r"found no file named"),
        (
            lambda folder: (folder / "empty").mkdir() or folder / "empty",
            r"the folder .*empty; it holds no \*.root",
        ),
        (text, r"its first bytes are b'not ', a ROOT file starts with b'root'"),
        (cut, r"has \d+ bytes and should have \d+: the copy was cut short"),
    ],
    ids=["missing", "glob", "nothing", "empty-folder", "text", "cut-short"],
)
def test_what_is_no_file_of_jets_is_refused(tmp_path, make, message):
    write(tmp_path / "jets.root", columns(500))
    with pytest.raises(SourceError, match=message):
        read_jets(make(tmp_path))


def test_a_damaged_basket_is_named_with_branch_and_entries(tmp_path):
    path = write(tmp_path / "jets.root", columns(500))
    with uproot.open(path) as file:
        basket = file["tree"]["part_px"].basket(0)
        size = basket.compressed_bytes
        seek = file["tree"]["part_px"].member("fBasketSeek")[0]
    data = bytearray(path.read_bytes())
    middle = int(seek) + size // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"branch 'part_px', entries 0 to 500, is damaged"):
        read_jets(path)


@pytest.mark.parametrize(
    ("settings", "message"), [({"step": 0}, "0 entries; it takes at least 1"), ({"max_jets": -1}, "it takes 0 or more")]
)
def test_nonsense_numbers_are_refused(two_files, settings, message):
    with pytest.raises(InputError, match=message):
        open_jets(two_files).chunks(**settings)


def test_contradicting_labels_name_file_and_entries(tmp_path):
    content = columns(6)
    content["label_gluon"] = np.ones(6, bool)
    with pytest.raises(SchemaError, match=r"in .*jets.root:tree, entries 0 to 6: .* is quark and gluon"):
        read_jets(write(tmp_path / "jets.root", content))
