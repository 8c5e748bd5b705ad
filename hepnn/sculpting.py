"""Mass sculpting: what a cut on a tagger does to the mass of the background that passes it.

A tagger that looks at the mass makes the background look like signal. `mass_sculpting` measures it; flat weights
(`hepnn.flattening`) in training are a cure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError
from hepnn.roc import Measured, plain, require_finite
from hepnn.working_points import bin_of

__all__ = ["MassSculpting", "Spectrum", "jensen_shannon", "mass_sculpting"]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

_TAIL = 0.005
"""Share of the background's jets beyond either end of the bins; they count in the outermost."""


class Spectrum(NamedTuple):
    """A distribution that sums to 1.

    Attributes:
        share: (bin,).
        error: (bin,), one standard deviation, √Σw² of the bin over Σw.
        n_jets: effective number of jets, (Σw)²/Σw².
    """

    share: Floats
    error: Floats
    n_jets: float


class MassSculpting(NamedTuple):
    """The mass of background jets before and after cuts.

    Attributes:
        edges: (bin + 1,), GeV.
        before: of all background jets.
        after: of those that pass, by the name of the cut.
        divergence: Jensen–Shannon divergence in bits between background that passes and that fails, by cut: 0 for a
            cut that leaves the mass alone, at most 1.
        floor: by cut, the mean divergence of so many jets of one distribution, which no tagger gets below.
    """

    edges: Floats
    before: Spectrum
    after: Mapping[str, Spectrum]
    divergence: Mapping[str, Measured]
    floor: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers, without the spectra."""
        return {
            name: {"divergence": value.to_dict(), "floor": plain(self.floor[name])}
            for name, value in self.divergence.items()
        }


def mass_sculpting(
    mass: Floats,
    passed: Mapping[str, Flags],
    *,
    edges: npt.ArrayLike | None = None,
    n_bins: int = 25,
    weights: Floats | None = None,
) -> MassSculpting:
    """Returns the mass of background jets before and after each cut, and how far cuts change it.

    The divergence is that between jets that pass and jets that fail, as in ATL-PHYS-PUB-2018-014.

    Args:
        mass: (jet,) of background jets, GeV.
        passed: (jet,) by name of the cut.
        edges: (bin + 1,); masses beyond count in the outermost bins. None for ``n_bins`` equal ones that hold 99 %.
        n_bins: number of those.
        weights: (jet,) or None.

    Raises:
        InputError: lengths differ, a mass is not finite, or there are no jets.
    """
    mass = np.asarray(mass, np.float64)
    weights = np.ones(mass.shape) if weights is None else np.asarray(weights, np.float64)
    for what, values in (("masses", mass), ("weights", weights)):
        require_finite(values, (mass.size,), what)
    if not weights.sum() > 0:
        raise InputError(f"asked for the mass of background jets; found {mass.size} with the weight {weights.sum():g}.")
    if edges is None:
        low, high = np.quantile(mass, (_TAIL, 1 - _TAIL))
        edges = np.linspace(low, high if high > low else low + 1, n_bins + 1)
    edges = np.asarray(edges, np.float64)
    at = bin_of(mass, edges)
    after, divergence, floor = {}, {}, {}
    for name, flags in passed.items():
        after[name] = _spectrum(at[flags], weights[flags], len(edges) - 1)
        divergence[name], floor[name] = _divergence(after[name], _spectrum(at[~flags], weights[~flags], len(edges) - 1))
    return MassSculpting(edges, _spectrum(at, weights, len(edges) - 1), after, divergence, floor)


def jensen_shannon(p: Floats, q: Floats) -> float:
    """Returns the Jensen–Shannon divergence of two distributions, in bits (Lin 1991, IEEE Trans. Inf. Theory 37, 145).

    >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    1.0
    """
    p, q = (np.maximum(np.asarray(x, np.float64), 0) for x in (p, q))  # a bin of negative weights counts as empty
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float(sum((x * _log2_ratio(x, middle)).sum() for x in (p, q)) / 2)


def _log2_ratio(x: Floats, middle: Floats) -> Floats:
    return np.log2(np.divide(x, middle, out=np.ones_like(x), where=x > 0))


def _spectrum(at: npt.NDArray[np.intp], weights: Floats, n_bins: int) -> Spectrum:
    counts, squares = (np.bincount(at, x, n_bins) for x in (weights, weights**2))
    total = counts.sum()
    if not total > 0:
        return Spectrum(np.full(n_bins, np.nan), np.full(n_bins, np.nan), 0.0)
    return Spectrum(counts / total, np.sqrt(squares) / total, float(total**2 / squares.sum()))


def _divergence(passed: Spectrum, failed: Spectrum) -> tuple[Measured, float]:
    """The divergence with the error of its linear expansion in the bins, and its mean for equal distributions.

    For small differences it is Σ(p − q)²/(8 m) nats, with m their middle, whose mean is (k − 1)(1/n + 1/n')/8 for k bins
    with jets: that of χ²/n.
    """
    if not (passed.n_jets and failed.n_jets):
        return Measured(float("nan"), float("inf")), float("nan")
    p, q = passed.share, failed.share
    middle = (np.maximum(p, 0) + np.maximum(q, 0)) / 2
    variance = 0.0
    for each in (passed, failed):
        slope = _log2_ratio(np.maximum(each.share, 0), middle) / 2
        variance += float(((slope - (slope * each.share).sum()) ** 2 * each.error**2).sum())
    n_filled = int((middle > 0).sum())
    floor = (n_filled - 1) / 8 * (1 / passed.n_jets + 1 / failed.n_jets) / np.log(2)
    return Measured(jensen_shannon(p, q), float(np.sqrt(variance))), float(floor)
