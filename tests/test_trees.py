import os
import resource
import tempfile
import zlib
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from hepnn import trees
from hepnn.columns import WRITABLE
from hepnn.errors import InputError, OutputError
from hepnn.trees import TreeWriter


def jagged(lists, dtype="float32"):
    return ak.values_astype(ak.Array(lists), dtype)


def read(path):
    with uproot.open({path: "tree"}) as tree:
        return tree.arrays()


def leftovers(folder):
    return [path.name for path in folder.iterdir() if ".part" in path.name]


def write(path, *chunks, before_the_end=None, **settings):
    with TreeWriter(path, **settings) as out:
        for chunk in chunks:
            out.extend(chunk)
        if before_the_end is not None:
            before_the_end(out)


def stop(error):
    def raise_it(out):
        raise error

    return raise_it


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jets.root"


@pytest.mark.parametrize("dtype", WRITABLE)
def test_values_come_back_with_their_type(path, dtype):
    values = np.array([0, 1, 100]).astype(dtype)
    with TreeWriter(path) as out:
        out.extend({"x": values, "part_x": ak.unflatten(values, [2, 0, 1])})
    found = read(path)
    assert found["x"].type.content.primitive == dtype
    assert found["x"].tolist() == values.tolist()
    assert found["part_x"].tolist() == [values[:2].tolist(), [], values[2:].tolist()]
    assert found["part_x"].type.content.content.primitive == dtype


def test_half_precision_is_widened(path):
    with TreeWriter(path) as out:
        out.extend({"x": np.array([0.5, 2.0], "float16")})
    assert read(path)["x"].type.content.primitive == "float32"
    assert read(path)["x"].tolist() == [0.5, 2]


def test_not_a_number_and_infinite_values_are_kept(path):
    with TreeWriter(path) as out:
        out.extend({"x": np.array([np.nan, np.inf, -np.inf])})
    np.testing.assert_array_equal(ak.to_numpy(read(path)["x"]), [np.nan, np.inf, -np.inf])


def test_jagged_branches_of_one_prefix_share_a_counter(path):
    with TreeWriter(path) as out:
        out.extend(
            {
                "part_px": jagged([[1, 2], [3]]),
                "jet_pt": np.ones(2),
                "part_d0_error": jagged([[4, 5], [6]]),
                "weights": jagged([[7], [8, 9]]),
            }
        )
    found = read(path)
    assert set(found.fields) == {"jet_pt", "npart", "part_px", "part_d0_error", "nweights", "weights"}
    assert found["npart"].tolist() == [2, 1]
    assert found["part_d0_error"].tolist() == [[4, 5], [6]]
    assert found["weights"].tolist() == [[7], [8, 9]]


def test_small_chunks_are_collected_into_large_baskets(path):
    with TreeWriter(path) as out:
        for start in range(0, 25_000, 100):
            out.extend({"x": np.arange(start, start + 100)})
        assert out.entries == 25_000
    with uproot.open({path: "tree"}) as tree:
        assert tree["x"].num_baskets == 3
        np.testing.assert_array_equal(tree["x"].array(library="np"), np.arange(25_000))


def test_baskets_of_many_bytes_have_fewer_rows(path, monkeypatch):
    monkeypatch.setattr(trees, "BASKET_BYTES", 8_000)
    lists = ak.unflatten(np.arange(10_000), np.full(100, 100))
    with TreeWriter(path) as out:
        out.extend({"part_x": lists[:50]})
        out.extend({"part_x": lists[50:]})
    with uproot.open({path: "tree"}) as tree:
        assert tree["part_x"].num_baskets == 10
        assert ak.array_equal(tree["part_x"].array(), lists)


def test_the_size_of_baskets_can_be_chosen(path):
    with TreeWriter(path, basket_entries=300) as out:
        out.extend({"x": np.arange(1000)})
    with uproot.open({path: "tree"}) as tree:
        assert tree["x"].num_baskets == 4
        np.testing.assert_array_equal(tree["x"].array(library="np"), np.arange(1000))


def test_a_chunk_is_copied(path):
    values = np.zeros(3)
    with TreeWriter(path) as out:
        out.extend({"x": values})
        values[:] = 1
    assert read(path)["x"].tolist() == [0, 0, 0]


def test_slices_of_larger_arrays_are_written_as_seen(path):
    lists = jagged([[1], [2, 3], [], [4, 5, 6]])
    with TreeWriter(path) as out:
        out.extend({"part_x": lists[[3, 1]], "x": np.arange(10)[::5]})
        out.extend({"part_x": lists[1:3], "x": np.arange(10)[2:4]})
    assert read(path)["part_x"].tolist() == [[4, 5, 6], [2, 3], [2, 3], []]
    assert read(path)["x"].tolist() == [0, 5, 2, 3]


def test_empty_chunks_make_a_tree_with_all_branches(path):
    with TreeWriter(path) as out:
        out.extend({"x": np.empty(0, "int16"), "part_x": jagged([[1.0]])[:0]})
    found = read(path)
    assert len(found) == 0
    assert set(found.fields) == {"x", "npart", "part_x"}


