"""Readout: from cascades to the cells that a calorimeter reads out, with their energies and times.

A shower is seen in a window of cells in each layer, centred on the cell that the particle's line of flight crosses.
Cascades are spread over the window's cells in closed form. Sampling makes the signals fluctuate, electronics adds
noise to every cell of the window, and cells above threshold are read out: those the shower hit, and some of noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.generators.calorimeter import Calorimeter
from hepnn.generators.cascades import Axes, Cascades, Particles
from hepnn.generators.profiles import rectangle_shares

__all__ = ["Cells", "Windows", "expected_signals", "read_out", "windows_about"]

Signals = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

LEAST_SHARE_OF_THRESHOLD = 1e-3
"""Signals expected to be below this share of the threshold are not made to fluctuate: they would hardly be seen."""
LIGHT_SPEED = 299.792
"""mm per ns."""
LATE_SHARE = 0.05
"""Share of the hadronic signal that neutrons make late. hepnn's choice."""
LATE_TIME = 25.0
"""Time constant of it, in ns: Akchurin et al., arXiv:0707.4019."""


class Windows(NamedTuple):
    """Which cells are read out: indices of each layer's first, (layer, shower).

    Cell i reaches from i to i + 1 cell sizes; in φ, indices are not yet wrapped around.
    """

    first_eta: Ints
    first_phi: Ints


class Cells(NamedTuple):
    """Cells above threshold, each array of shape (cell,), in no order."""

    shower: Ints
    layer: Ints
    eta: npt.NDArray[np.float64]
    """Of the cell's centre."""
    phi: npt.NDArray[np.float64]
    """Of the cell's centre, in [−π, π)."""
    energy: Signals
    """GeV."""
    time: Signals
    """ns after a particle at the speed of light reached the calorimeter's face."""


