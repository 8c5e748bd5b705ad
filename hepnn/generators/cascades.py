"""Cascades: what becomes of a particle in a calorimeter, slice by slice of depth.

Electrons make one electromagnetic cascade, photons one that starts where they convert, neutral pions two, and
charged pions a track up to their first interaction, an electromagnetic cascade of the π0 made in it and after it,
and a hadronic cascade of the rest. Profiles are those of `hepnn.generators.profiles`; how cascades reach cells is
`hepnn.generators.readout`'s.

Arrays end with the axis of showers, so that NumPy works through many showers at once. Positions are in η and φ: at
radius r, a distance across the direction of flight is r times their difference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.generators.calorimeter import Calorimeter, Slices
from hepnn.generators.profiles import draw_electromagnetic, draw_hadronic, em_fraction, radial_profile, slice_shares

__all__ = ["ELECTRON", "PHOTON", "PION", "PIZERO", "Cascades", "Particles", "axes_of", "cascades_of", "draw_particles"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ELECTRON, PHOTON, PIZERO, PION = range(4)
"""Kinds of particle, in the order in which showers are made."""

MAX_ETA = 1.4
"""Largest |η| at which particles meet the calorimeter's face."""
MASS_PIZERO = 0.1350
"""GeV, PDG (2024)."""

CONVERSION_LENGTH = 9 / 7
"""Mean depth in X0 at which a photon makes a pair; PDG (2024), chapter "Passage of particles through matter"."""
PAIR_ENERGY = float(np.exp(-0.5))
"""A pair's cascade is as long as that of an electron with this share of the photon's energy: of lengths that grow as
ln E, weighted with the energies z and 1 − z, z even, the mean is shorter by −⟨z ln z + (1−z) ln(1−z)⟩ = 1/2. With the
depth of the conversion a photon's shower is 0.8 X0 deeper than an electron's; the PDG's rule of thumb says 1."""

FRACTION_CONCENTRATION = (1.0, 2.0)
"""ν = a + b·ln(E/GeV) of the beta distribution of a pion's electromagnetic fraction f, whose variance is
⟨f⟩(1 − ⟨f⟩)/(ν + 1): a spread of 0.18 at 10 GeV and 0.15 at 100 GeV. hepnn's choice."""
TRANSVERSE_MOMENTUM = 0.35
"""Mean transverse momentum of what hadrons make, in GeV: Fabjan and Ludlam, Ann. Rev. Nucl. Part. Sci. 32 (1982) 335.
It sets the electromagnetic cascade in a pion's shower off the axis."""
LARGEST_SLOPE = 0.3
"""Cut on the slope that the transverse momentum makes."""
HADRONIC_RADIUS = (0.10, 0.10)
"""Median radius of the hadronic cascade in λ: a + b·depth/λ. hepnn's choice, such that a pion's shower has 95 % of
its energy within about 1 λ (Fabjan and Ludlam, the same). The form of the profile, one term with a median that
fluctuates log-normally, is that of Grindhammer, Rudowicz and Peters, NIM A290 (1990) 469."""
HADRONIC_RADIUS_SPREAD = 0.3
"""Spread of the radius' logarithm. hepnn's choice."""
TRACK_RADIUS = 1.0
"""Median radius of what a track leaves, in mm: all but a point."""


class Particles(NamedTuple):
    """Particles that meet the calorimeter's face, each array of shape (shower,), ordered by kind."""

    kind: Ints
    energy: Floats
    """GeV."""
    eta: Floats
    """Of the point where it meets the face; of a π0, where it would have."""
    phi: Floats
    slope_eta: Floats
    """Tangent of the angle to the line from the origin, in the plane of the beam; positive towards larger η."""
    slope_phi: Floats
    """The same in the plane across the beam."""

    def of(self, showers: slice) -> Particles:
        """Returns some of the particles."""
        return Particles._make(values[showers] for values in self)

    @property
    def path(self) -> Floats:
        """Length of the path through a layer over that of a particle from the origin."""
        return np.sqrt(1 + self.slope_eta**2 + self.slope_phi**2)


class Cascades(NamedTuple):
    """Cascades of one sort, at most one in a shower; each array of shape (slice, cascade)."""

    showers: slice
    """The showers they are in."""
    is_hadronic: bool
    energy: Floats
    """The signal expected in the slice, in GeV at the scale of electrons."""
    eta: Floats
    """Of the cascade's axis."""
    phi: Floats
    core: Floats
    """Median radius of the core, in mm."""
    tail: Floats
    """Median radius of the tail, in mm."""
    weight: Floats
    """The core's share."""


