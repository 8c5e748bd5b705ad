import sys

import awkward as ak
import numpy as np
import pytest
import uproot
import vector

from hepnn.errors import DependencyError, InputError, OutputError
from hepnn.generators import quark_gluon
from hepnn.generators.quark_gluon import generate_quark_gluon, rounded

N_JETS = 25
BRANCHES = {
    *("jet_pt", "jet_eta", "jet_phi", "jet_energy", "label_quark", "label_gluon", "npart"),
    *("part_px", "part_py", "part_pz", "part_energy", "part_pid"),
}


def read(path):
    with uproot.open({path: "tree"}) as tree:
        return tree.arrays()


def four_momenta(jets):
    return vector.zip(
        {name: ak.values_astype(jets[f"part_{name}"], "float64") for name in ("px", "py", "pz", "energy")}
    )


@pytest.fixture(scope="module")
def progress():
    return []


@pytest.fixture(scope="module")
def jets(tmp_path_factory, progress):
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")
    path = tmp_path_factory.mktemp("quark_gluon") / "jets.root"
    generate_quark_gluon(path, N_JETS, seed=5, processes=1, progress=lambda *seen: progress.append(seen))
    return read(path)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory, jets):
    path = tmp_path_factory.mktemp("quark_gluon") / "coarse.root"
    generate_quark_gluon(path, N_JETS, seed=5, processes=1, mantissa_bits=10)
    return read(path)


def test_branches_and_their_types(jets):
    assert set(jets.fields) == BRANCHES
    assert str(jets.jet_pt.type.content) == "float32"
    assert str(jets.label_quark.type.content) == "bool"
    assert str(jets.part_pid.type.content) == "var * int32"
    assert str(jets.part_energy.type.content) == "var * float32"


def test_half_are_quark_jets_in_mixed_order(jets):
    assert (ak.sum(jets.label_quark), ak.sum(jets.label_gluon)) == (13, 12)
    assert ak.all(jets.label_quark != jets.label_gluon)
    assert not ak.all(jets.label_quark[:13])


def test_progress_is_told(jets, progress):
    assert progress == [(N_JETS, N_JETS)]


def test_jets_are_selected(jets):
    assert ak.all((jets.jet_pt >= 500) & (jets.jet_pt <= 550))
    pz = jets.jet_pt * np.sinh(jets.jet_eta)
    assert ak.all(abs(np.arctanh(pz / jets.jet_energy)) < 1.7)


def test_jets_are_the_sums_of_their_particles(jets):
    total = ak.sum(four_momenta(jets), axis=1)
    np.testing.assert_allclose(total.pt, jets.jet_pt, rtol=1e-6)
    np.testing.assert_allclose(total.eta, jets.jet_eta, atol=1e-6)
    np.testing.assert_allclose(total.phi, jets.jet_phi, atol=1e-6)
    np.testing.assert_allclose(total.energy, jets.jet_energy, rtol=1e-6)


def event(*particles, incoming=(21, 2)):
    """An event of massless particles (code, pt, rapidity, azimuth), and one that is not final."""
    momenta = [
        {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(y), "e": pt * np.cosh(y)}
        for _, pt, y, phi in [*particles, (22, 600, 0, 1)]
    ]
    codes = [particle[0] for particle in particles] + [22]
    status = [1] * len(particles) + [-1]
    rows = [{"id": code, "status": s, "p": p, "m": 0.0} for code, s, p in zip(codes, status, momenta, strict=True)]
    return {"prt": rows, "info": {"id1": incoming[0], "id2": incoming[1]}}


def test_the_leading_jet_is_selected_as_worked_out_by_hand():
    fastjet = pytest.importorskip("fastjet")
    events = [
        event((22, 520, 0, 0), (22, 540, 0, 3)),
        event((22, 521, 0, 0), (22, 560, 0, 3)),  # the leading one is too hard
        event((22, 522, 1.8, 0)),  # too far forward
        event((22, 490, 0, 0)),
        event((22, 523, 0, 0), (-14, 20, 0, 0.1)),
        event((22, 524, 0, 0), incoming=(4, 21)),  # charm
        event((22, 525, 0, 0), incoming=(21, -3)),
        event((22, 526, 0, 0), incoming=(4, -4)),  # a gluon
        event((22, 300, 0, 0), (211, 240, 0, 0.2), (130, 30, 0, 0.7)),
    ]
    found = quark_gluon._selected(ak.Array(events), fastjet)
    assert found.pt.tolist() == pytest.approx(
        [540, 523, 525, 526, np.hypot(300 + 240 * np.cos(0.2), 240 * np.sin(0.2))]
    )
    assert found.particles.pid.tolist() == [[22], [22], [22], [22], [22, 211]]


def test_particles_are_ordered_and_inside_the_jet(jets):
    particles = four_momenta(jets)
    assert ak.all(particles.pt[:, 1:] <= particles.pt[:, :-1])
    axis = vector.zip({name: jets[f"jet_{name}"] for name in ("pt", "eta", "phi", "energy")})
    # clustering measures distances in rapidity; a soft proton's pseudorapidity can be far from it
    distance = particles.deltaRapidityPhi(axis)
    assert ak.max(distance) < 0.6
    assert np.quantile(ak.to_numpy(ak.flatten(distance)), 0.99) < 0.4


def test_particles_are_stable_and_visible(jets):
    found = set(np.unique(abs(ak.to_numpy(ak.flatten(jets.part_pid)))).tolist())
    assert {22, 130, 211, 321, 2112, 2212} <= found
    assert found <= {11, 13, 22, 130, 310, 211, 321, 2112, 2212, 3112, 3122, 3222, 3312, 3322, 3334}
    assert found & {11, 13, 22} >= {22}


