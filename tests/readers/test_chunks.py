"""Selections, observers, limits and skipped files: what each chunk says, for events and for jets."""

import awkward as ak
import numpy as np
import pytest
import uproot

from hepnn import iterate_jets, open_jets, read_jets
from hepnn.errors import InputError, SchemaError, SourceError
from hepnn.readers import DEFAULT_STEP
from tests.readers.test_layouts import N_EVENTS, events, pfnano, write_tree
from tests.readers.test_reading import columns, same, write

__all__ = ["events"]  # a fixture


@pytest.fixture
def event_file(events, tmp_path):
    # without impact parameters, some of which are NaN, which equals nothing
    content = {name: array for name, array in pfnano(events).items() if not name.startswith("PFCands_d0")}
    return write_tree(tmp_path / "pfnano.root", {**content, "run": np.arange(N_EVENTS)})


@pytest.mark.parametrize("step", [1, 4, 100])
def test_a_selection_says_which_of_all_jets_passed(event_file, events, step):
    every = read_jets(event_file)
    chunks = list(open_jets(event_file, select="pt > 20 & abs(eta) < 1.5").chunks(step=step))
    passed = np.concatenate([chunk.selected for chunk in chunks])
    expected = [jet["pt"] > 20 and abs(jet["eta"]) < 1.5 for event in events for jet in event]
    assert passed.tolist() == expected
    assert 0 < passed.sum() < len(passed)
    # scores of the chosen jets can be put back into their events
    assert np.concatenate([chunk.counts for chunk in chunks]).tolist() == [len(event) for event in events]
    assert ak.concatenate([chunk.jets for chunk in chunks]).tolist() == every[expected].tolist()
    assert read_jets(event_file, select="pt > 20 & abs(eta) < 1.5").tolist() == every[expected].tolist()


def test_a_selection_knows_the_number_of_particles(event_file):
    every = read_jets(event_file)
    chosen = read_jets(event_file, select="n_particles >= 3")
    assert chosen.tolist() == every[ak.num(every.particles) >= 3].tolist()


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("pt >", r"^in the selection: the formula 'pt >' cannot be read"),
        ("pt.real > 3", r"^in the selection: the formula 'pt.real > 3' uses 'pt.real'"),
        ("ptt > 3", r"needs 'ptt'; closest: 'pt'"),
    ],
)
def test_a_selection_that_cannot_be_read_is_refused(event_file, select, message):
    with pytest.raises(SchemaError, match=message):
        read_jets(event_file, select=select)


@pytest.mark.parametrize("limit", [0, 1, 2, 5, 11, 999])
@pytest.mark.parametrize("select", [None, "pt > 15"], ids=["all", "selected"])
@pytest.mark.parametrize("step", [2, 100])
def test_max_jets_is_exact_and_chunks_end_with_an_entry(event_file, limit, select, step):
    every = read_jets(event_file, select=select)
    assert read_jets(event_file, select=select, max_jets=limit).tolist() == every[:limit].tolist()
    steps = list(iterate_jets(event_file, select=select, max_jets=limit, step=step))
    assert ak.concatenate(steps).tolist() == every[:limit].tolist()
    chunks = list(open_jets(event_file, select=select).chunks(max_jets=limit, step=step))
    n_jets = sum(len(chunk.jets) for chunk in chunks)
    assert n_jets >= min(limit, len(every))
    for chunk in chunks:
        assert len(chunk.counts) == chunk.stop - chunk.start
        n_all = len(chunk.jets) if select is None else len(chunk.selected)
        assert chunk.counts.sum() == n_all
        assert select is None or chunk.selected.sum() == len(chunk.jets)
    if 0 < limit < len(every):
        last = chunks[-1]
        without_last = n_jets - (last.counts[-1] if select is None else last.selected[-last.counts[-1] :].sum())
        assert without_last < limit


def test_max_jets_of_a_selection_among_flat_jets(tmp_path):
    path = write(tmp_path / "jets.root", columns(30))
    every = read_jets(path, select="pt > 1.5")
    assert read_jets(path, select="pt > 1.5", max_jets=3).tolist() == every[:3].tolist()
    (chunk,) = open_jets(path, select="pt > 1.5").chunks(max_jets=3)
    assert chunk.stop == len(chunk.selected) == int(np.flatnonzero(columns(30)["jet_pt"] > 1.5)[2]) + 1


