import awkward as ak
import numpy as np
import pytest
import uproot
import vector
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from hepnn.errors import InputError, OutputError
from hepnn.generators import toy
from hepnn.generators.fragmentation import Particles
from hepnn.generators.toy import TOY_CLASSES, generate_toy, toy_columns, toy_jets
from hepnn.jets import check_jets

LABELS = [f"label_{name}" for name in TOY_CLASSES]
JETCLASS_BRANCHES = set(LABELS) | {
    "part_px",
    "part_py",
    "part_pz",
    "part_energy",
    "part_deta",
    "part_dphi",
    "part_d0val",
    "part_d0err",
    "part_dzval",
    "part_dzerr",
    "part_charge",
    "part_isChargedHadron",
    "part_isNeutralHadron",
    "part_isPhoton",
    "part_isElectron",
    "part_isMuon",
    "jet_pt",
    "jet_eta",
    "jet_phi",
    "jet_energy",
    "jet_nparticles",
    "jet_sdmass",
    "jet_tau1",
    "jet_tau2",
    "jet_tau3",
    "jet_tau4",
}


@pytest.fixture(scope="module")
def columns():
    return toy_columns(12_000, seed=1)


@pytest.fixture(scope="module")
def particles(columns):
    return vector.zip(
        {name: ak.values_astype(columns[f"part_{name}"], "float64") for name in ("px", "py", "pz", "energy")}
    )


def flat(columns, name):
    return ak.to_numpy(ak.flatten(columns[name]))


def few(pt, eta, phi, *, prong=None, counts=None):
    n = len(pt)
    nothing = np.zeros(n, np.float32)
    return Particles(
        pt=np.float32(pt),
        eta=np.float32(eta),
        phi=np.float32(phi),
        kind=np.full(n, 2, np.uint8),
        charge=np.zeros(n, np.int32),
        d0=nothing,
        d0_error=nothing,
        dz=nothing,
        dz_error=nothing,
        prong=np.int32(prong if prong is not None else [0] * n),
        counts=np.array(counts if counts is not None else [n]),
    )


def test_branches_are_those_of_jetclass(columns):
    assert set(columns) == JETCLASS_BRANCHES


def same(first, second):
    return all(ak.array_equal(ak.Array(first[name]), ak.Array(second[name])) for name in first)


def test_the_same_seed_gives_the_same_jets(columns):
    assert same(columns, toy_columns(12_000, seed=1))
    assert not same(columns, toy_columns(12_000, seed=2))


def test_a_longer_sample_begins_with_a_shorter_one(columns):
    shorter = toy_columns(toy.BLOCK_JETS, seed=1)
    assert same(shorter, {name: array[: toy.BLOCK_JETS] for name, array in columns.items()})


def test_blocks_differ(columns):
    # a few of so many float32 agree by chance
    assert np.isin(columns["jet_energy"][: toy.BLOCK_JETS], columns["jet_energy"][toy.BLOCK_JETS :]).mean() < 0.01


def test_each_jet_has_one_class_and_the_classes_are_equal_in_number(columns):
    labels = np.stack([columns[name] for name in LABELS])
    assert (labels.sum(axis=0) == 1).all()
    assert labels.sum(axis=1).tolist() == [1200] * 10


def test_classes_are_mixed(columns):
    kind = np.argmax(np.stack([columns[name] for name in LABELS]), axis=0)
    assert (kind[:10] != kind[10:20]).any()
    assert 50 < columns["label_QCD"][:1000].sum() < 150


@pytest.mark.parametrize("prefix", ["", "label_"])
def test_classes_can_be_chosen(prefix):
    found = toy_columns(301, seed=1, classes=[f"{prefix}Tbl", f"{prefix}Hgg"])
    assert (found["label_Tbl"].sum(), found["label_Hgg"].sum()) == (151, 150)
    assert not found["label_QCD"].any()


def test_a_jet_is_the_sum_of_its_particles(columns, particles):
    total = ak.sum(particles, axis=1)
    np.testing.assert_allclose(columns["jet_pt"], total.pt, rtol=1e-5)
    np.testing.assert_allclose(columns["jet_eta"], total.eta, atol=1e-5)
    assert ak.max(abs(total.deltaphi(vector.zip({"pt": 1, "phi": columns["jet_phi"]})))) < 1e-5
    np.testing.assert_allclose(columns["jet_energy"], total.energy, rtol=1e-5)


def test_jets_are_in_the_kinematic_range(columns):
    assert 500 <= columns["jet_pt"].min() < 501
    assert 980 < columns["jet_pt"].max() <= 1000.01
    assert 1.8 < abs(columns["jet_eta"]).max() < 2


