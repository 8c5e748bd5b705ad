"""Reading and tagging against weaver-core, on the same file, with the same features and the same network.

tox -e benchmarks
"""

import os
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from hepnn import Tagger, toy_jets
from hepnn.generators.toy import TOY_CLASSES
from hepnn.scaling import fixed_scaling
from tests.benchmarks import racing
from tests.benchmarks.conftest import N_FILE
from tests.benchmarks.loading import BATCH, our_batches, their_batches
from tests.benchmarks.network import ENCODER, FEATURES, HEAD, MAX_PARTICLES, OPTIONS, UNITS, torch_model

CELL = "lstm"


@pytest.fixture(scope="module")
def peers():
    pytest.importorskip("weaver")
    from tests.benchmarks import peers

    return peers


def loaded(whose, path, description):
    """The time that a process of its own takes to make all batches."""
    command = [sys.executable, "-m", "tests.benchmarks.loading", whose, str(path), str(description)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *seconds, n_jets = done.stdout.splitlines()[-1].split()
    assert int(n_jets) == N_FILE
    return racing.Time(*map(float, seconds))


def test_reading_against_weaver(peers, toy_file, tmp_path, record):
    plain, scaled = (
        peers.data_config(
            tmp_path / f"{name}.yaml", FEATURES, length=MAX_PARTICLES, classes=TOY_CLASSES, scaled=name == "scaled"
        )
        for name in ("plain", "scaled")
    )
    scaling = fixed_scaling(FEATURES)
    for ours, theirs in zip(our_batches(toy_file), their_batches(toy_file, scaled), strict=True):
        mask = ours["particles_mask"]
        np.testing.assert_array_equal(theirs["pf_mask"][:, 0].numpy() > 0, mask)
        values = np.where(mask[..., None], scaling(ours["particles"]), 0)
        np.testing.assert_allclose(theirs["pf_features"].numpy().transpose(0, 2, 1), values, atol=1e-4)

    times = [[loaded(whose, toy_file, plain) for whose in ("ours", "theirs")] for _ in range(4)]
    ours, theirs = (racing.shortest(of_one) for of_one in zip(*times, strict=True))
    record(
        racing.rates(
            "ROOT to 17 features + mask, 128 × 512", "weaver's loader, no workers", N_FILE, ours, theirs, target=10
        )
    )


def test_tagging_against_weaver(peers, toy_file, tmp_path, record):
    import torch

    tagger = Tagger(CELL, model_options=OPTIONS, features="jetclass", scaling="fixed", augment=(), epochs=1)
    tagger.fit(toy_jets(1000, seed=2)).save(tmp_path / "tagger")
    network = torch_model(CELL, tagger.model_.get_weights(), n_classes=len(TOY_CLASSES), scaled=False)
    torch.save(peers.ForWeaver(network).state_dict(), tmp_path / "network_state.pt")
    description = peers.data_config(
        tmp_path / "features.yaml", FEATURES, length=MAX_PARTICLES, classes=tagger.classes_, scaled=True
    )
    bin_folder = Path(sys.executable).parent
    widths = [",".join(map(str, each)) for each in (ENCODER, HEAD)]
    threads = str(len(racing.cores()))
    environment = {
        **os.environ,
        peers.NETWORK: f"{CELL} {widths[0]} {UNITS} {widths[1]}",
        "OMP_NUM_THREADS": threads,
        "HEPNN_THREADS": threads,
    }

    def run(*command):
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    def ours():
        run(
            bin_folder / "hepnn", "tag", toy_file, "--tagger", tmp_path / "tagger", "-o", tmp_path / "ours.root",
            "--overwrite",
        )  # fmt: skip

    def theirs():
        run(
            bin_folder / "weaver", "--predict", "--data-test", toy_file, "--data-config", description,
            "--network-config", peers.__file__, "--model-prefix", tmp_path / "network_state.pt", "--gpus", "",
            "--num-workers", "0", "--batch-size", str(BATCH), "--predict-output", tmp_path / "theirs.root",
        )  # fmt: skip

    times = racing.in_turn(ours, theirs, repeats=3)
    written = uproot.open(tmp_path / "ours.root")["hepnn"].arrays()
    expected = uproot.open(tmp_path / "theirs.root")["Events"].arrays()
    for name in tagger.classes_:
        found, other = written[f"hepnn_{name}"], expected[f"score_label_{name}"]
        np.testing.assert_allclose(ak.to_numpy(found), ak.to_numpy(other), rtol=0, atol=1e-5)
    record(
        racing.rates(f"`hepnn tag`, whole process, {CELL}", "`weaver --predict`, no workers", N_FILE, *times, target=4)
    )
