"""Toy jets: as many as you like, in seconds, with the branch names of JetClass.

For trying things out, for tests and for measuring speed. **Not a simulation of physics**: the decays of H, W,
Z and top are exact kinematics, but prongs fragment by made-up distributions
(`hepnn.generators.fragmentation`). The ten classes differ as those of JetClass do (Qu, Li, Qian,
arXiv:2202.03772): by prongs and their masses, displaced particles of b and c, leptons, and the multiplicities
of quarks and gluons. No conclusion about real jets follows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults
from hepnn.generators.blocks import Block, Progress, blocks_of_columns, chosen_classes, concatenated, prepared
from hepnn.generators.fragmentation import KINDS, MASSES, Particles, fragmented, sum_per_jet
from hepnn.generators.prongs import CLASSES, N_SLOTS, draw_prongs
from hepnn.trees import TreeWriter

__all__ = ["TOY_CLASSES", "generate_toy", "toy_columns", "toy_jets"]

TOY_CLASSES = tuple(CLASSES)
"""The ten classes, named as in JetClass without ``label_``."""
BLOCK_JETS = 4_000
"""Jets made at once: few enough that the arrays stay in the processor's cache."""
COMPRESSION_LEVEL = 1
"""ZLIB's fastest: random numbers hardly compress, and writing is slower than generating."""

JET_RADIUS = 0.8
"""R0 of τ_N; JetClass jets are anti-kT jets of this R."""
N_SUBJETTINESS = 4
GROOM_FRACTION = 0.1
"""z_cut of soft drop: prongs with a smaller share of the pt are groomed away."""
GROOM_RADIUS = 0.2
"""Particles farther from their prong's centre are groomed away."""


