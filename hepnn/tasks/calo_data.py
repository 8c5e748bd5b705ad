"""Showers for the calorimeter tasks, made in memory as hepnn's readers would read them, and frames to see them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np

from hepnn.generators.calorimeter import BARREL
from hepnn.generators.showers import shower_columns
from hepnn.schema import jets_from_columns, load_schema

__all__ = ["CELL", "STRIP", "frame", "labelled_showers"]

STRIP = BARREL.layers[0].eta_cell
"""Width of a strip of the first layer, in η."""
CELL = (BARREL.layers[1].eta_cell, BARREL.layers[1].phi_cell)
"""Size of the middle layer's cells in η and φ."""

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
    columns = shower_columns(n_showers, seed=int(rng.integers(2**31)), classes=classes, **settings)
    return jets_from_columns(columns, load_schema("showers"))


def frame(size: tuple[int, int], *, pixel: tuple[float, float] = CELL) -> dict[str, Any]:
    """Returns ``size`` and ``width`` of a `hepnn.calo_images.CaloImage` whose pixels are about as large as asked.

    Args:
        size: pixels along η and φ.
        pixel: size of one in η and φ.

    >>> frame((21, 11), pixel=(0.1, 0.1))["size"]
    (21, 11)
    """
    return {"size": size, "width": tuple(n * side * (1 - _HAIR) for n, side in zip(size, pixel, strict=True))}
