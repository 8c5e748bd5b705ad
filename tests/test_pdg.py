"""Charges and kinds of particles against the package particle, which carries the PDG tables."""

import numpy as np
from particle import Particle

from hepnn import pdg

KNOWN = [p for p in Particle.findall() if p.charge is not None and abs(int(p.pdgid)) < 10**6]


def test_charge_agrees_with_the_tables_for_hadrons_and_leptons():
    hadrons = [p for p in KNOWN if p.pdgid.is_hadron or abs(int(p.pdgid)) in (11, 12, 13, 14, 15, 16, 22)]
    assert len(hadrons) > 300
    codes = np.array([int(p.pdgid) for p in hadrons])
    wrong = codes[pdg.charge(codes) != np.array([p.charge for p in hadrons])]
    assert not len(wrong), wrong


def test_codes_that_are_looked_up_and_those_that_are_worked_out_have_the_same_charges():
    codes = np.array([211, 321, 2212, 20213, 10323, 9000211])  # the last three are excited states of mesons
    np.testing.assert_array_equal(pdg.charge(codes), [1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(pdg.charge(-codes), [-1, -1, -1, -1, -1, -1])
    np.testing.assert_array_equal(pdg.charge(codes[:3]), pdg.charge(np.array([211.0, 321.0, 2212.0])))
    assert pdg.charge(np.array([np.nan, 1000020040.0])).tolist() == [0, 0]
    assert pdg.charge(np.array([], np.int32)).shape == (0,)


def test_every_jet_particle_is_of_exactly_one_kind():
    codes = np.array([*pdg.JET_PARTICLES.values(), 1, 2])
    kinds = [
        pdg.is_charged_hadron(codes),
        pdg.is_neutral_hadron(codes),
        pdg.is_photon(codes),
        pdg.is_electron(codes),
        pdg.is_muon(codes),
    ]
    np.testing.assert_array_equal(np.sum(kinds, axis=0), 1)


def test_jet_particles_have_the_codes_their_names_say():
    named = {"pi_plus": "pi+", "k_long": "K(L)0", "antiproton": "p~", "gamma": "gamma", "mu_minus": "mu-"}
    for ours, theirs in named.items():
        assert pdg.JET_PARTICLES[ours] == int(Particle.findall(name=theirs)[0].pdgid)
