"""Showers end to end: in the barrel, and in calorimeters made such that a formula can be read off."""

import itertools
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import uproot
from scipy.optimize import curve_fit
from scipy.stats import gamma, norm
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from hepnn import read_jets
from hepnn.errors import InputError, OutputError
from hepnn.generators import SHOWER_CLASSES, generate_showers, shower_columns, showers
from hepnn.generators.calorimeter import BARREL, IRON_SCINTILLATOR, LEAD_ARGON, Calorimeter, Layer
from hepnn.generators.profiles import em_fraction

LABELS = [f"label_{name}" for name in SHOWER_CLASSES]
SHOWER_BRANCHES = {f"shower_{name}" for name in ("energy", "eta", "phi", "angle_eta", "angle_phi", "pizero_separation")}
CELL_BRANCHES = {f"cell_{name}" for name in ("energy", "eta", "phi", "layer", "time")}
N_SHOWERS = 8000


@pytest.fixture(scope="module")
def columns():
    return shower_columns(N_SHOWERS, seed=1)


def perfect(medium, depths, *, cell=0.5, n_phi=12, window=3, **changes):
    """A calorimeter without noise, thresholds and constant term, with edges between its layers at depths in X0."""
    settings = {
        "sampling": 0.0,
        "hadronic_sampling": 0.0,
        "noise": 0.0,
        "threshold": 0.0,
        "time_noise": 0.0,
        "time_constant": 0.0,
        "steps": 1,
    } | changes
    radii = 1500 + np.array(depths) * medium.radiation_length
    layers = tuple(
        Layer(f"{inner:.0f}", medium, inner, outer, cell, n_phi, (window, window), **settings)
        for inner, outer in itertools.pairwise(radii)
    )
    return Calorimeter(layers, constant_term=0.0)


def total(columns):
    return ak.to_numpy(ak.sum(columns["cell_energy"], axis=1))


def in_layers(columns, n_layers):
    """Energy by layer, (layer, shower)."""
    energies = [ak.sum(columns["cell_energy"][columns["cell_layer"] == layer], axis=1) for layer in range(n_layers)]
    return np.stack([ak.to_numpy(energy) for energy in energies])


def away(columns, name):
    """Distance of cells from the impact, in η or φ."""
    distance = columns[f"cell_{name}"] - columns[f"shower_{name}"]
    return distance if name == "eta" else (distance + np.pi) % (2 * np.pi) - np.pi


def flat(array):
    return ak.to_numpy(ak.flatten(array))


def same(first, second):
    return all(
        ak.to_list(ak.nan_to_num(ak.Array(first[name]), nan=-1)) == ak.to_list(ak.nan_to_num(second[name], nan=-1))
        for name in first
    )


def test_branches_are_those_that_are_documented(columns):
    assert set(columns) == SHOWER_BRANCHES | CELL_BRANCHES | set(LABELS)
    assert columns["cell_layer"].type.content.content.primitive == "int32"


def test_the_same_seed_gives_the_same_showers():
    first = shower_columns(300, seed=1)
    assert same(first, shower_columns(300, seed=1))
    assert not same(first, shower_columns(300, seed=2))


def test_a_longer_sample_begins_with_a_shorter_one(columns):
    size = showers.BLOCK_SHOWERS
    assert same(shower_columns(size, seed=1), {name: array[:size] for name, array in columns.items()})


def test_blocks_differ(columns):
    size = showers.BLOCK_SHOWERS
    assert not np.isin(columns["shower_eta"][:size], columns["shower_eta"][size : 2 * size]).mean() > 0.01