def test_particles_are_ordered_by_falling_pt(particles):
    assert ak.all(particles.pt[:, 1:] <= particles.pt[:, :-1] * (1 + 1e-6))


def test_multiplicities_are_those_of_large_jets(columns):
    counts = columns["jet_nparticles"]
    assert counts.tolist() == ak.num(columns["part_px"]).to_list()
    assert 41 < counts.mean() < 46
    assert counts.min() >= 2
    assert 100 < counts.max() <= 128
    gluons, quarks = (counts[columns[f"label_{name}"]].mean() for name in ("Hgg", "Wqq"))
    assert gluons > 1.3 * quarks


def test_angles_are_relative_to_the_jet(columns, particles):
    d_eta = (particles.eta - columns["jet_eta"]) * np.sign(columns["jet_eta"])
    assert ak.max(abs(d_eta - columns["part_deta"])) < 1e-4
    axis = vector.zip({"pt": columns["jet_pt"], "phi": columns["jet_phi"]})
    assert ak.max(abs(particles.deltaphi(axis) - columns["part_dphi"])) < 1e-4
    distance = np.hypot(flat(columns, "part_deta"), flat(columns, "part_dphi"))
    assert np.quantile(distance, 0.98) < 0.8


def test_each_particle_has_one_type_and_a_charge_to_match(columns):
    names = ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")
    kinds = {name: flat(columns, f"part_is{name}") for name in names}
    assert (sum(kind.astype(int) for kind in kinds.values()) == 1).all()
    is_neutral = kinds["NeutralHadron"] | kinds["Photon"]
    assert set(flat(columns, "part_charge")[is_neutral]) == {0}
    assert set(flat(columns, "part_charge")[~is_neutral]) == {-1, 1}
    for name, share in (("ChargedHadron", 0.62), ("NeutralHadron", 0.13), ("Photon", 0.245)):
        assert kinds[name].mean() == pytest.approx(share, abs=0.02)


def test_particles_have_their_masses(columns, particles):
    mass = ak.to_numpy(ak.flatten(particles.mass))
    soft = ak.to_numpy(ak.flatten(particles.p)) < 5
    for name, expected in (("ChargedHadron", 0.1396), ("NeutralHadron", 0.4976), ("Muon", 0.1057)):
        assert np.median(mass[flat(columns, f"part_is{name}") & soft]) == pytest.approx(expected, abs=2e-3)


def test_impact_parameters_belong_to_charged_particles(columns):
    is_charged = flat(columns, "part_charge") != 0
    for name in ("d0", "dz"):
        value, error = flat(columns, f"part_{name}val"), flat(columns, f"part_{name}err")
        assert not value[~is_charged].any()
        assert not error[~is_charged].any()
        assert (error[is_charged] > 0).all()
        pulls = value[is_charged] / error[is_charged]
        # most come from the primary vertex: half of a normal distribution lies within 0.674
        assert np.quantile(abs(pulls), 0.5) == pytest.approx(0.69, abs=0.05)


def test_bottom_and_charm_have_displaced_particles(columns):
    errors = ak.where(columns["part_d0err"] > 0, columns["part_d0err"], np.inf)
    displaced = ak.to_numpy(ak.sum(abs(columns["part_d0val"]) > 4 * errors, axis=1))
    means = {name: displaced[columns[f"label_{name}"]].mean() for name in ("Hbb", "Hcc", "Hgg")}
    assert means["Hbb"] > 1.4 * means["Hcc"] > 2 * means["Hgg"] > 0


@pytest.mark.parametrize("name", ["Hqql", "Tbl"])
def test_leptonic_decays_have_a_hard_lepton(columns, name):
    is_lepton = columns["part_isElectron"] | columns["part_isMuon"]
    pt = np.hypot(columns["part_px"], columns["part_py"])
    hardest = ak.to_numpy(ak.fill_none(ak.max(pt[is_lepton], axis=1), 0))
    assert (hardest[columns[f"label_{name}"]] > 30).mean() > 0.4
    assert (hardest[columns["label_Wqq"]] > 30).mean() < 0.1


@pytest.mark.parametrize(
    ("name", "mass"), [("Hbb", 125.2), ("Hcc", 125.2), ("Zqq", 91.2), ("Wqq", 80.4), ("Tbqq", 172.6)]
)
def test_the_groomed_mass_peaks_at_the_resonance(columns, name, mass):
    assert np.median(columns["jet_sdmass"][columns[f"label_{name}"]]) == pytest.approx(mass, rel=0.06)


