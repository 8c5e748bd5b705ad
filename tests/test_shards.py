"""Shards hold the jets that went in, and a training streams them in an order that its seed decides."""

import itertools
import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import hepnn
from hepnn import Shards, Tagger, convert, generate_toy, open_jets, read_jets
from hepnn.cli import cli
from hepnn.errors import InputError, OutputError, SourceError
from hepnn.lessons import lesson_of_shards
from hepnn.shards import BLOCK, is_shards
from hepnn.streaming import Labelled, StreamedBatches
from tests.conftest import resealed
from tests.test_training import clouds_of

N_JETS = 1000
SMALL = {"model_options": {"encoder": (8,), "units": (8,), "head_units": (8,)}, "batch_size": 64, "epochs": 1}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return generate_toy(tmp_path_factory.mktemp("toy") / "toy.root", N_JETS, seed=1, classes=["QCD", "Tbqq"])


@pytest.fixture(scope="module")
def shards(source, tmp_path_factory):
    return convert(source, tmp_path_factory.mktemp("shards") / "shards", seed=3)


def sorted_by_pt(jets):
    return jets[ak.argsort(jets.pt)]


def test_shards_hold_the_jets_that_went_in_in_another_order(source, shards):
    jets, back = read_jets(source), shards.read(range(shards.n_blocks))
    assert shards.n_jets == len(back) == N_JETS
    assert back.pt.tolist() != jets.pt.tolist()
    jets, back = sorted_by_pt(jets), sorted_by_pt(back)
    for name in jets.fields:
        assert jets[name].tolist() == back[name].tolist(), name
    assert shards.counts == {"QCD": 500, "Tbqq": 500}
    np.testing.assert_allclose(back.mass, jets.mass)  # they behave as four-vectors


