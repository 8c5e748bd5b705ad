"""Jets for tests: small, seeded, made with NumPy alone, in the shape of the jet contract."""

from __future__ import annotations

import json
import sys

import awkward as ak
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import hepnn.jets  # noqa: F401  # jets behave as four-vectors
from hepnn.cli import main
from hepnn.guarded import seal

settings.register_profile("quick", max_examples=12, derandomize=True, deadline=None, database=None)
settings.register_profile(
    "thorough", max_examples=1000, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("quick")  # pytest --hypothesis-profile=thorough takes the other

PIDS = np.array([211, -211, 22, 130, 321, -321, 2212, -2212, 2112, 11, -11, 13])


def make_jets(n_jets: int, *, seed: int = 0, labels: bool = True) -> ak.Array:
    """Two classes that differ in multiplicity and width; the first jets are empty and of one particle."""
    rng = np.random.default_rng(seed)
    is_wide = rng.random(n_jets) < 0.5
    counts = rng.poisson(np.where(is_wide, 14, 7))
    counts[: min(2, n_jets)] = [0, 1][: min(2, n_jets)]
    wide = np.repeat(is_wide, counts)
    n = len(wide)
    jet = {
        "pt": rng.uniform(500, 550, n_jets),
        "eta": rng.uniform(-1.7, 1.7, n_jets),
        "phi": rng.uniform(-np.pi, np.pi, n_jets),
    }
    jet["energy"] = np.hypot(jet["pt"] * np.cosh(jet["eta"]), 30.0)
    spread = np.where(wide, 0.15, 0.06)
    pt = rng.exponential(20.0, n) + 0.5
    eta = np.repeat(jet["eta"], counts) + rng.normal(0, spread)
    phi = (np.repeat(jet["phi"], counts) + rng.normal(0, spread) + np.pi) % (2 * np.pi) - np.pi
    pid = rng.choice(PIDS, n)
    particles = ak.zip(
        {
            "pt": pt,
            "eta": eta,
            "phi": phi,
            "energy": np.hypot(pt * np.cosh(eta), 0.14),
            "pid": pid,
            "d0": np.where(np.isin(pid, [22, 130, 2112]), np.nan, rng.normal(0, 0.1, n)),
        },
        with_name="Momentum4D",
    )
    particles = ak.unflatten(particles, counts)
    particles = particles[ak.argsort(particles.pt, ascending=False)]
    fields = {**jet, "particles": particles}
    if labels:
        fields["label"] = ak.Array(np.where(is_wide, "gluon", "quark").tolist())
    return ak.to_packed(ak.zip(fields, depth_limit=1, with_name="Momentum4D"))


def resealed(path, change):
    """Changes a description of hepnn's, and gives it the checksum that it then has to have."""
    values = json.loads(path.read_text())
    del values["checksum"]
    change(values)
    path.write_text(seal(json.dumps(values)))


@pytest.fixture(scope="session")
def jets() -> ak.Array:
    return make_jets(600)


@pytest.fixture(scope="session")
def trained(jets):
    """A small GRU, trained once for all tests that only look at it."""
    from hepnn import Tagger

    options = {"encoder": (8,), "units": (8,), "head_units": (8,)}
    return Tagger("gru", model_options=options, epochs=6, batch_size=32, seed=3, n_buckets=3).fit(jets)


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command in this process; returns its exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["hepnn", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call
