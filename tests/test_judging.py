"""Judging: scores of other programs meet the right jets, whatever the files are, and are refused where rows differ."""

import re

import awkward as ak
import numpy as np
import pytest

from hepnn import Tagger
from hepnn.errors import InputError
from hepnn.friends import branches_for, parse_friend
from hepnn.judging import column_of, judge, observers_for
from hepnn.readers import open_jets
from tests.conftest import make_jets
from tests.damaging import damage
from tests.readers.test_reading import columns, write
from tests.test_tagging import events

N = 40


@pytest.fixture
def files(tmp_path):
    """Two files of jets, with a score of their own, and a friend beside both."""
    content = [columns(N, seed=seed) | {"own": np.arange(N) + 100.0 * seed} for seed in (1, 2)]
    paths = [str(write(tmp_path / f"jets{i}.root", each)) for i, each in enumerate(content)]
    row = np.arange(2 * N, dtype=np.float64)
    friend = write(tmp_path / "friend.root", {"p_quark": row / 80, "p_gluon": 1 - row / 80, "row": row}, tree="other")
    return paths, str(friend)


def judged(paths, *friends, select=None, max_jets=None, more=()):
    friends = [parse_friend(text) for text in friends]
    source = open_jets(paths, select=select)
    source = open_jets(paths, select=select, observers=observers_for(source, friends, more))
    return judge(source, friends=friends, columns=("pt", *more), max_jets=max_jets)


def test_a_friend_of_several_files_is_read_row_by_row(files):
    paths, friend = files
    sample = judged(paths, f"{friend}:p_*", f"rows={friend}:other:row", "own")
    assert sample.ratings["rows"].values.tolist() == list(range(2 * N))
    assert sample.ratings[f"{friend}:p_*"].classes == ("quark", "gluon")
    np.testing.assert_allclose(sample.ratings[f"{friend}:p_*"].values[:, 0], np.arange(2 * N) / 80)
    assert sample.ratings["own"].values.tolist() == [*range(100, 140), *range(200, 240)]
    assert sample.ratings["own"].classes == ()
    assert sample.n_entries == 2 * N


@pytest.mark.parametrize("max_jets", [None, 50])
def test_a_selection_takes_scores_and_jets_alike(files, max_jets):
    paths, friend = files
    whole = judged(paths, f"rows={friend}:row")
    some = judged(paths, f"rows={friend}:row", select="pt > 1.3", max_jets=max_jets)
    expected = np.flatnonzero(whole.columns["pt"] > 1.3)[:max_jets]
    assert some.ratings["rows"].values.tolist() == expected.tolist()
    np.testing.assert_array_equal(some.columns["pt"], whole.columns["pt"][expected])
    assert some.labels.tolist() == whole.labels[expected].tolist()


def test_a_branch_that_the_schema_does_not_name_is_a_column_if_asked_for(files):
    paths, _ = files
    sample = judged(paths, "own", more=("own", "jet_eta"))
    assert sample.columns["own"].tolist() == sample.ratings["own"].values.tolist()
    assert len(sample.columns["jet_eta"]) == 2 * N


def test_steps_change_nothing(files, monkeypatch):
    from hepnn.readers import JetFiles

    paths, friend = files
    original = JetFiles.chunks
    whole = judged(paths, f"rows={friend}:row")
    monkeypatch.setattr(JetFiles, "chunks", lambda files, **more: original(files, step=7, **more))
    steps = judged(paths, f"rows={friend}:row")
    assert steps.ratings["rows"].values.tolist() == whole.ratings["rows"].values.tolist()
    assert len(steps.shown) == len(whole.shown) == 2 * N


def test_rows_that_differ_are_refused(files):
    paths, friend = files
    with pytest.raises(InputError, match=r"friend.root, which has 80 rows; the files of the jets have 40 entries"):
        judged(paths[:1], f"{friend}:row")


