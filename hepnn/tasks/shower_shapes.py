"""Shower shapes: the few numbers by which calorimeter physicists tell particles apart, a baseline for networks.

`photon_shapes` are those with which ATLAS tells photons from neutral pions (ATLAS 2016, arXiv:1606.01813, table 1);
`layer_fractions` is the longitudinal profile, by which electrons and hadrons differ. Columns (shower,) by name come
out, for `grown` to grow trees on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from hepnn.calo_images import CaloImage, pixelate_cells
from hepnn.generators.calorimeter import BARREL, Calorimeter

__all__ = ["Columns", "grown", "layer_fractions", "layer_images", "photon_shapes", "scored"]

Floats = npt.NDArray[np.floating[Any]]
Columns = Mapping[str, Floats]

N_STRIPS = 21
"""Strips looked at in η, about as many as the 0.0625 of ATLAS."""

_LEAST_ENERGY = 1e-3
"""GeV: of a shower without cells, which has a logarithm as well."""


def grown(columns: Columns, is_signal: npt.NDArray[np.bool_], *, seed: int) -> HistGradientBoostingClassifier:
    """Returns boosted trees that tell signal from the rest by these columns, with the settings of `hepnn.baseline`."""
    trees = HistGradientBoostingClassifier(learning_rate=0.05, max_iter=300, early_stopping=True, random_state=seed)
    return trees.fit(np.stack(list(columns.values()), axis=1), is_signal)


def scored(trees: HistGradientBoostingClassifier, columns: Columns) -> Floats:
    """Returns the probability of signal, (shower,)."""
    return np.asarray(trees.predict_proba(np.stack(list(columns.values()), axis=1))[:, 1])


def layer_images(showers: ak.Array, layer: int, *, size: tuple[int, int], calorimeter: Calorimeter = BARREL) -> Floats:
    """Returns the cells of one layer, (shower, η, φ) in GeV: each pixel is a cell, the hardest one is in the middle.

    Args:
        showers: with their cells.
        layer: which one.
        size: cells along η and φ, odd numbers.
        calorimeter: that the showers are in.
    """
    cell = calorimeter.layers[layer]
    own = ak.with_field(showers, showers.cells[showers.cells.layer == layer], "cells")
    image = CaloImage(size=size, width=(size[0] * cell.eta_cell, size[1] * cell.phi_cell), n_layers=layer + 1)
    return pixelate_cells(own, image)[..., layer]


def layer_fractions(showers: ak.Array, *, n_layers: int) -> dict[str, Floats]:
    """Returns the share of each of the first ``n_layers`` layers in the energy of all."""
    energy, layer = showers.cells.energy, showers.cells.layer
    total = _sum(energy)
    return {f"layer {number}": _ratio(_sum(energy[layer == number]), total) for number in range(n_layers)}


def photon_shapes(showers: ak.Array) -> dict[str, Floats]:
    """Returns the shapes of ATLAS' photon identification (arXiv:1606.01813, table 1) in strips and middle layer.

    What needs the hadronic layers is left out, since photons and neutral pions are alike there. The energy's logarithm
    is added, which ATLAS' cuts depend on as well.
    """
    strips = layer_images(showers, 0, size=(N_STRIPS, 5)).sum(axis=-1)
    middle = layer_images(showers, 1, size=(7, 7))
    total = _sum(showers.cells.energy)
    return {
        **_strip_shapes(strips),
        **_middle_shapes(middle),
        "f1": _ratio(strips.sum(axis=1), total),
        "log E": np.log(np.maximum(total, _LEAST_ENERGY)),
    }


def _strip_shapes(strips: Floats) -> dict[str, Floats]:
    """Widths in the strips, (shower, strip), and what tells of a second peak."""
    at, place = strips.argmax(axis=1)[:, None], np.arange(strips.shape[1])
    distance = np.abs(place - at)

    def within(strips_away: int) -> Floats:
        return np.asarray(np.where(distance <= strips_away, strips, 0).sum(axis=1))

    def width(strips_away: int) -> Floats:
        square = np.where(distance <= strips_away, strips * distance**2, 0).sum(axis=1)
        return np.sqrt(_ratio(square, within(strips_away)))

    beyond = np.pad(strips, ((0, 0), (1, 1)))
    is_peak = (strips > beyond[:, :-2]) & (strips > beyond[:, 2:]) & (distance > 0)
    peaks = np.where(is_peak, strips, 0)
    first, second, other = strips.max(axis=1), peaks.max(axis=1), peaks.argmax(axis=1)[:, None]
    is_between = (place > np.minimum(at, other)) & (place < np.maximum(at, other))
    valley = np.where(is_between, strips, np.inf).min(axis=1)
    return {
        "w_s3": width(1),
        "w_s tot": width(strips.shape[1]),
        "F_side": _ratio(within(3) - within(1), within(1)),
        "delta E": np.where(second > 0, second - np.minimum(valley, second), 0),
        "E_ratio": _ratio(first - second, first + second),
    }


def _middle_shapes(middle: Floats) -> dict[str, Floats]:
    """Ratios of windows in the middle layer, (shower, 7, 7), and the width in η of 3 × 5 cells."""
    core = middle[:, 2:5, 1:6].sum(axis=2)
    mean, square = (_ratio((core * np.array([-1, 0, 1]) ** power).sum(axis=1), core.sum(axis=1)) for power in (1, 2))
    return {
        "R_eta": _ratio(middle[:, 2:5].sum(axis=(1, 2)), middle.sum(axis=(1, 2))),
        "R_phi": _ratio(middle[:, 2:5, 2:5].sum(axis=(1, 2)), middle[:, 2:5].sum(axis=(1, 2))),
        "w_eta2": np.sqrt(np.maximum(square - mean**2, 0)),
    }


def _sum(energy: ak.Array) -> Floats:
    return np.asarray(ak.to_numpy(ak.sum(energy, axis=1)))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """The ratio; 0 of nothing, as a shower may have no cell in a layer."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
