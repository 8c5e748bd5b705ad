"""Jet observables: one number a jet, summed up from its particles. The classic inputs of a tagger without a network.

Every function takes jets that keep the contract of `hepnn.jets` and returns a float array of shape (n_jets,). A jet
without particles has 0 for each.
"""

from __future__ import annotations

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import kinematics, pdg
from hepnn.errors import FeatureError

__all__ = [
    "abs_eta",
    "girth",
    "leading_pt_fraction",
    "les_houches_angularity",
    "log_pt",
    "n_charged",
    "n_particles",
    "particle_mass",
    "pt_dispersion",
]

Floats = npt.NDArray[np.float64]

QG = "Gallicchio, Schwartz 2013 (arXiv:1211.7038), section 3"
LHA = "Gras et al. 2017 (arXiv:1704.03878), eq. 2.1 with κ = 1, β = 1/2"
CMS_QG = "CMS PAS JME-13-002, section 3"

_JET_RADIUS = 0.4
"""R in the angularity: a common factor only, which no tagger sees."""


def log_pt(jets: ak.Array) -> Floats:
    """Returns ln(pT / GeV) of the jet."""
    return np.log(ak.to_numpy(jets.pt))


def abs_eta(jets: ak.Array) -> Floats:
    """Returns |η| of the jet."""
    return np.abs(ak.to_numpy(jets.eta))


def n_particles(jets: ak.Array) -> Floats:
    """Returns the number of particles."""
    return ak.to_numpy(ak.num(jets.particles)).astype(np.float64)


def n_charged(jets: ak.Array) -> Floats:
    """Returns the number of charged particles.

    Raises:
        FeatureError: the particles have neither ``charge`` nor ``pid``.
    """
    particles = jets.particles
    if "charge" in particles.fields:
        charged = np.abs(particles.charge) > 0  # not so where the charge is missing
    elif "pid" in particles.fields:
        charged = ak.unflatten(
            pdg.charge(ak.to_numpy(ak.fill_none(ak.flatten(particles.pid), 0))) != 0, ak.num(particles)
        )
    else:
        raise FeatureError(
            f"asked for the particle field 'charge' or 'pid'; found only {', '.join(particles.fields)}. "
            "Map one of them in the schema, or choose features that do without it."
        )
    return ak.to_numpy(ak.sum(charged, axis=1)).astype(np.float64)


def particle_mass(jets: ak.Array) -> Floats:
    """Returns the invariant mass of the sum of the particles, in GeV."""
    particles = jets.particles
    pt = ak.values_astype(particles.pt, np.float64)
    momentum = [
        ak.to_numpy(ak.sum(component, axis=1))
        for component in (
            kinematics.px(pt, particles.phi),
            kinematics.py(pt, particles.phi),
            kinematics.pz(pt, particles.eta),
        )
    ]
    energy = ak.to_numpy(ak.sum(ak.values_astype(particles.energy, np.float64), axis=1))
    return np.sqrt(np.maximum(energy**2 - sum(p**2 for p in momentum), 0.0))


def girth(jets: ak.Array) -> Floats:
    """Returns Σ pT ΔR / Σ pT, the pT-weighted mean distance from the jet axis."""
    return _pt_mean(jets, _distance(jets))


def les_houches_angularity(jets: ak.Array) -> Floats:
    """Returns Σ pT √(ΔR/R) / Σ pT, with R = 0.4."""
    return _pt_mean(jets, np.sqrt(_distance(jets) / _JET_RADIUS))


def pt_dispersion(jets: ak.Array) -> Floats:
    """Returns √(Σ pT²) / Σ pT: 1 for a single particle, towards 0 for many equal ones."""
    pt = jets.particles.pt
    return _ratio(np.sqrt(ak.sum(pt**2, axis=1)), ak.sum(pt, axis=1))


def leading_pt_fraction(jets: ak.Array) -> Floats:
    """Returns the share of Σ pT that the hardest particle carries."""
    pt = jets.particles.pt
    return _ratio(ak.fill_none(ak.max(pt, axis=1), 0.0), ak.sum(pt, axis=1))


def _distance(jets: ak.Array) -> ak.Array:
    return kinematics.delta_r(jets.particles.eta, jets.particles.phi, jets.eta, jets.phi)


def _pt_mean(jets: ak.Array, values: ak.Array) -> Floats:
    pt = jets.particles.pt
    return _ratio(ak.sum(pt * values, axis=1), ak.sum(pt, axis=1))


def _ratio(numerator: ak.Array, denominator: ak.Array) -> Floats:
    top, bottom = ak.to_numpy(numerator).astype(np.float64), ak.to_numpy(denominator).astype(np.float64)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)