def test_a_block_is_read_alone(shards):
    whole = shards.read(range(shards.n_blocks))
    assert shards.n_blocks == -(-N_JETS // BLOCK)
    assert shards.read([1]).pt.tolist() == whole.pt[BLOCK : 2 * BLOCK].tolist()
    assert len(shards.read([shards.n_blocks - 1])) == N_JETS % BLOCK


def test_shards_are_parquet_files_that_any_command_reads(shards):
    assert sorted(read_jets(shards.folder).pt) == sorted(shards.read(range(shards.n_blocks)).pt)


def test_the_same_seed_writes_the_same_order(source, shards, tmp_path):
    again, other = convert(source, tmp_path / "again", seed=3), convert(source, tmp_path / "other", seed=4)
    assert again.read([0]).pt.tolist() == shards.read([0]).pt.tolist() != other.read([0]).pt.tolist()


def test_several_files_of_blocks_are_read_as_one(source, tmp_path, monkeypatch):
    monkeypatch.setattr("hepnn.shards._BLOCKS_A_FILE", 1)
    many = convert(source, tmp_path / "many")
    assert len(list(many.folder.glob("*.parquet"))) == many.n_blocks == 4
    assert sorted(many.read([3, 0, 1, 2]).pt) == sorted(read_jets(source).pt)


def test_what_is_there_is_kept_unless_it_may_be_replaced(source, tmp_path):
    convert(source, tmp_path / "shards")
    with pytest.raises(OutputError, match="exists already"):
        convert(source, tmp_path / "shards")
    assert convert(open_jets(source, select="pt > 600"), tmp_path / "shards", overwrite=True).n_jets < N_JETS
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(OutputError, match="holds something else than shards"):
        convert(source, tmp_path / "mine", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "shards"]


def test_a_failure_leaves_nothing_behind(source, tmp_path):
    with pytest.raises(InputError, match=r"asked to convert jets; found none"):
        convert(open_jets(source, select="pt > 1e9"), tmp_path / "shards")
    assert list(tmp_path.iterdir()) == []


def test_jets_without_labels_are_refused(tmp_path):
    jets = hepnn.toy_jets(10)
    ak.to_parquet(ak.without_field(jets, "label"), tmp_path / "jets.parquet", extensionarray=False)
    with pytest.raises(InputError, match="found no field 'label'"):
        convert(tmp_path / "jets.parquet", tmp_path / "shards")


def test_damage_is_named(source, tmp_path):
    with pytest.raises(SourceError, match=r"shards.json is missing or damaged"):
        Shards.open(tmp_path)
    made = convert(source, tmp_path / "shards")
    path = made.folder / "jets-00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"asked to read .*jets-00000.parquet"):
        made.read(range(made.n_blocks))
    path.unlink()
    with pytest.raises(SourceError, match=r"jets-00000.parquet is missing"):
        Shards.open(made.folder)
    about = made.folder / "shards.json"
    resealed(about, lambda values: values.update(format=99))
    with pytest.raises(SourceError, match="their format is 99"):
        Shards.open(made.folder)


def test_a_folder_is_shards_only_with_their_description(shards, tmp_path):
    assert is_shards(shards.folder)
    assert is_shards((str(shards.folder),))
    assert not is_shards(tmp_path)
    assert not is_shards((str(shards.folder), str(shards.folder)))


# streaming


@pytest.fixture
def streamed(monkeypatch):
    """Batches from 11 blocks of 100 jets and one of 30, three in a window; a target is the jet's number."""
    monkeypatch.setattr("hepnn.streaming.WINDOW_BLOCKS", 3)
    sizes = np.array([100] * 11 + [30])
    starts = np.cumsum(sizes) - sizes
    lengths = np.random.default_rng(0).integers(0, 60, sizes.sum())

    def read(blocks):
        rows = np.concatenate([np.arange(starts[each], starts[each] + sizes[each]) for each in blocks])
        return Labelled(clouds_of(lengths[rows]), rows, None)

    return StreamedBatches(sizes, read, settings={"batch_size": 64, "n_buckets": 4, "augment": None}, seed=5)


def rows_of(batches):
    return [targets.tolist() for _, targets in batches]


def test_every_jet_comes_once_an_epoch_and_epochs_have_as_many_batches(streamed):
    for streamed.epoch in range(4):
        rows = rows_of(streamed)
        assert len(rows) == len(streamed)
        assert sorted(itertools.chain(*rows)) == list(range(1130))


def test_the_order_is_that_of_the_seed_and_the_epoch(streamed):
    first, again = rows_of(streamed), rows_of(streamed)
    streamed.epoch = 1
    assert first == again != rows_of(streamed)
    streamed.epoch, streamed.seed = 0, 6
    assert first != rows_of(streamed)


def test_a_batch_mixes_jets_of_the_blocks_of_its_window(streamed):
    blocks = [{row // 100 for row in rows} for rows in rows_of(streamed) if len(rows) == 64]
    assert max(map(len, blocks)) == 3
    assert min(map(len, blocks)) > 1
    assert blocks[0] != blocks[-1]


def test_each_epoch_puts_other_blocks_into_a_window(streamed):
    def windows(epoch):
        streamed.epoch = epoch
        return [sorted(blocks.tolist()) for blocks in streamed.windows()]

    assert windows(0) == windows(0) != windows(1)


def test_no_more_than_two_windows_are_read_ahead(streamed):
    """One is in use, one is waiting."""
    read, seen = streamed._read, []
    streamed._read = lambda blocks: seen.append(1) or read(blocks)
    batches = iter(streamed)
    next(batches)
    assert len(seen) <= 3
    batches.close()


def test_the_padding_of_the_last_epoch_is_known(streamed):
    assert streamed.padding == 0
    slots = sum(inputs["particles_mask"].size for inputs, _ in streamed)
    filled = sum(inputs["particles_mask"].sum() for inputs, _ in streamed)
    assert streamed.padding == pytest.approx(1 - filled / slots)


def test_training_on_shards_is_decided_by_the_seed(shards):
    first, second = (Tagger(seed=2, **SMALL).fit(shards) for _ in range(2))
    for path, value in first.weights_.items():
        np.testing.assert_array_equal(second.weights_[path], value)
    assert first.classes_.tolist() == ["QCD", "Tbqq"]
    assert first.training_.padding > 0
    assert set(first.n_truncated_) == {"particles"}


def test_a_tagger_from_shards_reads_files_spelled_like_those_they_came_from(source, shards, tmp_path):
    tagger = Tagger(**SMALL).fit(shards)
    tagger.save(tmp_path / "tagger")
    hepnn.tag(source, Tagger.load(tmp_path / "tagger"), tmp_path / "scores.root")
    assert tagger.read_schema().name == "jetclass"


def test_jets_that_validate_are_not_trained_on(shards):
    tagger = Tagger(validation_fraction=0.3, **SMALL)
    batches, validating, _, _ = lesson_of_shards(tagger, shards, validation=None, weight=None)
    assert len(validating.targets) + sum(len(targets) for _, targets in batches) == N_JETS
    held_out = set(validating.tensors.collections["particles"].values[:, 0].tolist())
    trained_on = set().union(*(inputs["particles"][..., 0].ravel().tolist() for inputs, _ in batches))
    assert len(held_out & trained_on) < 0.01 * len(held_out)  # a few are equal by chance


def test_weights_of_classes_and_jets_are_multiplied(source, tmp_path):
    made = convert(open_jets(source, observers=["jet_pt"]), tmp_path / "shards")
    tagger = Tagger(class_weight={"QCD": 3, "Tbqq": 1}, **SMALL)
    batches, *_ = lesson_of_shards(tagger, made, validation=None, weight="jet_pt")
    weights = np.concatenate([weights / np.where(targets == 0, 3, 1) for _, targets, weights in batches])
    assert set(np.float32(weights)) <= set(np.float32(read_jets(source).pt))


def test_what_cannot_be_streamed_is_refused(source, shards, tmp_path):
    with pytest.raises(InputError, match="asked for weights in the field 'w'"):
        Tagger(**SMALL).fit(shards, sample_weight="w")
    with pytest.raises(InputError, match="with classes or weights beside them"):
        Tagger(**SMALL).fit(shards, ["QCD"] * N_JETS)
    few = convert(open_jets(source, select="pt > 900"), tmp_path / "few")
    assert few.n_blocks < 2
    with pytest.raises(InputError, match="two blocks of jets"):
        Tagger(**SMALL).fit(few)


def test_the_commands_convert_and_train(source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        cli.main([str(each) for each in arguments], standalone_mode=False)
        return capsys.readouterr().out

    assert "1000 jets, QCD 500, Tbqq 500" in run("convert", source, "-o", "shards")
    options = ["--option", "encoder=[8]", "--option", "units=[8]", "--option", "head_units=[8]", "--epochs", 1]
    out = run("train", "shards", "-o", "tagger", *options)
    assert "s an epoch" in out
    assert "was padding" in out
    assert json.loads(run("tag", source, "--tagger", "tagger", "-o", "scores.root", "--json"))[0]["n_jets"] == N_JETS
    assert Path("scores.root").exists()
    with pytest.raises(InputError, match="they are taken whole"):
        run("train", "shards", "-o", "tagger-2", "--max-jets", 5)
