"""Showers in a calorimeter: as many as you like, in seconds, by the formulas of the literature.

Electrons, photons, charged pions, and neutral pions, whose two photons come close together, meet a calorimeter of
layers of cells. Mean profiles, their fluctuations, sampling, noise, thresholds and times follow published
parametrisations (`hepnn.generators.profiles`, `hepnn.generators.cascades`, `hepnn.generators.readout`), each named
where it stands; a few spreads of hadronic showers are hepnn's choice, and say so. It is a fast simulation, without
the correlations that only a full one has: good for trying networks out, not for results on a real detector.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults
from hepnn.errors import InputError
from hepnn.generators.blocks import Block, Progress, blocks_of_columns, chosen_classes, concatenated, prepared
from hepnn.generators.calorimeter import BARREL, Calorimeter
from hepnn.generators.cascades import ELECTRON, PHOTON, PION, PIZERO, axes_of, cascades_of, draw_particles
from hepnn.generators.readout import Cells, expected_signals, read_out, windows_about
from hepnn.trees import TreeWriter

__all__ = ["SHOWER_CLASSES", "generate_showers", "shower_columns"]

SHOWER_CLASSES = ("electron", "photon", "pion", "pizero")
"""The four classes, named as the branches without ``label_``; pions are charged, pizeros neutral."""
KINDS = {"electron": ELECTRON, "photon": PHOTON, "pion": PION, "pizero": PIZERO}
BLOCK_SHOWERS = 1_000
"""Showers made at once: few enough that the arrays stay in the processor's cache."""
COMPRESSION_LEVEL = 1
"""ZLIB's fastest: random numbers hardly compress."""

ENERGY = (10.0, 100.0)
"""Range of energies in GeV unless asked otherwise."""
ENERGY_LIMITS = (1.0, 1000.0)
"""Range in GeV that the parametrisations are trusted for, with some room."""
ANGLE = 0.1
"""Largest angle to the line from the origin in radians, unless asked otherwise."""
ANGLE_LIMIT = 0.3
"""Largest angle in radians that may be asked for: the window follows the line of flight, but not the shower's depth
in it."""


class Setting(NamedTuple):
    """What showers to make."""

    kinds: npt.NDArray[np.int64]
    energy: tuple[float, float]
    max_angle: float
    calorimeter: Calorimeter