def test_a_branch_that_is_not_there_is_named_with_the_closest(files):
    paths, friend = files
    with pytest.raises(
        InputError, match=r"scores 'rwo' in .*friend.root; found no such branch. Closest to 'rwo': 'row'"
    ):
        judged(paths, f"{friend}:rwo")
    with pytest.raises(InputError, match=r"for the classes quark, gluon; found no such branch"):
        judged(paths, f"{friend}:q_*")
    with pytest.raises(InputError, match="scores 'ownn' in the files of the jets"):
        judged(paths, "ownn")


def test_two_scores_of_one_name_are_refused(files):
    paths, friend = files
    with pytest.raises(InputError, match="two have the same name"):
        judged(paths, f"a={friend}:row", "a=own")


@pytest.mark.parametrize("text", ["", "x=", "jets.root", "f.root:a_*_*"])
def test_what_names_no_scores_is_refused(text):
    with pytest.raises(InputError, match="write FILE:BRANCH or BRANCH"):
        parse_friend(text)


def test_a_friend_is_a_file_perhaps_a_tree_and_a_branch():
    assert parse_friend("a/b.root:tree:x")[:3] == ("a/b.root:tree:x", "a/b.root:tree", "x")
    assert parse_friend("DeepJet=root://host//b.root:x")[:3] == ("DeepJet", "root://host//b.root", "x")
    assert parse_friend("folder/*.parquet:p_*")[:3] == ("folder/*.parquet:p_*", "folder/*.parquet", "p_*")
    assert branches_for(parse_friend("p_*"), ["p_a", "p_b"], classes=("a", "b", "c")) == {"a": "p_a", "b": "p_b"}


def test_columns_are_fields_and_what_follows_from_them():
    jets = make_jets(30)
    np.testing.assert_allclose(column_of(jets, "mass"), ak.to_numpy(jets.mass), rtol=1e-6)
    np.testing.assert_allclose(column_of(jets, "abs_eta"), np.abs(ak.to_numpy(jets.eta)))
    assert column_of(jets, "n_particles").tolist() == ak.num(jets.particles).tolist()
    assert len(column_of(jets, "girth")) == 30
    with pytest.raises(InputError, match=r"column 'ptt' of the jets; closest: 'pt'"):
        column_of(jets, "ptt")
    with pytest.raises(InputError, match=r"column 'label' of the jets, which holds no numbers"):
        column_of(jets, "label")


def test_jets_in_events_have_scores_in_lists(tmp_path):
    content = events(60, seed=1)
    path = write(tmp_path / "events.root", content, tree="Events")
    score = content["Jet_pt"] * 2
    write(tmp_path / "friend.root", {"Jet_score": score})
    whole = judged([str(path)], f"a={tmp_path}/friend.root:Jet_score")
    some = judged([str(path)], f"a={tmp_path}/friend.root:Jet_score", select="pt > 100")
    for sample in (whole, some):
        np.testing.assert_allclose(sample.ratings["a"].values, 2 * sample.columns["pt"], rtol=1e-6)
    assert 0 < len(some.labels) < len(whole.labels)
    write(tmp_path / "short.root", {"Jet_score": score[:, 1:]})
    at = int(np.argmax(ak.num(score) > 0))
    with pytest.raises(
        InputError, match=rf"in row {at} of .*short.root, 'Jet_score' has \d+ scores, and the event \d+ jets"
    ):
        judged([str(path)], f"a={tmp_path}/short.root:Jet_score")


@pytest.fixture(scope="module")
def client():
    pytest.importorskip("distributed")
    from tests.clusters import local

    with local(3) as made:
        yield made


def same(one, other):
    """Whether two samples are the same to the last bit."""
    assert one.labels.tolist() == other.labels.tolist()
    assert one.n_entries == other.n_entries
    assert one.ratings.keys() == other.ratings.keys()
    for name, rating in one.ratings.items():
        assert rating.classes == other.ratings[name].classes
        assert rating.values.tobytes() == other.ratings[name].values.tobytes(), name
    assert {name: values.tobytes() for name, values in one.columns.items()} == {
        name: values.tobytes() for name, values in other.columns.items()
    }
    assert ak.to_list(one.shown) == ak.to_list(other.shown)
    assert one.drifts == other.drifts
    return True


