"""Jet images: jets as pictures of what lies where about their axis, the tensors of two-dimensional convolutions.

`JetImage` says what the network sees: a square frame in the plane of Δη and Δφ, its pixels, what they sum up, and how
jets are aligned before. `JetImage.tensors` turns jets into `hepnn.pixels.Images`; `pixelate` gives them as one dense
array. The axes are (jet, η, φ, channel), or (jet, channel, η, φ) on request, with the same numbers. η and φ rise with
the index, so a picture shows the transposed image with its origin at the lower left (`hepnn.image_plots` does).

The steps and their sources, in the order in which they are done:

1. *centre*, *rotation*, *flip* of the particles: see `hepnn.alignment`.
2. *pixels*: those of `hepnn.pixels`. Of 33 × 33 pixels in 0.8 × 0.8 are the images of Komiske, Metodiev and Schwartz
   2016 (arXiv:1612.01551), for jets of R = 0.4. Their colours are the channels ``charged_pt``,
   ``neutral_pt`` and ``charged_count``.
3. *normalisation*: of each jet, so that the pT of all particles in the frame has the ``sum`` 1 (Komiske et al.;
   Macaluso, Shih, arXiv:1803.00107; Kasieczka et al. 2019, arXiv:1902.09914), or that its pixels have the Euclidean
   ``norm`` 1 (Cogan et al. 2014, arXiv:1407.5675; de Oliveira et al. 2015, arXiv:1511.05190). All channels of pT are
   divided by the same number, so they keep their proportions; those of energy likewise by energy's. Counts stay.

What the papers take from all training images together (zero-centring, standardising) is `Images.moments`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.alignment import CENTERS, FLIPS, ROTATIONS, SUBJET_RADIUS, Plane, plane_of, wrapped
from hepnn.errors import FeatureError, InputError
from hepnn.formulas import Columns, columns_of
from hepnn.image_representation import ImageRepresentation
from hepnn.jets import check_jets, flat_members, members_of
from hepnn.oddities import check_momenta
from hepnn.pixels import (
    DATA_FORMATS,
    IMAGE,
    Deposits,
    Images,
    blocks_of_images,
    check_known,
    dense_images,
    pixels_in_frame,
    share_outside,
    sparse_images,
    sums_at,
)
from hepnn.tensors import Contents

__all__ = ["CHANNELS", "KINDS", "NORMALIZATIONS", "Channel", "Images", "JetImage", "pixelate"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Channel(NamedTuple):
    """What a pixel sums up.

    Attributes:
        quantity: of each particle: ``pt``, ``energy``, or ``count``, which is 1.
        kind: of the particles that count, a key of `KINDS`; None for all.
    """

    quantity: str
    kind: str | None = None

    @property
    def unit(self) -> str:
        """Of the quantity."""
        return "1" if self.quantity == "count" else "GeV"


KINDS: dict[str, Callable[[Columns], Flags]] = {
    "charged": lambda particles: np.abs(particles.charge) > 0,  # not so where the charge is missing
    "neutral": lambda particles: particles.charge == 0,
    "photon": lambda particles: particles.is_photon > 0,
    "neutral_hadron": lambda particles: particles.is_neutral_hadron > 0,
    "charged_hadron": lambda particles: particles.is_charged_hadron > 0,
    "electron": lambda particles: particles.is_electron > 0,
    "muon": lambda particles: particles.is_muon > 0,
}
"""Which particles are of a kind; ``neutral`` are photons too."""

CHANNELS: dict[str, Channel] = {
    f"{kind}_{quantity}" if kind else quantity: Channel(quantity, kind)
    for kind in (None, *KINDS)
    for quantity in ("pt", "energy", "count")
}
"""Every channel by name: ``pt``, ``energy``, ``count``, ``charged_pt``, …"""


def _sum(values: Floats, jet: Integers, pixel: Integers, shape: tuple[int, int]) -> Floats:
    return sums_at(jet, values, n=shape[0])


def _norm(values: Floats, jet: Integers, pixel: Integers, shape: tuple[int, int]) -> Floats:
    images = sums_at(jet * shape[1] + pixel, values, n=math.prod(shape)).reshape(shape)
    return np.sqrt((images**2).sum(axis=1))


NORMALIZATIONS: dict[str, Callable[[Floats, Integers, Integers, tuple[int, int]], Floats]] = {
    "sum": _sum,
    "norm": _norm,
}
"""What each jet is divided by: of values, jets and pixels, (particle,), and the numbers of jets and pixels."""


@dataclass(frozen=True)
class JetImage(ImageRepresentation):
    """The representation of jets as images.

    Attributes:
        size: pixels along η, and along φ.
        width: of the frame in η, and in φ, in rad; twice the jets' radius shows them whole.
        channels: names in `CHANNELS`.
        center: what is in the middle, a key of `hepnn.alignment.CENTERS`.
        rotate: a key of `hepnn.alignment.ROTATIONS`, or None.
        flip: a key of `hepnn.alignment.FLIPS`, or None.
        normalize: a key of `NORMALIZATIONS`, or None for GeV.
        data_format: ``channels_last`` or ``channels_first``.
        subjet_radius: where subjets are looked for, in rad.
    """

    size: int = 33
    width: float = 0.8
    channels: tuple[str, ...] = ("pt",)
    center: str = "axis"
    rotate: str | None = None
    flip: str | None = None
    normalize: str | None = None
    data_format: str = "channels_last"
    subjet_radius: float = SUBJET_RADIUS
    quantity: ClassVar[str] = "pT"

    def __post_init__(self) -> None:
        if not isinstance(self.size, int | np.integer) or self.size < 1 or not 0 < self.width <= 2 * np.pi:
            raise InputError(
                f"asked for images of {self.size} pixels in a width of {self.width}; give at least 1 pixel, and a width "
                "above 0 and up to 2π."
            )
        if not self.subjet_radius > 0:
            raise InputError(f"asked for subjets of radius {self.subjet_radius}; give one above 0.")
        if isinstance(self.channels, str) or not self.channels or len(set(self.channels)) < len(self.channels):
            raise InputError(
                f"asked for the channels {self.channels!r}; give a list of names, each once: ('pt',), on the "
                "command line channels=pt,"
            )
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "size", int(self.size))  # NumPy's cannot be saved
        for name in self.channels:
            check_known({"channels": name}, {"channels": CHANNELS})
        check_known(
            {name: getattr(self, name) for name in ("center", "rotate", "flip", "normalize", "data_format")},
            {
                "center": CENTERS,
                "rotate": (*ROTATIONS, None),
                "flip": (*FLIPS, None),
                "normalize": (*NORMALIZATIONS, None),
                "data_format": DATA_FORMATS,
            },
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: (η, φ, channel), or (channel, η, φ)."""
        if self.data_format == "channels_first":
            return len(self.channels), self.size, self.size
        return self.size, self.size, len(self.channels)

    @property
    def default_augmentations(self) -> tuple[str, ...]:
        """Mirror images, unless a flip has chosen one of them; turning them would undo the alignment, or blur it."""
        return ("flip",) if self.flip is None else ()

    @property
    def channel_axis(self) -> int:
        """Which axis of an image its channels are."""
        return 0 if self.data_format == "channels_first" else 2

    @property
    def plane_axes(self) -> tuple[int, int]:
        """Which axes of an image η and φ are."""
        return (1, 2) if self.data_format == "channels_first" else (0, 1)

    def contents(self) -> dict[str, Contents]:
        """Returns what the tensor holds, by its name."""
        return {IMAGE: Contents(self.channels, self.units)}

    @property
    def units(self) -> tuple[str, ...]:
        """The unit of each channel, (channel,)."""
        return tuple("1" if self.normalize else CHANNELS[name].unit for name in self.channels)

    def tensors(self, jets: ak.Array) -> Images:
        """Returns ``jets`` as images, held sparsely; row i is jet i.

        Raises:
            InputError: the jets do not keep the contract, or have a momentum that is none (`hepnn.oddities`).
            FeatureError: the particles have no charge or kind, and a channel needs it.
        """
        return sparse_images(self._deposits(jets), self.shape)

    def _deposits(self, jets: ak.Array) -> Iterator[Deposits]:
        """Yields what each block of jets deposits."""
        if members_of(check_jets(jets)) != "particles":
            raise InputError(
                "asked for images of particles; found showers of cells. Use the representation 'calo-image'."
            )
        check_momenta(jets)
        flat, counts = flat_members(jets, "particles")
        axis, particles = columns_of(jets, what="jet"), columns_of(flat, what="particle")
        channels = [CHANNELS[name] for name in self.channels]
        quantities = _quantities(particles, {channel.quantity for channel in channels})
        kinds = {channel.kind: _members(particles, channel.kind) for channel in channels if channel.kind}
        for rows, records in blocks_of_images(counts, self.shape):
            plane = plane_of(
                particles.eta[records] - np.repeat(axis.eta[rows].astype(np.float64), counts[rows]),
                wrapped(particles.phi[records] - np.repeat(axis.phi[rows].astype(np.float64), counts[rows])),
                quantities["pt"][records],
                counts[rows],
            )
            yield self._pixelated(
                self._aligned(plane),
                {name: values[records] for name, values in quantities.items()},
                {name: members[records] for name, members in kinds.items()},
            )

    def _aligned(self, plane: Plane) -> Plane:
        plane = CENTERS[self.center](plane, self.subjet_radius)
        if self.rotate is not None:
            plane = ROTATIONS[self.rotate](plane, self.subjet_radius)
        return plane if self.flip is None else FLIPS[self.flip](plane)

    def _pixelated(self, plane: Plane, quantities: dict[str, Floats], kinds: dict[str, Flags]) -> Deposits:
        n_jets, n_pixels = len(plane.counts), self.size**2
        inside, pixel = pixels_in_frame(
            plane.eta, plane.phi, size=(self.size, self.size), width=(self.width, self.width)
        )
        jet = plane.jet[inside]
        n_outside = plane.counts - np.bincount(jet, minlength=n_jets)
        lost = share_outside(quantities["pt"], plane.jet, inside, n_images=n_jets)
        quantities = {name: values[inside] for name, values in quantities.items()}
        if self.normalize is not None:
            for name in quantities.keys() - {"count"}:
                total = NORMALIZATIONS[self.normalize](quantities[name], jet, pixel, (n_jets, n_pixels))
                quantities[name] = quantities[name] / np.where(total > 0, total, 1)[jet]
        parts = []
        for number, name in enumerate(self.channels):
            channel = CHANNELS[name]
            at = (
                pixel * len(self.channels) + number
                if self.data_format == DATA_FORMATS[0]
                else pixel + number * n_pixels
            )
            part = (jet, at, quantities[channel.quantity])
            if channel.kind:
                members = np.flatnonzero(kinds[channel.kind][inside])
                part = (part[0][members], part[1][members], part[2][members])
            parts.append(part)
        jet, at, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return Deposits(jet, at, value, n_outside, lost)


