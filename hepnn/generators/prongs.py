"""Prongs: the partons and leptons in a toy jet, from the decay of a resonance or a QCD splitting.

In goes the class of each jet; out come up to four massless four-momenta a jet with their flavours. The
kinematics of the decays is exact, so the prongs' invariant mass is the resonance's; everything else is simple
by design. This is the first half of `hepnn.generators.toy`; `hepnn.generators.fragmentation` makes particles
of the prongs.

Masses, widths and branching fractions: Particle Data Group, Review of Particle Physics (2024), summary
tables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["ABSENT", "BOTTOM", "CHARM", "CLASSES", "ELECTRON", "GLUON", "LIGHT", "MUON"]
__all__ += ["N_SLOTS", "TAU", "Prongs", "draw_prongs"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ABSENT, LIGHT, GLUON, CHARM, BOTTOM, ELECTRON, MUON, TAU = range(8)
"""Flavours of a prong; a neutrino is ABSENT."""
LEPTON, FROM_W, FROM_Z, FROM_QCD = range(10, 14)
"""Flavours to be drawn: a charged lepton, a quark of that boson's hadronic decay, a parton of the QCD
mixture."""
N_SLOTS = 4

MASS_H, MASS_Z, MASS_W, MASS_TOP = 125.2, 91.19, 80.37, 172.6
"""GeV."""
WIDTH_Z, WIDTH_W, WIDTH_TOP = 2.50, 2.09, 1.42
"""GeV."""
OFF_SHELL_W = (12.0, 44.0)
"""Range of the mass of the lighter W in H → WW*, in GeV: below MASS_H − MASS_W, uniform for simplicity."""
MAX_WIDTHS = 8.0
"""Cut on the tails of the resonance, in widths."""

Z_BOTTOM, Z_CHARM = 0.216, 0.172
"""Shares of Z → bb and Z → cc in the hadronic decays."""
QCD_FLAVOURS = {GLUON: 0.50, LIGHT: 0.36, CHARM: 0.07, BOTTOM: 0.07}
"""The toy's mixture for QCD jets."""
QCD_ANGLE = (0.1, 0.9)
"""Opening angle of the QCD splitting, drawn from dθ/θ: the collinear limit of QCD, cut at the jet's
radius."""
QCD_FRACTION = (0.05, 0.5)
"""Momentum fraction of the softer QCD prong, drawn from dz/z: the soft limit of QCD."""
QCD_RESPLITS = 0.35
"""Share of QCD jets whose harder prong splits again, and the same of the softer."""
QCD_RESPLIT_MASS = 0.4
"""Largest mass of a prong that splits again, as a share of the jet's."""
PRONG_SPREAD = 0.15
"""Relative spread of the prongs' momenta: radiation out of the prong, and a detector's resolution."""

JET_PT = (500.0, 1000.0)
"""Range of the jets' transverse momentum, in GeV; that of the JetClass set (arXiv:2202.03772)."""
JET_PT_POWER = 4.0
"""The toy's spectrum falls as pt to minus this power."""
MAX_RAPIDITY = 1.9
"""Of the jet's axis; the pseudorapidity then stays below 2."""
MAX_PRONG_DISTANCE = 0.72
"""From the jet's axis, so that what fragments stays within R = 0.8."""
MIN_VISIBLE = 0.5
"""Smallest share of the parent's transverse momentum that a neutrino leaves."""
PT_TOLERANCE = 0.05
"""Relative difference between the prongs' transverse momentum and the wanted one that is left to scaling."""
MAX_ATTEMPTS = 200
"""Redraws of decays that are too wide or too invisible; one in ten or more is accepted each time."""


class Decay(NamedTuple):
    """Parent → two daughters; a daughter with a mass decays into two in turn. Masses and widths in GeV."""

    mass: float
    width: float
    flavours: tuple[int, int, int, int]
    daughter_masses: tuple[float, float] = (0.0, 0.0)


