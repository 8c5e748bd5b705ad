"""Shower profiles: how the energy of a shower is spread over depth and radius, as parametrised in the literature.

Everything here is a formula with its source, on arrays of showers; `hepnn.generators.cascades` puts them together.
Depths t are in radiation lengths X0 from the start of an electromagnetic cascade, or in interaction lengths λ from
the first interaction; energies in GeV; radii of electromagnetic cascades in Molière radii.

GP below is Grindhammer, Peters, "The parameterized simulation of electromagnetic showers in homogeneous and sampling
calorimeters" (hep-ex/0001020); the parameters are in its appendix A, for homogeneous media (A.1) and what sampling
adds (A.2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc, gammaln

from hepnn.generators.calorimeter import Medium

__all__ = ["GammaProfile", "RadialProfile", "draw_electromagnetic", "draw_hadronic", "em_fraction", "mean_hadronic"]
__all__ += ["radial_profile", "rectangle_shares", "slice_shares"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

LEAST_ENERGY = 0.5
"""Energy in GeV below which parameters are those at this energy; GP fitted showers from 0.4 GeV on."""
LARGEST_AGE = 4.0
"""Largest depth over that of the maximum at which the width is looked up: beyond, GP's tail grows without end, and
little energy is left."""

LEAST_HADRON_ENERGY = 5.0
"""The same for pions, whose parameters come from showers of 10 to 300 GeV."""
EM_FRACTION_SCALE = 1.0
"""E_0 of `em_fraction`, in GeV, for pions."""
EM_FRACTION_POWER = 0.83
"""k of `em_fraction`."""
HADRONIC_SPREAD = 0.3
"""Spread of the logarithm of a hadronic shower's length, each component on its own. hepnn's choice."""


class GammaProfile(NamedTuple):
    """Longitudinal profiles dE/dt = E·rate·(rate·t)^(shape−1)·exp(−rate·t)/Γ(shape).

    Longo and Sestili, NIM 128 (1975) 283; PDG (2024), chapter "Passage of particles through matter", equation 34.36.
    The maximum is at (shape − 1)/rate, the mean depth is shape/rate.
    """

    shape: Floats
    rate: Floats
    mean_shape: Floats
    """Of all showers of that energy: a shower's age is measured with it, see `ages`."""

    def ages(self, depths: Floats) -> Floats:
        """Returns depths over that of the maximum: GP's τ of single showers, which goes with the mean depth.

        Args:
            depths: of shape (…, shower).
        """
        scale = self.rate / self.shape * self.mean_shape / (self.mean_shape - 1)
        return depths * scale


class RadialProfile(NamedTuple):
    """Radial profiles f(r) = p·2r·C²/(r² + C²)² + (1 − p)·2r·T²/(r² + T²)², the ansatz of GP."""

    core: Floats
    """C, the median radius of the core."""
    tail: Floats
    """T, the median radius of the tail."""
    weight: Floats
    """p, the core's share."""


def draw_electromagnetic(energy: Floats, medium: Medium, *, rng: np.random.Generator) -> GammaProfile:
    """Returns profiles of single showers that electrons start; GP appendix A, "fluctuated longitudinal profiles".

    The logarithms of maximum and shape are normal, and correlated.

    Args:
        energy: of the electrons in GeV, (shower,).
        medium: what they shower in.
        rng: random numbers.
    """
    log_y = np.log(np.maximum(energy, LEAST_ENERGY) / medium.critical_energy)
    per_frequency, lack = 1 / medium.sampling_frequency, 1 - medium.e_over_mip
    log_maximum = np.log(log_y - 0.812 - 0.55 * per_frequency - 0.69 * lack)
    mean_shape = 0.81 + (0.458 + 2.26 / medium.z) * log_y - 0.476 * per_frequency
    spread_maximum = 1 / (-2.5 + 1.25 * log_y)
    spread_shape = 1 / (-0.82 + 0.79 * log_y)
    correlation = 0.784 - 0.023 * log_y
    common, own = rng.standard_normal((2, len(energy)))
    common, own = common * np.sqrt((1 + correlation) / 2), own * np.sqrt((1 - correlation) / 2)
    maximum = np.exp(log_maximum + spread_maximum * (common + own))
    # a shape of 1 has its maximum at the face; GP's spread reaches below once in many thousand showers
    shape = np.maximum(mean_shape * np.exp(spread_shape * (common - own)), 1.05)
    return GammaProfile(shape, (shape - 1) / maximum, mean_shape)


def radial_profile(energy: Floats, age: Floats, medium: Medium) -> RadialProfile:
    """Returns the radial profile at some depth, in Molière radii; GP appendix A, "radial profiles".

    Args:
        energy: of the electrons in GeV, (shower,).
        age: depth over that of the maximum, of shape (…, shower).
        medium: what they shower in.
    """
    log_e = np.log(np.maximum(energy, LEAST_ENERGY))
    tau = np.minimum(age, LARGEST_AGE)
    per_frequency, lack = 1 / medium.sampling_frequency, 1 - medium.e_over_mip
    fading = per_frequency * np.exp(-tau)
    core = 0.0251 + 0.00319 * log_e + (0.1162 - 0.000381 * medium.z) * tau
    core += -0.0203 * lack + 0.0397 * fading
    growth = np.exp((0.3585 + 0.0412 * log_e) * (tau - 0.645))
    tail = (0.659 - 0.00309 * medium.z) * (np.exp(-2.59 * (tau - 0.645)) + growth)
    tail += -0.14 * lack - 0.495 * fading
    argument = (0.401 + 0.00187 * medium.z - tau) / (1.313 - 0.0686 * log_e)
    weight = (2.632 - 0.00094 * medium.z) * np.exp(argument - np.exp(argument))
    weight += lack * (0.348 - 0.642 * per_frequency * np.exp(-((tau - 1) ** 2)))
    return RadialProfile(core, tail, np.clip(weight, 0, 1))


