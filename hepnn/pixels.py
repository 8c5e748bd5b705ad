"""Pixels: which pixel of a frame a point falls in, and images held by those pixels that are not empty.

A frame is a rectangle in the plane of Δη and Δφ about a centre, cut into pixels of equal size. **A pixel holds its
lower edges but not its upper ones, and so does the frame.** What lies outside is dropped and counted. `Images` holds
many images of one shape sparsely: of the 1,089 pixels of a jet image some 30 are not empty. `Images.pad` makes of any
of them the dense tensor ``image`` that goes into a network.

The representations of `hepnn.images` (particles of jets) and `hepnn.calo_images` (cells of showers) turn their records
into `Deposits`, block by block; `sparse_images` and `dense_images` sum those up. Sums are worked out in double
precision and kept in single.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError, closest

__all__ = [
    "DATA_FORMATS",
    "IMAGE",
    "Deposits",
    "Images",
    "blocks_of_images",
    "check_finite",
    "check_known",
    "dense_images",
    "pixels_in_frame",
    "share_outside",
    "sparse_images",
    "sums_at",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

IMAGE = "image"
"""Name of the tensor."""

DATA_FORMATS = ("channels_last", "channels_first")
"""Where the channels are among an image's axes; named as in Keras."""

_BLOCK_VALUES = 2**18
"""Values of the dense images that are summed up at once: 2 MiB, which a processor's cache holds."""


class Deposits(NamedTuple):
    """What falls into the images of one block, one entry for each record and channel.

    Attributes:
        image: (entry,) the image within the block.
        pixel: (entry,) the index into the image, flattened.
        value: (entry,) what is added there.
        n_outside: (image,) records outside the frame.
        share_outside: (image,) the share of pT, or of energy, that they carry.
    """

    image: Integers
    pixel: Integers
    value: Floats
    n_outside: Integers
    share_outside: Floats