def test_each_shower_has_one_class_and_the_classes_are_equal_in_number_and_mixed(columns):
    labels = np.stack([columns[name] for name in LABELS])
    assert (labels.sum(axis=0) == 1).all()
    assert labels.sum(axis=1).tolist() == [N_SHOWERS // 4] * 4
    assert (abs(labels[:, :400].sum(axis=1) - 100) < 40).all()


@pytest.mark.parametrize("prefix", ["", "label_"])
def test_classes_can_be_chosen(prefix):
    found = shower_columns(301, seed=1, classes=[f"{prefix}pizero", f"{prefix}electron"])
    assert (found["label_pizero"].sum(), found["label_electron"].sum()) == (151, 150)
    assert not found["label_pion"].any()


def test_particles_are_in_the_range_that_was_asked_for():
    found = shower_columns(2000, seed=1, energy=(20, 80), max_angle=0.2)
    energy = found["shower_energy"]
    assert 20 <= energy.min() < 20.2
    assert 79 < energy.max() <= 80
    # even in ln E
    assert np.median(energy) == pytest.approx(40, rel=0.05)
    assert 1.35 < abs(found["shower_eta"]).max() <= 1.4
    for name in ("eta", "phi"):
        assert 0.19 < abs(found[f"shower_angle_{name}"]).max() <= 0.2
    assert not shower_columns(50, max_angle=0)["shower_angle_eta"].any()


def test_cells_are_ordered_by_falling_energy_and_above_threshold(columns):
    energy = columns["cell_energy"]
    assert ak.all(energy[:, 1:] <= energy[:, :-1])
    thresholds = np.array([layer.threshold for layer in BARREL.layers])
    assert (flat(energy) > thresholds[flat(columns["cell_layer"])] - 1e-6).all()
    assert 20 < ak.mean(ak.num(energy)) < 35


def test_cells_are_centred_on_a_grid_and_within_the_window(columns):
    assert abs(flat(columns["cell_phi"])).max() <= np.pi
    layers = flat(columns["cell_layer"])
    for index, layer in enumerate(BARREL.layers):
        for name, size, cells in (("eta", layer.eta_cell, 0), ("phi", layer.phi_cell, 1)):
            position = flat(columns[f"cell_{name}"])[layers == index] / size
            np.testing.assert_allclose(position - np.floor(position), 0.5, atol=2e-2)
            # angles move the window, by 0.1 rad times the way over the radius and up to cosh 1.4
            way = 0.1003 * (1 - BARREL.radius / layer.outer) * np.cosh(1.4)
            reach = (layer.window[cells] // 2 + 1) * size + way
            assert abs(flat(away(columns, name))[layers == index]).max() < reach


def test_showers_are_where_the_particle_hits(columns):
    chosen = columns["label_electron"]
    of_middle = {name: array[chosen] for name, array in columns.items()}
    kept = of_middle["cell_layer"] == 1
    weight = of_middle["cell_energy"][kept]
    for name in ("eta", "phi"):
        mean = ak.to_numpy(ak.sum(weight * away(of_middle, name)[kept], axis=1) / ak.sum(weight, axis=1))
        slope = np.tan(of_middle[f"shower_angle_{name}"]) * np.cosh(of_middle["shower_eta"])
        # where the line of flight is after 8 X0 or so
        depth = 8 * LEAD_ARGON.radiation_length
        fit = np.polyfit(slope, mean, 1)
        assert fit[1] == pytest.approx(0, abs=5e-4)
        assert fit[0] == pytest.approx(depth / (1500 + depth), rel=0.3)
        assert (mean - np.polyval(fit, slope)).std() < 0.01


@pytest.mark.parametrize("energy", [10, 100])
def test_the_mean_profile_of_electrons_is_that_of_the_parametrisation(energy):
    edges = np.arange(0, 31.0)
    found = shower_columns(
        1000, seed=1, classes=["electron"], energy=(energy, energy), max_angle=0, calorimeter=perfect(LEAD_ARGON, edges)
    )
    log_y = np.log(energy / LEAD_ARGON.critical_energy)
    per_frequency, lack = 1 / LEAD_ARGON.sampling_frequency, 1 - LEAD_ARGON.e_over_mip
    # hep-ex/0001020, appendix A, average longitudinal profiles
    maximum = log_y - 0.858 - 0.59 * per_frequency - 0.53 * lack
    shape = 0.21 + (0.492 + 2.38 / LEAD_ARGON.z) * log_y - 0.444 * per_frequency
    expected = np.diff(gamma.cdf(edges, shape, scale=maximum / (shape - 1)))
    profile = in_layers(found, len(edges) - 1).mean(axis=1) / energy
    assert abs(profile - expected).max() < 0.06 * expected.max()


def test_photons_shower_later_than_electrons():
    edges = np.arange(0, 31.0)
    centres = (edges[1:] + edges[:-1]) / 2
    depth = {}
    for name in ("electron", "photon"):
        found = shower_columns(
            2000, seed=1, classes=[name], energy=(50, 50), max_angle=0, calorimeter=perfect(LEAD_ARGON, edges)
        )
        profile = in_layers(found, len(centres)).mean(axis=1)
        depth[name] = (profile * centres).sum() / profile.sum()
    # PDG: one radiation length, of the maximum
    assert 0.6 < depth["photon"] - depth["electron"] < 1.1


def test_matter_before_the_calorimeter_hides_the_start_of_showers():
    calorimeter = perfect(LEAD_ARGON, [0, 5, 30])
    asked = {"seed": 1, "classes": ["electron"], "energy": (20, 20), "max_angle": 0}
    bare = in_layers(shower_columns(1000, **asked, calorimeter=calorimeter), 2).mean(axis=1)
    behind = in_layers(shower_columns(1000, **asked, calorimeter=replace(calorimeter, upstream=2.0)), 2).mean(axis=1)
    assert behind[0] > 1.5 * bare[0]
    assert 0.1 < bare.sum() - behind.sum() < 1.5


def test_nine_tenths_of_a_shower_are_within_a_moliere_radius():
    # one layer, of cells of 6 mm
    calorimeter = perfect(LEAD_ARGON, [0, 25], cell=0.004, n_phi=1571, window=61, steps=12)
    found = shower_columns(60, seed=1, classes=["electron"], energy=(50, 50), max_angle=0, calorimeter=calorimeter)
    # at the depth of the shower's middle
    radius = 1500 + 9 * LEAD_ARGON.radiation_length
    distance = radius * flat(np.hypot(away(found, "eta"), away(found, "phi"))) / LEAD_ARGON.moliere_radius
    energy = flat(found["cell_energy"])
    assert energy[distance < 1].sum() / (60 * 50) == pytest.approx(0.90, abs=0.02)
    assert energy[distance < 2].sum() / (60 * 50) == pytest.approx(0.96, abs=0.02)


@pytest.mark.parametrize("energy", [5, 80])
def test_sampling_makes_the_resolution_that_was_asked_for(energy):
    calorimeter = perfect(LEAD_ARGON, [0, 20, 80], sampling=0.12)
    found = shower_columns(4000, seed=1, classes=["electron"], energy=(energy, energy), calorimeter=calorimeter)
    response = total(found) / energy
    assert response.mean() == pytest.approx(1, abs=0.01)
    assert response.std() == pytest.approx(0.12 / np.sqrt(energy), rel=0.05)


def test_the_constant_term_stays_at_high_energy():
    calorimeter = replace(perfect(LEAD_ARGON, [0, 80], sampling=0.1), constant_term=0.02)
    found = shower_columns(4000, seed=1, classes=["photon"], energy=(400, 400), calorimeter=calorimeter)
    assert (total(found) / 400).std() == pytest.approx(np.hypot(0.02, 0.1 / 20), rel=0.05)


def test_the_barrel_has_the_resolution_of_its_terms():
    energies = np.array([10.0, 25.0, 60.0, 150.0, 400.0])
    calorimeter = replace(BARREL, upstream=0.0)
    widths = []
    for energy in energies:
        found = total(
            shower_columns(1500, seed=1, classes=["electron"], energy=(energy, energy), calorimeter=calorimeter)
        )
        low, high = np.quantile(found, norm.cdf([-1, 1]))
        widths.append((high - low) / 2 / np.median(found))

    def resolution(energy, a, b, c):
        return np.sqrt(a**2 / energy + b**2 + (c / energy) ** 2)

    (a, b, c), _ = curve_fit(resolution, energies, widths, p0=(0.1, 0.01, 0.1), sigma=0.02 * np.array(widths))
    # what is lost beside the window and below the thresholds adds to the sampling term
    assert 0.09 < abs(a) < 0.13
    assert 0.004 < abs(b) < 0.011
    assert abs(c) < 0.4


@pytest.mark.parametrize("energy", [20, 200])
def test_pions_give_less_signal_than_electrons(energy):
    # 40 λ deep and 3 m wide, so that nothing is lost
    calorimeter = perfect(IRON_SCINTILLATOR, [0, 20, 80, 360], steps=3)
    found = shower_columns(
        4000, seed=1, classes=["pion"], energy=(energy, energy), max_angle=0, calorimeter=calorimeter
    )
    fraction = em_fraction(np.array(float(energy)))
    response = total(found) / energy
    # Groom, NIM A572 (2007) 633: π/e = f + (1 − f)·h/e; tracks add a little, and tails leave
    assert response.mean() == pytest.approx(float(fraction + (1 - fraction) / calorimeter.e_over_h), abs=0.015)
    # without sampling, what is left are fluctuations of f
    assert 0.02 < response.std() < 0.07


def test_the_resolution_of_pions_is_that_of_a_hadronic_calorimeter():
    for energy, low, high in ((20, 0.10, 0.14), (200, 0.045, 0.08)):
        found = total(shower_columns(1500, seed=1, classes=["pion"], energy=(energy, energy)))
        assert low < found.std() / found.mean() < high


def test_pions_leave_a_track_until_they_interact():
    calorimeter = perfect(LEAD_ARGON, [0, 4.0, 30.0], cell=0.02, n_phi=314, window=11)
    found = shower_columns(4000, seed=1, classes=["pion"], energy=(50, 50), max_angle=0, calorimeter=calorimeter)
    first = in_layers(found, 2)[0]
    thickness = 4 * LEAD_ARGON.radiation_length
    track = thickness * LEAD_ARGON.ionisation / LEAD_ARGON.e_over_mip
    untouched = abs(first - track) < 1e-3 * track
    assert untouched.mean() == pytest.approx(np.exp(-thickness / LEAD_ARGON.interaction_length), abs=0.03)


def test_pion_showers_are_an_interaction_length_wide():
    calorimeter = perfect(
        IRON_SCINTILLATOR, [0, 90], cell=0.02, n_phi=314, window=61, steps=12, sampling=0.2, hadronic_sampling=0.5
    )
    found = shower_columns(100, seed=1, classes=["pion"], energy=(100, 100), max_angle=0, calorimeter=calorimeter)
    radius = 1500 + 2 * IRON_SCINTILLATOR.interaction_length
    distance = radius * flat(np.hypot(away(found, "eta"), away(found, "phi"))) / IRON_SCINTILLATOR.interaction_length
    energy = flat(found["cell_energy"])
    # Fabjan and Ludlam, Ann. Rev. Nucl. Part. Sci. 32 (1982) 335: 95 % within 1 λ
    assert energy[distance < 1].sum() / energy.sum() == pytest.approx(0.95, abs=0.03)
    # and a core of photons that is much narrower
    assert energy[distance < 0.25].sum() / energy.sum() > 0.5


def test_the_core_of_a_pion_shower_is_off_its_line_of_flight():
    calorimeter = perfect(IRON_SCINTILLATOR, [0, 90], cell=0.004, n_phi=1571, window=61, steps=12)
    offsets = {}
    for name in ("electron", "pion"):
        found = shower_columns(200, seed=1, classes=[name], energy=(20, 20), max_angle=0, calorimeter=calorimeter)
        hottest = ak.to_numpy(np.hypot(away(found, "eta"), away(found, "phi"))[:, 0])
        offsets[name] = 1500 * np.quantile(hottest, 0.9)
    # mm: transverse momentum over energy, some 0.03 rad, over some 200 mm; an electron's is the cell's half diagonal
    assert offsets["electron"] < 6
    assert offsets["pion"] > 7


def test_inclined_showers_are_less_deep():
    edges = np.arange(0, 31.0)
    depth = []
    for angle in (0.0, 0.3):
        found = shower_columns(
            4000,
            seed=1,
            classes=["electron"],
            energy=(50, 50),
            max_angle=angle,
            calorimeter=perfect(LEAD_ARGON, edges, cell=4.0, n_phi=3),
        )
        inclined = np.hypot(found["shower_angle_eta"], found["shower_angle_phi"]) >= 0.8 * angle
        profile = in_layers(found, 30)[:, inclined].mean(axis=1)
        depth.append((profile * (np.arange(30) + 0.5)).sum() / profile.sum())
    # 1/√(1 + tan²a + tan²b) of some 0.31 rad
    assert depth[1] / depth[0] == pytest.approx(0.95, abs=0.015)


def test_pizeros_decay_into_photons_with_the_distance_that_kinematics_gives():
    found = shower_columns(4000, seed=1, classes=["pizero"], energy=(20, 20), max_angle=0)
    opening = found["shower_pizero_separation"] / np.cosh(found["shower_eta"])
    assert opening.min() == pytest.approx(2 * 0.135 / 20, rel=1e-2)
    # half of the decays share the energy no worse than 3 to 1, z(1 − z) = 3/16
    assert np.median(opening) == pytest.approx(0.135 / 20 / np.sqrt(3 / 16), rel=0.03)


def test_only_pizeros_have_a_separation(columns):
    assert (np.isnan(columns["shower_pizero_separation"]) == ~columns["label_pizero"]).all()


def test_both_photons_are_seen_about_the_pizero():
    calorimeter = perfect(LEAD_ARGON, [0, 40], cell=0.004, n_phi=1571, window=61, steps=2)
    found = shower_columns(300, seed=1, classes=["pizero"], energy=(10, 10), max_angle=0, calorimeter=calorimeter)
    energy = found["cell_energy"]
    near = ak.to_numpy(found["shower_pizero_separation"] < 0.06)
    for name in ("eta", "phi"):
        mean = ak.to_numpy(ak.sum(energy * away(found, name), axis=1) / ak.sum(energy, axis=1))
        assert abs(mean[near].mean()) < 1e-3
    spread = np.sqrt(
        ak.to_numpy(
            ak.sum(energy * (away(found, "eta") ** 2 + away(found, "phi") ** 2), axis=1) / ak.sum(energy, axis=1)
        )
    )
    assert np.corrcoef(spread[near], found["shower_pizero_separation"][near])[0, 1] > 0.5
    assert total(found)[near].mean() == pytest.approx(10, rel=0.05)


def test_electromagnetic_cells_are_on_time(columns):
    chosen = ~columns["label_pion"]
    kept = (columns["cell_layer"] == 1) & (columns["cell_energy"] > 3) & chosen
    layer = BARREL.layers[1]
    way = ((layer.inner + layer.outer) / 2 - BARREL.radius) / 299.792
    expected = ak.broadcast_arrays(way * np.cosh(columns["shower_eta"]), columns["cell_time"])[0]
    pulls = flat(((columns["cell_time"] - expected) / np.hypot(1.8 / columns["cell_energy"], 0.26))[kept])
    assert pulls.mean() == pytest.approx(0, abs=0.05)
    assert pulls.std() == pytest.approx(1, abs=0.05)


def test_pions_have_late_cells(columns):
    hard = columns["cell_energy"] > 0.5
    late = ak.to_numpy(ak.any(columns["cell_time"][hard] > 15, axis=1))
    assert late[columns["label_pion"]].mean() > 0.1
    assert late[~columns["label_pion"]].mean() < 0.01


def test_noise_passes_the_threshold_as_often_as_it_should(columns):
    electrons = columns["label_electron"]
    found = ak.to_numpy(ak.sum(columns["cell_layer"][electrons] == 5, axis=1))
    # 2.5 standard deviations, 25 cells, and hardly anything of an electron
    assert found.mean() == pytest.approx(25 * norm.sf(2.5), rel=0.12)


def observables(columns):
    strips = columns["cell_layer"] == 0
    energy, eta = columns["cell_energy"][strips], columns["cell_eta"][strips]
    whole = ak.to_numpy(ak.sum(energy, axis=1)) + 1e-6
    mean = ak.sum(energy * eta, axis=1) / whole
    width = np.sqrt(ak.to_numpy(ak.sum(energy * (eta - mean) ** 2, axis=1)) / whole)
    shares = in_layers(columns, 6) / total(columns)
    hardest = ak.to_numpy(ak.fill_none(ak.max(energy, axis=1), 0)) / whole
    return np.stack([*shares, width, hardest, ak.to_numpy(ak.num(energy)), total(columns)], axis=1)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ("electron", "pion", 0.99, 1.0),
        ("photon", "pizero", 0.7, 0.95),
        ("electron", "photon", 0.55, 0.8),
        ("photon", "pion", 0.99, 1.0),
    ],
)
def test_classes_can_be_told_apart_as_far_as_physics_lets_them(columns, one, other, low, high):
    chosen = columns[f"label_{one}"] | columns[f"label_{other}"]
    x, y = observables(columns)[chosen], columns[f"label_{one}"][chosen]
    half = len(y) // 2
    tree = DecisionTreeClassifier(max_depth=7, min_samples_leaf=20, random_state=1).fit(x[:half], y[:half])
    assert low < roc_auc_score(y[half:], tree.predict_proba(x[half:])[:, 1]) <= high