def em_fraction(energy: Array) -> Array:
    """Returns the mean share of a pion's energy that ends in π0, and so in electromagnetic cascades.

    1 − (E/E_0)^(k−1) with E_0 = 1 GeV and k = 0.83: Gabriel, Groom, Job, Mokhov, Stevenson, NIM A338 (1994) 336;
    the numbers are from Groom, NIM A572 (2007) 633.

    >>> float(np.round(em_fraction(np.array(100.0)), 2))
    0.54
    """
    return 1 - (np.maximum(energy, EM_FRACTION_SCALE) / EM_FRACTION_SCALE) ** (EM_FRACTION_POWER - 1)


def mean_hadronic(energy: Floats) -> tuple[GammaProfile, GammaProfile]:
    """Returns the profiles of the electromagnetic component (in X0) and of the hadronic one (in λ) of pion showers.

    From the depth of the first interaction on. Form: Bock, Hansl-Kozanecka, Shah, NIM 186 (1981) 533. Numbers:
    shape 0.786 + 0.427 ln(E/GeV), rates 0.29/X0 and 0.978/λ, as in Kulchitsky and Vinogradov (hep-ex/9903019),
    equation 1, for lead and argon before iron and scintillator. The components' shares are those of `em_fraction`.

    Args:
        energy: of the pions in GeV, (shower,).
    """
    shape = 0.786 + 0.427 * np.log(np.maximum(energy, LEAST_HADRON_ENERGY))
    return (
        GammaProfile(shape, np.full_like(shape, 0.29), shape),
        GammaProfile(shape, np.full_like(shape, 0.978), shape),
    )


def draw_hadronic(energy: Floats, *, rng: np.random.Generator) -> tuple[GammaProfile, GammaProfile]:
    """Returns such profiles of single pion showers, their lengths drawn from log-normal distributions of mean 1.

    Args:
        energy: of the pions in GeV, (shower,).
        rng: random numbers.
    """
    electromagnetic, hadronic = mean_hadronic(energy)
    lengths = np.exp(HADRONIC_SPREAD * rng.standard_normal((2, len(energy))) - HADRONIC_SPREAD**2 / 2)
    return (
        electromagnetic._replace(rate=electromagnetic.rate / lengths[0]),
        hadronic._replace(rate=hadronic.rate / lengths[1]),
    )


def slice_shares(profile: GammaProfile, edges: Floats) -> tuple[Floats, Floats]:
    """Returns the share of a shower's energy between edges in depth, and that share's mean depth.

    With P the regularised lower incomplete gamma function, the share up to depth t is P(shape, rate·t), and its mean
    depth follows from P(shape + 1, x) = P(shape, x) − x^shape·exp(−x)/Γ(shape + 1).

    Args:
        profile: of the showers.
        edges: from the shower's start, rising, (slice + 1, shower); what is negative counts as 0.

    Returns:
        Shares and depths, both (slice, shower); without energy the depth is the slice's middle.
    """
    depths = np.maximum(edges, 0.0)
    x = profile.rate * depths
    lower = gammainc(profile.shape, x)
    with np.errstate(divide="ignore"):
        upper = lower - np.exp(profile.shape * np.log(x) - x - gammaln(profile.shape + 1))
    shares, moments = np.diff(lower, axis=0), np.diff(upper, axis=0) * profile.shape / profile.rate
    middles = (depths[1:] + depths[:-1]) / 2
    # of tiny shares nothing but rounding is left, so means are kept within their slice
    means = np.divide(moments, shares, out=middles, where=shares > 1e-9)
    return shares, np.clip(means, depths[:-1], depths[1:])


def rectangle_shares(x: Array, y: Array, radius: Array) -> Array:
    """Returns the share of the energy of one term of the radial profile in the cells of a rectangular grid.

    The density R²/(π (x² + y² + R²)²) has the integral (1/2π)·[x/a·arctan(y/a) + y/b·arctan(x/b)] with
    a² = x² + R² and b² = y² + R², up to functions of x or y alone.

    Args:
        x: edges of the cells from the shower's axis, (edge, shower).
        y: the same in the other direction.
        radius: R, the median radius, (shower,).

    Returns:
        Of shape (cell in x, cell in y, shower).
    """
    squared = radius * radius
    per_x, per_y = 1 / np.sqrt(x * x + squared), 1 / np.sqrt(y * y + squared)
    corners = np.arctan(y[None] * per_x[:, None])
    corners *= (x * per_x)[:, None]
    other = np.arctan(x[:, None] * per_y[None])
    other *= (y * per_y)[None]
    corners += other
    rows = corners[1:] - corners[:-1]
    shares: Array = rows[:, 1:] - rows[:, :-1]
    shares *= 0.5 / np.pi
    return np.maximum(shares, 0, out=shares)