class Axes(NamedTuple):
    """Where particles would fly on to, (slice, shower)."""

    eta: Floats
    phi: Floats

    def of(self, showers: slice) -> Axes:
        """Returns those of some showers."""
        return Axes(self.eta[:, showers], self.phi[:, showers])

    def shifted(self, d_eta: Floats, d_phi: Floats) -> Axes:
        """Returns axes beside these."""
        return Axes(self.eta + d_eta, self.phi + d_phi)


class Photon(NamedTuple):
    """One of the two photons of π0, (π0,)."""

    energy: Floats
    d_eta: Floats
    """From the point where the π0 would have met the face."""
    d_phi: Floats


def draw_particles(kind: Ints, *, energy: tuple[float, float], max_angle: float, rng: np.random.Generator) -> Particles:
    """Returns particles of even distributions in ln E, η, φ and both angles.

    Args:
        kind: of each, rising.
        energy: range of the energy, in GeV.
        max_angle: largest angle to the line from the origin, in each of two planes, in radians.
        rng: random numbers.
    """
    n = len(kind)
    energies = np.exp(rng.uniform(np.log(energy[0]), np.log(energy[1]), n))
    eta, phi = rng.uniform(-MAX_ETA, MAX_ETA, n), rng.uniform(-np.pi, np.pi, n)
    slopes = np.tan(rng.uniform(-max_angle, max_angle, (2, n)))
    return Particles(kind, energies, eta, phi, *slopes)


def axes_of(particles: Particles, *, calorimeter: Calorimeter) -> Axes:
    """Returns where the particles would fly on to, slice by slice."""
    radius = calorimeter.slices.radius[:, None]
    flight = (radius - calorimeter.radius) / radius * np.cosh(particles.eta)
    return Axes(particles.eta + flight * particles.slope_eta, particles.phi + flight * particles.slope_phi)


def cascades_of(
    particles: Particles, axes: Axes, *, calorimeter: Calorimeter, rng: np.random.Generator
) -> tuple[list[Cascades], Floats]:
    """Returns all cascades of the particles, and the distance of their photons, NaN where the particle is no π0.

    Args:
        particles: ordered by kind.
        axes: theirs.
        calorimeter: what they meet.
        rng: random numbers.

    Returns:
        Cascades; and distances in η and φ at the face, (shower,).
    """
    first_pizero, first_pion = (int(first) for first in np.searchsorted(particles.kind, [PIZERO, PION]))
    leptons, pizeros, pions = slice(first_pizero), slice(first_pizero, first_pion), slice(first_pion, None)
    one, other = _photons(particles.of(pizeros), rng)
    distances = np.full(len(particles.kind), np.nan)
    distances[pizeros] = np.hypot(one.d_eta - other.d_eta, one.d_phi - other.d_phi)
    cascades = [_electromagnetic(leptons, particles, axes.of(leptons), particles.energy[leptons], calorimeter, rng)]
    for photon in (one, other):
        shifted = axes.of(pizeros).shifted(photon.d_eta, photon.d_phi)
        cascades.append(_electromagnetic(pizeros, particles, shifted, photon.energy, calorimeter, rng))
    return [*cascades, *_hadronic(pions, particles, axes.of(pions), calorimeter, rng)], distances


def _photons(particles: Particles, rng: np.random.Generator) -> tuple[Photon, Photon]:
    """Returns the photons of π0 decays: even in the angle of the decay, so the energy share is even too.

    The opening angle θ has sin²(θ/2) = m²/(4 z (1 − z) E²), and across the direction of flight photons balance each
    other. PDG (2024), chapter "Kinematics", two-body decays, boosted.
    """
    n = len(particles.kind)
    beta = np.sqrt(np.maximum(1 - (MASS_PIZERO / particles.energy) ** 2, 0))
    share = (1 + beta * rng.uniform(-1, 1, n)) / 2
    angle = 2 * np.arcsin(np.minimum(MASS_PIZERO / (2 * particles.energy * np.sqrt(share * (1 - share))), 1))
    # at the face the distance is angle × radius × cosh η, and in η and φ that over the radius
    distance = angle * np.cosh(particles.eta)
    turn = rng.uniform(-np.pi, np.pi, n)
    d_eta, d_phi = distance * np.cos(turn), distance * np.sin(turn)
    return (
        Photon(share * particles.energy, (1 - share) * d_eta, (1 - share) * d_phi),
        Photon((1 - share) * particles.energy, -share * d_eta, -share * d_phi),
    )