def generate_toy(
    path: str | os.PathLike[str],
    n_jets: int,
    *,
    seed: int = defaults.SEED,
    classes: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Writes toy jets to the tree ``tree`` of a ROOT file and returns its path.

    The branches are those of `toy_columns`, which has more on them.

    Args:
        path: the file to write.
        n_jets: number of jets.
        seed: from 0 on.
        classes: which of `TOY_CLASSES`, in equal parts; None for all.
        overwrite: replace an existing file.
        progress: called with the number of jets written and the number asked for.

    Raises:
        InputError: a class is unknown, or a setting makes no sense.
        OutputError: the file cannot be written, or exists already.
    """
    kinds = _class_indices(classes)
    with TreeWriter(path, level=COMPRESSION_LEVEL, overwrite=overwrite) as out:
        for columns in prepared(_blocks(n_jets, seed, kinds)):
            out.extend(columns)
            if progress is not None:
                progress(out.entries, n_jets)
    return Path(path)


def toy_columns(n_jets: int, *, seed: int = defaults.SEED, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns toy jets as branches of a JetClass file: name to array.

    NumPy arrays of shape (jet,): ``jet_pt jet_eta jet_phi jet_energy`` (GeV and radians), ``jet_nparticles``,
    ``jet_sdmass`` (GeV), ``jet_tau1`` to ``jet_tau4``, and a boolean ``label_*`` for each class. Awkward
    arrays of shape (jet, *), by falling pt: ``part_px part_py part_pz part_energy`` (GeV), ``part_deta``
    (times the sign of the jet's η, as in JetClass) ``part_dphi``, ``part_d0val part_d0err part_dzval
    part_dzerr`` (mm, 0 for neutral particles), ``part_charge`` and five booleans ``part_is*``.

    The same arguments give the same jets, and a longer sample of the same seed begins with the whole blocks
    of a shorter one.

    Args:
        n_jets: number of jets.
        seed: from 0 on.
        classes: which of `TOY_CLASSES`, in equal parts; None for all.

    Raises:
        InputError: a class is unknown, or a setting makes no sense.

    >>> columns = toy_columns(1000, seed=1, classes=["QCD", "Tbqq"])
    >>> int(columns["label_Tbqq"].sum()), columns["part_px"].ndim
    (500, 2)
    """
    return concatenated(_blocks(n_jets, seed, _class_indices(classes)))


def toy_jets(n_jets: int, *, seed: int = defaults.SEED, classes: Sequence[str] | None = None) -> ak.Array:
    """Returns toy jets as hepnn's readers would, see `hepnn.jets`; arguments as for `toy_columns`."""
    from hepnn.schema import jets_from_columns, load_schema

    return jets_from_columns(toy_columns(n_jets, seed=seed, classes=classes), load_schema("jetclass"))


def soft_drop_mass(particles: Particles, momenta: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Returns the groomed mass of each jet, in GeV: soft drop (Larkoski et al., arXiv:1402.2657) simplified.

    Prongs with less than z_cut = 0.1 of the jet's pt are dropped as soft drop with β = 0 would, and of the
    others what is farther than 0.2 from the prong's hardest particle. A declustering would find the prongs;
    here they are known from the generation.

    Args:
        particles: the particles of the jets.
        momenta: their energy, px, py and pz in GeV, of shape (4, particle).
    """
    n_jets = len(particles.counts)
    prong = np.repeat(np.arange(n_jets) * N_SLOTS, particles.counts) + particles.prong
    prong_pt = np.bincount(prong, weights=particles.pt, minlength=N_SLOTS * n_jets)
    jet_pt = np.repeat(sum_per_jet(particles.pt, particles.counts), N_SLOTS)
    # written backwards, the last and hardest particle of a prong stays
    hardest = np.zeros(N_SLOTS * n_jets, np.int64)
    hardest[prong[::-1]] = np.arange(len(prong))[::-1]
    distance = _distance_squared(particles, hardest[prong])
    kept = (prong_pt > GROOM_FRACTION * jet_pt)[prong] & (distance < GROOM_RADIUS**2)
    energy, px, py, pz = (sum_per_jet(component * kept, particles.counts) for component in momenta)
    return np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0))


def n_subjettiness(particles: Particles) -> list[npt.NDArray[np.float64]]:
    """Returns τ_1 … τ_4 of each jet: Σ pt·min_k ΔR_k / (R0 Σ pt).

    From Thaler, Van Tilburg, arXiv:1011.2268, equations 2.1 and 2.2. The axes are particles rather than
    minimised: the hardest one, and then, one after the other, the particle that adds most to τ_N.
    """
    counts = particles.counts
    starts = np.cumsum(counts) - counts
    scale = JET_RADIUS * sum_per_jet(particles.pt, counts)
    axis = starts
    nearest = np.full(len(particles.pt), np.inf, np.float32)
    taus = []
    for _ in range(N_SUBJETTINESS):
        nearest = np.minimum(nearest, _distance_squared(particles, np.repeat(axis, counts)))
        weighted = particles.pt * np.sqrt(nearest)
        taus.append(sum_per_jet(weighted, counts) / scale)
        largest = np.maximum.reduceat(weighted, starts)
        at = np.flatnonzero(weighted == np.repeat(largest, counts))
        # where several particles tie, the first counts
        axis = at[np.searchsorted(at, starts)]
    return taus


def _class_indices(classes: Sequence[str] | None) -> npt.NDArray[np.int64]:
    """Returns the indices of the classes asked for."""
    names = chosen_classes(classes, TOY_CLASSES, what="toy jets")
    return np.array([TOY_CLASSES.index(name) for name in names])


def _blocks(n_jets: int, seed: int, classes: npt.NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    return blocks_of_columns(n_jets, size=BLOCK_JETS, seed=seed, make=lambda block: _block_columns(block, classes))


def _block_columns(block: Block, classes: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Returns the branches of one block."""
    # a tenth faster than the default bit generator
    rng = np.random.Generator(np.random.SFC64(block.streams(1)[0]))
    numbers = block.number * BLOCK_JETS + np.arange(block.n_jets)
    kind = rng.permutation(classes[numbers % len(classes)])
    prongs = draw_prongs(kind, rng=rng)
    particles = fragmented(prongs, rng=rng)
    counts = particles.counts
    wanted = prongs.target_pt
    x = sum_per_jet(particles.pt * np.cos(particles.phi), counts)
    y = sum_per_jet(particles.pt * np.sin(particles.phi), counts)
    scale = np.repeat((wanted / np.hypot(x, y)).astype(np.float32), counts)
    particles = particles._replace(pt=particles.pt * scale)
    momenta = _four_momenta(particles)
    energy, px, py, pz = (sum_per_jet(component, counts) for component in momenta)
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    eta = np.arcsinh(pz / pt)
    d_eta = particles.eta - np.repeat(eta.astype(np.float32), counts)
    d_phi = _wrapped(particles.phi - np.repeat(phi.astype(np.float32), counts))
    lists: dict[str, npt.NDArray[Any]] = dict(zip(("px", "py", "pz"), momenta[1:], strict=True))
    lists |= {
        "energy": momenta[0],
        "deta": d_eta * np.repeat(np.sign(eta).astype(np.float32), counts),
        "dphi": d_phi,
        "d0val": particles.d0,
        "d0err": particles.d0_error,
        "dzval": particles.dz,
        "dzerr": particles.dz_error,
        "charge": particles.charge,
    }
    lists |= {f"is{name}": particles.kind == index for index, name in enumerate(KINDS)}
    offsets = ak.index.Index64(np.concatenate([[0], np.cumsum(counts)]))
    jets = {"pt": pt, "eta": eta, "phi": phi, "energy": energy}
    jets["sdmass"] = soft_drop_mass(particles, momenta)
    jets |= {f"tau{n}": tau for n, tau in enumerate(n_subjettiness(particles), start=1)}
    return {
        **{
            f"part_{name}": ak.Array(ak.contents.ListOffsetArray(offsets, ak.contents.NumpyArray(values)))
            for name, values in lists.items()
        },
        **{f"jet_{name}": values.astype(np.float32) for name, values in jets.items()},
        "jet_nparticles": counts.astype(np.int32),
        **{f"label_{name}": kind == index for index, name in enumerate(TOY_CLASSES)},
    }


def _four_momenta(particles: Particles) -> npt.NDArray[np.float32]:
    """Returns energy, px, py and pz of particles, in GeV, of shape (4, particle)."""
    # two exponentials rather than sinh and cosh, which NumPy does not vectorise
    growth = np.exp(particles.eta)
    decay = 1 / growth
    pt = particles.pt
    p = 0.5 * pt * (growth + decay)
    energy = np.sqrt(p**2 + (MASSES**2)[particles.kind])
    px, py, pz = pt * np.cos(particles.phi), pt * np.sin(particles.phi), 0.5 * pt * (growth - decay)
    return np.stack([energy, px, py, pz])


def _distance_squared(particles: Particles, axis: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Returns ΔR² between each particle and the particle whose index ``axis`` has in its place."""
    d_eta = particles.eta - particles.eta[axis]
    d_phi = _wrapped(particles.phi - particles.phi[axis])
    return d_eta * d_eta + d_phi * d_phi


def _wrapped(angle: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns azimuths in [−π, π]; NumPy's remainder would take ten times longer."""
    return angle - np.float32(2 * np.pi) * np.rint(angle * np.float32(0.5 / np.pi))