@pytest.fixture(scope="module")
def tagger():
    options = {"encoder": (6,), "units": (6,), "head_units": (6,)}
    return Tagger(model_options=options, features=["log_pt"], epochs=1).fit(make_jets(100))


@pytest.mark.parametrize("select", [None, "pt > 1.3"], ids=["all", "selected"])
@pytest.mark.parametrize("max_jets", [None, 30, N, 50], ids=["to the end", "some", "a file", "a file and some"])
def test_workers_say_what_one_process_says(files, client, tagger, monkeypatch, select, max_jets):
    monkeypatch.setattr("hepnn.judging.N_SHOWN", 45)
    paths, friend = files
    source = open_jets(paths, select=select, observers=["own"])
    friends = [parse_friend(text) for text in (f"{friend}:p_*", "own")]
    wanted = {"taggers": {"mine": tagger}, "friends": friends, "columns": ["pt", "own"], "max_jets": max_jets}
    told = []
    there = judge(source, **wanted, client=client, progress=told.append)
    assert same(there, judge(source, **wanted))
    assert told == sorted(told)
    assert told[-1] == len(there.labels)


@pytest.mark.parametrize("select", [None, "pt > 100"], ids=["all", "selected"])
def test_workers_stop_at_the_event_at_which_one_process_stops(tmp_path, client, select):
    content = [events(30, seed=seed) for seed in (1, 2)]
    paths = [str(write(tmp_path / f"events{i}.root", each, tree="Events")) for i, each in enumerate(content)]
    write(tmp_path / "friend.root", {"score": ak.concatenate([each["Jet_pt"] for each in content])})
    source = open_jets(paths, select=select)
    n_jets = len(source.read())
    for max_jets in (None, 1, n_jets // 2, n_jets - 1, n_jets, n_jets + 5):
        wanted = {"friends": [parse_friend(f"a={tmp_path}/friend.root:score")], "columns": ["pt"], "max_jets": max_jets}
        there = judge(source, **wanted, client=client)
        assert same(there, judge(source, **wanted))
        np.testing.assert_allclose(there.ratings["a"].values, there.columns["pt"], rtol=1e-6)


def test_damage_is_skipped_by_workers_as_by_one_process(files, client, tmp_path):
    paths, friend = files
    bad = damage(paths[1], tmp_path / "bad.root")
    here, there = (open_jets([paths[0], bad, paths[1]], bad_files="skip") for _ in range(2))
    assert same(judge(there, columns=["pt"], client=client), judge(here, columns=["pt"]))
    assert [each[0] for each in there.skipped] == [each[0] for each in here.skipped] == [bad]
    for settings in ({}, {"client": client}):
        source = open_jets([bad, paths[1]], bad_files="skip")
        with pytest.raises(InputError, match=r"bad.root turned out to be damaged, so rows no longer match"):
            judge(source, friends=[parse_friend(f"{friend}:row")], **settings)


def test_what_one_process_refuses_workers_refuse(files, client):
    paths, _ = files
    for settings in ({}, {"client": client}):
        with pytest.raises(InputError, match="at most -5 jets"):
            judge(open_jets(paths), max_jets=-5, **settings)
        with pytest.raises(InputError, match="found no jets in what was read"):
            judge(open_jets(paths, select="pt > 1e9"), **settings)
        with pytest.raises(InputError, match="asked for the column 'ptt' of the jets; closest: 'pt'"):
            judge(open_jets(paths), columns=["ptt"], **settings)


def test_the_command_prints_the_same_numbers(files, client, tagger, run, tmp_path):
    paths, _ = files
    command = ["evaluate", *paths, "--schema", "hepnn", "--tagger", tagger.save(tmp_path / "tagger"), "--json"]
    printed = []
    for where in ([], ["--dask", client.scheduler.address]):
        code, out, err = run(*command, *where)
        assert code == 0, err
        assert re.search(rf"\n{2 * N} jets in \d+\.\d s\n", err)
        printed.append(out)
    assert printed[0] == printed[1]
