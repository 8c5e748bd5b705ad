"""Formats: the same jets, written as TTree, RNTuple, Parquet, HDF5 and npz, read back equal."""

import pickle
import re

import awkward as ak
import numpy as np
import pytest
import uproot

from hepnn import iterate_jets, read_jets
from hepnn.errors import DependencyError, SourceError
from hepnn.readers import open_jets
from hepnn.schema import Schema, load_schema
from tests.conftest import make_jets

pytest.importorskip("h5py")
pytest.importorskip("pyarrow")
import h5py  # after it is known to be there
import pyarrow.parquet

N_SLOTS = 12


def columns(n_jets, *, seed=0):
    """The branches of the schema hepnn, at most `N_SLOTS` particles a jet, those of a jet by falling pt."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, N_SLOTS + 1, n_jets)
    jagged = {name: ak.unflatten(rng.normal(0, 20, counts.sum()).astype(np.float32), counts) for name in ("px", "py")}
    order = ak.argsort(np.hypot(jagged["px"], jagged["py"]), ascending=False)
    jagged = {name: values[order] for name, values in jagged.items()}
    jagged["pz"] = ak.unflatten(rng.normal(0, 20, counts.sum()).astype(np.float32), counts)
    jagged["energy"] = ak.values_astype(np.hypot(np.hypot(jagged["px"], jagged["py"]), jagged["pz"]) + 1, np.float32)
    jagged["pid"] = ak.unflatten(rng.choice([211, 22, 130], counts.sum()).astype(np.int32), counts)
    flag = rng.random(n_jets) < 0.5
    return {
        **{f"jet_{name}": rng.uniform(1, 2, n_jets).astype(np.float32) for name in ("pt", "eta", "phi", "energy")},
        "label_quark": flag,
        "label_gluon": ~flag,
        **{f"part_{name}": values for name, values in jagged.items()},
    }


def padded(values):
    filled = ak.fill_none(ak.pad_none(values, N_SLOTS, clip=True), 0)
    return ak.to_numpy(ak.values_astype(filled, ak.to_numpy(ak.flatten(values)).dtype))


def write_ttree(folder, content):
    path = folder / "jets-ttree.root"
    flat = {name: array for name, array in content.items() if not name.startswith("part_")}
    parts = ak.zip({name[5:]: array for name, array in content.items() if name.startswith("part_")})
    with uproot.recreate(path) as file:
        tree = file.mktree("tree", {**{k: v.dtype for k, v in flat.items()}, "part": parts.type.content})
        tree.extend({**flat, "part": parts})
    return path, "auto"


def write_rntuple(folder, content):
    path = folder / "jets-rntuple.root"
    with uproot.recreate(path) as file:
        file.mkrntuple("tree", content)
    return path, "auto"


def write_parquet(folder, content):
    path = folder / "jets.parquet"
    ak.to_parquet(ak.zip(content, depth_limit=1), path, row_group_size=7)
    return path, "auto"


def write_arrow_parquet(folder, content):
    """As pyarrow and pandas write it: every list and number may be missing."""
    path = folder / "jets.parquet"
    pyarrow.parquet.write_table(ak.to_arrow_table(ak.zip(content, depth_limit=1), extensionarray=False), path)
    return path, "auto"


def _fixed_width():
    description = load_schema("hepnn").to_dict()
    return Schema.from_dict({**description, "name": "fixed", "layout": "columns", "padding": "part_energy == 0"})


def write_npz(folder, content):
    path = folder / "jets.npz"
    np.savez_compressed(path, **{k: v if v.ndim == 1 else padded(v) for k, v in content.items()})
    return path, _fixed_width()


def write_hdf5(folder, content):
    path = folder / "jets.h5"
    # the latest version of the format has checksums of what describes the data, too
    with h5py.File(path, "w", libver="latest") as file:
        for name, values in content.items():
            data = values if values.ndim == 1 else padded(values)
            file.create_dataset(
                name, data=data, compression="gzip", fletcher32=True, chunks=True, maxshape=(None, *data.shape[1:])
            )
    return path, _fixed_width()


def write_hdf5_records(folder, content):
    path = folder / "records.h5"
    with h5py.File(path, "w") as file:
        for group, is_list in (("jets", False), ("tracks", True)):
            members = {k: padded(v) if is_list else v for k, v in content.items() if (v.ndim > 1) == is_list}
            shape = (len(content["jet_pt"]), *((N_SLOTS,) if is_list else ()))
            data = np.zeros(shape, [(name, values.dtype) for name, values in members.items()])
            for name, values in members.items():
                data[name] = values
            file[group] = data
    return path, _renamed(lambda name: f"`{'tracks' if name.startswith('part') else 'jets'}.{name}`")


def write_fixed_width_hdf5(folder, content):
    path = folder / "fixed.h5"
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if values.ndim == 1:
                file[name] = values
            else:
                for slot, column in enumerate(padded(values).T):
                    file[f"{name}_{slot}"] = column
    return path, _renamed(lambda name: f"`{name}_*`" if name.startswith("part") else name)


def _renamed(new):
    """The schema for fixed widths, with every branch spelled anew."""

    def spelled(value):
        if isinstance(value, str):
            return re.sub(r"\b(part|jet|label)_\w+", lambda match: new(match[0]), value)
        return {key: spelled(each) for key, each in value.items()} if isinstance(value, dict) else value

    description = _fixed_width().to_dict()
    parts = {key: spelled(description[key]) for key in ("jets", "collections", "labels", "padding")}
    return Schema.from_dict({**description, **parts})


WRITERS = {
    "rntuple": write_rntuple,
    "parquet": write_parquet,
    "parquet of pyarrow": write_arrow_parquet,
    "hdf5": write_hdf5,
    "hdf5-records": write_hdf5_records,
    "hdf5-columns": write_fixed_width_hdf5,
    "npz": write_npz,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_jets_in_every_format_read_back_equal(name, tmp_path):
    content = columns(40)
    expected = read_jets(write_ttree(tmp_path, content)[0])
    assert (
        expected.particles.pt.tolist()
        == ak.values_astype(
            np.hypot(ak.values_astype(content["part_px"], float), ak.values_astype(content["part_py"], float)),
            np.float32,
        ).tolist()
    )
    path, schema = WRITERS[name](tmp_path, content)
    jets = read_jets(path, schema=schema)
    assert str(jets.type) == str(expected.type)
    assert jets.tolist() == expected.tolist()


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("step", [1, 9, 40])
def test_steps_give_the_same_in_every_format(name, step, tmp_path):
    path, schema = WRITERS[name](tmp_path, columns(40))
    chunks = list(open_jets(path, schema=schema).chunks(step=step))
    assert max(len(chunk.jets) for chunk in chunks) <= step
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]
    assert chunks[-1].stop == 40
    assert ak.concatenate([chunk.jets for chunk in chunks]).tolist() == read_jets(path, schema=schema).tolist()


@pytest.mark.parametrize("name", [*WRITERS, "ttree"])
@pytest.mark.parametrize("step", [1, 9, 40])
def test_a_range_of_entries_alone_is_the_chunk_it_is_in_the_whole(name, step, tmp_path):
    path, schema = {**WRITERS, "ttree": write_ttree}[name](tmp_path, columns(40))
    files = open_jets(path, schema=schema, select="pt > 1.2")
    chunks, ranges = list(files.chunks(step=step)), files.ranges(step=step)
    assert [(chunk.start, chunk.stop) for chunk in chunks] == [entries[1:] for entries in ranges]
    for entries, chunk in reversed(list(zip(ranges, chunks, strict=True))):
        alone = files.chunk(entries)
        assert alone.jets.tolist() == chunk.jets.tolist()
        assert alone.selected.tolist() == chunk.selected.tolist()
        assert alone[2:6] == chunk[2:6]


@pytest.mark.parametrize("name", WRITERS)
def test_max_jets_takes_the_first_in_every_format(name, tmp_path):
    path, schema = WRITERS[name](tmp_path, columns(40))
    assert read_jets(path, schema=schema, max_jets=11).tolist() == read_jets(path, schema=schema)[:11].tolist()


@pytest.mark.parametrize("name", WRITERS)
def test_no_entries_give_no_jets_with_all_fields(name, tmp_path):
    path, schema = WRITERS[name](tmp_path, {key: array[:0] for key, array in columns(3).items()})
    jets = read_jets(path, schema=schema)
    assert len(jets) == 0
    assert jets.fields == ["pt", "eta", "phi", "energy", "label", "particles"]
    assert jets.particles.fields == ["pt", "eta", "phi", "energy", "pid"]
    files = open_jets(path, schema=schema)
    assert [len(chunk.jets) for chunk in files.chunks()] == [
        len(files.chunk(entries).jets) for entries in files.ranges()
    ]
    assert files.ranges() == [(0, 0, 0)]


def test_jets_to_parquet_and_back_are_the_same_in_every_field(tmp_path):
    jets = make_jets(50)
    extra = ak.zip({"pt": jets.particles.pt[:, :1], "n_tracks": jets.particles.pid[:, :1]})
    jets = ak.with_field(ak.with_field(jets, np.arange(50), "number"), extra, "vertices")
    path = tmp_path / "jets.parquet"
    ak.to_parquet(jets, path)
    back = read_jets(path)
    assert set(back.fields) == set(jets.fields)
    assert set(back.particles.fields) == set(jets.particles.fields)
    assert open_jets(path).schema.name == "jets"
    for field in ("pt", "eta", "phi", "energy", "number", "label"):
        assert back[field].tolist() == jets[field].tolist()
    for collection in ("particles", "vertices"):
        for field in jets[collection].fields:
            ours, theirs = ak.flatten(back[collection][field]), ak.flatten(jets[collection][field])
            np.testing.assert_array_equal(ak.to_numpy(ours), ak.to_numpy(theirs))
            assert ak.to_numpy(ours).dtype == ak.to_numpy(theirs).dtype
    # and once more, now from what was read
    again = tmp_path / "again.parquet"
    ak.to_parquet(back, again)
    assert str(read_jets(again).type) == str(back.type)


def test_jets_of_a_tree_survive_parquet_exactly(tmp_path):
    jets = read_jets(write_ttree(tmp_path, columns(30))[0])
    ak.to_parquet(jets, tmp_path / "copy.parquet")
    back = read_jets(tmp_path / "copy.parquet")
    assert ak.to_list(back[jets.fields]) == jets.tolist()


def top_reference(path, n_jets=6):
    """The reference set as pandas writes it: one block of numbers, its column names pickled in an attribute."""
    rng = np.random.default_rng(3)
    names = [f"{axis}_{slot}" for slot in range(200) for axis in ("E", "PX", "PY", "PZ")] + ["truthE"]
    block = np.zeros((n_jets, len(names)), np.float32)
    for row in range(n_jets):
        momenta = rng.normal(0, 10, (row, 3))
        energy = np.sqrt((momenta**2).sum(axis=1))
        block[row, : 4 * row] = np.column_stack([energy, momenta]).ravel()
    block[:, -1] = 7
    flags = np.stack([np.zeros(n_jets), np.arange(n_jets) % 2], axis=1).astype(np.int64)
    table = np.zeros(
        n_jets, [("index", "<i8"), ("values_block_0", "<f4", (len(names),)), ("values_block_1", "<i8", (2,))]
    )
    table["values_block_0"], table["values_block_1"] = block, flags
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("table/table", data=table, compression="gzip", chunks=(4,))
        dataset.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(names, 0))
        dataset.attrs["values_block_1_kind"] = np.bytes_(pickle.dumps(["ttv", "is_signal_new"], 0))
    return block


def test_the_top_tagging_reference_set(tmp_path):
    block = top_reference(tmp_path / "test.h5")
    jets = read_jets(tmp_path / "test.h5")
    assert ak.num(jets.particles).tolist() == [0, 1, 2, 3, 4, 5]
    assert jets.label.tolist() == ["QCD", "top"] * 3
    total = block[:, :800].reshape(6, 200, 4).sum(axis=1)
    np.testing.assert_allclose(jets.energy, total[:, 0], rtol=1e-5)
    np.testing.assert_allclose(jets.pt, np.hypot(total[:, 1], total[:, 2]), rtol=1e-4, atol=1e-5)
    assert ak.concatenate(list(iterate_jets(tmp_path / "test.h5", step=4))).tolist() == jets.tolist()


def test_names_in_a_pickle_are_read_without_running_it(tmp_path):
    class Attack:
        def __reduce__(self):
            return exec, ("raise SystemExit('run')",)

    path = tmp_path / "attack.h5"
    top_reference(path)
    with h5py.File(path, "a") as file:
        file["table/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(Attack(), 0))
    with pytest.raises(SourceError, match=r"needs the branch 'E_\*'"):
        read_jets(path, schema="top-reference")


def test_energyflow_arrays(tmp_path):
    x = np.zeros((3, 5, 4))
    x[0, :2] = [[100, 0.5, 1.0, 211], [50, 0.6, 1.1, 22]]
    x[2, :1] = [[70, -0.5, 2.0, -13]]
    np.savez(tmp_path / "qg.npz", X=x, y=np.array([1.0, 0.0, 1.0]))
    jets = read_jets(tmp_path / "qg.npz")
    assert jets.particles.pid.tolist() == [[211, 22], [], [-13]]
    assert jets.label.tolist() == ["quark", "gluon", "quark"]


def test_lists_of_variable_length_in_hdf5_are_refused_with_advice(tmp_path):
    with h5py.File(tmp_path / "lists.h5", "w") as file:
        file.create_dataset("part_px", (2,), h5py.vlen_dtype(np.float32))
    with pytest.raises(SourceError, match=r"holds no numbers of fixed width. Lists of variable length are not read"):
        read_jets(tmp_path / "lists.h5")


def test_arrays_of_objects_are_refused_without_running_them(tmp_path):
    np.savez(tmp_path / "bad.npz", X=np.array([{"a": 1}, None], dtype=object), y=np.zeros(2))
    with pytest.raises(SourceError, match=r"the array 'X' holds Python objects, and reading them would run code"):
        read_jets(tmp_path / "bad.npz")


def test_arrays_of_different_length_are_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", X=np.zeros((3, 2, 4)), y=np.zeros(2))
    with pytest.raises(SourceError, match=r"its arrays differ in length \(X: 3, y: 2\)"):
        read_jets(tmp_path / "bad.npz")


@pytest.mark.parametrize("name", ["parquet", "npz"])
def test_a_tree_in_a_format_without_trees_is_refused(name, tmp_path):
    path, schema = WRITERS[name](tmp_path, columns(3))
    with pytest.raises(SourceError, match=r"asked for the tree 'events' in .* has none. Leave it out"):
        read_jets(f"{path}:events", schema=schema)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("parquet", "pyarrow", "parquet"), ("hdf5", "h5py", "hdf5")],
)
def test_a_missing_package_says_how_to_install_it(name, package, extra, tmp_path, monkeypatch):
    path, schema = WRITERS[name](tmp_path, columns(3))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet" if package == "pyarrow" else package, None)
    with pytest.raises(DependencyError, match=rf"the package {package} is missing. .* pip install 'hepnn\[{extra}\]'"):
        read_jets(path, schema=schema)
