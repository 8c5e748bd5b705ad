"""Converting on many processors: the folder of shards is that of one process, byte for byte."""

import re
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from hepnn import convert, open_jets, toy_jets
from hepnn.errors import InputError, OutputError, SchemaError, SourceError
from tests.damaging import damage
from tests.readers.test_reading import columns, write
from tests.test_tagging import events

pytest.importorskip("distributed")
pytest.importorskip("pyarrow")
from tests.clusters import local  # after what it needs is known to be there

N_FILES, N_JETS = 6, 60


@pytest.fixture(scope="module")
def client():
    with local(3) as made:
        yield made


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jets")
    return [str(write(folder / f"jets{seed}.root", columns(N_JETS, seed=seed))) for seed in range(N_FILES)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Shards of 48 jets, of which one file has more than one has; six of the files make eight."""
    monkeypatch.setattr("hepnn.shards.BLOCK", 16)
    monkeypatch.setattr("hepnn.shards._BLOCKS_A_FILE", 3)


def content(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture(scope="module")
def sources(paths, tmp_path_factory):
    """Functions, since files that were read know which were skipped."""
    folder = tmp_path_factory.mktemp("sources")
    bad, worse = (damage(path, folder / f"bad{i}.root") for i, path in enumerate(paths[1:3]))
    empty = write(folder / "empty.root", {name: array[:0] for name, array in columns(3).items()})
    for seed in (1, 2):
        write(folder / f"events{seed}.root", events(40, seed=seed), tree="Events")
    return {
        "jets": lambda: open_jets(paths),
        "few": lambda: open_jets(paths[:1], select="pt > 1.9"),
        "selected": lambda: open_jets([*paths, str(empty)], select="pt > 1.4", observers=["jet_eta"]),
        "events": lambda: open_jets(f"{folder}/events*.root", schema="pfnano-ak4"),
        "damaged": lambda: open_jets([bad, *paths[:2], worse], bad_files="skip"),
        "shards of one file": lambda: open_jets(paths[0]),
    }


@pytest.mark.parametrize("name", ["jets", "few", "selected", "events", "damaged", "shards of one file"])
@pytest.mark.parametrize("n_blocks", [1, 3, 20])
def test_workers_write_what_one_process_writes(sources, client, tmp_path, monkeypatch, name, n_blocks):
    monkeypatch.setattr("hepnn.shards._BLOCKS_A_FILE", n_blocks)
    here, there = sources[name](), sources[name]()
    one, told = convert(here, tmp_path / "one", seed=5), []
    many = convert(there, tmp_path / "many", seed=5, client=client, progress=told.append)
    assert content(many.folder) == content(one.folder)
    assert (many.counts, list(many.counts), many.n_reused) == (one.counts, list(one.counts), 0)
    assert [each.file for each in there.skipped] == [each.file for each in here.skipped]
    assert told[-1] == one.n_jets
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many", "one"]


def test_what_was_interrupted_makes_only_the_rest(paths, client, tmp_path):
    expected = content(convert(paths, tmp_path / "one").folder)

    def stop(n_jets):
        if n_jets >= 150:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(paths, tmp_path / "many", client=client, progress=stop)
    assert not (tmp_path / "many").exists()
    kept = len(list((tmp_path / "many.parts").glob("*.npz")))
    assert 4 <= kept < len(expected)
    told = []
    made = convert(paths, tmp_path / "many", client=client, progress=told.append)
    assert len(told) == len(expected) - 1 - kept  # one of the files is the description
    assert made.n_reused >= 150
    assert content(made.folder) == expected
    assert not (tmp_path / "many.parts").exists()


def stopped(source, output, **settings):
    """Leaves all parts, and no shards: stops when the last is made."""

    def stop(n_jets):
        if n_jets == N_JETS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, output, progress=stop, **settings)


def test_another_seed_or_selection_is_another_work(paths, client, tmp_path):
    for settings, source, n_reused in [
        ({"seed": 1}, paths[0], N_JETS),
        ({"seed": 2}, paths[0], 0),
        ({"seed": 1}, open_jets(paths[0], select="pt > 0"), 0),
        ({"seed": 1}, open_jets(paths[0], observers=["jet_eta"]), 0),
        ({"seed": 1}, paths[1], 0),
    ]:
        stopped(paths[0], tmp_path / "shards", seed=1, client=client, overwrite=True)
        made = convert(source, tmp_path / "shards", client=client, overwrite=True, **settings)
        assert made.n_reused == n_reused


def test_a_damaged_part_is_named_and_no_shards_are_written(paths, client, tmp_path, monkeypatch):
    stopped(paths[0], tmp_path / "shards", client=client)
    (part, *_) = sorted((tmp_path / "shards.parts").glob("*.npz"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(InputError, match=rf"{part.name}; it cannot be read .*Delete it, and start the same command"):
        convert(paths[0], tmp_path / "shards", client=client)
    assert [path.name for path in tmp_path.iterdir()] == ["shards.parts"]


def test_what_one_process_refuses_workers_refuse(paths, client, tmp_path):
    with pytest.raises(InputError, match="asked to convert jets; found none"):
        convert(open_jets(paths, select="pt > 1e9"), tmp_path / "shards", client=client)
    with pytest.raises(SourceError, match=r"bad.root; branch .* is damaged"):
        convert(damage(paths[0], tmp_path / "bad.root"), tmp_path / "shards", client=client)
    unlabelled = {name: array for name, array in columns(30).items() if not name.startswith("label")}
    with pytest.raises(InputError, match="found no field 'label'"):
        convert(write(tmp_path / "data.root", unlabelled), tmp_path / "shards", client=client)
    with pytest.raises(InputError, match="give one of them"):
        convert(paths, tmp_path / "shards", client=client, workers=2)
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        convert(paths, tmp_path / "mine", client=client)


def test_shards_that_are_there_stay_until_the_new_ones_are_complete(paths, client, tmp_path):
    before = content(convert(paths[:1], tmp_path / "shards").folder)
    stopped(paths[1], tmp_path / "shards", client=client, overwrite=True)
    assert content(tmp_path / "shards") == before
    made = convert(paths[1], tmp_path / "shards", client=client, overwrite=True)
    assert content(made.folder) != before


def test_the_command_says_what_was_there_before(paths, client, run, tmp_path):
    stopped(paths[0], tmp_path / "shards", client=client)
    code, out, err = run("convert", paths[0], "-o", tmp_path / "shards", "--dask", client.scheduler.address)
    assert code == 0
    assert out.startswith(f"{tmp_path}/shards: {N_JETS} jets, gluon ")
    assert f"0 jets in 0.0 s; {N_JETS} were done before" in re.sub(r"in \d+\.\d s", "in 0.0 s", err)
    code, _, err = run("convert", paths[0], "-o", tmp_path / "more", "--dask", "localhost")
    assert code == 11
    assert "scheduler at 'localhost', which is no address" in err


def test_a_column_that_changes_its_type_is_named_with_its_file(client, tmp_path):
    for name, charges in (("a", [1, -1]), ("b", [1, None])):
        jets = toy_jets(2, seed=1)
        charge = ak.unflatten(np.resize(charges[:1], int(ak.sum(ak.num(jets.particles)))), ak.num(jets.particles))
        if None in charges:
            charge = ak.mask(charge, jets.particles.pt < ak.max(jets.particles.pt))
        jets = ak.with_field(jets, ak.with_field(jets.particles, charge, "charge"), "particles")
        ak.to_parquet(jets, tmp_path / f"{name}.parquet", extensionarray=False)
    for settings in ({}, {"client": client}):
        with pytest.raises(SchemaError, match=r"in .*b.parquet, entries 0 to 2: the jets are of other types"):
            convert([str(tmp_path / f"{name}.parquet") for name in "ab"], tmp_path / "shards", **settings)


def test_jets_without_a_momentum_are_named_with_file_and_entries(client, tmp_path):
    path = tmp_path / "jets.parquet"
    jets = toy_jets(3, seed=1)
    ak.to_parquet(ak.with_field(jets, ak.Array([100.0, np.nan, 100.0]), "pt"), path, extensionarray=False)
    for settings in ({}, {"client": client}):
        with pytest.raises(InputError, match=r"in .*jets.parquet, entries 0 to 3: .* 1 of 3 jets: 1, counted"):
            convert(str(path), tmp_path / "shards", **settings)
