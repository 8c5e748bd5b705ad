"""Particle features against vector; resolution of names; what happens to values that are missing or not finite."""

import awkward as ak
import numpy as np
import pytest

from hepnn import features
from hepnn.errors import FeatureError
from hepnn.features import (
    FEATURE_SETS,
    JET_FEATURES,
    PARTICLE_FEATURES,
    available,
    evaluate_features,
    resolve_features,
)


def flat(array):
    return ak.to_numpy(ak.flatten(array))


def independent(jets):
    """The formulas by way of vector, as ragged arrays."""
    p, jet = jets.particles, jets
    cross = p.to_3D().cross(jet.to_3D()).mag / jet.to_3D().mag
    return {
        "log_pt": np.log(p.pt),
        "log_energy": np.log(p.energy),
        "log_pt_rel": np.log(p.pt / jet.pt),
        "log_energy_rel": np.log(p.energy / jet.energy),
        "delta_r": p.deltaR(jet),
        "delta_eta": p.deltaeta(jet) * np.sign(jet.eta),
        "delta_phi": p.deltaphi(jet),
        "pt_fraction": p.pt / jet.pt,
        "pt_to_axis": cross,
        "rapidity": p.rapidity,
        "mass": p.mass,
        "tanh_d0": np.tanh(ak.nan_to_num(p.d0, nan=0.0)),
        "is_photon": p.pid == 22,
        "is_charged_hadron": (abs(p.pid) == 211) | (abs(p.pid) == 321) | (abs(p.pid) == 2212),
        "is_neutral_hadron": (p.pid == 130) | (abs(p.pid) == 2112),
        "is_electron": abs(p.pid) == 11,
        "is_muon": abs(p.pid) == 13,
        "is_k_minus": p.pid == -321,
        "charge": ak.where(abs(p.pid) < 20, -np.sign(p.pid), np.sign(p.pid))
        * ((p.pid != 22) & (p.pid != 130) & (p.pid != 2112)),
    }


COMPARED = [
    "log_pt",
    "log_energy",
    "log_pt_rel",
    "log_energy_rel",
    "delta_r",
    "delta_eta",
    "delta_phi",
    "pt_fraction",
    "pt_to_axis",
    "rapidity",
    "mass",
    "tanh_d0",
    "is_photon",
    "is_charged_hadron",
    "is_neutral_hadron",
    "is_electron",
    "is_muon",
    "is_k_minus",
    "charge",
]


@pytest.mark.parametrize("name", COMPARED)
def test_feature_agrees_with_vector(jets, name):
    ours = evaluate_features(jets, resolve_features(name))[:, 0]
    np.testing.assert_allclose(ours, flat(independent(jets)[name]), rtol=1e-4, atol=1e-3 if name == "mass" else 1e-5)


def test_the_identity_flags_are_one_hot_codes_of_the_pid(jets):
    values = evaluate_features(jets, resolve_features("identity"))
    np.testing.assert_array_equal(values.sum(axis=1), 1)


def test_jetclass_set_has_the_17_features_of_the_paper():
    names = [feature.name for feature in resolve_features("jetclass")]
    assert len(names) == len(set(names)) == 17


def test_published_scaling_is_kept():
    public = {
        "log_pt": (1.7, 0.7),
        "log_energy": (2.0, 0.7),
        "log_pt_rel": (-4.7, 0.7),
        "delta_r": (0.2, 4.0),
    }
    for name, (center, scale) in public.items():
        feature = PARTICLE_FEATURES[name]
        assert (feature.center, feature.scale, feature.lower, feature.upper) == (center, scale, -5.0, 5.0)


def test_every_feature_names_its_unit_and_source():
    for feature in (*PARTICLE_FEATURES.values(), *JET_FEATURES.values()):
        assert feature.unit, feature.name
        assert feature.source, feature.name


def test_a_user_function_is_a_feature(jets):
    def energy_fraction(particles, jet):
        return particles.energy / jet.energy

    values = evaluate_features(jets, resolve_features(["log_pt", energy_fraction]))
    np.testing.assert_allclose(values[:, 1], flat(jets.particles.energy / jets.energy), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_the_size_of_a_block_changes_nothing(jets, monkeypatch, size):
    def share(particles, jet):
        return particles.energy / jet.energy

    wanted = resolve_features(["kinematics", "type", "identity", "tanh_d0", share])
    whole = evaluate_features(jets, wanted)
    monkeypatch.setattr(features, "_BLOCK", size)
    np.testing.assert_array_equal(evaluate_features(jets, wanted), whole)


def test_a_field_that_is_lacking_is_named_without_jets_too(jets):
    assert evaluate_features(jets[:0], resolve_features("kinematics")).shape == (0, 7)
    with pytest.raises(FeatureError, match=r"feature 'dz_error': asked for the particles field 'dz_error'"):
        evaluate_features(jets[:0], resolve_features(["dz_error"]))


def test_sets_and_names_mix_without_repeats():
    names = [feature.name for feature in resolve_features(["log_pt", "kinematics", "mass"])]
    assert names[0] == "log_pt"
    assert len(names) == len(set(names)) == len(FEATURE_SETS["kinematics"]) + 1


def test_auto_takes_what_the_jets_provide(jets):
    assert available(jets) == ("kinematics", "type", "identity")
    bare = ak.with_field(jets, jets.particles[["pt", "eta", "phi", "energy"]], "particles")
    assert available(bare) == ("kinematics",)


def test_an_unknown_feature_names_the_closest():
    with pytest.raises(FeatureError, match=r"asked for the feature 'log_ptt'; closest: 'log_pt'"):
        resolve_features(["log_ptt"])


def test_a_field_the_source_lacks_is_named_with_its_feature(jets):
    with pytest.raises(FeatureError, match=r"feature 'dz_error': asked for the particles field 'dz_error'"):
        evaluate_features(jets, resolve_features(["dz_error"]))


def test_a_missing_impact_parameter_is_not_an_error(jets):
    values = evaluate_features(jets, resolve_features(["tanh_d0"]))[:, 0]
    neutral = np.isnan(flat(jets.particles.d0))
    assert neutral.any()
    assert (values[neutral] == 0).all()
    assert (values[~neutral] != 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0], ids=["nan", "inf", "zero", "negative"])
def test_a_momentum_that_is_no_momentum_is_refused_and_located(jets, bad):
    pt = flat(jets.particles.pt).copy()
    third = int(ak.sum(ak.num(jets.particles[:3])))
    pt[third + 2] = bad
    particles = ak.with_field(jets.particles, ak.unflatten(pt, ak.num(jets.particles)), "pt")
    with pytest.raises(
        FeatureError, match=r"'log_pt' is NaN or infinite for 1 of \d+ .* entry 2 of 'particles' of jet 3"
    ):
        evaluate_features(ak.with_field(jets, particles, "particles"), resolve_features(["log_pt"]))


def test_a_formula_of_the_wrong_length_is_refused(jets):
    def first_only(particles, jet):
        return particles.pt[:1]

    with pytest.raises(FeatureError, match=r"'first_only' has to give one number each .* shape \(1,\)"):
        evaluate_features(jets, resolve_features([first_only]))


def test_a_failing_formula_is_named(jets):
    def broken(particles, jet):
        return particles.pt @ np.ones(3)

    with pytest.raises(FeatureError, match="feature 'broken' failed: ValueError"):
        evaluate_features(jets, resolve_features([broken]))
