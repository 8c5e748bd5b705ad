"""The energy resolution of a calorimeter: measured in bins of energy, and fitted as calorimeters are described.

    σ/E = a/√E ⊕ b ⊕ c/E,

⊕ for the root of the sum of squares: PDG, Review of Particle Physics (2024), chapter "Particle detectors at
accelerators", section on electromagnetic calorimeters. a is the sampling term, from fluctuations of the number of
particles that are seen; b the constant term, from what goes wrong in proportion to the energy; c the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
from scipy.optimize import curve_fit

from hepnn.roc import Measured
from hepnn.tasks.measuring import bootstrapped

__all__ = [
    "Binned",
    "Resolution",
    "draw_resolution",
    "fit_resolution",
    "half_range",
    "half_width",
    "measured_in_bins",
    "resampled",
]

Floats = npt.NDArray[np.floating[Any]]

_CENTRAL_QUANTILES = (0.16, 0.84)
"""The central 68 %: as wide as ±1 standard deviation of a normal distribution, but blind to its tails."""


class Binned(NamedTuple):
    """What was measured in bins of the true energy, each array of shape (bin,).

    Attributes:
        energy: mean true energy, in GeV.
        response: median of reconstructed over true energy.
        response_error: one standard deviation.
        resolution: half the central 68 % of reconstructed over true energy, over its median.
        resolution_error: one standard deviation.
    """

    energy: Floats
    response: Floats
    response_error: Floats
    resolution: Floats
    resolution_error: Floats


class Resolution(NamedTuple):
    """A fitted resolution: called with energies in GeV, (…), it returns σ/E, (…).

    Attributes:
        sampling: a, in √GeV.
        constant: b.
        noise: c, in GeV.
    """

    sampling: Measured
    constant: Measured
    noise: Measured

    def __call__(self, energy: Floats) -> Floats:
        """Returns σ/E."""
        squares = _squared(energy, *(term.value**2 for term in self))
        return np.sqrt(squares)


def half_range(values: Floats) -> float:
    """Returns half the central 68 % of the values, (sample,)."""
    low, high = np.quantile(values, _CENTRAL_QUANTILES)
    return float((high - low) / 2)


def half_width(ratios: Floats) -> float:
    """Returns half the central 68 % of reconstructed over true energies, (shower,), over their median."""
    return half_range(ratios) / float(np.median(ratios))


def resampled(statistic: Callable[[Floats], Any], values: Floats, *, rng: np.random.Generator) -> Measured:
    """Returns a statistic of the values, (sample,), and its uncertainty, by `hepnn.tasks.measuring.bootstrapped`."""
    return bootstrapped(lambda chosen: float(statistic(values[chosen])), len(values), rng=rng)


def measured_in_bins(true: Floats, found: Floats, *, edges: Floats, rng: np.random.Generator) -> Binned:
    """Returns response and resolution in each bin of the true energy.

    Args:
        true: (shower,), in GeV.
        found: (shower,), as reconstructed, in GeV.
        edges: (bin + 1,), rising, in GeV; a bin holds its lower edge.
        rng: of the resampling that gives the uncertainties.
    """
    rows = []
    place = np.searchsorted(edges, true, side="right") - 1
    for index in range(len(edges) - 1):
        inside = place == index
        ratios = found[inside] / true[inside]
        response, width = (resampled(statistic, ratios, rng=rng) for statistic in (np.median, half_width))
        rows.append((true[inside].mean(), *response[:2], *width[:2]))
    return Binned(*np.array(rows).T)


def fit_resolution(binned: Binned) -> Resolution:
    """Returns a, b and c of the least squares in (σ/E)², which is linear in their squares.

    A square that comes out as 0, its lower bound, has the uncertainty of the free fit.

    Args:
        binned: resolutions in four bins or more.
    """
    squares, covariance = curve_fit(
        _squared,
        binned.energy,
        binned.resolution**2,
        p0=(0.1, 1e-3, 0.1),
        sigma=2 * binned.resolution * binned.resolution_error,
        absolute_sigma=True,
        bounds=(0, np.inf),
    )
    errors = np.sqrt(np.diag(covariance))
    # half the interval that a standard deviation of the square makes: δ/(2a) for a well measured a, and finite at 0
    halves = (np.sqrt(squares + errors) - np.sqrt(np.maximum(squares - errors, 0))) / 2
    return Resolution(*(Measured(float(np.sqrt(s)), float(h)) for s, h in zip(squares, halves, strict=True)))


def draw_resolution(axes: Axes, binned: Binned, *, color: str, label: str) -> None:
    """Draws the resolutions of bins and their fit."""
    axes.errorbar(binned.energy, binned.resolution, yerr=binned.resolution_error, fmt="o", ms=5, color=color)
    energy = np.geomspace(binned.energy[0], binned.energy[-1], 100)
    axes.plot(energy, fit_resolution(binned)(energy), "-", color=color, label=label)


def energy_axis(axes: Axes, *, label: str) -> None:
    """Makes the horizontal axis one of energies in GeV, logarithmic, with plain numbers.

    Args:
        axes: that something is drawn on.
        label: whose energy, without the unit.
    """
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{label} [GeV]")


def _squared(energy: Floats, sampling: Any, constant: Any, noise: Any) -> Floats:
    """(σ/E)² of the squares of a, b and c."""
    return np.asarray(sampling / energy + constant + noise / energy**2)