CLASSES = {
    "QCD": Decay(0.0, 0.0, (FROM_QCD, GLUON, GLUON, GLUON)),
    "Hbb": Decay(MASS_H, 0.0, (BOTTOM, ABSENT, BOTTOM, ABSENT)),
    "Hcc": Decay(MASS_H, 0.0, (CHARM, ABSENT, CHARM, ABSENT)),
    "Hgg": Decay(MASS_H, 0.0, (GLUON, ABSENT, GLUON, ABSENT)),
    "H4q": Decay(MASS_H, 0.0, (FROM_W, LIGHT, FROM_W, LIGHT), (MASS_W, np.nan)),
    "Hqql": Decay(MASS_H, 0.0, (FROM_W, LIGHT, LEPTON, ABSENT), (MASS_W, np.nan)),
    "Zqq": Decay(MASS_Z, WIDTH_Z, (FROM_Z, ABSENT, FROM_Z, ABSENT)),
    "Wqq": Decay(MASS_W, WIDTH_W, (FROM_W, ABSENT, LIGHT, ABSENT)),
    "Tbqq": Decay(MASS_TOP, WIDTH_TOP, (BOTTOM, ABSENT, FROM_W, LIGHT), (0.0, MASS_W)),
    "Tbl": Decay(MASS_TOP, WIDTH_TOP, (BOTTOM, ABSENT, LEPTON, ABSENT), (0.0, MASS_W)),
}
"""The ten classes of JetClass. A daughter mass of NaN is drawn: the off-shell W. Slots 0, 1 belong to the
first daughter, 2, 3 to the second; a massless daughter has only the first of its slots. QCD's masses are
drawn too."""


class Prongs(NamedTuple):
    """The prongs of some jets, of shape (jet, slot), in GeV and radians; the absent have pt 0."""

    pt: Floats
    eta: Floats
    phi: Floats
    flavour: Ints
    target_pt: Floats
    """The transverse momentum that the jet shall have, of shape (jet,)."""


def draw_prongs(kind: Ints, *, rng: np.random.Generator) -> Prongs:
    """Returns the prongs of jets whose classes are the indices ``kind`` into `CLASSES`, of shape (jet,)."""
    decays = list(CLASSES.values())
    flavour = _flavours(np.array([decay.flavours for decay in decays])[kind], rng)
    target = _power_law(rng.random(len(kind)), *JET_PT, power=JET_PT_POWER)
    is_visible = (flavour != ABSENT).T
    momenta = np.zeros((4, N_SLOTS, len(kind)))
    todo = np.arange(len(kind))
    for _ in range(MAX_ATTEMPTS):
        drawn = _decayed(kind[todo], target[todo], is_visible[:, todo], rng)
        momenta[..., todo] = drawn
        todo = todo[~_is_accepted(drawn, target[todo])]
        if not len(todo):
            break
    momenta *= np.exp(PRONG_SPREAD * rng.standard_normal(momenta.shape[1:]))
    energy, px, py, pz = momenta
    sums = [component.sum(axis=0) for component in (energy, px, py, pz)]
    # boosts along the beam and rotations about it put the jet's axis where it is wanted and change no mass
    shift = rng.uniform(-MAX_RAPIDITY, MAX_RAPIDITY, len(kind)) - np.arctanh(sums[3] / sums[0])
    turn = rng.uniform(-np.pi, np.pi, len(kind)) - np.arctan2(sums[2], sums[1])
    pt = np.hypot(px, py)
    eta = np.arcsinh(np.divide(pz, pt, out=np.zeros_like(pz), where=pt > 0)) + shift
    flavour = np.where(pt.T > 0, flavour, ABSENT)
    return Prongs(pt.T, eta.T, (np.arctan2(py, px) + turn).T, flavour, target)


def _flavours(wanted: Ints, rng: np.random.Generator) -> Ints:
    """Returns the flavours with those still to be drawn replaced, of shape (jet, slot)."""
    u = rng.random((len(wanted), 1))
    choices = np.array(list(QCD_FLAVOURS))
    qcd = choices[np.searchsorted(np.cumsum(list(QCD_FLAVOURS.values()))[:-1], u, side="right")]
    from_z = np.where(u < Z_BOTTOM, BOTTOM, np.where(u < Z_BOTTOM + Z_CHARM, CHARM, LIGHT))
    # a W decays as often to c s as to u d; each slot has its own W
    from_w = np.where(rng.random(wanted.shape) < 0.5, CHARM, LIGHT)
    lepton = np.select([u < 1 / 3, u < 2 / 3], [ELECTRON, MUON], TAU)
    return np.select(
        [wanted == FROM_QCD, wanted == FROM_Z, wanted == FROM_W, wanted == LEPTON],
        [qcd, from_z, from_w, lepton],
        wanted,
    )


