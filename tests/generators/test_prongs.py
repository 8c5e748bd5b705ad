import numpy as np
import pytest

from hepnn.generators import prongs
from hepnn.generators.prongs import (
    ABSENT,
    BOTTOM,
    CHARM,
    CLASSES,
    ELECTRON,
    GLUON,
    LIGHT,
    MUON,
    TAU,
    draw_prongs,
)

N_JETS = 4000


def drawn(name, *, spread=0.0, seed=1):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prongs, "PRONG_SPREAD", spread)
        kind = np.full(N_JETS, list(CLASSES).index(name))
        return draw_prongs(kind, rng=np.random.default_rng(seed))


def sums(found, slots=slice(None)):
    pt, eta, phi = found.pt[:, slots], found.eta[:, slots], found.phi[:, slots]
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return [component.sum(axis=1) for component in (np.sqrt(px**2 + py**2 + pz**2), px, py, pz)]


def mass(found, slots=slice(None)):
    energy, px, py, pz = sums(found, slots)
    return np.sqrt(energy**2 - px**2 - py**2 - pz**2)


@pytest.mark.parametrize("name", ["Hbb", "Hcc", "Hgg", "H4q"])
def test_prongs_of_a_higgs_have_its_mass(name):
    np.testing.assert_allclose(mass(drawn(name)), 125.2, rtol=1e-6)


@pytest.mark.parametrize(("name", "expected"), [("Zqq", 91.19), ("Wqq", 80.37), ("Tbqq", 172.6)])
def test_prongs_of_broad_resonances_have_their_mass_in_the_median(name, expected):
    found = mass(drawn(name))
    assert np.median(found) == pytest.approx(expected, abs=0.2)
    assert np.std(found) > 1


@pytest.mark.parametrize(("name", "slots"), [("H4q", slice(0, 2)), ("Hqql", slice(0, 2)), ("Tbqq", slice(2, 4))])
def test_the_quarks_of_an_inner_w_have_its_mass(name, slots):
    np.testing.assert_allclose(mass(drawn(name), slots), 80.37, rtol=1e-6)


@pytest.mark.parametrize("name", ["Tbl", "Hqql"])
def test_a_neutrino_takes_mass_away(name):
    assert (mass(drawn(name)) < CLASSES[name].mass + 15).all()
    assert np.median(mass(drawn(name))) < 0.9 * CLASSES[name].mass


@pytest.mark.parametrize(
    ("name", "numbers", "flavours"),
    [
        ("QCD", {2, 3, 4}, {LIGHT, GLUON, CHARM, BOTTOM}),
        ("Hbb", {2}, {BOTTOM}),
        ("Hcc", {2}, {CHARM}),
        ("Hgg", {2}, {GLUON}),
        ("H4q", {4}, {LIGHT, CHARM}),
        ("Hqql", {3}, {LIGHT, CHARM, ELECTRON, MUON, TAU}),
        ("Zqq", {2}, {LIGHT, CHARM, BOTTOM}),
        ("Wqq", {2}, {LIGHT, CHARM}),
        ("Tbqq", {3}, {BOTTOM, LIGHT, CHARM}),
        ("Tbl", {2}, {BOTTOM, ELECTRON, MUON, TAU}),
    ],
)
def test_each_class_has_its_prongs(name, numbers, flavours):
    found = drawn(name)
    assert set((found.pt > 0).sum(axis=1)) == numbers
    assert ((found.pt > 0) == (found.flavour != ABSENT)).all()
    assert set(found.flavour[found.flavour != ABSENT]) == flavours


@pytest.mark.parametrize("name", CLASSES)
def test_jets_are_where_and_as_hard_as_wanted(name):
    found = drawn(name)
    energy, px, py, pz = sums(found)
    assert (found.target_pt >= 500).all()
    assert (found.target_pt <= 1000).all()
    np.testing.assert_allclose(np.hypot(px, py), found.target_pt, rtol=0.05)
    assert (abs(np.arctanh(pz / energy)) < 1.9 + 1e-9).all()
    d_phi = np.arctan2(py, px)[:, np.newaxis] - found.phi
    d_phi -= 2 * np.pi * np.rint(d_phi / (2 * np.pi))
    d_eta = np.arcsinh(pz / np.hypot(px, py))[:, np.newaxis] - found.eta
    # the boost along the beam moves a massive jet's pseudorapidity a little against its prongs'
    assert np.hypot(d_eta, d_phi)[found.pt > 0].max() < 0.8


def test_the_spectrum_falls_with_the_fourth_power():
    target = drawn("Wqq").target_pt
    # ∫ x^-4 from 500 to 600, over that from 500 to 1000
    expected = (500.0**-3 - 600.0**-3) / (500.0**-3 - 1000.0**-3)
    assert np.mean(target < 600) == pytest.approx(expected, abs=0.03)


def test_a_qcd_splitting_shares_momentum_as_one_over_z():
    found = drawn("QCD")
    pair = found.pt[(found.pt > 0).sum(axis=1) == 2]
    fraction = np.sort(pair[pair > 0].reshape(-1, 2), axis=1)[:, 0] / pair.sum(axis=1)
    # of dz/z between 0.05 and 0.5
    assert np.median(fraction) == pytest.approx(np.sqrt(0.05 * 0.5), abs=0.015)
    assert fraction.min() == pytest.approx(0.05, abs=0.01)


def test_momenta_spread():
    narrow, broad = mass(drawn("Hbb")), mass(drawn("Hbb", spread=0.15))
    assert 0.05 < np.std(broad) / np.mean(narrow) < 0.15


def test_a_two_body_decay_conserves_momentum_and_masses():
    rng = np.random.default_rng(5)
    p = rng.normal(0, 300, (3, 100))
    parent_mass = rng.uniform(100, 200, 100)
    parent = np.concatenate([np.sqrt((p**2).sum(axis=0) + parent_mass**2)[np.newaxis], p])
    daughters = rng.uniform(0, 45, (2, 100))
    pair = prongs._two_body(parent, parent_mass, daughters, rng.uniform(-1, 1, 100), rng.uniform(-3, 3, 100))
    np.testing.assert_allclose(pair[0] + pair[1], parent, rtol=1e-12, atol=1e-9)
    for momentum, expected in zip(pair, daughters, strict=True):
        square = momentum[0] ** 2 - (momentum[1:] ** 2).sum(axis=0)
        np.testing.assert_allclose(square, expected**2, atol=1e-6 * 1e6)
        assert abs(np.sqrt(np.maximum(square, 0)) - expected).max() < 1e-3
