"""Calorimeter images: the cells of showers as pictures, volumes or films, the tensors of convolutions in 2 or 3 dimensions.

Showers are an awkward record array, one record a shower, with ``eta`` and ``phi`` of its axis and ``cells``, a list of
records with ``energy`` (GeV), ``eta``, ``phi`` (rad), ``layer`` (from 0 on) and, for films, ``time`` (ns). `CaloImage`
says what the network sees of them:

- layout ``layers``: (shower, η, φ, layer), pictures whose channels are the layers;
- layout ``volume``: (shower, layer, η, φ, 1), one channel in three dimensions;
- layout ``time``: (shower, time, η, φ, layer), a sequence of pictures; their sum over time is the first layout's.

With ``channels_first`` the channels come right before η (in a volume: before the layers), with the same numbers.
`CaloImage.tensors` gives `hepnn.pixels.Images`; `pixelate_cells` gives one dense array. A pixel holds the energy of
those cells whose middle lies in it, in GeV. Cells larger than pixels leave some of them empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.alignment import CENTERS, Plane, plane_of, wrapped
from hepnn.errors import InputError
from hepnn.formulas import columns_of
from hepnn.image_representation import ImageRepresentation
from hepnn.images import NORMALIZATIONS
from hepnn.jets import flat_members
from hepnn.pixels import (
    DATA_FORMATS,
    IMAGE,
    Deposits,
    Images,
    blocks_of_images,
    check_finite,
    check_known,
    dense_images,
    pixels_in_frame,
    share_outside,
    sparse_images,
)
from hepnn.tensors import Contents

__all__ = ["CALO_CENTERS", "LAYOUTS", "CaloImage", "pixelate_cells"]

CALO_CENTERS = ("axis", "hardest", "centroid")
"""What can be in the middle: the shower's axis, the cell of most energy, the centroid of the energy."""

LAYOUTS: dict[str, dict[str, tuple[str, ...]]] = {
    "layers": {"channels_last": ("pixel", "layer"), "channels_first": ("layer", "pixel")},
    "volume": {"channels_last": ("layer", "pixel", "one"), "channels_first": ("one", "layer", "pixel")},
    "time": {"channels_last": ("time", "pixel", "layer"), "channels_first": ("time", "layer", "pixel")},
}
"""The axes of one image by layout and data format; ``pixel`` stands for η and φ."""

_CELL = (0.025, 2 * math.pi / 256)
"""Size in η and φ of the cells of ATLAS' middle electromagnetic layer (2008 JINST 3 S08003, table 1.3)."""

_TIME_EDGES = (-12.5, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0, 12.5, 25.0)
"""ns: from half of the 25 ns between bunches at the LHC before the collision to the next one."""


