"""Four-vector formulas on NumPy or awkward arrays of any nesting.

All momenta and energies in GeV, angles in radians, the beam along z. Conventions and formulas: Particle Data Group,
Review of Particle Physics (2024), chapter "Kinematics", section on high-energy collisions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "delta_phi",
    "delta_r",
    "energy_from_mass",
    "eta_from_p",
    "invariant_mass",
    "phi_from_p",
    "pt_from_p",
    "px",
    "py",
    "pz",
    "rapidity",
]

Array = Any
"""A NumPy array, an awkward array or a number; results have the shape the inputs broadcast to."""


def px(pt: Array, phi: Array) -> Array:
    """Returns the momentum along x, in GeV: pt·cos φ."""
    return pt * np.cos(phi)


def py(pt: Array, phi: Array) -> Array:
    """Returns the momentum along y, in GeV: pt·sin φ."""
    return pt * np.sin(phi)


def pz(pt: Array, eta: Array) -> Array:
    """Returns the momentum along the beam, in GeV: pt·sinh η."""
    return pt * np.sinh(eta)


def pt_from_p(px: Array, py: Array) -> Array:
    """Returns the transverse momentum, in GeV, from its components."""
    return np.sqrt(px * px + py * py)  # np.hypot takes seven times as long, for squares beyond a number's range


def phi_from_p(px: Array, py: Array) -> Array:
    """Returns the azimuth in (−π, π], in radians."""
    return np.arctan2(py, px)


def eta_from_p(px: Array, py: Array, pz: Array) -> Array:
    """Returns the pseudorapidity asinh(pz/pt); ±inf along the beam, NaN for a null momentum."""
    return np.arcsinh(pz / pt_from_p(px, py))


def energy_from_mass(pt: Array, eta: Array, mass: Array) -> Array:
    """Returns the energy, in GeV: √((pt·cosh η)² + m²).

    A negative mass stands for m² < 0, as rounding makes it, and the energy is at least 0: the convention of ROOT
    (``TLorentzVector::SetPtEtaPhiM``).
    """
    momentum = pt * np.cosh(eta)
    below = np.sqrt(np.maximum((momentum + mass) * (momentum - mass), 0))
    return np.where(mass + 0 * momentum < 0, below, np.hypot(momentum, mass))  # awkward takes no single truth


def delta_phi(phi1: Array, phi2: Array) -> Array:
    """Returns φ1 − φ2 wrapped into [−π, π), in radians."""
    difference = phi1 - phi2
    # np.remainder takes four times as long
    return difference - 2 * np.pi * np.floor((difference + np.pi) / (2 * np.pi))


def delta_r(eta1: Array, phi1: Array, eta2: Array, phi2: Array) -> Array:
    """Returns the angular distance √(Δη² + Δφ²), with Δφ wrapped."""
    return pt_from_p(eta1 - eta2, delta_phi(phi1, phi2))


def rapidity(pt: Array, eta: Array, energy: Array) -> Array:
    """Returns y = ½ ln((E + pz)/(E − pz)).

    Computed as asinh(pz / √(E² − pz²)), which stays finite for a massless particle at any η; an energy rounded to
    less than the momentum counts as massless.
    """
    p_z = pz(pt, eta)
    transverse_energy = np.sqrt(np.maximum(energy**2 - p_z**2, pt**2))
    return np.arcsinh(p_z / transverse_energy)


def invariant_mass(pt: Array, eta: Array, energy: Array) -> Array:
    """Returns the mass √(E² − p²), in GeV; 0 where rounding leaves a negative square."""
    return np.sqrt(np.maximum(energy**2 - (pt * np.cosh(eta)) ** 2, 0.0))