def test_subjettiness_falls_with_the_number_of_axes(columns):
    taus = np.stack([columns[f"jet_tau{n}"] for n in range(1, 5)])
    assert (np.diff(taus, axis=0) <= 0).all()
    assert (taus >= 0).all()
    ratio = columns["jet_tau2"] / columns["jet_tau1"]
    assert np.median(ratio[columns["label_Hbb"]]) < 0.6 * np.median(ratio[columns["label_QCD"]])


def test_subjettiness_as_worked_out_by_hand():
    # pt 6 at the origin, 3 at distance 0.4, 1 at distance 0.5 from the first and 0.3 from the second
    found = toy.n_subjettiness(few([6, 3, 1, 2], [0, 0.4, 0.4, 1], [0, 0, 0.3, 2], counts=[3, 1]))
    assert found[0][0] == pytest.approx((3 * 0.4 + 1 * 0.5) / (0.8 * 10))
    assert found[1][0] == pytest.approx((1 * 0.3) / (0.8 * 10))
    assert found[2][0] == pytest.approx(0, abs=1e-6)
    assert [tau[1] for tau in found] == [0, 0, 0, 0]


def test_subjettiness_knows_that_azimuths_wrap():
    found = toy.n_subjettiness(few([5, 5], [0, 0], [3.1, -3.1]))
    assert found[0][0] == pytest.approx(5 * (2 * np.pi - 6.2) / (0.8 * 10), rel=1e-4)


def test_the_groomed_mass_as_worked_out_by_hand():
    # two prongs of pt 50 and 40, a soft particle far from the first, and a prong below a tenth of the pt
    given = few([50, 40, 8, 4], [0, 0.6, -0.3, 0.3], [0, 0, 0, 0.5], prong=[0, 1, 2, 0])
    momenta = toy._four_momenta(given)
    expected = np.sqrt(2 * 50 * 40 * (np.cosh(0.6) - 1))
    assert toy.soft_drop_mass(given, momenta)[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", TOY_CLASSES[1:])
def test_classes_can_be_told_from_qcd_but_not_perfectly(columns, name):
    errors = ak.where(columns["part_d0err"] > 0, columns["part_d0err"], np.inf)
    observables = [
        columns["jet_nparticles"],
        columns["jet_sdmass"],
        columns["jet_tau2"] / columns["jet_tau1"],
        (columns["jet_tau3"] + 1e-6) / (columns["jet_tau2"] + 1e-6),
        ak.to_numpy(ak.sum(abs(columns["part_d0val"]) > 4 * errors, axis=1)),
    ]
    chosen = columns[f"label_{name}"] | columns["label_QCD"]
    x, y = np.stack(observables, axis=1)[chosen], columns[f"label_{name}"][chosen]
    half = len(y) // 2
    tree = DecisionTreeClassifier(max_depth=8, min_samples_leaf=20, random_state=1).fit(x[:half], y[:half])
    assert 0.75 < roc_auc_score(y[half:], tree.predict_proba(x[half:])[:, 1]) < 0.997


def test_toy_jets_keep_the_contract(columns):
    jets = check_jets(toy_jets(500, seed=1))
    assert jets.label.to_list()[:3] == [
        TOY_CLASSES[index]
        for index in np.argmax(np.stack([toy_columns(500, seed=1)[name] for name in LABELS]), axis=0)[:3]
    ]
    assert ak.all(jets.particles.pt[:, 1:] <= jets.particles.pt[:, :-1])


def test_a_file_holds_the_same_jets(tmp_path, columns):
    seen = []
    path = generate_toy(tmp_path / "toy.root", 12_000, seed=1, progress=lambda done, total: seen.append((done, total)))
    with uproot.open({path: "tree"}) as tree:
        found = tree.arrays()
    assert set(found.fields) == JETCLASS_BRANCHES | {"npart"}
    assert same(columns, found)
    assert seen == [(4000, 12_000), (8000, 12_000), (12_000, 12_000)]


def test_no_jets_make_a_file_with_all_branches(tmp_path):
    path = generate_toy(tmp_path / "toy.root", 0)
    with uproot.open({path: "tree"}) as tree:
        assert tree.num_entries == 0
        assert set(tree.keys()) == JETCLASS_BRANCHES | {"npart"}


def test_an_existing_file_stays(tmp_path):
    (tmp_path / "toy.root").write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        generate_toy(tmp_path / "toy.root", 10)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["Hbbb"], "no such class, closest: 'Hbb'"),
        ([], "name at least one"),
        (["QCD", "label_QCD"], "each only once"),
        ("QCD", r"a text; give a list: \['QCD'\]"),
    ],
)
def test_classes_without_sense_are_refused(classes, message):
    with pytest.raises(InputError, match=message):
        toy_columns(10, classes=classes)
