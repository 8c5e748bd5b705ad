"""Every formula against the package vector, or numbers worked by hand."""

import numpy as np
import pytest
import vector

from hepnn import kinematics

RNG = np.random.default_rng(1)
N = 200
PT, ETA = RNG.uniform(0.1, 900, N), RNG.uniform(-4, 4, N)
PHI, MASS = RNG.uniform(-np.pi, np.pi, N), RNG.uniform(0, 50, N)
MOMENTA = vector.array({"pt": PT, "eta": ETA, "phi": PHI, "mass": MASS})
OTHERS = vector.array({"pt": PT[::-1], "eta": ETA[::-1], "phi": PHI[::-1], "mass": MASS[::-1]})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(kinematics.px(PT, PHI), MOMENTA.px, id="px"),
        pytest.param(kinematics.py(PT, PHI), MOMENTA.py, id="py"),
        pytest.param(kinematics.pz(PT, ETA), MOMENTA.pz, id="pz"),
        pytest.param(kinematics.pt_from_p(MOMENTA.px, MOMENTA.py), PT, id="pt"),
        pytest.param(kinematics.phi_from_p(MOMENTA.px, MOMENTA.py), PHI, id="phi"),
        pytest.param(kinematics.eta_from_p(MOMENTA.px, MOMENTA.py, MOMENTA.pz), ETA, id="eta"),
        pytest.param(kinematics.energy_from_mass(PT, ETA, MASS), MOMENTA.energy, id="energy"),
        pytest.param(kinematics.delta_phi(PHI, PHI[::-1]), MOMENTA.deltaphi(OTHERS), id="delta_phi"),
        pytest.param(kinematics.delta_r(ETA, PHI, ETA[::-1], PHI[::-1]), MOMENTA.deltaR(OTHERS), id="delta_r"),
        pytest.param(kinematics.rapidity(PT, ETA, MOMENTA.energy), MOMENTA.rapidity, id="rapidity"),
    ],
)
def test_formula_agrees_with_vector(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_invariant_mass_agrees_with_vector():
    ours = kinematics.invariant_mass(PT, ETA, MOMENTA.energy)
    np.testing.assert_allclose(ours, MASS, atol=1e-3)  # E² − p² cancels


def test_delta_phi_of_close_directions_across_the_seam_is_small():
    assert kinematics.delta_phi(np.pi - 0.01, -np.pi + 0.01) == pytest.approx(-0.02)


def test_rounded_energy_below_the_momentum_gives_no_nan():
    pt, eta = np.array([10.0]), np.array([3.0])
    energy = pt * np.cosh(eta) * (1 - 1e-4)
    assert kinematics.invariant_mass(pt, eta, energy) == 0
    assert kinematics.rapidity(pt, eta, energy) == pytest.approx(3.0)