def _electromagnetic(
    showers: slice, particles: Particles, axes: Axes, energy: Floats, calorimeter: Calorimeter, rng: np.random.Generator
) -> Cascades:
    """Returns the cascades of electrons, and of photons of that energy: all that are not electrons."""
    part = particles.of(showers)
    slices, medium = calorimeter.slices, calorimeter.layers[0].medium
    is_photon = part.kind != ELECTRON
    start = np.where(is_photon, CONVERSION_LENGTH * rng.standard_exponential(len(energy)), 0.0)
    profile = draw_electromagnetic(np.where(is_photon, PAIR_ENERGY, 1.0) * energy, medium, rng=rng)
    shares, depths = slice_shares(profile, slices.radiation_lengths[:, None] * part.path - start)
    radial = radial_profile(energy, profile.ages(depths), medium)
    unit = slices.moliere_radius[:, None]
    return Cascades(showers, False, energy * shares, *axes, radial.core * unit, radial.tail * unit, radial.weight)


def _hadronic(
    showers: slice, particles: Particles, axes: Axes, calorimeter: Calorimeter, rng: np.random.Generator
) -> list[Cascades]:
    """Returns the tracks of charged pions, the electromagnetic and the hadronic part of their showers."""
    part = particles.of(showers)
    slices = calorimeter.slices
    start = rng.standard_exponential(len(part.kind)) / part.path
    lost = _lost_before(start, part, slices)
    energy = part.energy - lost.sum(axis=0)
    fraction = _fractions(part.energy, rng)
    core, rest = draw_hadronic(part.energy, rng=rng)

    core_energy = fraction * energy
    core_start = np.interp(start, slices.interaction_lengths, slices.radiation_lengths)
    core_shares, core_depths = slice_shares(core, (slices.radiation_lengths[:, None] - core_start) * part.path)
    radial = radial_profile(core_energy, core.ages(core_depths), calorimeter.layers[0].medium)
    core_axes = axes.shifted(*_kicks(core_energy, start, part, slices, rng))

    rest_shares, rest_depths = slice_shares(rest, (slices.interaction_lengths[:, None] - start) * part.path)
    rest_signal = (1 - fraction) * energy / calorimeter.e_over_h * rest_shares
    width = (HADRONIC_RADIUS[0] + HADRONIC_RADIUS[1] * rest_depths) * slices.interaction_length[:, None]
    width *= np.exp(HADRONIC_RADIUS_SPREAD * rng.standard_normal(width.shape))

    unit, ones = slices.moliere_radius[:, None], np.ones_like(lost)
    point, core_median, tail_median = TRACK_RADIUS * ones, radial.core * unit, radial.tail * unit
    return [
        Cascades(showers, False, lost / slices.e_over_mip[:, None], *axes, point, point, ones),
        Cascades(showers, False, core_energy * core_shares, *core_axes, core_median, tail_median, radial.weight),
        Cascades(showers, True, rest_signal, *axes, width, width, ones),
    ]


def _lost_before(start: Floats, particles: Particles, slices: Slices) -> Floats:
    """Returns what pions lose by ionisation in each slice before they interact, or stop, in GeV, (slice, pion).

    Args:
        start: depth of the interaction in λ, along the normal.
        particles: the pions.
        slices: of the calorimeter.
    """
    edges = slices.interaction_lengths[:, None]
    reached = np.clip((start - edges[:-1]) / np.diff(edges, axis=0), 0, 1)
    lost = np.cumsum(slices.ionisation[:, None] * particles.path * reached, axis=0)
    return np.diff(np.minimum(lost, particles.energy), axis=0, prepend=0.0)


def _fractions(energy: Floats, rng: np.random.Generator) -> Floats:
    """Returns the electromagnetic fractions of pions' showers."""
    # a beta distribution has to have a mean between 0 and 1
    mean = np.maximum(em_fraction(energy), 0.01)
    concentration = FRACTION_CONCENTRATION[0] + FRACTION_CONCENTRATION[1] * np.log(energy)
    return rng.beta(mean * concentration, (1 - mean) * concentration)


def _kicks(
    energy: Floats, start: Floats, particles: Particles, slices: Slices, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Returns how far in η and φ transverse momentum takes electromagnetic cascades off the pions' lines of flight.

    Args:
        energy: of the cascades in GeV, (pion,).
        start: depth of the interaction in λ, along the normal.
        particles: the pions.
        slices: of the calorimeter.
        rng: random numbers.

    Returns:
        Both of shape (slice, pion).
    """
    radius = slices.radius[:, None]
    way = np.maximum(radius - np.interp(start, slices.interaction_lengths, slices.edges), 0)
    way *= np.cosh(particles.eta) / radius
    # a mean of p in the plane is a spread of p·√(2/π) along each axis
    momentum = TRANSVERSE_MOMENTUM * np.sqrt(2 / np.pi) * rng.standard_normal((2, len(energy)))
    slope_eta, slope_phi = momentum / np.maximum(energy, abs(momentum) / LARGEST_SLOPE)
    return way * slope_eta, way * slope_phi
