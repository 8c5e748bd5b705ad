"""Calorimeters: what showers are made in. Materials, media of alternating plates, layers of cells.

A calorimeter is a barrel about the beam: layers, one behind the other, each cut into cells in η and φ. `BARREL`
is one, in size and segmentation like that of ATLAS; another is a `Calorimeter` of other layers. Lengths are in
mm, energies in GeV, times in ns.

A layer has the same depth in radiation and interaction lengths at every η, as detectors are built to have; so a
shower at any η develops as at η = 0, where cells measure radius × Δη by radius × Δφ across it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError

__all__ = ["ARGON", "BARREL", "IRON", "LEAD", "POLYSTYRENE", "Calorimeter", "Layer", "Material", "Medium", "Slices"]
__all__ += ["medium_of_plates"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCATTERING_ENERGY = 0.0212
"""E_s of the Molière radius R_M = X0·E_s/E_c, in GeV: m_e c² √(4π/α), PDG (2024), chapter "Passage of particles
through matter", section on electromagnetic cascades."""


class Material(NamedTuple):
    """A material. Numbers: PDG (2024), "Atomic and nuclear properties of materials"."""

    density: float
    """g/cm³."""
    z: float
    """Atomic number; of a compound the mean, weighted with the elements' masses."""
    a: float
    """Atomic mass, such that z/a is the compound's."""
    radiation_length: float
    """g/cm²."""
    interaction_length: float
    """Nuclear interaction length, g/cm²."""
    ionisation: float
    """Energy that a minimum ionising particle loses, in MeV cm²/g."""

    @property
    def critical_energy(self) -> float:
        """E_c in GeV: 2.66 MeV (X0·Z/A)^1.1, Grindhammer and Peters (hep-ex/0001020)."""
        return 2.66e-3 * (self.radiation_length * self.z / self.a) ** 1.1


LEAD = Material(11.35, 82, 207.2, 6.37, 199.6, 1.122)
ARGON = Material(1.396, 18, 39.95, 19.55, 119.7, 1.508)
"""Liquid."""
IRON = Material(7.874, 26, 55.85, 13.84, 132.1, 1.451)
POLYSTYRENE = Material(1.06, 5.61, 10.43, 43.79, 77.1, 1.936)
"""Of plastic scintillators."""


class Medium(NamedTuple):
    """What a shower sees of a material, or of plates of two, at normal incidence."""

    z: float
    radiation_length: float
    """X0 in mm."""
    interaction_length: float
    """Nuclear interaction length λ in mm."""
    moliere_radius: float
    """R_M in mm."""
    critical_energy: float
    """E_c in GeV."""
    sampling_frequency: float
    """F_S: X0 over the thickness of one absorber and one active plate."""
    e_over_mip: float
    """ê: the signal of an electron over that of a minimum ionising particle that loses the same energy."""
    ionisation: float
    """Energy that a minimum ionising particle loses, in GeV per mm; its signal is that divided by ê."""


def medium_of_plates(absorber: Material, active: Material, *, absorber_mm: float, active_mm: float) -> Medium:
    """Returns the medium that alternating plates make.

    Formulas: Grindhammer and Peters (hep-ex/0001020), on sampling calorimeters: means weighted with the plates' masses.
    ê ≈ 1/(1 + 0.007 (Z_p − Z_a)) for passive and active plates is from there too.

    Args:
        absorber: the passive plates' material.
        active: the active plates' material.
        absorber_mm: thickness of a passive plate.
        active_mm: thickness of an active plate.

    >>> medium = medium_of_plates(LEAD, ARGON, absorber_mm=1.53, active_mm=4.2)
    >>> round(medium.radiation_length, 1), round(medium.moliere_radius, 1)
    (18.9, 42.2)
    """
    plates = np.array([absorber, active])
    density, z, _, radiation, interaction, ionisation = plates.T
    critical = np.array([absorber.critical_energy, active.critical_energy])
    mass = np.array([absorber_mm, active_mm]) * density
    thickness = absorber_mm + active_mm
    mean_density = mass.sum() / thickness
    share = mass / mass.sum()
    to_mm = 10 / mean_density
    radiation_length = float(to_mm / (share / radiation).sum())
    critical_over_radiation = float((share * critical / radiation).sum())
    return Medium(
        z=float((share * z).sum()),
        radiation_length=radiation_length,
        interaction_length=float(to_mm / (share / interaction).sum()),
        moliere_radius=float(to_mm * SCATTERING_ENERGY / critical_over_radiation),
        critical_energy=radiation_length / to_mm * critical_over_radiation,
        sampling_frequency=radiation_length / thickness,
        e_over_mip=1 / (1 + 0.007 * (absorber.z - active.z)),
        ionisation=float(1e-3 * (share * ionisation).sum() / to_mm),
    )


