"""Augmentation of images: training images moved, turned, mirrored, stretched, smeared and brightened at random.

Each augmentation takes a batch of dense images and returns a changed copy; validation and scoring never see one. The
images are (jet, η, φ, channel), or have more axes before η, which all are changed alike: the layers of a volume, the
slices of a film. With ``channels_first`` η and φ are the last axes. Pixels have to be as wide in η as in φ.

What moves, moves with its content: a pixel's content is shared among the four pixels that its middle falls between, in
proportion to how near they are. So pT and energy are kept, up to what leaves the frame, while interpolating the moved
image, as is common for photographs, would change them. `IMAGE_AUGMENTATIONS` lists them by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError

__all__ = ["IMAGE_AUGMENTATIONS", "brighten", "flip", "image_augmenter", "rotate", "scale", "shift", "smear"]

Floats = npt.NDArray[np.float32]
Augmentation = Callable[[Floats, np.random.Generator, str], Floats]

MAX_SHIFT = 1.0
"""Pixels: beyond what a jet's axis is uncertain by, pixels being about as large as that."""
SCALE_RANGE = (0.9, 1.1)
"""Factor on distances from the centre. hepnn's choice, as are the following."""
PIXEL_RESOLUTION = 0.1
"""Relative spread of a pixel's content."""
BRIGHTNESS_RANGE = (0.9, 1.1)
"""Factor on all of an image's content: the energy scale."""


def shift(images: Floats, generator: np.random.Generator, data_format: str = "channels_last") -> Floats:
    """Returns the images moved by up to `MAX_SHIFT` pixels along η and along φ.

    Args:
        images: (jet, …, η, φ, channel), or (jet, …, η, φ) for channels first.
        generator: of the distances.
        data_format: ``channels_last`` or ``channels_first``.
    """
    by = generator.uniform(-MAX_SHIFT, MAX_SHIFT, (2, len(images)))
    return _moved(images, np.broadcast_to(np.eye(2)[..., None], (2, 2, len(images))), by, data_format)


def rotate(images: Floats, generator: np.random.Generator, data_format: str = "channels_last") -> Floats:
    """Returns the images turned about their centre by any angle; arguments as for `shift`."""
    angle = generator.uniform(0, 2 * np.pi, len(images))
    cos, sin = np.cos(angle), np.sin(angle)
    return _moved(images, np.array([[cos, -sin], [sin, cos]]), np.zeros((2, len(images))), data_format)


def flip(images: Floats, generator: np.random.Generator, data_format: str = "channels_last") -> Floats:
    """Returns the images mirrored in η, in φ, in both or in none, each as often; arguments as for `shift`."""
    for axis in _plane_axes(data_format):
        mirrored = generator.random(len(images)) < 0.5
        images = np.where(mirrored.reshape(-1, *[1] * (images.ndim - 1)), np.flip(images, axis), images)
    return images


def scale(images: Floats, generator: np.random.Generator, data_format: str = "channels_last") -> Floats:
    """Returns the images stretched from their centre by a factor in `SCALE_RANGE`; arguments as for `shift`."""
    factor = generator.uniform(*SCALE_RANGE, len(images))
    return _moved(images, np.eye(2)[..., None] * factor, np.zeros((2, len(images))), data_format)


def smear(images: Floats, generator: np.random.Generator, data_format: str = "channels_last") -> Floats:
    """Returns the images with each pixel multiplied by a random factor, normal about 1 with `PIXEL_RESOLUTION`.

    Empty pixels stay empty, and none changes its sign; arguments as for `shift`.
    """
    factor = 1 + PIXEL_RESOLUTION * generator.standard_normal(images.shape, np.float32)
    return images * np.maximum(factor, 0)


def brighten(images: Floats, generator: np.random.Generator, data_format: str = "channels_last") -> Floats:
    """Returns the images, each multiplied by a factor in `BRIGHTNESS_RANGE`; arguments as for `shift`."""
    factor = generator.uniform(*BRIGHTNESS_RANGE, len(images)).astype(np.float32)
    return images * factor.reshape(-1, *[1] * (images.ndim - 1))


IMAGE_AUGMENTATIONS: dict[str, Augmentation] = {
    "shift": shift,
    "rotate": rotate,
    "flip": flip,
    "scale": scale,
    "smear": smear,
    "brighten": brighten,
}


def image_augmenter(
    names: Sequence[str], *, data_format: str = "channels_last"
) -> Callable[[dict[str, Any], np.random.Generator], dict[str, Any]]:
    """Returns the function that changes a batch's inputs: its ``image``.

    Args:
        names: keys of `IMAGE_AUGMENTATIONS`, applied in turn.
        data_format: ``channels_last`` or ``channels_first``.

    Raises:
        InputError: an unknown name.
    """
    for name in names:
        if name not in IMAGE_AUGMENTATIONS:
            raise InputError(f"asked for the augmentation {name!r} of images; known: {', '.join(IMAGE_AUGMENTATIONS)}.")

    def augment(inputs: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        image = inputs["image"]
        for name in names:
            image = IMAGE_AUGMENTATIONS[name](image, generator, data_format)
        return {**inputs, "image": image}

    return augment


def _plane_axes(data_format: str) -> tuple[int, int]:
    return (-3, -2) if data_format == "channels_last" else (-2, -1)


def _moved(images: Floats, matrix: npt.NDArray[np.float64], by: npt.NDArray[np.float64], data_format: str) -> Floats:
    """Returns the images with the content of each pixel at r, counted from the centre, brought to ``matrix·r + by``.

    Args:
        images: (jet, …).
        matrix: (2, 2, jet).
        by: (2, jet), in pixels.
        data_format: where η and φ are.
    """
    axes = _plane_axes(data_format)
    planes = np.ascontiguousarray(np.moveaxis(images, axes, (-2, -1)))
    n_eta, n_phi = planes.shape[-2:]
    n_pixels = n_eta * n_phi
    at = np.flatnonzero(planes != 0)
    content = planes.ravel()[at]
    plane, pixel = np.divmod(at, n_pixels)
    jet = plane // math.prod(planes.shape[1:-2])
    eta, phi = np.divmod(pixel, n_phi) - np.array([[(n_eta - 1) / 2], [(n_phi - 1) / 2]])
    (from_eta, from_phi), shift = matrix[..., jet].swapaxes(0, 1), by[:, jet]
    column, row = from_eta * eta + from_phi * phi + shift + np.array([[(n_eta - 1) / 2], [(n_phi - 1) / 2]])
    low_column, low_row = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    share_column, share_row = column - low_column, row - low_row
    moved = np.zeros(planes.size)
    for step_column, step_row in np.ndindex(2, 2):
        to_column, to_row = low_column + step_column, low_row + step_row
        inside = (to_column >= 0) & (to_column < n_eta) & (to_row >= 0) & (to_row < n_phi)
        share = np.abs(1 - step_column - share_column) * np.abs(1 - step_row - share_row)
        to = (plane * n_pixels + to_column * n_phi + to_row)[inside]
        moved += np.bincount(to, (share * content)[inside], minlength=planes.size)
    return np.ascontiguousarray(np.moveaxis(moved.astype(np.float32).reshape(planes.shape), (-2, -1), axes))
