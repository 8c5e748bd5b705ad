"""Jet observables against plain loops over particles."""

import awkward as ak
import numpy as np
import pytest
import vector

from hepnn import observables
from hepnn.errors import FeatureError


def loop(jets, formula):
    return [
        formula(jet, [vector.obj(pt=p.pt, eta=p.eta, phi=p.phi, E=p.energy) for p in jet.particles]) for jet in jets
    ]


def axis(jet):
    return vector.obj(pt=jet.pt, eta=jet.eta, phi=jet.phi, E=jet.energy)


def angularity(jet, particles, power):
    total = sum(p.pt for p in particles)
    return sum(p.pt * (p.deltaR(axis(jet)) / 0.4) ** power for p in particles) / total if particles else 0


FORMULAS = {
    "n_particles": lambda jet, particles: len(particles),
    "n_charged": lambda jet, particles: sum(p.pid not in (22, 130, 2112) for p in jet.particles),
    "particle_mass": lambda jet, particles: sum(particles, vector.obj(px=0, py=0, pz=0, E=0)).mass,
    "girth": lambda jet, particles: 0.4 * angularity(jet, particles, 1),
    "les_houches_angularity": lambda jet, particles: angularity(jet, particles, 0.5),
    "pt_dispersion": lambda jet, particles: (
        np.sqrt(sum(p.pt**2 for p in particles)) / max(sum(p.pt for p in particles), 1e-9)
    ),
    "leading_pt_fraction": lambda jet, particles: (
        max((p.pt for p in particles), default=0) / max(sum(p.pt for p in particles), 1e-9)
    ),
    "log_pt": lambda jet, particles: np.log(jet.pt),
    "abs_eta": lambda jet, particles: abs(jet.eta),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_observable_agrees_with_a_plain_loop(jets, name):
    some = jets[:40]
    ours = getattr(observables, name)(some)
    np.testing.assert_allclose(ours, loop(some, FORMULAS[name]), rtol=1e-5, atol=1e-4)


def test_every_observable_has_a_loop_to_compare_with():
    assert set(observables.__all__) == set(FORMULAS)


def test_an_empty_jet_has_zero_for_every_particle_observable(jets):
    assert len(jets.particles[0]) == 0
    for name in set(observables.__all__) - {"log_pt", "abs_eta"}:
        assert getattr(observables, name)(jets[:1])[0] == 0, name


def test_counting_charges_without_charge_or_pid_says_what_to_map(jets):
    bare = ak.with_field(jets, jets.particles[["pt", "eta", "phi", "energy"]], "particles")
    with pytest.raises(FeatureError, match="'charge' or 'pid'; found only pt, eta, phi, energy"):
        observables.n_charged(bare)