def _decayed(kind: Ints, target: Floats, is_visible: npt.NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Returns four-momenta (energy, px, py, pz) of shape (4, slot, jet), along x; 0 of the absent."""
    decays = list(CLASSES.values())
    n = len(kind)
    is_qcd = kind == list(CLASSES).index("QCD")
    width = np.array([decay.width for decay in decays])[kind]
    # a Breit-Wigner line is a Cauchy distribution of half the width
    line = np.clip(0.5 * rng.standard_cauchy(n), -MAX_WIDTHS, MAX_WIDTHS)
    angle = _power_law(rng.random(n), *QCD_ANGLE, power=1.0)
    fraction = _power_law(rng.random(n), *QCD_FRACTION, power=1.0)
    # m² = z(1−z)θ²pt² for a splitting at a small angle θ (Larkoski et al., arXiv:1402.2657, section 2)
    qcd_mass = np.sqrt(fraction * (1 - fraction)) * angle * target
    mass = np.where(is_qcd, qcd_mass, np.array([decay.mass for decay in decays])[kind] + line * width)
    daughters = np.array([decay.daughter_masses for decay in decays])[kind].T
    daughters = np.where(np.isnan(daughters), rng.uniform(*OFF_SHELL_W, daughters.shape), daughters)
    resplit = qcd_mass * rng.uniform(0.0, QCD_RESPLIT_MASS, (2, n)) * (rng.random((2, n)) < QCD_RESPLITS)
    daughters = np.where(is_qcd, resplit, daughters)
    cosines = rng.uniform(-1.0, 1.0, (3, n))
    # in the parent's frame z = (1 + cosθ)/2 for massless daughters at high momentum
    cosines[0] = np.where(is_qcd, 1 - 2 * fraction, cosines[0])
    azimuths = rng.uniform(-np.pi, np.pi, (3, n))
    pt = target
    for _ in range(2):
        # the second time with a parent that makes up for the neutrino
        parent = np.stack([np.hypot(pt, mass), pt, np.zeros(n), np.zeros(n)])
        first, second = _two_body(parent, mass, daughters, cosines[0], azimuths[0])
        slots = np.stack(
            [
                *_split(first, daughters[0], cosines[1], azimuths[1]),
                *_split(second, daughters[1], cosines[2], azimuths[2]),
            ],
            axis=1,
        )
        slots *= is_visible
        visible = slots.sum(axis=1)
        pt = pt * target / np.maximum(np.hypot(visible[1], visible[2]), MIN_VISIBLE * target)
    return slots


def _split(parent: Floats, mass: Floats, cosine: Floats, azimuth: Floats) -> tuple[Floats, Floats]:
    """Returns two massless daughters of a parent with a mass; a massless parent and nothing otherwise."""
    is_massive = mass > 0
    massless = np.zeros((2, len(mass)))
    first, second = _two_body(parent, np.where(is_massive, mass, 1.0), massless, cosine, azimuth)
    return np.where(is_massive, first, parent), np.where(is_massive, second, 0.0)


def _two_body(
    parent: Floats, mass: Floats, daughters: Floats, cosine: Floats, azimuth: Floats
) -> tuple[Floats, Floats]:
    """Returns the four-momenta of a two-body decay, of shape (4, jet) each.

    Momentum in the parent's frame: Particle Data Group, Review of Particle Physics (2024), chapter
    "Kinematics", equation for two-body decays; then a boost with the parent's velocity.
    """
    m1, m2 = daughters
    p = np.sqrt(np.maximum((mass**2 - (m1 + m2) ** 2) * (mass**2 - (m1 - m2) ** 2), 0.0)) / (2 * mass)
    energy = np.hypot(p, m1)
    sine = np.sqrt(1 - cosine**2)
    inner = p * np.stack([cosine, sine * np.cos(azimuth), sine * np.sin(azimuth)])
    flight = parent[1:] / mass
    gamma = parent[0] / mass
    along = (inner * flight).sum(axis=0)
    outer = inner + flight * (along / (gamma + 1) + energy)
    first = np.concatenate([(gamma * energy + along)[np.newaxis], outer])
    return first, parent - first


def _is_accepted(momenta: Floats, target: Floats) -> npt.NDArray[np.bool_]:
    """Returns which jets have all prongs near their axis and about the transverse momentum wanted."""
    _, px, py, pz = momenta
    x, y, z = px.sum(axis=0), py.sum(axis=0), pz.sum(axis=0)
    axis_pt = np.hypot(x, y)
    pt = np.hypot(px, py)
    d_eta = np.arcsinh(np.divide(pz, pt, out=np.zeros_like(pz), where=pt > 0)) - np.arcsinh(z / axis_pt)
    # the parent flies along x: an azimuth comes near ±π only far from the axis
    d_phi = np.arctan2(py, px) - np.arctan2(y, x)
    is_far = (d_eta**2 + d_phi**2 > MAX_PRONG_DISTANCE**2) & (pt > 0)
    return ~is_far.any(axis=0) & (abs(axis_pt - target) < PT_TOLERANCE * target)


def _power_law(u: Floats, low: float, high: float, *, power: float) -> Floats:
    """Returns draws from x^−power between ``low`` and ``high`` for uniform ``u``: the integral inverted."""
    if power == 1.0:
        return low * (high / low) ** u
    exponent = 1.0 - power
    return (low**exponent + u * (high**exponent - low**exponent)) ** (1.0 / exponent)