@dataclass(frozen=True)
class Layer:
    """One layer of cells.

    Attributes:
        name: for people.
        medium: what fills it.
        inner: radius of its face, in mm.
        outer: radius of its back, in mm.
        eta_cell: size of a cell in η; edges are its multiples.
        n_phi: cells in the full circle in φ.
        window: cells in η and φ that are read out about a shower's axis; odd numbers keep it centred.
        sampling: c of the sampling resolution c/√E of electromagnetic energy, in √GeV.
        hadronic_sampling: the same of hadronic energy; fluctuations of the nuclear binding energy are in it.
        noise: standard deviation of a cell's noise, in GeV.
        threshold: cells below are not read out, in GeV.
        time_noise: a of a cell's time resolution a/E ⊕ b, in ns GeV.
        time_constant: b of it, in ns.
        steps: how often within the layer the shower's width is looked up.
    """

    name: str
    medium: Medium
    inner: float
    outer: float
    eta_cell: float
    n_phi: int
    window: tuple[int, int]
    sampling: float
    hadronic_sampling: float
    noise: float
    threshold: float
    time_noise: float
    time_constant: float
    steps: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.inner < self.outer:
            raise InputError(f"asked for a layer {self.name!r} from {self.inner} to {self.outer} mm; go outward.")
        if self.eta_cell <= 0 or self.n_phi < 1 or min(self.window) < 1 or self.steps < 1:
            raise InputError(f"asked for a layer {self.name!r} without cells or steps; give positive numbers.")
        if self.window[1] > self.n_phi:
            raise InputError(
                f"asked for a window of {self.window[1]} cells in φ in layer {self.name!r}, which has {self.n_phi}."
            )
        if min(self.sampling, self.hadronic_sampling, self.noise, self.time_noise, self.time_constant) < 0:
            raise InputError(f"asked for a layer {self.name!r} with a negative resolution or noise; give 0 or more.")

    @property
    def phi_cell(self) -> float:
        """Size of a cell in φ."""
        return 2 * np.pi / self.n_phi


class Slices(NamedTuple):
    """A calorimeter cut in depth as finely as showers are worked out, each array of shape (slice,) or so."""

    layer: Ints
    radius: Floats
    """Of the slice's middle, in mm."""
    edges: Floats
    """Radii of all edges in rising order, (slice + 1,), in mm; a gap between layers counts to the one before."""
    radiation_lengths: Floats
    """Depth of the edges in X0, with what is before the face, (slice + 1,)."""
    interaction_lengths: Floats
    """Depth of the edges in λ, (slice + 1,)."""
    moliere_radius: Floats
    """mm."""
    interaction_length: Floats
    """mm."""
    ionisation: Floats
    """Energy that a minimum ionising particle loses in the slice, in GeV."""
    e_over_mip: Floats
    """ê of its medium."""


