"""Showers for the calorimeter tasks: single ones as records, and several in one frame.

The calorimeter is the same from one group of cells to the next, so a shower can be moved by whole groups of cells
without being made anew: that is how several showers come to lie in one frame, each on the cells it was read out by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.calo_images import CaloImage, pixelate_cells
from hepnn.generators.calorimeter import BARREL
from hepnn.generators.showers import ENERGY, shower_columns
from hepnn.pixels import IMAGE
from hepnn.scaling import Scaling
from hepnn.tensors import TensorSpec

__all__ = ["FAINT", "PIXEL", "TILE", "draw_places", "draw_showers", "framed", "log_images", "seen", "shower_images"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

_LAYERS = BARREL.layers
_CELLS = np.array([(layer.eta_cell, layer.phi_cell) for layer in _LAYERS])
"""(layer, 2): sizes of the cells in η and φ."""

PIXEL = (_LAYERS[1].eta_cell, _LAYERS[1].phi_cell)
"""In η and φ: a cell of the middle layer."""
TILE = (8, 8)
"""Pixels in η and φ after which the cells of all layers come again."""

_SPREAD = np.maximum(np.rint(_CELLS / PIXEL), 1).astype(np.int64)
"""(layer, 2): pixels that a cell covers."""
FAINT = 0.1
"""GeV, about a cell's threshold: below it networks see energies linearly, above it by their logarithm."""


def draw_showers(
    n_showers: int, rng: np.random.Generator, *, classes: Sequence[str], energy: tuple[float, float] = ENERGY
) -> ak.Array:
    """Returns showers as records: ``energy`` (GeV), ``eta phi`` (at the face), ``kind`` (index in ``classes``), ``cells``.

    Args:
        n_showers: how many.
        rng: where they come from.
        classes: as in `hepnn.generators.showers.shower_columns`, in equal parts.
        energy: range of the particles' energies in GeV; ln E is even.
    """
    columns = shower_columns(n_showers, seed=int(rng.integers(2**63)), classes=classes, energy=energy)
    cells = ak.zip({name: columns[f"cell_{name}"] for name in ("energy", "eta", "phi", "layer", "time")})
    kind = np.argmax([columns[f"label_{name}"] for name in classes], axis=0)
    fields = {name: columns[f"shower_{name}"] for name in ("energy", "eta", "phi")}
    return ak.zip({**fields, "kind": kind, "cells": cells}, depth_limit=1)


def seen(energies: Floats) -> npt.NDArray[np.float32]:
    """Returns energies in GeV as networks see them, ln(1 + E / 0.1 GeV): faint cells count beside bright ones."""
    return np.log1p(energies / FAINT, dtype=np.float32)


def log_images(shape: tuple[int, ...]) -> dict[str, TensorSpec]:
    """Returns what a builder of `hepnn.models` is told of images that are `seen`: of this shape, and of order one."""
    channels, limit = shape[-1], float(np.finfo(np.float32).max)
    leave = Scaling((0.0,) * channels, (1.0,) * channels, (-limit,) * channels, (limit,) * channels)
    return {IMAGE: TensorSpec(shape, leave)}


def draw_places(counts: Ints, rng: np.random.Generator, *, tiles: tuple[int, int]) -> Ints:
    """Returns a tile for each of several showers, (shower, 2), no two of one scene in the same.

    Args:
        counts: (scene,), showers of each.
        rng: where the places come from.
        tiles: along η and φ.
    """
    n_tiles = tiles[0] * tiles[1]
    order = rng.permuted(np.tile(np.arange(n_tiles), (len(counts), 1)), axis=1)
    return np.stack(np.unravel_index(order[np.arange(n_tiles) < counts[:, None]], tiles), axis=1)


def framed(showers: ak.Array, places: Ints) -> ak.Array:
    """Returns the showers moved by whole tiles, so that their axes come to lie in the tiles ``places``.

    A tile is `TILE` pixels; tile (0, 0) begins at η = φ = 0. Where in its tile a shower lies is even.

    Args:
        showers: from `draw_showers`.
        places: (shower, 2), along η and φ.
    """
    moved = {}
    for axis, name in enumerate(("eta", "phi")):
        size = TILE[axis] * PIXEL[axis]
        shift = (places[:, axis] - np.floor(ak.to_numpy(showers[name]).astype(np.float64) / size)) * size
        moved[name] = ak.to_numpy(showers[name]) + shift
        cells = showers.cells[name] + shift
        if name == "phi":  # a cell can be beyond ±π where its shower's axis is not
            cells = cells - 2 * np.pi * np.rint((cells - moved[name]) / (2 * np.pi))
        showers = ak.with_field(showers, moved[name], name)
        showers = ak.with_field(showers, ak.with_field(showers.cells, cells, name), "cells")
    return showers


def shower_images(showers: ak.Array, *, tiles: tuple[int, int], margin: int, **options: Any) -> npt.NDArray[np.float32]:
    """Returns an image of each shower, as `hepnn.calo_images.pixelate_cells` does, in one frame for all of them.

    A cell's energy is spread evenly over the pixels that the cell covers.

    Args:
        showers: from `framed`.
        tiles: of the frame along η and φ, from tile (0, 0) on.
        margin: pixels around them.
        options: more of `hepnn.calo_images.CaloImage`.
    """
    n_eta, n_phi = (n * pixels + 2 * margin for n, pixels in zip(tiles, TILE, strict=True))
    image = CaloImage(size=(n_eta, n_phi), width=(n_eta * PIXEL[0], n_phi * PIXEL[1]), center="axis", **options)
    middle = [n * pixels * pixel / 2 for n, pixels, pixel in zip(tiles, TILE, PIXEL, strict=True)]
    centred = ak.zip(
        {
            "eta": np.full(len(showers), middle[0]),
            "phi": np.full(len(showers), middle[1]),
            "cells": _spread(showers.cells),
        },
        depth_limit=1,
    )
    return pixelate_cells(centred, image)


def _spread(cells: ak.Array) -> ak.Array:
    """Returns each cell as one piece a pixel that it covers."""
    counts, flat = ak.to_numpy(ak.num(cells)), ak.flatten(cells)
    layer = ak.to_numpy(flat.layer)
    n_pieces = _SPREAD[layer].prod(axis=1)
    of = np.repeat(np.arange(len(layer)), n_pieces)
    within = np.arange(len(of)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    spread, size = _SPREAD[layer[of]], _CELLS[layer[of]]
    steps = (np.stack(np.divmod(within, spread[:, 1]), axis=1) + 0.5) / spread - 0.5
    shower = np.repeat(np.arange(len(counts)), counts)
    pieces = {
        "energy": ak.to_numpy(flat.energy)[of] / n_pieces[of],
        "eta": ak.to_numpy(flat.eta)[of] + steps[:, 0] * size[:, 0],
        "phi": ak.to_numpy(flat.phi)[of] + steps[:, 1] * size[:, 1],
        "layer": layer[of],
        "time": ak.to_numpy(flat.time)[of],
    }
    return ak.unflatten(ak.zip(pieces), np.bincount(shower[of], minlength=len(counts)))