def pixelate(jets: ak.Array, image: JetImage | None = None) -> npt.NDArray[np.float32]:
    """Returns the images of jets as one dense array, (jet, η, φ, channel), or as ``image`` orders the axes.

    Of 33 × 33 pixels, images of 100,000 jets take 436 MB a channel; `JetImage.tensors` holds what is not 0.

    Args:
        jets: (jet,) records.
        image: how; pT in 33 × 33 pixels of a frame 0.8 wide if None.

    Raises:
        InputError: the jets do not keep the contract, or have a momentum that is none (`hepnn.oddities`).
        FeatureError: the particles have no charge or kind, and a channel needs it.
    """
    image = JetImage() if image is None else image
    return dense_images(image._deposits(jets), image.shape, n_images=len(jets))


def _quantities(particles: Columns, names: set[str]) -> dict[str, Floats]:
    """The wanted quantities of the particles, and pT, which alignment goes by."""
    return {
        name: np.ones(len(particles.pt)) if name == "count" else getattr(particles, name).astype(np.float64)
        for name in names | {"pt"}
    }


def _members(particles: Columns, kind: str) -> Flags:
    """Which particles are of the kind, (particle,)."""
    try:
        return KINDS[kind](particles)
    except FeatureError as error:
        raise FeatureError(f"asked for images of {kind} particles: {error}") from error