@dataclass(frozen=True)
class Calorimeter:
    """Layers of cells about the beam.

    Attributes:
        layers: from the inside out; gaps between them are empty.
        upstream: depth of matter before the face, in X0, in which showers start and whose part of them is not seen.
        constant_term: relative spread of the energy scale from shower to shower.
        e_over_h: signal of electromagnetic over that of hadronic energy.
    """

    layers: tuple[Layer, ...]
    upstream: float = 0.0
    constant_term: float = 0.007
    e_over_h: float = 1.36

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError("asked for a calorimeter without layers; give at least one.")
        for inside, outside in zip(self.layers, self.layers[1:], strict=False):
            if outside.inner < inside.outer:
                raise InputError(
                    f"asked for the layer {outside.name!r} at {outside.inner} mm, inside of {inside.name!r}, which "
                    f"ends at {inside.outer} mm; order layers from the inside out."
                )
        if min(self.upstream, self.constant_term) < 0 or self.e_over_h <= 0:
            raise InputError(
                f"asked for {self.upstream} X0 before the calorimeter, a constant term of {self.constant_term} and e/h "
                f"of {self.e_over_h}; give positive numbers."
            )

    @property
    def radius(self) -> float:
        """Radius of the calorimeter's face, in mm."""
        return self.layers[0].inner

    @cached_property
    def slices(self) -> Slices:
        """The layers cut into their steps."""
        index = np.repeat(np.arange(len(self.layers)), [layer.steps for layer in self.layers])
        edges = [np.linspace(layer.inner, layer.outer, layer.steps + 1) for layer in self.layers]
        inner = np.concatenate([radii[:-1] for radii in edges])
        outer = np.concatenate([radii[1:] for radii in edges])
        media = [self.layers[layer].medium for layer in index]
        thickness = outer - inner
        radiation = np.array([medium.radiation_length for medium in media])
        interaction = np.array([medium.interaction_length for medium in media])
        return Slices(
            layer=index,
            radius=(inner + outer) / 2,
            edges=np.append(inner, outer[-1]),
            radiation_lengths=self.upstream + np.append(0, np.cumsum(thickness / radiation)),
            interaction_lengths=np.append(0, np.cumsum(thickness / interaction)),
            moliere_radius=np.array([medium.moliere_radius for medium in media]),
            interaction_length=interaction,
            ionisation=thickness * np.array([medium.ionisation for medium in media]),
            e_over_mip=np.array([medium.e_over_mip for medium in media]),
        )

    @cached_property
    def rows(self) -> tuple[slice, ...]:
        """Where the cells of each layer's window are among those of all windows, one after the other."""
        ends = np.cumsum([layer.window[0] * layer.window[1] for layer in self.layers])
        return tuple(
            slice(int(end) - layer.window[0] * layer.window[1], int(end))
            for layer, end in zip(self.layers, ends, strict=True)
        )

    @cached_property
    def cell_layer(self) -> Ints:
        """The layer of each cell of the windows, (cell,); within a layer cells run over φ first."""
        return np.repeat(np.arange(len(self.layers)), [rows.stop - rows.start for rows in self.rows])


LEAD_ARGON = medium_of_plates(LEAD, ARGON, absorber_mm=1.53, active_mm=4.2)
"""Of ATLAS' electromagnetic barrel at |η| < 0.8 (2008 JINST 3 S08003, section 5.2), without steel and glue."""
IRON_SCINTILLATOR = medium_of_plates(IRON, POLYSTYRENE, absorber_mm=14.0, active_mm=3.0)
"""Of ATLAS' tile calorimeter: iron to scintillator as 4.67 to 1 (2008 JINST 3 S08003, section 5.3)."""


def _argon(name: str, depth: tuple[float, float], **cells: Any) -> Layer:
    inner, outer = (1500.0 + edge * LEAD_ARGON.radiation_length for edge in depth)
    resolution: dict[str, Any] = {"sampling": 0.10, "hadronic_sampling": 0.5, "time_noise": 1.8, "time_constant": 0.26}
    return Layer(name, LEAD_ARGON, inner, outer, threshold=2.5 * cells["noise"], **resolution, **cells)


def _tiles(name: str, depth: tuple[float, float], **cells: Any) -> Layer:
    inner, outer = (2280.0 + edge * IRON_SCINTILLATOR.interaction_length for edge in depth)
    resolution: dict[str, Any] = {"sampling": 0.28, "hadronic_sampling": 0.5, "time_noise": 1.0, "time_constant": 0.5}
    return Layer(name, IRON_SCINTILLATOR, inner, outer, threshold=2.5 * cells["noise"], **resolution, **cells)


BARREL = Calorimeter(
    (
        _argon("strips", (0.0, 4.3), eta_cell=0.025 / 8, n_phi=64, window=(41, 3), noise=0.015, steps=2),
        _argon("middle", (4.3, 20.3), eta_cell=0.025, n_phi=256, window=(11, 11), noise=0.035, steps=4),
        _argon("back", (20.3, 22.3), eta_cell=0.05, n_phi=256, window=(7, 11), noise=0.025),
        _tiles("tile 1", (0.0, 1.5), eta_cell=0.1, n_phi=64, window=(5, 5), noise=0.035),
        _tiles("tile 2", (1.5, 5.6), eta_cell=0.1, n_phi=64, window=(5, 5), noise=0.035, steps=2),
        _tiles("tile 3", (5.6, 7.4), eta_cell=0.2, n_phi=64, window=(5, 5), noise=0.035),
    ),
    upstream=2.0,
)
"""Three electromagnetic layers of lead and liquid argon, 22.3 X0, and three hadronic ones of iron and scintillator,
7.4 λ.

Radii, depths in X0 and λ, cells, and the matter before them are about those of ATLAS' barrel (2008 JINST 3 S08003,
table 1.3 and chapter 5), as are the sampling terms, e/h and the constant term. Noise and time resolution are of the
size that ATLAS finds (arXiv:0912.2642; arXiv:1409.5542). What ATLAS has and this has not: the presampler, cracks,
matter in the gap, pile-up."""