def test_declared_types_make_up_for_untyped_lists(path):
    with TreeWriter(path, types={"part_x": "float32"}) as out:
        out.extend({"part_x": ak.Array([[], []])})
        out.extend({"part_x": ak.Array([[1.5]])})
    assert read(path)["part_x"].tolist() == [[], [], [1.5]]


def test_untyped_lists_without_a_declared_type_are_refused(path):
    with pytest.raises(OutputError, match=r"'part_x'.*have no type"):
        write(path, {"part_x": ak.Array([[], []])})


@pytest.mark.parametrize("level", [1, 4, 9])
def test_baskets_are_compressed_with_zlib(path, level):
    with TreeWriter(path, level=level) as out:
        out.extend({"x": np.zeros(1000)})
    assert path.read_bytes().count(b"ZL\x08") >= 1
    with uproot.open({path: "tree"}) as tree:
        assert tree.file.compression == uproot.ZLIB(level)
        assert tree["x"].compressed_bytes < tree["x"].uncompressed_bytes / 10


@pytest.mark.parametrize("level", [1, 4, 9])
def test_baskets_are_zlib_and_no_larger_than_pythons_own_on_floats(level):
    data = np.random.default_rng(1).normal(size=20_000).astype(">f4").tobytes()
    compressed = trees._compression(level).compress(data)
    assert zlib.decompress(compressed) == data
    assert len(compressed) <= len(zlib.compress(data, level))


@pytest.mark.parametrize(
    ("dtype", "values", "entry"),
    [
        ("float32", np.array([1.0, 1e300]), 3),
        ("int32", np.array([2**40, 1]), 2),
        ("uint8", np.array([3, 300]), 3),
        ("int32", np.array([1.0, 1.5]), 3),
        ("int64", np.array([1.0, np.nan]), 3),
        ("float32", jagged([[1.0, 3.0], [], [2.0, 1e300]], "float64"), 4),
        ("int32", jagged([[], [1, 2**40]], "int64"), 3),
    ],
    ids=[
        "1e300-float32",
        "2**40-int32",
        "300-uint8",
        "1.5-int32",
        "nan-int64",
        "jagged-float32",
        "jagged-int32",
    ],
)
def test_values_that_do_not_fit_are_named_with_their_entry(path, dtype, values, entry):
    first = ak.unflatten(np.zeros(2, dtype), [1, 1]) if isinstance(values, ak.Array) else np.zeros(2, dtype)
    with pytest.raises(OutputError, match=rf"into the {dtype} branch 'part_x'.*entry {entry}: it does not fit"):
        write(path, {"part_x": first}, {"part_x": values}, types={"part_x": dtype})
    assert not path.exists()


def test_rounding_a_float_is_no_misfit(path):
    with TreeWriter(path, types={"x": "float32"}) as out:
        out.extend({"x": np.array([0.1, np.inf])})
    assert read(path)["x"].tolist() == [np.float32(0.1), np.inf]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"x": np.ones(1)}, "without 'part_x'.*the first chunk had it"),
        ({"x": np.ones(1), "part_x": jagged([[1]]), "y": np.ones(1)}, "'y'.*had no such column"),
        ({"x": np.ones(1, "int32"), "part_x": jagged([[1]])}, "'x'.*as int32 after 2 entries.*had float64"),
        ({"x": np.ones(1), "part_x": jagged([[1]], "float64")}, "'part_x'.*as float64.*had float32"),
        (
            {"x": np.ones(1), "part_x": np.ones(1, "float32")},
            "one value an entry; the first chunk had a list",
        ),
        (
            {"x": jagged([[1]], "float64"), "part_x": jagged([[1]])},
            "a list of values an entry.*had one value",
        ),
        ({"x": np.ones(2), "part_x": jagged([[1]])}, "1 entries of 'part_x'.*but 2 of 'x'"),
    ],
    ids=["fewer", "more", "dtype", "jagged-dtype", "flat", "lists", "length"],
)
def test_a_chunk_unlike_the_first_is_refused(path, second, message):
    with pytest.raises(OutputError, match=message):
        write(path, {"x": np.ones(2), "part_x": jagged([[1], []])}, second)
    assert not path.exists()
    assert not leftovers(path.parent)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "without columns"),
        (
            {"part_x": jagged([[1], []]), "part_y": jagged([[1], [2]])},
            "1 values of 'part_y' but 0 .* in entry 1",
        ),
        ({"part_x": jagged([[1]]), "npart": np.ones(1, "int32")}, "'npart'.*rename 'npart'"),
        ({"part_x": jagged([[1]]), "part": np.ones(1)}, "'part' .*rename 'part'"),
        ({"x": np.array(["a"])}, "'x' as <U1; a tree takes only bool"),
        ({"x": np.array([1j])}, "'x' as complex128"),
        ({"x": ak.Array(["a"])}, "'x'.*not numeric|'x' of type"),
        ({"x": np.ones((2, 2))}, r"'x' of shape \(2, 2\)"),
        ({"x": np.float64(1)}, r"'x' of shape \(\)"),
        ({"x": ak.Array([[[1.0]]])}, "'x' of type .*one level of lists"),
        ({"x": ak.Array([{"y": 1}])}, "'x' of type .*own column"),
        ({"x": ak.Array([1.0, None])}, "row 1 of the chunk has a missing value"),
        ({"x": ak.Array([[1.0], [2.0, None]])}, "row 1 of the chunk has a missing value"),
        ({"x": ak.Array([[1.0], None])}, "row 1 of the chunk has a missing value"),
    ],
    ids=[
        "none",
        "counts",
        "counter",
        "group",
        "text",
        "complex",
        "strings",
        "matrix",
        "scalar",
        "deep",
        "record",
        "missing",
        "missing-in-list",
        "missing-list",
    ],
)
def test_columns_that_a_tree_cannot_hold_are_refused(path, columns, message):
    with pytest.raises(OutputError, match=message):
        write(path, columns)
    assert not path.exists()