def test_close_photons_are_harder_to_tell_from_one(columns):
    width = observables(columns)[:, 6]
    areas = []
    for low, high in ((10, 25), (60, 100)):
        chosen = (columns["shower_energy"] > low) & (columns["shower_energy"] < high)
        chosen &= columns["label_photon"] | columns["label_pizero"]
        areas.append(roc_auc_score(columns["label_pizero"][chosen], width[chosen]))
    assert areas[0] > areas[1] + 0.05


def test_a_file_holds_the_same_showers(tmp_path):
    seen = []
    path = generate_showers(
        tmp_path / "showers.root", 2500, seed=1, progress=lambda done, total: seen.append((done, total))
    )
    with uproot.open({path: "tree"}) as tree:
        found = tree.arrays()
    assert set(found.fields) == SHOWER_BRANCHES | CELL_BRANCHES | set(LABELS) | {"ncell"}
    assert same(shower_columns(2500, seed=1), found)
    assert seen == [(1000, 2500), (2000, 2500), (2500, 2500)]


def test_the_reader_takes_cells_for_what_a_jet_is_made_of(tmp_path):
    showers = read_jets(generate_showers(tmp_path / "showers.root", 60, seed=2))
    columns = shower_columns(60, seed=2)
    assert showers.fields[:4] == ["pt", "eta", "phi", "energy"]
    np.testing.assert_allclose(showers.energy, columns["shower_energy"])
    by_pt = ak.argsort(columns["cell_energy"] / np.cosh(columns["cell_eta"]), ascending=False, stable=True)
    for field in ("energy", "eta", "phi", "layer", "time"):
        found, expected = showers.cells[field], columns[f"cell_{field}"][by_pt]
        np.testing.assert_allclose(ak.flatten(found), ak.flatten(expected), rtol=1e-6)
    np.testing.assert_array_equal(showers.label.to_numpy() == "pion", columns["label_pion"])


