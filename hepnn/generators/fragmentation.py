"""Fragmentation: the particles of toy jets, made of their prongs.

In go `hepnn.generators.prongs.Prongs`; out come flat arrays of particles, jet after jet, by falling pt. A
caricature of what parton showers, decays and detectors do, fast and without a Python loop over jets; the
numbers are chosen so that jets look like those of JetClass to the eye. This is the second half of
`hepnn.generators.toy`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.generators.prongs import ABSENT, ELECTRON, MUON, Prongs

__all__ = ["KINDS", "MAX_PARTICLES", "Particles", "fragmented", "sum_per_jet"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

MAX_PARTICLES = 128
"""In a jet, as in the JetClass files."""
KINDS = ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")
CHARGED_HADRON, NEUTRAL_HADRON, PHOTON, IS_ELECTRON, IS_MUON = range(len(KINDS))
KIND_SHARES = (0.620, 0.130, 0.244, 0.003, 0.003)
"""Of the particles of a hadronic prong; about what Pythia gives, the few leptons from hadron decays."""
MASSES = np.array([0.13957, 0.49761, 0.0, 0.000511, 0.10566], np.float32)
"""GeV: charged pion, neutral kaon, photon, electron, muon."""
RESOLUTIONS = np.array([0.01, 0.12, 0.03, 0.015, 0.01], np.float32)
"""Relative resolution of the momentum: tracker, hadronic and electromagnetic calorimeter."""

# by flavour: ABSENT, LIGHT, GLUON, CHARM, BOTTOM, ELECTRON, MUON, TAU
MULTIPLICITY = np.array([0.0, 9.2, 14.5, 9.7, 10.5, 0.0, 0.0, 1.2])
"""Mean number of particles of a prong of 100 GeV. A gluon's is 1.6 times a quark's, as in Pythia at 500
GeV."""
HARDNESS = np.array([0.0, 1.45, 1.25, 1.4, 1.3, 0.0, 0.0, 0.7], np.float32)
"""Width of the logarithm of the momentum fractions: the larger, the more one particle leads."""
TRANSVERSE = np.array([0.0, 0.6, 0.8, 0.62, 0.68, 0.0, 0.0, 0.3], np.float32)
"""Momentum transverse to the prong, in GeV: a few hundred MeV as in string fragmentation."""
DISPLACED = np.array([0.0, 0.02, 0.02, 0.14, 0.20, 0.0, 0.0, 1.0], np.float32)
"""Share of the particles that come from a secondary vertex."""
LIFETIME = np.array([0.0, 3.0, 3.0, 0.20, 0.46, 0.0, 0.0, 0.09], np.float32)
"""cτ in mm: between D0 and D+ for charm, B for bottom, and τ (Particle Data Group, 2024); a few mm stand for
strange hadrons, of which only early decays are well measured. An impact parameter is of the order of cτ at
any boost: the flight grows as the decay's angles shrink."""
LEPTONS_OF_DISPLACED = 0.08
"""Share of the displaced charged particles that are leptons: semileptonic decays."""
MULTIPLICITY_POWER = 0.6
"""Growth of the multiplicity with the prong's momentum."""
MULTIPLICITY_SHAPE = 12.0
"""Of the gamma distribution that makes the Poisson numbers fluctuate more: a negative binomial."""
MAX_ANGLE = 0.25
"""Where the angle to the prong's axis saturates."""
D0_NOISE = (0.02, 0.12)
"""Resolution of d0 in mm: constant, and in mm·GeV over pt; a silicon tracker's."""
DZ_NOISE = (0.04, 0.20)
"""The same for dz."""


class Particles(NamedTuple):
    """The particles of some jets, jet after jet and by falling pt; arrays of shape (particle,)."""

    pt: Floats
    eta: Floats
    phi: Floats
    kind: npt.NDArray[np.uint8]
    charge: npt.NDArray[np.int32]
    d0: Floats
    d0_error: Floats
    dz: Floats
    dz_error: Floats
    prong: npt.NDArray[np.int32]
    counts: Ints
    """Particles in each jet, of shape (jet,)."""


