"""Clustering: jets made of the particles of an event, with fastjet (the extra ``hepnn[cluster]``).

Sequential recombination as in Cacciari, Salam and Soyez, FastJet user manual (arXiv:1111.6097), with the E scheme.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import kinematics
from hepnn.errors import DependencyError, SchemaError, closest
from hepnn.schema import Clustering
from hepnn.schema.rows import Records

__all__ = ["ALGORITHMS", "cluster"]

ALGORITHMS: dict[str, str] = {
    "antikt": "antikt_algorithm",
    "kt": "kt_algorithm",
    "cambridge": "cambridge_algorithm",
}
"""Jet algorithms: name in a schema, and in fastjet."""

Counts = npt.NDArray[np.int64]


def cluster(particles: Records, settings: Clustering) -> tuple[Counts, Counts, Counts]:
    """Returns the particles of each jet, how many each jet has, and how many jets each event has.

    Args:
        particles: (particle,) pt, eta, phi, energy, in GeV, and the number of particles of each event.
        settings: algorithm, radius, cuts on jets.

    Returns:
        Of each particle in a jet, its number among all; of each jet, the number of particles; of each event, the
        number of jets. Jets are ordered by falling pt within an event.

    Raises:
        DependencyError: fastjet is missing.
        SchemaError: an unknown algorithm, or a momentum that is not finite.
    """
    fastjet = _fastjet()
    if settings.algorithm not in ALGORITHMS:
        raise SchemaError(
            f"asked for the jet algorithm {settings.algorithm!r}; closest: {closest(settings.algorithm, ALGORITHMS)}."
        )
    if not (settings.radius > 0 and settings.min_pt >= 0):
        raise SchemaError(f"asked for jets of R = {settings.radius} and pt > {settings.min_pt}; R has to be positive.")
    n_events = len(particles.counts)
    first = np.cumsum(particles.counts) - particles.counts
    if not len(first) or not int(particles.counts.sum()):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(n_events, np.int64)
    pt, eta, phi, energy = (particles.fields[name].astype(np.float64) for name in ("pt", "eta", "phi", "energy"))
    parts = {"px": kinematics.px(pt, phi), "py": kinematics.py(pt, phi), "pz": kinematics.pz(pt, eta), "E": energy}
    for name, values in parts.items():
        if not np.isfinite(values).all():
            raise SchemaError(f"asked to cluster particles; {int((~np.isfinite(values)).sum())} have no finite {name}.")
    momenta = ak.unflatten(ak.zip(parts, with_name="Momentum4D"), particles.counts)
    definition = fastjet.JetDefinition(getattr(fastjet, ALGORITHMS[settings.algorithm]), settings.radius)
    sequence = fastjet.ClusterSequence(momenta, definition)
    jets = sequence.inclusive_jets(min_pt=settings.min_pt)
    members = sequence.constituent_index(min_pt=settings.min_pt)
    jet_pt = np.hypot(jets.px, jets.py)
    if settings.max_abs_eta is not None:
        inside = abs(np.arcsinh(jets.pz / jet_pt)) < settings.max_abs_eta
        members, jet_pt = members[inside], jet_pt[inside]
    members = members[ak.argsort(jet_pt, axis=1, ascending=False, stable=True)]
    n_jets = ak.to_numpy(ak.num(members, axis=1)).astype(np.int64)
    counts = ak.to_numpy(ak.flatten(ak.num(members, axis=2))).astype(np.int64)
    local = ak.to_numpy(ak.flatten(members, axis=None)).astype(np.int64)
    return local + np.repeat(np.repeat(first, n_jets), counts), counts, n_jets


def _fastjet() -> Any:
    try:
        import fastjet
    except ImportError as error:
        raise DependencyError(
            "asked to cluster particles into jets; the package fastjet is missing. Install it with "
            "pip install 'hepnn[cluster]'."
        ) from error
    return fastjet
