"""Damage: files cut short, with flipped bits and with zeroed blocks give hepnn's own error, or the right numbers.

The files are compressed with a checksum throughout, as hepnn writes them: what is stored as it is, nobody can check.
"""

import signal
from collections import Counter

import awkward as ak
import h5py
import numpy as np
import pyarrow.parquet
import pytest
import uproot

from hepnn import read_jets
from hepnn.errors import HepnnError, SourceError
from tests.readers.test_formats import N_SLOTS, padded, write_hdf5, write_npz

N_JETS = 400
N_DAMAGES = 90
"""Of each kind, a file."""
LIMIT = 20
"""Seconds after which a file counts as a hang."""


def columns():
    """The branches of the schema hepnn, all of them repetitive, so that every block is worth compressing."""
    counts = np.tile([4, 8, 6, N_SLOTS], N_JETS // 4)
    n = counts.sum()
    steps = np.repeat(np.arange(n // 10 + 1), 10)[:n]
    content = {
        f"jet_{name}": np.repeat(np.arange(N_JETS // 50), 50).astype(np.float32) for name in ("pt", "eta", "phi")
    }
    content["jet_energy"] = content["jet_pt"] + 1
    content["label_quark"] = np.arange(N_JETS) < N_JETS // 2
    content["label_gluon"] = ~content["label_quark"]
    for position, name in enumerate(("px", "py", "pz", "energy")):
        content[f"part_{name}"] = ak.unflatten((steps % 7 + position + 1).astype(np.float32), counts)
    content["part_pid"] = ak.unflatten(np.full(n, 22, np.int32), counts)
    return content


def ttree(folder):
    path, content = folder / "ttree.root", columns()
    with uproot.recreate(path, compression=uproot.ZLIB(4)) as file:
        flat = {name: array for name, array in content.items() if not name.startswith("part_")}
        parts = ak.zip({name[5:]: array for name, array in content.items() if name.startswith("part_")})
        tree = file.mktree("tree", {**{k: v.dtype for k, v in flat.items()}, "part": parts.type.content})
        tree.extend({**flat, "part": parts})
    return path, "hepnn"


def rntuple(folder):
    path = folder / "rntuple.root"
    with uproot.recreate(path, compression=uproot.ZLIB(4)) as file:
        file.mkrntuple("tree", columns())
    return path, "hepnn"


def parquet(folder):
    path = folder / "jets.parquet"
    table = ak.to_arrow_table(ak.zip(columns(), depth_limit=1))
    pyarrow.parquet.write_table(table, path, compression="gzip", write_page_checksum=True)
    return path, "hepnn"


def hdf5(folder):
    return write_hdf5(folder, columns())


def npz(folder):
    return write_npz(folder, columns())


MAKERS = {"ttree": ttree, "rntuple": rntuple, "parquet": parquet, "npz": npz}


def cut(data, rng):
    return data[: rng.integers(0, len(data))]


def flip(data, rng):
    for _ in range(rng.integers(1, 4)):
        data[rng.integers(0, len(data))] ^= 1 << int(rng.integers(0, 8))
    return data


def zero(data, rng):
    start, length = int(rng.integers(0, len(data))), int(rng.integers(1, 64))
    data[start : start + length] = bytes(len(data[start : start + length]))
    return data


@pytest.fixture
def alarm():
    """Turns a hang into a failure."""

    def ring(*_):
        raise TimeoutError("a damaged file was read without end")

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def outcome(path, schema, expected):
    signal.alarm(LIMIT)
    try:
        jets = read_jets(path, schema=schema)
        return "right" if str(jets.type) == expected[0] and jets.tolist() == expected[1] else "wrong"
    except HepnnError as error:
        return "refused" if path.name in str(error) else f"refused without a name: {error}"
    finally:
        signal.alarm(0)


@pytest.mark.parametrize("damage", [cut, flip, zero], ids=["cut", "flip", "zero"])
@pytest.mark.parametrize("maker", MAKERS)
def test_a_damaged_file_is_refused_or_gives_the_right_numbers(maker, damage, tmp_path, alarm):
    path, schema = MAKERS[maker](tmp_path)
    jets = read_jets(path, schema=schema)
    expected = (str(jets.type), jets.tolist())
    rng = np.random.default_rng(11)
    data = path.read_bytes()
    broken = tmp_path / f"broken{path.suffix}"
    found = Counter()
    for _ in range(N_DAMAGES):
        broken.write_bytes(damage(bytearray(data), rng))
        found[outcome(broken, schema, expected)] += 1
    assert set(found) <= {"right", "refused"}, found
    assert found["refused"] > N_DAMAGES // 10, found


@pytest.mark.parametrize("damage", [cut, flip, zero], ids=["cut", "flip", "zero"])
def test_damaged_data_in_hdf5_are_refused(damage, tmp_path, alarm):
    """Only of the data: where its structure is damaged, HDF5's own library can crash, and Python with it."""
    path, schema = hdf5(tmp_path)
    jets = read_jets(path, schema=schema)
    expected = (str(jets.type), jets.tolist())
    rng = np.random.default_rng(11)
    data = path.read_bytes()
    with h5py.File(path) as file:
        chunks = [dataset.id.get_chunk_info(0) for dataset in file.values()]
    broken = tmp_path / "broken.h5"
    found = Counter()
    for _ in range(N_DAMAGES):
        if damage is cut:
            broken.write_bytes(cut(data, rng))
        else:
            chunk = chunks[rng.integers(len(chunks))]
            start, stop = chunk.byte_offset, chunk.byte_offset + chunk.size
            broken.write_bytes(data[:start] + damage(bytearray(data[start:stop]), rng) + data[stop:])
        found[outcome(broken, schema, expected)] += 1
    assert set(found) <= {"right", "refused"}, found
    assert found["refused"] > N_DAMAGES // 2, found


def test_damage_in_an_npz_is_found_before_the_first_jet_is_read(tmp_path):
    _, schema = npz(tmp_path)
    path = tmp_path / "plain.npz"
    np.savez(path, **{name: values if values.ndim == 1 else padded(values) for name, values in columns().items()})
    data = bytearray(path.read_bytes())
    at = data.find(b"part_energy.npy") + 10_000
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"plain.npz; .* Bad CRC-32 for file 'part_energy.npy'"):
        read_jets(path, schema=schema, max_jets=1)


def test_damage_in_a_parquet_page_is_found_by_its_checksum(tmp_path):
    path = tmp_path / "plain.parquet"
    table = ak.to_arrow_table(ak.zip(columns(), depth_limit=1))
    pyarrow.parquet.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    at = data.find(np.float32([1, 1, 1, 1, 1, 1, 1, 1]).tobytes())
    assert at > 0
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"plain.parquet; .* CRC checksum verification failed"):
        read_jets(path)


def test_the_content_is_what_was_meant(tmp_path):
    """That the files of the other test hold anything: one of them by plain numbers."""
    content = columns()
    jets = read_jets(ttree(tmp_path)[0])
    assert jets.energy.tolist() == content["jet_energy"].tolist()
    assert padded(content["part_pid"]).shape == (N_JETS, N_SLOTS)
    with h5py.File(hdf5(tmp_path)[0]) as file:
        assert file["part_px"].compression == "gzip"
        assert file["part_px"].fletcher32
