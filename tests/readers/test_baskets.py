"""Baskets: read once each, whatever the step, ahead where there is room, and checked when they are decompressed."""

import zlib
from collections import Counter
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import Event

import awkward as ak
import deflate
import numpy as np
import pytest
import uproot

from hepnn import iterate_jets, read_jets
from hepnn.errors import SourceError
from hepnn.readers import baskets
from hepnn.trees import TreeWriter
from tests.readers.test_reading import columns, same

N_JETS, N_BASKET = 30, 7


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """30 jets in baskets of seven."""
    path = tmp_path_factory.mktemp("baskets") / "jets.root"
    with TreeWriter(path, basket_entries=N_BASKET) as out:
        out.extend(columns(N_JETS))
    return path


@pytest.fixture
def read(monkeypatch):
    """How often each basket was read."""
    times = Counter()
    original = baskets._read

    def counted(chunk, number, branch):
        times[branch.name, number] += 1
        return original(chunk, number, branch)

    monkeypatch.setattr(baskets, "_read", counted)
    return times


@pytest.mark.parametrize("step", [1, 4, N_BASKET, 10, 100])
def test_each_basket_is_read_once_whatever_the_step(path, read, step):
    whole = read_jets(path)
    read.clear()
    parts = list(iterate_jets(path, step=step))
    assert max(map(len, parts)) == min(step, N_JETS)
    same(ak.concatenate(parts), whole)
    assert {number for _, number in read} == set(range(-(-N_JETS // N_BASKET)))
    assert set(read.values()) == {1}


def test_a_branch_whose_baskets_have_no_room_is_read_for_each_step_and_right(path, read, monkeypatch):
    whole = read_jets(path)
    read.clear()
    monkeypatch.setattr(baskets, "_MOST_BYTES", 0)
    same(ak.concatenate(list(iterate_jets(path, step=4))), whole)
    assert not read


class Inline:
    """Threads that do what they are told at once."""

    def submit(self, function, *args, **kwargs):
        done = Future()
        done.set_result(function(*args, **kwargs))
        return done


def test_the_next_step_is_read_ahead_only_where_there_is_room(path, read, monkeypatch):
    with uproot.open({path: "tree"}) as tree:
        branch = tree["part_px"]
        made = baskets.Baskets({"part_px": branch}, threads=Inline(), path=str(path))
        made.request(0, N_BASKET)
        made.request(N_BASKET, 2 * N_BASKET, ahead=True)
        assert set(read) == {("part_px", 0), ("part_px", 1)}
        monkeypatch.setattr(baskets, "_MOST_BYTES", made._size([]))
        made.request(2 * N_BASKET, N_JETS, ahead=True)
        assert ("part_px", 2) not in read
        made.columns(0, N_BASKET)
        made.columns(N_BASKET, 2 * N_BASKET)
        made.request(2 * N_BASKET, 3 * N_BASKET, ahead=True)  # for what was used is let go
        assert ("part_px", 2) in read
        found = made.columns(2 * N_BASKET, 3 * N_BASKET)["part_px"]()
        assert found.tolist() == branch.array()[2 * N_BASKET : 3 * N_BASKET].tolist()


def test_nobody_waits_for_baskets_that_are_given_up(path):
    with uproot.open({path: "tree"}) as tree, ThreadPoolExecutor(1) as threads:
        busy = Event()
        threads.submit(busy.wait)
        made = baskets.Baskets({"part_px": tree["part_px"]}, threads=threads, path=str(path))
        made.request(0, N_BASKET)
        column = made.columns(0, N_BASKET)["part_px"]
        threads.shutdown(wait=False, cancel_futures=True)
        busy.set()
        with pytest.raises(CancelledError):
            column()


@pytest.mark.parametrize("size", [0, 2**10, 2**30])
def test_how_much_is_read_at_once_changes_nothing(path, read, monkeypatch, size):
    whole = read_jets(path)
    reads = []
    original = np.fromfile
    monkeypatch.setattr(np, "fromfile", lambda *args, **kwargs: reads.append(args) or original(*args, **kwargs))
    monkeypatch.setattr(baskets, "_AT_ONCE", size)
    read.clear()
    same(ak.concatenate(list(iterate_jets(path, step=10))), whole)
    assert len(reads) == len(read) if size == 0 else len(reads) < len(read)


def test_a_file_that_is_not_local_is_read_by_uproot(path, monkeypatch):
    monkeypatch.setattr(np, "fromfile", None)
    with uproot.open({path: "tree"}) as tree, ThreadPoolExecutor(1) as threads:
        made = baskets.Baskets({"part_px": tree["part_px"]}, threads=threads, path=None)
        made.request(0, N_JETS)
        assert made.columns(0, N_JETS)["part_px"]().tolist() == tree["part_px"].array().tolist()


@pytest.mark.parametrize("is_small", [True, False])
def test_small_columns_and_large_ones_are_the_same(path, monkeypatch, is_small):
    whole = read_jets(path)
    monkeypatch.setattr(baskets, "_SMALL", 2**30 if is_small else 0)
    same(ak.concatenate(list(iterate_jets(path, step=10))), whole)


COMPRESSIONS = {
    "none": None,
    "zlib": uproot.ZLIB(4),
    "lzma": uproot.LZMA(1),
    "lz4": uproot.LZ4(1),
    "zstd": uproot.ZSTD(1),
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_compression_gives_the_same_jets(compression, path, tmp_path):
    with uproot.open({path: "tree"}) as tree:
        content = {name: tree[name].array() for name in tree.keys() if not name.startswith("n")}  # noqa: SIM118
    with uproot.recreate(tmp_path / "jets.root", compression=COMPRESSIONS[compression]) as file:
        file.mktree("tree", {name: array.type.content for name, array in content.items()}).extend(content)
    same(read_jets(tmp_path / "jets.root"), read_jets(path))


def test_numbers_that_look_like_a_compressed_block_are_read_as_they_are(tmp_path):
    values = np.frombuffer(b"ZL" * 50, ">i2").astype(np.int16)
    with uproot.recreate(tmp_path / "x.root", compression=None) as file:
        file.mktree("tree", {"x": "int16"}).extend({"x": values})
    with uproot.open({tmp_path / "x.root": "tree"}) as tree:
        made = baskets.Baskets({"x": tree["x"]}, threads=Inline(), path=str(tmp_path / "x.root"))
        made.request(0, len(values))
        assert made.columns(0, len(values))["x"]().tolist() == values.tolist()


def block(content):
    """As ROOT stores it: sizes before and after in three bytes each."""
    stored = zlib.compress(content)
    return b"ZL\x08" + len(stored).to_bytes(3, "little") + len(content).to_bytes(3, "little") + stored


def test_blocks_are_joined():
    parts = [b"abc" * 100, b"def", b"ghi" * 50]
    stored = memoryview(b"".join(map(block, parts)))
    assert baskets._inflated(stored, 453).tobytes() == b"".join(parts)


def test_every_flipped_bit_and_every_cut_of_a_block_is_refused():
    content = np.random.default_rng(0).integers(0, 40, 200).astype(np.uint8).tobytes()
    stored = block(content)
    for bit in range(8 * len(stored)):
        broken = bytearray(stored)
        broken[bit // 8] ^= 1 << bit % 8
        try:
            found = baskets._inflated(memoryview(broken), len(content)).tobytes()
        except (ValueError, deflate.DeflateError):
            continue
        assert found == content  # the method is not looked at, nor two bits of the header
    for end in range(1, len(stored)):
        with pytest.raises((ValueError, deflate.DeflateError)):
            baskets._inflated(memoryview(stored)[:end], len(content))
    with pytest.raises(ValueError, match="has 200 bytes and should have 201"):
        baskets._inflated(memoryview(stored), len(content) + 1)


def test_a_damaged_basket_of_a_later_step_is_named(tmp_path):
    with TreeWriter(tmp_path / "jets.root", basket_entries=500) as out:  # so large that compressing them is worth while
        out.extend(columns(2000))
    with uproot.open({tmp_path / "jets.root": "tree"}) as tree:
        key = tree["part_px"].basket_key(3)
    data = bytearray((tmp_path / "jets.root").read_bytes())
    assert data[key.fSeekKey + key.fKeylen :][:2] == b"ZL"
    data[key.fSeekKey + key.fNbytes - 1] ^= 1  # of its checksum
    (tmp_path / "broken.root").write_bytes(data)
    steps = iterate_jets(tmp_path / "broken.root", step=500)
    for _ in range(3):
        next(steps)
    with pytest.raises(SourceError, match="branch 'part_px', entries 1500 to 2000, is damaged"):
        next(steps)