@pytest.mark.parametrize("energy", [1, 1000])
def test_the_ends_of_the_range_give_finite_showers(energy):
    found = shower_columns(400, seed=1, energy=(energy, energy), max_angle=0.3)
    assert all(np.isfinite(ak.flatten(found[name])).to_numpy().all() for name in CELL_BRANCHES)
    response = [np.mean(total(found)[found[label]]) / energy for label in LABELS]
    assert all(0.2 < mean < 1.1 for mean in response)


def test_no_pion_leaves_more_than_it_has():
    calorimeter = perfect(IRON_SCINTILLATOR, [0, 40, 400])
    found = shower_columns(500, seed=1, classes=["pion"], energy=(1, 1), max_angle=0, calorimeter=calorimeter)
    # a track's signal is larger than its loss, at the scale of electrons
    assert total(found).max() < 1.001 / IRON_SCINTILLATOR.e_over_mip


def test_no_showers_make_a_file_with_all_branches(tmp_path):
    path = generate_showers(tmp_path / "showers.root", 0)
    with uproot.open({path: "tree"}) as tree:
        assert tree.num_entries == 0
        assert set(tree.keys()) == SHOWER_BRANCHES | CELL_BRANCHES | set(LABELS) | {"ncell"}


def test_an_existing_file_stays(tmp_path):
    (tmp_path / "showers.root").write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        generate_showers(tmp_path / "showers.root", 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["pizeros"]}, "no such class, closest: 'pizero'"),
        ({"classes": []}, "name at least one"),
        ({"classes": ["pion", "label_pion"]}, "each only once"),
        ({"classes": "pion"}, r"a text; give a list: \['pion'\]"),
        ({"energy": (50, 20)}, "of 50 to 20 GeV; give a rising range within 1 and 1000"),
        ({"energy": (0.1, 20)}, "within 1 and 1000 GeV"),
        ({"energy": (10, np.nan)}, "give a rising range"),
        ({"max_angle": 1.0}, "angles up to 1.0 rad; give 0 to 0.3"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        shower_columns(10, **options)