class Images:
    """Images of one shape, held sparsely.

    Attributes:
        shape: of one image, without the axis of jets.
        offsets: (jet + 1,) where the pixels of each jet begin and end.
        pixels: (pixel,) int32, the indices into the flattened image of those that are not 0, rising in each jet.
        values: (pixel,) float32, what they hold.
        n_outside: (jet,) how many records lay outside the frame.
        share_outside: (jet,) the share of the jet's pT, or of the shower's energy, that they carry.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        offsets: Integers,
        pixels: npt.NDArray[np.int32],
        values: npt.NDArray[np.float32],
        n_outside: Integers,
        share_outside: Floats,
    ) -> None:
        self.shape, self.offsets, self.pixels, self.values = shape, offsets, pixels, values
        self.n_outside, self.share_outside = n_outside, share_outside

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: npt.NDArray[Any] | slice) -> Images:
        """The images of the jets ``rows``, a copy."""
        rows = self._rows(rows)
        entries, counts = self._entries(rows)
        pixels, values = self.pixels[entries], self.values[entries]
        return Images(self.shape, _offsets(counts), pixels, values, self.n_outside[rows], self.share_outside[rows])

    @property
    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """The shape of the tensor that `pad` gives, without the jet axis."""
        return {IMAGE: self.shape}

    @property
    def n_truncated(self) -> dict[str, int]:
        """How many jets have records outside the frame."""
        return {IMAGE: int(np.count_nonzero(self.n_outside))}

    @property
    def lengths(self) -> Integers:
        """One for each image, (jet,): all are of one size, and no batch needs padding."""
        return np.ones(len(self), np.int64)

    def pad(self, rows: npt.NDArray[Any] | slice = slice(None), *, length: int | None = None) -> dict[str, Any]:
        """Returns the dense input of a network for the jets ``rows``: ``image``, (jet, …) float32.

        Args:
            rows: indices of jets, in any order.
            length: not looked at; particle clouds are padded to it.
        """
        rows = self._rows(rows)
        entries, counts = self._entries(rows)
        size = math.prod(self.shape)
        dense = np.zeros(len(rows) * size, np.float32)
        dense[np.repeat(np.arange(len(rows)) * size, counts) + self.pixels[entries]] = self.values[entries]
        return {IMAGE: dense.reshape(len(rows), *self.shape)}

    def moments(self, rows: npt.NDArray[Any] | slice = slice(None)) -> tuple[Floats, Floats]:
        """Returns the mean and the standard deviation of each pixel over the jets ``rows``, both of one image's shape.

        Komiske, Metodiev, Schwartz 2016 (arXiv:1612.01551) subtract the one from the training images and
        all others (zero-centring), and divide by the other (standardising) plus 1e-5, lest empty pixels make noise.

        Raises:
            InputError: no jet.
        """
        rows = self._rows(rows)
        if not len(rows):
            raise InputError("asked for the mean of images; found none. Choose at least one jet.")
        entries, _ = self._entries(rows)
        values = self.values[entries].astype(np.float64)
        size = math.prod(self.shape)
        mean, mean_square = (
            sums_at(self.pixels[entries], powers, n=size) / len(rows) for powers in (values, values**2)
        )
        deviation = np.sqrt(np.maximum(mean_square - mean**2, 0))
        return mean.reshape(self.shape), deviation.reshape(self.shape)

    def _rows(self, rows: npt.NDArray[Any] | slice) -> Integers:
        return np.arange(len(self))[rows]

    def _entries(self, rows: Integers) -> tuple[Any, Integers]:
        """Which entries of ``pixels`` belong to the jets ``rows``, and how many to each."""
        counts = self.offsets[rows + 1] - self.offsets[rows]
        if len(rows) and (np.diff(rows) == 1).all():
            return slice(self.offsets[rows[0]], self.offsets[rows[-1] + 1]), counts
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(self.offsets[rows], counts) + within, counts


def sums_at(index: Integers, values: Floats, *, n: int) -> Floats:
    """Returns the sums of ``values``, (entry,), with the same index, (n,)."""
    # of no entries NumPy makes integers
    return np.asarray(np.bincount(index, values, minlength=n), np.float64)


def pixels_in_frame(
    eta: Floats, phi: Floats, *, size: tuple[int, int], width: tuple[float, float]
) -> tuple[Integers, Integers]:
    """Returns which points lie in the frame, as indices, and of each of these its pixel, counted along φ first.

    Args:
        eta: (point,) distance from the frame's centre in η.
        phi: (point,) the same in φ, wrapped, in rad.
        size: pixels along η and φ.
        width: of the frame in η and φ, in rad. Its centre is that of a pixel where ``size`` is odd, else an edge.

    >>> pixels_in_frame(np.array([-0.4, 0.0, 0.4]), np.zeros(3), size=(2, 2), width=(0.8, 0.8))
    (array([0, 1]), array([1, 3]))
    """
    column = (eta + width[0] / 2) * (size[0] / width[0])
    row = (phi + width[1] / 2) * (size[1] / width[1])
    inside = np.flatnonzero((column >= 0) & (column < size[0]) & (row >= 0) & (row < size[1]))
    # positive numbers are rounded down
    return inside, column[inside].astype(np.int64) * size[1] + row[inside].astype(np.int64)


def share_outside(weights: Floats, image: Integers, inside: Integers, *, n_images: int) -> Floats:
    """Returns the share of the weight of each image's records that lies outside the frame, (image,); 0 of no weight.

    Args:
        weights: (record,); negative ones, which noise makes, do not count.
        image: (record,) that each belongs to.
        inside: indices of the records in the frame.
        n_images: of all.
    """
    weights = np.maximum(weights, 0)
    total = sums_at(image, weights, n=n_images)
    kept = sums_at(image[inside], weights[inside], n=n_images)
    return 1 - np.divide(kept, total, out=np.ones(n_images), where=total > 0)


def blocks_of_images(counts: Integers, shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yields the blocks in which images are summed up: a slice of jets, and that of their records.

    Args:
        counts: (jet,) records of each jet.
        shape: of one image.
    """
    step = max(_BLOCK_VALUES // math.prod(shape), 1)
    offsets = _offsets(counts)
    for start in range(0, len(counts), step):
        stop = min(start + step, len(counts))
        yield slice(start, stop), slice(int(offsets[start]), int(offsets[stop]))


def sparse_images(blocks: Iterable[Deposits], shape: tuple[int, ...]) -> Images:
    """Returns the images that the deposits of ``blocks`` sum up to.

    Args:
        blocks: one after another.
        shape: of one image.
    """
    counts, pixels = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    values, outside, share = [np.empty(0, np.float32)], [np.empty(0, np.int64)], [np.empty(0)]
    size = math.prod(shape)
    for deposits in blocks:
        dense = _summed(deposits, size)
        at = np.flatnonzero(dense != 0)  # of booleans it is several times as fast
        image = at // size
        counts.append(np.bincount(image, minlength=len(deposits.n_outside)))
        pixels.append((at - image * size).astype(np.int32))
        values.append(dense[at].astype(np.float32))
        outside.append(deposits.n_outside)
        share.append(deposits.share_outside)
    offsets = _offsets(np.concatenate(counts))
    return Images(
        shape,
        offsets,
        np.concatenate(pixels),
        np.concatenate(values),
        np.concatenate(outside),
        np.concatenate(share),
    )


def dense_images(blocks: Iterable[Deposits], shape: tuple[int, ...], *, n_images: int) -> npt.NDArray[np.float32]:
    """Returns the same images as dense array, (jet, …).

    Args:
        blocks: one after another.
        shape: of one image.
        n_images: of all blocks together.
    """
    images = np.empty((n_images, *shape), np.float32)
    size = math.prod(shape)
    flat, start = images.reshape(n_images, size), 0
    for deposits in blocks:
        stop = start + len(deposits.n_outside)
        flat[start:stop] = _summed(deposits, size).reshape(-1, size)
        start = stop
    return images


def check_finite(columns: Mapping[str, npt.NDArray[Any]], counts: Integers, *, what: str) -> None:
    """Refuses numbers that are missing, NaN or infinite.

    Args:
        columns: (record,) each, by name.
        counts: (image,) records of each image.
        what: the records are.

    Raises:
        InputError: some are; it names the first.
    """
    for name, values in columns.items():
        finite = np.isfinite(values)
        if not finite.all():
            image = int(np.searchsorted(np.cumsum(counts), finite.argmin(), side="right"))
            raise InputError(
                f"asked for images; the {what} field {name!r} is missing or infinite for {(~finite).sum()} of "
                f"{len(finite)}, first in image {image}. Leave those out."
            )


def check_known(asked: Mapping[str, str | None], known: Mapping[str, Collection[str | None]]) -> None:
    """Refuses settings that are not among those ``known``; both go by the setting's name.

    Raises:
        InputError: one is not; it names the closest.
    """
    for setting, name in asked.items():
        if name not in known[setting]:
            raise InputError(
                f"asked for images with {setting} {name!r}; closest: {closest(str(name), map(str, known[setting]))}."
            )


def _summed(deposits: Deposits, size: int) -> Floats:
    at = deposits.image * size + deposits.pixel
    return sums_at(at, deposits.value, n=len(deposits.n_outside) * size)


def _offsets(counts: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(counts)])