def fragmented(prongs: Prongs, *, rng: np.random.Generator) -> Particles:
    """Returns the particles of jets: momenta in GeV, impact parameters in mm, those of neutral particles 0.

    Particles share a prong's momentum by log-normal numbers, and have a transverse momentum to it that does
    not depend on their own, so that the harder are closer to the axis.
    """
    jet, slot = np.nonzero(prongs.flavour != ABSENT)
    flavour = prongs.flavour[jet, slot]
    numbers = _numbers(prongs.pt[jet, slot], flavour, jet, rng)
    source = np.repeat(np.arange(len(jet)), numbers)
    share = np.exp(HARDNESS[flavour][source] * _normal(rng, len(source)))
    share /= np.add.reduceat(share, np.cumsum(numbers) - numbers)[source]
    share *= prongs.pt[jet, slot].astype(np.float32)[source]
    kind = _kinds(flavour, source, rng)
    pt = share * np.maximum(1 + RESOLUTIONS[kind] * _normal(rng, len(source)), np.float32(0.1))
    counts = np.bincount(jet, weights=numbers, minlength=len(prongs.pt)).astype(np.int64)
    order = _by_falling_pt(pt, jet[source])
    pt, source, kind = pt[order], source[order], kind[order]
    # a lepton keeps its direction; the angle of the others saturates smoothly
    spread = TRANSVERSE[flavour][source] * _exponential(rng, len(source)) / pt
    spread /= np.sqrt(1 + (spread / np.float32(MAX_ANGLE)) ** 2)
    eta = prongs.eta[jet, slot].astype(np.float32)[source] + spread * _normal(rng, len(source))
    phi = prongs.phi[jet, slot].astype(np.float32)[source] + spread * _normal(rng, len(source))
    is_displaced = _uniform(rng, len(source)) < DISPLACED[flavour][source]
    is_semileptonic = is_displaced & (kind == CHARGED_HADRON) & (_uniform(rng, len(source)) < LEPTONS_OF_DISPLACED)
    kind[is_semileptonic] = rng.integers(IS_ELECTRON, IS_MUON + 1, int(is_semileptonic.sum()), dtype=np.uint8)
    charged = np.flatnonzero((kind != NEUTRAL_HADRON) & (kind != PHOTON))
    charge = np.zeros(len(source), np.int32)
    charge[charged] = 2 * rng.integers(0, 2, len(charged), dtype=np.int8) - 1
    flights = (LIFETIME[flavour] * _exponential(rng, len(flavour)))[source[charged]] * is_displaced[charged]
    # neutral particles keep 0 and 0, as in JetClass
    impacts = np.zeros((4, len(source)), np.float32)
    impacts[:2, charged] = _impact(flights, pt[charged], D0_NOISE, rng)
    impacts[2:, charged] = _impact(flights, pt[charged], DZ_NOISE, rng)
    d0, d0_error, dz, dz_error = impacts
    prong = slot.astype(np.int32)[source]
    return Particles(pt, eta, phi, kind, charge, d0, d0_error, dz, dz_error, prong, counts)


def sum_per_jet(values: npt.NDArray[Any], counts: Ints) -> npt.NDArray[np.float64]:
    """Returns the sums over each jet's particles, in double precision; no jet may be empty."""
    sums: npt.NDArray[np.float64] = np.add.reduceat(values, np.cumsum(counts) - counts, dtype=np.float64)
    return sums


def _numbers(pt: npt.NDArray[np.float64], flavour: Ints, jet: Ints, rng: np.random.Generator) -> Ints:
    """Returns how many particles each prong has: at least one, and at most `MAX_PARTICLES` in a jet."""
    mean = MULTIPLICITY[flavour] * (pt / 100.0) ** MULTIPLICITY_POWER
    numbers = 1 + rng.poisson(mean * rng.gamma(MULTIPLICITY_SHAPE, 1 / MULTIPLICITY_SHAPE, len(mean)))
    total = np.bincount(jet, weights=numbers)[jet]
    kept = np.maximum(numbers * MAX_PARTICLES // np.maximum(total, MAX_PARTICLES), 1).astype(np.int64)
    return np.where((flavour == ELECTRON) | (flavour == MUON), 1, kept)


def _kinds(flavour: Ints, source: Ints, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    u = _uniform(rng, len(source))
    kind = np.zeros(len(source), np.uint8)
    for edge in np.cumsum(KIND_SHARES)[:-1]:
        kind += u > np.float32(edge)
    origin = flavour[source]
    kind[origin == ELECTRON] = IS_ELECTRON
    kind[origin == MUON] = IS_MUON
    return kind


def _by_falling_pt(pt: Floats, jet: Ints) -> Ints:
    """Returns the order that sorts particles by jet and within a jet by falling pt."""
    # the bits of a positive float sort like the float itself: one integer key is faster than two sorts
    falling = np.uint32(2**32 - 1) - pt.view(np.uint32)
    return np.argsort((jet.astype(np.uint64) << np.uint64(32)) | falling, kind="stable")


def _impact(flights: Floats, pt: Floats, noise: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Returns an impact parameter and its error, in mm, of shape (2, particle)."""
    constant, per_gev = np.float32(noise[0]), np.float32(noise[1])
    error = np.sqrt(constant**2 + (per_gev / pt) ** 2)
    return np.stack([np.sqrt(error**2 + flights**2) * _normal(rng, len(pt)), error])


def _uniform(rng: np.random.Generator, n: int) -> Floats:
    return rng.random(n, dtype=np.float32)


def _normal(rng: np.random.Generator, n: int) -> Floats:
    return rng.standard_normal(n, dtype=np.float32)


def _exponential(rng: np.random.Generator, n: int) -> Floats:
    return rng.standard_exponential(n, dtype=np.float32)