def windows_about(axes: Axes, *, calorimeter: Calorimeter) -> Windows:
    """Returns the windows centred on lines of flight, as these cross the middle of the layers."""
    layers, slices = calorimeter.layers, calorimeter.slices
    middles = [int(np.flatnonzero(slices.layer == index)[layer.steps // 2]) for index, layer in enumerate(layers)]
    sizes = np.array([(layer.eta_cell, layer.phi_cell) for layer in layers])[..., None]
    halves = np.array([layer.window for layer in layers])[..., None] // 2
    crossed = np.stack([axes.eta[middles], axes.phi[middles]], axis=1)
    first = np.floor(crossed / sizes).astype(np.int64) - halves
    return Windows(first[:, 0], first[:, 1])


def expected_signals(
    cascades: Sequence[Cascades], windows: Windows, *, calorimeter: Calorimeter
) -> tuple[Signals, Signals]:
    """Returns the electromagnetic and the hadronic signal expected in each cell of the windows, in GeV.

    Args:
        cascades: all of the showers.
        windows: of the showers.
        calorimeter: that they are in.

    Returns:
        Both of shape (cell, shower), cells as in `Calorimeter.rows`.
    """
    shape = (calorimeter.rows[-1].stop, windows.first_eta.shape[1])
    signals = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    slices = calorimeter.slices
    for some in cascades:
        target = signals[some.is_hadronic][:, some.showers]
        for step, index in enumerate(slices.layer):
            layer = calorimeter.layers[index]
            edges = (
                first[index, some.showers] + np.arange(cells + 1)[:, None]
                for first, cells in zip(windows, layer.window, strict=True)
            )
            x, y = (
                ((edge * size - centre[step]) * slices.radius[step]).astype(np.float32)
                for edge, size, centre in zip(
                    edges, (layer.eta_cell, layer.phi_cell), (some.eta, some.phi), strict=True
                )
            )
            core, tail, weight, energy = (
                values[step].astype(np.float32) for values in (some.core, some.tail, some.weight, some.energy)
            )
            shares = rectangle_shares(x, y, core) * (weight * energy)
            if core is not tail:
                shares += rectangle_shares(x, y, tail) * ((1 - weight) * energy)
            target[calorimeter.rows[index]] += shares.reshape(layer.window[0] * layer.window[1], len(energy))
    return signals


def read_out(
    particles: Particles,
    windows: Windows,
    *,
    electromagnetic: Signals,
    hadronic: Signals,
    calorimeter: Calorimeter,
    rng: np.random.Generator,
) -> Cells:
    """Returns the cells above threshold.

    A signal E of sampling term c is drawn from a gamma distribution of mean E and variance c²E: signals of cells that
    are added give one of the same kind, so their sum has the resolution c/√E (Grindhammer and Peters, hep-ex/0001020,
    on sampling fluctuations). It comes in spots of c² or so, which is what makes single showers ragged.

    Times are those of flight at the speed of light to the middle of the cell, and a late part of the hadronic signal
    shifts a cell's time by its share of the energy. Resolution is a/E ⊕ b.

    Args:
        particles: that made the showers.
        windows: of the showers.
        electromagnetic: signals expected, (cell, shower), in GeV.
        hadronic: the same of hadronic energy.
        calorimeter: that they are in.
        rng: random numbers.
    """
    layers = calorimeter.layers
    of_cell = calorimeter.cell_layer
    spot = np.array([layer.sampling**2 for layer in layers], np.float32)[of_cell][:, None]
    hadronic_spot = np.array([layer.hadronic_sampling**2 for layer in layers], np.float32)[of_cell][:, None]
    noise = np.array([layer.noise for layer in layers], np.float32)[of_cell][:, None]
    threshold = np.array([layer.threshold for layer in layers], np.float32)[of_cell][:, None]

    least = LEAST_SHARE_OF_THRESHOLD * threshold
    late = _fluctuated(LATE_SHARE * hadronic, hadronic_spot, least, rng)
    energy = _fluctuated(electromagnetic, spot, least, rng)
    energy += late
    energy += _fluctuated((1 - LATE_SHARE) * hadronic, hadronic_spot, least, rng)
    scale = 1 + calorimeter.constant_term * rng.standard_normal((energy.shape[1],), dtype=np.float32)
    energy *= scale
    energy += noise * rng.standard_normal(energy.shape, dtype=np.float32)

    cell, shower = np.nonzero(energy > threshold)
    seen = energy[cell, shower]
    layer = of_cell[cell]
    within = cell - np.array([rows.start for rows in calorimeter.rows])[layer]
    step_eta, step_phi = np.divmod(within, np.array([one.window[1] for one in layers])[layer])
    eta_size, phi_size = np.array([(one.eta_cell, one.phi_cell) for one in layers])[layer].T
    eta = (windows.first_eta[layer, shower] + step_eta + 0.5) * eta_size
    phi = (windows.first_phi[layer, shower] + step_phi + 0.5) * phi_size

    way = np.array([(one.inner + one.outer) / 2 - calorimeter.radius for one in layers])[layer]
    a, b = np.array([(one.time_noise, one.time_constant) for one in layers])[layer].T
    time = way * np.cosh(particles.eta)[shower] / LIGHT_SPEED
    share = np.minimum(late[cell, shower] * scale[shower] / seen, 1)
    time += share * LATE_TIME * rng.standard_exponential(len(seen), dtype=np.float32)
    time += np.hypot(a / seen, b) * rng.standard_normal(len(seen), dtype=np.float32)
    return Cells(shower, layer, eta, (phi + np.pi) % (2 * np.pi) - np.pi, seen, time.astype(np.float32))


def _fluctuated(signals: Signals, spot: Signals, least: Signals, rng: np.random.Generator) -> Signals:
    """Returns signals that sampling has made to fluctuate, those above ``least``; spots are c², both (cell, 1)."""
    drawn = np.flatnonzero((signals > least) & (spot > 0))
    spots = np.take(spot, drawn // signals.shape[1])
    result = signals.copy()
    np.put(result, drawn, spots * rng.standard_gamma(np.take(signals, drawn) / spots, dtype=np.float32))
    return result