def test_particles_have_their_masses(jets):
    particles = four_momenta(jets)
    slow_pions = particles[(abs(jets.part_pid) == 211) & (particles.p < 5)]
    np.testing.assert_allclose(ak.flatten(slow_pions.mass), 0.13957, atol=2e-3)


def test_gluon_jets_have_more_particles(jets):
    means = [ak.mean(jets.npart[jets[name]]) for name in ("label_quark", "label_gluon")]
    assert 25 < means[0] < 42
    assert 45 < means[1] < 65


def test_the_same_seed_gives_the_same_jets(jets, coarse):
    for name in ("jet_pt", "jet_eta", "label_quark", "part_pid", "npart"):
        assert ak.array_equal(jets[name], coarse[name])


def test_another_seed_and_other_processes(tmp_path, jets, monkeypatch):
    monkeypatch.setattr(quark_gluon, "BLOCK_JETS", 2)
    alone = read(generate_quark_gluon(tmp_path / "1.root", 3, seed=6, processes=1))
    together = read(generate_quark_gluon(tmp_path / "2.root", 3, seed=6, processes=2))
    assert all(ak.array_equal(alone[name], together[name]) for name in BRANCHES)
    assert alone.label_quark.tolist().count(True) == 2
    assert not set(alone.jet_pt.tolist()) & set(jets.jet_pt.tolist())
    assert len(set(alone.jet_pt.tolist())) == 3


def test_rounding_changes_little(jets, coarse):
    for name in ("part_px", "part_py", "part_pz"):
        np.testing.assert_allclose(ak.flatten(coarse[name]), ak.flatten(jets[name]), rtol=2**-11)
    mass, rounded_mass = (ak.sum(four_momenta(sample), axis=1).mass for sample in (jets, coarse))
    assert np.median(abs(rounded_mass / mass - 1)) < 0.003
    assert ak.max(abs(rounded_mass / mass - 1)) < 0.05


def test_rounding_leaves_zeros_to_compress(coarse):
    patterns = ak.to_numpy(ak.flatten(coarse.part_px)).view(np.uint32)
    assert not (patterns & (2**13 - 1)).any()
    patterns = ak.to_numpy(ak.flatten(coarse.part_energy)).view(np.uint32)
    assert not (patterns & (2**7 - 1)).any()


def test_rounded_energies_are_not_below_the_momentum(coarse):
    particles = four_momenta(coarse)
    assert ak.all(particles.energy >= particles.p)


@pytest.mark.parametrize("bits", [1, 10, 22])
def test_values_are_rounded_to_the_nearest(bits):
    scales = 10.0 ** np.arange(-20, 20).repeat(25)
    values = (np.random.default_rng(1).normal(size=1000) * scales).astype(np.float32)
    found = rounded(values, bits=bits)
    _, exponent = np.frexp(values.astype(np.float64))
    step = 2.0 ** (exponent - 1 - bits)
    assert (abs(found - values.astype(np.float64)) <= step / 2).all()
    assert (np.round(found / step) == found / step).all()


def test_rounding_to_all_bits_and_of_special_values_changes_nothing():
    values = np.float32([0.1, -3, 0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(rounded(values, bits=23), values)
    np.testing.assert_array_equal(rounded(values, bits=5)[2:], values[2:])


def test_no_jets_make_a_file_with_all_branches(tmp_path):
    pytest.importorskip("pythia8mc")
    assert set(read(generate_quark_gluon(tmp_path / "none.root", 0)).fields) == BRANCHES


@pytest.mark.parametrize("name", ["pythia8mc", "fastjet"])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DependencyError, match=rf"{name} cannot be imported.*pip install 'hepnn\[pythia\]'"):
        generate_quark_gluon(tmp_path / "jets.root", 10)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_jets": -1}, "jets=-1"),
        ({"n_jets": 10, "seed": -1}, "seed=-1"),
        ({"n_jets": 10, "mantissa_bits": 0}, "0 mantissa bits"),
        ({"n_jets": 10, "mantissa_bits": 24}, "24 mantissa bits"),
    ],
)
def test_settings_without_sense_are_refused(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        generate_quark_gluon(tmp_path / "jets.root", **settings)


def test_an_existing_file_stays(tmp_path):
    pytest.importorskip("pythia8mc")
    (tmp_path / "jets.root").write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        generate_quark_gluon(tmp_path / "jets.root", 10)


def test_an_interrupted_run_keeps_the_jets_it_has(tmp_path, monkeypatch):
    pytest.importorskip("pythia8mc")

    def without_pythia(block, *, mantissa_bits):
        numbers = np.ones(block.n_jets, np.float32)
        columns = dict.fromkeys(("jet_pt", "jet_eta", "jet_phi", "jet_energy"), numbers)
        columns |= dict.fromkeys(("label_quark", "label_gluon"), numbers > 0)
        lists = ak.unflatten(numbers, np.ones(block.n_jets, int))
        columns |= dict.fromkeys(("part_px", "part_py", "part_pz", "part_energy"), lists)
        return columns | {"part_pid": ak.values_astype(lists, "int32")}

    def interrupt(done, total):
        if done == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(quark_gluon, "quark_gluon_columns", without_pythia)
    monkeypatch.setattr(quark_gluon, "BLOCK_JETS", 5)
    with pytest.raises(KeyboardInterrupt) as caught:
        generate_quark_gluon(tmp_path / "jets.root", 20, processes=1, progress=interrupt)
    (part,) = tmp_path.iterdir()
    assert f"The first 10 entries are in {part}" in caught.value.__notes__[0]
    assert read(part).jet_pt.tolist() == [1.0] * 10
