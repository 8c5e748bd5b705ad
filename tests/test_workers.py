"""Several processes train one network: as one would, with one that writes, and without waiting for the dead."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

from hepnn import Tagger, workers
from hepnn.batches import BucketedBatches, SharedBatches
from hepnn.bundled import bundled_jets
from hepnn.clouds import Collection, ParticleCloud
from hepnn.errors import ClusterError, InputError
from hepnn.features import resolve_features
from hepnn.workers import Worker, join, worker_of
from tests.conftest import make_jets

LONGEST = 120
"""Seconds in which two processes have to come to their end."""

SETTINGS = [
    *("--max-jets", 322, "--batch-size", 32),  # 289 train: the last batch has one jet, and one worker none
    *("--model", "deepsets", "--option", "dropout=0", "--augment", ""),
    *("--epochs", 2, "--class-weight", "balanced"),
]

DYING = """
import os, sys
import keras
from hepnn import Tagger
from hepnn.errors import ClusterError
from hepnn.workers import worker_of
from tests.conftest import make_jets

rank, jets = worker_of().rank, make_jets(200)

class Dies(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if rank == 1 and epoch == 1:
            os._exit(9)

def fit(seed):
    tagger = Tagger("deepsets", epochs=3, distribute="multi-worker", seed=seed)
    try:
        tagger.fit(jets, checkpoint=f"{sys.argv[1]}/{rank}", callbacks=[Dies()])
    except ClusterError as error:
        print(error, flush=True)  # os._exit does not

fit(seed=rank)
fit(seed=7)
"""


def free_addresses(n):
    with contextlib.ExitStack() as opened:
        servers = [opened.enter_context(socket.create_server(("", 0))) for _ in range(n)]
        return [f"localhost:{server.getsockname()[1]}" for server in servers]


def run_both(arguments):
    """Runs a program in two processes that know of each other; returns exit code, stdout and stderr of each."""
    addresses = free_addresses(2)
    processes = []
    for rank in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
        processes.append(
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env={**os.environ, "TF_CONFIG": json.dumps(config), "CUDA_VISIBLE_DEVICES": ""},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        texts = [process.communicate(timeout=LONGEST) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]


def test_two_processes_learn_what_one_learns_and_the_first_alone_writes(tmp_path, run):
    command = ["train", bundled_jets(), *SETTINGS, "--json"]
    both = run_both(["-m", "hepnn", *command, "--distribute", "multi-worker", "-o", tmp_path / "two"])
    (code, out, err), (other_code, other_out, other_err) = both
    assert (code, other_code) == (0, 0), err + other_err
    assert other_out == ""
    assert re.search(r"worker 2 of 2 .* is done and writes nothing", other_err)
    code, expected, err = run(*command, "-o", tmp_path / "one")
    assert code == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    found, expected = json.loads(out), json.loads(expected)
    for name in ("loss", "val_loss", "val_auc"):
        assert found[name] == pytest.approx(expected[name], rel=0.01), name
    two, one = (Tagger.load(tmp_path / name) for name in ("two", "one"))
    for path, weights in one.weights_.items():
        np.testing.assert_allclose(two.weights_[path], weights, atol=2e-3, err_msg=path)


def test_workers_that_differ_or_die_are_named_and_the_others_end(tmp_path):
    (code, out, err), (other_code, other_out, _) = run_both(["-c", DYING, tmp_path])
    assert (code, other_code) == (0, 9), err
    for text in (out, other_out):
        assert re.search(r"does not have what the others have: seed.*Start all", text)
    assert re.search(r"worker 1 of 2 .* stopped: another one ended", out)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]  # the state after the epoch before


@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_over_workers_is_the_mean_over_the_batch(weighted):
    n_jets, n_workers, rng = 65, 3, np.random.default_rng(0)
    tensors = ParticleCloud({"particles": Collection(resolve_features(["log_pt"]))}).tensors(make_jets(n_jets))
    weights = rng.uniform(0.5, 2, n_jets) if weighted else None
    whole = BucketedBatches(tensors, np.arange(n_jets), weights, batch_size=16, n_buckets=2, seed=1)
    loss = rng.uniform(size=n_jets)
    shares = [SharedBatches(whole, rank=rank, n_workers=n_workers) for rank in range(n_workers)]
    datasets = [share.dataset().as_numpy_iterator() for share in shares]
    sizes = []
    for batch, *parts in zip(whole, *datasets, strict=True):
        means = [np.mean(loss[rows] * weights) for _, rows, weights in parts]
        factors = 1.0 if batch[2:] == () else batch[2]
        assert np.mean(means) == pytest.approx(np.mean(loss[batch[1]] * factors), rel=1e-5)
        seen = np.concatenate([rows[weights > 0] for _, rows, weights in parts])
        assert sorted(seen) == sorted(batch[1])
        sizes.append(len(seen))
    assert sorted(sizes) == [1, 16, 16, 16, 16]
    shares[0].epoch = 1
    assert whole.epoch == 1


CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


def test_the_chief_comes_first_and_the_workers_after_it():
    for rank, (kind, index) in enumerate([("chief", 0), ("worker", 0), ("worker", 1)]):
        config = json.dumps({"cluster": CLUSTER, "task": {"type": kind, "index": index}})
        assert worker_of(config) == Worker(("a:1", "b:1", "c:1"), rank)
        assert worker_of(config).is_chief == (rank == 0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "TF_CONFIG is not set. Set it in each to"),
        ("{", "found TF_CONFIG='{', which does not say who they are. Try"),
        ('{"cluster": {}}', "which does not say who they are"),
        ({"cluster": {}, "task": {"type": "worker", "index": 0}}, "found the addresses \\[\\]"),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}, "its own host:port"),
        ({"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}, "its own host:port"),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}, "is worker 2, but knows only chief 0, worker 0"),
    ],
    ids=["missing", "no JSON", "no task", "no workers", "twice the same", "no port", "unknown task"],
)
def test_a_cluster_that_makes_no_sense_is_refused(config, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(InputError, match=message):
        Tagger(distribute="multi-worker").fit(make_jets(50))


def set_workers(monkeypatch, *addresses):
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))


def test_who_has_computed_already_cannot_join(trained, monkeypatch):
    set_workers(monkeypatch, *free_addresses(1))
    with pytest.raises(ClusterError, match="TensorFlow was at work in this process before they met"):
        join()


def test_who_does_not_come_is_named(monkeypatch):
    own, other = free_addresses(2)
    set_workers(monkeypatch, own, other)
    monkeypatch.setattr(workers, "_PATIENCE", 0.5)
    with pytest.raises(ClusterError, match=rf"worker 1 of 2 \({own}\) waited 0 s for {other}\. See that they run"):
        join()


def test_a_port_that_is_taken_is_named(monkeypatch):
    with socket.create_server(("", 0)) as taken:
        own = f"localhost:{taken.getsockname()[1]}"
        set_workers(monkeypatch, own)
        with pytest.raises(ClusterError, match=f"cannot listen at {own}: .*in use.*another port"):
            join()
