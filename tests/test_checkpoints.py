"""A training that is interrupted, wherever, and goes on ends as one that was not."""

import csv
import itertools
import json
import os
import signal

import awkward as ak
import keras
import numpy as np
import pytest

from hepnn import Tagger, convert, toy_jets, training
from hepnn import checkpoints as checkpoints_module
from hepnn.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from hepnn.epoch_table import log_callbacks
from hepnn.errors import TaggerError
from hepnn.settings import fingerprint
from tests.conftest import make_jets
from tests.crashes import at_step, called_at, called_within, command, ended, kill, no_room, start, unfinished

SETTINGS = {
    "model_options": {"encoder": (4,), "units": (4,), "head_units": (4,), "dropout": 0.2},
    "class_weight": "balanced",
    "calibrate": True,
    "epochs": 3,
    "batch_size": 64,
    "n_buckets": 2,
    "seed": 5,
}
QUICK = {**SETTINGS, "model": "deepsets", "model_options": {"encoder": (4,), "head_units": (4,), "dropout": 0.2}}


class StopAt(keras.callbacks.Callback):
    """Stands for a process that is killed: at a batch of an epoch, or, if that is None, once its state is on disk."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.place, self.epoch = (epoch, batch), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, None) == self.place:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def few():
    return make_jets(300, seed=3)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "jets.parquet"
    ak.to_parquet(toy_jets(700, seed=2, classes=["Hbb", "QCD"]), path)
    return convert(path, path.parent / "shards")


def kept(tagger, folder):
    """What is on disk of a tagger and its logs, the same for the same training."""
    about = json.loads((tagger.save(folder / "tagger", overwrite=True) / "tagger.json").read_text())
    del about["training"]["seconds"], about["checksum"]  # of all, seconds included
    del about["checksums"]["model.onnx"]  # Keras counts the layers of a process, and names some of them so
    return about, (folder / "logs" / "epochs.csv").read_text()


@pytest.mark.parametrize("kind", ["arrays", "shards", "shards, several steps a call"])
def test_an_interrupted_training_ends_as_one_that_was_not(kind, few, shards, tmp_path, monkeypatch):
    jets = few if kind == "arrays" else shards
    settings = SETTINGS if kind == "arrays" else {**QUICK, "max_particles": 20}
    if kind == "shards, several steps a call":
        monkeypatch.setattr(training, "LONG", 1)
        monkeypatch.setattr(training, "STEPS_A_CALL", 2)  # so that there is a call that ends with the batch 1
    checkpoint, logs = tmp_path / "state", tmp_path / "logs"
    first = [] if kind == "arrays" else [(0, 1)]  # one of each is enough, and a network of Keras takes its time
    for place in (*first, (1, 1), (1, None), None):  # in the first epoch, in another, between two, and to the end
        stop = [] if place is None else [StopAt(*place)]
        tagger = Tagger(**settings)
        try:
            tagger.fit(jets, checkpoint=checkpoint, callbacks=[*stop, *log_callbacks(logs)])
        except KeyboardInterrupt:
            assert place is not None
        assert checkpoint.exists() == (place != (0, 1))
    resumed = kept(tagger, tmp_path)
    again = Tagger(**settings).fit(jets, checkpoint=checkpoint, callbacks=[StopAt(2, 0), *log_callbacks(logs)])
    assert kept(again, tmp_path) == resumed  # without another epoch
    whole = Tagger(**settings).fit(jets, callbacks=log_callbacks(logs))
    assert kept(whole, tmp_path) == resumed
    assert whole.temperature_ != 1
    for path, value in whole.weights_.items():
        np.testing.assert_array_equal(tagger.weights_[path], value)
    rows = list(csv.DictReader(resumed[1].splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert len({row["learning_rate"] for row in rows}) == 3
    assert [float(row["val_auc"]) for row in rows] == whole.training_.history["val_auc"]


def test_early_stopping_counts_epochs_before_the_interruption(few, tmp_path):
    settings = {**QUICK, "epochs": 12, "patience": 2, "learning_rate": 0.1, "calibrate": False}
    whole = Tagger(**settings).fit(few)
    best, last = whole.training_.best_epoch, len(whole.training_.history["loss"]) - 1
    assert last == best + 2 < 11
    with pytest.raises(KeyboardInterrupt):
        Tagger(**settings).fit(few, checkpoint=tmp_path / "state", callbacks=[StopAt(last - 1, None)])
    resumed = Tagger(**settings).fit(few, checkpoint=tmp_path / "state")
    assert resumed.training_.history == whole.training_.history
    assert resumed.training_.best_epoch == best


@pytest.fixture(scope="module")
def state(few, tmp_path_factory):
    """A checkpoint after one epoch of a quick training."""
    path = tmp_path_factory.mktemp("state") / "state"
    return quick(few, path), path


def quick(jets, checkpoint, *, validation=None, **settings):
    options = {**QUICK, "epochs": 1, "calibrate": False, **settings}
    return Tagger(**options).fit(jets, checkpoint=checkpoint, validation=validation)


def other_features(jets):
    return ak.with_field(jets, ak.with_field(jets.particles, 1.001 * jets.particles.pt, "pt"), "particles")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda few: {"learning_rate": 0.5}, "learning_rate = 0.002, this one has 0.5"),
        (lambda few: {"model": "gru"}, "model = 'deepsets', this one has 'gru'"),
        (lambda few: {"jets": other_features(few)}, "jets = 270 with the checksum"),
        (
            lambda few: {"validation": other_features(few)[:100]},
            "jets = 270 with the checksum .* this one has 300 with",
        ),
        (lambda few: {"class_weight": None}, "class_weight = 'balanced', this one has None"),
    ],
    ids=["an option", "another model", "other jets", "other validation", "other weights"],
)
def test_the_state_of_another_training_is_refused_by_name(few, state, change, named):
    with pytest.raises(TaggerError, match=f"asked to go on from .*; that training had {named}"):
        quick(**{"jets": few, "checkpoint": state[1], **change(few)})


def test_other_shards_are_refused(shards, tmp_path):
    path = tmp_path / "jets.parquet"
    ak.to_parquet(toy_jets(700, seed=3, classes=["Hbb", "QCD"]), path)
    others = convert(path, tmp_path / "shards")
    assert others.counts == shards.counts
    assert others.checksum() != shards.checksum()
    assert convert(path, tmp_path / "again").checksum() == others.checksum()


def own_feature(particles, jet):
    return particles.pt


def test_a_fingerprint_has_the_version_and_no_addresses(monkeypatch):
    asked = {"representation": "", "classes": np.array(["a", "b"]), "inputs": {}, "jets": {}}
    found = fingerprint({"features": [own_feature], "model": own_feature}, **asked)
    assert found["model"] == "<function own_feature>"
    assert " at 0x" not in "".join(found.values())
    monkeypatch.setattr("hepnn.settings.__version__", "0.0")
    assert fingerprint({"features": [own_feature], "model": own_feature}, **asked) == {
        **found,
        "version of hepnn": "0.0",
    }


def epoch_of(n):
    return Checkpoint({"epoch": n}, {"state": [np.full(2000, n), np.full((3, 3), n)], "best": []})


def loaded(path):
    return load_checkpoint(path, fingerprint={"a": "1"}, names=("state", "best"))


def test_a_checkpoint_whose_writing_is_killed_is_that_of_the_epoch_before_or_the_new_one(tmp_path):
    path, found = tmp_path / "state", []
    for n in itertools.count(1):
        save_checkpoint(epoch_of(1), path, fingerprint={"a": "1"})
        code = ended(
            start(called_at, tmp_path, n, kill, save_checkpoint, (epoch_of(2), path), {"fingerprint": {"a": "1"}})
        )
        there = loaded(path)
        assert all((array == there.about["epoch"]).all() for array in there.arrays["state"])
        found.append(there.about["epoch"])
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert (found[0], found[-1]) == (1, 2)
    save_checkpoint(epoch_of(1), path, fingerprint={"a": "1"})
    for n_bytes in (1, 1000, 10_000):  # and in the middle of a write
        arguments = (n_bytes, save_checkpoint, (epoch_of(2), path), {"fingerprint": {"a": "1"}})
        assert ended(start(called_within, *arguments)) == -signal.SIGXFSZ
        assert loaded(path).about["epoch"] == 1
    save_checkpoint(epoch_of(1), path, fingerprint={"a": "1"})
    assert unfinished(tmp_path) == []


def test_a_checkpoint_that_is_cut_short_or_something_else_is_refused(tmp_path):
    path = tmp_path / "state"
    assert loaded(path) is None
    save_checkpoint(epoch_of(1), path, fingerprint={"a": "1"})
    whole = path.read_bytes()
    for content in (b"", whole[:1000], b"not a checkpoint", np.float64(3).tobytes()):
        path.write_bytes(content)
        with pytest.raises(TaggerError, match=r"asked to go on from .*state; it cannot be read"):
            loaded(path)


def test_a_checkpoint_is_no_pickle(state):
    with np.load(state[1], allow_pickle=False) as arrays:
        assert all(array.dtype != object for array in arrays.values())


def test_a_terminated_training_goes_on_also_after_a_full_disk(tmp_path, monkeypatch):
    """On the command line."""
    out, logs = tmp_path / "tagger", tmp_path / "logs"
    ak.to_parquet(make_jets(200), tmp_path / "jets.parquet")
    options = ("--model", "deepsets", "--option", "encoder=[4]", "--option", "head_units=[4]", "--features", "log_pt")
    train = ("train", tmp_path / "jets.parquet", "-o", out, "--epochs", "2", "--logs", logs, *options)
    real = checkpoints_module.np.savez

    def terminated_after_an_epoch(*arguments, **arrays):
        real(*arguments, **arrays)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(checkpoints_module.np, "savez", terminated_after_an_epoch)
    code, said = command(*train)
    assert (code, said.splitlines()[-1]) == (143, "terminated")
    assert unfinished(tmp_path) == []
    monkeypatch.setattr(checkpoints_module.np, "savez", real)
    with at_step(tmp_path, 1, no_room, stays=True):
        code, said = command(*train)
    assert code == 7
    assert "the disk is full" in said
    assert "Traceback" not in said
    with at_step(out.with_name(".tagger."), 1, no_room, stays=True):
        code, said = command(*train)
    assert code == 7
    assert "the disk is full" in said
    assert f"The state after the last whole epoch is in {tmp_path}/.tagger.checkpoint; go on with --resume." in said
    assert unfinished(tmp_path) == [".tagger.checkpoint"]
    code, said = command(*train, "--resume")
    assert code == 0
    assert "epoch 1/2" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jets.parquet", "logs", "tagger"]
    code, said = command(*train[:3], tmp_path / "other", *train[4:])
    assert code == 7
    assert "epochs.csv, which exists already" in said
