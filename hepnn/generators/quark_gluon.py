"""Quark and gluon jets: simulated with Pythia 8, clustered with fastjet, written as one ROOT tree.

The definition is that of the public EnergyFlow set (Komiske, Metodiev, Thaler, arXiv:1810.05165; Zenodo
3164691), so that published tables apply: pp at 14 TeV, Z(νν)+g and Z(νν)+q with q = u, d, s, hadronisation
and multi-parton interactions on, final-state particles without neutrinos, anti-kT jets of R = 0.4, the
leading jet of an event if 500 < pT < 550 GeV and abs(y) < 1.7; half quark jets, half gluon jets. The
particles keep their identity.

Needs the extra ``hepnn[pythia]``. Please cite Pythia 8.3 (arXiv:2203.11601) and fastjet (arXiv:1111.6097) for
results obtained with it.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults
from hepnn.errors import DependencyError, InputError
from hepnn.generators.blocks import Block, Progress, blocks_of, in_order
from hepnn.jets import JET_FIELDS
from hepnn.kinematics import eta_from_p, phi_from_p, pt_from_p
from hepnn.trees import TreeWriter

__all__ = ["QUARK_GLUON_TREE", "generate_quark_gluon", "rounded"]

QUARK_GLUON_TREE = "tree"
"""Name of the tree, as in the JetClass files."""

BEAM_ENERGY_GEV = 14_000
JET_RADIUS = 0.4
JET_PT_GEV = (500.0, 550.0)
JET_MAX_RAPIDITY = 1.7
LIGHT_QUARKS = (1, 2, 3)
"""PDG codes of d, u, s."""
GLUON = 21
"""PDG code."""
NEUTRINOS = (12, 14, 16)
"""PDG codes of the particles that no detector sees."""
PTHAT_GEV = (400, 800)
"""Window of the transverse momentum of the hard process. It holds 93 % of the quark and 98 % of the gluon
jets that pass the selection with a window of 350 to 1200 GeV; what is missing comes from below 400 GeV, where
radiation makes the leading jet, and one event in twenty rather than one in ten passes."""
GLUON_PROCESS = "WeakBosonAndParton:qqbar2gmZg"
QUARK_PROCESS = "WeakBosonAndParton:qg2gmZq"
PYTHIA_SETTINGS = (
    "Print:quiet = on",
    f"Beams:eCM = {BEAM_ENERGY_GEV}",
    f"PhaseSpace:pTHatMin = {PTHAT_GEV[0]}",
    f"PhaseSpace:pTHatMax = {PTHAT_GEV[1]}",
    "WeakZ0:gmZmode = 2",  # the Z alone, no photon
    "23:onMode = off",
    f"23:onIfAny = {' '.join(map(str, NEUTRINOS))}",
    "Random:setSeed = on",
)
"""What differs from Pythia's defaults, which have showers, hadronisation and multi-parton interactions on."""
PYTHIA_MAX_SEED = 900_000_000
"""Largest value of Random:seed (Pythia manual, "Random-number seed")."""

BLOCK_JETS = 400
"""Jets in a block of work: some 20 s, of which Pythia's initialisation takes 1."""
BATCH_EVENTS = 50
"""Events simulated and clustered in one go; the jets do not depend on it."""
COMPRESSION_LEVEL = 9
"""ZLIB's smallest: simulating the jets takes a hundred times longer than writing them."""

BASKET_ENTRIES = 2_000
"""Jets that are lost, at most, when the process is killed: a few minutes of work."""

FLOAT32_MANTISSA_BITS = 23
EXTRA_ENERGY_BITS = 6
"""Mantissa bits that an energy keeps beyond those of the momenta. A jet's mass is a small difference of its
energy and momentum: with 10 bits for both, jet masses change by 2.5 %, with these 6 more by 0.14 % (68 %
quantiles)."""