def test_observers_are_copied_to_the_jets(event_file, events):
    jets = read_jets(event_file, observers=["run", "Jet_mass"])
    assert jets.run.tolist() == [number for number, event in enumerate(events) for _ in event]
    assert jets.Jet_mass.tolist() == [0.125] * len(jets)
    with pytest.raises(SourceError, match=r"'observers' needs the branch 'runn'; .* Closest: 'run'"):
        read_jets(event_file, observers=["runn"])


@pytest.fixture
def good_and_bad(tmp_path):
    good = [write(tmp_path / f"good{i}.root", columns(30, seed=i)) for i in (1, 2)]
    cut = tmp_path / "cut.root"
    cut.write_bytes(good[0].read_bytes()[:-200])
    other = write(tmp_path / "other.root", {k: v for k, v in columns(30).items() if k != "part_px"})
    return good[0], cut, other, good[1]


@pytest.mark.parametrize("first", [0, 1], ids=["good-first", "bad-first"])
def test_skipped_files_are_named_with_the_reason(good_and_bad, first):
    good, cut, other, last = good_and_bad
    files = [good, cut, other, last] if first == 0 else [cut, good, other, last]
    opened = open_jets(files, bad_files="skip")
    same(opened.read(), read_jets([good, last]))
    assert {each.file for each in opened.skipped} == {str(cut), str(other)}
    assert all(each.n_entries_read == 0 for each in opened.skipped)
    reasons = {each.file: each.reason for each in opened.skipped}
    assert "the copy was cut short" in reasons[str(cut)]
    assert "needs the branch 'part_px'" in reasons[str(other)]


def test_bad_files_fail_unless_asked(good_and_bad):
    with pytest.raises(SourceError, match=r"cut.root; it has \d+ bytes"):
        read_jets(list(good_and_bad))


def test_a_file_that_breaks_on_the_way_says_how_far_it_was_read(tmp_path):
    path = write(tmp_path / "jets.root", columns(30))
    with uproot.recreate(tmp_path / "two.root", compression=uproot.ZLIB(1)) as file:
        # the first basket is as long as the steps in which everything is read
        arrays = [columns(n_jets, seed=n_jets) for n_jets in (DEFAULT_STEP, 300)]
        flat = {k: v.dtype for k, v in arrays[0].items() if not k.startswith("part_")}
        parts = [ak.zip({k[5:]: v for k, v in each.items() if k.startswith("part_")}) for each in arrays]
        tree = file.mktree("tree", {**flat, "part": parts[0].type.content})
        for each, part in zip(arrays, parts, strict=True):
            tree.extend({**{k: each[k] for k in flat}, "part": part})
    with uproot.open(tmp_path / "two.root") as file:
        branch = file["tree"]["part_pid"]
        seek, size = int(branch.member("fBasketSeek")[1]), branch.basket(1).compressed_bytes
    data = bytearray((tmp_path / "two.root").read_bytes())
    data[seek + size // 2 : seek + size // 2 + 30] = bytes(30)
    (tmp_path / "two.root").write_bytes(data)
    files = [tmp_path / "two.root", path]
    opened = open_jets(files, bad_files="skip")
    chunks = list(opened.chunks())
    assert [(chunk.start, chunk.stop) for chunk in chunks] == [(0, DEFAULT_STEP), (0, 30)]
    ((file_name, reason, n_read),) = opened.skipped
    assert (file_name, n_read) == (str(files[0]), DEFAULT_STEP)
    assert f"branch 'part_pid', entries {DEFAULT_STEP} to {DEFAULT_STEP + 300}, is damaged" in reason
    # read whole, a skipped file leaves nothing behind
    same(open_jets(files, bad_files="skip").read(), read_jets(path))


def test_bad_files_fail_or_are_skipped_and_nothing_else(good_and_bad):
    with pytest.raises(InputError, match="known: 'fail', 'skip'"):
        open_jets(list(good_and_bad), bad_files="ignore")


def test_if_every_file_is_bad_there_is_an_error(good_and_bad):
    with pytest.raises(SourceError, match=r"every file was skipped. First: .*cut.root"):
        open_jets(good_and_bad[1], bad_files="skip")


def test_the_schema_found_comes_with_its_reason_and_the_others_that_fit(events, tmp_path):
    content = pfnano(events)
    renamed = {f"Fat{k}": v for k, v in content.items() if k.startswith("Jet")}
    match = open_jets(write_tree(tmp_path / "both.root", {**content, **renamed})).match
    assert match.schema.name == "pfnano-ak4"
    assert match.others == ("pfnano-ak8",)
    assert "so are those of pfnano-ak8" in match.reason
    named = open_jets(tmp_path / "both.root", schema="pfnano-ak8").match
    assert (named.schema.name, named.reason) == ("pfnano-ak8", "it was named")
