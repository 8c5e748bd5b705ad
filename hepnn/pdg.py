"""What a PDG particle code says: charge and kind.

The numbering scheme is that of the Particle Data Group, Review of Particle Physics (2024), "Monte Carlo particle
numbering scheme". CMS particle-flow candidates use the same codes, and 1 and 2 for hadronic and electromagnetic
deposits in the forward calorimeter (CMSSW, DataFormats/ParticleFlowCandidate).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "JET_PARTICLES",
    "charge",
    "is_charged_hadron",
    "is_electron",
    "is_muon",
    "is_neutral_hadron",
    "is_photon",
]

Codes = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]

JET_PARTICLES: dict[str, int] = {
    "pi_plus": 211,
    "pi_minus": -211,
    "k_plus": 321,
    "k_minus": -321,
    "k_long": 130,
    "proton": 2212,
    "antiproton": -2212,
    "neutron": 2112,
    "antineutron": -2112,
    "gamma": 22,
    "e_minus": 11,
    "e_plus": -11,
    "mu_minus": 13,
    "mu_plus": -13,
}
"""The particles that reach a detector from inside a jet, by name: the identities of Komiske, Metodiev and Thaler 2019
(arXiv:1810.05165), section 4."""

_QUARK_THIRDS = np.array([0, -1, 2, -1, 2, -1, 2, 0, 0, 0])
"""The charge of each quark in thirds of e, by its digit in the code of a hadron."""
_LEPTON_AND_BOSON_CHARGES = {11: -1, 13: -1, 15: -1, 24: 1, 37: 1}
_LEAST_HADRON_CODE = 100
_LEAST_NUCLEUS_CODE = 10**9
"""Nuclei are coded otherwise, and do not come in jets."""
_N_USUAL = 10_000
"""Codes below this are looked up: all of stable hadrons, and few enough for a processor's cache."""
_HF_HADRON, _HF_PHOTON = 1, 2


def charge(pid: Codes) -> npt.NDArray[np.float32]:
    """Returns the electric charge, in units of e, for each code; 0 for one that names no hadron or charged lepton.

    A code that is NaN, infinite, no whole number or a nucleus' names no particle, here and in what follows.

    >>> charge(np.array([211, -11, 22, 2212, 130, 3112]))
    array([ 1.,  1.,  0.,  1.,  0., -1.], dtype=float32)
    """
    codes = _whole(pid)
    size = np.abs(codes)
    is_usual = size < _N_USUAL
    found = _usual_charges()[np.where(is_usual, size, 0)]
    if not is_usual.all():
        found[~is_usual] = _charges(size[~is_usual])
    return np.where(codes < 0, -found, found)


def _whole(pid: Codes) -> npt.NDArray[np.int64]:
    """The codes as integers, 0 for those that name no particle of a jet."""
    pid = np.asarray(pid)
    if pid.dtype.kind == "f":
        pid = np.where(np.floor(pid) == pid, pid, 0)  # NaN is not
    known = (pid > -_LEAST_NUCLEUS_CODE) & (pid < _LEAST_NUCLEUS_CODE)
    return np.where(known, pid, 0).astype(np.int64)


@functools.cache
def _usual_charges() -> npt.NDArray[np.float32]:
    """The charges of the codes from 0 on that are looked up rather than worked out."""
    return _charges(np.arange(_N_USUAL))


def _charges(size: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The charge of each positive code, from its digits."""
    q1, q2, q3 = size // 1000 % 10, size // 100 % 10, size // 10 % 10
    first, second, third = _QUARK_THIRDS[q1], _QUARK_THIRDS[q2], _QUARK_THIRDS[q3]
    # of a meson, the heavier quark comes first and is an antiquark if it is of down type
    meson = np.where(q2 % 2, third - second, second - third)
    thirds = np.where(q1 > 0, first + second + third, meson)
    charges = np.where(size > _LEAST_HADRON_CODE, thirds / 3, 0)
    for code, of_code in _LEPTON_AND_BOSON_CHARGES.items():
        charges[size == code] = of_code
    return charges.astype(np.float32)


def is_charged_hadron(pid: Codes) -> Flags:
    """Returns which codes are charged hadrons."""
    return (np.abs(_whole(pid)) > _LEAST_HADRON_CODE) & (charge(pid) != 0)


def is_neutral_hadron(pid: Codes) -> Flags:
    """Returns which codes are neutral hadrons, deposits in the hadronic forward calorimeter included."""
    size = np.abs(_whole(pid))
    return ((size > _LEAST_HADRON_CODE) & (charge(pid) == 0)) | (size == _HF_HADRON)


def is_photon(pid: Codes) -> Flags:
    """Returns which codes are photons, deposits in the electromagnetic forward calorimeter included."""
    return (np.abs(pid) == 22) | (np.abs(pid) == _HF_PHOTON)


def is_electron(pid: Codes) -> Flags:
    """Returns which codes are electrons or positrons."""
    return np.abs(pid) == 11


def is_muon(pid: Codes) -> Flags:
    """Returns which codes are muons of either charge."""
    return np.abs(pid) == 13
