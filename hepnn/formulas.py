"""Formulas of particle features: from the columns of particles and of their jets to one number a particle.

``particles.pt`` and ``jet.pt`` are flat arrays of the same length: the particles of all jets, one after another, and
for each the jet it is in. What a formula is good for, its unit and its source are in `hepnn.features`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import kinematics, pdg
from hepnn.errors import FeatureError
from hepnn.jets import column_of

__all__ = [
    "DERIVED_FIELDS",
    "Columns",
    "columns_of",
    "delta_eta",
    "delta_phi",
    "delta_r",
    "field",
    "is_pid",
    "log_energy",
    "log_energy_rel",
    "log_pt",
    "log_pt_rel",
    "mass",
    "pt_fraction",
    "pt_to_axis",
    "rapidity",
    "rows_of",
    "tanh",
]


class Columns:
    """The fields of one collection as flat arrays, looked up by attribute and kept for the next formula.

    ``columns.pt`` is a float array of shape (n,), None as NaN. Fields that a source lacks but that follow from others
    (``charge`` and ``is_photon`` from ``pid``) are worked out.
    """

    def __init__(self, find: Callable[[str], Any]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        column = self._find(name)
        setattr(self, name, column)
        return column


def columns_of(records: ak.Array, *, what: str) -> Columns:
    """Returns the columns of records, (record,); ``what`` they are in words."""

    def find(name: str) -> Any:
        if name in records.fields:
            values = column_of(records, name)
            if isinstance(values, np.ma.MaskedArray):  # to look for missing values takes as long as many a formula
                values = ak.to_numpy(ak.fill_none(records[name], np.nan))
            return values
        if name in DERIVED_FIELDS and "pid" in records.fields:
            return DERIVED_FIELDS[name](columns.pid)
        raise FeatureError(
            f"asked for the {what} field {name!r}; found only {', '.join(records.fields)}. "
            "Map it in the schema, or choose features that do without it."
        )

    columns = Columns(find)
    return columns


def rows_of(columns: Columns, rows: slice, *, repeat: npt.NDArray[np.int64] | None = None) -> Columns:
    """Returns some rows of columns, each as often as ``repeat`` says."""

    def find(name: str) -> Any:
        part = getattr(columns, name)[rows]
        return part if repeat is None else np.repeat(part, repeat)

    return Columns(find)


DERIVED_FIELDS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "charge": pdg.charge,
    "is_charged_hadron": pdg.is_charged_hadron,
    "is_neutral_hadron": pdg.is_neutral_hadron,
    "is_photon": pdg.is_photon,
    "is_electron": pdg.is_electron,
    "is_muon": pdg.is_muon,
}


def log_pt(particles: Columns, jet: Columns) -> Any:
    """Returns ln(pT / GeV)."""
    return np.log(particles.pt)


def log_energy(particles: Columns, jet: Columns) -> Any:
    """Returns ln(E / GeV)."""
    return np.log(particles.energy)


def log_pt_rel(particles: Columns, jet: Columns) -> Any:
    """Returns ln(pT / pT of the jet)."""
    return np.log(particles.pt / jet.pt)


def log_energy_rel(particles: Columns, jet: Columns) -> Any:
    """Returns ln(E / E of the jet)."""
    return np.log(particles.energy / jet.energy)


def delta_eta(particles: Columns, jet: Columns) -> Any:
    """Returns η − η of the jet, with the sign of the latter, so that positive is away from the centre."""
    difference = particles.eta - jet.eta
    return np.where(jet.eta < 0, -difference, difference)


def delta_phi(particles: Columns, jet: Columns) -> Any:
    """Returns φ − φ of the jet, in [−π, π), in radians."""
    return kinematics.delta_phi(particles.phi, jet.phi)


def delta_r(particles: Columns, jet: Columns) -> Any:
    """Returns the distance to the jet's axis, √(Δη² + Δφ²)."""
    return kinematics.delta_r(particles.eta, particles.phi, jet.eta, jet.phi)


def pt_fraction(particles: Columns, jet: Columns) -> Any:
    """Returns pT / pT of the jet."""
    return particles.pt / jet.pt


def pt_to_axis(particles: Columns, jet: Columns) -> Any:
    """Returns |p × n| for the unit vector n along the jet, in GeV."""
    p = _cartesian(particles)
    axis = _cartesian(jet)
    axis = axis / np.linalg.norm(axis, axis=0)
    return np.linalg.norm(np.cross(p, axis, axis=0), axis=0)


def _cartesian(columns: Columns) -> npt.NDArray[np.float64]:
    pt = np.asarray(columns.pt, np.float64)
    return np.stack(
        [
            kinematics.px(pt, columns.phi),
            kinematics.py(pt, columns.phi),
            kinematics.pz(pt, columns.eta),
        ]
    )


def rapidity(particles: Columns, jet: Columns) -> Any:
    """Returns ½ ln((E + pz)/(E − pz))."""
    return kinematics.rapidity(particles.pt, particles.eta, particles.energy)


def mass(particles: Columns, jet: Columns) -> Any:
    """Returns √(E² − p²), in GeV, 0 where rounding makes that negative."""
    return kinematics.invariant_mass(
        np.asarray(particles.pt, np.float64), particles.eta, np.asarray(particles.energy, np.float64)
    )


def field(particles: Columns, jet: Columns, *, name: str) -> Any:
    """Returns a field as it is."""
    return getattr(particles, name)


def tanh(particles: Columns, jet: Columns, *, name: str) -> Any:
    """Returns the hyperbolic tangent of a field."""
    return np.tanh(getattr(particles, name))


def is_pid(particles: Columns, jet: Columns, *, code: int) -> Any:
    """Returns whether the PDG code is ``code``."""
    return particles.pid == code