def test_options_without_a_missing_value_are_written(path):
    with TreeWriter(path) as out:
        out.extend({"x": ak.Array([1.0, None])[:1], "part_x": ak.Array([[1.0, 2.0], None])[:1]})
    assert read(path)["part_x"].tolist() == [[1.0, 2.0]]


def test_an_existing_file_is_not_overwritten_unasked(path):
    path.write_text("precious")
    with pytest.raises(OutputError, match=r"exists already.*overwrite=True"):
        TreeWriter(path)
    assert path.read_text() == "precious"
    with TreeWriter(path, overwrite=True) as out:
        out.extend({"x": np.ones(1)})
    assert read(path)["x"].tolist() == [1]


def test_a_file_that_appears_meanwhile_is_not_overwritten(path):
    with pytest.raises(OutputError, match="exists already"):
        write(path, {"x": np.ones(1)}, before_the_end=lambda out: path.write_text("precious"))
    assert path.read_text() == "precious"
    assert not leftovers(path.parent)


def test_an_exception_leaves_the_earlier_file_and_nothing_else(path):
    path.write_text("precious")
    with pytest.raises(KeyboardInterrupt):
        write(path, {"x": np.ones(20_000)}, before_the_end=stop(KeyboardInterrupt()), overwrite=True)
    assert path.read_text() == "precious"
    assert not leftovers(path.parent)


def test_a_partial_file_is_kept_on_request_and_named(path):
    with pytest.raises(RuntimeError, match="stopped") as caught:
        write(path, {"x": np.arange(15_000)}, before_the_end=stop(RuntimeError("stopped")), keep_partial=True)
    (part,) = (found.name for found in path.parent.iterdir())
    assert f"The first 15000 entries are in {path.parent / part}" in caught.value.__notes__[0]
    assert read(path.parent / part)["x"].tolist() == list(range(15_000))
    assert not path.exists()


def test_what_is_written_can_be_read_while_writing_goes_on(path):
    with TreeWriter(path) as out:
        out.extend({"x": np.arange(12_000)})
        (part,) = leftovers(path.parent)
        assert len(read(path.parent / part)) == 10_000


def test_a_tree_that_does_not_read_back_is_not_put_in_place(path):
    def lose_the_rest(out):
        out._ttree.extend = lambda rows: None
        out.extend({"x": np.ones(1)})

    with pytest.raises(OutputError, match=r"asked to write 10001 entries.*read back"):
        write(path, {"x": np.ones(10_000)}, before_the_end=lose_the_rest)
    assert not path.exists()
    assert not leftovers(path.parent)


def test_a_full_disk_is_an_output_error(path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(
            OutputError, match=r"the disk is full after 0.0\d* MB: File too large. .* MB are free in .*: make room"
        ):
            write(path, {"x": np.random.default_rng(1).random(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not path.exists()
    assert not leftovers(path.parent)


def test_a_folder_that_cannot_be_written_to_is_an_output_error():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        # permissions do not bind root
        os.seteuid(65534 if user == 0 else user)
        try:
            with pytest.raises(OutputError, match="Check the folder, its permissions"):
                write(folder / "x.root", {"x": np.ones(1)})
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere; create it"):
        TreeWriter(tmp_path / "nowhere" / "x.root")


def test_a_folder_as_target_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="which is a folder; add a file name"):
        TreeWriter(tmp_path)


def test_no_chunk_at_all_is_an_output_error(path):
    with pytest.raises(OutputError, match="no chunk came"):
        write(path)
    assert not leftovers(path.parent)


def test_writing_outside_a_with_statement_is_an_output_error(path):
    with pytest.raises(OutputError, match="not open; use `with"):
        TreeWriter(path).extend({"x": np.ones(1)})


@pytest.mark.parametrize(
    ("setting", "value"), [("tree", "a/b"), ("tree", ""), ("level", 0), ("level", 10), ("basket_entries", 0)]
)
def test_settings_without_sense_are_refused(path, setting, value):
    with pytest.raises(InputError, match="asked for"):
        TreeWriter(path, **{setting: value})


def test_a_colon_in_the_path_is_part_of_the_name(tmp_path):
    path = tmp_path / "a:b.root"
    with TreeWriter(path) as out:
        out.extend({"x": np.ones(1)})
    assert read(path)["x"].tolist() == [1]
