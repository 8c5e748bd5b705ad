"""Checksums: a changed file of a tagger, of shards, of parts is refused by name, whatever changed in it."""

import json
import shutil

import numpy as np
import pytest

from hepnn import BoostedTrees, Shards, Tagger
from hepnn.errors import HepnnError, InputError, SourceError, TaggerError
from hepnn.guarded import arrays_in
from hepnn.parts import Parts
from hepnn.score_rows import ScoreRows
from tests.conftest import make_jets

N_FLIPS = 80
"""In each file, besides those in its first and last bytes."""
ENDS = 100
"""Bytes at either end of a file of which each is flipped."""


def flips(content, *, n=N_FLIPS, ends=ENDS, seed=1):
    """Yields the content with one bit flipped, again and again."""
    rng = np.random.default_rng(seed)
    places = {*range(min(ends, len(content))), *range(max(len(content) - ends, 0), len(content))}
    places |= set(rng.integers(0, len(content), n).tolist())
    for place in sorted(places):
        made = bytearray(content)
        made[place] ^= 1 << int(rng.integers(8))
        yield place, bytes(made)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A tagger of images, saved."""
    options = {"filters": (4,), "head_units": ()}
    tagger = Tagger("cnn2d", model_options=options, representation_options={"size": 9}, epochs=1)
    return tagger.fit(make_jets(120)).save(tmp_path_factory.mktemp("images") / "tagger")


@pytest.fixture(params=["cloud", "images"])
def tagger(request, folder, tmp_path):
    source = folder / "given" / "tagger" if request.param == "cloud" else request.getfixturevalue("images")
    return shutil.copytree(source, tmp_path / "tagger")


def refuses(tagger, name):
    with pytest.raises(TaggerError, match=rf"asked for the tagger in .*{name}"):
        Tagger.load(tagger)


@pytest.mark.parametrize("name", ["tagger.json", "weights.npz", "model.onnx"])
def test_a_changed_file_of_a_tagger_is_refused_by_name(tagger, name):
    path = tagger / name
    content = path.read_bytes()
    for _, flipped in flips(content):
        path.write_bytes(flipped)
        refuses(tagger, name)
    for changed in (content[:-1], content[: len(content) // 2], b"", content + b"\n", content + b"\0", content * 2):
        path.write_bytes(changed)
        refuses(tagger, name)
    path.unlink()
    refuses(tagger, name)
    path.write_bytes(content)
    Tagger.load(tagger)


@pytest.mark.parametrize("name", ["tagger.json", "weights.npz", "model.onnx"])
def test_a_file_of_another_tagger_is_refused_by_name(tagger, images, folder, name):
    other = images if 'kind": "cloud' in (tagger / "tagger.json").read_text() else folder / "given" / "tagger"
    shutil.copy(other / name, tagger / name)
    refuses(tagger, "weights.npz" if name == "tagger.json" else name)  # the first that its description does not know


def test_a_file_that_was_added_changes_nothing(tagger):
    for name in ("model.keras", "weights.npz.bak", "tagger.py", "__init__.py"):
        (tagger / name).write_text("raise SystemExit")
    Tagger.load(tagger)


def test_the_command_refuses_a_changed_file_by_name(folder, tmp_path, run):
    tagger = shutil.copytree(folder / "given" / "tagger", tmp_path / "tagger")
    for name in ("tagger.json", "weights.npz", "model.onnx"):
        content = (tagger / name).read_bytes()
        for _, flipped in flips(content, n=2, ends=0):
            (tagger / name).write_bytes(flipped)
            jets = folder / "given" / "jets.parquet"
            code, _, err = run("tag", jets, "--tagger", tagger, "-o", tmp_path / "scores.root")
            assert code == TaggerError.exit_code
            assert name in err
        (tagger / name).write_bytes(content)
    assert not (tmp_path / "scores.root").exists()


def test_a_flipped_bit_in_boosted_trees_is_refused(folder, tmp_path):
    path = tmp_path / "trees.onnx"
    content = (folder / "given" / "trees.onnx").read_bytes()
    for _, flipped in flips(content, n=4 * N_FLIPS):
        path.write_bytes(flipped)
        with pytest.raises(TaggerError, match=r"trees.onnx; they do not have their checksum"):
            BoostedTrees.load(path)
    for changed in (content[:-1], content + b"\0", b""):
        path.write_bytes(changed)
        with pytest.raises(TaggerError, match=r"trees.onnx; they do not have their checksum"):
            BoostedTrees.load(path)


@pytest.mark.parametrize("name", ["shards.json", "jets-00000.parquet"])
def test_a_flipped_bit_in_shards_is_refused_by_name(folder, tmp_path, name):
    shards = shutil.copytree(folder / "given" / "shards", tmp_path / "shards")
    content = (shards / name).read_bytes()
    for _, flipped in flips(content):
        (shards / name).write_bytes(flipped)
        with pytest.raises(SourceError, match=name):
            Shards.open(shards).read([0])


def test_a_flipped_bit_in_what_parts_belong_together_is_refused_by_name(folder, tmp_path):
    parts = Parts(shutil.copytree(folder / "given" / "scores.root.parts", tmp_path / "parts"), ScoreRows)
    content = (parts.folder / "job.json").read_bytes()
    for _, flipped in flips(content):
        (parts.folder / "job.json").write_bytes(flipped)
        with pytest.raises(InputError, match=r"job.json cannot be read"):
            parts.job()


def test_a_flipped_bit_in_a_part_is_refused_by_name_or_changes_nothing(folder, tmp_path):
    """The fields of a zip file that nobody reads, such as dates, have no checksum."""
    parts = Parts(shutil.copytree(folder / "given" / "scores.root.parts", tmp_path / "parts"), ScoreRows)
    key = json.loads((parts.folder / "job.json").read_text())["parts"][0]["key"]
    path = parts.folder / f"{key}.npz"
    content, expected = path.read_bytes(), parts.read(key)
    n_refused = n_named = 0
    for place, flipped in flips(content, n=3 * N_FLIPS):
        path.write_bytes(flipped)
        try:
            found = parts.read(key)
        except HepnnError as error:
            n_refused += 1
            n_named += path.name in str(error)
        else:
            assert found[:4] == expected[:4], place
            for name, column in expected.columns.items():
                assert found.columns[name].tolist() == column.tolist(), place
    assert n_named == n_refused > N_FLIPS


def test_a_flipped_bit_in_arrays_is_refused_or_changes_nothing(tmp_path):
    """As in the state that a training goes on from."""
    path = tmp_path / "state.npz"
    np.savez(path, about=np.array("x" * 40), state_0=np.arange(300.0), state_1=np.arange(7))
    expected = arrays_in(path)
    for place, flipped in flips(path.read_bytes(), n=2 * N_FLIPS):
        try:
            found = arrays_in(flipped)
        except ValueError:
            continue
        assert found.keys() == expected.keys(), place
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, strict=True, err_msg=str(place))