@dataclass(frozen=True)
class CaloImage(ImageRepresentation):
    """The representation of showers as images.

    Attributes:
        layout: a key of `LAYOUTS`.
        size: pixels along η and φ.
        width: of the frame in η and in φ, in rad.
        n_layers: layers looked at; cells of deeper ones lie outside.
        time_edges: in ns, rising: where each slice of time begins, and the last one ends. A slice holds its beginning.
            Only ``time`` uses them, and cells before or after lie outside.
        center: what is in the middle, one of `CALO_CENTERS`. With ``hardest`` pixels can match the cells.
        normalize: a key of `hepnn.images.NORMALIZATIONS`, so that the energy in the frame has that sum or norm, or
            None for GeV.
        data_format: ``channels_last`` or ``channels_first``.
    """

    layout: str = "layers"
    size: tuple[int, int] = (21, 21)
    width: tuple[float, float] = (21 * _CELL[0], 21 * _CELL[1])
    n_layers: int = 6
    time_edges: tuple[float, ...] = _TIME_EDGES
    center: str = "hardest"
    normalize: str | None = None
    data_format: str = "channels_last"
    quantity: ClassVar[str] = "energy"

    def __post_init__(self) -> None:
        for name in ("size", "width", "time_edges"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not all(isinstance(number, int | np.integer) for number in (*self.size, self.n_layers)):
            raise InputError(f"asked for images of {self.size} pixels and {self.n_layers} layers; give whole numbers.")
        if len(self.size) != 2 or len(self.width) != 2 or min(self.size) < 1 or min(self.width) <= 0:
            raise InputError(
                f"asked for images of {self.size} pixels in a frame of {self.width}; give a number above 0 for η and φ each."
            )
        object.__setattr__(self, "size", tuple(map(int, self.size)))  # NumPy's cannot be saved
        object.__setattr__(self, "n_layers", int(self.n_layers))
        if self.width[1] > 2 * np.pi or self.n_layers < 1:
            raise InputError(
                f"asked for a frame of {self.width[1]} in φ and {self.n_layers} layers; give at most 2π, and at least 1."
            )
        if len(self.time_edges) < 2 or not np.isfinite(self.time_edges).all() or min(np.diff(self.time_edges)) <= 0:
            raise InputError(f"asked for the time edges {self.time_edges}; give two or more, rising and finite, in ns.")
        check_known(
            {name: getattr(self, name) for name in ("layout", "center", "normalize", "data_format")},
            {
                "layout": LAYOUTS,
                "center": CALO_CENTERS,
                "normalize": (*NORMALIZATIONS, None),
                "data_format": DATA_FORMATS,
            },
        )

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of one image, ``pixel`` for η and φ."""
        return LAYOUTS[self.layout][self.data_format]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        shape: list[int] = []
        for axis in self.axes:
            shape += self.size if axis == "pixel" else (self._lengths[axis],)
        return tuple(shape)

    @property
    def default_augmentations(self) -> tuple[str, ...]:
        """Mirror images: a calorimeter without a magnetic field knows neither left nor right."""
        return ("flip",)

    @property
    def channel_axis(self) -> int:
        """Which axis of an image its channels are."""
        channels = "one" if "one" in self.axes else "layer"
        before = self.axes[: self.axes.index(channels)]
        return len(before) + before.count("pixel")  # a pixel stands for two axes

    @property
    def plane_axes(self) -> tuple[int, int]:
        """Which axes of an image η and φ are."""
        first = self.axes.index("pixel")
        return first, first + 1

    def contents(self) -> dict[str, Contents]:
        """Returns what the tensor holds, by its name."""
        n_channels = self.shape[self.channel_axis]
        names = ("energy",) if n_channels == 1 else tuple(f"energy of layer {layer}" for layer in range(n_channels))
        return {IMAGE: Contents(names, ("1" if self.normalize else "GeV",) * n_channels)}

    @property
    def _lengths(self) -> dict[str, int]:
        return {
            "pixel": math.prod(self.size),
            "layer": self.n_layers,
            "time": len(self.time_edges) - 1,
            "one": 1,
        }

    def tensors(self, showers: ak.Array) -> Images:
        """Returns ``showers`` as images, held sparsely; row i is shower i.

        Raises:
            InputError: a field is missing, or a cell's energy, place or time is.
        """
        return sparse_images(self._deposits(showers), self.shape)

    def _deposits(self, showers: ak.Array) -> Iterator[Deposits]:
        """Yields what each block of showers deposits."""
        names = ("energy", "eta", "phi", "layer", *(("time",) if "time" in self.axes else ()))
        _check_showers(showers, names)
        flat, counts = flat_members(showers, "cells")
        axis, cells = columns_of(showers, what="shower"), columns_of(flat, what="cell")
        columns = {name: getattr(cells, name) for name in names}
        check_finite(columns, counts, what="cell")
        check_finite({"eta": axis.eta, "phi": axis.phi}, np.ones(len(showers), np.int64), what="shower")
        for rows, records in blocks_of_images(counts, self.shape):
            energy, eta, phi, layer, *time = (column[records] for column in columns.values())
            plane = plane_of(
                eta - np.repeat(axis.eta[rows].astype(np.float64), counts[rows]),
                wrapped(phi - np.repeat(axis.phi[rows].astype(np.float64), counts[rows])),
                energy.astype(np.float64),
                counts[rows],
            )
            yield self._pixelated(self._centered(plane), layer.astype(np.int64), *time)

    def _centered(self, plane: Plane) -> Plane:
        # noise makes negative energies, which have no place
        centered = CENTERS[self.center](plane._replace(pt=np.maximum(plane.pt, 0)), 0.0)
        return centered._replace(pt=plane.pt)

    def _pixelated(self, plane: Plane, layer: npt.NDArray[Any], time: npt.NDArray[Any] | None = None) -> Deposits:
        inside, pixel = pixels_in_frame(plane.eta, plane.phi, size=self.size, width=self.width)
        lengths = self._lengths
        places = {"pixel": pixel, "layer": layer[inside], "one": np.zeros_like(pixel)}
        if time is not None:
            places["time"] = np.searchsorted(self.time_edges, time[inside], side="right") - 1
        kept = np.logical_and.reduce([(places[axis] >= 0) & (places[axis] < lengths[axis]) for axis in self.axes])
        at = np.ravel_multi_index([places[axis][kept] for axis in self.axes], [lengths[axis] for axis in self.axes])
        inside = inside[kept]
        lost = share_outside(plane.pt, plane.jet, inside, n_images=len(plane.counts))
        shower, energy = plane.jet[inside], plane.pt[inside]
        n_showers = len(plane.counts)
        if self.normalize is not None:
            total = NORMALIZATIONS[self.normalize](energy, shower, at, (n_showers, math.prod(self.shape)))
            energy = energy / np.where(total > 0, total, 1)[shower]
        return Deposits(shower, at, energy, plane.counts - np.bincount(shower, minlength=n_showers), lost)


def pixelate_cells(showers: ak.Array, image: CaloImage | None = None) -> npt.NDArray[np.float32]:
    """Returns the images of showers as one dense array, (shower, …), with the axes that ``image`` says.

    Args:
        showers: (shower,) records.
        image: how; the layers of 21 × 21 pixels if None.

    Raises:
        InputError: a field is missing, or a cell's energy, place or time is.
    """
    image = CaloImage() if image is None else image
    return dense_images(image._deposits(showers), image.shape, n_images=len(showers))


def _check_showers(showers: ak.Array, names: tuple[str, ...]) -> None:
    if not isinstance(showers, ak.Array) or showers.ndim != 1 or not {"eta", "phi", "cells"} <= set(showers.fields):
        found = f"the fields {', '.join(showers.fields)}" if isinstance(showers, ak.Array) else type(showers).__name__
        raise InputError(
            f"asked for showers, an awkward array of records with eta, phi and a list of cells; found {found}. "
            "Jets of particles have the representation 'jet-image'."
        )
    missing = [name for name in names if name not in showers.cells.fields]
    if missing:
        raise InputError(
            f"asked for the cell field {missing[0]!r}; found only {', '.join(showers.cells.fields)}. Rename yours."
        )
    if ak.any(ak.is_none(showers.cells)):
        raise InputError("asked for showers, each with its cells; some are missing. Leave them out.")