def generate_quark_gluon(
    path: str | os.PathLike[str],
    n_jets: int,
    *,
    seed: int = defaults.SEED,
    processes: int | None = None,
    mantissa_bits: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Writes simulated quark and gluon jets to a ROOT file and returns its path.

    One entry a jet, in mixed order, of the tree ``tree``: ``jet_pt jet_eta jet_phi jet_energy`` (GeV,
    float32), ``label_quark label_gluon`` (bool), and by falling pt the particles ``part_px part_py part_pz
    part_energy`` (GeV, float32) and ``part_pid`` (PDG code, int32). The same seed and number give the same
    jets on any number of processes. Blocks are written as they come; after an error the jets of the finished
    ones remain in a file that the error names.

    Args:
        path: the file to write.
        n_jets: number of jets; of an odd number, one more is a quark jet.
        seed: from 0 on.
        processes: number of processes; None for one a processor core. A script that asks for more than 1 has
            to call this under ``if __name__ == "__main__":``.
        mantissa_bits: bits kept of the 23 of the particles' momenta, see `rounded`; energies keep 6 more and
            are not below the momentum. None keeps all.
        overwrite: replace an existing file.
        progress: called with the number of jets written and the number asked for.

    Raises:
        DependencyError: pythia8mc or fastjet is missing.
        InputError: a setting makes no sense.
        OutputError: the file cannot be written, or exists already.
    """
    if mantissa_bits is not None and not 1 <= mantissa_bits <= FLOAT32_MANTISSA_BITS:
        raise InputError(
            f"asked for {mantissa_bits} mantissa bits; a float32 has {FLOAT32_MANTISSA_BITS}, give 1 to "
            f"{FLOAT32_MANTISSA_BITS}."
        )
    blocks = blocks_of(n_jets, size=BLOCK_JETS, seed=seed)
    _generators()
    simulate = functools.partial(quark_gluon_columns, mantissa_bits=mantissa_bits)
    with TreeWriter(
        path,
        tree=QUARK_GLUON_TREE,
        level=COMPRESSION_LEVEL,
        basket_entries=BASKET_ENTRIES,
        overwrite=overwrite,
        keep_partial=True,
    ) as out:
        out.extend(_no_jets())
        for columns in in_order(simulate, blocks, processes=processes):
            out.extend(columns)
            if progress is not None:
                progress(out.entries, n_jets)
    return Path(path)


def quark_gluon_columns(block: Block, *, mantissa_bits: int | None = None) -> dict[str, Any]:
    """Returns the branches of a block's jets, half of them quark jets, in seeded random order."""
    quark_stream, gluon_stream, order_stream = block.streams(3)
    n_quarks = (block.n_jets + 1) // 2
    runs = ((QUARK_PROCESS, n_quarks, quark_stream), (GLUON_PROCESS, block.n_jets - n_quarks, gluon_stream))
    jets = ak.concatenate([_jets_of(process, n, stream) for process, n, stream in runs if n])
    order = np.random.default_rng(order_stream).permutation(block.n_jets)
    jets = jets[order]
    is_quark = order < n_quarks
    columns = {f"jet_{name}": ak.to_numpy(jets[name]).astype(np.float32) for name in JET_FIELDS}
    columns |= {"label_quark": is_quark, "label_gluon": ~is_quark}
    counts = ak.num(jets.particles)
    particles = {name: ak.to_numpy(ak.flatten(jets.particles[name])) for name in jets.particles.fields}
    momenta = np.stack([particles[name] for name in ("px", "py", "pz")]).astype(np.float32)
    energy = particles["energy"].astype(np.float32)
    if mantissa_bits is not None:
        momenta, energy = _rounded_particles(momenta, particles["mass"], bits=mantissa_bits)
    px, py, pz = momenta
    written = {"px": px, "py": py, "pz": pz, "energy": energy, "pid": particles["pid"]}
    return columns | {f"part_{name}": ak.unflatten(values, counts) for name, values in written.items()}


def rounded(values: npt.NDArray[np.float32], *, bits: int) -> npt.NDArray[np.float32]:
    """Returns float32 values rounded to the nearest with ``bits`` mantissa bits; the others are zero.

    Zeros compress well, which is how CMS NanoAOD stores floats (Rizzi, Petrucciani, Peruzzi, EPJ Web Conf.
    214 (2019) 06021). The relative error is at most 2^-(bits+1). Infinite and NaN stay.

    >>> rounded(np.float32([1.0, 1.26, -1.9]), bits=2)
    array([ 1.  ,  1.25, -2.  ], dtype=float32)
    """
    values = np.ascontiguousarray(values, np.float32)
    shift = FLOAT32_MANTISSA_BITS - bits
    if shift <= 0:
        return values
    patterns = values.view(np.uint32)
    # a carry out of the mantissa raises the exponent by one, as it should
    nearest = (patterns + np.uint32(1 << (shift - 1))) & ~np.uint32((1 << shift) - 1)
    return np.where(np.isfinite(values), nearest.view(np.float32), values)


def _no_jets() -> dict[str, Any]:
    """Returns the branches without an entry: they settle the types in the file."""
    lists = {name: np.empty(0, np.float32) for name in ("part_px", "part_py", "part_pz", "part_energy")}
    lists["part_pid"] = np.empty(0, np.int32)
    return {
        **{f"jet_{name}": np.empty(0, np.float32) for name in JET_FIELDS},
        **{f"label_{name}": np.empty(0, np.bool_) for name in ("quark", "gluon")},
        **{name: ak.unflatten(values, np.empty(0, np.int64)) for name, values in lists.items()},
    }


def _rounded_particles(
    momenta: npt.NDArray[np.float32], mass: npt.NDArray[np.float64], *, bits: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Returns the rounded momenta, of shape (3, particle), and their energy, rounded but never below them."""
    momenta = rounded(momenta, bits=bits)
    momentum = np.sqrt((momenta.astype(np.float64) ** 2).sum(axis=0))
    energy_bits = min(bits + EXTRA_ENERGY_BITS, FLOAT32_MANTISSA_BITS)
    energy = rounded(np.hypot(momentum, mass).astype(np.float32), bits=energy_bits)
    one_up = (energy.view(np.uint32) + np.uint32(1 << (FLOAT32_MANTISSA_BITS - energy_bits))).view(np.float32)
    return momenta, np.where(energy < momentum, one_up, energy)


def _generators() -> tuple[Any, Any]:
    """Returns the modules pythia8mc and fastjet."""
    try:
        import fastjet
        import pythia8mc
    except ImportError as error:
        raise DependencyError(
            f"asked to simulate jets, which needs pythia8mc and fastjet; {error.name} cannot be imported "
            f"({error}). Install both with: pip install 'hepnn[pythia]'"
        ) from error
    # without this fastjet prints its banner to stdout, where results belong; the module docstring cites it
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    return pythia8mc, fastjet


def _jets_of(process: str, n_jets: int, stream: np.random.SeedSequence) -> ak.Array:
    """Returns the first ``n_jets`` selected jets of a Pythia run: records with their ``particles``."""
    pythia8mc, fastjet = _generators()
    pythia = pythia8mc.Pythia("", False)
    seed = int(stream.generate_state(1)[0]) % PYTHIA_MAX_SEED + 1
    for setting in (*PYTHIA_SETTINGS, f"{process} = on", f"Random:seed = {seed}"):
        if not pythia.readString(setting):
            raise DependencyError(f"Pythia refused the setting {setting!r}. Install 'hepnn[pythia]' again.")
    if not pythia.init():
        raise DependencyError("Pythia could not start. Install 'hepnn[pythia]' again.")
    batches: list[ak.Array] = []
    found = 0
    while found < n_jets:
        batches.append(_selected(pythia.nextBatch(BATCH_EVENTS), fastjet))
        found += len(batches[-1])
    return ak.concatenate(batches)[:n_jets]


def _selected(events: ak.Array, fastjet: Any) -> ak.Array:
    """Returns the leading jets that pass the selection, with their own memory."""
    first, second = ak.to_numpy(events.info.id1), ak.to_numpy(events.info.id2)
    # the Z leaves the flavour alone: the incoming quark comes out of g q, a gluon out of q qbar
    outgoing = np.where(first == GLUON, second, np.where(second == GLUON, first, GLUON))
    events = events[np.isin(abs(outgoing), (*LIGHT_QUARKS, GLUON))]
    particles = events.prt
    is_neutrino = functools.reduce(np.logical_or, [abs(particles.id) == code for code in NEUTRINOS])
    particles = particles[(particles.status > 0) & ~is_neutrino]
    momenta = ak.zip({"px": particles.p.px, "py": particles.p.py, "pz": particles.p.pz, "E": particles.p.e})
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, JET_RADIUS)
    clusters = fastjet.ClusterSequence(momenta, definition)
    jets = clusters.inclusive_jets(JET_PT_GEV[0])
    constituents = clusters.constituent_index(JET_PT_GEV[0])
    has_jet = ak.num(jets.px) > 0
    jets, constituents, particles = jets[has_jet], constituents[has_jet], particles[has_jet]
    leading = ak.drop_none(ak.argmax(np.hypot(jets.px, jets.py), axis=1))
    events_left = np.arange(len(leading))
    jets, inside = jets[events_left, leading], particles[constituents[events_left, leading]]
    pt = pt_from_p(jets.px, jets.py)
    rapidity = 0.5 * np.log((jets.E + jets.pz) / (jets.E - jets.pz))
    passes = (pt > JET_PT_GEV[0]) & (pt < JET_PT_GEV[1]) & (abs(rapidity) < JET_MAX_RAPIDITY)
    jets, inside = jets[passes], inside[passes]
    inside = inside[ak.argsort(pt_from_p(inside.p.px, inside.p.py), ascending=False, axis=1)]
    return ak.to_packed(
        ak.zip(
            {
                "pt": pt[passes],
                "eta": eta_from_p(jets.px, jets.py, jets.pz),
                "phi": phi_from_p(jets.px, jets.py),
                "energy": jets.E,
                "particles": ak.zip(
                    {
                        "px": inside.p.px,
                        "py": inside.p.py,
                        "pz": inside.p.pz,
                        "energy": inside.p.e,
                        "mass": inside.m,
                        "pid": inside.id,
                    }
                ),
            },
            depth_limit=1,
        )
    )
