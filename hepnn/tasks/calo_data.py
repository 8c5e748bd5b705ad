"""Showers for the calorimeter tasks, made in memory as hepnn's readers would read them: single ones, several in a frame.

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
from hepnn.generators.showers import shower_columns
from hepnn.pixels import IMAGE
from hepnn.scaling import Scaling
from hepnn.schema import jets_from_columns, load_schema
from hepnn.tensors import TensorSpec

__all__ = [
    "CELL",
    "FAINT",
    "STRIP",
    "TILE",
    "draw_places",
    "draw_showers",
    "frame",
    "framed",
    "labelled_showers",
    "log_images",
    "seen",
    "shower_images",
]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

_LAYERS = BARREL.layers
_CELLS = np.array([(layer.eta_cell, layer.phi_cell) for layer in _LAYERS])
"""(layer, 2): sizes of the cells in η and φ."""

STRIP = _LAYERS[0].eta_cell
"""Width of a strip of the first layer, in η."""
CELL = (_LAYERS[1].eta_cell, _LAYERS[1].phi_cell)
"""Size of the middle layer's cells in η and φ."""
TILE = (8, 8)
"""Pixels in η and φ after which the cells of all layers come again."""

_SPREAD = np.maximum(np.rint(_CELLS / CELL), 1).astype(np.int64)
"""(layer, 2): pixels that a cell covers."""
FAINT = 0.1
"""GeV, about a cell's threshold: below it networks see energies linearly, above it by their logarithm."""

_HAIR = 1e-4
"""Share by which a frame is narrower than its pixels would make it. In a frame about a cell of one layer, the middles of
other layers' cells can lie on edges of pixels, where rounding would decide; so they are all on the outer side."""


def labelled_showers(n_showers: int, rng: np.random.Generator, *, classes: Sequence[str], **settings: Any) -> ak.Array:
    """Returns showers, (shower,) records with ``cells`` and ``label`` (see `hepnn.jets`), classes in equal parts.

    Args:
        n_showers: how many.
        rng: gives their seed, so that calls one after another give other showers.
        classes: out of `hepnn.generators.showers.SHOWER_CLASSES`.
        settings: ``energy``, ``max_angle`` and ``calorimeter``, as for `hepnn.generators.showers.shower_columns`.
    """
    columns = shower_columns(n_showers, seed=int(rng.integers(2**63)), classes=classes, **settings)
    return jets_from_columns(columns, load_schema("showers"))


def draw_showers(n_showers: int, rng: np.random.Generator, *, classes: Sequence[str], **settings: Any) -> ak.Array:
    """Returns `labelled_showers` that have, besides, their class as a number: ``kind``, index in ``classes``."""
    showers = labelled_showers(n_showers, rng, classes=classes, **settings)
    kind = np.argmax([ak.to_numpy(showers.label == name) for name in classes], axis=0)
    return ak.with_field(showers, kind, "kind")


def frame(size: tuple[int, int], *, pixel: tuple[float, float] = CELL) -> dict[str, Any]:
    """Returns ``size`` and ``width`` of a `hepnn.calo_images.CaloImage` whose pixels are about as large as asked.

    Args:
        size: pixels along η and φ.
        pixel: size of one in η and φ.

    >>> frame((21, 11), pixel=(0.1, 0.1))["size"]
    (21, 11)
    """
    return {"size": size, "width": tuple(n * side * (1 - _HAIR) for n, side in zip(size, pixel, strict=True))}


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
        size = TILE[axis] * CELL[axis]
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
    image = CaloImage(size=(n_eta, n_phi), width=(n_eta * CELL[0], n_phi * CELL[1]), center="axis", **options)
    middle = [n * pixels * pixel / 2 for n, pixels, pixel in zip(tiles, TILE, CELL, strict=True)]
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