def generate_showers(
    path: str | os.PathLike[str],
    n_showers: int,
    *,
    seed: int = defaults.SEED,
    classes: Sequence[str] | None = None,
    energy: tuple[float, float] = ENERGY,
    max_angle: float = ANGLE,
    calorimeter: Calorimeter = BARREL,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Writes showers to the tree ``tree`` of a ROOT file and returns its path.

    The branches are those of `shower_columns`, which has more on them and on the arguments.

    Args:
        path: the file to write.
        n_showers: number of showers.
        seed: from 0 on.
        classes: which of `SHOWER_CLASSES`, in equal parts; None for all.
        energy: range of the particles' energies, in GeV.
        max_angle: largest angle to the line from the origin, in radians.
        calorimeter: what they meet.
        overwrite: replace an existing file.
        progress: called with the number of showers written and the number asked for.

    Raises:
        InputError: a class is unknown, or a setting makes no sense.
        OutputError: the file cannot be written, or exists already.
    """
    setting = _checked(classes, energy, max_angle, calorimeter)
    with TreeWriter(path, level=COMPRESSION_LEVEL, overwrite=overwrite) as out:
        for columns in prepared(_blocks(n_showers, seed, setting)):
            out.extend(columns)
            if progress is not None:
                progress(out.entries, n_showers)
    return Path(path)


def shower_columns(
    n_showers: int,
    *,
    seed: int = defaults.SEED,
    classes: Sequence[str] | None = None,
    energy: tuple[float, float] = ENERGY,
    max_angle: float = ANGLE,
    calorimeter: Calorimeter = BARREL,
) -> dict[str, Any]:
    """Returns showers as branches of a ROOT file: name to array, one entry a shower.

    NumPy arrays of shape (shower,): ``shower_energy`` (of the particle, in GeV, ln E even), ``shower_eta`` and
    ``shower_phi`` (where its line meets the calorimeter's face, even within |η| < 1.4), ``shower_angle_eta`` and
    ``shower_angle_phi`` (between its direction and the line from the origin, in radians, in the plane of the beam and
    across it, even), ``shower_pizero_separation`` (distance of a π0's photons at the face in η and φ, NaN for
    others), and booleans ``label_electron label_photon label_pion label_pizero``.

    Awkward arrays of shape (shower, *), the cells above threshold by falling energy: ``cell_energy`` (GeV, at the
    scale of electrons), ``cell_eta cell_phi`` (of the centre), ``cell_layer`` (from 0 at the face), ``cell_time`` (ns
    after a particle from the origin would have reached the face at the speed of light). Cells are read out in a
    window about the line of flight; in `BARREL` of 41×3, 11×11, 7×11, 5×5, 5×5 and 5×5 cells in η and φ.

    The same arguments give the same showers, and a longer sample of the same seed begins with the whole blocks of a
    shorter one.

    Args:
        n_showers: number of showers.
        seed: from 0 on.
        classes: which of `SHOWER_CLASSES`, in equal parts; None for all.
        energy: range of the particles' energies, in GeV.
        max_angle: largest angle to the line from the origin, in radians.
        calorimeter: what they meet.

    Raises:
        InputError: a class is unknown, or a setting makes no sense.

    >>> columns = shower_columns(200, seed=1, classes=["photon", "pizero"], energy=(20, 40))
    >>> int(columns["label_pizero"].sum()), columns["cell_energy"].ndim
    (100, 2)
    """
    return concatenated(_blocks(n_showers, seed, _checked(classes, energy, max_angle, calorimeter)))


def _checked(
    classes: Sequence[str] | None, energy: tuple[float, float], max_angle: float, calorimeter: Calorimeter
) -> Setting:
    """Returns the settings, if they make sense."""
    names = chosen_classes(classes, SHOWER_CLASSES, what="showers")
    low, high = energy
    if not ENERGY_LIMITS[0] <= low <= high <= ENERGY_LIMITS[1]:
        raise InputError(
            f"asked for showers of {low} to {high} GeV; give a rising range within "
            f"{ENERGY_LIMITS[0]:g} and {ENERGY_LIMITS[1]:g} GeV."
        )
    if not 0 <= max_angle <= ANGLE_LIMIT:
        raise InputError(f"asked for angles up to {max_angle} rad; give 0 to {ANGLE_LIMIT}.")
    kinds = np.array([KINDS[name] for name in names])
    return Setting(kinds, (float(low), float(high)), float(max_angle), calorimeter)


def _blocks(n_showers: int, seed: int, setting: Setting) -> Iterator[dict[str, Any]]:
    return blocks_of_columns(
        n_showers, size=BLOCK_SHOWERS, seed=seed, make=lambda block: _block_columns(block, setting), what="showers"
    )


def _block_columns(block: Block, setting: Setting) -> dict[str, Any]:
    """Returns the branches of one block."""
    rng = np.random.Generator(np.random.SFC64(block.streams(1)[0]))
    calorimeter = setting.calorimeter
    numbers = block.number * BLOCK_SHOWERS + np.arange(block.n_jets)
    kind = np.sort(setting.kinds[numbers % len(setting.kinds)])
    particles = draw_particles(kind, energy=setting.energy, max_angle=setting.max_angle, rng=rng)
    axes = axes_of(particles, calorimeter=calorimeter)
    cascades, separations = cascades_of(particles, axes, calorimeter=calorimeter, rng=rng)
    windows = windows_about(axes, calorimeter=calorimeter)
    electromagnetic, hadronic = expected_signals(cascades, windows, calorimeter=calorimeter)
    cells = read_out(
        particles, windows, electromagnetic=electromagnetic, hadronic=hadronic, calorimeter=calorimeter, rng=rng
    )
    # showers were made in the order of their kinds; entry i shall be shower order[i]
    order = rng.permutation(block.n_jets)
    showers = {
        "energy": particles.energy,
        "eta": particles.eta,
        "phi": particles.phi,
        "angle_eta": np.arctan(particles.slope_eta),
        "angle_phi": np.arctan(particles.slope_phi),
        "pizero_separation": separations,
    }
    return {
        **{f"shower_{name}": values[order].astype(np.float32) for name, values in showers.items()},
        **{f"label_{name}": kind[order] == KINDS[name] for name in SHOWER_CLASSES},
        **_jagged(cells, order),
    }


def _jagged(cells: Cells, order: npt.NDArray[np.int64]) -> dict[str, ak.Array]:
    """Returns the cells as lists, one a shower, in the order of showers that is given, cells by falling energy."""
    entry = np.argsort(order)[cells.shower]
    # the bits of a positive float sort like the float itself: one integer key is faster than two sorts
    falling = np.uint32(2**32 - 1) - cells.energy.view(np.uint32)
    by_energy = np.argsort((entry.astype(np.uint64) << np.uint64(32)) | falling, kind="stable")
    counts = np.bincount(entry, minlength=len(order))
    offsets = ak.index.Index64(np.concatenate([[0], np.cumsum(counts)]))
    lists = {
        "energy": cells.energy,
        "eta": cells.eta.astype(np.float32),
        "phi": cells.phi.astype(np.float32),
        "layer": cells.layer.astype(np.int32),
        "time": cells.time,
    }
    return {
        f"cell_{name}": ak.Array(ak.contents.ListOffsetArray(offsets, ak.contents.NumpyArray(values[by_energy])))
        for name, values in lists.items()
    }
