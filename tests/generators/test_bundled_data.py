import hashlib
import re
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def readme():
    return (DATA / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def jets():
    with uproot.open({DATA / "quark_gluon.root": "tree"}) as tree:
        return tree.arrays()


def stated(pattern, text):
    return re.search(pattern, text)[1]


def test_the_file_is_the_one_described(readme):
    content = (DATA / "quark_gluon.root").read_bytes()
    assert hashlib.sha256(content).hexdigest() == stated(r"\| sha256 \| `(\w+)` \|", readme)
    assert len(content) == int(stated(r"\| size \| (\d+) bytes \|", readme))
    assert len(content) <= 8_000_000


def test_the_numbers_of_jets_are_those_stated(readme, jets):
    numbers = re.search(r"\| jets \| (\d+): (\d+) quark jets and (\d+) gluon jets", readme).groups()
    found = (len(jets), ak.sum(jets.label_quark), ak.sum(jets.label_gluon))
    assert found == tuple(map(int, numbers))
    assert f"--jets {numbers[0]} " in readme
    assert len(jets) >= 10_000
    assert ak.all(jets.label_quark != jets.label_gluon)


def test_the_multiplicities_are_those_stated(readme, jets):
    quark, gluon = re.search(r"\| mean number of particles \| ([\d.]+) ± 0.2 \| ([\d.]+) ± 0.2 \|", readme).groups()
    assert ak.mean(jets.npart[jets.label_quark]) == pytest.approx(float(quark), abs=0.05)
    assert ak.mean(jets.npart[jets.label_gluon]) == pytest.approx(float(gluon), abs=0.05)
    assert ak.all(jets.npart == ak.num(jets.part_px))


def test_the_branches_are_those_stated(readme, jets):
    table = readme.split("| branch | type | meaning |")[1].split("\n\n")[0]
    names = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table.splitlines()[2:]))
    assert set(names) == set(jets.fields)


def test_the_jets_are_selected(jets):
    assert ak.all((jets.jet_pt >= 500) & (jets.jet_pt <= 550))
    momentum = jets.jet_pt * np.sinh(jets.jet_eta)
    assert ak.all(abs(np.arctanh(momentum / jets.jet_energy)) < 1.7)
    assert ak.all(np.isin(abs(ak.to_numpy(ak.flatten(jets.part_pid))), [12, 14, 16], invert=True))


def test_the_rounding_is_as_described(readme, jets):
    px, py, pz, energy = (ak.values_astype(jets[f"part_{name}"], "float64") for name in ("px", "py", "pz", "energy"))
    assert ak.all(energy >= np.sqrt(px**2 + py**2 + pz**2))
    sums = [ak.to_numpy(ak.sum(component, axis=1)) for component in (px, py, pz, energy)]
    pt, jet_pt = np.hypot(sums[0], sums[1]), ak.to_numpy(jets.jet_pt).astype(float)
    assert np.quantile(abs(pt / jet_pt - 1), 0.68) == pytest.approx(6e-5, abs=0.5e-5)
    mass = np.sqrt(np.maximum(sums[3] ** 2 - pt**2 - sums[2] ** 2, 0))
    momentum = jet_pt * np.cosh(ak.to_numpy(jets.jet_eta).astype(float))
    jet_mass = np.sqrt(np.maximum(ak.to_numpy(jets.jet_energy).astype(float) ** 2 - momentum**2, 0))
    massive = jet_mass > 1
    errors = abs(mass[massive] / jet_mass[massive] - 1)
    assert np.quantile(errors, 0.68) == pytest.approx(float(stated(r"([\d.]+) % of the mass", readme)) / 100, abs=1e-4)
    for name in ("px", "py", "pz"):
        assert not (ak.to_numpy(ak.flatten(jets[f"part_{name}"])).view(np.uint32) & (2**13 - 1)).any()
